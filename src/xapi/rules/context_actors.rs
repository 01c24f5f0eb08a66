//! `contextAgents` and `contextGroups`, which came with 2.0.

use serde_json::Value;

use super::report::{Path, Report};
use super::{actor, table as rule, value};

/// What tells an element of one list from an element of the other.
struct Form {
    owner: &'static str,
    object_type: &'static str,
    type_rule: &'static str,
    property: &'static str,
    check: fn(&Value, &Path, &mut Report),
}

const AGENT: Form = Form {
    owner: "an element of contextAgents",
    object_type: "contextAgent",
    type_rule: rule::CONTEXT_AGENT_TYPE,
    property: "agent",
    check: actor::agent,
};

const GROUP: Form = Form {
    owner: "an element of contextGroups",
    object_type: "contextGroup",
    type_rule: rule::CONTEXT_GROUP_TYPE,
    property: "group",
    check: actor::group,
};

pub(super) fn agent(value: &Value, at: &Path, report: &mut Report) {
    check(value, at, report, &AGENT);
}

pub(super) fn group(value: &Value, at: &Path, report: &mut Report) {
    check(value, at, report, &GROUP);
}

fn check(element: &Value, at: &Path, report: &mut Report, form: &Form) {
    let Some(map) = value::object(element, at, report) else { return };
    let (mut kind, mut actor) = (false, false);
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "objectType" => {
                kind = true;
                value::one_of(value, &at, report, &[form.object_type], form.type_rule);
            }
            key if key == form.property => {
                actor = true;
                (form.check)(value, &at, report);
            }
            "relevantTypes" => relevant_types(value, &at, report),
            _ => report.unknown(&at, form.owner, &format!("`objectType`, `{}`, `relevantTypes`", form.property)),
        }
    }
    report.required(kind, at, form.owner, "objectType");
    report.required(actor, at, form.owner, form.property);
}

fn relevant_types(types: &Value, at: &Path, report: &mut Report) {
    if types.as_array().is_some_and(Vec::is_empty) {
        report
            .add(at, rule::RELEVANT_TYPES_EMPTY, || "`relevantTypes` is empty; name a type or leave it out".to_owned());
    }
    value::each(types, at, report, |iri, at, report| value::iri(iri, at, report, rule::RELEVANT_TYPES_IRI));
}
