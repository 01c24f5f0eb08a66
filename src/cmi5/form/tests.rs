//! The form of a statement, rule by rule.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{CATEGORY, Launch, LaunchMode, MASTERY_SCORE, MOVE_ON_CATEGORY, REASON, SESSION, read, rules};
use crate::model::{TenantId, score::Score};

const REGISTRATION: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0007);
const AU: &str = "https://lms.example/au/1";

fn launch() -> Launch {
    let actor = json!({"account": {"homePage": "https://lms.example", "name": "ada"}});
    let Value::Object(actor) = actor else { panic!("an object") };
    let session = Some("s1".to_owned());
    let (activity, mastery_score) = (Some(AU.to_owned()), Score::parse("0.8"));
    Launch { session, activity, mastery_score, ..Launch::of(REGISTRATION, actor) }
}

/// A statement of a unit that breaks nothing.
fn good(verb: &str) -> Value {
    let vocabulary = match verb {
        "abandoned" | "waived" | "satisfied" => "https://w3id.org/xapi/adl/verbs",
        _ => "http://adlnet.gov/expapi/verbs",
    };
    let mut statement = json!({
        "id": "ec531277-b57b-4c15-8d91-d292c5b2b8f7",
        "actor": {"account": {"homePage": "https://lms.example", "name": "ada"}},
        "verb": {"id": format!("{vocabulary}/{verb}")},
        "object": {"id": AU},
        "context": {
            "registration": REGISTRATION,
            "contextActivities": {"category": [{"id": CATEGORY}]},
            "extensions": {SESSION: "s1"},
        },
        "timestamp": "2026-11-01T10:00:00.5Z",
    });
    let result = match verb {
        "completed" => json!({"completion": true, "duration": "PT1M"}),
        "passed" => {
            json!({"success": true, "duration": "PT1M", "score": {"scaled": 0.8, "raw": 8, "min": 0, "max": 10}})
        }
        "failed" => json!({"success": false, "duration": "PT1M", "score": {"scaled": 0.79999}}),
        "terminated" | "abandoned" => json!({"duration": "PT1M"}),
        "waived" => json!({"success": true, "completion": true, "extensions": {REASON: "Administrative"}}),
        _ => return statement,
    };
    if result.get("success").is_some() || result.get("completion").is_some() {
        statement["context"]["contextActivities"]["category"] = json!([{"id": CATEGORY}, {"id": MOVE_ON_CATEGORY}]);
    }
    if result.get("score").is_some() {
        statement["context"]["extensions"][MASTERY_SCORE] = serde_json::from_str("0.80").unwrap();
    }
    statement["result"] = result;
    statement
}

fn rules_of(launch: Option<&Launch>, statement: &Value) -> Vec<&'static str> {
    let said = read(TenantId::DEFAULT, launch, 3, statement.as_object().unwrap()).unwrap();
    assert!(said.broken.iter().all(|violation| violation.statement == Some(3)));
    said.broken.iter().map(|violation| violation.rule).collect()
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(&last.replace("~1", "/"));
}

#[test]
fn good_statements_of_units_and_of_the_lms_break_nothing() {
    for verb in ["initialized", "completed", "passed", "failed", "terminated", "experienced"] {
        assert_eq!(rules_of(Some(&launch()), &good(verb)), [""; 0], "{verb}");
    }
    for verb in ["launched", "abandoned", "waived", "satisfied"] {
        assert_eq!(rules_of(None, &good(verb)), [""; 0], "{verb}");
        assert_eq!(rules_of(Some(&launch()), &good(verb)), [rules::VERB_OF_LMS], "{verb}");
    }
    let mut allowed = good("experienced");
    allowed["context"]["contextActivities"] = json!({"category": {"id": "https://x.example"}});
    allowed["actor"] = json!({"mbox": "mailto:ada@example.org"});
    assert_eq!(rules_of(Some(&launch()), &allowed), [""; 0], "what is allowed is free");
}

