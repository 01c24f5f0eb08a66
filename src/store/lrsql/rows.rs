//! What lrsql keeps: statements in the order of their keys, which begin with the moment at which they were stored; the contents
//! of attachments; documents of three kinds, a table for each; credentials.
//!
//! Contents are asked for in two steps, lengths first: who asks decides how much comes at once.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Session, moment};
use crate::{
    model::Secret,
    store::{StoreError, door::tx::column, ledger::documents::DocumentKind},
};

/// A statement as it is kept.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The key of the row: sequential.
    pub key: Uuid,
    pub id: Uuid,
    pub payload: String,
}

/// Of which statement a content is, and how it is found.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub statement: Uuid,
    pub sha2: String,
    pub content: Content,
}

/// A content that can be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub key: Uuid,
    pub bytes: i64,
}

/// A document as it is kept.
#[derive(Clone, Debug)]
pub struct Document {
    pub id: String,
    pub activity: Option<String>,
    /// The identifier of an agent, as lrsql writes it.
    pub identifier: Option<String>,
    /// The agent of that identifier, where lrsql has seen one in a statement.
    pub agent: Option<Map<String, Value>>,
    pub registration: Option<Uuid>,
    pub content_type: String,
    pub content: Vec<u8>,
    pub modified: DateTime<Utc>,
}

/// A key with what it may do.
#[derive(Clone, Debug)]
pub struct Credential {
    pub api_key: String,
    /// Only where it was asked for.
    pub secret: Option<Secret>,
    pub label: Option<String>,
    pub scopes: Vec<String>,
    /// Under which authority its statements are kept, where lrsql names it by the credential.
    pub authority: Option<Map<String, Value>>,
}

const STATEMENTS: &str = "/* lrsql::statements */
    SELECT id, statement_id, payload::text AS payload FROM xapi_statement
    WHERE id > $1 /* after */ ORDER BY id LIMIT $2 /* most */";

const ATTACHMENTS: &str = "/* lrsql::attachments */
    SELECT id, statement_id, lower(attachment_sha) AS sha2, octet_length(contents)::bigint AS bytes
    FROM attachment WHERE statement_id = ANY($1 /* statements */) ORDER BY id";

const CONTENTS: &str = "/* lrsql::contents */
    SELECT id, contents FROM attachment WHERE id = ANY($1 /* keys */)";

// The label came with a later version. Of several authorities of a credential the newest counts.
const CREDENTIALS: &str = "/* lrsql::credentials */
    SELECT c.api_key, to_jsonb(c)->>'label' AS label, CASE WHEN $1 /* secrets */ THEN c.secret_key END AS secret,
        ARRAY(SELECT s.scope::text FROM credential_to_scope s
              WHERE s.api_key = c.api_key AND s.secret_key = c.secret_key AND s.scope IS NOT NULL ORDER BY s.id) AS scopes,
        named.authority
    FROM lrs_credential c LEFT JOIN (
        SELECT k.id, (array_agg(a.payload::text ORDER BY a.id DESC))[1] AS authority
        FROM lrs_credential k JOIN actor a ON split_part(a.actor_ifi, '@', 1) = 'account::' || k.id::text
        WHERE a.actor_type::text = 'Agent' GROUP BY k.id) named USING (id)
    ORDER BY c.id";

impl Session {
    /// The statements behind a key, in the order of their keys.
    pub async fn statements(&mut self, after: Uuid, most: i64) -> Result<Vec<Statement>, StoreError> {
        let statement = |row: &Row| {
            Ok(Statement {
                key: column(row, "id")?,
                id: column(row, "statement_id")?,
                payload: column(row, "payload")?,
            })
        };
        self.rows("lrsql_statements", STATEMENTS, &[&after, &most]).await?.iter().map(statement).collect()
    }

    /// What is attached to these statements.
    pub async fn attachments(&mut self, statements: &[Uuid]) -> Result<Vec<Attachment>, StoreError> {
        let attachment = |row: &Row| {
            let content = Content { key: column(row, "id")?, bytes: column(row, "bytes")? };
            Ok(Attachment { statement: column(row, "statement_id")?, sha2: column(row, "sha2")?, content })
        };
        self.rows("lrsql_attachments", ATTACHMENTS, &[&statements]).await?.iter().map(attachment).collect()
    }

