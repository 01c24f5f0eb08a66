//! Projections of the ledger: the cursor that says how far they have read, what each statement says of its attempt,
//! and the attempts, completion records, scores and events that follow.
//!
//! Lists of keys are looked up one by one (`LATERAL … OFFSET 0`): what `= ANY` becomes is left to statistics, which a
//! young table does not have, and one of the choices reads all of a tenant for each key.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::{
    TenantId,
    attempt::{AttemptName, Cmi5, Effect, Fact, MoveOn},
    score::Score,
};
use crate::store::{
    StoreError, Tx,
    door::tx::column,
    ledger::{tables::Tables, voids::voids_at},
};

/// Which copy of the projections: the one that is read, or one that is built beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Live,
    Shadow,
}

/// A tenant's projections, in one of their copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    pub tenant: TenantId,
    pub side: Side,
}

/// The tables there are two copies of.
pub(in crate::store) const TABLES: [&str; 10] = [
    "projection_cursors",
    "attempt_names",
    "attempt_statements",
    "attempts",
    "completion_records",
    "scores",
    "activity",
    "activity_due",
    "activity_counted",
    "learner_days",
];

impl Of {
    /// The same statement over the tables of this copy.
    pub(in crate::store) fn sql(self, live: &'static str) -> Cow<'static, str> {
        if self.side == Side::Live {
            return live.into();
        }
        let shadow =
            |sql: String, table: &&str| sql.replace(&format!("progress.{table}"), &format!("progress_rebuild.{table}"));
        TABLES.iter().fold(live.to_owned(), shadow).into()
    }
}

/// A statement as the projections read it.
#[derive(Clone, Debug)]
pub struct Line {
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    pub verb_key: Uuid,
    /// Absent where nothing identifies who acted.
    pub agent_key: Option<Uuid>,
    pub has_registration: bool,
    /// The statement it voids.
    pub voids: Option<Uuid>,
    pub payload: String,
}

/// An attempt's name with the number it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    pub name: AttemptName,
    pub number: i32,
    pub first_stored: DateTime<Utc>,
}

/// Tenants with statements, closings by hand or silences beyond their cursor and below the bound, of those or of all.
pub async fn tenants_behind(
    tx: &Tx<'_>,
    bound: DateTime<Utc>,
    among: Option<&[TenantId]>,
) -> Result<Vec<TenantId>, StoreError> {
    let among: Option<Vec<Uuid>> = among.map(|among| among.iter().map(|tenant| tenant.0).collect());
    let rows = tx
        .query(
            "/* projections::tenants_behind */ SELECT t.tenant_id FROM platform.tenants t
             LEFT JOIN progress.projection_cursors c ON c.tenant_id = t.tenant_id
             -- Not EXISTS: that may become a join with the whole ledger, this is one step into its index.
             WHERE ($2::uuid[] IS NULL OR t.tenant_id = ANY ($2))
               AND ((SELECT s.stored FROM ledger.statements s WHERE s.tenant_id = t.tenant_id
                     AND s.stored > coalesce(c.position, 'epoch') AND s.stored < $1
                     ORDER BY s.stored LIMIT 1) IS NOT NULL
                 OR EXISTS (SELECT FROM progress.attempt_closures a WHERE a.tenant_id = t.tenant_id
                            AND a.stored > coalesce(c.position, 'epoch') AND a.stored < $1)
                 OR EXISTS (SELECT FROM progress.silences a WHERE a.tenant_id = t.tenant_id
                            AND a.stored > coalesce(c.position, 'epoch') AND a.stored < $1))
             ORDER BY t.tenant_id",
            &[&bound, &among],
        )
        .await?;
    rows.iter().map(|row| Ok(TenantId(column(row, "tenant_id")?))).collect()
}

/// Where the tenant's projections are; no other step of this tenant gets here before the transaction ends.
pub async fn lock_cursor(tx: &Tx<'_>, of: Of, effects_version: i32) -> Result<DateTime<Utc>, StoreError> {
    tx.execute(
        &of.sql(
            "/* projections::make_cursor */ INSERT INTO progress.projection_cursors (tenant_id, position, effects_version)
         VALUES ($1, 'epoch', $2) ON CONFLICT DO NOTHING",
        ),
        &[&of.tenant.0, &effects_version],
    )
    .await?;
    let row = tx
        .query_one(
            &of.sql(
                "/* projections::lock_cursor */ SELECT position FROM progress.projection_cursors WHERE tenant_id = $1 FOR UPDATE",
            ),
            &[&of.tenant.0],
        )
        .await?;
    column(&row, "position")
}

