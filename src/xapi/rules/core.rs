//! What statements and SubStatements have in common: who did what to what, how it went, where and when.

use serde_json::{Map, Value};

use super::kind::Kind;
use super::report::{Path, Report};
use super::{actor, attachments, context, object, result, table as rule, value, verb};

/// Checks what only one of the two has, or neither: a property, or a SubStatement as the `object`.
pub(super) type Own<'a> = &'a mut dyn FnMut(&str, &Value, &Path, &mut Report);

pub(super) fn check(map: &Map<String, Value>, owner: &str, at: &Path, report: &mut Report, own: Own) {
    let (mut who, mut did, mut what, mut context) = (None, None, None, None);
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "actor" => who = Some(value),
            "verb" => did = Some(value),
            "object" => what = Some(value),
            "context" => context = Some(value),
            "result" => result::check(value, &at, report),
            "timestamp" => value::timestamp(value, &at, report, rule::STATEMENT_TIMESTAMP),
            "attachments" => attachments::check(value, &at, report),
            key => own(key, value, &at, report),
        }
    }
    let kind = what.map(Kind::of);
    match who {
        Some(who) => actor::check(who, &at.key("actor"), report),
        None => report.required(false, at, owner, "actor"),
    }
    match did {
        Some(did) => verb::check(did, &at.key("verb"), report),
        None => report.required(false, at, owner, "verb"),
    }
    match what.zip(kind) {
        Some((what, Kind::SubStatement)) => own("object", what, &at.key("object"), report),
        Some((what, kind)) => object::check(what, kind, &at.key("object"), report),
        None => report.required(false, at, owner, "object"),
    }
    if let Some(context) = context {
        context::check(context, kind, &at.key("context"), report);
    }
    if did.is_some_and(verb::is_voiding)
        && let Some(kind) = kind.filter(|kind| *kind != Kind::StatementRef)
    {
        report.add(&at.key("object"), rule::STATEMENT_VOIDING, || {
            format!("a statement with the verb `voided` has a StatementRef as its object, not {}", kind.a())
        });
    }
}
