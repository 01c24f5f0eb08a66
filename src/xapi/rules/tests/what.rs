//! Verbs, objects, activities, interactions, SubStatements, references.

use serde_json::json;

use super::*;
use crate::rules::table as rule;

#[test]
fn a_verb_has_an_iri_and_a_language_map() {
    refuses("/verb", &all_but("object"), rule::TYPE_OBJECT);
    refuses("/verb/id", &no_iris(), rule::VERB_ID);
    refuses("/verb/id", &all_but("string"), rule::TYPE_STRING);
    refuses_without("/verb/id", "/verb", rule::PROPERTY_REQUIRED);
    accepts_without("/verb/display");
    accepts("/verb/display", &[json!({})]);
    refuses("/verb/Display", &[json!({})], rule::PROPERTY_UNKNOWN);
}

#[test]
fn language_maps_are_tags_to_strings_everywhere() {
    for map in [
        "/verb/display",
        "/object/definition/name",
        "/object/definition/description",
        "/object/definition/choices/0/description",
        "/attachments/0/display",
        "/attachments/0/description",
    ] {
        refuses(map, &all_but("object"), rule::TYPE_OBJECT);
        for tag in ["something", "a12345678", "zh-z-aaa-z-bbb-c-ccc", "en_US", ""] {
            refuses(&format!("{map}/{tag}"), &[json!("x")], rule::LANGUAGE_MAP_TAG);
        }
        refuses(&format!("{map}/en"), &all_but("string"), rule::TYPE_STRING);
        refuses(&format!("{map}/en"), &[Value::Null], rule::VALUE_NULL);
        for tag in
            ["de", "de-DE", "zh-Hant", "sr-Latn-RS", "sr-Cyrl", "zh-Hans-CN", "cmn", "ase", "es-MX", "fr-CA", "ja"]
        {
            accepts(&format!("{map}/{tag}"), &[json!(""), json!("wort")]);
        }
    }
}

#[test]
fn an_object_is_of_one_of_five_kinds() {
    for kind in ["activity", "agent", "Statement", "", "statementRef"] {
        let object = json!({ "objectType": kind, "id": "http://a.example" });
        assert_eq!(without_context(object), [("/object/objectType".to_owned(), rule::OBJECT_TYPE)]);
    }
    assert_eq!(without_context(json!({ "objectType": 1, "id": "http://a.example" }))[0].1, rule::TYPE_STRING);
    assert_eq!(without_context(json!("http://a.example"))[0].1, rule::TYPE_OBJECT);
    assert_eq!(without_context(json!({ "id": "http://a.example" })), []);
}

/// The full statement with another object, without the context that speaks of an activity.
fn without_context(object: Value) -> Vec<(String, &'static str)> {
    let mut statement = everything();
    set(&mut statement, "/context", None);
    set(&mut statement, "/object", Some(object));
    let found = broken(&statement, Version::V1_0_3);
    assert_eq!(found, broken(&statement, Version::V2_0_0));
    found
}

#[test]
fn an_agent_or_group_as_an_object_says_so() {
    let mbox = "mailto:a@b.example";
    assert_eq!(without_context(json!({ "objectType": "Agent", "mbox": mbox })), []);
    assert_eq!(without_context(json!({ "objectType": "Group", "mbox": mbox })), []);
    let found = without_context(json!({ "mbox": mbox }));
    let expected =
        [("/object/mbox".to_owned(), rule::PROPERTY_UNKNOWN), ("/object".to_owned(), rule::PROPERTY_REQUIRED)];
    assert_eq!(found, expected);
    assert_eq!(without_context(json!({ "objectType": "Agent" })), [("/object".to_owned(), rule::AGENT_IFI)]);
}

