//! An event as it goes out: a CloudEvents 1.0 envelope in structured JSON.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::TenantId;

/// Where what cannot be delivered or understood goes, with the reason.
pub const DEAD_LETTER: &str = "progress.dlq";

/// One event. Two with the same type and id are the same event, however often they arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `progress.….v1`: also the topic.
    pub kind: Cow<'static, str>,
    pub id: String,
    pub tenant: TenantId,
    pub subject: String,
    pub time: DateTime<Utc>,
    /// What keeps its order: the attempt, else the actor.
    pub key: String,
    /// What belongs together beyond this event: the registration, the attempt, the enrollment.
    pub correlation: String,
    /// What made it happen: the id of a statement.
    pub causation: String,
    /// Of the span that tells it, where the request behind it is traced.
    pub traceparent: Option<String>,
    /// A JSON object as text.
    pub data: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'a str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    source: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'a str,
    dataschema: String,
    tenantid: String,
    traceparent: String,
    correlationid: &'a str,
    causationid: &'a str,
    idempotencykey: String,
    data: &'a RawValue,
}

impl Event {
    /// The envelope as JSON text; fails when `data` is not JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Envelope {
            specversion: "1.0",
            id: &self.id,
            kind: &self.kind,
            source: format!("/tenants/{}", self.tenant),
            subject: &self.subject,
            time: self.time.to_rfc3339_opts(SecondsFormat::Micros, true),
            datacontenttype: "application/json",
            dataschema: format!("urn:progress:schema:{}", self.kind),
            tenantid: self.tenant.to_string(),
            traceparent: self.traceparent.clone().unwrap_or_else(|| self.made_up_traceparent()),
            correlationid: &self.correlation,
            causationid: &self.causation,
            idempotencykey: format!("{}:{}", self.kind, self.id),
            data: serde_json::from_str(&self.data)?,
        })
    }

    /// What stands in the dead letters in place of this event: everything but its data, and why.
    pub fn dead_letter(&self, topic: &str, reason: &str, bytes: usize) -> Self {
        let data = json!({ "topic": topic, "reason": reason, "bytes": bytes, "type": self.kind, "id": self.id });
        Self {
            kind: DEAD_LETTER.into(),
            id: format!("{}:{}", self.kind, self.id),
            data: data.to_string(),
            ..self.clone()
        }
    }

    /// The trace of most requests is not kept. This one is made of the cause, so that whatever one statement sets off is
    /// one trace, also when it is sent again.
    fn made_up_traceparent(&self) -> String {
        let trace: String = self.causation.chars().filter(char::is_ascii_hexdigit).take(32).collect();
        format!("00-{trace:0<32}-{}-00", &format!("{trace:1<16}")[..16]).to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn event(data: &str) -> Event {
        Event {
            kind: "progress.statement.stored.v1".into(),
            id: "5f4f0fcc-3d4c-4f63-9d3a-000000000001".to_owned(),
            tenant: TenantId::DEFAULT,
            subject: "s".to_owned(),
            time: DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap(),
            key: "k".to_owned(),
            correlation: "c".to_owned(),
            causation: "5f4f0fcc-3d4c-4f63-9d3a-000000000001".to_owned(),
            traceparent: None,
            data: data.to_owned(),
        }
    }

    #[test]
    fn the_envelope_has_every_attribute_and_the_data_as_it_is() {
        let text = event(r#"{"score":0.5000}"#).to_json().unwrap();
        assert!(text.contains(r#""data":{"score":0.5000}"#), "{text}");
        let envelope: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(envelope["time"], "2026-11-21T08:24:04.225209Z");
        assert_eq!(envelope["traceparent"], "00-5f4f0fcc3d4c4f639d3a000000000001-5f4f0fcc3d4c4f63-00");
        assert!(envelope.as_object().unwrap().values().all(|value| value.is_string() || value.is_object()));
        assert!(event("no JSON").to_json().is_err());
        let kept = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let traced = Event { traceparent: Some(kept.to_owned()), ..event("{}") };
        assert_eq!(serde_json::from_str::<Value>(&traced.to_json().unwrap()).unwrap()["traceparent"], kept);
    }

    #[test]
    fn a_dead_letter_names_the_event_and_leaves_its_data_behind() {
        let letter = event(r#"{"secret":1}"#).dead_letter("t", "too large", 7);
        let envelope: Value = serde_json::from_str(&letter.to_json().unwrap()).unwrap();
        assert_eq!(envelope["type"], DEAD_LETTER);
        assert_eq!((&envelope["data"]["reason"], &envelope["data"]["bytes"]), (&json!("too large"), &json!(7)));
        assert_eq!(envelope["data"]["id"], "5f4f0fcc-3d4c-4f63-9d3a-000000000001");
        assert!(!envelope.to_string().contains("secret"));
    }
}
