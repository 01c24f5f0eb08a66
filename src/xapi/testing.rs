//! Statements for tests: one that has everything, a realistic one, and a generator of valid ones.

mod generate;

pub(crate) use generate::valid;
use serde_json::{Value, json};

/// Sets (or, with `None`, removes) what a JSON pointer names; the parent must be there.
pub(crate) fn set(document: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let key = key.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => match value {
            Some(value) => _ = map.insert(key, value),
            None => _ = map.shift_remove(&key).expect("a removed property is there"),
        },
        Some(Value::Array(items)) => match (value, key.parse::<usize>()) {
            (Some(value), Ok(index)) if index < items.len() => items[index] = value,
            (Some(value), _) => items.push(value),
            (None, index) => _ = items.remove(index.expect("an index")),
        },
        _ => panic!("nothing at {parent}"),
    }
}

/// A statement with every property of 1.0.3.
pub(crate) fn everything() -> Value {
    json!({
        "id": "e05aa883-acaf-40ad-bf54-02c8ce485fb0",
        "actor": {
            "objectType": "Group", "name": "Team PB", "mbox": "mailto:teampb@example.com",
            "member": [
                { "name": "Andrew Downes", "account": { "homePage": "http://www.example.com", "name": "13936749" } },
                { "objectType": "Agent", "name": "Toby", "openid": "http://toby.openid.example.org/" },
                { "mbox_sha1sum": "ebd31e95054c018b10727ccffd2ef2ec3a016ee9" },
            ],
        },
        "verb": {
            "id": "http://adlnet.gov/expapi/verbs/attended",
            "display": { "en-GB": "attended", "en-US": "attended" },
        },
        "object": {
            "objectType": "Activity", "id": "http://www.example.com/meetings/occurances/34534",
            "definition": {
                "name": { "en-GB": "example meeting" }, "description": { "en-GB": "An example meeting." },
                "type": "http://adlnet.gov/expapi/activities/meeting", "moreInfo": "http://virtualmeeting.example.com/345256",
                "extensions": { "http://example.com/location": "X:\\meetings", "http://example.com/nothing": null },
                "interactionType": "choice", "correctResponsesPattern": ["golf[,]tetris"],
                "choices": [{ "id": "golf", "description": { "en": "Golf" } }, { "id": "tetris" }],
            },
        },
        "result": {
            "score": { "scaled": 0.95, "raw": 95, "min": 0, "max": 100 },
            "success": true, "completion": true, "response": "We agreed.", "duration": "PT1H0M0S",
            "extensions": { "http://example.com/ext": { "deep": [null, "", {}] } },
        },
        "context": {
            "registration": "ec531277-b57b-4c15-8d91-d292c5b2b8f7",
            "instructor": { "objectType": "Agent", "mbox": "mailto:boss@example.com" },
            "team": { "objectType": "Group", "mbox": "mailto:teampb@example.com" },
            "contextActivities": {
                "parent": [{ "id": "http://www.example.com/meetings/series/267" }],
                "category": { "id": "http://www.example.com/meetings/categories/team", "objectType": "Activity" },
                "grouping": [], "other": [{ "id": "http://www.example.com/a" }, { "id": "http://www.example.com/b" }],
            },
            "revision": "1", "platform": "Example virtual meeting software", "language": "tlh",
            "statement": { "objectType": "StatementRef", "id": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee" },
            "extensions": {},
        },
        "timestamp": "2013-05-18T05:32:34.804+00:00", "stored": "2013-05-18T05:32:34.804Z", "version": "1.0.0",
        "authority": { "objectType": "Agent", "account": { "homePage": "http://cloud.example.com/", "name": "lrs" } },
        "attachments": [{
            "usageType": "http://adlnet.gov/expapi/attachments/signature", "display": { "en-US": "Signature" },
            "description": { "en-US": "A signature" }, "contentType": "application/octet-stream", "length": 4235,
            "sha2": "672fa5fa658017f1b72d65036f13379c6ab05d4ab3b6664908d8acf0b6a0c634", "fileUrl": "http://example.com/f",
        }],
    })
}

/// A statement with every property of 2.0.
pub(crate) fn everything_2() -> Value {
    let mut statement = everything();
    let agents = json!([{
        "objectType": "contextAgent", "agent": { "mbox": "mailto:player-1@example.com" },
        "relevantTypes": ["http://example.com/roles/player"],
    }]);
    let groups = json!([{
        "objectType": "contextGroup", "group": { "objectType": "Group", "name": "Fans", "member": [] },
    }]);
    set(&mut statement, "/context/contextAgents", Some(agents));
    set(&mut statement, "/context/contextGroups", Some(groups));
    set(&mut statement, "/version", Some(json!("2.0.0")));
    statement
}

/// The statement of `everything` as a SubStatement.
pub(crate) fn as_sub_statement(mut statement: Value) -> Value {
    for own in ["/id", "/stored", "/version", "/authority"] {
        set(&mut statement, own, None);
    }
    set(&mut statement, "/objectType", Some(json!("SubStatement")));
    json!({
        "actor": { "mbox": "mailto:planner@example.com" },
        "verb": { "id": "http://example.com/planned", "display": { "en-US": "planned" } },
        "object": statement,
    })
}

/// What an LMS sends for an answered question: about 1.2 KB, the size that speed is measured with.
pub(crate) fn realistic() -> Value {
    json!({
        "id": "7ccd3322-e1a5-411a-a67d-6a735c76f119",
        "timestamp": "2025-09-14T08:21:44.317Z",
        "actor": {
            "objectType": "Agent", "name": "Grace Example",
            "account": { "homePage": "https://lms.example.org", "name": "0198f2c4-7d0e-7b55-a1c2-5a3f9f1b7c11" },
        },
        "verb": { "id": "http://adlnet.gov/expapi/verbs/answered", "display": { "en-US": "answered" } },
        "object": {
            "objectType": "Activity", "id": "https://lms.example.org/courses/biology-101/quiz/3/question/7",
            "definition": {
                "name": { "en-US": "Which of these cells divides?" },
                "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
                "interactionType": "choice", "correctResponsesPattern": ["b"],
            },
        },
        "result": { "score": { "scaled": 0.8, "raw": 8, "min": 0, "max": 10 }, "success": true, "response": "b", "duration": "PT12.4S" },
        "context": {
            "registration": "0198f2c4-8a11-7c3e-9a55-0d6d4c1f2e3a", "platform": "Example LMS", "language": "en-US",
            "contextActivities": {
                "parent": [{ "id": "https://lms.example.org/courses/biology-101/quiz/3", "objectType": "Activity" }],
                "grouping": [{ "id": "https://lms.example.org/courses/biology-101", "objectType": "Activity" }],
            },
            "extensions": { "http://ghasi.io/xapi/extensions/attempt-id": "0198f2c4-9b22-7d4f-8b66-1e7e5d203f4b" },
        },
    })
}
