//! Language maps: RFC 5646 tags to strings.

use serde_json::Value;

use crate::syntax::language;

use super::report::{Path, Report, excerpt};
use super::table as rule;
use super::value;

pub(super) fn check(map: &Value, at: &Path, report: &mut Report) {
    for (tag, text) in value::object(map, at, report).into_iter().flatten() {
        let at = at.key(tag);
        if !language::is_tag(tag) {
            report.add(&at, rule::LANGUAGE_MAP_TAG, || {
                format!("{} is not a language tag such as `en` or `zh-Hans-CN`", excerpt(tag))
            });
        }
        value::text(text, &at, report);
    }
}
