//! Statements going into the ledger: what is known of their ids, and the pipelined write of a group.
//!
//! Ids are looked up one by one (`LATERAL … OFFSET 0`): `= ANY` may become a walk over all ids of the tenant for each
//! of them, as it does on PostgreSQL 15 while nothing is known of the table.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::store::{
    StoreError, Tx,
    door::tx::{Param, column},
};
use crate::{model::TenantId, xapi::prepare::Prepared};

/// What the ledger knows of an id that is not new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub digest: Vec<u8>,
    /// Erased for good: nothing under this id may come back.
    pub erased: bool,
    pub stored: DateTime<Utc>,
    /// The sender's own timestamp, where it gave one and the hot tables hold the statement: [`recall`] reads it.
    pub occurred: Option<DateTime<Utc>>,
    /// The hot tables do not hold it.
    pub is_away: bool,
}

/// An id means something only within its tenant.
pub type Id = (TenantId, Uuid);

pub fn id_of(statement: &Prepared) -> Id {
    (TenantId(statement.tenant()), statement.id)
}

/// What the first round trip of a write learns.
#[derive(Debug, Default)]
pub struct Beforehand {
    /// The first of the reserved microseconds.
    pub first_micros: i64,
    pub known: HashMap<Id, Known>,
    /// Those of the ids that somebody already refers to.
    pub awaited: HashSet<Id>,
}

/// Reserves a microsecond for each id, then reads what is known of them; in this order, so that whoever refers to
/// one of them and is not seen here will see this transaction when it settles.
pub async fn beforehand(tx: &Tx<'_>, ids: &[Id]) -> Result<Beforehand, StoreError> {
    let wanted = ids.len() as i64;
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) = ids.iter().map(|(tenant, id)| (tenant.0, id)).unzip();
    let (reserve, lookup): ([Param<'_>; 1], [Param<'_>; 2]) = ([&wanted], [&tenants, &ids]);
    let (reserved, known, awaited) = futures_util::try_join!(
        tx.query_one("/* statements::reserve */ SELECT ledger.reserve($1) AS first", &reserve),
        tx.query(
            "/* statements::known_ids */ SELECT s.* FROM unnest($1::uuid[], $2::uuid[]) AS wanted (tenant_id, id)
             CROSS JOIN LATERAL (SELECT tenant_id, id, digest, erased, stored FROM ledger.statement_ids s
                                 WHERE s.tenant_id = wanted.tenant_id AND s.id = wanted.id OFFSET 0) s",
            &lookup,
        ),
        tx.query(
            "/* statements::awaited_ids */ SELECT wanted.* FROM unnest($1::uuid[], $2::uuid[]) AS wanted (tenant_id, id)
             CROSS JOIN LATERAL (SELECT FROM ledger.refs r
                                 WHERE r.tenant_id = wanted.tenant_id AND r.target_id = wanted.id LIMIT 1) r",
            &lookup,
        ),
    )?;
    let id = |row| Ok((TenantId(column(row, "tenant_id")?), column(row, "id")?));
    let (occurred, is_away) = (None, false);
    let known = known.iter().map(|row| {
        let (digest, erased, stored) = (column(row, "digest")?, column(row, "erased")?, column(row, "stored")?);
        Ok((id(row)?, Known { digest, erased, stored, occurred, is_away }))
    });
    Ok(Beforehand {
        first_micros: column(&reserved, "first")?,
        known: known.collect::<Result<_, StoreError>>()?,
        awaited: awaited.iter().map(id).collect::<Result<_, StoreError>>()?,
    })
}

/// Reads what the statements that are known say of when they occurred.
pub async fn recall(tx: &Tx<'_>, known: &mut HashMap<Id, Known>) -> Result<(), StoreError> {
    for ((tenant, _), known) in known {
        let row = tx
            .query_opt(
                "/* statements::occurred */ SELECT occurred FROM ledger.statements WHERE tenant_id = $1 AND stored = $2",
                &[&tenant.0, &known.stored],
            )
            .await?;
        known.is_away = row.is_none();
        known.occurred = row.map(|row| column(&row, "occurred")).transpose()?.flatten();
    }
    Ok(())
}

