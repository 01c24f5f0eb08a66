//! A generator of valid statements.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::{Version, syntax::iri::is_iri};

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
            .prop_filter("percent signs must encode", |text| is_iri(text)),
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
