//! Legal holds: what stands under one is not removed, by retention or by an erasure.
//!
//! **Who removes asks in the transaction that removes**: [`standing`] (or [`came_since`]) shares a lock of the tenant until that
//! transaction ends, and [`add`] needs it alone. So a hold is placed either before the question, and then it is answered, or
//! after the removal. Statements are guarded by a trigger besides, which holds against any SQL.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    ledger::statements::{authority_form, related_form},
};

/// What stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that a tenant has.
    Tenant,
    /// What is about a person or mentions them, by the lookup keys of their identifiers.
    Person(Vec<Uuid>),
    /// What belongs to a registration: its name, and its lookup key.
    Registration { named: String, key: Uuid },
    /// What is about a course or names it as its context: its id, and its lookup key as an activity.
    Course { named: String, key: Uuid },
}

impl Scope {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Person(_) => "person",
            Self::Registration { .. } => "registration",
            Self::Course { .. } => "course",
        }
    }

    fn named(&self) -> Option<&str> {
        match self {
            Self::Registration { named, .. } | Self::Course { named, .. } => Some(named),
            Self::Tenant | Self::Person(_) => None,
        }
    }

    /// By what marks it is known later.
    fn lookup(&self) -> Vec<Uuid> {
        match self {
            Self::Tenant => Vec::new(),
            Self::Person(keys) => keys.clone(),
            Self::Registration { key, .. } | Self::Course { key, .. } => vec![*key],
        }
    }

    /// The same in every form in which the ledger has it.
    fn forms(&self) -> Vec<Uuid> {
        match self {
            Self::Tenant => Vec::new(),
            Self::Person(keys) => {
                keys.iter().flat_map(|key| [*key, related_form(*key), authority_form(*key)]).collect()
            }
            Self::Registration { key, .. } => vec![*key],
            Self::Course { key, .. } => vec![*key, related_form(*key)],
        }
    }
}

/// A hold that is to be placed.
#[derive(Clone, Debug)]
pub struct New<'n> {
    pub id: Uuid,
    pub scope: &'n Scope,
    pub reason: &'n str,
    /// The law or order it rests on: who is refused is told this.
    pub law: &'n str,
    pub by: &'n str,
}

/// A hold as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub tenant: TenantId,
    pub id: Uuid,
    /// `tenant`, `person`, `registration` or `course`.
    pub scope: String,
    /// In every form in which the ledger has them: the lookup keys. None of a whole tenant, and none of a person once it ended.
    pub keys: Vec<Uuid>,
    /// A course or a registration; never a person.
    pub named: Option<String>,
    pub reason: String,
    pub law: String,
    pub placed_by: String,
    pub placed_at: DateTime<Utc>,
    pub released: Option<Released>,
}

/// How a hold ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    pub by: String,
    pub at: DateTime<Utc>,
    pub reason: String,
}

impl Hold {
    pub fn is_of_all(&self) -> bool {
        self.scope == "tenant"
    }

    /// Whether it stands over what is found by one of these keys.
    pub fn concerns<'k>(&self, keys: impl IntoIterator<Item = &'k Uuid>) -> bool {
        self.is_of_all() || keys.into_iter().any(|key| self.keys.contains(key))
    }
}

macro_rules! columns {
    () => {
        "tenant_id, hold_id, scope, keys, named, reason, law, placed_by, placed_at, released_by, released_at, release_reason"
    };
}

const ADD: &str = concat!(
    "/* holds::add */
    INSERT INTO ledger.holds (tenant_id, hold_id, scope, keys, marks, named, reason, law, placed_by)
    VALUES ($1 /* tenant */, $2 /* hold */, $3 /* scope */, $4 /* keys */, ledger.hold_marks($5) /* marks */, $6 /* named */,
            $7 /* reason */, $8 /* law */, $9 /* by */)
    ON CONFLICT (tenant_id, hold_id) DO NOTHING
    RETURNING ",
    columns!()
);