/// A new statement with the microsecond it got.
#[derive(Clone, Copy)]
pub struct NewStatement<'a> {
    pub statement: &'a Prepared,
    pub stored: DateTime<Utc>,
}

impl NewStatement<'_> {
    fn tenant(&self) -> Uuid {
        self.statement.tenant()
    }
}

/// Writes the entries with the guard rows and relations they need, in one flight. A unique violation means that
/// another transaction stored one of the ids meanwhile: the caller reads again and plans anew.
///
/// Each row says the tenant that its statement was prepared for, together with all its keys: there is no other label that a
/// row could get by mistake.
pub async fn append(tx: &Tx<'_>, entries: &[NewStatement<'_>]) -> Result<(), StoreError> {
    let (columns, relations, refs) = (Columns::of(entries), Relations::of(entries), Refs::of(entries));
    let writes = [columns.ids(), columns.statements(), relations.write(), refs.write()];
    let writes = writes.iter().flatten().map(|write| tx.execute(write.sql, &write.params));
    try_join_all(writes).await.map(drop)
}

/// Does what `append` does and commits, all in one flight. Nothing may follow in this transaction.
pub async fn append_last(tx: &Tx<'_>, entries: &[NewStatement<'_>]) -> Result<(), StoreError> {
    let (columns, relations, refs) = (Columns::of(entries), Relations::of(entries), Refs::of(entries));
    let writes = [columns.ids(), columns.statements(), relations.write(), refs.write()];
    let writes: Vec<_> = writes.iter().flatten().map(|write| (write.sql, write.params.as_slice())).collect();
    tx.last(&writes).await.map(drop)
}

/// Does what `append` does for entries whose ids are claimed.
pub(in crate::store) async fn append_claimed(tx: &Tx<'_>, entries: &[NewStatement<'_>]) -> Result<(), StoreError> {
    let (columns, relations, refs) = (Columns::of(entries), Relations::of(entries), Refs::of(entries));
    let writes = [columns.statements(), relations.write(), refs.write()];
    let writes = writes.iter().flatten().map(|write| tx.execute(write.sql, &write.params));
    try_join_all(writes).await.map(drop)
}

/// One of the statements that write a group.
struct Write<'a> {
    sql: &'static str,
    params: Vec<Param<'a>>,
}

/// The entries as arrays, one for each column.
struct Columns<'a> {
    tenants: Vec<Uuid>,
    ids: Vec<Uuid>,
    stored: Vec<DateTime<Utc>>,
    digests: Vec<&'a [u8]>,
    occurred: Vec<Option<DateTime<Utc>>>,
    verbs: Vec<Uuid>,
    agents: Vec<Option<Uuid>>,
    activities: Vec<Option<Uuid>>,
    registrations: Vec<Option<Uuid>>,
    refers_to: Vec<Option<Uuid>>,
    voiding: Vec<bool>,
    payloads: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(entries: &'a [NewStatement<'_>]) -> Self {
        Self {
            tenants: entries.iter().map(NewStatement::tenant).collect(),
            ids: entries.iter().map(|e| e.statement.id).collect(),
            stored: entries.iter().map(|e| e.stored).collect(),
            digests: entries.iter().map(|e| e.statement.digest.as_slice()).collect(),
            occurred: entries.iter().map(|e| e.statement.has_timestamp.then_some(e.statement.timestamp)).collect(),
            verbs: entries.iter().map(|e| e.statement.verb_key).collect(),
            agents: entries.iter().map(|e| e.statement.agent_key).collect(),
            activities: entries.iter().map(|e| e.statement.activity_key).collect(),
            registrations: entries.iter().map(|e| e.statement.registration_key).collect(),
            refers_to: entries.iter().map(|e| e.statement.refers_to).collect(),
            voiding: entries.iter().map(|e| e.statement.is_voiding).collect(),
            payloads: entries.iter().map(|e| e.statement.payload.as_str()).collect(),
        }
    }

    /// Sorted by id, so that two groups that share ids wait for each other instead of deadlocking.
    fn ids(&self) -> Option<Write<'_>> {
        (!self.ids.is_empty()).then(|| Write {
            sql:
                "/* statements::insert_statement_ids */ INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest)
                  SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[])
                      AS new (tenant_id, id, stored, digest) ORDER BY new.tenant_id, new.id",
            params: vec![&self.tenants, &self.ids, &self.stored, &self.digests],
        })
    }

    fn statements(&self) -> Option<Write<'_>> {
        (!self.ids.is_empty()).then(|| Write {
            sql: "/* statements::insert_statements */ INSERT INTO ledger.statements
                      (tenant_id, id, stored, occurred, verb_key, agent_key, activity_key, registration_key,
                       refers_to, voiding, converts, payload)
                  SELECT new.tenant_id, new.id, new.stored, new.occurred, new.verb, new.agent, new.activity, new.registration,
                      new.refers_to, new.voiding, false, new.payload
                  FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::uuid[], $6::uuid[],
                      $7::uuid[], $8::uuid[], $9::uuid[], $10::bool[], $11::text[])
                      AS new (tenant_id, id, stored, occurred, verb, agent, activity, registration, refers_to, voiding, payload)",
            params: vec![
                &self.tenants,
                &self.ids,
                &self.stored,
                &self.occurred,
                &self.verbs,
                &self.agents,
                &self.activities,
                &self.registrations,
                &self.refers_to,
                &self.voiding,
                &self.payloads,
            ],
        })
    }
}

