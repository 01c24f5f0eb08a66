//! Where documents may be: xAPI lists those of an agent or activity that one names, and statements name them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    cold::Cold,
    model::TenantId,
    transfer::TransferError,
    xapi::{keys::Ifi, query::DocumentScope},
};

/// Statements read at once.
const LINES: i64 = 2_000;

/// Places by their keys.
#[derive(Debug, Default)]
pub struct Places(BTreeMap<Uuid, Place>);

#[derive(Debug)]
pub struct Place {
    pub scope: DocumentScope,
    /// When a statement that names it was first stored.
    pub first: DateTime<Utc>,
    /// The same of each registration with which its state was named.
    pub registrations: BTreeMap<Uuid, DateTime<Utc>>,
}

impl Places {
    /// All that statements of the tenant name, archived ones too.
    pub async fn of(cold: &Cold, tenant: TenantId) -> Result<Self, TransferError> {
        let mut lines = cold.lines(tenant, DateTime::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC, LINES);
        let mut places = Self::default();
        loop {
            let some = Box::pin(lines.next()).await?;
            if some.is_empty() {
                return Ok(places);
            }
            let hidden = cold.hidden(tenant).await?;
            for line in some.iter().filter(|line| !hidden.contains(&line.stored)) {
                if let Ok(named) = serde_json::from_str::<Named>(&line.payload) {
                    places.add(tenant, &named, line.stored);
                }
            }
        }
    }

    fn add(&mut self, tenant: TenantId, named: &Named, stored: DateTime<Utc>) {
        let mut add = |scope: DocumentScope, registration: Option<Uuid>| {
            let place = self.0.entry(scope.scope_key(tenant.0)).or_insert_with(|| Place {
                scope,
                first: stored,
                registrations: BTreeMap::new(),
            });
            registration.into_iter().for_each(|one| _ = place.registrations.entry(one).or_insert(stored));
        };
        let agent = Ifi::of(&named.actor);
        for activity in named.activities() {
            if let Some(agent) = agent.clone() {
                let state = DocumentScope::State { activity: activity.to_owned(), agent, registration: None };
                add(state, named.context.registration);
            }
            add(DocumentScope::ActivityProfile { activity: activity.to_owned() }, None);
        }
        let others = [&named.object, &named.context.instructor].into_iter().filter_map(Ifi::of);
        for agent in agent.into_iter().chain(others) {
            add(DocumentScope::AgentProfile { agent }, None);
        }
    }

    /// Those behind a place, in the order of their keys.
    pub fn behind(self, key: Uuid) -> impl Iterator<Item = (Uuid, Place)> {
        self.0.into_iter().skip_while(move |(found, _)| *found <= key)
    }
}

/// What a statement names.
#[derive(Deserialize)]
struct Named {
    actor: Map<String, Value>,
    #[serde(default)]
    object: Map<String, Value>,
    #[serde(default)]
    context: Context,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Context {
    registration: Option<Uuid>,
    instructor: Map<String, Value>,
    context_activities: HashMap<String, Value>,
}

impl Named {
    fn activities(&self) -> Vec<&str> {
        let is_activity = self.object.get("objectType").is_none_or(|kind| kind == "Activity");
        let object = self.object.get("id").filter(|_| is_activity);
        // An older form has one where a list may stand.
        let of_context = self.context.context_activities.values().flat_map(|some| match some {
            Value::Array(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        });
        object.into_iter().chain(of_context.filter_map(|one| one.get("id"))).filter_map(Value::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    fn places(statements: &[Value]) -> Vec<String> {
        let mut places = Places::default();
        for (at, one) in (0..).zip(statements) {
            let named = serde_json::from_value(one.clone()).unwrap();
            places.add(TenantId(Uuid::from_u128(7)), &named, DateTime::UNIX_EPOCH + TimeDelta::seconds(at));
        }
        let mut said: Vec<String> = places
            .behind(Uuid::nil())
            .map(|(_, Place { scope, first, registrations })| {
                let text = match scope {
                    DocumentScope::State { activity, agent, .. } => format!("{} {activity}", name(&agent)),
                    DocumentScope::ActivityProfile { activity } => activity,
                    DocumentScope::AgentProfile { agent } => name(&agent),
                };
                let registered = registrations.values().map(|first| format!(" r{}", first.timestamp()));
                format!("{text} {}{}", first.timestamp(), registered.collect::<String>())
            })
            .collect();
        said.sort();
        said
    }

    fn name(agent: &Ifi) -> String {
        match agent {
            Ifi::Mbox(mbox) => mbox.trim_start_matches("mailto:").to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn whatever_a_statement_names_is_a_place_once() {
        let of = |who: &str, what: Value, context: Value| json!({"actor": {"mbox": format!("mailto:{who}")}, "object": what, "context": context});
        let registered = json!({"registration": "ec531277-b57b-4c15-8d91-d292c5b2b8f7"});
        let parents = json!({"contextActivities": {"parent": [{"id": "x:p"}], "grouping": {"id": "x:g"}}});
        let taught = json!({"instructor": {"mbox": "mailto:t"}});
        let said = places(&[of("a", json!({"id": "x:1"}), json!({})), of("a", json!({"id": "x:1"}), registered)]);
        assert_eq!(said, ["a 0", "a x:1 0 r1", "x:1 0"]);
        let said = places(&[of("a", json!({"id": "x:1"}), parents)]);
        assert_eq!(said, ["a 0", "a x:1 0", "a x:g 0", "a x:p 0", "x:1 0", "x:g 0", "x:p 0"]);
        let said = places(&[
            of("a", json!({"objectType": "StatementRef", "id": "ec531277-b57b-4c15-8d91-d292c5b2b8f7"}), json!({})),
            of("a", json!({"objectType": "Agent", "mbox": "mailto:b"}), taught),
            json!({"actor": {"objectType": "Group", "member": []}, "object": {"id": "x:1"}}),
        ]);
        assert_eq!(said, ["a 0", "b 1", "t 1", "x:1 2"]);
    }

    #[test]
    fn who_was_interrupted_goes_on_behind_a_place() {
        let named = json!({"actor": {"mbox": "mailto:a"}, "object": {"id": "x:1"}});
        let mut places = [Places::default(), Places::default()];
        for some in &mut places {
            some.add(TenantId(Uuid::nil()), &serde_json::from_value(named.clone()).unwrap(), DateTime::UNIX_EPOCH);
        }
        let [all, some] = places;
        let all: Vec<Uuid> = all.behind(Uuid::nil()).map(|(key, _)| key).collect();
        assert_eq!(some.behind(all[0]).map(|(key, _)| key).collect::<Vec<_>>(), all[1..]);
    }
}
