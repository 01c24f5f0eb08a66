//! Statements in the forms of other times and other systems, in today's: each step is pure, and does nothing where there is nothing to do.

use serde_json::{Map, Value, json};

const VERBS: &str = "http://adlnet.gov/expapi/verbs/";
const ACTIVITIES: &str = "http://adlnet.gov/expapi/activities/";

/// A step, by its name.
type Step = (&'static str, fn(&mut Map<String, Value>) -> bool);

/// In the order in which they are taken.
const STEPS: [Step; 9] = [
    ("learning-locker", learning_locker),
    ("nulls", nulls),
    ("version", version),
    ("verb", verb),
    ("actors", actors),
    ("object", object),
    ("activity-types", activity_types),
    ("timestamp", timestamps),
    ("in-progress", in_progress),
];

/// Brings a statement into today's form; answers the steps that changed something.
pub fn upgrade(statement: &mut Map<String, Value>) -> Vec<&'static str> {
    STEPS.iter().filter(|(_, step)| step(statement)).map(|(name, _)| *name).collect()
}

/// An export of Learning Locker has the statement in an envelope, and dots in names as `&46;`.
fn learning_locker(doc: &mut Map<String, Value>) -> bool {
    if doc.get("statement").is_none_or(|inner| inner.get("actor").is_none()) {
        return false;
    }
    let Some(Value::Object(mut inner)) = doc.remove("statement") else { return false };
    if !inner.contains_key("stored")
        && let Some(stored) = doc.get("stored").and_then(date)
    {
        inner.insert("stored".to_owned(), stored.into());
    }
    *doc = inner.into_iter().map(|(name, value)| (name.replace("&46;", "."), dotted(value))).collect();
    true
}

/// A moment as text, or as MongoDB writes it.
fn date(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("$date").and_then(Value::as_str)).map(str::to_owned)
}

fn dotted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(name, value)| (name.replace("&46;", "."), dotted(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(dotted).collect()),
        other => other,
    }
}

/// Null says nothing, and is allowed in extensions alone.
fn nulls(doc: &mut Map<String, Value>) -> bool {
    let before = doc.len();
    doc.retain(|_, value| !value.is_null());
    let mut changed = before != doc.len();
    for (_, value) in doc.iter_mut().filter(|(name, _)| *name != "extensions") {
        changed |= match value {
            Value::Object(map) => nulls(map),
            Value::Array(list) => {
                // Every one of them, not up to the first.
                list.iter_mut().filter_map(Value::as_object_mut).filter_map(|map| nulls(map).then_some(())).count() > 0
            }
            _ => false,
        };
    }
    changed
}

fn version(doc: &mut Map<String, Value>) -> bool {
    let old = doc.get("version").and_then(Value::as_str);
    let is_old = old.is_some_and(|version| matches!(version, "0.9" | "0.90" | "0.95" | "1.0"));
    if is_old {
        doc.insert("version".to_owned(), "1.0.0".into());
    }
    is_old
}

/// A verb was a word.
fn verb(doc: &mut Map<String, Value>) -> bool {
    let changed = match doc.get("verb").and_then(Value::as_str) {
        Some(word) => {
            let word = word.to_owned();
            let id = if word.contains(':') { word.clone() } else { format!("{VERBS}{word}") };
            doc.insert("verb".to_owned(), json!({ "id": id, "display": { "en-US": word } }));
            true
        }
        None => false,
    };
    inner(doc).map_or(changed, |inner| verb(inner) || changed)
}

/// The SubStatement that is the object.
fn inner(doc: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let object = doc.get_mut("object")?.as_object_mut()?;
    (object.get("verb").is_some() && object.get("actor").is_some()).then_some(object)
}