    /// The contents of attachments, by their keys.
    pub async fn contents(&mut self, keys: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
        let content = |row: &Row| Ok((column(row, "id")?, column(row, "contents")?));
        self.rows("lrsql_contents", CONTENTS, &[&keys]).await?.iter().map(content).collect()
    }

    /// The documents of a kind behind a key that were modified after `since`.
    pub async fn documents(
        &mut self,
        kind: DocumentKind,
        after: Uuid,
        since: Option<DateTime<Utc>>,
        most: i64,
    ) -> Result<Vec<Content>, StoreError> {
        let since = since.map_or(i64::MIN, |since| since.timestamp_micros());
        let content = |row: &Row| Ok(Content { key: column(row, "id")?, bytes: column(row, "bytes")? });
        let sql = documents_of(kind);
        self.rows("lrsql_documents", &sql, &[&after, &since, &most]).await?.iter().map(content).collect()
    }

    /// Documents of a kind with their contents, by their keys.
    pub async fn document_contents(&mut self, kind: DocumentKind, keys: &[Uuid]) -> Result<Vec<Document>, StoreError> {
        let sql = contents_of(kind);
        self.rows("lrsql_document_contents", &sql, &[&keys]).await?.iter().map(document).collect()
    }

    /// All credentials, with their secrets where these are wanted.
    pub async fn credentials(&mut self, has_secrets: bool) -> Result<Vec<Credential>, StoreError> {
        let credential = |row: &Row| {
            Ok(Credential {
                api_key: column(row, "api_key")?,
                secret: column::<Option<String>>(row, "secret")?.map(Secret::new),
                label: column(row, "label")?,
                scopes: column(row, "scopes")?,
                authority: object(row, "authority")?,
            })
        };
        self.rows("lrsql_credentials", CREDENTIALS, &[&has_secrets]).await?.iter().map(credential).collect()
    }
}

fn table(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::State => "state_document",
        DocumentKind::ActivityProfile => "activity_profile_document",
        DocumentKind::AgentProfile => "agent_profile_document",
    }
}

/// `last_modified` as microseconds: older versions keep it without a zone.
const MODIFIED: &str = "(extract(epoch FROM d.last_modified) * 1000000)::bigint";

fn documents_of(kind: DocumentKind) -> String {
    let table = table(kind);
    format!(
        "/* lrsql::documents */ SELECT d.id, octet_length(d.contents)::bigint AS bytes FROM {table} d
         WHERE d.id > $1 /* after */ AND {MODIFIED} > $2 /* since */ ORDER BY d.id LIMIT $3 /* most */"
    )
}

fn contents_of(kind: DocumentKind) -> String {
    let (id, activity, registration, agent) = match kind {
        DocumentKind::State => ("d.state_id", "d.activity_iri", "d.registration", "d.agent_ifi"),
        DocumentKind::ActivityProfile => ("d.profile_id", "d.activity_iri", "NULL::uuid", "NULL::text"),
        DocumentKind::AgentProfile => ("d.profile_id", "NULL::text", "NULL::uuid", "d.agent_ifi"),
    };
    let table = table(kind);
    format!(
        "/* lrsql::document_contents */
         SELECT {id} AS name, {activity} AS activity, {registration} AS registration, {agent} AS identifier,
             (SELECT a.payload::text FROM actor a WHERE a.actor_ifi = {agent} ORDER BY a.id LIMIT 1) AS agent,
             d.content_type, d.contents, {MODIFIED} AS modified
         FROM {table} d WHERE d.id = ANY($1 /* keys */) ORDER BY d.id"
    )
}

fn document(row: &Row) -> Result<Document, StoreError> {
    Ok(Document {
        id: column(row, "name")?,
        activity: column(row, "activity")?,
        identifier: column(row, "identifier")?,
        agent: object(row, "agent")?,
        registration: column(row, "registration")?,
        content_type: column(row, "content_type")?,
        content: column(row, "contents")?,
        modified: moment(column(row, "modified")?)?,
    })
}

fn object(row: &Row, name: &'static str) -> Result<Option<Map<String, Value>>, StoreError> {
    let text: Option<String> = column(row, name)?;
    let wrong = |error: serde_json::Error| StoreError::Shape { name, detail: error.to_string() };
    text.map(|text| serde_json::from_str(&text).map_err(wrong)).transpose()
}
