//! What is told of a rollout: an event as it goes to Kafka, and as it stands in the body of a webhook. Pure.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    model::{Event, TenantId, masked::masked, names::derived},
    store::platform::tellings::{News, Receiver},
};

/// Its type.
pub const CHANGED: &str = "progress.rollout.changed.v1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed<'a> {
    rollout_id: String,
    name: &'a str,
    number: i64,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<Value>,
}

/// The event of one piece of news, the same whenever it is told. Who did it, and what a person wrote, stays here.
pub fn event(to: &Receiver, news: &News) -> Event {
    let (rollout, tenant) = (to.rollout.to_string(), TenantId::DEFAULT);
    let data = Changed {
        rollout_id: rollout.clone(),
        name: &to.of,
        number: news.number,
        what: &news.what,
        step: Some(news.step.as_str()).filter(|step| !step.is_empty()),
        why: news.detail["why"].as_str().filter(|_| news.what != "aborted").map(masked),
        figures: figures(&news.detail),
    };
    Event {
        kind: CHANGED.into(),
        id: id(to, news).to_string(),
        tenant,
        subject: rollout.clone(),
        time: news.at,
        key: rollout.clone(),
        correlation: rollout.clone(),
        causation: rollout,
        traceparent: None,
        data: json!(data).to_string(),
    }
}

/// By what a message is known that comes twice. A database that came back from a backup counts on from there: other news with the same
/// number have another time.
pub fn id(to: &Receiver, news: &News) -> Uuid {
    let (number, at) = (news.number.to_string(), news.at.timestamp_micros().to_string());
    derived(TenantId::DEFAULT, CHANGED, &[&to.rollout.to_string(), &number, &at])
}

/// Requests of who has the new version, and of who has the old one.
fn figures(detail: &Value) -> Option<Value> {
    let figures = detail.get("figures").unwrap_or(detail);
    Some(json!({ "new": figures.get("new")?, "old": figures.get("old")? }))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn told(what: &str, step: &str, detail: Value) -> Value {
        let to = Receiver {
            rollout: Uuid::from_u128(7),
            of: "a-change".to_owned(),
            name: "ops".to_owned(),
            told: 0,
            told_at: None,
            count: 0,
            waiting: 1,
            failures: 0,
            last_error: None,
            failed_at: None,
            retry_at: None,
            given_up_at: None,
            is_due: true,
        };
        let at = DateTime::from_timestamp(1_795_249_444, 0).unwrap();
        let news = News { number: 3, at, step: step.to_owned(), what: what.to_owned(), detail };
        let event = event(&to, &news);
        assert_eq!(event, super::event(&Receiver { failures: 4, ..to.clone() }, &news), "the same at every try");
        let later = News { at: at + chrono::TimeDelta::microseconds(1), ..news };
        assert_ne!(event.id, super::event(&to, &later).id);
        serde_json::from_str(&event.to_json().unwrap()).unwrap()
    }

    #[test]
    fn what_happened_is_told_with_its_reason_and_figures() {
        let counted = json!({ "requests": 200, "errors": 9, "slow": 0 });
        let why = "errors: 4.50 % of the requests of pilots, 0.00 % of those of the rest";
        let figures = json!({ "new": counted, "old": counted });
        let event = told("worse", "pilots", json!({ "why": why, "figures": figures }));
        let id = Uuid::from_u128(7).to_string();
        let expected = json!({ "rolloutId": id, "name": "a-change", "number": 3, "what": "worse", "step": "pilots", "why": why,
            "figures": figures });
        assert_eq!(event["data"], expected);
        assert_eq!((&event["subject"], &event["type"]), (&json!(id), &json!(CHANGED)));
        let done = told("done", "pilots", figures.clone());
        assert_eq!((&done["data"]["figures"], done["data"].get("why")), (&figures, None));
        let started = told("started", "", json!({ "digest": "0123" }));
        assert_eq!(started["data"], json!({ "rolloutId": id, "name": "a-change", "number": 3, "what": "started" }));
    }

    #[test]
    fn nobody_is_told_of_a_person() {
        let abort = told("aborted", "pilots", json!({ "why": "Ann says so" }));
        assert!(!abort.to_string().contains("Ann"), "{abort}");
        let why = "integrity: names: the value \"Ann\" of ann@example.com";
        for what in ["worse", "rolled_back", "holds"] {
            let event = told(what, "pilots", json!({ "why": why, "figures": { "wrong": [why], "job": 1 } }));
            let shown = event.to_string();
            assert!(!shown.contains("Ann") && !shown.contains("ann@") && shown.contains("integrity: names"), "{event}");
        }
    }
}
