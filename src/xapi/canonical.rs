//! The `canonical` format: activities and verbs as the server knows them, and of each language map the one entry its reader
//! wants.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{format::objects_mut, language::Languages};

/// What the server has gathered about the activities and verbs of a page, by IRI. What is not here stays as it was sent.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Merged definitions of activities.
    pub definitions: HashMap<String, Map<String, Value>>,
    /// Merged displays of verbs.
    pub displays: HashMap<String, Map<String, Value>>,
}

/// Lists of an activity definition whose items carry a description each.
const COMPONENTS: [&str; 5] = ["choices", "scale", "source", "target", "steps"];

/// Turns a statement as received into its canonical form.
pub fn canonical(doc: &mut Map<String, Value>, languages: &Languages, known: &Known) {
    if let Some(Value::Object(verb)) = doc.get_mut("verb") {
        let display = verb.get("id").and_then(Value::as_str).and_then(|iri| known.displays.get(iri));
        if let Some(display) = display {
            verb.insert("display".to_owned(), Value::Object(display.clone()));
        }
        choose(verb, "display", languages);
    }
    if let Some(Value::Object(object)) = doc.get_mut("object") {
        match object.get("objectType").and_then(Value::as_str) {
            Some("Agent" | "Group" | "StatementRef") => {}
            Some("SubStatement") => canonical(object, languages, known),
            _ => activity(object, languages, known),
        }
    }
    let lists = doc.get_mut("context").and_then(|context| context.get_mut("contextActivities"));
    for context_activity in
        lists.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut).flat_map(objects_mut)
    {
        activity(context_activity, languages, known);
    }
}

/// The activities and verbs a statement mentions: what to look up for [`Known`].
pub fn mentioned<'a>(doc: &'a Map<String, Value>, activities: &mut Vec<&'a str>, verbs: &mut Vec<&'a str>) {
    let id = |value: &'a Value| value.get("id").and_then(Value::as_str);
    verbs.extend(doc.get("verb").and_then(id));
    match doc.get("object") {
        Some(Value::Object(object)) => match object.get("objectType").and_then(Value::as_str) {
            Some("Agent" | "Group" | "StatementRef") => {}
            Some("SubStatement") => mentioned(object, activities, verbs),
            _ => activities.extend(object.get("id").and_then(Value::as_str)),
        },
        _ => return,
    }
    let lists = doc.get("context").and_then(|context| context.get("contextActivities")).and_then(Value::as_object);
    let items = lists.into_iter().flat_map(Map::values).flat_map(|list| match list {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    });
    activities.extend(items.filter_map(id));
}

fn activity(activity: &mut Map<String, Value>, languages: &Languages, known: &Known) {
    let definition = activity.get("id").and_then(Value::as_str).and_then(|iri| known.definitions.get(iri));
    if let Some(definition) = definition {
        activity.insert("definition".to_owned(), Value::Object(definition.clone()));
    }
    let Some(Value::Object(definition)) = activity.get_mut("definition") else { return };
    choose(definition, "name", languages);
    choose(definition, "description", languages);
    for name in COMPONENTS {
        for component in definition.get_mut(name).into_iter().flat_map(objects_mut) {
            choose(component, "description", languages);
        }
    }
}

fn choose(of: &mut Map<String, Value>, name: &str, languages: &Languages) {
    if let Some(Value::Object(map)) = of.get_mut(name) {
        languages.choose(map);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn two() -> Value {
        json!({"en-US": "us", "en-GB": "gb"})
    }

    fn sample() -> Map<String, Value> {
        let definition = json!({"name": two(), "description": two(), "type": "t:t",
            "choices": [{"id": "c", "description": two()}], "extensions": {"e:e": two()}});
        let doc = json!({
            "actor": {"mbox": "mailto:a@b.c", "name": "A"}, "verb": {"id": "v:v", "display": two()},
            "object": {"objectType": "SubStatement", "actor": {"mbox": "mailto:a@b.c"}, "verb": {"id": "v:w"},
                "object": {"id": "a:1", "definition": definition}},
            "context": {"contextActivities": {"category": [{"id": "a:2", "definition": definition}], "parent": [{"id": "a:3"}]}}
        });
        doc.as_object().cloned().unwrap()
    }

    #[test]
    fn every_language_map_keeps_one_entry_and_the_rest_stays() {
        let mut doc = sample();
        canonical(&mut doc, &Languages::parse("en-GB"), &Known::default());
        let doc = Value::Object(doc);
        let one = json!({"en-GB": "gb"});
        assert_eq!(doc["verb"]["display"], one);
        for definition in ["/object/object/definition", "/context/contextActivities/category/0/definition"] {
            let definition = doc.pointer(definition).unwrap();
            assert_eq!(
                [&definition["name"], &definition["description"], &definition["choices"][0]["description"]],
                [&one; 3]
            );
            assert_eq!(definition["extensions"]["e:e"], two(), "an extension is not a language map");
        }
        assert_eq!(doc["actor"]["name"], "A");
    }

    #[test]
    fn what_the_server_knows_replaces_what_was_sent() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let known = Known {
            definitions: HashMap::from([("a:3".into(), map(json!({"name": {"de": "drei", "en": "three"}})))]),
            displays: HashMap::from([("v:w".into(), map(json!({"en": "w"})))]),
        };
        let mut doc = sample();
        canonical(&mut doc, &Languages::parse("en"), &known);
        assert_eq!(doc["context"]["contextActivities"]["parent"][0]["definition"], json!({"name": {"en": "three"}}));
        assert_eq!(doc["object"]["verb"]["display"], json!({"en": "w"}));
        assert_eq!(doc["verb"]["display"], json!({"en-US": "us"}), "the first in the map when none is exact");
    }

    #[test]
    fn mentioned_are_all_activities_and_verbs() {
        let (mut activities, mut verbs) = (Vec::new(), Vec::new());
        let doc = sample();
        mentioned(&doc, &mut activities, &mut verbs);
        assert_eq!((activities, verbs), (vec!["a:1", "a:2", "a:3"], vec!["v:v", "v:w"]));
    }
}
