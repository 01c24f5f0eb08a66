//! Results, contexts, attachments.

use serde_json::json;

use super::*;
use crate::rules::table as rule;

#[test]
fn a_result_has_strict_types() {
    refuses("/result", &all_but("object"), rule::TYPE_OBJECT);
    for flag in ["/result/success", "/result/completion"] {
        refuses(flag, &[json!("true"), json!(1), json!({}), json!([])], rule::TYPE_BOOLEAN);
        refuses(flag, &[Value::Null], rule::VALUE_NULL);
        accepts(flag, &[json!(true), json!(false)]);
    }
    refuses("/result/response", &all_but("string"), rule::TYPE_STRING);
    refuses("/result/Success", &[json!(true)], rule::PROPERTY_UNKNOWN);
    accepts("/result", &[json!({})]);
    accepts_without("/result");
}

#[test]
fn a_duration_is_iso_8601() {
    let bad = ["P4W1D", "PA1H0M0S", "", "should fail", "12345", "PT"].map(Value::from);
    refuses("/result/duration", &bad, rule::RESULT_DURATION);
    refuses("/result/duration", &all_but("string"), rule::TYPE_STRING);
    let good =
        ["PT4H35M59.14S", "PT16559.14S", "P3Y1M29DT4H35M59.14S", "P3Y", "P4W", "P1DT12H36M0.12567S"].map(Value::from);
    accepts("/result/duration", &good);
}

#[test]
fn scores_lie_where_they_say() {
    refuses("/result/score", &all_but("object"), rule::TYPE_OBJECT);
    for part in ["scaled", "raw", "min", "max"] {
        let pointer = format!("/result/score/{part}");
        refuses(&pointer, &all_but("number"), rule::TYPE_NUMBER);
        refuses(&pointer, &[json!("1"), json!("0.5")], rule::TYPE_NUMBER);
        refuses(&pointer, &[Value::Null], rule::VALUE_NULL);
        accepts_without(&pointer);
    }
    accepts("/result/score/scaled", &[json!(-1), json!(1.0), json!(0), json!(-0.5), json!(0.12123434)]);
    refuses("/result/score/scaled", &[json!(-1.0001), json!(1.0001), json!(50)], rule::SCORE_SCALED);
    let precise = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    accepts("/result/score/scaled", &[precise("1.00000000000000000000"), precise("-100e-2")]);
    refuses("/result/score/scaled", &[precise("1.00000000000000000001"), precise("1e400")], rule::SCORE_SCALED);
    accepts("/result/score/raw", &[json!(0), json!(100), json!(45.45)]);
    refuses("/result/score/raw", &[json!(-0.5), json!(100.5), json!(1e300)], rule::SCORE_RAW);
    accepts("/result/score", &[json!({}), json!({ "raw": -5 }), json!({ "min": 5 }), json!({ "max": -5, "raw": -6 })]);
    for score in [json!({ "min": 5, "max": 5 }), json!({ "min": 6, "max": 5 }), json!({ "max": -1, "min": 0 })] {
        refuses("/result/score", &[score], rule::SCORE_MIN_MAX);
    }
    refuses("/result/score/percent", &[json!(1)], rule::PROPERTY_UNKNOWN);
}

#[test]
fn numbers_beyond_a_double_are_compared_and_kept() {
    let text = everything().to_string().replace("\"raw\":95", "\"raw\":1e400").replace("\"max\":100", "\"max\":1e401");
    let batch = read::statements(text.as_bytes(), Version::V1_0_3, &Limits::default());
    let score = batch.map(|batch| batch.statements[0].doc()["result"]["score"].to_string());
    assert_eq!(score.as_deref(), Ok("{\"scaled\":0.95,\"raw\":1e+400,\"min\":0,\"max\":1e+401}"));
}

#[test]
fn a_context_has_formats_of_its_own() {
    refuses("/context", &all_but("object"), rule::TYPE_OBJECT);
    let uuids = ["", "ec531277-b57b-4c15-8d91-d292c5b2b8f77", "ec531277-b57b-4c15-8d91-d292c5b2b8fx"].map(Value::from);
    refuses("/context/registration", &uuids, rule::CONTEXT_REGISTRATION);
    refuses("/context/registration", &all_but("string"), rule::TYPE_STRING);
    refuses("/context/language", &["something", "a12345678", "", "en_US"].map(Value::from), rule::CONTEXT_LANGUAGE);
    refuses("/context/language", &all_but("string"), rule::TYPE_STRING);
    refuses("/context/revision", &all_but("string"), rule::TYPE_STRING);
    refuses("/context/platform", &all_but("string"), rule::TYPE_STRING);
    refuses("/context/Team", &[json!({})], rule::PROPERTY_UNKNOWN);
    accepts("/context", &[json!({})]);
}

