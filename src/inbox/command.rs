//! A message becomes a command, or a reason why it cannot; pure. A reason never repeats what the message says of a person.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    model::TenantId,
    xapi::{Limits, json},
};

/// What other services may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    Erasure,
    Residency,
}

impl CommandKind {
    pub const ALL: [Self; 2] = [Self::Erasure, Self::Residency];

    /// The event type, and the topic without its prefix.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Erasure => "gdpr.subject_request.erasure.v1",
            Self::Residency => "tenant.data_residency.changed.v1",
        }
    }

    /// The event type that says the command has arrived.
    pub fn acknowledgement(self) -> &'static str {
        match self {
            Self::Erasure => "gdpr.subject_request.acknowledged.v1",
            Self::Residency => "progress.residency.acknowledged.v1",
        }
    }

    /// What a recorded request of this kind is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erasure => "erasure",
            Self::Residency => "residency",
        }
    }

    /// The property of the data that names the request.
    fn id_property(self) -> &'static str {
        match self {
            Self::Erasure => "requestId",
            Self::Residency => "changeId",
        }
    }

    /// The published schema.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Erasure => include_str!("../../schemas/events/consumed/gdpr.subject_request.erasure.v1.json"),
            Self::Residency => include_str!("../../schemas/events/consumed/tenant.data_residency.changed.v1.json"),
        }
    }

    fn validator(self) -> Option<&'static Validator> {
        static COMPILED: [OnceLock<Option<Validator>>; 2] = [OnceLock::new(), OnceLock::new()];
        let compile = || {
            let schema: Value = serde_json::from_str(self.schema()).ok()?;
            jsonschema::options().should_validate_formats(true).build(&schema).ok()
        };
        COMPILED[self as usize].get_or_init(compile).as_ref()
    }
}

/// A command that fits its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub kind: CommandKind,
    pub tenant: TenantId,
    /// Together with the id, what makes two messages the same event.
    pub source: String,
    pub event_id: String,
    /// The saga's name for what is asked.
    pub request_id: String,
    /// What the sender says belongs together, or else the event.
    pub correlation: String,
    pub data: Map<String, Value>,
}

/// Violations that a reason lists; the first say enough.
const LISTED: usize = 5;

