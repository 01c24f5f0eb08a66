//! A statement as another ledger gives it away, read by the rules that hold for every statement. Computes, and never waits.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::LoadError;
use crate::{
    model::TenantId,
    xapi::{
        Author, Limits, Statement, Version, prepare, prepare::Prepared, query::DocumentScope, read, syntax::timestamp,
    },
};

/// Authorities that are kept at hand: few have more than some.
const AUTHORS: usize = 1_000;

/// A statement with its past.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub statement: Prepared,
    /// The microsecond at which the other ledger stored it.
    pub stored: DateTime<Utc>,
}

/// What became known of a batch before it is taken.
#[derive(Debug, Default)]
pub struct Outlook {
    pub same: HashSet<Uuid>,
    /// When those that are known were stored here.
    pub moments: HashSet<DateTime<Utc>>,
    /// Of somebody who was erased, or erased itself: it never comes back.
    pub erased: HashSet<Uuid>,
    /// What would be refused, and why.
    pub refused: Vec<(Uuid, LoadError)>,
}

/// Reads the statements of one tenant.
pub struct Reader {
    tenant: TenantId,
    limits: Limits,
    authors: HashMap<(String, Version), Author>,
}

impl Reader {
    pub fn of(tenant: TenantId) -> Self {
        Self { tenant, limits: Limits::default(), authors: HashMap::new() }
    }

    /// Reads the JSON of one statement, as a GET answers it: with its id, `stored` and authority.
    pub fn read(&mut self, json: &[u8]) -> Result<Arrival, LoadError> {
        let version = version_of(json);
        let mut batch = read::statements(json, version, &self.limits).map_err(LoadError::Unreadable)?;
        let statement = batch.statements.pop().ok_or(LoadError::Lacks("content"))?;
        let id = said(statement.doc(), "id").and_then(|id| Uuid::parse_str(id).ok()).ok_or(LoadError::Lacks("id"))?;
        let stored = said(statement.doc(), "stored").ok_or(LoadError::Lacks("stored"))?;
        let stored = moment(stored).ok_or_else(|| LoadError::Stored(id, stored.to_owned()))?;
        let author = self.author(&statement, version)?;
        Ok(Arrival { statement: prepare(statement, author, || id, stored), stored })
    }

    fn author(&mut self, statement: &Statement, version: Version) -> Result<&Author, LoadError> {
        let Some(Value::Object(authority)) = statement.doc().get("authority") else {
            return Err(LoadError::Lacks("authority"));
        };
        let key = (Value::Object(authority.clone()).to_string(), version);
        if self.authors.len() >= AUTHORS && !self.authors.contains_key(&key) {
            self.authors.clear();
        }
        Ok(self.authors.entry(key).or_insert_with(|| Author::new(self.tenant.0, authority, version)))
    }
}

/// By whose rules it is read: those of the version it names.
fn version_of(json: &[u8]) -> Version {
    #[derive(Deserialize)]
    struct Versioned<'j> {
        #[serde(borrow)]
        version: Option<Cow<'j, str>>,
    }
    // What is no JSON is refused by whichever rules.
    let named = serde_json::from_slice::<Versioned<'_>>(json).ok().and_then(|statement| statement.version);
    if named.is_some_and(|version| version.starts_with('2')) { Version::V2_0_0 } else { Version::V1_0_3 }
}

fn said<'d>(doc: &'d Map<String, Value>, name: &str) -> Option<&'d str> {
    doc.get(name).and_then(Value::as_str)
}

/// Whole microseconds, as the ledger has them.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    timestamp::parse(text)?.duration_trunc(TimeDelta::microseconds(1)).ok()
}

/// A document with the moment at which it was written.
#[derive(Clone, Debug)]
pub struct PastDocument {
    pub scope: DocumentScope,
    pub id: String,
    pub content_type: String,
    pub content: Vec<u8>,
    pub updated_at: DateTime<Utc>,
}

/// The bytes of an attachment, and under which authority they came.
#[derive(Clone, Debug)]
pub struct Brought {
    pub sha2: Vec<u8>,
    pub content: Vec<u8>,
    pub authority: Uuid,
}

/// The sender's own timestamp.
pub(super) fn sent(statement: &Prepared) -> Option<DateTime<Utc>> {
    statement.has_timestamp.then_some(statement.timestamp)
}

/// Whether a statement is another one than that of this digest. A timestamp that one side has not differs from nothing.
pub(super) fn is_another(coming: &Prepared, digest: &[u8], occurred: Option<DateTime<Utc>>) -> bool {
    let differs = |(one, other): (DateTime<Utc>, DateTime<Utc>)| one.timestamp_micros() != other.timestamp_micros();
    coming.digest != digest || sent(coming).zip(occurred).is_some_and(differs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "fd41c918-b88b-4b20-a0a5-a4c32391aaa0";

    fn statement() -> Value {
        json!({"id": ID, "actor": {"mbox": "mailto:a@x.example"}, "verb": {"id": "http://x.example/did"},
               "object": {"id": "http://x.example/it"}, "stored": "2026-03-04T10:11:12.1234567Z",
               "authority": {"mbox": "mailto:other@lrs.example"}})
    }

    fn read(value: &Value) -> Result<Arrival, LoadError> {
        Reader::of(TenantId(Uuid::from_u128(7))).read(value.to_string().as_bytes())
    }

    #[test]
    fn what_is_read_keeps_its_id_its_moment_and_its_authority() {
        let arrival = read(&statement()).unwrap();
        assert_eq!(arrival.statement.id.to_string(), ID);
        assert_eq!(arrival.stored, "2026-03-04T10:11:12.123456Z".parse::<DateTime<Utc>>().unwrap());
        assert!(arrival.statement.payload.contains(r#""authority":{"mbox":"mailto:other@lrs.example"}"#));
        assert!(!arrival.statement.payload.contains("stored"), "the column has it");
        assert!(!arrival.statement.has_timestamp, "a reader sees stored in the place of a timestamp");
        assert!(arrival.statement.payload.contains(r#""version":"1.0.0""#));
    }

    #[test]
    fn each_version_is_read_by_its_own_rules() {
        let mut newer = statement();
        newer["context"] =
            json!({"contextAgents": [{"objectType": "contextAgent", "agent": {"mbox": "mailto:b@x.example"}}]});
        assert!(matches!(read(&newer), Err(LoadError::Unreadable(_))), "1.0.3 has no contextAgents");
        newer["version"] = json!("2.0.0");
        assert!(read(&newer).unwrap().statement.payload.contains(r#""version":"2.0.0""#));
    }

    #[test]
    fn what_lacks_its_past_is_refused_by_name() {
        for name in ["id", "stored", "authority"] {
            let mut poor = statement();
            poor.as_object_mut().unwrap().remove(name);
            assert!(read(&poor).unwrap_err().to_string().contains(name), "{name}");
        }
        for wrong in [json!({"stored": "yesterday"}), json!({"actor": {}}), json!({"verb": "did"})] {
            let mut bad = statement();
            bad.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            assert!(matches!(read(&bad), Err(LoadError::Unreadable(_))), "{wrong}");
        }
        assert!(Reader::of(TenantId(Uuid::nil())).read(b"{").is_err());
        assert!(Reader::of(TenantId(Uuid::nil())).read(b"[]").is_err());
    }
}
