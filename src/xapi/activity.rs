//! Activity definitions as the server knows them: merged from every statement that describes the activity.

use serde_json::{Map, Value};

/// Merges a later definition into a known one. Language maps and extensions gain entries, everything else is replaced.
pub fn merge(known: &mut Map<String, Value>, later: Map<String, Value>) {
    for (name, value) in later {
        match (name.as_str(), known.get_mut(&name), value) {
            ("name" | "description" | "extensions", Some(Value::Object(entries)), Value::Object(new)) => {
                entries.extend(new);
            }
            (_, Some(old), value) => *old = value,
            (_, None, value) => drop(known.insert(name, value)),
        }
    }
}

/// Whether merging `later` would change `known`: most statements repeat what is known, and then nothing need be written.
pub fn would_change(known: &Map<String, Value>, later: &Map<String, Value>) -> bool {
    later.iter().any(|(name, value)| match (name.as_str(), known.get(name), value) {
        ("name" | "description" | "extensions", Some(Value::Object(entries)), Value::Object(new)) => {
            new.iter().any(|(key, value)| entries.get(key) != Some(value))
        }
        (_, old, value) => old != Some(value),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn languages_gather_and_the_rest_is_replaced() {
        let mut known =
            map(&json!({"name": {"en-US": "one"}, "type": "t:1", "extensions": {"e:1": 1}, "choices": [{"id": "a"}]}));
        let later =
            map(&json!({"name": {"fr-FR": "un"}, "type": "t:2", "extensions": {"e:2": 2}, "choices": [{"id": "b"}],
            "moreInfo": "http://m.example"}));
        assert!(would_change(&known, &later));
        merge(&mut known, later.clone());
        assert_eq!(
            Value::Object(known.clone()),
            json!({"name": {"en-US": "one", "fr-FR": "un"}, "type": "t:2", "extensions": {"e:1": 1, "e:2": 2},
                "choices": [{"id": "b"}], "moreInfo": "http://m.example"})
        );
        assert!(!would_change(&known, &later));
        assert!(!would_change(&known, &Map::new()));
    }
}