pub async fn move_cursor(tx: &Tx<'_>, of: Of, to: DateTime<Utc>) -> Result<(), StoreError> {
    let moved = tx
        .execute(
            &of.sql(
                "/* projections::move_cursor */ UPDATE progress.projection_cursors SET position = $2, updated_at = clock_timestamp()
             WHERE tenant_id = $1 AND position < $2",
            ),
            &[&of.tenant.0, &to],
        )
        .await?;
    match moved {
        1 => Ok(()),
        _ => Err(StoreError::Shape { name: "move_cursor", detail: "a cursor only moves forward".to_owned() }),
    }
}

/// The next statements of the ledger, in its order.
pub async fn ledger_lines(
    tx: &Tx<'_>,
    tenant: TenantId,
    tables: Tables,
    (after, bound): (DateTime<Utc>, DateTime<Utc>),
    most: i64,
) -> Result<Vec<Line>, StoreError> {
    let sql = tables.sql(
        "/* projections::ledger_lines */ SELECT id, stored, verb_key, agent_key, registration_key IS NOT NULL AS has_registration,
                CASE WHEN voiding THEN refers_to END AS voids, payload
         FROM ledger.statements WHERE tenant_id = $1 AND stored > $2 AND stored < $3 ORDER BY stored LIMIT $4",
    );
    let rows = tx.query(&sql, &[&tenant.0, &after, &bound, &most]).await?;
    let line = |row: &Row| {
        Ok(Line {
            id: column(row, "id")?,
            stored: column(row, "stored")?,
            verb_key: column(row, "verb_key")?,
            agent_key: column(row, "agent_key")?,
            has_registration: column(row, "has_registration")?,
            voids: column(row, "voids")?,
            payload: column(row, "payload")?,
        })
    };
    rows.iter().map(line).collect()
}

/// An attempt that has a name already, as the projections have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub course: String,
    pub is_closed: bool,
    /// `None` where all that it was made of is voided.
    pub started_at: Option<DateTime<Utc>>,
}

/// Those of the attempts that have a name already.
pub async fn standing(tx: &Tx<'_>, of: Of, ids: &[&str]) -> Result<HashMap<String, Standing>, StoreError> {
    let rows = tx
        .query(
            &of.sql(
                "/* projections::standing_attempts */ SELECT n.id, n.course_id, coalesce(a.state = 'closed', false) AS is_closed, a.started_at
             FROM unnest($2::text[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT n.id, n.course_id FROM progress.attempt_names n
                                 WHERE n.tenant_id = $1 AND n.id = wanted.id OFFSET 0) n
             LEFT JOIN LATERAL (SELECT a.state, a.started_at FROM progress.attempts a
                                WHERE a.tenant_id = $1 AND a.id = wanted.id OFFSET 0) a ON true",
            ),
            &[&of.tenant.0, &ids],
        )
        .await?;
    let standing = |row: &Row| {
        let (is_closed, started_at) = (column(row, "is_closed")?, column(row, "started_at")?);
        Ok(Standing { course: column(row, "course_id")?, is_closed, started_at })
    };
    rows.iter().map(|row| Ok((column(row, "id")?, standing(row)?))).collect()
}

/// The highest number given so far in each of the enrollments.
pub async fn highest_numbers(tx: &Tx<'_>, of: Of, enrollments: &[&str]) -> Result<HashMap<String, i32>, StoreError> {
    let rows = tx
        .query(
            &of.sql("/* projections::highest_numbers */ SELECT wanted.id, n.attempt_number AS highest FROM unnest($2::text[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT n.attempt_number FROM progress.attempt_names n
                                 WHERE n.tenant_id = $1 AND n.enrollment_id = wanted.id
                                 ORDER BY n.attempt_number DESC LIMIT 1) n"),
            &[&of.tenant.0, &enrollments],
        )
        .await?;
    rows.iter().map(|row| Ok((column(row, "id")?, column(row, "highest")?))).collect()
}

pub async fn insert_names(tx: &Tx<'_>, of: Of, new: &[Numbered]) -> Result<(), StoreError> {
    let text = |of: fn(&AttemptName) -> &str| new.iter().map(|n| of(&n.name)).collect::<Vec<_>>();
    let numbers: Vec<i32> = new.iter().map(|n| n.number).collect();
    let stored: Vec<DateTime<Utc>> = new.iter().map(|n| n.first_stored).collect();
    tx.execute(
        &of.sql(
            "/* projections::insert_attempt_names */ INSERT INTO progress.attempt_names
             (tenant_id, id, enrollment_id, user_id, course_id, course_version_id, attempt_number, first_stored)
         SELECT $1, new.* FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
             $8::timestamptz[]) AS new",
        ),
        &[
            &of.tenant.0,
            &text(|name| &name.id),
            &text(|name| &name.enrollment),
            &text(|name| &name.user),
            &text(|name| &name.course),
            &text(|name| &name.course_version),
            &numbers,
            &stored,
        ],
    )
    .await
    .map(drop)
}

