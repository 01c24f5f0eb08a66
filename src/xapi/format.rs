//! How a stored statement is shown: `exact` (spliced, never parsed) and `ids`. For `canonical` see `canonical.rs`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::time;

/// A statement as it lies in the ledger, with what a reader needs to know about its payload.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    pub payload: &'a str,
    pub stored: DateTime<Utc>,
    /// As in [`super::Prepared`].
    pub has_timestamp: bool,
}

impl Stored<'_> {
    /// Appends the statement as it was received. It is the same for readers of every version: a statement is never
    /// converted into a version that it was not accepted with (1.0.3 part three, 3.3).
    pub fn exact(&self, out: &mut String) {
        with_stored(out, self.payload, self.stored, self.has_timestamp);
    }

    /// The statement parsed: what the other formats start from.
    pub fn doc(&self) -> Result<Map<String, Value>, serde_json::Error> {
        let mut text = String::with_capacity(self.payload.len() + 96);
        self.exact(&mut text);
        serde_json::from_str(&text)
    }
}

/// Appends a payload with `stored` spliced in before its last brace; where the client gave no timestamp, that is `stored` too.
pub fn with_stored(out: &mut String, payload: &str, stored: DateTime<Utc>, has_timestamp: bool) {
    out.push_str(payload.strip_suffix('}').unwrap_or(payload));
    if !has_timestamp {
        out.push_str(",\"timestamp\":\"");
        time::write(out, stored);
        out.push('"');
    }
    out.push_str(",\"stored\":\"");
    time::write(out, stored);
    out.push_str("\"}");
}

/// Reduces agents, activities and verbs to what identifies them.
pub fn ids(doc: &mut Map<String, Value>) {
    for (name, value) in doc.iter_mut() {
        let Value::Object(part) = value else { continue };
        match name.as_str() {
            "actor" | "authority" => actor_ids(part),
            "verb" => part.retain(|name, _| name == "id"),
            "object" => object_ids(part),
            "context" => context_ids(part),
            _ => {}
        }
    }
}

fn object_ids(object: &mut Map<String, Value>) {
    match object.get("objectType").and_then(Value::as_str) {
        Some("Agent" | "Group") => actor_ids(object),
        Some("SubStatement") => ids(object),
        Some("StatementRef") => {}
        _ => object.retain(|name, _| name == "id"),
    }
}

fn context_ids(context: &mut Map<String, Value>) {
    for (name, value) in context.iter_mut() {
        match (name.as_str(), value) {
            ("instructor" | "team", Value::Object(actor)) => actor_ids(actor),
            ("contextActivities", Value::Object(lists)) => {
                for activity in lists.values_mut().flat_map(objects_mut) {
                    activity.retain(|name, _| name == "id");
                }
            }
            ("contextAgents" | "contextGroups", list) => {
                for actor in objects_mut(list).flat_map(|item| item.values_mut()).filter_map(Value::as_object_mut) {
                    actor_ids(actor);
                }
            }
            _ => {}
        }
    }
}

/// An identified actor needs no members; an anonymous group is its members.
fn actor_ids(actor: &mut Map<String, Value>) {
    const IFIS: [&str; 4] = ["mbox", "mbox_sha1sum", "openid", "account"];
    let identified = IFIS.iter().any(|ifi| actor.contains_key(*ifi));
    actor.retain(|name, _| name == "objectType" || IFIS.contains(&name.as_str()) || (!identified && name == "member"));
    for member in actor.get_mut("member").into_iter().flat_map(objects_mut) {
        actor_ids(member);
    }
}

