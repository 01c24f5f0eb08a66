//! A tenant's rows of all schemas as lines of JSON, without the tenant and in an order of their own: what an export is made of
//! beside statements. Secrets are never among them, and nothing of somebody who is hidden.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::{TenantId, partition::Month};
use crate::store::{As, Store, StoreError, door::tx::column};

/// Lines that are read at once.
const PAGE: i64 = 500;

/// Of what there are lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rows {
    Attempts,
    Completions,
    Scores,
    /// Attempts that were closed by hand.
    Closures,
    /// Attempts that fell silent.
    Silences,
    Courses,
    Credentials,
    /// Voidings that void only what is under one authority.
    Voidings,
    Attachments,
}

const COURSES: &str = "/* portable::courses */ SELECT c.course_id AS place, c.structure::jsonb AS line
    FROM progress.courses c WHERE c.tenant_id = $1 AND $4::text IS NULL AND c.course_id > $2";

const VOIDINGS: &str = "/* portable::voidings */ SELECT r.referrer_id::text AS place,
        jsonb_build_object('id', r.referrer_id, 'onlyOf', r.voids_only_of) AS line
    FROM ledger.refs r WHERE r.tenant_id = $1 AND r.voids AND r.voids_only_of IS NOT NULL AND $4::text IS NULL
      AND r.referrer_id::text > $2";

const ATTACHMENTS: &str = "/* portable::attachments */ SELECT encode(a.sha2, 'hex') AS place, jsonb_build_object('sha2', encode(a.sha2, 'hex'),
        'length', a.length, 'broughtBy', (SELECT coalesce(jsonb_agg(b.authority_key ORDER BY b.authority_key), '[]')
            FROM ledger.attachment_bringers b WHERE b.tenant_id = a.tenant_id AND b.sha2 = a.sha2)) AS line
    FROM ledger.attachments a WHERE a.tenant_id = $1 AND $4::text IS NULL AND encode(a.sha2, 'hex') > $2";

impl Rows {
    fn sql(self) -> String {
        let utc = |name: &str| format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
        let rows = match self {
            Self::Attempts => format!(
                "/* portable::attempts */ SELECT a.id AS place, jsonb_build_object('id', a.id, 'userId', a.user_id, 'enrollmentId', a.enrollment_id,
                     'courseId', a.course_id, 'courseVersionId', a.course_version_id, 'attemptNumber', a.attempt_number,
                     'state', a.state, 'outcome', a.outcome, 'score', a.score::text, 'durationSeconds', a.duration_seconds,
                     'startedAt', {}, 'endedAt', {}) AS line
                 FROM progress.attempts a WHERE a.tenant_id = $1 AND ($4::text IS NULL OR a.user_id = $4) AND a.id > $2",
                utc("a.started_at"),
                utc("a.ended_at")
            ),
            Self::Completions => format!(
                "/* portable::completions */ SELECT c.attempt_id AS place, jsonb_build_object('id', c.id, 'attemptId', c.attempt_id,
                     'userId', c.user_id, 'enrollmentId', c.enrollment_id, 'courseId', c.course_id,
                     'courseVersionId', c.course_version_id, 'completedAt', {}, 'score', c.score::text, 'passed', c.passed,
                     'evidence', to_jsonb(c.evidence_statement_ids)) AS line
                 FROM progress.completion_records c WHERE c.tenant_id = $1 AND ($4::text IS NULL OR c.user_id = $4) AND c.attempt_id > $2",
                utc("c.completed_at")
            ),
            Self::Scores => format!(
                "/* portable::scores */ SELECT c.attempt_id AS place, jsonb_build_object('attemptId', c.attempt_id, 'userId', c.user_id,
                     'enrollmentId', c.enrollment_id, 'score', c.score::text, 'gradingRule', c.grading_rule, 'recordedAt', {}) AS line
                 FROM progress.scores c WHERE c.tenant_id = $1 AND ($4::text IS NULL OR c.user_id = $4) AND c.attempt_id > $2",
                utc("c.recorded_at")
            ),
            Self::Closures => format!(
                "/* portable::closures */ SELECT c.attempt_id AS place, jsonb_build_object('id', c.id, 'enrollmentId', n.enrollment_id,
                     'attemptNumber', n.attempt_number, 'stored', {}, 'outcome', c.outcome, 'closedBy', c.closed_by, 'reason', c.reason) AS line
                 FROM progress.attempt_closures c JOIN progress.attempt_names n ON n.tenant_id = c.tenant_id AND n.id = c.attempt_id
                 WHERE c.tenant_id = $1 AND ($4::text IS NULL OR n.user_id = $4) AND c.attempt_id > $2",
                utc("c.stored")
            ),
            Self::Silences => format!(
                "/* portable::silences */ SELECT c.attempt_id || '/' || c.last_word AS place, jsonb_build_object('id', c.id,
                     'enrollmentId', n.enrollment_id, 'attemptNumber', n.attempt_number, 'stored', {}, 'lastWord', {}) AS line
                 FROM progress.silences c JOIN progress.attempt_names n ON n.tenant_id = c.tenant_id AND n.id = c.attempt_id
                 WHERE c.tenant_id = $1 AND ($4::text IS NULL OR n.user_id = $4) AND c.attempt_id || '/' || c.last_word > $2",
                utc("c.stored"),
                utc("c.last_word")
            ),
            Self::Courses => COURSES.to_owned(),
            Self::Credentials => format!(
                "/* portable::credentials */ SELECT c.api_key AS place, jsonb_build_object('apiKey', c.api_key, 'label', c.label,
                     'scopes', to_jsonb(c.scopes), 'agent', c.agent, 'createdAt', {}, 'expiresAt', {}, 'revokedAt', {}) AS line
                 FROM platform.credentials c WHERE c.tenant_id = $1 AND c.registration IS NULL AND $4::text IS NULL AND c.api_key > $2",
                utc("c.created_at"),
                utc("c.expires_at"),
                utc("c.revoked_at")
            ),
            Self::Voidings => VOIDINGS.to_owned(),
            Self::Attachments => ATTACHMENTS.to_owned(),
        };
        // Nothing that is compared here is compared by the rules of a language.
        let rows = rows.replace("AS line", "::text AS line");
        let (label, select) = rows.split_once("*/").unwrap_or_default();
        format!("{label}*/ SELECT place, line FROM ({select} COLLATE \"C\") one ORDER BY place COLLATE \"C\" LIMIT $3")
    }
}