#[test]
fn what_is_missing_is_named() {
    let extension = |name: &str| format!("/context/extensions/{}", name.replace('/', "~1"));
    for (verb, pointer, rule) in [
        ("initialized", "/id".to_owned(), rules::ID),
        ("initialized", "/timestamp".to_owned(), rules::TIMESTAMP),
        ("initialized", extension(SESSION), rules::SESSION_MISSING),
        ("initialized", "/context/registration".to_owned(), rules::REGISTRATION_MISSING),
        ("completed", "/result/completion".to_owned(), rules::COMPLETION),
        ("completed", "/result/duration".to_owned(), rules::DURATION),
        ("passed", "/result/success".to_owned(), rules::SUCCESS),
        ("passed", "/result/duration".to_owned(), rules::DURATION),
        ("passed", "/result/score/min".to_owned(), rules::SCORE),
        ("passed", "/result/score/max".to_owned(), rules::SCORE),
        ("passed", extension(MASTERY_SCORE), rules::MASTERY_SCORE),
        ("failed", "/result/success".to_owned(), rules::SUCCESS),
        ("failed", "/result/duration".to_owned(), rules::DURATION),
        ("terminated", "/result".to_owned(), rules::DURATION),
    ] {
        let mut statement = good(verb);
        remove(&mut statement, &pointer);
        let found = rules_of(Some(&launch()), &statement);
        assert!(found.contains(&rule), "{verb} without {pointer}: {found:?}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let category = |all: Value| json!({"category": all});
    let both = json!([{"id": CATEGORY}, {"id": MOVE_ON_CATEGORY}]);
    for (verb, pointer, value, rule) in [
        ("initialized", "/timestamp", json!("2026-11-01T10:00:00-06:00"), rules::TIMESTAMP),
        ("passed", "/actor/objectType", json!("Group"), rules::ACTOR),
        ("passed", "/actor", json!({"mbox": "mailto:ada@example.org"}), rules::ACTOR),
        ("passed", "/object", json!({"objectType": "Agent", "mbox": "mailto:a@b.c"}), rules::OBJECT),
        ("passed", "/result/completion", json!(true), rules::COMPLETION),
        ("completed", "/result/success", json!(true), rules::SUCCESS),
        ("completed", "/result/completion", json!(false), rules::COMPLETION),
        ("completed", "/result/score", json!({"scaled": 1}), rules::SCORE),
        ("passed", "/result/success", json!(false), rules::SUCCESS),
        ("failed", "/result/success", json!(true), rules::SUCCESS),
        ("passed", "/result/score/scaled", json!(0.79), rules::MASTERY),
        ("failed", "/result/score/scaled", json!(0.8), rules::MASTERY),
        ("passed", "/context/contextActivities", category(json!([{"id": CATEGORY}])), rules::MOVE_ON_CATEGORY),
        ("terminated", "/context/contextActivities", category(both.clone()), rules::MOVE_ON_CATEGORY),
        (
            "experienced",
            "/context/contextActivities",
            category(json!({"id": MOVE_ON_CATEGORY})),
            rules::MOVE_ON_CATEGORY,
        ),
    ] {
        let mut statement = good(verb);
        match statement.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                statement.pointer_mut(parent).unwrap()[name] = value;
            }
        }
        let found = rules_of(Some(&launch()), &statement);
        assert!(found.contains(&rule), "{verb} {pointer}: {found:?}");
    }
    let looking = Launch { mode: Some(LaunchMode::Browse), ..launch() };
    for verb in ["completed", "passed", "failed"] {
        assert_eq!(rules_of(Some(&looking), &good(verb)), [rules::LAUNCH_MODE]);
    }
    assert_eq!(rules_of(Some(&looking), &good("terminated")), [""; 0]);
}

#[test]
fn numbers_are_compared_by_their_digits() {
    let mut statement = good("failed");
    statement["result"]["score"]["scaled"] = serde_json::from_str("0.799999999999999999999").unwrap();
    assert_eq!(rules_of(Some(&launch()), &statement), [""; 0]);
}

#[test]
fn what_is_not_of_cmi5_is_left_alone() {
    let plain = json!({"actor": {"mbox": "mailto:a@b.c"}, "verb": {"id": "v:v"}, "object": {"id": "a:1"}});
    assert_eq!(read(TenantId::DEFAULT, None, 0, plain.as_object().unwrap()), None);
    assert!(read(TenantId::DEFAULT, Some(&launch()), 0, plain.as_object().unwrap()).is_some());
}