/// Agents and activities beside those in the statement's own columns.
#[derive(Default)]
struct Relations {
    tenants: Vec<Uuid>,
    keys: Vec<Uuid>,
    stored: Vec<DateTime<Utc>>,
}

impl Relations {
    fn of(entries: &[NewStatement<'_>]) -> Self {
        let related =
            entries.iter().flat_map(|e| relation_keys(e.statement).map(move |key| (key, e.stored, e.tenant())));
        let mut all: Vec<(Uuid, DateTime<Utc>, Uuid)> = related.collect();
        // In the order of the index, neighbours go to the same page of it.
        all.sort_unstable();
        let mut relations = Self::default();
        for (key, stored, tenant) in all {
            relations.tenants.push(tenant);
            relations.keys.push(key);
            relations.stored.push(stored);
        }
        relations
    }

    fn write(&self) -> Option<Write<'_>> {
        (!self.keys.is_empty()).then(|| Write {
            sql: "/* statements::insert_relations */ INSERT INTO ledger.relations (tenant_id, key, stored)
                  SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS new",
            params: vec![&self.tenants, &self.keys, &self.stored],
        })
    }
}

/// The keys a statement is found by beside those in its own columns.
pub fn relation_keys(statement: &Prepared) -> impl Iterator<Item = Uuid> {
    found_by(&statement.other_agent_keys, &statement.related, statement.authority_key)
}

/// The same of the parts: the authority first, whom every statement has, then agents, then what is merely related.
pub fn found_by(other_agents: &[Uuid], related: &[Uuid], authority: Uuid) -> impl Iterator<Item = Uuid> {
    [authority_form(authority)]
        .into_iter()
        .chain(other_agents.iter().copied())
        .chain(related.iter().copied().map(related_form))
}

/// The form in which a key stands in `relations` when the agent or activity is merely related: a filter without
/// `related_…` must not walk over these rows, so they are apart from the direct ones in the index.
pub fn related_form(key: Uuid) -> Uuid {
    Uuid::from_u128(!key.as_u128())
}

/// The form of the authority's key, apart from both: `statements/read/mine` asks for it alone.
pub fn authority_form(key: Uuid) -> Uuid {
    Uuid::from_u128(key.as_u128().rotate_left(64))
}

/// Statements whose object is another statement.
#[derive(Default)]
struct Refs {
    tenants: Vec<Uuid>,
    targets: Vec<Uuid>,
    referrers: Vec<Uuid>,
    stored: Vec<DateTime<Utc>>,
    voids: Vec<bool>,
    voids_only_of: Vec<Option<Uuid>>,
}

