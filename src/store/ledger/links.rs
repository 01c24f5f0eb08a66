//! What referrers reach: a statement that refers to another is found by what finds that one, along a chain of 64 steps.
//!
//! A statement refers to at most one other, so what it reaches lies on one path, and a referrer costs at most 64 rows. How
//! many refer to one statement has no limit: those who arrived before it are looked at piece by piece (`links_due`).

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{
    StoreError, Tx,
    door::tx::column,
    ledger::{
        away::{self, Kept},
        statements::found_by,
        tables::Tables,
    },
};
use crate::{model::TenantId, xapi::stored};

/// Referrers that are looked at in one transaction.
pub const PIECE: usize = 64;
/// The keys by which a referrer is found for the sake of one statement it reaches, beside that one's actor, verb and object.
pub const MOST_RELATED: usize = 256;

/// A referrer and a statement it reaches, of which there is no row yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub referrer: Uuid,
    pub stored: DateTime<Utc>,
    pub reached: Uuid,
    pub reached_stored: DateTime<Utc>,
}

/// Everybody who refers to one of `ids` along any chain; `None` where they are more than `most`.
pub async fn upstream(
    tx: &Tx<'_>,
    tenant: TenantId,
    ids: &[Uuid],
    most: usize,
) -> Result<Option<Vec<Uuid>>, StoreError> {
    let rows = tx
        .query(
            "/* links::upstream */ WITH RECURSIVE upstream (id) AS (
                 SELECT r.referrer_id FROM unnest($2::uuid[]) AS wanted (id)
                 CROSS JOIN LATERAL (SELECT referrer_id FROM ledger.refs r
                                     WHERE r.tenant_id = $1 AND r.target_id = wanted.id OFFSET 0) r
                 UNION
                 SELECT r.referrer_id FROM upstream u
                 CROSS JOIN LATERAL (SELECT referrer_id FROM ledger.refs r
                                     WHERE r.tenant_id = $1 AND r.target_id = u.id OFFSET 0) r
             ) SELECT id FROM upstream LIMIT $3",
            &[&tenant.0, &ids, &(most as i64 + 1)],
        )
        .await?;
    if rows.len() > most {
        return Ok(None);
    }
    rows.iter().map(|row| column(row, "id")).collect::<Result<_, _>>().map(Some)
}

/// What these referrers reach and have no row for, at most `most` pairs.
pub async fn missing(tx: &Tx<'_>, tenant: TenantId, referrers: &[Uuid], most: usize) -> Result<Vec<Pair>, StoreError> {
    let rows = tx
        .query(
            "/* links::missing_links */ WITH RECURSIVE chain (referrer, stored, reached, steps) AS (
                 SELECT wanted.id, r.stored, r.target_id, 1 FROM unnest($2::uuid[]) AS wanted (id)
                 CROSS JOIN LATERAL (SELECT stored, target_id FROM ledger.refs r
                                     WHERE r.tenant_id = $1 AND r.referrer_id = wanted.id LIMIT 1) r
                 WHERE r.target_id <> wanted.id
                 UNION ALL
                 SELECT c.referrer, c.stored, r.target_id, c.steps + 1 FROM chain c
                 CROSS JOIN LATERAL (SELECT target_id FROM ledger.refs r
                                     WHERE r.tenant_id = $1 AND r.referrer_id = c.reached LIMIT 1) r
                 WHERE c.steps < 64 AND r.target_id <> c.referrer
             )
             SELECT DISTINCT c.referrer, c.stored, c.reached, target.stored AS reached_stored FROM chain c
             CROSS JOIN LATERAL (SELECT stored FROM ledger.statement_ids i
                                 WHERE i.tenant_id = $1 AND i.id = c.reached AND NOT i.erased OFFSET 0) target
             WHERE coalesce((SELECT false FROM ledger.reaches known
                             WHERE known.tenant_id = $1 AND known.referrer_id = c.referrer
                               AND known.reached_id = c.reached LIMIT 1), true)
             LIMIT $3",
            &[&tenant.0, &referrers, &(most as i64)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Pair {
                referrer: column(row, "referrer")?,
                stored: column(row, "stored")?,
                reached: column(row, "reached")?,
                reached_stored: column(row, "reached_stored")?,
            })
        })
        .collect()
}