/// A document as it is kept.
#[derive(Clone, Debug)]
pub struct PortableDocument {
    pub key: Uuid,
    pub kind: String,
    pub scope_key: Uuid,
    pub registration: Option<Uuid>,
    pub document_id: String,
    pub content_type: String,
    pub content: Vec<u8>,
    pub etag: String,
    pub updated_at: DateTime<Utc>,
    pub agent_key: Option<Uuid>,
    pub activity: Option<String>,
    pub agent: Option<String>,
}

const HEADS: &str = "/* portable::document_heads */
    SELECT key, octet_length(content)::bigint AS bytes FROM ledger.documents d
    WHERE tenant_id = $1 /* tenant */ AND key > $2 /* after */ AND ($4::uuid[] /* people */ IS NULL OR agent_key = ANY ($4))
      AND NOT EXISTS (SELECT FROM ledger.hidden_persons h WHERE h.tenant_id = $1 AND h.agent_key = d.agent_key)
    ORDER BY key LIMIT $3 /* most */";

const DOCUMENTS: &str = "/* portable::documents */
    SELECT key, kind, scope_key, registration, document_id, content_type, content, etag, updated_at, agent_key, activity, agent
    FROM ledger.documents WHERE tenant_id = $1 /* tenant */ AND key = ANY ($2 /* keys */) ORDER BY key";

impl Store {
    /// The next lines, with the place after which the ones after them come; none at the end.
    pub async fn portable_rows(
        &self,
        tenant: TenantId,
        rows: Rows,
        after: &str,
        learner: Option<&str>,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = rows.sql();
        self.run_tx("portable_rows", As::Tenant(tenant), |tx| {
            let sql = sql.clone();
            Box::pin(async move {
                let rows = tx.query(&sql, &[&tenant.0, &after, &PAGE, &learner]).await?;
                rows.iter().map(|row| Ok((column(row, "place")?, column(row, "line")?))).collect()
            })
        })
        .await
    }

