//! Who vouches for a statement: an agent, or the pair of an application and its user (three-legged OAuth).

use serde_json::Value;

use super::report::{Path, Report};
use super::{actor, table as rule};

pub(super) fn check(authority: &Value, at: &Path, report: &mut Report) {
    actor::check(authority, at, report);
    let Value::Object(map) = authority else { return };
    if map.get("objectType").is_none_or(|kind| kind != "Group") {
        return;
    }
    let members = map.get("member").and_then(Value::as_array).map_or(0, Vec::len);
    let identified = actor::is_identified(map);
    if identified || members != 2 {
        report.add(at, rule::AUTHORITY_GROUP, || {
            let identifier = if identified { "an identifier" } else { "no identifier" };
            format!(
                "the group has {identifier} and {members} members; as an authority it must have none and exactly two"
            )
        });
    }
}
