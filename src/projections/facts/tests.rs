//! Which statements name an attempt, and what is read of them.

use serde_json::json;

use super::*;

const T: TenantId = TenantId::DEFAULT;
const REGISTRATION: &str = "6d8b6a44-0d1c-4a44-9f0a-0b1d4f6f3a10";

fn stored() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_800_000_000_000_007).unwrap()
}

fn parse(statement: &Value) -> Option<AttemptFact> {
    let (key, id) = (Pseudonyms::with_key(b"key"), Uuid::from_u128(1));
    let fact = read(T, &key, &statement.to_string(), id, stored()).unwrap();
    assert_eq!(
        fact,
        of(T, &key, statement.as_object().unwrap(), id, stored()),
        "the excerpt has all that is looked at"
    );
    fact
}

fn statement(verb: &str, context: &Value) -> Value {
    json!({
        "actor": {"account": {"homePage": "http://h.example", "name": "00000000-0000-4000-8000-00000000000a"}},
        "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
        "object": {"id": "http://x.example/au"},
        "context": context,
    })
}

fn extensions(pairs: &[(&str, Value)]) -> Value {
    let all: Map<String, Value> =
        pairs.iter().map(|(name, value)| (format!("{EXTENSIONS}{name}"), value.clone())).collect();
    json!({"extensions": all})
}

#[test]
fn the_platforms_extensions_name_everything() {
    let context = extensions(&[
        ("attempt-id", json!("0E5C1D3E-5F8F-4A53-9B7C-3D1C0E5A7B11")),
        ("enrollment-id", json!("enrollment 5")),
        ("course-version-id", json!(17)),
        ("attempt-number", json!(3)),
    ]);
    let found = parse(&statement("initialized", &context)).unwrap().attempt;
    assert_eq!(found.id, "0e5c1d3e-5f8f-4a53-9b7c-3d1c0e5a7b11");
    assert_eq!(found.enrollment, "enrollment 5");
    assert_eq!(found.course_version, "17");
    assert_eq!(found.wanted_number, Some(3));
    assert_eq!(found.user, "00000000-0000-4000-8000-00000000000a");
}

#[test]
fn an_enrollment_and_a_number_name_an_attempt_without_its_id() {
    let of = |number: Value| {
        let context = extensions(&[("enrollment-id", json!("e")), ("attempt-number", number)]);
        parse(&statement("initialized", &context)).map(|found| found.attempt.id)
    };
    assert_eq!(of(json!(1)), of(json!("1")));
    assert_ne!(of(json!(1)), of(json!(2)));
    assert_eq!(of(json!("first")), None, "an enrollment alone names no attempt");
}

#[test]
fn registration_actor_and_course_name_an_attempt() {
    let grouped = |course: &str| {
        let grouping =
            json!([{"id": "http://x.example/publisher"}, {"id": course, "definition": {"type": COURSE_TYPES[0]}}]);
        json!({"registration": REGISTRATION, "contextActivities": {"grouping": grouping}})
    };
    let first = parse(&statement("initialized", &grouped("http://x.example/course"))).unwrap().attempt;
    let mut other_activity = statement("answered", &grouped("http://x.example/course"));
    other_activity["object"]["id"] = json!("http://x.example/question");
    assert_eq!(parse(&other_activity).unwrap().attempt, first, "a question belongs to the course it is grouped under");
    assert_eq!(first.enrollment, REGISTRATION);
    let other_course = parse(&statement("initialized", &grouped("http://x.example/other"))).unwrap().attempt;
    assert_ne!(other_course.id, first.id);
    let mut other_actor = statement("initialized", &grouped("http://x.example/course"));
    other_actor["actor"] = json!({"mbox": "mailto:ann@example.com"});
    let other_actor = parse(&other_actor).unwrap().attempt;
    assert_ne!(other_actor.id, first.id);
    let ann = keys::agent(T.0, &Ifi::Mbox("mailto:ann@example.com".to_owned()));
    assert_eq!(other_actor.user, Pseudonyms::with_key(b"key").of(ann), "a mailbox is never a user's name");
}

#[test]
fn the_course_is_the_grouping_else_the_parent_else_the_activity_itself() {
    let (grouping, parent) = (json!({"id": "http://x.example/grouping"}), json!([{"id": "http://x.example/parent"}]));
    let key = |iri: &str| keys::activity(T.0, iri).to_string();
    for (related, course) in [
        (json!({"grouping": grouping, "parent": parent}), "http://x.example/grouping"),
        (json!({"parent": parent}), "http://x.example/parent"),
        (json!({"grouping": [], "parent": parent}), "http://x.example/parent"),
        (json!({"other": parent}), "http://x.example/au"),
    ] {
        let context = json!({"registration": REGISTRATION, "contextActivities": related});
        assert_eq!(parse(&statement("initialized", &context)).unwrap().attempt.course, key(course), "{context}");
    }
}

#[test]
fn what_names_no_attempt_gives_none() {
    let mut group = statement("passed", &json!({"registration": REGISTRATION}));
    group["actor"] = json!({"objectType": "Group", "member": [{"mbox": "mailto:a@b.c"}]});
    let mut voiding = statement("voided", &json!({"registration": REGISTRATION}));
    voiding["object"] = json!({"objectType": "StatementRef", "id": REGISTRATION});
    let mut satisfied = statement("x", &json!({"registration": REGISTRATION}));
    satisfied["verb"]["id"] = json!("https://w3id.org/xapi/adl/verbs/satisfied");
    let mut about_another = statement("passed", &json!({"registration": REGISTRATION}));
    about_another["object"] = json!({"objectType": "StatementRef", "id": REGISTRATION});
    let mut bare = statement("passed", &json!({}));
    assert_eq!(parse(&bare), None);
    bare.as_object_mut().unwrap().remove("context");
    for none in [&bare, &group, &voiding, &about_another, &satisfied] {
        assert_eq!(parse(none), None, "{none}");
    }
}

#[test]
fn the_result_and_the_time_are_read() {
    let mut full = statement("completed", &json!({"registration": REGISTRATION}));
    full["result"] = json!({"success": true, "score": {"scaled": 0.875}, "duration": "P1DT2H3M4.9S"});
    full["timestamp"] = json!("2026-11-21T10:00:00.1234567+02:00");
    let fact = parse(&full).unwrap().fact;
    assert_eq!((fact.effect, fact.success), (Effect::Completed, Some(true)));
    assert_eq!(fact.score.unwrap().ten_thousandths(), 8_750);
    assert_eq!(fact.seconds, Some(86_400 + 7_200 + 180 + 4));
    assert_eq!(fact.occurred, "2026-11-21T08:00:00.123456Z".parse::<DateTime<Utc>>().unwrap());
    let plain = parse(&statement("juggled", &json!({"registration": REGISTRATION}))).unwrap().fact;
    assert_eq!((plain.occurred, plain.effect), (stored(), Effect::Belongs));
}

#[test]
fn durations_are_whole_seconds_or_nothing() {
    for (text, seconds) in [
        ("PT90S", Some(90)),
        ("PT1.5H", Some(5_400)),
        ("P1W", Some(604_800)),
        ("PT0.999S", Some(0)),
        ("P1Y", None),
        ("P1M", None),
        ("PT99999999999999999999S", None),
        ("P9223372036854775807D", None),
    ] {
        assert_eq!(whole_seconds(text), seconds, "{text}");
    }
}