/// A statement that is reached, by what it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub id: Uuid,
    pub verb: Uuid,
    pub agent: Option<Uuid>,
    pub activity: Option<Uuid>,
    pub registration: Option<Uuid>,
    /// As the text of an array: an array of arrays would have to have one length for all.
    related: String,
}

impl Reached {
    /// The keys come from the payload: the ledger has no way from a statement to its rows in `relations`.
    pub fn of(tenant: TenantId, kept: &Kept) -> Result<Self, StoreError> {
        let keys = stored::keys(tenant.0, &kept.payload).map_err(|error| StoreError::Shape {
            name: "reached_statements",
            detail: format!("a payload cannot be read: {error}"),
        })?;
        let related = found_by(&keys.other_agents, &keys.related, keys.authority);
        let related: Vec<String> = related.take(MOST_RELATED).map(|key| key.to_string()).collect();
        Ok(Self {
            id: kept.id,
            verb: kept.verb_key,
            agent: kept.agent_key,
            activity: kept.activity_key,
            registration: kept.registration_key,
            related: format!("{{{}}}", related.join(",")),
        })
    }
}

/// What was read beforehand of statements that the hot tables do not hold, by the moment at which each was stored; `None`
/// where there is nothing.
pub type Elsewhere = HashMap<DateTime<Utc>, Option<Reached>>;

/// What became of pairs.
#[derive(Debug, Default)]
pub struct Written {
    /// The referrers that got one.
    pub referrers: Vec<Uuid>,
    /// When what is reached was stored, where neither the hot tables hold it nor was it read beforehand: nothing was written
    /// of these.
    pub away: Vec<DateTime<Utc>>,
}

/// Writes the pairs, each with the keys of what is reached.
pub async fn write(
    tx: &Tx<'_>,
    tenant: TenantId,
    pairs: &[Pair],
    elsewhere: &Elsewhere,
) -> Result<Written, StoreError> {
    if pairs.is_empty() {
        return Ok(Written::default());
    }
    let (reached, away) = reached(tx, tenant, pairs, elsewhere).await?;
    let referrers: Vec<Uuid> = pairs.iter().map(|pair| pair.referrer).collect();
    let stored: Vec<DateTime<Utc>> = pairs.iter().map(|pair| pair.stored).collect();
    let targets: Vec<Uuid> = pairs.iter().map(|pair| pair.reached).collect();
    let rows = tx
        .query(
            "/* links::insert_reaches */ INSERT INTO ledger.reaches
                 (tenant_id, stored, referrer_id, reached_id, verb_key, agent_key, activity_key, registration_key, related)
             SELECT $1, pair.stored, pair.referrer, r.id, r.verb, r.agent, r.activity, r.registration, r.related::uuid[]
             FROM unnest($2::uuid[], $3::timestamptz[], $4::uuid[]) AS pair (referrer, stored, reached)
             JOIN unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[], $9::uuid[], $10::text[])
                  AS r (id, verb, agent, activity, registration, related) ON r.id = pair.reached
             ORDER BY pair.referrer, pair.reached
             ON CONFLICT DO NOTHING RETURNING referrer_id",
            &[
                &tenant.0,
                &referrers,
                &stored,
                &targets,
                &reached.iter().map(|one| one.id).collect::<Vec<_>>(),
                &reached.iter().map(|one| one.verb).collect::<Vec<_>>(),
                &reached.iter().map(|one| one.agent).collect::<Vec<_>>(),
                &reached.iter().map(|one| one.activity).collect::<Vec<_>>(),
                &reached.iter().map(|one| one.registration).collect::<Vec<_>>(),
                &reached.iter().map(|one| one.related.as_str()).collect::<Vec<_>>(),
            ],
        )
        .await?;
    let written = rows.iter().map(|row| column(row, "referrer_id")).collect::<Result<HashSet<Uuid>, _>>()?;
    Ok(Written { referrers: written.into_iter().collect(), away })
}

