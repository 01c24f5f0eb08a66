//! Results and scores.

use serde_json::Value;

use crate::xapi::syntax::duration;

use super::report::{Path, Report};
use super::{extensions, table as rule, value};

const RESULT: &str = "`score`, `success`, `completion`, `response`, `duration`, `extensions`";

pub(super) fn check(result: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(result, at, report) else { return };
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "score" => score(value, &at, report),
            "success" | "completion" => value::boolean(value, &at, report),
            "response" => value::text(value, &at, report),
            "duration" => {
                let expected = (rule::RESULT_DURATION, "an ISO 8601 duration such as `PT4H35M59.14S` or `P4W`");
                value::formatted(value, &at, report, duration::is_duration, expected);
            }
            "extensions" => extensions::check(value, &at, report),
            _ => report.unknown(&at, "a result", RESULT),
        }
    }
}

fn score(score: &Value, at: &Path, report: &mut Report) {
    let Some(map) = value::object(score, at, report) else { return };
    let (mut raw, mut min, mut max) = (None, None, None);
    for (key, value) in map {
        let at = at.key(key);
        match key.as_str() {
            "scaled" => {
                if value::number(value, &at, report).is_some_and(|scaled| !(-1.0..=1.0).contains(&scaled)) {
                    report.add(&at, rule::SCORE_SCALED, || format!("`scaled` is {value}; expected between -1 and 1"));
                }
            }
            "raw" => raw = value::number(value, &at, report),
            "min" => min = value::number(value, &at, report),
            "max" => max = value::number(value, &at, report),
            _ => report.unknown(&at, "a score", "`scaled`, `raw`, `min`, `max`"),
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && min >= max
    {
        report.add(at, rule::SCORE_MIN_MAX, || format!("`min` is {min} and `max` is {max}; `min` must be less"));
    }
    if let Some(raw) = raw {
        let low = min.filter(|min| raw < *min).map(|min| format!("less than `min` {min}"));
        let high = max.filter(|max| raw > *max).map(|max| format!("greater than `max` {max}"));
        if let Some(relation) = low.or(high) {
            report.add(&at.key("raw"), rule::SCORE_RAW, || format!("`raw` is {raw}, {relation}"));
        }
    }
}