impl Refs {
    fn of(entries: &[NewStatement<'_>]) -> Self {
        let mut all = Self::default();
        for NewStatement { statement, stored } in entries {
            if let Some(target) = statement.refers_to {
                all.tenants.push(statement.tenant());
                all.targets.push(target);
                all.referrers.push(statement.id);
                all.stored.push(*stored);
                all.voids.push(statement.is_voiding);
                all.voids_only_of.push(statement.voids_only_of.map(authority_form));
            }
        }
        all
    }

    fn write(&self) -> Option<Write<'_>> {
        (!self.targets.is_empty()).then(|| Write {
            sql: "/* statements::insert_refs */ INSERT INTO ledger.refs (tenant_id, target_id, referrer_id, stored, voids, voids_only_of)
                  SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::bool[], $6::uuid[])
                      AS new",
            params: vec![
                &self.tenants,
                &self.targets,
                &self.referrers,
                &self.stored,
                &self.voids,
                &self.voids_only_of,
            ],
        })
    }
}

/// Under whose authority a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Ours,
    Others,
    /// The hot tables do not hold what was stored then.
    Away(DateTime<Utc>),
}

/// Under whose authority those of the statements are that somebody has stored, seen from the authority with this key.
pub async fn whose(
    tx: &Tx<'_>,
    tenant: TenantId,
    ids: &[Uuid],
    authority: Uuid,
) -> Result<Vec<(Uuid, Whose)>, StoreError> {
    let rows = tx
        .query(
            "/* statements::whose */ SELECT wanted.id, i.stored, s.here IS NOT NULL AS here,
                    EXISTS (SELECT FROM ledger.relations o
                            WHERE o.tenant_id = $1 AND o.key = $3 AND o.stored = i.stored) AS ours
             FROM unnest($2::uuid[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT i.stored FROM ledger.statement_ids i
                                 WHERE i.tenant_id = $1 AND i.id = wanted.id AND NOT i.erased OFFSET 0) i
             LEFT JOIN LATERAL (SELECT true AS here FROM ledger.statements s
                                WHERE s.tenant_id = $1 AND s.stored = i.stored LIMIT 1) s ON true",
            &[&tenant.0, &ids, &authority_form(authority)],
        )
        .await?;
    let whose = |row: &Row| {
        Ok(match (column(row, "here")?, column(row, "ours")?) {
            (false, _) => Whose::Away(column(row, "stored")?),
            (true, true) => Whose::Ours,
            (true, false) => Whose::Others,
        })
    };
    rows.iter().map(|row| Ok((column(row, "id")?, whose(row)?))).collect()
}

/// Asks for the moment before which everything stored is visible now or never will be. Takes an earlier answer, as a
/// ledger microsecond, or 0.
pub(in crate::store) const SAFE_BOUND: &str = "/* statements::safe_bound */ SELECT ledger.settled($1) AS bound";

/// Everything stored before this moment is visible now or never will be. Ask before reading the data.
pub async fn safe_bound(tx: &Tx<'_>) -> Result<DateTime<Utc>, StoreError> {
    safe_bound_after(tx, DateTime::UNIX_EPOCH).await
}

/// The same, at less cost where nothing was written since the answer was `seen`.
pub async fn safe_bound_after(tx: &Tx<'_>, seen: DateTime<Utc>) -> Result<DateTime<Utc>, StoreError> {
    bound(&tx.query_one(SAFE_BOUND, &[&seen.timestamp_micros()]).await?)
}

/// Lets the ledger's clock catch up with the present, so that the safe bound does where nobody writes. For a transaction
/// of its own: until its end no later bound is given to anybody.
pub async fn catch_up(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.query_one("/* statements::catch_up */ SELECT ledger.safe_bound()", &[]).await.map(drop)
}

/// What the ledger's clock says now: whatever is stored from here on is stored later.
pub async fn now(tx: &Tx<'_>) -> Result<DateTime<Utc>, StoreError> {
    bound(&tx.query_one("/* statements::ledger_now */ SELECT ledger.reserve(1) AS bound", &[]).await?)
}

/// The answer to `SAFE_BOUND`.
pub(in crate::store) fn bound(row: &Row) -> Result<DateTime<Utc>, StoreError> {
    moment(column(row, "bound")?)
}

/// A ledger microsecond as a time.
pub fn moment(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| StoreError::Shape { name: "moment", detail: format!("{micros} is not a time") })
}