#[test]
fn an_instructor_is_an_actor_and_a_team_a_group() {
    accepts("/context/instructor", &[json!({ "objectType": "Group", "member": [] }), json!({ "mbox": "mailto:a@b" })]);
    refuses("/context/instructor", &[json!({ "name": "x" })], rule::AGENT_IFI);
    refuses_at(
        "/context/team",
        &[json!({ "objectType": "Agent", "mbox": "mailto:a@b" })],
        "/context/team/objectType",
        rule::GROUP_OBJECT_TYPE,
    );
    refuses("/context/team", &[json!({ "mbox": "mailto:a@b" })], rule::PROPERTY_REQUIRED);
    refuses("/context/team", &[json!({ "objectType": "Group" })], rule::GROUP_MEMBER);
}

#[test]
fn revision_and_platform_speak_of_activities() {
    for object in [
        json!({ "objectType": "Agent", "mbox": "mailto:a@b.example" }),
        json!({ "objectType": "Group", "member": [] }),
        json!({ "objectType": "StatementRef", "id": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee" }),
    ] {
        each_way("/object", Some(object), |prefix, found| {
            let expected = [
                (format!("{prefix}/context/revision"), rule::CONTEXT_REVISION),
                (format!("{prefix}/context/platform"), rule::CONTEXT_PLATFORM),
            ];
            assert_eq!(found, expected);
        });
    }
}

#[test]
fn context_activities_are_activities_alone_or_in_lists() {
    let map = "/context/contextActivities";
    refuses(map, &all_but("object"), rule::TYPE_OBJECT);
    refuses(&format!("{map}/Parent"), &[json!([])], rule::PROPERTY_UNKNOWN);
    for key in ["parent", "grouping", "category", "other"] {
        let list = format!("{map}/{key}");
        let activity = json!({ "id": "http://a.example" });
        accepts(&list, &[activity.clone(), json!([activity]), json!([])]);
        refuses(&list, &[json!("http://a.example"), json!(1)], rule::TYPE_ARRAY);
        refuses_at(&list, &[json!([activity, { "id": "x" }])], &format!("{list}/1/id"), rule::ACTIVITY_ID);
        refuses_at(&list, &[json!({ "id": "x" })], &format!("{list}/id"), rule::ACTIVITY_ID);
        let agent = json!({ "objectType": "Agent", "id": "http://a.example" });
        refuses_at(&list, &[agent], &format!("{list}/objectType"), rule::ACTIVITY_OBJECT_TYPE);
    }
}

#[test]
fn context_agents_and_groups_came_with_two() {
    let agents = everything_2()["context"]["contextAgents"].clone();
    let groups = everything_2()["context"]["contextGroups"].clone();
    for (key, list) in [("contextAgents", agents), ("contextGroups", groups)] {
        let (mut statement, pointer) = (everything(), format!("/context/{key}"));
        set(&mut statement, &pointer, Some(list));
        assert_eq!(broken(&statement, Version::V1_0_3), [(pointer, rule::PROPERTY_UNKNOWN)]);
        assert_eq!(broken(&statement, Version::V2_0_0), []);
        assert_eq!(broken(&as_sub_statement(statement), Version::V2_0_0), []);
    }
}

#[test]
fn their_elements_are_checked() {
    let (agent, group) = ("/context/contextAgents/0", "/context/contextGroups/0");
    let list = |element: &str| element.trim_end_matches("/0").to_owned();
    let cases = [
        (format!("{agent}/objectType"), json!("Agent"), format!("{agent}/objectType"), rule::CONTEXT_AGENT_TYPE),
        (format!("{group}/objectType"), json!("contextAgent"), format!("{group}/objectType"), rule::CONTEXT_GROUP_TYPE),
        (format!("{agent}/agent"), json!({ "name": "x" }), format!("{agent}/agent"), rule::AGENT_IFI),
        (
            format!("{agent}/agent"),
            json!({ "objectType": "Group", "member": [] }),
            format!("{agent}/agent/objectType"),
            rule::AGENT_OBJECT_TYPE,
        ),
        (format!("{group}/group"), json!({ "mbox": "mailto:a@b" }), format!("{group}/group"), rule::PROPERTY_REQUIRED),
        (format!("{agent}/group"), json!({}), format!("{agent}/group"), rule::PROPERTY_UNKNOWN),
        (format!("{agent}/relevantTypes"), json!([]), format!("{agent}/relevantTypes"), rule::RELEVANT_TYPES_EMPTY),
        (
            format!("{agent}/relevantTypes"),
            json!(["abc"]),
            format!("{agent}/relevantTypes/0"),
            rule::RELEVANT_TYPES_IRI,
        ),
        (format!("{group}/relevantTypes"), json!("http://a"), format!("{group}/relevantTypes"), rule::TYPE_ARRAY),
        (list(agent), json!({}), list(agent), rule::TYPE_ARRAY),
        (list(group), json!(["x"]), group.to_owned(), rule::TYPE_OBJECT),
    ];
    for (pointer, value, place, rule) in cases {
        let mut statement = everything_2();
        set(&mut statement, &pointer, Some(value));
        assert_eq!(broken(&statement, Version::V2_0_0), [(place.clone(), rule)]);
        assert_eq!(broken(&as_sub_statement(statement), Version::V2_0_0), [(format!("/object{place}"), rule)]);
    }
    for (pointer, place) in
        [("/objectType", ""), ("/agent", "")].map(|(key, place)| (format!("{agent}{key}"), format!("{agent}{place}")))
    {
        let mut statement = everything_2();
        set(&mut statement, &pointer, None);
        assert_eq!(broken(&statement, Version::V2_0_0), [(place, rule::PROPERTY_REQUIRED)]);
    }
}

#[test]
fn attachments_are_described_completely() {
    refuses("/attachments", &all_but("array"), rule::TYPE_ARRAY);
    refuses("/attachments/0", &all_but("object"), rule::TYPE_OBJECT);
    accepts("/attachments", &[json!([])]);
    for key in ["usageType", "display", "contentType", "length", "sha2"] {
        refuses_without(&format!("/attachments/0/{key}"), "/attachments/0", rule::PROPERTY_REQUIRED);
        refuses(&format!("/attachments/0/{key}"), &[Value::Null], rule::VALUE_NULL);
    }
    accepts_without("/attachments/0/description");
    accepts_without("/attachments/0/fileUrl");
    refuses("/attachments/0/fileURL", &[json!("http://a.example")], rule::PROPERTY_UNKNOWN);
}

#[test]
fn what_attachments_say_has_a_format() {
    refuses("/attachments/0/usageType", &no_iris(), rule::ATTACHMENT_USAGE_TYPE);
    refuses("/attachments/0/fileUrl", &no_iris(), rule::ATTACHMENT_FILE_URL);
    refuses("/attachments/0/length", &all_but("number"), rule::TYPE_NUMBER);
    refuses("/attachments/0/length", &[json!("4235")], rule::TYPE_NUMBER);
    refuses("/attachments/0/length", &[json!(-1), json!(1.5)], rule::ATTACHMENT_LENGTH);
    accepts("/attachments/0/length", &[json!(0), json!(u64::MAX)]);
    refuses("/attachments/0/sha2", &all_but("string"), rule::TYPE_STRING);
    refuses("/attachments/0/sha2", &[json!(""), json!("abc"), json!("z".repeat(64))], rule::ATTACHMENT_SHA2);
    refuses("/attachments/0/contentType", &all_but("string"), rule::TYPE_STRING);
}

#[test]
fn only_of_a_signature_is_the_content_type_given() {
    refuses("/attachments/0/contentType", &[json!("text/plain")], rule::ATTACHMENT_SIGNATURE);
    let mut statement = everything();
    set(&mut statement, "/attachments/0/usageType", Some(json!("http://example.com/usage")));
    for (kind, valid) in [("text/plain; charset=ascii", true), ("image/jpeg", true), ("text", false), ("", false)] {
        set(&mut statement, "/attachments/0/contentType", Some(json!(kind)));
        let found = broken(&statement, Version::V1_0_3);
        assert_eq!(found.is_empty(), valid, "{kind}");
        assert!(found.iter().all(|(_, found)| *found == rule::ATTACHMENT_CONTENT_TYPE), "{kind}");
    }
}
