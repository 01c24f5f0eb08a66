//! Activities and their definitions.

use serde_json::Value;

use super::report::{Path, Report};
use super::{extensions, interaction, language_map, table as rule, value};

const DEFINITION: &str = "`name`, `description`, `type`, `moreInfo`, `extensions` and the interaction properties";

pub(super) fn check(activity: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(activity, at, report) else { return };
    let mut id = false;
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "objectType" => value::one_of(value, &at, report, &["Activity"], rule::ACTIVITY_OBJECT_TYPE),
            "id" => {
                id = true;
                value::iri(value, &at, report, rule::ACTIVITY_ID);
            }
            "definition" => definition(value, &at, report),
            _ => report.unknown(&at, "an activity", "`objectType`, `id`, `definition`"),
        }
    }
    report.required(id, at, "an activity", "id");
}

fn definition(definition: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(definition, at, report) else { return };
    let mut interactive = false;
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "name" | "description" => language_map::check(value, &at, report),
            "type" => value::iri(value, &at, report, rule::DEFINITION_TYPE),
            "moreInfo" => value::iri(value, &at, report, rule::DEFINITION_MORE_INFO),
            "extensions" => extensions::check(value, &at, report),
            key if interaction::is_property(key) => interactive = true,
            _ => report.unknown(&at, "an activity definition", DEFINITION),
        }
    }
    if interactive {
        interaction::check(map, at, report);
    }
}