/// The objects of a list, or the one in its place.
pub(super) fn objects_mut(value: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let items = match value {
        Value::Array(items) => items.as_mut_slice(),
        single => std::slice::from_mut(single),
    };
    items.iter_mut().filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::write;

    fn exact(payload: &str, has_timestamp: bool) -> Value {
        let stored = DateTime::from_timestamp(1_700_000_000, 123_456_000).unwrap();
        let mut out = String::new();
        Stored { payload, stored, has_timestamp }.exact(&mut out);
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn stored_is_spliced_in_and_stands_for_a_missing_timestamp() {
        let at = "2023-11-14T22:13:20.123456Z";
        assert_eq!(exact("{\"n\":1.0}", true), json!({"n": json!(1.0), "stored": at}));
        let without = exact(r#"{"verb":{"id":"v:v"}}"#, false);
        assert_eq!(without, json!({"verb": {"id": "v:v"}, "timestamp": at, "stored": at}));
    }

    #[test]
    fn ids_look_into_no_extension() {
        let member = json!([{"mbox": "mailto:m@x.y", "name": "M"}]);
        let agent = json!({"objectType": "Group", "name": "G", "mbox": "mailto:g@x.y", "member": member});
        let imitated =
            json!({"contextAgents": [{"agent": agent}], "verb": {"id": "v:v", "display": {"en": "v"}}, "actor": agent});
        let carried = json!([{"objectType": "contextAgent", "agent": agent}]);
        let extensions =
            json!({"http://ghasi.io/xapi/extensions/context-agents": carried, "http://x.example/a": imitated});
        let context = json!({"platform": "p", "extensions": extensions});
        let result = json!({"extensions": extensions});
        let inner = json!({"objectType": "SubStatement", "verb": {"id": "v:v"}, "object": {"id": "a:1"},
            "context": context, "result": result});
        let original = json!({"id": "1", "result": result, "context": context, "object": inner});
        let mut doc = original.clone();
        ids(doc.as_object_mut().unwrap());
        assert_eq!(doc, original);
    }

    #[test]
    fn ids_leave_what_identifies() {
        let agent = |name: &str| json!({"objectType": "Agent", "name": name, "mbox": format!("mailto:{name}@x.y")});
        let mut doc = json!({
            "id": "1", "actor": {"objectType": "Group", "name": "g", "member": [agent("m")]},
            "verb": {"id": "v:v", "display": {"en": "v"}},
            "object": {"objectType": "SubStatement", "actor": agent("s"), "verb": {"id": "v:w", "display": {"en": "w"}},
                "object": {"objectType": "Activity", "id": "a:1", "definition": {"name": {"en": "n"}}}},
            "context": {"instructor": {"account": {"homePage": "h:h", "name": "n"}, "name": "I"}, "platform": "p",
                "team": {"objectType": "Group", "openid": "o:o", "member": [agent("m")]},
                "contextActivities": {"parent": [{"id": "a:2", "objectType": "Activity", "definition": {}}]},
                "contextAgents": [{"objectType": "contextAgent", "agent": agent("c"), "relevantTypes": ["t:t"]}]},
            "result": {"success": true}
        });
        ids(doc.as_object_mut().unwrap());
        let short = |name: &str| json!({"objectType": "Agent", "mbox": format!("mailto:{name}@x.y")});
        assert_eq!(
            doc,
            json!({
                "id": "1", "actor": {"objectType": "Group", "member": [short("m")]}, "verb": {"id": "v:v"},
                "object": {"objectType": "SubStatement", "actor": short("s"), "verb": {"id": "v:w"}, "object": {"id": "a:1"}},
                "context": {"instructor": {"account": {"homePage": "h:h", "name": "n"}}, "platform": "p",
                    "team": {"objectType": "Group", "openid": "o:o"},
                    "contextActivities": {"parent": [{"id": "a:2"}]},
                    "contextAgents": [{"objectType": "contextAgent", "agent": short("c"), "relevantTypes": ["t:t"]}]},
                "result": {"success": true}
            })
        );
    }

    #[test]
    fn an_agent_or_reference_as_object_keeps_its_type() {
        for object in
            [json!({"objectType": "Agent", "openid": "o:o"}), json!({"objectType": "StatementRef", "id": "x"})]
        {
            let mut doc = json!({ "object": object });
            let before = doc.clone();
            ids(doc.as_object_mut().unwrap());
            assert_eq!(doc, before);
        }
    }

    proptest! {
        #[test]
        fn what_is_spliced_parses_and_equals(texts in prop::collection::vec(any::<String>(), 1..5), seconds in 0i64..4_000_000_000, micros in 0u32..1_000_000, has_timestamp: bool) {
            let mut doc: Map<String, Value> =
                texts.into_iter().enumerate().map(|(i, text)| (format!("k{i}"), Value::from(text))).collect();
            let mut payload = String::new();
            write::object(&mut payload, &doc);
            let at = DateTime::from_timestamp(seconds, micros * 1_000).unwrap();
            let mut out = String::new();
            with_stored(&mut out, &payload, at, has_timestamp);
            let mut read: Map<String, Value> = serde_json::from_str(&out).unwrap();
            let stored = read.remove("stored").unwrap();
            prop_assert_eq!(super::super::syntax::timestamp::parse(stored.as_str().unwrap()), Some(at));
            if !has_timestamp {
                doc.insert("timestamp".into(), stored);
            }
            prop_assert_eq!(read, doc);
        }
    }
}
