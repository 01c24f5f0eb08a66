//! Statements as wholes, batches, and what an answer says.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::Violation;
use crate::rules::table as rule;
use crate::testing::realistic;

#[test]
fn actor_verb_and_object_are_required() {
    for key in ["/actor", "/verb", "/object"] {
        refuses_without(key, "", rule::PROPERTY_REQUIRED);
    }
    let minimal = json!({
        "actor": { "mbox": "mailto:xapi@adlnet.gov" }, "verb": { "id": "http://a.example/v" }, "object": { "id": "http://a.example" },
    });
    assert_eq!(broken(&minimal, Version::V1_0_3), []);
    assert_eq!(broken(&realistic(), Version::V2_0_0), []);
}

#[test]
fn keys_are_case_sensitive_and_known() {
    for key in ["Actor", "ID", "dummy", "objectType", "contextActivities"] {
        let mut statement = everything();
        set(&mut statement, &format!("/{key}"), Some(json!("x")));
        for version in BOTH {
            assert_eq!(broken(&statement, version), [(format!("/{key}"), rule::PROPERTY_UNKNOWN)]);
        }
    }
}

#[test]
fn null_is_refused_outside_extensions() {
    for pointer in [
        "/id",
        "/actor",
        "/verb",
        "/object",
        "/result",
        "/context",
        "/timestamp",
        "/stored",
        "/version",
        "/authority",
        "/attachments",
        "/actor/name",
        "/actor/member",
        "/actor/mbox",
        "/verb/display",
        "/object/definition",
        "/result/score",
        "/result/score/raw",
        "/result/extensions",
        "/context/team",
        "/context/contextActivities",
        "/context/statement",
        "/context/contextActivities/parent",
        "/context/contextActivities/parent/0",
        "/object/definition/choices/0",
    ] {
        refuses(pointer, &[Value::Null], rule::VALUE_NULL);
    }
}

#[test]
fn ids_are_uuids() {
    refuses("/id", &all_but("string"), rule::TYPE_STRING);
    let bad = [
        "",
        "e05aa883-acaf-40ad-bf54-02c8ce485fb00",
        "e05aa883-acaf-40ad-bf54-02c8ce485fbX",
        "e05aa883acaf40adbf5402c8ce485fb0",
    ];
    refuses("/id", &bad.map(Value::from), rule::STATEMENT_ID);
    accepts("/id", &[json!("E05AA883-ACAF-40AD-BF54-02C8CE485FB0")]);
    accepts_without("/id");
}

#[test]
fn timestamps_are_instants() {
    let bad = [
        "2008-09-15T15:53:00.601-00",
        "2008-09-15T15:53:00.601-0000",
        "2008-09-15T15:53:00.601-00:00",
        "01/011/2015",
        "should fail",
        "",
        "2008-09-15",
    ];
    refuses("/timestamp", &bad.map(Value::from), rule::STATEMENT_TIMESTAMP);
    refuses("/timestamp", &all_but("string"), rule::TYPE_STRING);
    refuses("/stored", &bad.map(Value::from), rule::STATEMENT_STORED);
    accepts("/timestamp", &[json!("2030-09-15T15:53:00.601+00:00"), json!("2008-09-15T15:53:00.601+0200")]);
    accepts_without("/timestamp");
    accepts_without("/stored");
}

#[test]
fn versions_follow_the_request() {
    for (text, old, new) in [
        ("1.0", true, true),
        ("1.0.9", true, true),
        ("1.0.3", true, true),
        ("2.0.0", false, true),
        ("2.0", false, true),
        ("0.9.9", false, false),
        ("1.1.0", false, false),
        ("should fail", false, false),
        ("", false, false),
    ] {
        let mut statement = everything();
        set(&mut statement, "/version", Some(json!(text)));
        for (version, valid) in BOTH.into_iter().zip([old, new]) {
            let expected = if valid { vec![] } else { vec![("/version".to_owned(), rule::STATEMENT_VERSION)] };
            assert_eq!(broken(&statement, version), expected, "{text} in {version}");
        }
    }
    refuses("/version", &all_but("string"), rule::TYPE_STRING);
}

#[test]
fn a_body_is_one_statement_or_an_array_of_them() {
    let one = read(&realistic(), Version::V1_0_3).unwrap();
    assert_eq!((one.statements.len(), one.single), (1, true));
    assert_eq!(Value::Object(one.statements[0].doc().clone()), realistic());
    let array = read(&json!([realistic()]), Version::V1_0_3).unwrap();
    assert_eq!((array.statements.len(), array.single), (1, false));
    let none = read(&json!([]), Version::V1_0_3).unwrap();
    assert_eq!((none.statements.len(), none.single), (0, false));
    for body in [json!("x"), json!(1), Value::Null, json!(true)] {
        assert_eq!(broken(&body, Version::V2_0_0), [(String::new(), rule::BATCH_TYPE)], "{body}");
    }
    assert_eq!(broken(&json!([realistic(), [realistic()]]), Version::V2_0_0), [(String::new(), rule::TYPE_OBJECT)]);
    assert_eq!(broken(&json!([null]), Version::V2_0_0), [(String::new(), rule::VALUE_NULL)]);
}

#[test]
fn every_violation_of_every_statement_is_told() {
    let mut bad = realistic();
    set(&mut bad, "/id", None);
    let mut worse = bad.clone();
    set(&mut bad, "/verb/id", Some(json!("x")));
    set(&mut worse, "/result/score/scaled", Some(json!("0.8")));
    set(&mut worse, "/actor/nickname", Some(json!("G")));
    let Err(Violations(list)) = read(&json!([realistic(), bad, worse]), Version::V1_0_3) else { panic!("accepted") };
    let found: Vec<_> = list.iter().map(|v| (v.statement, v.pointer.as_str(), v.rule)).collect();
    assert_eq!(
        found,
        [
            (Some(1), "/verb/id", rule::VERB_ID),
            (Some(2), "/result/score/scaled", rule::TYPE_NUMBER),
            (Some(2), "/actor/nickname", rule::PROPERTY_UNKNOWN),
        ]
    );
    assert_eq!(list[1].message, "found the string \"0.8\", expected a number");
}

