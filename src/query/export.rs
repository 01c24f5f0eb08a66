//! Everything about a person, for that person: statements wherever they lie, what others said that mentions them, attempts,
//! completions, scores, documents, attachments, and a page that says what is there. Streamed as a zip; memory holds a page at a time.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use super::{
    Reader,
    summary::{self, Counts},
};
use crate::{
    bundle::zip::Zip,
    cold::ColdError,
    model::TenantId,
    store::{
        StoreError,
        ledger::pages::{Filter, Found, Sight, Span},
        platform::audit::Reading,
        progress::subject::Lines,
    },
    xapi::{format::Stored, keys, query::Resource},
};

/// Pieces of the archive that wait to be taken.
pub const AHEAD: usize = 8;
/// Statements on a page.
const PAGE: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("nobody is known as the user {0:?}")]
    Nobody(String),
    /// Who asked does not take it any more.
    #[error("the export was not taken to its end")]
    Left,
    #[error(transparent)]
    Cold(#[from] ColdError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    pub tenant: TenantId,
    pub user: String,
    /// Also what others said that mentions them.
    pub mentions: bool,
}

/// The archive on its way.
struct Out {
    zip: Zip,
    to: Sender<Vec<u8>>,
}

impl Out {
    async fn begin(&mut self, name: &str) -> Result<(), ExportError> {
        let head = self.zip.begin(name);
        self.to.send(head).await.map_err(|_| ExportError::Left)
    }

    async fn put(&mut self, content: Vec<u8>) -> Result<(), ExportError> {
        self.zip.add(&content);
        self.to.send(content).await.map_err(|_| ExportError::Left)
    }

    async fn finish(self) -> Result<(), ExportError> {
        self.to.send(self.zip.finish()).await.map_err(|_| ExportError::Left)
    }
}

/// What is gathered on the way.
#[derive(Default)]
struct Met {
    activities: BTreeSet<Uuid>,
    hashes: BTreeSet<Vec<u8>>,
}

impl Reader {
    /// The keys of a person; an error where nobody is known.
    pub async fn known_keys(&self, wish: &Wish) -> Result<Vec<Uuid>, ExportError> {
        let keys = self.keys_of(wish.tenant, &wish.user).await?;
        if keys.is_empty() { Err(ExportError::Nobody(wish.user.clone())) } else { Ok(keys) }
    }

    /// Sends everything about a person, as a zip. With `reading` the export leaves an entry in the trail before its first byte.
    pub async fn export(
        &self,
        wish: &Wish,
        people: &[Uuid],
        reading: Option<&Reading>,
        to: Sender<Vec<u8>>,
    ) -> Result<Counts, ExportError> {
        if let Some(reading) = reading {
            self.note_reading(wish.tenant, &wish.user, reading, people.len()).await?;
        }
        let (mut out, mut counts, mut met) = (Out { zip: Zip::default(), to }, Counts::default(), Met::default());
        out.begin("statements.ndjson").await?;
        let own = Filter { sight: Sight::Actors(people.to_vec()), ..Filter::default() };
        counts.statements = self.statements(wish, &own, &[], &mut out, &mut met).await?;
        if wish.mentions {
            out.begin("mentions.ndjson").await?;
            for person in people {
                let named = Filter { agent: Some(*person), related_agents: true, ..Filter::default() };
                let mut others = Met::default();
                counts.mentions += self.statements(wish, &named, people, &mut out, &mut others).await?;
            }
        }
        for (name, lines, count) in [
            ("attempts.ndjson", Lines::Attempts, &mut counts.attempts),
            ("completions.ndjson", Lines::Completions, &mut counts.completions),
            ("scores.ndjson", Lines::Scores, &mut counts.scores),
        ] {
            out.begin(name).await?;
            *count = self.lines(wish, lines, &mut out).await?;
        }
        out.begin("documents.ndjson").await?;
        counts.documents = self.documents(wish, people, &met, &mut out).await?;
        for hash in &met.hashes {
            if self.attachment(wish.tenant, hash, &mut out).await? {
                counts.attachments += 1;
            } else {
                counts.missing += 1;
            }
        }
        out.begin("summary.html").await?;
        out.put(summary::page(&wish.user, &counts, wish.mentions).into_bytes()).await?;
        out.finish().await?;
        Ok(counts)
    }

