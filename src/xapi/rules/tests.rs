//! The rules, tested through the reader: what is broken must be found at its place and under its id, and nothing else.

mod decisions;
mod differential;
mod how;
mod what;
mod who;
mod whole;

use serde_json::{Value, json};

use crate::testing::{as_sub_statement, everything, everything_2, set};
use crate::{Limits, Version, Violations, read};

const BOTH: [Version; 2] = [Version::V1_0_3, Version::V2_0_0];

fn read(statement: &Value, version: Version) -> Result<read::Batch, Violations> {
    read::statements(statement.to_string().as_bytes(), version, &Limits::default())
}

/// Pointers and rules of all that is wrong.
fn broken(statement: &Value, version: Version) -> Vec<(String, &'static str)> {
    match read(statement, version) {
        Ok(_) => Vec::new(),
        Err(Violations(list)) => list.into_iter().map(|v| (v.pointer, v.rule)).collect(),
    }
}

/// The full statement of 1.0.3 with one value changed, alone and as a SubStatement, in both versions.
fn each_way(pointer: &str, value: Option<Value>, check: impl Fn(&str, Vec<(String, &'static str)>)) {
    let mut changed = everything();
    set(&mut changed, pointer, value);
    for version in BOTH {
        check("", broken(&changed, version));
    }
    let own = ["/id", "/stored", "/version", "/authority"];
    if !own.iter().any(|own| pointer.starts_with(own)) {
        check("/object", broken(&as_sub_statement(changed), Version::V1_0_3));
    }
}

/// Every value is refused where it stands, under this rule alone.
fn refuses(pointer: &str, values: &[Value], rule: &str) {
    refuses_at(pointer, values, pointer, rule);
}

fn refuses_at(pointer: &str, values: &[Value], place: &str, rule: &str) {
    for value in values {
        each_way(pointer, Some(value.clone()), |prefix, found| {
            assert_eq!(found, [(format!("{prefix}{place}"), rule)], "{pointer} = {value}");
        });
    }
}

fn refuses_without(pointer: &str, place: &str, rule: &str) {
    each_way(pointer, None, |prefix, found| {
        assert_eq!(found, [(format!("{prefix}{place}"), rule)], "without {pointer}");
    });
}

fn accepts(pointer: &str, values: &[Value]) {
    for value in values {
        each_way(pointer, Some(value.clone()), |_, found| assert_eq!(found, [], "{pointer} = {value}"));
    }
}

fn accepts_without(pointer: &str) {
    each_way(pointer, None, |_, found| assert_eq!(found, [], "without {pointer}"));
}

/// Texts that are never an IRI.
fn no_iris() -> [Value; 6] {
    ["ab=c://should.fail.com", "should fail", "", "/relative", "example.com", "http://exa mple.com/"].map(Value::from)
}

/// Values of every JSON type but one.
fn all_but(kind: &str) -> Vec<Value> {
    [
        ("string", json!("x")),
        ("number", json!(1)),
        ("boolean", json!(true)),
        ("array", json!([])),
        ("object", json!({})),
    ]
    .into_iter()
    .filter_map(|(name, value)| (name != kind).then_some(value))
    .collect()
}

#[test]
fn statements_with_everything_are_valid() {
    for version in BOTH {
        assert_eq!(broken(&everything(), version), []);
        assert_eq!(broken(&as_sub_statement(everything()), version), []);
    }
    assert_eq!(broken(&everything_2(), Version::V2_0_0), []);
    assert_eq!(broken(&as_sub_statement(everything_2()), Version::V2_0_0), []);
}