/// Keeps what statements say of their attempts; a statement that is kept already stays as it is.
pub async fn insert_facts(tx: &Tx<'_>, of: Of, facts: &[(&str, &Fact)]) -> Result<(), StoreError> {
    let attempts: Vec<&str> = facts.iter().map(|(attempt, _)| *attempt).collect();
    let statements: Vec<Uuid> = facts.iter().map(|(_, fact)| fact.statement).collect();
    let stored: Vec<DateTime<Utc>> = facts.iter().map(|(_, fact)| fact.stored).collect();
    let occurred: Vec<DateTime<Utc>> = facts.iter().map(|(_, fact)| fact.occurred).collect();
    let effects: Vec<&str> = facts.iter().map(|(_, fact)| fact.effect.as_str()).collect();
    let successes: Vec<Option<bool>> = facts.iter().map(|(_, fact)| fact.success).collect();
    let scores: Vec<Option<i32>> = facts.iter().map(|(_, fact)| fact.score.map(Score::ten_thousandths)).collect();
    let seconds: Vec<Option<i64>> = facts.iter().map(|(_, fact)| fact.seconds).collect();
    let cmi5 = || facts.iter().map(|(_, fact)| fact.cmi5.as_ref());
    let are_cmi5: Vec<Option<bool>> = cmi5().map(|cmi5| cmi5.map(|_| true)).collect();
    let units: Vec<Option<Uuid>> = cmi5().map(|cmi5| cmi5?.unit).collect();
    let sessions: Vec<Option<&str>> = cmi5().map(|cmi5| cmi5?.session.as_deref()).collect();
    let move_ons: Vec<Option<&str>> = cmi5().map(|cmi5| Some(cmi5?.move_on?.as_str())).collect();
    tx.execute(
        &of.sql(
            "/* projections::insert_attempt_statements */ INSERT INTO progress.attempt_statements
             (tenant_id, attempt_id, statement_id, stored, occurred, effect, success, score, seconds, is_cmi5, unit_key,
              session_id, move_on)
         SELECT $1, new.* FROM unnest($2::text[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[],
             $7::bool[], $8::int[], $9::bigint[], $10::bool[], $11::uuid[], $12::text[], $13::text[]) AS new
         ON CONFLICT DO NOTHING",
        ),
        &[
            &of.tenant.0,
            &attempts,
            &statements,
            &stored,
            &occurred,
            &effects,
            &successes,
            &scores,
            &seconds,
            &are_cmi5,
            &units,
            &sessions,
            &move_ons,
        ],
    )
    .await
    .map(drop)
}

/// The attempts that the statements belong to.
pub async fn attempts_of(tx: &Tx<'_>, of: Of, statements: &[Uuid]) -> Result<Vec<String>, StoreError> {
    let rows = tx
        .query(
            &of.sql(
                "/* projections::attempts_of */ SELECT DISTINCT a.attempt_id FROM unnest($2::uuid[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT a.attempt_id FROM progress.attempt_statements a
                                 WHERE a.tenant_id = $1 AND a.statement_id = wanted.id OFFSET 0) a",
            ),
            &[&of.tenant.0, &statements],
        )
        .await?;
    rows.iter().map(|row| column(row, "attempt_id")).collect()
}

