//! Months that are filled whole: copied into tables of their own, indexed, and only then made partitions of the ledger.
//!
//! `begin` makes the tables, or takes over those of a process that went away, with what is in them; `copy` adds rows; `index` may
//! take long and keeps nobody waiting; `finish` secures and attaches them in a short transaction; `abandon` removes them.
//! Nobody can query the rows before they are attached. Ids, references and vocabulary are not written here.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::{TenantId, partition::Month};
use crate::store::{
    As, Store, StoreError, Tx,
    door::{copy::Rows, tx::column},
    platform::leases,
};

/// Which tables a month becomes a partition of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parents {
    /// `statements` and `relations`: a month that is not there yet, which is then open.
    Hot,
    /// `detached_statements` and `detached_relations`: a month whose table was dropped, which is then archived.
    Detached,
}

impl Parents {
    fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Detached => "detached",
        }
    }

    fn parse(name: &str) -> Result<Self, StoreError> {
        [Self::Hot, Self::Detached]
            .into_iter()
            .find(|parents| parents.name() == name)
            .ok_or_else(|| StoreError::Shape { name: "month_fills", detail: format!("{name:?} is not known here") })
    }
}

/// A month that is being filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub month: Month,
    pub parents: Parents,
    number: i64,
    /// Statements that had been copied when it was begun or read.
    pub statements: i64,
}

impl Fill {
    /// The copy of a month that is divided anew.
    pub(in crate::store) fn of_division(month: Month, number: i64, is_detached: bool) -> Self {
        let parents = if is_detached { Parents::Detached } else { Parents::Hot };
        Self { month, parents, number, statements: 0 }
    }
}

/// A row of the ledger as it is, with the keys under which `relations` has it.
#[derive(Clone, Copy, Debug)]
pub struct FullRow<'a> {
    pub tenant: TenantId,
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub occurred: Option<DateTime<Utc>>,
    pub verb_key: Uuid,
    pub agent_key: Option<Uuid>,
    pub activity_key: Option<Uuid>,
    pub registration_key: Option<Uuid>,
    pub refers_to: Option<Uuid>,
    pub voiding: bool,
    pub converts: bool,
    pub payload: &'a str,
    pub relations: &'a [Uuid],
}

const BEGIN: &str = "/* fills::begin */ SELECT ledger.begin_month($1 /* moment */, $2 /* parents */) AS number";

const FILLS: &str = "/* fills::all */
    SELECT month::timestamp AT TIME ZONE 'UTC' AS begins, number, parents, statements
    FROM ledger.month_fills f
    WHERE NOT EXISTS (SELECT FROM ledger.month_divisions d WHERE d.number = f.number) ORDER BY month";

/// Begins to fill a month. What a process left that had begun it is taken over: `statements` says how much that is, and whoever
/// had it can neither copy nor finish any more.
pub async fn begin(tx: &Tx<'_>, month: Month, parents: Parents) -> Result<Fill, StoreError> {
    leases::check(tx).await?;
    let number: i64 = column(&tx.query_one(BEGIN, &[&month.begin(), &parents.name()]).await?, "number")?;
    let begun = all(tx).await?.into_iter().find(|fill| fill.number == number);
    begun.ok_or_else(|| StoreError::Shape { name: "begin_month", detail: format!("{month} was not begun") })
}

/// The months that somebody has begun to fill and not finished.
pub async fn all(tx: &Tx<'_>) -> Result<Vec<Fill>, StoreError> {
    read(tx, FILLS).await
}

const EVERY: &str = "/* fills::every */
    SELECT month::timestamp AT TIME ZONE 'UTC' AS begins, number, parents, statements FROM ledger.month_fills ORDER BY month";

/// As [`all`], with the copies of months that are divided anew.
pub async fn every(tx: &Tx<'_>) -> Result<Vec<Fill>, StoreError> {
    read(tx, EVERY).await
}

async fn read(tx: &Tx<'_>, sql: &str) -> Result<Vec<Fill>, StoreError> {
    let rows = tx.query(sql, &[]).await?;
    let fill = |row: &tokio_postgres::Row| {
        Ok(Fill {
            month: Month::of(column(row, "begins")?),
            parents: Parents::parse(column(row, "parents")?)?,
            number: column(row, "number")?,
            statements: column(row, "statements")?,
        })
    };
    rows.iter().map(fill).collect()
}

/// Whether something was copied for a month that is by these actors, or under these keys.
pub async fn has(
    tx: &Tx<'_>,
    fill: &Fill,
    tenant: TenantId,
    (actors, relations): (&[Uuid], &[Uuid]),
) -> Result<bool, StoreError> {
    let name = fill.month.begin().format("%Y_%m");
    let sql = format!(
        "/* fills::has */
         SELECT EXISTS (SELECT FROM ledger.filling_statements_{name} s
                        WHERE s.tenant_id = $1 /* tenant */ AND s.agent_key = ANY ($2 /* actors */))
             OR EXISTS (SELECT FROM ledger.filling_relations_{name} r
                        WHERE r.tenant_id = $1 AND r.key = ANY ($3 /* relations */)) AS has"
    );
    column(&tx.query_one(&sql, &[&tenant.0, &actors, &relations]).await?, "has")
}

