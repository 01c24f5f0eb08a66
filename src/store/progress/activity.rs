//! How many statements of a tenant stand, by day, verb and course, and who was active on which day: counts that follow in the
//! step of the projections. What is counted is taken off when it is voided or erased.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError, Tx, door::tx::column, ledger::voids::voids_at, platform::leases, progress::projections::Of,
};

/// For how many days it is kept who was active.
macro_rules! days_kept {
    () => {
        "180"
    };
}
pub(in crate::store) use days_kept;

/// What some statements add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally<'l> {
    /// By day, verb and course, in the order in which rows are locked.
    pub statements: BTreeMap<(NaiveDate, Uuid, &'l str), i64>,
    pub learners: BTreeSet<(NaiveDate, Uuid)>,
}

/// A statement that is counted and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub verb: Uuid,
    /// Whether it voids another: then it was never counted.
    pub voiding: bool,
}

const STAND_STILL: &str = "/* activity::stand_still */
    SELECT position FROM progress.projection_cursors WHERE tenant_id = $1 /* tenant */ FOR UPDATE";

/// No step of the tenant's projections runs until this transaction ends.
pub(super) async fn stand_still(tx: &Tx<'_>, tenant: TenantId) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.query_opt(STAND_STILL, &[&tenant.0]).await.map(drop)
}

const ADD: &str = concat!(
    "/* activity::add */ WITH counted AS (
         INSERT INTO progress.activity_counted AS c (tenant_id, since, until) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id) DO UPDATE SET until = excluded.until,
             since = CASE WHEN c.until = excluded.since THEN c.since ELSE excluded.since END),
     active AS (
         INSERT INTO progress.learner_days (tenant_id, day, learner)
         SELECT $1, l.day, l.learner FROM unnest($8::date[], $9::uuid[]) AS l (day, learner)
         WHERE l.day > (now() AT TIME ZONE 'UTC')::date - ",
    days_kept!(),
    " ON CONFLICT DO NOTHING)
     INSERT INTO progress.activity AS a (tenant_id, day, verb_key, course_id, statements)
     SELECT $1, new.* FROM unnest($4::date[], $5::uuid[], $6::text[], $7::bigint[]) AS new
     ON CONFLICT (tenant_id, day, verb_key, course_id) DO UPDATE SET statements = a.statements + excluded.statements"
);

/// Adds what the statements stored after `position` and up to `until` come to.
pub async fn add(
    tx: &Tx<'_>,
    of: Of,
    (position, until): (DateTime<Utc>, DateTime<Utc>),
    tally: &Tally<'_>,
) -> Result<(), StoreError> {
    let keys = || tally.statements.keys();
    let days: Vec<NaiveDate> = keys().map(|(day, _, _)| *day).collect();
    let verbs: Vec<Uuid> = keys().map(|(_, verb, _)| *verb).collect();
    let courses: Vec<&str> = keys().map(|(_, _, course)| *course).collect();
    let statements: Vec<i64> = tally.statements.values().copied().collect();
    let (active, learners): (Vec<NaiveDate>, Vec<Uuid>) = tally.learners.iter().copied().unzip();
    tx.execute(
        &of.sql(ADD),
        &[&of.tenant.0, &position, &until, &days, &verbs, &courses, &statements, &active, &learners],
    )
    .await
    .map(drop)
}

