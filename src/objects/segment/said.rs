//! What a statement says in words: the columns that people ask for, read out of its payload. Pure; nothing here is read back.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::xapi::keys::Ifi;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::objects) struct Said {
    pub verb: String,
    /// The identifier alone, as the `agent` parameter takes it; an anonymous group has none.
    pub actor: Option<String>,
    pub object_type: String,
    /// An activity's or a statement's id; an agent as `actor` has it.
    pub object_id: Option<String>,
    pub registration: Option<String>,
}

#[derive(Deserialize)]
struct Statement {
    actor: Map<String, Value>,
    verb: Verb,
    object: Map<String, Value>,
    #[serde(default)]
    context: Context,
}

#[derive(Deserialize)]
struct Verb {
    id: String,
}

#[derive(Default, Deserialize)]
struct Context {
    #[serde(default)]
    registration: Option<String>,
}

impl Said {
    pub fn by(payload: &str) -> Result<Self, serde_json::Error> {
        let statement: Statement = serde_json::from_str(payload)?;
        let text = |name: &str| statement.object.get(name).and_then(Value::as_str).map(str::to_owned);
        let object_type = text("objectType").unwrap_or_else(|| "Activity".to_owned());
        let object_id = match object_type.as_str() {
            "Agent" | "Group" => identifier(&statement.object),
            "SubStatement" => None,
            _ => text("id"),
        };
        Ok(Self {
            verb: statement.verb.id,
            actor: identifier(&statement.actor),
            object_type,
            object_id,
            registration: statement.context.registration.map(|text| text.to_ascii_lowercase()),
        })
    }
}

fn identifier(actor: &Map<String, Value>) -> Option<String> {
    Some(Value::Object(Ifi::of(actor)?.to_map()).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(object: &Value) -> Said {
        let account = json!({"name": "Ann", "account": {"homePage": "http://h.example", "name": "7"}});
        let context = json!({"registration": "EC531277-B57B-4C15-8D91-D292C5B2B8F7", "language": "en"});
        let statement = json!({"actor": account, "verb": {"id": "v:v"}, "object": object, "context": context});
        Said::by(&statement.to_string()).unwrap()
    }

    #[test]
    fn each_kind_of_object_has_its_name() {
        let activity = said(&json!({"id": "a:1", "definition": {"type": "t:t"}}));
        assert_eq!((activity.object_type.as_str(), activity.object_id.as_deref()), ("Activity", Some("a:1")));
        assert_eq!(activity.actor.as_deref(), Some(r#"{"account":{"homePage":"http://h.example","name":"7"}}"#));
        assert_eq!(activity.registration.as_deref(), Some("ec531277-b57b-4c15-8d91-d292c5b2b8f7"));
        let agent = said(&json!({"objectType": "Agent", "mbox": "mailto:a@x.example", "name": "A"}));
        assert_eq!(agent.object_id.as_deref(), Some(r#"{"mbox":"mailto:a@x.example"}"#));
        let sub = said(&json!({"objectType": "SubStatement", "verb": {"id": "v:w"}}));
        assert_eq!((sub.object_type.as_str(), sub.object_id), ("SubStatement", None));
    }

    #[test]
    fn a_payload_that_is_no_statement_is_an_error() {
        for payload in ["", "[]", r#"{"actor": {}}"#, r#"{"actor": {}, "verb": {}, "object": {}}"#] {
            assert!(Said::by(payload).is_err(), "{payload}");
        }
    }
}