    /// The next documents, of all or of these people, by key and size.
    pub async fn portable_heads(
        &self,
        tenant: TenantId,
        after: Uuid,
        people: Option<&[Uuid]>,
    ) -> Result<Vec<(Uuid, u64)>, StoreError> {
        self.run_tx("portable_heads", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let rows = tx.query(HEADS, &[&tenant.0, &after, &PAGE, &people]).await?;
                let head = |row: &tokio_postgres::Row| {
                    let bytes: i64 = column(row, "bytes")?;
                    Ok((column(row, "key")?, bytes.unsigned_abs()))
                };
                rows.iter().map(head).collect()
            })
        })
        .await
    }

    pub async fn portable_documents(
        &self,
        tenant: TenantId,
        keys: &[Uuid],
    ) -> Result<Vec<PortableDocument>, StoreError> {
        self.run_tx("portable_documents", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let document = |row: &tokio_postgres::Row| {
                    Ok(PortableDocument {
                        key: column(row, "key")?,
                        kind: column(row, "kind")?,
                        scope_key: column(row, "scope_key")?,
                        registration: column(row, "registration")?,
                        document_id: column(row, "document_id")?,
                        content_type: column(row, "content_type")?,
                        content: column(row, "content")?,
                        etag: column(row, "etag")?,
                        updated_at: column(row, "updated_at")?,
                        agent_key: column(row, "agent_key")?,
                        activity: column(row, "activity")?,
                        agent: column(row, "agent")?,
                    })
                };
                tx.query(DOCUMENTS, &[&tenant.0, &keys]).await?.iter().map(document).collect()
            })
        })
        .await
    }
}

