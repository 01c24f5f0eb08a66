//! One ledger, two versions: what 2.0 knows and 1.0.3 does not travels to a 1.0.3 reader as an extension, and comes back as a
//! property for a 2.0 reader. Nothing is lost either way, and a statement without such parts is never even parsed.

use serde_json::{Map, Value};

use super::{Version, keys::Ifi};

/// Each property of a 2.0 context that 1.0.3 lacks: its name, the extension it travels as, the type and the place of its items.
const CARRIED: [Carried; 2] = [
    Carried {
        property: "contextAgents",
        extension: "http://ghasi.io/xapi/extensions/context-agents",
        object_type: "contextAgent",
        actor: "agent",
    },
    Carried {
        property: "contextGroups",
        extension: "http://ghasi.io/xapi/extensions/context-groups",
        object_type: "contextGroup",
        actor: "group",
    },
];

struct Carried {
    property: &'static str,
    extension: &'static str,
    object_type: &'static str,
    actor: &'static str,
}

/// Whether the two versions read this statement differently. Asked once, when it is prepared.
pub(super) fn concerns(doc: &Map<String, Value>) -> bool {
    let in_context = doc.get("context").and_then(Value::as_object).is_some_and(|context| {
        let extensions = context.get("extensions").and_then(Value::as_object);
        CARRIED.iter().any(|carried| {
            context.contains_key(carried.property) || extensions.is_some_and(|e| e.contains_key(carried.extension))
        })
    });
    in_context || sub_statement(doc).is_some_and(concerns)
}

/// Turns a stored statement into what a reader of `version` understands.
pub fn convert(doc: &mut Map<String, Value>, version: Version) {
    if let Some(Value::Object(context)) = doc.get_mut("context") {
        for carried in &CARRIED {
            match version {
                Version::V1_0_3 => carried.to_extension(context),
                Version::V2_0_0 => carried.to_property(context),
            }
        }
    }
    if sub_statement(doc).is_some()
        && let Some(Value::Object(object)) = doc.get_mut("object")
    {
        convert(object, version);
    }
}

impl Carried {
    fn to_extension(&self, context: &mut Map<String, Value>) {
        let Some(items) = context.shift_remove(self.property) else { return };
        let extensions = context.entry("extensions").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(extensions) = extensions {
            extensions.insert(self.extension.to_owned(), items);
        }
    }

    /// Only what 2.0 itself would accept becomes a property; anything else under our name stays the extension it was sent as.
    fn to_property(&self, context: &mut Map<String, Value>) {
        let Some(Value::Object(extensions)) = context.get_mut("extensions") else { return };
        let valid = extensions.get(self.extension).is_some_and(|items| self.accepts(items));
        if !valid {
            return;
        }
        let Some(items) = extensions.shift_remove(self.extension) else { return };
        if extensions.is_empty() {
            context.shift_remove("extensions");
        }
        context.entry(self.property).or_insert(items);
    }

    fn accepts(&self, items: &Value) -> bool {
        items.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(|item| self.accepts_item(item)))
    }

    fn accepts_item(&self, item: &Value) -> bool {
        let Value::Object(item) = item else { return false };
        let type_is_right = item.get("objectType").is_some_and(|t| t == self.object_type);
        let actor_is_identified = item.get(self.actor).and_then(Value::as_object).is_some_and(|actor| {
            Ifi::of(actor).is_some() || (self.actor == "group" && actor.get("member").is_some_and(Value::is_array))
        });
        let types_are_iris = item.get("relevantTypes").is_none_or(|types| {
            types.as_array().is_some_and(|types| {
                !types.is_empty() && types.iter().all(|t| t.as_str().is_some_and(|iri| iri.contains(':')))
            })
        });
        let known = ["objectType", self.actor, "relevantTypes"];
        type_is_right && actor_is_identified && types_are_iris && item.keys().all(|key| known.contains(&key.as_str()))
    }
}

fn sub_statement(doc: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let object = doc.get("object")?.as_object()?;
    object.get("objectType").is_some_and(|t| t == "SubStatement").then_some(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn with_context_actors() -> Value {
        json!({
            "contextAgents": [{"objectType": "contextAgent", "agent": {"mbox": "mailto:a@b.c"}, "relevantTypes": ["t:1"]}],
            "contextGroups": [{"objectType": "contextGroup", "group": {"objectType": "Group", "member": []}}]
        })
    }

    #[test]
    fn an_ordinary_statement_is_not_concerned() {
        let doc = json!({"object": {"id": "o:o"}, "context": {"extensions": {"http://ghasi.io/xapi/extensions/attempt-id": 1}}});
        assert!(!concerns(&map(&doc)));
    }

    #[test]
    fn what_1_0_3_does_not_know_travels_as_an_extension_and_comes_back() {
        let mut context = with_context_actors();
        context["extensions"] = json!({"http://e.example": {"n": 1}});
        let inner = json!({"objectType": "SubStatement", "context": with_context_actors(), "object": {"id": "o:o"}});
        let original = map(&json!({"context": context, "object": inner}));
        assert!(concerns(&original));

        let mut doc = original.clone();
        convert(&mut doc, Version::V2_0_0);
        assert_eq!(doc, original, "a 2.0 reader sees what was sent");

        convert(&mut doc, Version::V1_0_3);
        let names: Vec<_> = doc["context"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["extensions"]);
        assert_eq!(doc["object"]["context"].as_object().unwrap().len(), 1);
        assert!(concerns(&doc), "sent back to a store it is still known");

        convert(&mut doc, Version::V2_0_0);
        assert_eq!(doc, original, "a 2.0 reader of what a 1.0.3 client copied sees the original");
    }

    #[test]
    fn an_extension_that_2_0_would_refuse_stays_an_extension() {
        for rubbish in [
            json!("text"),
            json!([]),
            json!([{"objectType": "contextAgent"}]),
            json!([{"objectType": "contextAgent", "agent": {"mbox": "mailto:a@b.c"}, "relevantTypes": []}]),
            json!([{"objectType": "contextAgent", "agent": {"mbox": "mailto:a@b.c"}, "more": 1}]),
        ] {
            let original =
                map(&json!({"context": {"extensions": {"http://ghasi.io/xapi/extensions/context-agents": rubbish}}}));
            let mut doc = original.clone();
            convert(&mut doc, Version::V2_0_0);
            assert_eq!(doc, original);
        }
    }
}