/// Reads a message of the topic of `kind`.
pub fn read(kind: CommandKind, message: &[u8]) -> Result<Command, String> {
    let envelope = json::parse(message, &Limits::default()).map_err(|violations| {
        // The parser's own words may quote the message; the names of its rules do not.
        let rules: Vec<&str> = violations.0.iter().take(LISTED).map(|violation| violation.rule).collect();
        format!("it is no JSON that can be read in one way only: {}", rules.join(", "))
    })?;
    let validator = kind.validator().ok_or("its schema is not at hand")?;
    let violations: Vec<String> = validator
        .iter_errors(&envelope)
        .take(LISTED)
        .map(|error| format!("{:?} breaks {}", error.instance_path().to_string(), error.schema_path()))
        .collect();
    if !violations.is_empty() {
        return Err(format!("it does not fit its schema: {}", violations.join(", ")));
    }
    let text = |name: &str| envelope.get(name).and_then(Value::as_str).map(str::to_owned);
    let tenant: Option<Uuid> = text("tenantid").and_then(|tenant| tenant.parse().ok());
    let data = envelope.get("data").and_then(Value::as_object);
    let request_id = data.and_then(|data| data.get(kind.id_property())).and_then(Value::as_str);
    match (tenant, text("source"), text("id"), request_id, data) {
        (Some(tenant), Some(source), Some(event_id), Some(request_id), Some(data)) => Ok(Command {
            kind,
            tenant: TenantId(tenant),
            correlation: text("correlationid").unwrap_or_else(|| event_id.clone()),
            source,
            event_id,
            request_id: request_id.to_owned(),
            data: data.clone(),
        }),
        _ => Err("its schema let pass what cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn erasure() -> Value {
        json!({"specversion": "1.0", "id": "e1", "type": "gdpr.subject_request.erasure.v1", "source": "/gdpr",
            "time": "2026-11-21T12:00:00Z", "tenantid": TenantId::DEFAULT, "later": "what we do not know",
            "data": {"requestId": "r1", "subject": {"userId": "u1", "agents": [{"mbox": "mailto:ann@example.com"}]}}})
    }

    fn residency() -> Value {
        json!({"specversion": "1.0", "id": "e1", "type": "tenant.data_residency.changed.v1", "source": "/tenants",
            "time": "2026-11-21T12:00:00Z", "tenantid": TenantId::DEFAULT, "correlationid": "saga-1",
            "data": {"changeId": "c1", "toRegion": "eu-central-1"}})
    }

    fn refused(kind: CommandKind, mut message: Value, change: impl Fn(&mut Value)) -> String {
        change(&mut message);
        read(kind, message.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn what_fits_becomes_a_command_and_what_is_unknown_is_ignored() {
        let command = read(CommandKind::Erasure, erasure().to_string().as_bytes()).unwrap();
        assert_eq!((command.request_id.as_str(), command.correlation.as_str()), ("r1", "e1"));
        let command = read(CommandKind::Residency, residency().to_string().as_bytes()).unwrap();
        assert_eq!((command.request_id.as_str(), command.correlation.as_str()), ("c1", "saga-1"));
        assert_eq!(command.data["toRegion"], "eu-central-1");
    }

    #[test]
    fn every_part_that_is_needed_is_missed() {
        for pointer in ["specversion", "id", "type", "source", "tenantid", "data"] {
            let why = refused(CommandKind::Erasure, erasure(), |m| drop(m.as_object_mut().unwrap().remove(pointer)));
            assert!(why.contains("/required"), "{pointer}: {why}");
        }
        for (pointer, value) in [
            ("/tenantid", json!("nobody")),
            ("/type", json!("tenant.data_residency.changed.v1")),
            ("/id", json!("")),
            ("/id", json!("x".repeat(257))),
            ("/data/requestId", json!("a\u{0}b")),
            ("/data/subject", json!({})),
            ("/data/subject/agents", json!([])),
            ("/data/subject/agents/0", json!({"name": "Ann"})),
        ] {
            let why = refused(CommandKind::Erasure, erasure(), |m| *m.pointer_mut(pointer).unwrap() = value.clone());
            assert!(why.contains(pointer), "{pointer}: {why}");
        }
        // What no column could hold is refused before it is anywhere.
        for (kind, message, pointers) in [
            (CommandKind::Erasure, erasure(), ["/source", "/id", "/data/requestId"]),
            (CommandKind::Residency, residency(), ["/correlationid", "/data/changeId", "/data/toRegion"]),
        ] {
            for pointer in pointers {
                let why = refused(kind, message.clone(), |m| *m.pointer_mut(pointer).unwrap() = json!("a\u{0}b"));
                assert!(why.contains(pointer), "{pointer}: {why}");
            }
        }
        let why = refused(CommandKind::Residency, residency(), |m| m["data"]["toRegion"] = json!(7));
        assert!(why.contains("/data/toRegion"), "{why}");
    }

    #[test]
    fn a_reason_repeats_nothing_of_a_person() {
        let why = refused(CommandKind::Erasure, erasure(), |m| m["data"]["subject"] = json!("ann@example.com"));
        assert!(!why.contains("ann"), "{why}");
        let why = read(CommandKind::Erasure, b"{\"mbox\": mailto:ann@example.com}").unwrap_err();
        assert!(why.contains("json.syntax") && !why.contains("ann"), "{why}");
        assert!(read(CommandKind::Erasure, &[0xff, 0xfe]).is_err());
    }

    #[test]
    fn a_message_that_says_two_things_is_not_read_as_one_of_them() {
        let twice = erasure().to_string().replacen("{", r#"{"tenantid": "00000000-0000-4000-8000-000000000002","#, 1);
        let why = read(CommandKind::Erasure, twice.as_bytes()).unwrap_err();
        assert!(why.contains("json.key.duplicate") && !why.contains("tenantid"), "{why}");
        for message in ["[]", r#"["1.0", "e1"]"#, "null"] {
            assert!(read(CommandKind::Erasure, message.as_bytes()).is_err(), "{message}");
        }
    }
}