const CLOSURES: &str = "/* portable::put_closures */
    INSERT INTO progress.attempt_closures (tenant_id, attempt_id, id, stored, outcome, closed_by, reason)
    SELECT $1 /* tenant */, n.id, c.id, c.stored, c.outcome, c.\"closedBy\", c.reason
    FROM jsonb_to_recordset($2 /* lines */) AS c (id uuid, \"enrollmentId\" text, \"attemptNumber\" integer, stored timestamptz, outcome text,
                                   \"closedBy\" text, reason text)
    JOIN progress.attempt_names n ON n.tenant_id = $1 AND n.enrollment_id = c.\"enrollmentId\" AND n.attempt_number = c.\"attemptNumber\"
    ON CONFLICT DO NOTHING";

const SILENCES: &str = "/* portable::put_silences */
    INSERT INTO progress.silences (tenant_id, attempt_id, id, stored, last_word)
    SELECT $1 /* tenant */, n.id, c.id, c.stored, c.\"lastWord\"
    FROM jsonb_to_recordset($2 /* lines */) AS c (id uuid, \"enrollmentId\" text, \"attemptNumber\" integer, stored timestamptz,
                                   \"lastWord\" timestamptz)
    JOIN progress.attempt_names n ON n.tenant_id = $1 AND n.enrollment_id = c.\"enrollmentId\" AND n.attempt_number = c.\"attemptNumber\"
    ON CONFLICT DO NOTHING";

impl Store {
    /// Puts closings by hand, or silences, to the attempts of their enrollments; answers how many were new.
    pub async fn put_ends(&self, tenant: TenantId, rows: Rows, lines: &serde_json::Value) -> Result<u64, StoreError> {
        let sql = if rows == Rows::Closures { CLOSURES } else { SILENCES };
        self.run_tx("put_ends", As::Worker, |tx| Box::pin(async move { tx.execute(sql, &[&tenant.0, &lines]).await }))
            .await
    }
}

const HAS_STATEMENTS: &str = "/* portable::has_statements */
    SELECT EXISTS (SELECT FROM ledger.statement_ids WHERE tenant_id = $1 /* tenant */) AS has";

const TELL_AGAIN: [&str; 6] = [
    "/* portable::relay_again */ UPDATE progress.relay_cursors SET position = 'epoch', updated_at = clock_timestamp()
     WHERE tenant_id = $1 /* tenant */",
    "/* portable::project_again */ UPDATE progress.projection_cursors SET position = 'epoch', updated_at = clock_timestamp()
     WHERE tenant_id = $1 /* tenant */",
    // Under the lock of the cursor, as the step takes them.
    "/* portable::count_again */ DELETE FROM progress.activity WHERE tenant_id = $1 /* tenant */",
    "/* portable::count_again */ DELETE FROM progress.activity_due WHERE tenant_id = $1 /* tenant */",
    "/* portable::count_again */ DELETE FROM progress.activity_counted WHERE tenant_id = $1 /* tenant */",
    "/* portable::count_again */ DELETE FROM progress.learner_days WHERE tenant_id = $1 /* tenant */",
];

impl Store {
    /// Whether a tenant ever had a statement.
    pub async fn has_statements(&self, tenant: TenantId) -> Result<bool, StoreError> {
        self.run_tx("has_statements", As::Tenant(tenant), |tx| {
            Box::pin(async move { column(&tx.query_one(HAS_STATEMENTS, &[&tenant.0]).await?, "has") })
        })
        .await
    }

    /// Lets relay and projections begin anew with a tenant: they tell of all that is there as of something new.
    pub async fn tell_again(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.run_tx("tell_again", As::Worker, |tx| {
            Box::pin(async move {
                for sql in TELL_AGAIN {
                    tx.execute(sql, &[&tenant.0]).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// A reference that is written anew.
#[derive(Clone, Debug)]
pub struct RepairedRef {
    pub target: Uuid,
    pub referrer: Uuid,
    pub stored: DateTime<Utc>,
    pub voids: bool,
    /// What it voids only of, in the form that relations have.
    pub only_of: Option<Uuid>,
}

const REFERRING: &str = "/* portable::referring */
    SELECT referrer_id FROM ledger.refs WHERE tenant_id = $1 /* tenant */ AND referrer_id = ANY ($2 /* ids */)";

const REPAIR_REFS: &str = "/* portable::repair_refs */
    INSERT INTO ledger.refs (tenant_id, target_id, referrer_id, stored, voids, voids_only_of)
    SELECT $1 /* tenant */, new.* FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::bool[], $6::uuid[]) AS new
    ON CONFLICT DO NOTHING";

const GUARDED: &str = "/* portable::guarded_months */
    SELECT to_char(stored AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*) AS ids FROM ledger.statement_ids
    WHERE tenant_id = $1 /* tenant */ AND NOT erased AND stored <= $2 /* through */ GROUP BY 1 ORDER BY 1";

impl Store {
    /// Those of the statements that have a reference.
    pub async fn referring(&self, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        self.run_tx("referring", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let rows = tx.query(REFERRING, &[&tenant.0, &ids]).await?;
                rows.iter().map(|row| column(row, "referrer_id")).collect()
            })
        })
        .await
    }

    /// Writes references that are not there.
    pub async fn repair_refs(&self, tenant: TenantId, refs: &[RepairedRef]) -> Result<u64, StoreError> {
        let targets: Vec<Uuid> = refs.iter().map(|one| one.target).collect();
        let referrers: Vec<Uuid> = refs.iter().map(|one| one.referrer).collect();
        let stored: Vec<DateTime<Utc>> = refs.iter().map(|one| one.stored).collect();
        let voids: Vec<bool> = refs.iter().map(|one| one.voids).collect();
        let only_of: Vec<Option<Uuid>> = refs.iter().map(|one| one.only_of).collect();
        let (targets, referrers, stored, voids, only_of) = (&targets, &referrers, &stored, &voids, &only_of);
        self.run_tx("repair_refs", As::Tenant(tenant), |tx| {
            Box::pin(
                async move { tx.execute(REPAIR_REFS, &[&tenant.0, targets, referrers, stored, voids, only_of]).await },
            )
        })
        .await
    }

    /// How many ids of each month the guard knows whose statements were not erased.
    pub async fn guarded_months(
        &self,
        tenant: TenantId,
        through: DateTime<Utc>,
    ) -> Result<Vec<(Month, i64)>, StoreError> {
        self.run_tx("guarded_months", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let shape = |detail: String| StoreError::Shape { name: "guarded_months", detail };
                let month = |row: &tokio_postgres::Row| {
                    let name: String = column(row, "month")?;
                    Ok((name.parse().map_err(shape)?, column(row, "ids")?))
                };
                tx.query(GUARDED, &[&tenant.0, &through]).await?.iter().map(month).collect()
            })
        })
        .await
    }
}
