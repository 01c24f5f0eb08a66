//! Verbs' displays as the server knows them: gathered from every statement that displays the verb, and from the registry.
//!
//! A verb belongs to everybody who uses it, so nobody renames it for the others: of each language the first text stays.

use serde_json::{Map, Value};

/// Languages that are gathered of one verb: what a sender makes up cannot grow without an end.
const MOST_LANGUAGES: usize = 200;
/// The language of the names in the registry.
const OF_REGISTRY: &str = "en";

/// Adds the languages of a later display that are not known yet.
pub fn merge(known: &mut Map<String, Value>, later: &Map<String, Value>) {
    for (tag, text) in later {
        if known.len() < MOST_LANGUAGES && !has_tag(known, tag) {
            known.insert(tag.clone(), text.clone());
        }
    }
}

/// The canonical display: what statements say, and where none of it is English the name the verb is registered under.
pub fn canonical(gathered: Option<Map<String, Value>>, registered: Option<&str>) -> Option<Map<String, Value>> {
    let mut display = gathered.unwrap_or_default();
    let is_english = |tag: &String| tag.split('-').next().is_some_and(|tag| tag.eq_ignore_ascii_case(OF_REGISTRY));
    if let Some(name) = registered
        && !display.keys().any(is_english)
    {
        display.insert(OF_REGISTRY.to_owned(), name.into());
    }
    (!display.is_empty()).then_some(display)
}

/// The letter case of a language tag means nothing.
fn has_tag(display: &Map<String, Value>, tag: &str) -> bool {
    display.contains_key(tag) || display.keys().any(|known| known.eq_ignore_ascii_case(tag))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn languages_gather_and_nobody_renames_a_verb() {
        let mut known = map(&json!({"en-US": "answered"}));
        merge(&mut known, &map(&json!({"de": "beantwortete", "en-us": "botched"})));
        merge(&mut known, &map(&json!({"de": "verpatzte", "fr": "a répondu"})));
        assert_eq!(Value::Object(known), json!({"en-US": "answered", "de": "beantwortete", "fr": "a répondu"}));
    }

    #[test]
    fn made_up_languages_end_somewhere() {
        let mut known = Map::new();
        let made_up = (0..1_000).map(|n| (format!("x-{n}"), "x".into())).collect();
        merge(&mut known, &made_up);
        assert_eq!(known.len(), MOST_LANGUAGES);
    }

    #[test]
    fn the_registry_speaks_where_no_statement_speaks_english() {
        let of = |gathered: Value, registered| {
            let gathered = gathered.as_object().cloned();
            canonical(gathered, registered).map(Value::Object)
        };
        assert_eq!(of(json!({"de": "tat"}), Some("did")), Some(json!({"de": "tat", "en": "did"})));
        assert_eq!(of(Value::Null, Some("did")), Some(json!({"en": "did"})));
        for english in ["en", "EN-gb", "en-US"] {
            assert_eq!(of(json!({english: "has done"}), Some("did")), Some(json!({english: "has done"})));
        }
        assert_eq!(of(json!({"enm": "dide"}), Some("did")), Some(json!({"enm": "dide", "en": "did"})));
        assert_eq!(of(json!({"de": "tat"}), None), Some(json!({"de": "tat"})));
        assert_eq!((of(Value::Null, None), of(json!({}), None)), (None, None));
    }
}
