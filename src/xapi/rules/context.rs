//! The context of a statement.

use serde_json::Value;

use crate::Version;
use crate::syntax::language;

use super::kind::Kind;
use super::report::{Path, Report};
use super::{activity, actor, context_actors, extensions, statement_ref, table as rule, value};

const PROPERTIES: &str = "`registration`, `instructor`, `team`, `contextActivities`, `revision`, `platform`, `language`, \
                          `statement`, `extensions` (in 2.0 also `contextAgents`, `contextGroups`)";

pub(super) fn check(context: &Value, object: Option<Kind>, at: &Path, report: &mut Report) {
    let Some(map) = value::object(context, at, report) else { return };
    let new = report.version == Version::V2_0_0;
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "registration" => _ = value::uuid(value, &at, report, rule::CONTEXT_REGISTRATION),
            "instructor" => actor::check(value, &at, report),
            "team" => actor::group(value, &at, report),
            "contextActivities" => activities(value, &at, report),
            "revision" => about_activity(value, object, &at, report, rule::CONTEXT_REVISION),
            "platform" => about_activity(value, object, &at, report, rule::CONTEXT_PLATFORM),
            "language" => {
                let expected = (rule::CONTEXT_LANGUAGE, "a language tag such as `en` or `zh-Hans-CN`");
                value::formatted(value, &at, report, language::is_tag, expected);
            }
            "statement" => statement_ref::check(value, &at, report),
            "extensions" => extensions::check(value, &at, report),
            "contextAgents" if new => value::each(value, &at, report, context_actors::agent),
            "contextGroups" if new => value::each(value, &at, report, context_actors::group),
            _ => report.unknown(&at, "a context", PROPERTIES),
        }
    }
}

fn about_activity(value: &Value, object: Option<Kind>, at: &Path, report: &mut Report, rule: &'static str) {
    value::text(value, at, report);
    if let Some(kind) = object
        && !matches!(kind, Kind::Activity | Kind::Unknown)
    {
        report.add(at, rule, || {
            format!("this property needs an activity as the object of the statement, not {}", kind.a())
        });
    }
}

/// Lists of activities by their relation; 0.95 had single ones, and they are still taken.
fn activities(activities: &Value, at: &Path, report: &mut Report) {
    for (key, value) in value::object(activities, at, report).into_iter().flatten() {
        let at = at.key(key);
        match key.as_str() {
            "parent" | "grouping" | "category" | "other" if value.is_object() => activity::check(value, &at, report),
            "parent" | "grouping" | "category" | "other" => value::each(value, &at, report, activity::check),
            _ => report.unknown(&at, "contextActivities", "`parent`, `grouping`, `category`, `other`"),
        }
    }
}