/// Whoever acts had lists of names and addresses, and accounts of other names.
fn actors(doc: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for name in ["actor", "authority"] {
        changed |= doc.get_mut(name).and_then(Value::as_object_mut).is_some_and(agent);
    }
    for name in ["instructor", "team"] {
        let context = doc.get_mut("context").and_then(Value::as_object_mut);
        changed |= context.and_then(|context| context.get_mut(name)).and_then(Value::as_object_mut).is_some_and(agent);
    }
    let object = doc.get_mut("object").and_then(Value::as_object_mut);
    if let Some(object) = object
        .filter(|object| matches!(object.get("objectType").and_then(Value::as_str), Some("Agent" | "Group" | "Person")))
    {
        changed |= agent(object);
    }
    inner(doc).map_or(changed, |inner| actors(inner) || changed)
}

fn agent(agent: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for name in ["name", "mbox", "mbox_sha1sum", "openid", "account"] {
        if let Some(Value::Array(list)) = agent.get(name) {
            let first = list.first().cloned();
            match first {
                Some(first) => _ = agent.insert(name.to_owned(), first),
                None => _ = agent.remove(name),
            }
            changed = true;
        }
    }
    if let Some(Value::Object(account)) = agent.get_mut("account") {
        for (old, new) in [("accountServiceHomePage", "homePage"), ("accountName", "name")] {
            if let Some(value) = account.remove(old) {
                account.insert(new.to_owned(), value);
                changed = true;
            }
        }
    }
    if let Some(mbox) =
        agent.get("mbox").and_then(Value::as_str).filter(|mbox| mbox.contains('@') && !mbox.starts_with("mailto:"))
    {
        let mbox = format!("mailto:{mbox}");
        agent.insert("mbox".to_owned(), mbox.into());
        changed = true;
    }
    if agent.get("objectType").is_some_and(|kind| kind == "Person") {
        agent.insert("objectType".to_owned(), "Agent".into());
        changed = true;
    }
    // One identifier, not several: the first of these.
    let identifiers: Vec<&str> =
        ["mbox", "mbox_sha1sum", "openid", "account"].into_iter().filter(|name| agent.contains_key(*name)).collect();
    for surplus in identifiers.iter().skip(1) {
        agent.shift_remove(*surplus);
        changed = true;
    }
    agent
        .get_mut("member")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .fold(changed, |changed, member| self::agent(member) || changed)
}

/// A reference to a statement was called one.
fn object(doc: &mut Map<String, Value>) -> bool {
    let Some(Value::Object(object)) = doc.get_mut("object") else { return false };
    if object.get("objectType").is_some_and(|kind| kind == "Statement") && !object.contains_key("verb") {
        object.insert("objectType".to_owned(), "StatementRef".into());
        return true;
    }
    false
}

/// Types of activities were words.
fn activity_types(doc: &mut Map<String, Value>) -> bool {
    let Some(Value::Object(definition)) = doc.get_mut("object").and_then(|object| object.get_mut("definition")) else {
        return false;
    };
    let Some(word) = definition.get("type").and_then(Value::as_str).filter(|kind| !kind.contains(':')) else {
        return false;
    };
    let named = if word == "question" { "cmi.interaction" } else { word };
    let iri = format!("{ACTIVITIES}{named}");
    definition.insert("type".to_owned(), iri.into());
    true
}

/// A moment without a zone is one of UTC.
fn timestamps(doc: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for name in ["timestamp", "stored"] {
        let Some(text) = doc.get(name).and_then(date) else { continue };
        let clock = text.split_once(['T', ' ']).map_or("", |(_, clock)| clock);
        let has_zone = clock.is_empty() || clock.contains(['Z', 'z', '+', '-']);
        let zoned = if has_zone { text.clone() } else { format!("{text}Z") };
        if doc.get(name).and_then(Value::as_str) != Some(&zoned) {
            doc.insert(name.to_owned(), zoned.into());
            changed = true;
        }
    }
    changed
}