const COUNT: &str = "/* fills::count */
    UPDATE ledger.month_fills SET statements = statements + $3 /* statements */, relations = relations + $4 /* relations */
    WHERE month = ($1 /* begins */::timestamptz AT TIME ZONE 'UTC')::date AND number = $2 /* number */";

/// Copies rows into the month. Whoever commits has copied all of them; whoever does not, none.
pub async fn copy(tx: &Tx<'_>, fill: &Fill, rows: &[FullRow<'_>]) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let mut statements = Rows::of(12);
    let mut relations = Rows::of(3);
    let mut related: i64 = 0;
    for row in rows {
        statements.begin().uuid(row.tenant.0).uuid(row.id).time(row.stored).time_or_null(row.occurred);
        statements.uuid(row.verb_key).uuid_or_null(row.agent_key).uuid_or_null(row.activity_key);
        statements.uuid_or_null(row.registration_key).uuid_or_null(row.refers_to);
        statements.boolean(row.voiding).boolean(row.converts).bytes(row.payload.as_bytes());
        for key in row.relations {
            relations.begin().uuid(row.tenant.0).uuid(*key).time(row.stored);
        }
        related += row.relations.len() as i64;
    }
    let counted = tx.execute(COUNT, &[&fill.month.begin(), &fill.number, &(rows.len() as i64), &related]).await?;
    if counted == 0 {
        let detail = format!("the month {} is not being filled under the number {} any more", fill.month, fill.number);
        return Err(StoreError::Shape { name: "fills::copy", detail });
    }
    let name = fill.month.begin().format("%Y_%m");
    tx.copy(
        &format!(
            "/* fills::copy */ COPY ledger.filling_statements_{name}
                 (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding,
                  converts, payload) FROM STDIN (FORMAT binary)"
        ),
        statements.finish(),
    )
    .await?;
    let sql = format!(
        "/* fills::copy */ COPY ledger.filling_relations_{name} (tenant_id, key, stored) FROM STDIN (FORMAT binary)"
    );
    tx.copy(&sql, relations.finish()).await.map(drop)
}

/// Builds the indexes of what was copied. For a store that is patient: see [`Store::patient`].
pub async fn index(tx: &Tx<'_>, fill: &Fill) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let sql = "/* fills::index */ SELECT ledger.index_month($1 /* moment */, $2 /* number */)";
    tx.query_one(sql, &[&fill.month.begin(), &fill.number]).await.map(drop)
}

/// Makes the month a partition; short where [`index`] came before. Done again, it is refused.
pub async fn finish(tx: &Tx<'_>, fill: &Fill) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let sql = "/* fills::finish */ SELECT ledger.finish_month($1 /* moment */, $2 /* number */)";
    tx.query_one(sql, &[&fill.month.begin(), &fill.number]).await.map(drop)
}

/// Removes what was copied.
pub async fn abandon(tx: &Tx<'_>, fill: &Fill) -> Result<(), StoreError> {
    leases::check(tx).await?;
    let sql = "/* fills::abandon */ SELECT ledger.abandon_month($1 /* moment */, $2 /* number */)";
    tx.query_one(sql, &[&fill.month.begin(), &fill.number]).await.map(drop)
}

impl Store {
    /// See [`begin`].
    pub async fn begin_month(&self, month: Month, parents: Parents) -> Result<Fill, StoreError> {
        self.run_tx("begin_month", As::Worker, |tx| Box::pin(begin(tx, month, parents))).await
    }

    /// See [`all`].
    pub async fn months_begun(&self) -> Result<Vec<Fill>, StoreError> {
        self.run_tx("months_begun", As::Worker, |tx| Box::pin(all(tx))).await
    }

    /// See [`copy`].
    pub async fn copy_into_month(&self, fill: &Fill, rows: &[FullRow<'_>]) -> Result<(), StoreError> {
        self.run_once("copy_into_month", As::Worker, |tx| Box::pin(copy(tx, fill, rows))).await
    }

    /// See [`index`].
    pub async fn index_month(&self, fill: &Fill) -> Result<(), StoreError> {
        self.run_tx("index_month", As::Worker, |tx| Box::pin(index(tx, fill))).await
    }

    /// See [`finish`].
    pub async fn finish_month(&self, fill: &Fill) -> Result<(), StoreError> {
        self.run_once("finish_month", As::Worker, |tx| Box::pin(finish(tx, fill))).await
    }

    /// See [`abandon`].
    pub async fn abandon_month(&self, fill: &Fill) -> Result<(), StoreError> {
        self.run_once("abandon_month", As::Worker, |tx| Box::pin(abandon(tx, fill))).await
    }
}