#[test]
fn an_id_stands_once_in_a_batch() {
    let other = {
        let mut statement = realistic();
        let upper = statement["id"].as_str().unwrap().to_uppercase();
        set(&mut statement, "/id", Some(json!(upper)));
        statement
    };
    for version in BOTH {
        let Err(Violations(list)) = read(&json!([realistic(), realistic(), other]), version) else {
            panic!("accepted")
        };
        let found: Vec<_> = list.iter().map(|v| (v.statement, v.rule, v.message.as_str())).collect();
        let message = "statement 0 of this request has the same id";
        assert_eq!(found, [(Some(1), rule::BATCH_DUPLICATE, message), (Some(2), rule::BATCH_DUPLICATE, message)]);
    }
    let mut anonymous = realistic();
    set(&mut anonymous, "/id", None);
    assert_eq!(broken(&json!([anonymous, anonymous]), Version::V2_0_0), []);
}

fn first(statement: &Value, limits: &Limits) -> Violation {
    match read::statements(statement.to_string().as_bytes(), Version::V1_0_3, limits) {
        Ok(_) => panic!("accepted"),
        Err(Violations(mut list)) => list.remove(0),
    }
}

#[test]
fn limits_answer_with_their_numbers() {
    let mut long = realistic();
    set(&mut long, "/object/id", Some(json!(format!("http://a.example/{}", "x".repeat(100_000)))));
    let violation = first(&long, &Limits::default());
    assert_eq!((violation.rule, violation.pointer.as_str()), (rule::IRI_BYTES, "/object/id"));
    assert!(violation.message.contains("100017 bytes") && violation.message.contains("16384"), "{}", violation.message);

    let key = format!("http://a.example/{}", "x".repeat(100_000));
    set(&mut long, "/object/id", Some(json!("http://a.example")));
    set(&mut long, "/context/extensions", Some(json!({ key: 1 })));
    let violation = first(&long, &Limits::default());
    assert_eq!(violation.rule, rule::IRI_BYTES);
    assert!(violation.pointer.len() < 300, "the pointer repeats the whole key");

    let violation = first(&realistic(), &Limits { body_bytes: 100, ..Limits::default() });
    assert_eq!(violation.rule, rule::BODY_BYTES);
    assert!(violation.message.ends_with("the limit is 100"), "{}", violation.message);
    let violation = first(&json!([realistic(), realistic()]), &Limits { statements: 1, ..Limits::default() });
    assert!(violation.message.contains("more than 1 statements"), "{}", violation.message);
    let violation = first(&realistic(), &Limits { statement_bytes: 500, ..Limits::default() });
    assert_eq!((violation.rule, violation.statement), (rule::STATEMENT_BYTES, Some(0)));
}

#[test]
fn values_are_never_repeated_at_length() {
    let long = "secret ".repeat(1_000);
    for pointer in
        ["/verb/id", "/actor/mbox", "/timestamp", "/result/score/scaled", "/result/duration", "/object/objectType"]
    {
        let mut statement = everything();
        set(&mut statement, pointer, Some(json!(long)));
        let violation = first(&statement, &Limits::default());
        assert!(violation.message.len() < 400, "{pointer}: {}", violation.message);
    }
}

#[test]
fn hostile_bodies_end_in_an_answer() {
    let limits = Limits::default();
    let deep = format!("{{\"actor\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let doubled = realistic().to_string().replace("\"verb\":", "\"verb\":{},\"verb\":");
    let huge = json!({ "actor": "x".repeat(16 << 20) }).to_string();
    for (body, rule) in [
        (deep.as_bytes(), rule::JSON_DEPTH),
        (doubled.as_bytes(), rule::JSON_DUPLICATE),
        (huge.as_bytes(), rule::BODY_BYTES),
        (b"\xFF", rule::JSON_UTF8),
        (b"", rule::JSON_SYNTAX),
        (b"\0\0\0", rule::JSON_SYNTAX),
    ] {
        let Err(Violations(list)) = read::statements(body, Version::V2_0_0, &limits) else {
            panic!("accepted: {rule}")
        };
        assert_eq!(list[0].rule, rule);
    }
    let mut nul = realistic();
    set(&mut nul, "/result/response", Some(json!("a\0b")));
    let batch = read(&nul, Version::V1_0_3).unwrap();
    assert!(serde_json::to_string(batch.statements[0].doc()).unwrap().contains("\"a\\u0000b\""));
}

#[test]
fn every_rule_is_used_and_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/validation.md")).unwrap();
    let (_, rules) = document.split_once("\n## Rules\n").unwrap();
    let documented: Vec<_> = rules.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<_> = rule::ALL.iter().map(|(id, sentence)| format!("| `{id}` | {sentence} |")).collect();
    assert_eq!(documented, expected, "docs/validation.md and rules/table.rs differ");
    let sources = sources(&root.join("src/xapi"));
    let table = fs::read_to_string(root.join("src/xapi/rules/table.rs")).unwrap();
    let names = table.lines().filter_map(|line| line.trim().split_once(" = \"")).map(|(name, _)| name);
    for name in names {
        assert!(sources.contains(&format!("rule::{name}")), "{name} is listed but never answered");
    }
}

/// The text of all files below a folder, tests left out.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}
