//! Statements for tests: one that has everything, a realistic one, and a generator of valid ones.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::Version;

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

/// Valid statements of a version, of every shape the specification has.
pub(crate) fn valid(version: Version) -> BoxedStrategy<Value> {
    let object =
        prop_oneof![4 => activity(), 1 => agent(), 1 => group(), 1 => reference(), 1 => sub_statement(version)];
    let parts = (object, option(uuid()), option(result()), option(context(version)), option(timestamp()));
    let more = (option(authority()), option(prop::collection::vec(attachment(), 0..3).prop_map(Value::Array)));
    (actor(), verb(), parts, more)
        .prop_map(|(actor, verb, (object, id, result, context, timestamp), (authority, attachments))| {
            let context = context.map(|context| fitting(context, &object));
            properties([
                ("id", id),
                ("actor", Some(actor)),
                ("verb", Some(verb)),
                ("object", Some(object)),
                ("result", result),
                ("context", context),
                ("timestamp", timestamp),
                ("authority", authority),
                ("attachments", attachments),
            ])
        })
        .boxed()
}

/// Drops what a context may only say about an activity.
fn fitting(mut context: Value, object: &Value) -> Value {
    let kind = object.get("objectType").and_then(Value::as_str).unwrap_or("Activity");
    if let (Value::Object(map), true) = (&mut context, kind != "Activity") {
        map.shift_remove("revision");
        map.shift_remove("platform");
    }
    context
}

fn properties<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Value {
    Value::Object(pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

fn option(strategy: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop::option::of(strategy).boxed()
}

fn one(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(words).prop_map(Value::from).boxed()
}

fn text() -> BoxedStrategy<Value> {
    prop_oneof![Just(json!("")), "[a-zA-Z éß漢😀\"\\\\/]{0,12}".prop_map(Value::String)].boxed()
}

fn uuid() -> BoxedStrategy<Value> {
    "[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-fA-F]{3}-[0-9a-f]{12}".prop_map(Value::String).boxed()
}

fn iri() -> BoxedStrategy<String> {
    prop_oneof![
        "https?://[a-z]{1,8}\\.example(:[0-9]{2,4})?(/[a-z0-9~é%20]{0,3}){0,3}(\\?[a-z]=[0-9])?(#[a-z])?"
            .prop_filter("percent signs must encode", |text| super::syntax::iri::is_iri(text)),
        "urn:uuid:[0-9a-f]{8}",
        "tag:example\\.com,20[0-9]{2}:[a-z]{1,6}",
    ]
    .boxed()
}

fn iri_value() -> BoxedStrategy<Value> {
    iri().prop_map(Value::String).boxed()
}

fn timestamp() -> BoxedStrategy<Value> {
    "20[0-2][0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|\\+0[0-9]:[0-5]0|-0[1-9]00)?"
        .prop_map(Value::String).boxed()
}

fn duration() -> BoxedStrategy<Value> {
    "P([0-9]{1,3}W|[0-9]{1,3}Y([0-9]M)?([0-9]D)?(T[0-9]H([0-9]M)?([0-9]\\.[0-9]{1,4}S)?)?|T[0-9]{1,5}(\\.[0-9]{1,3})?S)"
        .prop_map(Value::String)
        .boxed()
}

fn language_map() -> BoxedStrategy<Value> {
    const TAGS: &[&str] = &["en", "de-DE", "zh-Hant", "sr-Latn-RS", "cmn", "es-419", "tlh", "und", "x-klingon"];
    prop::collection::vec((select(TAGS), text()), 0..3)
        .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(tag, text)| (tag.to_owned(), text)).collect()))
        .boxed()
}

fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text(),
        (-1e9..1e9).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec(("[a-z]{0,4}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}

fn extensions() -> BoxedStrategy<Value> {
    prop::collection::vec((iri(), anything()), 0..3)
        .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
        .boxed()
}

fn identifier() -> BoxedStrategy<(&'static str, Value)> {
    prop_oneof![
        "mailto:[a-z.+]{1,8}@[a-z]{1,6}\\.example".prop_map(|mbox| ("mbox", Value::String(mbox))),
        "[0-9a-fA-F]{40}".prop_map(|hash| ("mbox_sha1sum", Value::String(hash))),
        iri_value().prop_map(|iri| ("openid", iri)),
        (iri(), text()).prop_map(|(page, name)| ("account", json!({ "homePage": page, "name": name }))),
    ]
    .boxed()
}

fn agent_as(object_type: impl Strategy<Value = Option<Value>> + 'static) -> BoxedStrategy<Value> {
    (object_type, option(text()), identifier())
        .prop_map(|(object_type, name, (key, identifier))| {
            properties([("objectType", object_type), ("name", name), (key, Some(identifier))])
        })
        .boxed()
}

fn agent() -> BoxedStrategy<Value> {
    agent_as(Just(Some(json!("Agent")))).boxed()
}

fn any_agent() -> BoxedStrategy<Value> {
    agent_as(prop::option::of(Just(json!("Agent")))).boxed()
}

fn members() -> BoxedStrategy<Value> {
    prop::collection::vec(any_agent(), 0..3).prop_map(Value::Array).boxed()
}

fn group() -> BoxedStrategy<Value> {
    let kind = Some(json!("Group"));
    let other = kind.clone();
    prop_oneof![
        (option(text()), members()).prop_map(move |(name, member)| properties([
            ("objectType", kind.clone()),
            ("name", name),
            ("member", Some(member))
        ])),
        (option(members()), identifier()).prop_map(move |(member, (key, identifier))| {
            properties([(key, Some(identifier)), ("objectType", other.clone()), ("member", member)])
        }),
    ]
    .boxed()
}

fn actor() -> BoxedStrategy<Value> {
    prop_oneof![3 => any_agent(), 1 => group()].boxed()
}

fn authority() -> BoxedStrategy<Value> {
    let pair =
        prop::collection::vec(any_agent(), 2).prop_map(|member| json!({ "objectType": "Group", "member": member }));
    prop_oneof![3 => any_agent(), 1 => pair].boxed()
}

fn verb() -> BoxedStrategy<Value> {
    (iri_value(), option(language_map()))
        .prop_map(|(id, display)| properties([("id", Some(id)), ("display", display)]))
        .boxed()
}

fn reference() -> BoxedStrategy<Value> {
    uuid().prop_map(|id| json!({ "objectType": "StatementRef", "id": id })).boxed()
}

fn activity() -> BoxedStrategy<Value> {
    let object_type = prop::option::of(Just(json!("Activity")));
    (object_type, iri_value(), option(definition()))
        .prop_map(|(object_type, id, definition)| {
            properties([("objectType", object_type), ("id", Some(id)), ("definition", definition)])
        })
        .boxed()
}

fn definition() -> BoxedStrategy<Value> {
    let texts = (
        option(language_map()),
        option(language_map()),
        option(iri_value()),
        option(iri_value()),
        option(extensions()),
    );
    (texts, prop::option::of(interaction()))
        .prop_map(|((name, description, kind, more, extensions), interaction)| {
            let mut definition = properties([
                ("name", name),
                ("description", description),
                ("type", kind),
                ("moreInfo", more),
                ("extensions", extensions),
            ]);
            if let (Value::Object(all), Some(interaction)) = (&mut definition, interaction) {
                all.extend(interaction);
            }
            definition
        })
        .boxed()
}

fn interaction() -> BoxedStrategy<Map<String, Value>> {
    const KINDS: &[(&str, &[&str])] = &[
        ("choice", &["choices"]),
        ("sequencing", &["choices"]),
        ("likert", &["scale"]),
        ("matching", &["source", "target"]),
        ("performance", &["steps"]),
        ("true-false", &[]),
        ("fill-in", &[]),
        ("numeric", &[]),
        ("other", &[]),
        ("long-fill-in", &[]),
    ];
    let components = prop::collection::btree_map("[a-z]{1,4}", option(language_map()), 0..4);
    let patterns = prop::option::of(prop::collection::vec(text(), 0..3));
    (select(KINDS), components, patterns)
        .prop_map(|((kind, lists), components, patterns)| {
            let component = |(id, description): (&String, &Option<Value>)| {
                properties([("id", Some(Value::String(id.clone()))), ("description", description.clone())])
            };
            let list: Vec<Value> = components.iter().map(component).collect();
            let mut map = Map::from_iter([("interactionType".to_owned(), json!(kind))]);
            map.extend(lists.iter().map(|name| ((*name).to_owned(), json!(list))));
            map.extend(patterns.map(|patterns| ("correctResponsesPattern".to_owned(), json!(patterns))));
            map
        })
        .boxed()
}

fn result() -> BoxedStrategy<Value> {
    let score = (-1.0..=1.0, -50..50, 50..150).prop_map(
        |(scaled, raw, max): (f64, i32, i32)| json!({ "scaled": scaled, "raw": raw, "min": -50, "max": max }),
    );
    let flags = (prop::option::of(any::<bool>()), prop::option::of(any::<bool>()));
    (option(score), flags, option(text()), option(duration()), option(extensions()))
        .prop_map(|(score, (success, completion), response, duration, extensions)| {
            properties([
                ("score", score),
                ("success", success.map(Value::from)),
                ("completion", completion.map(Value::from)),
                ("response", response),
                ("duration", duration),
                ("extensions", extensions),
            ])
        })
        .boxed()
}

fn context(version: Version) -> BoxedStrategy<Value> {
    let people = (option(actor()), option(group()), option(context_activities()));
    let texts = (option(text()), option(text()), option(one(&["en", "de-CH-1996", "zh-Hans-CN"])));
    let rest = (option(uuid()), option(reference()), option(extensions()));
    let new = (option(context_actors("agent")), option(context_actors("group")));
    (people, texts, rest, new)
        .prop_map(move |(people, texts, rest, new)| {
            let is_new = |value: Option<Value>| value.filter(|_| version == Version::V2_0_0);
            properties([
                ("instructor", people.0),
                ("team", people.1),
                ("contextActivities", people.2),
                ("revision", texts.0),
                ("platform", texts.1),
                ("language", texts.2),
                ("registration", rest.0),
                ("statement", rest.1),
                ("extensions", rest.2),
                ("contextAgents", is_new(new.0)),
                ("contextGroups", is_new(new.1)),
            ])
        })
        .boxed()
}

fn context_activities() -> BoxedStrategy<Value> {
    let list = prop_oneof![activity(), prop::collection::vec(activity(), 0..3).prop_map(Value::Array)];
    let keys = select(&["parent", "grouping", "category", "other"][..]);
    prop::collection::vec((keys, list), 0..3)
        .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(key, list)| (key.to_owned(), list)).collect()))
        .boxed()
}

