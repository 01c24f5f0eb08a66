//! Actors, authorities, accounts.

use serde_json::json;

use super::*;
use crate::rules::table as rule;

fn agent() -> Value {
    json!({ "mbox": "mailto:a@b.example" })
}

#[test]
fn an_actor_is_an_object_of_a_known_type() {
    refuses("/actor", &all_but("object"), rule::TYPE_OBJECT);
    for kind in ["agent", "group", "Activity", "", "Person"] {
        refuses_at(
            "/actor",
            &[json!({ "objectType": kind, "mbox": "mailto:a@b" })],
            "/actor/objectType",
            rule::ACTOR_OBJECT_TYPE,
        );
    }
    refuses("/actor/objectType", &all_but("string"), rule::TYPE_STRING);
}

#[test]
fn an_agent_has_exactly_one_identifier() {
    let identifiers = [
        ("mbox", json!("mailto:a@b.example")),
        ("mbox_sha1sum", json!("ebd31e95054c018b10727ccffd2ef2ec3a016ee9")),
        ("openid", json!("http://a.example/")),
        ("account", json!({ "homePage": "http://a.example", "name": "a" })),
    ];
    for (n, (first, value)) in identifiers.iter().enumerate() {
        accepts("/actor", &[json!({ *first: value }), json!({ *first: value, "objectType": "Agent", "name": "A" })]);
        accepts("/actor", &[json!({ *first: value, "objectType": "Group" })]);
        for (second, other) in &identifiers[n + 1..] {
            refuses("/actor", &[json!({ *first: value, *second: other })], rule::AGENT_IFI);
            refuses("/actor", &[json!({ "objectType": "Group", *first: value, *second: other })], rule::GROUP_IFI);
        }
    }
    refuses("/actor", &[json!({}), json!({ "name": "nobody" }), json!({ "objectType": "Agent" })], rule::AGENT_IFI);
}

#[test]
fn identifiers_have_their_formats() {
    let mboxes = ["mailto:should.fail.com", "a@b.example", "", "mailto:@b"].map(Value::from);
    refuses("/actor/mbox", &mboxes, rule::MBOX);
    refuses("/actor/mbox", &all_but("string"), rule::TYPE_STRING);
    let hashes =
        ["", "ebd31e95054c018b10727ccffd2ef2ec3a016ee", "zbd31e95054c018b10727ccffd2ef2ec3a016ee9"].map(Value::from);
    refuses("/actor/member/2/mbox_sha1sum", &hashes, rule::MBOX_SHA1SUM);
    refuses("/actor/member/2/mbox_sha1sum", &all_but("string"), rule::TYPE_STRING);
    refuses("/actor/member/1/openid", &no_iris(), rule::OPENID);
    refuses("/actor/member/1/openid", &all_but("string"), rule::TYPE_STRING);
    refuses("/actor/member/0/account/homePage", &no_iris(), rule::ACCOUNT_HOME_PAGE);
    refuses("/actor/member/0/account/homePage", &all_but("string"), rule::TYPE_STRING);
    refuses("/actor/member/0/account/name", &all_but("string"), rule::TYPE_STRING);
    refuses("/actor/member/0/account", &all_but("object"), rule::TYPE_OBJECT);
}

#[test]
fn an_account_has_two_properties_and_no_more() {
    for key in ["homePage", "name"] {
        refuses_without(&format!("/actor/member/0/account/{key}"), "/actor/member/0/account", rule::PROPERTY_REQUIRED);
    }
    refuses("/actor/member/0/account/homepage", &[json!("http://a.example")], rule::PROPERTY_UNKNOWN);
    accepts("/actor/member/0/account/name", &[json!(""), json!("é \"x\"")]);
}

#[test]
fn names_are_text_that_a_column_can_hold() {
    for pointer in ["/actor/name", "/actor/member/0/name", "/actor/member/0/account/name"] {
        refuses(pointer, &all_but("string"), rule::TYPE_STRING);
        refuses(pointer, &[json!("a\0b")], rule::TEXT_NUL);
    }
    accepts("/actor/name", &[json!("")]);
}

#[test]
fn a_group_without_identifier_lists_its_members() {
    refuses(
        "/actor",
        &[json!({ "objectType": "Group" }), json!({ "objectType": "Group", "name": "G" })],
        rule::GROUP_MEMBER,
    );
    accepts(
        "/actor",
        &[json!({ "objectType": "Group", "member": [] }), json!({ "objectType": "Group", "member": [agent()] })],
    );
    accepts_without("/actor/member");
    refuses("/actor/member", &all_but("array"), rule::TYPE_ARRAY);
    refuses("/actor/member/0", &all_but("object"), rule::TYPE_OBJECT);
}

#[test]
fn members_are_agents() {
    let group = json!({ "objectType": "Group", "member": [agent()] });
    refuses_at("/actor/member/1", &[group], "/actor/member/1/objectType", rule::GROUP_NESTED);
    refuses("/actor/member/1", &[json!({ "name": "nobody" })], rule::AGENT_IFI);
    refuses_at("/actor", &[json!({ "mbox": "mailto:a@b", "member": [] })], "/actor/member", rule::PROPERTY_UNKNOWN);
}

#[test]
fn actors_have_no_other_properties() {
    for key in ["Mbox", "age", "MBOX_SHA1SUM", "id"] {
        refuses(&format!("/actor/{key}"), &[json!("x")], rule::PROPERTY_UNKNOWN);
        refuses(&format!("/actor/member/0/{key}"), &[json!("x")], rule::PROPERTY_UNKNOWN);
    }
}

#[test]
fn an_authority_is_an_agent_or_a_pair_without_identifier() {
    let group = |member: &[Value]| json!({ "objectType": "Group", "member": member });
    accepts("/authority", &[agent(), group(&[agent(), agent()])]);
    accepts_without("/authority");
    for members in [vec![], vec![agent()], vec![agent(), agent(), agent()]] {
        refuses("/authority", &[group(&members)], rule::AUTHORITY_GROUP);
    }
    let identified = json!({ "objectType": "Group", "mbox": "mailto:a@b", "member": [agent(), agent()] });
    refuses("/authority", &[identified, json!({ "objectType": "Group", "mbox": "mailto:a@b" })], rule::AUTHORITY_GROUP);
    refuses("/authority", &all_but("object"), rule::TYPE_OBJECT);
    refuses("/authority", &[json!({})], rule::AGENT_IFI);
}

#[test]
fn the_agent_of_a_query_is_somebody() {
    let ask = |json: &str| match read::agent(json, Version::V1_0_3, &Limits::default()) {
        Ok(map) => Ok(Value::Object(map)),
        Err(Violations(list)) => Err(list[0].rule),
    };
    assert_eq!(ask(r#"{"mbox":"mailto:a@b.example"}"#), Ok(agent()));
    assert!(ask(r#"{"objectType":"Group","mbox":"mailto:a@b.example"}"#).is_ok());
    assert_eq!(ask(r#"{"objectType":"Group","member":[]}"#), Err(rule::GROUP_IDENTIFIED));
    assert_eq!(ask("{}"), Err(rule::AGENT_IFI));
    for text in ["true", "[]", "\"a\"", "12", "null"] {
        assert!(matches!(ask(text), Err(rule::TYPE_OBJECT | rule::VALUE_NULL)), "{text}");
    }
    assert_eq!(ask(r#"{"mbox""mailto:a@b"}"#), Err(rule::JSON_SYNTAX));
    assert_eq!(ask(""), Err(rule::JSON_SYNTAX));
}