/// The statements at the ends of pairs, and the moments of those that nobody has.
async fn reached(
    tx: &Tx<'_>,
    tenant: TenantId,
    pairs: &[Pair],
    elsewhere: &Elsewhere,
) -> Result<(Vec<Reached>, Vec<DateTime<Utc>>), StoreError> {
    let mut left: HashSet<DateTime<Utc>> = pairs.iter().map(|pair| pair.reached_stored).collect();
    let mut all = Vec::with_capacity(left.len());
    left.retain(|moment| match elsewhere.get(moment) {
        Some(reached) => {
            all.extend(reached.clone());
            false
        }
        None => true,
    });
    let wanted: Vec<DateTime<Utc>> = left.iter().copied().collect();
    // A piece at a time: of each only its keys stay.
    for some in wanted.chunks(PIECE) {
        for kept in away::kept_at(tx, tenant, Tables::Hot, some).await? {
            left.remove(&kept.stored);
            all.push(Reached::of(tenant, &kept)?);
        }
    }
    Ok((all, left.into_iter().collect()))
}

/// Queues each of `ids`, which reach something new, so that the worker updates their referrers. Ids whose referrers are all
/// among `seen`, and were updated in this transaction, are not queued.
pub async fn look_again(tx: &Tx<'_>, tenant: TenantId, ids: &[Uuid], seen: &[Uuid]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    tx.execute(
        "/* links::insert_links_due */ INSERT INTO ledger.links_due (tenant_id, statement_id)
         SELECT $1, changed.id FROM unnest($2::uuid[]) AS changed (id)
         WHERE coalesce((SELECT true FROM ledger.refs r
                         WHERE r.tenant_id = $1 AND r.target_id = changed.id AND r.referrer_id <> ALL ($3) LIMIT 1), false)",
        &[&tenant.0, &ids, &seen],
    )
    .await
    .map(drop)
}

/// The tenants with references to look at.
pub async fn due_tenants(tx: &Tx<'_>) -> Result<Vec<TenantId>, StoreError> {
    // From one tenant to the next in the index, however many rows each has.
    const DUE: &str = "/* links::due_tenants */ WITH RECURSIVE
        unsettled (tenant_id) AS (
            (SELECT tenant_id FROM ledger.refs WHERE NOT settled ORDER BY tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT r.tenant_id FROM ledger.refs r WHERE NOT r.settled AND r.tenant_id > u.tenant_id
                    ORDER BY r.tenant_id LIMIT 1) FROM unsettled u WHERE u.tenant_id IS NOT NULL),
        noted (tenant_id) AS (
            (SELECT tenant_id FROM ledger.links_due ORDER BY tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT l.tenant_id FROM ledger.links_due l WHERE l.tenant_id > n.tenant_id
                    ORDER BY l.tenant_id LIMIT 1) FROM noted n WHERE n.tenant_id IS NOT NULL)
        SELECT tenant_id FROM unsettled WHERE tenant_id IS NOT NULL
        UNION SELECT tenant_id FROM noted WHERE tenant_id IS NOT NULL";
    tx.query(DUE, &[]).await?.iter().map(|row| column(row, "tenant_id").map(TenantId)).collect()
}

/// Referrers of a tenant that are to be looked at now, and what they stand for.
#[derive(Debug, Default)]
pub struct Due {
    pub referrers: Vec<Uuid>,
    /// References that are then settled: target and referrer.
    settled: (Vec<Uuid>, Vec<Uuid>),
    /// Rows of `links_due` that are done.
    done: Vec<i64>,
    /// The one of which some referrers are left, and the first of these.
    left: Option<(i64, Uuid)>,
}