    /// Writes what a filter finds, but for what these people did, newest first.
    async fn statements(
        &self,
        wish: &Wish,
        filter: &Filter,
        but_by: &[Uuid],
        out: &mut Out,
        met: &mut Met,
    ) -> Result<u64, ExportError> {
        let (mut written, mut until) = (0, None);
        loop {
            let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
            let bytes = i64::try_from(self.page_bytes).unwrap_or(i64::MAX);
            let span = Span { ascending: false, since: None, until, limit, bytes };
            let found = self.wherever(wish.tenant, filter, &span).await?.found;
            let Some(last) = found.last() else { return Ok(written) };
            until = Some(last.stored - chrono::TimeDelta::microseconds(1));
            let mut text = String::new();
            for one in &found {
                let Ok(statement) = serde_json::from_str::<Value>(&one.payload) else { continue };
                if is_by(wish.tenant, &statement, but_by) {
                    continue;
                }
                meet(wish.tenant, &statement, met);
                line(one, &mut text);
                written += 1;
            }
            out.put(text.into_bytes()).await?;
        }
    }

    async fn lines(&self, wish: &Wish, lines: Lines, out: &mut Out) -> Result<u64, ExportError> {
        let (mut written, mut after) = (0, String::new());
        loop {
            let page = self.store.subject_lines(wish.tenant, &wish.user, lines, &after).await?;
            let Some((last, _)) = page.last() else { return Ok(written) };
            after.clone_from(last);
            written += page.len() as u64;
            let text: String = page.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
            out.put(text.into_bytes()).await?;
        }
    }

    /// Their profile, and their state at every activity that their statements name.
    async fn documents(&self, wish: &Wish, people: &[Uuid], met: &Met, out: &mut Out) -> Result<u64, ExportError> {
        let tenant = wish.tenant;
        let scope = |resource, activity, person| keys::document_scope(tenant.0, resource, activity, Some(person));
        let profiles = people.iter().map(|person| scope(Resource::AgentProfile, None, *person));
        let states = people
            .iter()
            .flat_map(|person| met.activities.iter().map(move |key| scope(Resource::State, Some(*key), *person)));
        let scopes: Vec<Uuid> = profiles.chain(states).collect();
        let mut written = 0;
        for some in scopes.chunks(PAGE) {
            for document in self.store.subject_documents(tenant, some).await? {
                let mut text =
                    json!({ "kind": document.kind, "id": document.document_id, "registration": document.registration,
                    "contentType": document.content_type, "updatedAt": document.updated_at,
                    "contentBase64": BASE64_STANDARD.encode(&document.content) })
                    .to_string();
                text.push('\n');
                out.put(text.into_bytes()).await?;
                written += 1;
            }
        }
        Ok(written)
    }

    async fn attachment(&self, tenant: TenantId, sha2: &[u8], out: &mut Out) -> Result<bool, ExportError> {
        if self.attachment_length(tenant, sha2).await?.is_none() {
            return Ok(false);
        }
        out.begin(&format!("attachments/{}", hex::encode(sha2))).await?;
        let mut piece = 0;
        while let Some(content) = self.attachment_piece(tenant, sha2, piece).await? {
            out.put(content).await?;
            piece += 1;
        }
        Ok(true)
    }
}

fn is_by(tenant: TenantId, statement: &Value, people: &[Uuid]) -> bool {
    let actor = statement["actor"].as_object().and_then(keys::Ifi::of);
    actor.is_some_and(|ifi| people.contains(&keys::agent(tenant.0, &ifi)))
}

/// Notes the activities and attachments of a statement, wherever in it they are.
fn meet(tenant: TenantId, value: &Value, met: &mut Met) {
    match value {
        Value::Object(map) => {
            if let Some(iri) = map.get("id").and_then(Value::as_str).filter(|id| id.contains(':')) {
                met.activities.insert(keys::activity(tenant.0, iri));
            }
            if let Some(hash) = map.get("sha2").and_then(Value::as_str).and_then(|text| hex::decode(text).ok()) {
                met.hashes.insert(hash);
            }
            map.values().for_each(|inner| meet(tenant, inner, met));
        }
        Value::Array(list) => list.iter().for_each(|inner| meet(tenant, inner, met)),
        _ => {}
    }
}

fn line(found: &Found, text: &mut String) {
    Stored { payload: &found.payload, stored: found.stored, has_timestamp: found.has_timestamp }.exact(text);
    text.push('\n');
}
