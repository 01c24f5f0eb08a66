//! `progress.statement.stored.v1`: what of a statement goes out. Never a name, a mailbox or a result.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    model::{Event, Pseudonyms, TenantId, names::given},
    store::progress::relay::Outgoing,
    xapi::time,
};

/// The event type, and the topic without its prefix.
pub const STATEMENT_STORED: &str = "progress.statement.stored.v1";

const PLATFORM: &str = "http://ghasi.io/xapi/extensions/";

/// The few places of a statement that matter here; everything else is skipped without being built.
#[derive(Deserialize, Default)]
struct Glimpse<'a> {
    #[serde(borrow, default)]
    verb: Id<'a>,
    #[serde(borrow, default)]
    object: Id<'a>,
    #[serde(borrow, default)]
    context: Context<'a>,
}

#[derive(Deserialize, Default)]
struct Id<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "objectType")]
    object_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct Context<'a> {
    #[serde(borrow, default)]
    registration: Option<Cow<'a, str>>,
    #[serde(default)]
    extensions: Map<String, Value>,
}

impl Context<'_> {
    /// One of the platform's names, in the form in which projections know it too.
    fn platform(&self, tenant: TenantId, name: &str) -> Option<String> {
        let value = self.extensions.get(&format!("{PLATFORM}{name}"))?;
        let text = value.as_str().map(Cow::from).or_else(|| value.as_number().map(|number| number.to_string().into()));
        given(tenant, name, &text?)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    statement_id: &'a str,
    verb_id: &'a str,
    timestamp: String,
    stored: String,
    actor_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    course_version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<&'a str>,
}

/// The event of one statement. The ledger's payloads are valid; one that is not still has its ids.
pub(super) fn event(tenant: TenantId, statement: &Outgoing, pseudonyms: &Pseudonyms) -> Event {
    let glimpse: Glimpse<'_> = serde_json::from_str(&statement.payload).unwrap_or_default();
    let id = statement.id.to_string();
    // The same actor has the same key; an anonymous group is known by its statement.
    let actor = pseudonyms.of(statement.agent_key.unwrap_or(statement.id));
    let attempt = glimpse.context.platform(tenant, "attempt-id");
    let registration = glimpse.context.registration.as_deref();
    let is_activity = matches!(glimpse.object.object_type.as_deref(), None | Some("Activity"));
    let data = Data {
        statement_id: &id,
        verb_id: glimpse.verb.id.as_deref().unwrap_or_default(),
        timestamp: time::text(statement.occurred.unwrap_or(statement.stored)),
        stored: time::text(statement.stored),
        actor_key: &actor,
        activity_id: glimpse.object.id.as_deref().filter(|_| is_activity),
        attempt_id: attempt.as_deref(),
        enrollment_id: glimpse.context.platform(tenant, "enrollment-id"),
        // Another text may be somebody's name.
        user_id: glimpse.context.platform(tenant, "user-id").filter(|user| Uuid::parse_str(user).is_ok()),
        course_version_id: glimpse.context.platform(tenant, "course-version-id"),
        registration,
    };
    let data = serde_json::to_string(&data).unwrap_or_else(|_| "{}".to_owned());
    let correlation = attempt.as_deref().or(registration).unwrap_or(&id).to_owned();
    Event {
        kind: STATEMENT_STORED.into(),
        id: id.clone(),
        tenant,
        subject: id.clone(),
        time: statement.stored,
        correlation,
        key: attempt.unwrap_or(actor),
        causation: id,
        traceparent: None,
        data,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn outgoing(payload: &str) -> Outgoing {
        let stored = DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap();
        let agent_key = Some(Uuid::from_u128(9));
        Outgoing { id: Uuid::from_u128(7), stored, occurred: None, agent_key, payload: payload.to_owned() }
    }

    #[test]
    fn the_attempt_keeps_the_order_and_no_person_is_in_it() {
        let event = event(
            TenantId::DEFAULT,
            &outgoing(
                r#"{"actor": {"name": "Ann", "mbox": "mailto:ann@example.com"}, "verb": {"id": "http://e.example/v"},
                    "object": {"id": "http://e.example/a", "definition": {"name": {"en": "x"}}},
                    "context": {"registration": "r", "extensions":
                        {"http://ghasi.io/xapi/extensions/attempt-id": "attempt-1", "http://other.example/x": 1}}}"#,
            ),
            &Pseudonyms::with_key(b"key"),
        );
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!((event.key.as_str(), event.correlation.as_str()), ("attempt-1", "attempt-1"));
        assert_eq!(data["activityId"], "http://e.example/a");
        assert_eq!(data["timestamp"], data["stored"]);
        let text = event.to_json().unwrap();
        assert!(!text.contains("Ann") && !text.contains("ann@"), "{text}");
    }

    #[test]
    fn without_an_attempt_the_actor_keeps_the_order() {
        let of = |key: &[u8]| {
            let payload = r#"{"object": {"objectType": "StatementRef", "id": "x"}}"#;
            event(TenantId::DEFAULT, &outgoing(payload), &Pseudonyms::with_key(key))
        };
        let event = of(b"key");
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(event.key, data["actorKey"]);
        assert_eq!(data.get("activityId"), None);
        assert_ne!(event.key, of(b"another key").key);
    }
}
