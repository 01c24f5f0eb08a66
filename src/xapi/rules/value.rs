//! JSON values of a wanted type or form. Each function gives the value back when it is what it should be.

use serde_json::{Map, Value};

use crate::{decimal::Decimal, syntax};

use super::report::{Path, Report, excerpt};
use super::table as rule;

pub(super) fn object<'v>(value: &'v Value, at: &Path, report: &mut Report) -> Option<&'v Map<String, Value>> {
    let found = value.as_object();
    if found.is_none() {
        mistyped(value, at, report, rule::TYPE_OBJECT, "an object");
    }
    found
}

pub(super) fn array<'v>(value: &'v Value, at: &Path, report: &mut Report) -> Option<&'v [Value]> {
    let found = value.as_array();
    if found.is_none() {
        mistyped(value, at, report, rule::TYPE_ARRAY, "an array");
    }
    found.map(Vec::as_slice)
}

/// Checks every element of what must be an array.
pub(super) fn each(value: &Value, at: &Path, report: &mut Report, check: fn(&Value, &Path, &mut Report)) {
    for (index, element) in array(value, at, report).unwrap_or_default().iter().enumerate() {
        check(element, &at.index(index), report);
    }
}

pub(super) fn string<'v>(value: &'v Value, at: &Path, report: &mut Report) -> Option<&'v str> {
    let found = value.as_str();
    if found.is_none() {
        mistyped(value, at, report, rule::TYPE_STRING, "a string");
    }
    found
}

/// For callers that need the type only.
pub(super) fn text(value: &Value, at: &Path, report: &mut Report) {
    string(value, at, report);
}

pub(super) fn boolean(value: &Value, at: &Path, report: &mut Report) {
    if !value.is_boolean() {
        mistyped(value, at, report, rule::TYPE_BOOLEAN, "`true` or `false`");
    }
}

/// A number to compare with others; its digits stay in the value.
pub(super) fn number(value: &Value, at: &Path, report: &mut Report) -> Option<Decimal> {
    let found = value.as_number().map(|number| Decimal::of(number.as_str()));
    if found.is_none() {
        mistyped(value, at, report, rule::TYPE_NUMBER, "a number");
    }
    found
}

/// Text that may become an identity or a column of its own, which cannot hold U+0000.
pub(super) fn name(value: &Value, at: &Path, report: &mut Report) {
    if string(value, at, report).is_some_and(|text| text.contains('\0')) {
        report.add(at, rule::TEXT_NUL, || "a name must not hold the character U+0000".to_owned());
    }
}

/// A string in a format of its own.
pub(super) fn formatted(
    value: &Value,
    at: &Path,
    report: &mut Report,
    valid: impl FnOnce(&str) -> bool,
    (rule, expected): (&'static str, &str),
) {
    if let Some(text) = string(value, at, report)
        && !valid(text)
    {
        report.add(at, rule, || format!("{} is not {expected}", excerpt(text)));
    }
}

pub(super) fn uuid(value: &Value, at: &Path, report: &mut Report, rule: &'static str) -> Option<uuid::Uuid> {
    let mut found = None;
    let valid = |text: &str| {
        found = syntax::uuid::parse(text);
        found.is_some()
    };
    formatted(value, at, report, valid, (rule, "a UUID such as `e05aa883-acaf-40ad-bf54-02c8ce485fb0`"));
    found
}

pub(super) fn timestamp(value: &Value, at: &Path, report: &mut Report, rule: &'static str) {
    let valid = |text: &str| syntax::timestamp::parse(text).is_some();
    formatted(
        value,
        at,
        report,
        valid,
        (rule, "a timestamp such as `2015-11-18T12:17:00.000Z` (and never of offset -00:00)"),
    );
}

pub(super) fn iri(value: &Value, at: &Path, report: &mut Report, rule: &'static str) {
    if let Some(text) = string(value, at, report) {
        iri_text(text, at, report, rule);
    }
}

pub(super) fn iri_text(text: &str, at: &Path, report: &mut Report, rule: &'static str) {
    let (bytes, limit) = (text.len(), report.limits.iri_bytes);
    if bytes > limit {
        report.add(at, rule::IRI_BYTES, || format!("the IRI has {bytes} bytes; the limit is {limit}"));
    } else if let Err(fault) = syntax::iri::check(text) {
        report.add(at, rule, || format!("{} is not an absolute IRI: {fault}", excerpt(text)));
    }
}

/// One of the words a specification lists.
pub(super) fn one_of(value: &Value, at: &Path, report: &mut Report, words: &[&str], rule: &'static str) {
    if let Some(text) = string(value, at, report)
        && !words.contains(&text)
    {
        let expected = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        report.add(at, rule, || format!("{} is not allowed here; expected {expected}", excerpt(text)));
    }
}

#[cold]
fn mistyped(value: &Value, at: &Path, report: &mut Report, rule: &'static str, expected: &str) {
    if value.is_null() {
        report.add(at, rule::VALUE_NULL, || {
            format!("null is not allowed; expected {expected}, or leave the property out")
        });
        return;
    }
    report.add(at, rule, || format!("found {}, expected {expected}", describe(value)));
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {}", number.as_str().get(..80).unwrap_or(number.as_str())),
        Value::String(text) => format!("the string {}", excerpt(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
