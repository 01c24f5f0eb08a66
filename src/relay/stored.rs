//! `progress.statement.stored.v1`: what of a statement goes out. Never a name, a mailbox or a result.

use std::borrow::Cow;

use chrono::SecondsFormat;
use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    model::{Event, TenantId},
    store::relay::Outgoing,
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
    fn platform(&self, name: &str) -> Option<String> {
        self.extensions.get(&format!("{PLATFORM}{name}")).and_then(Value::as_str).map(str::to_owned)
    }
}

/// The event of one statement. The ledger's payloads are valid; one that is not still has its ids.
pub(super) fn event(tenant: TenantId, statement: &Outgoing, key: &[u8]) -> Event {
    let glimpse: Glimpse<'_> = serde_json::from_str(&statement.payload).unwrap_or_default();
    let id = statement.id.to_string();
    let time = |moment: chrono::DateTime<chrono::Utc>| moment.to_rfc3339_opts(SecondsFormat::Micros, true);
    let actor = actor_key(statement, key);
    let attempt = glimpse.context.platform("attempt-id");
    let registration = glimpse.context.registration.as_deref().map(str::to_owned);
    let is_activity = matches!(glimpse.object.object_type.as_deref(), None | Some("Activity"));
    let activity = glimpse.object.id.as_deref().filter(|_| is_activity).map(str::to_owned);
    let fields = [
        ("statementId", Some(id.clone())),
        ("verbId", Some(glimpse.verb.id.as_deref().unwrap_or_default().to_owned())),
        ("timestamp", Some(time(statement.occurred.unwrap_or(statement.stored)))),
        ("stored", Some(time(statement.stored))),
        ("actorKey", Some(actor.clone())),
        ("activityId", activity),
        ("attemptId", attempt.clone()),
        ("enrollmentId", glimpse.context.platform("enrollment-id")),
        ("userId", glimpse.context.platform("user-id")),
        ("courseVersionId", glimpse.context.platform("course-version-id")),
        ("registration", registration.clone()),
    ];
    let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?))));
    Event {
        kind: STATEMENT_STORED,
        id: id.clone(),
        tenant,
        subject: id.clone(),
        time: statement.stored,
        correlation: attempt.clone().or(registration).unwrap_or_else(|| id.clone()),
        key: attempt.unwrap_or(actor),
        causation: id,
        data: present.collect(),
    }
}

/// The same actor has the same key; who it is cannot be told without ours. An anonymous group is known by its statement.
fn actor_key(statement: &Outgoing, key: &[u8]) -> String {
    let actor = statement.agent_key.unwrap_or(statement.id);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), actor.as_bytes());
    hex::encode(&tag.as_ref()[..16])
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
            b"key",
        );
        assert_eq!((event.key.as_str(), event.correlation.as_str()), ("attempt-1", "attempt-1"));
        assert_eq!(event.data["activityId"], "http://e.example/a");
        assert_eq!(event.data["timestamp"], event.data["stored"]);
        assert!(!event.to_json().contains("Ann") && !event.to_json().contains("ann@"));
    }

    #[test]
    fn without_an_attempt_the_actor_keeps_the_order() {
        let of = |key: &[u8]| {
            event(TenantId::DEFAULT, &outgoing(r#"{"object": {"objectType": "StatementRef", "id": "x"}}"#), key)
        };
        let event = of(b"key");
        assert_eq!(event.key, event.data["actorKey"]);
        assert!(!event.data.contains_key("activityId"));
        assert_ne!(event.key, of(b"another key").key);
    }
}