#[test]
fn an_activity_has_an_iri_and_a_definition() {
    refuses("/object/id", &no_iris(), rule::ACTIVITY_ID);
    refuses("/object/id", &all_but("string"), rule::TYPE_STRING);
    refuses_without("/object/id", "/object", rule::PROPERTY_REQUIRED);
    refuses("/object/definition", &all_but("object"), rule::TYPE_OBJECT);
    refuses("/object/Definition", &[json!({})], rule::PROPERTY_UNKNOWN);
    refuses("/object/definition/type", &no_iris(), rule::DEFINITION_TYPE);
    refuses("/object/definition/moreInfo", &no_iris(), rule::DEFINITION_MORE_INFO);
    refuses("/object/definition/moreinfo", &[json!("http://a.example")], rule::PROPERTY_UNKNOWN);
    accepts("/object/definition", &[json!({}), json!({ "type": "http://a.example/t" })]);
    accepts_without("/object/definition");
}

#[test]
fn extensions_take_anything_under_an_iri() {
    for map in ["/object/definition/extensions", "/result/extensions", "/context/extensions"] {
        refuses(map, &all_but("object"), rule::TYPE_OBJECT);
        refuses(map, &[Value::Null], rule::VALUE_NULL);
        refuses(&format!("{map}/should fail"), &[json!(1)], rule::EXTENSIONS_KEY);
        refuses(&format!("{map}/ab=c:~1~1should.fail.com"), &[Value::Null], rule::EXTENSIONS_KEY);
        let values = [Value::Null, json!(""), json!({}), json!([null, { "a b": null }]), json!(1.5), json!(true)];
        accepts(&format!("{map}/http:~1~1a.example~1x"), &values);
        accepts(map, &[json!({})]);
    }
}

#[test]
fn interaction_types_are_the_ten_of_the_specification() {
    let types = [
        "true-false",
        "choice",
        "fill-in",
        "long-fill-in",
        "matching",
        "performance",
        "sequencing",
        "likert",
        "numeric",
        "other",
    ];
    for kind in types {
        accepts("/object/definition", &[json!({ "interactionType": kind, "correctResponsesPattern": ["a", ""] })]);
    }
    for kind in ["choiCe", "", "cmi", "ab=c://should.fail.com"] {
        refuses("/object/definition/interactionType", &[json!(kind)], rule::INTERACTION_TYPE);
    }
    refuses("/object/definition/interactionType", &all_but("string"), rule::TYPE_STRING);
}

#[test]
fn interaction_properties_need_their_type() {
    for key in ["correctResponsesPattern", "choices", "scale", "source", "target", "steps"] {
        let definition = json!({ key: [] });
        refuses("/object/definition", &[definition], rule::INTERACTION_TYPE_REQUIRED);
    }
    refuses("/object/definition/correctResponsesPattern", &all_but("array"), rule::TYPE_ARRAY);
    refuses("/object/definition/correctResponsesPattern/0", &all_but("string"), rule::TYPE_STRING);
}

#[test]
fn component_lists_belong_to_their_type() {
    let fits = [
        ("choices", "choice"),
        ("choices", "sequencing"),
        ("scale", "likert"),
        ("source", "matching"),
        ("target", "matching"),
        ("steps", "performance"),
    ];
    for (list, kind) in fits {
        accepts("/object/definition", &[json!({ "interactionType": kind, list: [{ "id": "a" }, { "id": "" }] })]);
    }
    for (list, kind) in [("choices", "likert"), ("scale", "choice"), ("steps", "other"), ("source", "true-false")] {
        let definition = json!({ "interactionType": kind, list: [] });
        refuses_at(
            "/object/definition",
            &[definition],
            &format!("/object/definition/{list}"),
            rule::INTERACTION_COMPONENTS,
        );
    }
}

