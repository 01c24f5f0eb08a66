//! Reading a part of a document: what nobody asks for is skipped, not built. Most of a statement's bytes are names and
//! descriptions in many languages, of which no fact is made.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// What of a value is wanted: of an object the named members, of an array the same of each element.
pub(super) enum Wanted {
    Whole,
    Members(&'static [(&'static str, Self)]),
}

/// Reads what is wanted of an object; members that are not wanted are as if they were not there.
pub(super) fn read(wanted: &Wanted, text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    let mut document = serde_json::Deserializer::from_str(text);
    let value = wanted.deserialize(&mut document)?;
    document.end()?;
    match value {
        Value::Object(members) => Ok(members),
        other => Err(serde_json::Error::custom(format!("an object is expected, and this is {other}"))),
    }
}

impl<'de> DeserializeSeed<'de> for &Wanted {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Value, D::Error> {
        match self {
            Wanted::Whole => Value::deserialize(document),
            Wanted::Members(members) => document.deserialize_any(Members(self, members)),
        }
    }
}

/// A name that is copied only where it has to be unescaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Members<'a>(&'a Wanted, &'static [(&'static str, Wanted)]);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(Name(name)) = object.next_key()? {
            match self.1.iter().find(|(wanted, _)| *wanted == name) {
                Some((name, wanted)) => drop(kept.insert((*name).to_owned(), object.next_value_seed(wanted)?)),
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(value) = array.next_element_seed(self.0)? {
            kept.push(value);
        }
        Ok(Value::Array(kept))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WANTED: Wanted = Wanted::Members(&[
        ("a", Wanted::Whole),
        ("b", Wanted::Members(&[("c", Wanted::Whole), ("d", Wanted::Members(&[("e", Wanted::Whole)]))])),
    ]);

    #[test]
    fn what_is_wanted_comes_whole_and_the_rest_is_not_there() {
        let text = r#"{"x": [{"a": 1}], "\u0061": {"x": 0.10}, "b": {"c": [1.50, null], "x": {}, "d": [{"e": 1, "x": 2}, {}]}}"#;
        let read = Value::Object(read(&WANTED, text).unwrap());
        let expected = r#"{"a": {"x": 0.10}, "b": {"c": [1.50, null], "d": [{"e": 1}, {}]}}"#;
        assert_eq!(read, serde_json::from_str::<Value>(expected).unwrap());
        assert_eq!(read["b"]["c"][0].to_string(), "1.50", "numbers keep their digits");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["", "{", "[]", "3", "\"a\"", "{} {}", r#"{"b": "c"}"#, r#"{"b": null}"#, r#"{"x": tru}"#] {
            assert!(read(&WANTED, text).is_err(), "{text}");
        }
        assert_eq!(read(&WANTED, "{}").unwrap(), json!({}).as_object().unwrap().clone());
    }
}