impl Due {
    /// How much there was to do: references and discoveries.
    pub fn len(&self) -> usize {
        self.referrers.len() + self.done.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes at most `most` referrers: those whose references, older than `bound`, nobody has looked at since everything that
/// ran beside them can be seen, then those who refer to something from which more is reached than before.
pub async fn take(tx: &Tx<'_>, tenant: TenantId, bound: Option<DateTime<Utc>>, most: usize) -> Result<Due, StoreError> {
    let mut due = Due::default();
    let rows = tx
        .query(
            "/* links::take_refs */ SELECT target_id, referrer_id FROM ledger.refs
             WHERE tenant_id = $1 AND NOT settled AND stored < $2 ORDER BY stored LIMIT $3 FOR UPDATE SKIP LOCKED",
            &[&tenant.0, &bound, &(most as i64)],
        )
        .await?;
    for row in &rows {
        due.settled.0.push(column(row, "target_id")?);
        due.settled.1.push(column(row, "referrer_id")?);
    }
    due.referrers.clone_from(&due.settled.1);
    let room = most - due.referrers.len();
    if room > 0 {
        take_noted(tx, tenant, room, &mut due).await?;
    }
    Ok(due)
}

/// The oldest discoveries with their referrers, as far as there is room; of the last one perhaps only a part.
async fn take_noted(tx: &Tx<'_>, tenant: TenantId, room: usize, due: &mut Due) -> Result<(), StoreError> {
    let rows = tx
        .query(
            "/* links::take_links_due */ SELECT l.number, r.referrer_id FROM (
                 SELECT number, statement_id, next_referrer FROM ledger.links_due
                 WHERE tenant_id = $1 ORDER BY number LIMIT $2 FOR UPDATE SKIP LOCKED) l
             LEFT JOIN LATERAL (SELECT referrer_id FROM ledger.refs r
                                WHERE r.tenant_id = $1 AND r.target_id = l.statement_id AND r.referrer_id >= l.next_referrer
                                ORDER BY r.referrer_id LIMIT $2 + 1) r ON true
             ORDER BY l.number, r.referrer_id",
            &[&tenant.0, &(room as i64)],
        )
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((column::<i64>(row, "number")?, column::<Option<Uuid>>(row, "referrer_id")?));
    }
    let mut taken = 0;
    for referrers in found.chunk_by(|(one, _), (other, _)| one == other) {
        let number = referrers[0].0;
        for (_, referrer) in referrers {
            match referrer {
                Some(next) if taken == room => {
                    due.left = Some((number, *next));
                    return Ok(());
                }
                Some(referrer) => due.referrers.push(*referrer),
                None => {}
            }
            taken += usize::from(referrer.is_some());
        }
        due.done.push(number);
    }
    Ok(())
}

/// Notes that what was taken has been looked at.
pub async fn done(tx: &Tx<'_>, tenant: TenantId, due: &Due) -> Result<(), StoreError> {
    let (targets, referrers) = &due.settled;
    tx.execute(
        "/* links::settle_refs */ UPDATE ledger.refs r SET settled = true
         FROM unnest($2::uuid[], $3::uuid[]) AS done (target_id, referrer_id)
         WHERE r.tenant_id = $1 AND r.target_id = done.target_id AND r.referrer_id = done.referrer_id",
        &[&tenant.0, targets, referrers],
    )
    .await?;
    tx.execute(
        "/* links::delete_links_due */ DELETE FROM ledger.links_due WHERE tenant_id = $1 AND number = ANY ($2)",
        &[&tenant.0, &due.done],
    )
    .await?;
    if let Some((number, next)) = due.left {
        tx.execute(
            "/* links::update_links_due */ UPDATE ledger.links_due SET next_referrer = $3 WHERE tenant_id = $1 AND number = $2",
            &[&tenant.0, &number, &next],
        )
        .await?;
    }
    Ok(())
}
