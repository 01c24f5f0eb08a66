//! What `docs/validation.md` decides where the specification leaves room, a test for each line.

use super::*;
use crate::rules::table as rule;

#[test]
fn every_complete_date_of_iso_8601_is_a_timestamp_in_either_case() {
    let given = ["2015-11-18t12:17:00z", "2015-W47-3T12:17:00Z", "2015322T121700+01", "2015-11-18T24:00:00Z"];
    accepts("/timestamp", &given.map(Value::from));
    let parts =
        ["2015-W47T12:17:00Z", "2015-11T12:17:00Z", "T12:17:00Z", "2015-11-18T24:00:01Z", "2015-11-18 12:17:00Z"];
    refuses("/timestamp", &parts.map(Value::from), rule::STATEMENT_TIMESTAMP);
}

#[test]
fn an_iri_is_more_than_its_scheme_but_needs_no_path() {
    let given = ["http://example.com", "https://example.com?a", "http://example.com#a", "act:?a", "act:#a", "urn:a"];
    accepts("/object/id", &given.map(Value::from));
    let alone = ["act:", "urn:", "http:", "https:", "http://", "https:///a"];
    refuses("/object/id", &alone.map(Value::from), rule::ACTIVITY_ID);
}

#[test]
fn an_anonymous_group_lists_its_members_and_may_list_none() {
    accepts(
        "/context/team",
        &[json!({ "objectType": "Group", "member": [] }), json!({ "objectType": "Group", "member": [], "name": "Us" })],
    );
    refuses(
        "/context/team",
        &[json!({ "objectType": "Group" }), json!({ "objectType": "Group", "name": "Us" })],
        rule::GROUP_MEMBER,
    );
    // An authority is a group for another reason.
    refuses("/authority", &[json!({ "objectType": "Group", "member": [] })], rule::AUTHORITY_GROUP);
}

#[test]
fn the_verb_that_voids_needs_a_statement_to_void_in_a_sub_statement_too() {
    let voided = json!({ "id": "http://adlnet.gov/expapi/verbs/voided" });
    let reference = json!({ "objectType": "StatementRef", "id": "e05aa883-acaf-40ad-bf54-02c8ce485fb0" });
    for version in BOTH {
        let mut outer = everything();
        set(&mut outer, "/verb", Some(voided.clone()));
        set(&mut outer, "/context", None);
        let inner = as_sub_statement(outer);
        assert_eq!(broken(&inner, version), [("/object/object".to_owned(), rule::STATEMENT_VOIDING)]);
        let mut planned = inner;
        set(&mut planned, "/object/object", Some(reference.clone()));
        assert_eq!(broken(&planned, version), [], "to plan a voiding voids nothing, and may be said");
    }
}

#[test]
fn a_statement_of_2_0_comes_only_in_a_request_of_2_0() {
    let mut statement = everything();
    set(&mut statement, "/version", Some(json!("2.0.0")));
    assert_eq!(broken(&statement, Version::V1_0_3), [("/version".to_owned(), rule::STATEMENT_VERSION)]);
    assert_eq!(broken(&statement, Version::V2_0_0), []);
    set(&mut statement, "/version", Some(json!("1.0.3")));
    assert_eq!(broken(&statement, Version::V2_0_0), []);
}