#[test]
fn components_have_distinct_ids() {
    let choices = "/object/definition/choices";
    refuses(choices, &all_but("array"), rule::TYPE_ARRAY);
    refuses(&format!("{choices}/0"), &all_but("object"), rule::TYPE_OBJECT);
    refuses(&format!("{choices}/0/id"), &all_but("string"), rule::TYPE_STRING);
    refuses_without(&format!("{choices}/0/id"), &format!("{choices}/0"), rule::PROPERTY_REQUIRED);
    refuses(&format!("{choices}/1/id"), &[json!("golf")], rule::COMPONENT_ID);
    refuses(&format!("{choices}/0/title"), &[json!("x")], rule::PROPERTY_UNKNOWN);
    let many: Vec<_> = (0..10_000).map(|n| json!({ "id": n.to_string() })).collect();
    accepts(choices, &[Value::Array(many)]);
}

#[test]
fn a_statement_ref_is_a_type_and_a_uuid() {
    let id = "6690e6c9-3ef0-4ed3-8b37-7f3964730bee";
    assert_eq!(without_context(json!({ "objectType": "StatementRef", "id": id })), []);
    for bad in ["", "6690e6c9-3ef0-4ed3-8b37-7f3964730beef", "6690e6c9-3ef0-4ed3-8b37-7f3964730beg"] {
        let found = without_context(json!({ "objectType": "StatementRef", "id": bad }));
        assert_eq!(found, [("/object/id".to_owned(), rule::STATEMENT_REF_ID)]);
    }
    assert_eq!(without_context(json!({ "objectType": "StatementRef" }))[0].1, rule::PROPERTY_REQUIRED);
    let extra = json!({ "objectType": "StatementRef", "id": id, "definition": {} });
    assert_eq!(without_context(extra)[0], ("/object/definition".to_owned(), rule::PROPERTY_UNKNOWN));
    refuses("/context/statement", &all_but("object"), rule::TYPE_OBJECT);
    refuses("/context/statement/objectType", &[json!("Activity")], rule::STATEMENT_REF_OBJECT_TYPE);
    refuses_without("/context/statement/objectType", "/context/statement", rule::PROPERTY_REQUIRED);
    refuses("/context/statement/id", &[json!("x")], rule::STATEMENT_REF_ID);
}

#[test]
fn a_sub_statement_is_no_whole_statement() {
    let sub = as_sub_statement(everything());
    for (key, value) in [
        ("id", json!("6690e6c9-3ef0-4ed3-8b37-7f3964730bee")),
        ("stored", json!("2013-05-18T05:32:34.804Z")),
        ("version", json!("1.0.3")),
        ("authority", json!({ "mbox": "mailto:a@b.example" })),
    ] {
        let (mut changed, pointer) = (sub.clone(), format!("/object/{key}"));
        set(&mut changed, &pointer, Some(value));
        assert_eq!(broken(&changed, Version::V1_0_3), [(pointer, rule::SUB_STATEMENT_PROPERTY)]);
    }
    let mut nested = sub.clone();
    set(&mut nested, "/object/context", None);
    set(&mut nested, "/object/object", Some(sub["object"].clone()));
    assert_eq!(broken(&nested, Version::V2_0_0), [("/object/object".to_owned(), rule::SUB_STATEMENT_NESTED)]);
    for key in ["actor", "verb", "object"] {
        let mut less = sub.clone();
        set(&mut less, &format!("/object/{key}"), None);
        assert_eq!(broken(&less, Version::V1_0_3), [("/object".to_owned(), rule::PROPERTY_REQUIRED)]);
    }
    let mut more = sub;
    set(&mut more, "/object/dummy", Some(json!(1)));
    assert_eq!(broken(&more, Version::V2_0_0), [("/object/dummy".to_owned(), rule::PROPERTY_UNKNOWN)]);
}

#[test]
fn a_voiding_statement_names_a_statement() {
    refuses_at("/verb/id", &[json!("http://adlnet.gov/expapi/verbs/voided")], "/object", rule::STATEMENT_VOIDING);
    let voiding = json!({
        "actor": { "mbox": "mailto:a@b.example" },
        "verb": { "id": "http://adlnet.gov/expapi/verbs/voided" },
        "object": { "objectType": "StatementRef", "id": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee" },
    });
    assert_eq!(broken(&voiding, Version::V1_0_3), []);
}
