//! An event as it goes out: a CloudEvents 1.0 envelope in structured JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::TenantId;

/// One event. Two with the same type and id are the same event, however often they arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `progress.….v1`: also the topic.
    pub kind: &'static str,
    pub id: String,
    pub tenant: TenantId,
    pub subject: String,
    pub time: DateTime<Utc>,
    /// What keeps its order: the attempt, else the actor.
    pub key: String,
    /// What belongs together beyond this event: the registration, the attempt.
    pub correlation: String,
    /// What made it happen: the id of a statement.
    pub causation: String,
    pub data: Map<String, Value>,
}

impl Event {
    /// The envelope as JSON text.
    pub fn to_json(&self) -> String {
        json!({
            "specversion": "1.0",
            "id": self.id,
            "type": self.kind,
            "source": format!("/tenants/{}", self.tenant),
            "subject": self.subject,
            "time": self.time.to_rfc3339_opts(SecondsFormat::Micros, true),
            "datacontenttype": "application/json",
            "dataschema": format!("urn:progress:schema:{}", self.kind),
            "tenantid": self.tenant.to_string(),
            "traceparent": self.traceparent(),
            "correlationid": self.correlation,
            "causationid": self.causation,
            "idempotencykey": format!("{}:{}", self.kind, self.id),
            "data": self.data,
        })
        .to_string()
    }

    /// The ledger does not keep the trace of the request. This one is made of the cause, so that whatever one
    /// statement sets off is one trace, also when it is sent again.
    fn traceparent(&self) -> String {
        let trace: String = self.causation.chars().filter(char::is_ascii_hexdigit).take(32).collect();
        format!("00-{trace:0<32}-{}-00", &format!("{trace:1<16}")[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_has_every_attribute() {
        let event = Event {
            kind: "progress.statement.stored.v1",
            id: "5f4f0fcc-3d4c-4f63-9d3a-000000000001".to_owned(),
            tenant: TenantId::DEFAULT,
            subject: "s".to_owned(),
            time: DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap(),
            key: "k".to_owned(),
            correlation: "c".to_owned(),
            causation: "5f4f0fcc-3d4c-4f63-9d3a-000000000001".to_owned(),
            data: Map::new(),
        };
        let envelope: Value = serde_json::from_str(&event.to_json()).unwrap();
        assert_eq!(envelope["time"], "2026-11-21T08:24:04.225209Z");
        assert_eq!(envelope["traceparent"], "00-5f4f0fcc3d4c4f639d3a000000000001-5f4f0fcc3d4c4f63-00");
        assert!(envelope.as_object().unwrap().values().all(|value| value.is_string() || value.is_object()));
    }
}
