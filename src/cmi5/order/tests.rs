//! What may follow on what.

use chrono::TimeDelta;
use serde_json::json;

use super::{super::CATEGORY, super::SESSION, *};

const REGISTRATION: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0007);
const T: TenantId = TenantId::DEFAULT;

/// `verb session`, with `~` before the verb for what is only allowed, and `/unit` behind the session for another unit.
fn said(text: &str, statement: usize) -> Said {
    said_by("ada", text, statement)
}

fn said_by(name: &str, text: &str, statement: usize) -> Said {
    let (verb, place) = text.split_once(' ').unwrap();
    let (session, unit) = place.split_once('/').unwrap_or((place, "1"));
    let (is_allowed, verb) = verb.strip_prefix('~').map_or((false, verb), |verb| (true, verb));
    let vocabulary = match verb {
        "abandoned" | "waived" | "satisfied" => "https://w3id.org/xapi/adl/verbs",
        _ => "http://adlnet.gov/expapi/verbs",
    };
    let category = if is_allowed { "https://x.example" } else { CATEGORY };
    let document = json!({
        "actor": {"account": {"homePage": "https://lms.example", "name": name}},
        "verb": {"id": format!("{vocabulary}/{verb}")},
        "object": {"id": format!("https://lms.example/au/{unit}")},
        "context": {
            "registration": REGISTRATION,
            "contextActivities": {"category": {"id": category}},
            "extensions": {SESSION: session},
        },
    });
    Said::of(T, None, statement, document.as_object().unwrap()).unwrap()
}

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

/// Each as a request of its own, a minute after the one before; answers what the last one breaks.
fn last_of(texts: &[&str]) -> Option<&'static str> {
    let mut marks = Marks::default();
    let mut last = None;
    for (n, text) in (0..).zip(texts) {
        let said = said(text, 0);
        let spoken = Spoken { said: &said, id: Uuid::from_u128(n), occurred: at(i64::try_from(n).unwrap()) };
        let (broken, left) = marks.judge(&[spoken]);
        assert!(broken.len() <= 1);
        last = broken.first().map(|violation| violation.rule);
        marks.add(left);
    }
    last
}

#[test]
fn a_session_begins_ends_and_has_each_verb_once() {
    for (texts, rule) in [
        (&["initialized a"][..], None),
        (&["launched a", "initialized a", "~experienced a", "completed a", "passed a", "terminated a"], None),
        (&["launched a", "satisfied a"], None),
        (&["~experienced a"], Some(rules::INITIALIZED_FIRST)),
        (&["launched a", "passed a"], Some(rules::INITIALIZED_FIRST)),
        (&["terminated a"], Some(rules::INITIALIZED_FIRST)),
        (&["initialized a", "~experienced b"], Some(rules::INITIALIZED_FIRST)),
        (&["initialized a", "initialized a"], Some(rules::VERB_TWICE)),
        (&["initialized a", "terminated a", "~experienced a"], Some(rules::TERMINATED_LAST)),
        (&["initialized a", "terminated a", "completed a"], Some(rules::TERMINATED_LAST)),
        (&["initialized a", "terminated a", "terminated a"], Some(rules::VERB_TWICE)),
        (&["initialized a", "terminated a", "satisfied a"], None),
        (&["initialized a", "abandoned a", "terminated a"], Some(rules::ABANDONED_LAST)),
        (&["initialized a", "abandoned a", "abandoned a"], Some(rules::VERB_TWICE)),
        (&["launched a", "launched a"], Some(rules::VERB_TWICE)),
        (&["initialized a", "completed a", "completed a"], Some(rules::VERB_TWICE)),
        (&["initialized a", "passed a", "passed a"], Some(rules::VERB_TWICE)),
        (&["initialized a", "failed a", "failed a"], Some(rules::VERB_TWICE)),
        (&["initialized a", "failed a", "passed a"], Some(rules::VERDICT_TWICE)),
        (&["initialized a", "passed a", "failed a"], Some(rules::VERDICT_TWICE)),
        (&["initialized a", "~passed a", "~passed a"], None),
    ] {
        assert_eq!(last_of(texts), rule, "{texts:?}");
    }
}

#[test]
fn a_unit_is_done_once_in_a_registration() {
    for (texts, rule) in [
        (&["initialized a", "completed a", "initialized b", "completed b"][..], Some(rules::COMPLETED_TWICE)),
        (&["initialized a", "passed a", "initialized b", "passed b"], Some(rules::PASSED_TWICE)),
        (&["initialized a", "passed a", "initialized b", "failed b"], Some(rules::FAILED_AFTER_PASSED)),
        (&["initialized a", "failed a", "initialized b", "failed b"], None),
        (&["initialized a", "failed a", "initialized b", "passed b"], None),
        (&["initialized a", "passed a", "initialized b/2", "passed b/2"], None),
        (&["waived a", "waived b"], Some(rules::WAIVED_TWICE)),
        (&["waived a", "waived b/2"], None),
    ] {
        assert_eq!(last_of(texts), rule, "{texts:?}");
    }
}

#[test]
fn statements_of_one_request_are_taken_by_their_timestamps() {
    let all = [said("passed a", 0), said("initialized a", 1), said("terminated a", 2)];
    let spoken = |minutes: [i64; 3]| {
        let one = |(said, minute): (_, i64)| Spoken { said, id: Uuid::nil(), occurred: at(minute) };
        let spoken: Vec<Spoken<'_>> = all.iter().zip(minutes).map(one).collect();
        let (broken, left) = Marks::default().judge(&spoken);
        (broken.into_iter().map(|violation| (violation.statement, violation.rule)).collect::<Vec<_>>(), left.len())
    };
    assert_eq!(spoken([2, 1, 3]), (vec![], 4));
    assert_eq!(spoken([1, 2, 3]), (vec![(Some(0), rules::INITIALIZED_FIRST)], 4));
    assert_eq!(spoken([3, 1, 2]), (vec![(Some(0), rules::TERMINATED_LAST)], 4));
}

#[test]
fn a_person_is_one_however_the_id_is_spelled() {
    let marks = |name| said_by(name, "passed a", 0).marks().collect::<Vec<_>>();
    let one = marks("00000000-0000-4000-8000-0000000000aa");
    assert_eq!(one, marks("00000000-0000-4000-8000-0000000000AA"));
    assert!(marks("eve").iter().all(|key| !one.contains(key)));
}

#[test]
fn nothing_is_looked_for_that_does_not_matter() {
    for (text, keys) in [
        ("launched a", 1),
        ("initialized a", 2),
        ("~experienced a", 2),
        ("completed a", 4),
        ("~completed a", 2),
        ("passed a", 4),
        ("failed a", 4),
        ("terminated a", 2),
        ("abandoned a", 1),
        ("waived a", 1),
        ("satisfied a", 0),
    ] {
        assert_eq!(said(text, 0).marks().count(), keys, "{text}");
    }
}