/// Places a hold, once no removal of this tenant's is under way. Run it as [`crate::store::As::Retention`]. Placed again under
/// the same id, as by a repeated transaction, it is the one that is there.
pub async fn add(tx: &Tx<'_>, tenant: TenantId, new: &New<'_>) -> Result<Hold, StoreError> {
    tx.execute("/* holds::own */ SELECT ledger.own_holds($1)", &[&tenant.0]).await?;
    let New { id, scope, reason, law, by } = new;
    let (keys, lookup) = (scope.forms(), scope.lookup());
    let placed =
        tx.query_opt(ADD, &[&tenant.0, id, &scope.name(), &keys, &lookup, &scope.named(), reason, law, by]).await?;
    match placed {
        Some(row) => hold(&row),
        None => one(tx, tenant, *id).await?.ok_or_else(|| StoreError::Shape {
            name: "holds",
            detail: format!("the hold {id} is neither new nor there"),
        }),
    }
}

const ONE: &str =
    concat!("/* holds::one */ SELECT ", columns!(), " FROM ledger.holds WHERE tenant_id = $1 AND hold_id = $2");

/// A hold by its id.
pub async fn one(tx: &Tx<'_>, tenant: TenantId, id: Uuid) -> Result<Option<Hold>, StoreError> {
    tx.query_opt(ONE, &[&tenant.0, &id]).await?.as_ref().map(hold).transpose()
}

const LIST: &str = concat!(
    "/* holds::list */ SELECT ",
    columns!(),
    " FROM ledger.holds WHERE ($1::uuid /* tenant */ IS NULL OR tenant_id = $1) AND ($2 /* ended ones too */ OR released_at IS NULL)
      ORDER BY tenant_id, placed_at, hold_id"
);

/// The holds of a tenant, or of all; those that have ended only where they are asked for.
pub async fn list(tx: &Tx<'_>, tenant: Option<TenantId>, with_ended: bool) -> Result<Vec<Hold>, StoreError> {
    let tenant = tenant.map(|tenant| tenant.0);
    tx.query(LIST, &[&tenant, &with_ended]).await?.iter().map(hold).collect()
}

const RELEASE: &str = concat!(
    "/* holds::release */
    UPDATE ledger.holds SET released_by = $3 /* by */, release_reason = $4 /* reason */, released_at = clock_timestamp(),
        keys = CASE scope WHEN 'person' THEN '{}' ELSE keys END
    WHERE tenant_id = $1 /* tenant */ AND hold_id = $2 /* hold */ AND released_at IS NULL
    RETURNING ",
    columns!()
);

/// Ends a hold; `None` where it is not there or has ended before. Run it as [`crate::store::As::Retention`].
pub async fn release(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: Uuid,
    by: &str,
    reason: &str,
) -> Result<Option<Hold>, StoreError> {
    tx.query_opt(RELEASE, &[&tenant.0, &id, &by, &reason]).await?.as_ref().map(hold).transpose()
}

/// The holds of a tenant that stand, and go on standing alone until this transaction ends.
pub async fn standing(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<Hold>, StoreError> {
    tx.execute("/* holds::share */ SELECT ledger.share_holds($1)", &[&tenant.0]).await?;
    list(tx, Some(tenant), false).await
}

/// Whether one stands that is none of these. No other comes until this transaction ends.
pub async fn came_since(tx: &Tx<'_>, tenant: TenantId, known: &[Uuid]) -> Result<bool, StoreError> {
    Ok(standing(tx, tenant).await?.iter().any(|hold| !known.contains(&hold.id)))
}

fn hold(row: &Row) -> Result<Hold, StoreError> {
    let released: Option<DateTime<Utc>> = column(row, "released_at")?;
    let released =
        released.map(|at| Ok(Released { by: column(row, "released_by")?, at, reason: column(row, "release_reason")? }));
    Ok(Hold {
        tenant: TenantId(column(row, "tenant_id")?),
        id: column(row, "hold_id")?,
        scope: column(row, "scope")?,
        keys: column(row, "keys")?,
        named: column(row, "named")?,
        reason: column(row, "reason")?,
        law: column(row, "law")?,
        placed_by: column(row, "placed_by")?,
        placed_at: column(row, "placed_at")?,
        released: released.transpose()?,
    })
}