/// What 0.9 said of work that goes on, and of statements that were voided.
fn in_progress(doc: &mut Map<String, Value>) -> bool {
    let known = ["inProgress", "voided", "_id", "__v", "hash", "client", "organisation", "lrs_id"];
    let before = doc.len();
    doc.retain(|name, _| !known.contains(&name.as_str()));
    before != doc.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xapi::{Limits, Version, read};

    fn upgraded(value: Value) -> (Value, Vec<&'static str>) {
        let Value::Object(mut doc) = value else { return (Value::Null, Vec::new()) };
        let steps = upgrade(&mut doc);
        (Value::Object(doc), steps)
    }

    fn is_valid(value: &Value) {
        let read = read::statements(value.to_string().as_bytes(), Version::V1_0_3, &Limits::default());
        assert!(read.is_ok(), "{value}: {read:?}");
    }

    #[test]
    fn a_statement_of_0_95_becomes_one_of_1_0() {
        let (found, steps) = upgraded(json!({
            "id": "12345678-1234-5678-8234-567812345678", "version": "0.95",
            "actor": {"objectType": "Person", "name": ["Ann", "A."], "mbox": ["mailto:ann@x.example"], "openid": ["http://ann.example/"]},
            "verb": "completed", "inProgress": false,
            "object": {"id": "http://x.example/course", "definition": {"type": "course", "name": {"en": "C"}}},
            "context": {"instructor": {"account": [{"accountServiceHomePage": "http://h.example", "accountName": "t"}]}},
            "timestamp": "2012-05-06T07:08:09"}));
        assert_eq!(
            found["verb"],
            json!({"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en-US": "completed"}})
        );
        assert_eq!(found["actor"], json!({"objectType": "Agent", "name": "Ann", "mbox": "mailto:ann@x.example"}));
        assert_eq!(found["object"]["definition"]["type"], "http://adlnet.gov/expapi/activities/course");
        assert_eq!(found["context"]["instructor"]["account"], json!({"homePage": "http://h.example", "name": "t"}));
        assert_eq!((&found["timestamp"], &found["version"]), (&json!("2012-05-06T07:08:09Z"), &json!("1.0.0")));
        assert_eq!(steps, ["version", "verb", "actors", "activity-types", "timestamp", "in-progress"]);
        is_valid(&found);
        assert_eq!(upgraded(found.clone()), (found, Vec::new()), "and stays what it is");
    }

    #[test]
    fn a_voiding_of_0_9_refers_to_what_it_voids() {
        let (found, _) = upgraded(json!({"actor": {"mbox": "ann@x.example"}, "verb": "voided",
            "object": {"objectType": "Statement", "id": "12345678-1234-5678-8234-567812345678"}}));
        assert_eq!(found["object"]["objectType"], "StatementRef");
        assert_eq!(found["verb"]["id"], "http://adlnet.gov/expapi/verbs/voided");
        is_valid(&found);
    }

    #[test]
    fn learning_lockers_envelope_is_opened() {
        let (found, steps) =
            upgraded(json!({"_id": {"$oid": "1"}, "stored": {"$date": "2020-01-02T03:04:05.678Z"}, "hash": "x",
            "statement": {"actor": {"mbox": "mailto:a@x.example"}, "verb": {"id": "http://x.example/v"},
                          "object": {"id": "http://x.example/o"}, "result": null,
                          "context": {"extensions": {"http://x&46;example/e": null}}}}));
        assert_eq!(found["stored"], "2020-01-02T03:04:05.678Z");
        assert_eq!(found["context"]["extensions"], json!({"http://x.example/e": null}), "null may stand here");
        assert_eq!(steps, ["learning-locker", "nulls"]);
        is_valid(&found);
    }

    #[test]
    fn a_statement_of_today_stays_as_it_is() {
        for version in ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "2.0.0"] {
            let today = json!({"actor": {"mbox": "mailto:a@x.example"}, "verb": {"id": "http://x.example/v"}, "version": version,
                "object": {"objectType": "SubStatement", "actor": {"mbox": "mailto:b@x.example"}, "verb": {"id": "http://x.example/v"}, "object": {"id": "http://x.example/o"}},
                "timestamp": "2026-01-02T03:04:05.678+02:00"});
            assert_eq!(upgraded(today.clone()), (today, Vec::new()));
        }
    }
}