/// The names of the attempts, by id.
pub async fn names(tx: &Tx<'_>, of: Of, attempts: &[String]) -> Result<Vec<Numbered>, StoreError> {
    let rows = tx
        .query(
            &of.sql(
                "/* projections::attempt_names */ SELECT n.* FROM unnest($2::text[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT id, enrollment_id, user_id, course_id, course_version_id, attempt_number,
                                        first_stored FROM progress.attempt_names n
                                 WHERE n.tenant_id = $1 AND n.id = wanted.id OFFSET 0) n
             ORDER BY n.id",
            ),
            &[&of.tenant.0, &attempts],
        )
        .await?;
    let numbered = |row: &Row| {
        let name = AttemptName {
            id: column(row, "id")?,
            enrollment: column(row, "enrollment_id")?,
            user: column(row, "user_id")?,
            course: column(row, "course_id")?,
            course_version: column(row, "course_version_id")?,
            wanted_number: None,
        };
        Ok(Numbered { name, number: column(row, "attempt_number")?, first_stored: column(row, "first_stored")? })
    };
    rows.iter().map(numbered).collect()
}

/// What statements stored up to `until` say of the attempts, and which of them are voided by then.
pub async fn facts(
    tx: &Tx<'_>,
    of: Of,
    attempts: &[String],
    until: DateTime<Utc>,
) -> Result<HashMap<String, Vec<Fact>>, StoreError> {
    let rows = tx
        .query(
            &of.sql(concat!(
                "/* projections::attempt_facts */ SELECT a.*,
                 coalesce((SELECT true FROM ledger.refs v WHERE v.tenant_id = $1 AND v.target_id = a.statement_id
                           AND v.stored <= $3 AND ",
                voids_at!("a.stored"),
                " LIMIT 1), false) AS voided
             FROM unnest($2::text[]) AS wanted (id)
             CROSS JOIN LATERAL (SELECT attempt_id, statement_id, stored, occurred, effect, success, score, seconds,
                                        is_cmi5, unit_key, session_id, move_on
                                 FROM progress.attempt_statements a
                                 WHERE a.tenant_id = $1 AND a.attempt_id = wanted.id AND a.stored <= $3 OFFSET 0) a",
            )),
            &[&of.tenant.0, &attempts, &until],
        )
        .await?;
    let mut facts: HashMap<String, Vec<Fact>> = HashMap::new();
    for row in &rows {
        facts.entry(column(row, "attempt_id")?).or_default().push(fact(row)?);
    }
    Ok(facts)
}

fn fact(row: &Row) -> Result<Fact, StoreError> {
    let effect: &str = column(row, "effect")?;
    let unknown = || StoreError::Shape { name: "attempt_facts", detail: format!("unknown effect {effect:?}") };
    Ok(Fact {
        statement: column(row, "statement_id")?,
        stored: column(row, "stored")?,
        occurred: column(row, "occurred")?,
        effect: Effect::named(effect).ok_or_else(unknown)?,
        success: column(row, "success")?,
        score: column::<Option<i32>>(row, "score")?.and_then(Score::from_ten_thousandths),
        seconds: column(row, "seconds")?,
        voided: column(row, "voided")?,
        cmi5: match column(row, "is_cmi5")? {
            Some(true) => Some(cmi5(row)?),
            Some(false) | None => None,
        },
    })
}

fn cmi5(row: &Row) -> Result<Cmi5, StoreError> {
    let move_on: Option<&str> = column(row, "move_on")?;
    Ok(Cmi5 {
        unit: column(row, "unit_key")?,
        session: column(row, "session_id")?,
        move_on: move_on.and_then(MoveOn::named),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_has_tables_of_its_own_and_shares_the_rest() {
        let of = |side| Of { tenant: TenantId::DEFAULT, side };
        let sql = "SELECT FROM progress.attempts JOIN progress.attempt_names JOIN progress.attempt_closures";
        assert_eq!(of(Side::Live).sql(sql), sql);
        assert_eq!(
            of(Side::Shadow).sql(sql),
            "SELECT FROM progress_rebuild.attempts JOIN progress_rebuild.attempt_names JOIN progress.attempt_closures"
        );
    }
}
