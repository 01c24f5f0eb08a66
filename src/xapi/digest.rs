//! The digest of a statement: what decides in one look whether an id that is known already came with the same statement.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::logical::{Role, Writer};

/// Stands before what is hashed: the number of the logical form, so that a later form can never be taken for this one.
const FORM: &[u8] = b"\x01";

/// SHA-256 of the statement's logical form (see `logical.rs`). The timestamp is not in it: see [`super::compare::same`].
pub fn digest(statement: &Map<String, Value>) -> [u8; 32] {
    Sha256::digest(Writer::object_form(FORM, Role::Statement, statement)).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(value: &Value) -> String {
        hex::encode(digest(value.as_object().unwrap()))
    }

    fn sample() -> Value {
        json!({
            "actor": {"objectType": "Group", "mbox": "mailto:team@Example.com", "member": [
                {"mbox": "mailto:a@example.com"}, {"mbox": "mailto:b@example.com", "name": "B"}]},
            "verb": {"id": "http://verb.example/did", "display": {"en": "did"}},
            "object": {"objectType": "SubStatement",
                "actor": {"objectType": "Agent", "mbox": "mailto:c@example.com"},
                "verb": {"id": "http://verb.example/planned"},
                "object": {"id": "http://act.example/1", "definition": {"name": {"en": "One"}}},
                "timestamp": "2020-01-01T12:00:00Z"},
            "result": {"score": {"scaled": 0.5, "raw": 1}, "duration": "PT1.129S"},
            "context": {"registration": "EC531277-B57B-4C15-8D91-D292C5B2B8F7", "language": "en-US",
                "contextActivities": {"parent": {"id": "http://act.example/p"}},
                "extensions": {"http://ext.example/x": [1, {"b": null, "a": 2.50}]}},
            "attachments": [
                {"usageType": "http://u.example/1", "display": {"en": "x"}, "contentType": "a/b", "length": 1, "sha2": "AA"},
                {"usageType": "http://u.example/2", "display": {"en": "x"}, "contentType": "a/b", "length": 1, "sha2": "bb"}]
        })
    }

    /// Sets, replaces or (with null) removes what the pointer names.
    fn with(pointer: &str, new: Value) -> Value {
        let mut value = sample();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = value.pointer_mut(parent).unwrap();
        if new.is_null() {
            parent.as_object_mut().unwrap().remove(name);
        } else if let Value::Array(items) = parent {
            items[name.parse::<usize>().unwrap()] = new;
        } else {
            parent[name] = new;
        }
        value
    }

    #[test]
    fn differences_that_mean_nothing_do_not_count() {
        let digest = of(&sample());
        let members = json!([{"name": "B", "objectType": "Agent", "mbox": "mailto:b@EXAMPLE.com"}, {"mbox": "mailto:a@example.com"}]);
        let mut attachments = sample()["attachments"].clone();
        attachments.as_array_mut().unwrap().reverse();
        for (pointer, new) in [
            ("/id", json!("7ccd3322-e1a5-411a-a67d-6a735c76f119")),
            ("/stored", json!("2020-01-01T00:00:00Z")),
            ("/timestamp", json!("2020-01-01T00:00:00Z")),
            ("/version", json!("1.0.0")),
            ("/authority", json!({"mbox": "mailto:lrs@example.com"})),
            ("/verb/display", Value::Null),
            ("/object/object/definition", Value::Null),
            ("/object/object/objectType", json!("Activity")),
            ("/object/actor/objectType", Value::Null),
            ("/object/timestamp", json!("2020-01-01T13:00:00.000+01:00")),
            ("/actor/mbox", json!("mailto:team@example.com")),
            ("/actor/member", members),
            ("/attachments", attachments),
            ("/attachments/0/sha2", json!("aa")),
            ("/result/duration", json!("PT1.12S")),
            ("/result/score/scaled", json!(0.50)),
            ("/result/score/raw", serde_json::from_str("1.0").unwrap()),
            ("/context/registration", json!("ec531277-b57b-4c15-8d91-d292c5b2b8f7")),
            ("/context/language", json!("en-us")),
            ("/context/contextActivities/parent", json!([{"id": "http://act.example/p"}])),
        ] {
            assert_eq!(of(&with(pointer, new)), digest, "{pointer}");
        }
    }

    #[test]
    fn differences_that_mean_something_count() {
        let digest = of(&sample());
        for (pointer, new) in [
            ("/actor/member/1/name", json!("C")),
            ("/actor/mbox", json!("mailto:Team@example.com")),
            ("/verb/id", json!("http://verb.example/DID")),
            ("/object/timestamp", json!("2020-01-01T12:00:01Z")),
            ("/object/object/id", json!("http://act.example/2")),
            ("/result/duration", json!("PT1.13S")),
            ("/result/score/raw", json!(1.01)),
            ("/result/score/raw", json!("1")),
            ("/context/contextActivities", json!({"grouping": [{"id": "http://act.example/p"}]})),
            ("/context/extensions/http:~1~1ext.example~1x", json!([1])),
            ("/attachments/0/length", json!(2)),
            ("/attachments", Value::Null),
        ] {
            assert_ne!(of(&with(pointer, new)), digest, "{pointer}");
        }
    }

    #[test]
    fn the_form_never_changes_between_releases() {
        let statement = json!({"actor": {"mbox": "mailto:a@b.c"}, "verb": {"id": "v:v"}, "object": {"id": "o:o"}});
        assert_eq!(of(&statement), "43e95e8ad62771c6bd6afa87bc51849409ab5d729d1da1a30319287dd7429341");
    }

    /// Any JSON value, and the same with every object's keys in another order.
    fn shuffled(value: &Value, turn: usize) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| shuffled(item, turn)).collect(),
            Value::Object(fields) => {
                let mut all: Vec<_> = fields.iter().map(|(k, v)| (k.clone(), shuffled(v, turn))).collect();
                let turn = turn % all.len().max(1);
                all.rotate_left(turn);
                Value::Object(all.into_iter().collect())
            }
            other => other.clone(),
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-e]{1,3}", inner), 0..5).prop_map(|f| Value::Object(f.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_order_of_keys_never_counts(extension in any_json(), turn in 0usize..7) {
            let mut statement = sample();
            statement["context"]["extensions"] = json!({"http://e.example": extension});
            prop_assert_eq!(of(&shuffled(&statement, turn)), of(&statement));
        }

        #[test]
        fn different_extensions_have_different_digests(a in any_json(), b in any_json()) {
            let of_extension = |e: &Value| of(&json!({"result": {"extensions": {"e:e": e}}}));
            prop_assert_eq!(a == b, of_extension(&a) == of_extension(&b));
        }
    }
}