fn context_actors(kind: &'static str) -> BoxedStrategy<Value> {
    let actor = if kind == "agent" { any_agent().boxed() } else { group().boxed() };
    let types = prop::option::of(prop::collection::vec(iri_value(), 1..3));
    let object_type = if kind == "agent" { "contextAgent" } else { "contextGroup" };
    let element = (actor, types).prop_map(move |(actor, types)| {
        properties([
            ("objectType", Some(json!(object_type))),
            (kind, Some(actor)),
            ("relevantTypes", types.map(Value::Array)),
        ])
    });
    prop::collection::vec(element, 0..3).prop_map(Value::Array).boxed()
}

fn attachment() -> BoxedStrategy<Value> {
    let types = one(&["text/plain", "text/plain; charset=ascii", "application/octet-stream"]);
    let texts = (iri_value(), language_map(), option(language_map()), types);
    (texts, 0..u32::MAX, "[0-9a-f]{64}", option(iri_value()))
        .prop_map(|((usage, display, description, kind), length, hash, url)| {
            properties([
                ("usageType", Some(usage)),
                ("display", Some(display)),
                ("description", description),
                ("contentType", Some(kind)),
                ("length", Some(json!(length))),
                ("sha2", Some(json!(hash))),
                ("fileUrl", url),
            ])
        })
        .boxed()
}

fn sub_statement(version: Version) -> BoxedStrategy<Value> {
    let object = prop_oneof![activity(), agent(), group(), reference()];
    (actor(), verb(), object, option(context(version)), option(result()))
        .prop_map(|(actor, verb, object, context, result)| {
            let context = context.map(|context| fitting(context, &object));
            properties([
                ("objectType", Some(json!("SubStatement"))),
                ("actor", Some(actor)),
                ("verb", Some(verb)),
                ("object", Some(object)),
                ("context", context),
                ("result", result),
            ])
        })
        .boxed()
}