/// Those of the statements that a statement voids which was stored up to `until`.
pub async fn voided(
    tx: &Tx<'_>,
    tenant: TenantId,
    statements: &[(Uuid, DateTime<Utc>)],
    until: DateTime<Utc>,
) -> Result<HashSet<Uuid>, StoreError> {
    let (ids, stored): (Vec<Uuid>, Vec<DateTime<Utc>>) = statements.iter().copied().unzip();
    let sql = concat!(
        "/* activity::voided */ SELECT wanted.id FROM unnest($2::uuid[], $3::timestamptz[]) AS wanted (id, stored)
         WHERE (SELECT true FROM ledger.refs v WHERE v.tenant_id = $1 AND v.target_id = wanted.id AND v.stored <= $4 AND ",
        voids_at!("wanted.stored"),
        " LIMIT 1) IS NOT NULL"
    );
    let rows = tx.query(sql, &[&tenant.0, &ids, &stored, &until]).await?;
    rows.iter().map(|row| column(row, "id")).collect()
}

// Voided for the first time between the two moments, and counted before.
const TARGETS: &str = concat!(
    "/* activity::targets */ SELECT i.id, i.stored, coalesce(s.verb_key, d.verb_key) AS verb_key,
            coalesce(s.voiding, d.voiding, false) AS voiding
     FROM (SELECT DISTINCT unnest($2::uuid[]) AS id) AS wanted
     CROSS JOIN LATERAL (SELECT i.id, i.stored FROM ledger.statement_ids i
                         WHERE i.tenant_id = $1 AND i.id = wanted.id AND NOT i.erased AND i.stored <= $3 OFFSET 0) i
     LEFT JOIN LATERAL (SELECT s.verb_key, s.voiding FROM ledger.statements s
                        WHERE s.tenant_id = $1 AND s.stored = i.stored AND s.id = i.id OFFSET 0) s ON true
     LEFT JOIN LATERAL (SELECT s.verb_key, s.voiding FROM ledger.detached_statements s
                        WHERE s.tenant_id = $1 AND s.stored = i.stored AND s.id = i.id OFFSET 0) d ON true
     WHERE (SELECT true FROM ledger.refs v WHERE v.tenant_id = $1 AND v.target_id = i.id
              AND v.stored > $3 AND v.stored <= $4 AND ",
    voids_at!("i.stored"),
    " LIMIT 1) IS NOT NULL
       AND (SELECT true FROM ledger.refs v WHERE v.tenant_id = $1 AND v.target_id = i.id AND v.stored <= $3 AND ",
    voids_at!("i.stored"),
    " LIMIT 1) IS NULL"
);

const LATER: &str = "/* activity::later */ INSERT INTO progress.activity_due (tenant_id, statement_id, stored)
    SELECT $1, new.* FROM unnest($2::uuid[], $3::timestamptz[]) AS new ON CONFLICT DO NOTHING";

/// Takes those of the statements off that were counted up to `position` and are voided since, up to `until`. What only an
/// archived month has is noted for later.
pub async fn take_off_voided(
    tx: &Tx<'_>,
    of: Of,
    targets: &[Uuid],
    (position, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    let (mut leaving, mut later) = (Vec::new(), Vec::new());
    for row in &tx.query(TARGETS, &[&of.tenant.0, &targets, &position, &until]).await? {
        let (id, stored) = (column(row, "id")?, column(row, "stored")?);
        match column::<Option<Uuid>>(row, "verb_key")? {
            Some(verb) => leaving.push(Leaving { id, stored, verb, voiding: column(row, "voiding")? }),
            None => later.push((id, stored)),
        }
    }
    if !later.is_empty() {
        let (ids, stored): (Vec<Uuid>, Vec<DateTime<Utc>>) = later.into_iter().unzip();
        tx.execute(&of.sql(LATER), &[&of.tenant.0, &ids, &stored]).await?;
    }
    take_off(tx, of, &leaving).await
}

// A row of which nothing is left goes; no row is both changed and removed.
const TAKE_OFF: &str = "/* activity::take_off */ WITH gone AS (
         SELECT (l.stored AT TIME ZONE 'UTC')::date AS day, l.verb_key, coalesce(n.course_id, '') AS course_id, count(*) AS statements
         FROM unnest($2::uuid[], $3::timestamptz[], $4::uuid[]) AS l (id, stored, verb_key)
         JOIN progress.activity_counted c ON c.tenant_id = $1 AND l.stored > c.since AND l.stored <= c.until
         LEFT JOIN LATERAL (SELECT n.course_id FROM progress.attempt_statements s
                            JOIN progress.attempt_names n ON n.tenant_id = $1 AND n.id = s.attempt_id
                            WHERE s.tenant_id = $1 AND s.statement_id = l.id OFFSET 0) n ON true
         GROUP BY 1, 2, 3),
     empty AS (
         DELETE FROM progress.activity a USING gone g
         WHERE a.tenant_id = $1 AND a.day = g.day AND a.verb_key = g.verb_key AND a.course_id = g.course_id
           AND a.statements <= g.statements)
     UPDATE progress.activity a SET statements = a.statements - g.statements FROM gone g
     WHERE a.tenant_id = $1 AND a.day = g.day AND a.verb_key = g.verb_key AND a.course_id = g.course_id
       AND a.statements > g.statements";

async fn take_off(tx: &Tx<'_>, of: Of, leaving: &[Leaving]) -> Result<(), StoreError> {
    let counted = || leaving.iter().filter(|one| !one.voiding);
    let ids: Vec<Uuid> = counted().map(|one| one.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let stored: Vec<DateTime<Utc>> = counted().map(|one| one.stored).collect();
    let verbs: Vec<Uuid> = counted().map(|one| one.verb).collect();
    tx.execute(&of.sql(TAKE_OFF), &[&of.tenant.0, &ids, &stored, &verbs]).await.map(drop)
}

// Whatever is a tombstone already was taken off when it became one.
const ERASED: &str = concat!(
    "/* activity::erased */ WITH due AS (
         DELETE FROM progress.activity_due d USING unnest($2::uuid[]) AS gone (id)
         WHERE d.tenant_id = $1 AND d.statement_id = gone.id RETURNING d.statement_id)
     SELECT l.id FROM unnest($2::uuid[], $3::timestamptz[]) AS l (id, stored)
     CROSS JOIN LATERAL (SELECT FROM ledger.statement_ids i
                         WHERE i.tenant_id = $1 AND i.id = l.id AND NOT i.erased OFFSET 0) i
     WHERE l.id IN (SELECT statement_id FROM due)
        OR (SELECT true FROM ledger.refs v WHERE v.tenant_id = $1 AND v.target_id = l.id
              AND v.stored <= (SELECT until FROM progress.activity_counted WHERE tenant_id = $1) AND ",
    voids_at!("l.stored"),
    " LIMIT 1) IS NULL"
);

/// Takes statements off that are being erased and have not become tombstones yet, while the tenant's projections stand still.
pub(super) async fn take_off_erased(tx: &Tx<'_>, of: Of, leaving: &[Leaving]) -> Result<(), StoreError> {
    let (ids, stored): (Vec<Uuid>, Vec<DateTime<Utc>>) = leaving.iter().map(|one| (one.id, one.stored)).unzip();
    let rows = tx.query(ERASED, &[&of.tenant.0, &ids, &stored]).await?;
    let counted: HashSet<Uuid> = rows.iter().map(|row| column(row, "id")).collect::<Result<_, _>>()?;
    let counted: Vec<Leaving> = leaving.iter().filter(|one| counted.contains(&one.id)).copied().collect();
    take_off(tx, of, &counted).await
}

const FORGET_LEARNER: &str =
    "/* activity::forget_learner */ DELETE FROM progress.learner_days WHERE tenant_id = $1 AND learner = ANY ($2)";

/// Forgets on which days somebody was active who has these keys; answers how many these were.
pub async fn forget_learner(tx: &Tx<'_>, tenant: TenantId, keys: &[Uuid]) -> Result<u64, StoreError> {
    leases::check(tx).await?;
    tx.execute(FORGET_LEARNER, &[&tenant.0, &keys]).await
}

const DUE: &str = "/* activity::due */ SELECT tenant_id, statement_id, stored FROM progress.activity_due
    WHERE (tenant_id, statement_id) > ($1, $2) ORDER BY tenant_id, statement_id LIMIT 500";

const SETTLED: &str =
    "/* activity::settled */ DELETE FROM progress.activity_due d USING unnest($2::uuid[]) AS gone (id)
    WHERE d.tenant_id = $1 AND d.statement_id = gone.id RETURNING d.statement_id";

const PRUNE: &str = concat!(
    "/* activity::prune */ DELETE FROM progress.learner_days l USING platform.tenants t
     WHERE l.tenant_id = t.tenant_id AND l.day <= (now() AT TIME ZONE 'UTC')::date - ",
    days_kept!()
);

impl Store {
    /// Some of the statements that are to be taken off once their months are read, after one.
    pub async fn activity_due(
        &self,
        after: (TenantId, Uuid),
    ) -> Result<Vec<(TenantId, Uuid, DateTime<Utc>)>, StoreError> {
        self.run_tx("activity_due", As::Worker, |tx| {
            Box::pin(async move {
                let rows = tx.query(DUE, &[&after.0.0, &after.1]).await?;
                let one = |row| {
                    Ok((TenantId(column(row, "tenant_id")?), column(row, "statement_id")?, column(row, "stored")?))
                };
                rows.iter().map(one).collect()
            })
        })
        .await
    }

    /// Takes off what was read of an archived month, unless somebody did meanwhile; `settled` are all that were looked for there.
    pub async fn settle_activity(&self, of: Of, settled: &[Uuid], found: &[Leaving]) -> Result<(), StoreError> {
        self.run_once("settle_activity", As::Worker, |tx| {
            Box::pin(async move {
                stand_still(tx, of.tenant).await?;
                let rows = tx.query(SETTLED, &[&of.tenant.0, &settled]).await?;
                let still: HashSet<Uuid> =
                    rows.iter().map(|row| column(row, "statement_id")).collect::<Result<_, _>>()?;
                let still: Vec<Leaving> = found.iter().filter(|one| still.contains(&one.id)).copied().collect();
                take_off(tx, of, &still).await
            })
        })
        .await
    }

    /// Forgets who was active on days that are too long ago.
    pub async fn prune_learner_days(&self) -> Result<u64, StoreError> {
        self.run_tx("prune_learner_days", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                tx.execute(PRUNE, &[]).await
            })
        })
        .await
    }
}
