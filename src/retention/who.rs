//! Whom and what a hold is about, as people name it. Pure but for the keys of a user, which the ledger knows.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Retention, RetentionError};
use crate::{
    model::{TenantId, retention::Course},
    store::ledger::holds::Scope,
    xapi::{
        Limits, Version,
        keys::{self, Ifi},
        read,
    },
};

/// Identifiers of one person at most.
pub const MOST: usize = 10_000;

/// A person by some of their identifiers, each as the Agent that would carry it, and by the platform's id.
#[derive(Clone, Debug, Default)]
pub struct Person {
    pub agents: Vec<Map<String, Value>>,
    pub user: Option<String>,
}

/// An identifier alone as an Agent.
pub fn agent(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([("objectType".to_owned(), json!("Agent")), (name.to_owned(), value)])
}

/// `HOME|NAME` as an account.
pub fn account(text: &str) -> Result<Map<String, Value>, RetentionError> {
    let wrong = || RetentionError::Refused(format!("{text:?} is no account: write HOMEPAGE|NAME"));
    let (home, name) = text.rsplit_once('|').ok_or_else(wrong)?;
    Ok(agent("account", json!({ "homePage": home, "name": name })))
}

/// A course by its id, which is an activity's.
pub fn course(tenant: TenantId, id: &str) -> Result<Course, RetentionError> {
    let text = json!({ "actor": { "mbox": "mailto:a@example.com" }, "verb": { "id": "http://example.com/v" }, "object": { "id": id } });
    if id.is_empty()
        || id.len() > 4_000
        || read::statements(text.to_string().as_bytes(), Version::V2_0_0, &Limits::default()).is_err()
    {
        return Err(RetentionError::Refused(format!("{id:?} is no course: an activity's id is an absolute IRI")));
    }
    Ok(Course { id: id.to_owned(), key: keys::activity(tenant.0, id) })
}

/// A registration as the scope of a hold.
pub fn registration(tenant: TenantId, text: &str) -> Result<Scope, RetentionError> {
    let id: Uuid =
        text.parse().map_err(|_| RetentionError::Refused(format!("{text:?} is no registration: it is a UUID")))?;
    Ok(Scope::Registration { named: id.to_string(), key: keys::registration(tenant.0, id) })
}

impl Retention {
    /// A person as the scope of a hold: the keys of all that was named. Who has no statement yet is held all the same, where an
    /// identifier was named.
    pub async fn person(&self, tenant: TenantId, person: &Person) -> Result<Scope, RetentionError> {
        let Person { agents, user } = person;
        if agents.len() > MOST {
            let count = agents.len();
            return Err(RetentionError::Refused(format!(
                "{count} identifiers were named, and one hold takes at most {MOST}"
            )));
        }
        let mut found = Vec::with_capacity(agents.len());
        for agent in agents {
            let text = Value::Object(agent.clone()).to_string();
            let checked = read::agent(&text, Version::V2_0_0, &Limits::default());
            let ifi = checked.as_ref().ok().and_then(|_| Ifi::of(agent));
            let why = checked.err().map(|why| why.to_string()).unwrap_or_default();
            let ifi =
                ifi.ok_or_else(|| RetentionError::Refused(format!("{text} is no Agent with one identifier: {why}")))?;
            found.push(keys::agent(tenant.0, &ifi));
        }
        if let Some(user) = user {
            let known = self.store.agent_keys(tenant, user).await?;
            if known.is_empty() && found.is_empty() {
                return Err(RetentionError::Refused(format!(
                    "nobody is known as the user {user:?}: name an identifier"
                )));
            }
            found.extend(known);
        }
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(RetentionError::Refused("a hold on a person names at least one identifier".to_owned()));
        }
        Ok(Scope::Person(found))
    }
}
