//! Results and scores.

use serde_json::Value;

use crate::{decimal::Decimal, syntax::duration};

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
        let number = |report: &mut Report| value::number(value, &at, report).map(|number| (number, value));
        match key.as_str() {
            "scaled" => {
                let bounds = Decimal::of("-1")..=Decimal::of("1");
                if value::number(value, &at, report).is_some_and(|scaled| !bounds.contains(&scaled)) {
                    report.add(&at, rule::SCORE_SCALED, || format!("`scaled` is {value}; expected between -1 and 1"));
                }
            }
            "raw" => raw = number(report),
            "min" => min = number(report),
            "max" => max = number(report),
            _ => report.unknown(&at, "a score", "`scaled`, `raw`, `min`, `max`"),
        }
    }
    if let (Some((least, min)), Some((most, max))) = (&min, &max)
        && least >= most
    {
        report.add(at, rule::SCORE_MIN_MAX, || match least == most {
            // What H5P and others send of content that gives no points.
            true => format!(
                "`min` and `max` are both {min}; `min` must be less: leave both out where there is nothing to score"
            ),
            false => format!("`min` is {min} and `max` is {max}; `min` must be less"),
        });
    }
    if let Some((number, raw)) = &raw {
        let low = min.filter(|(min, _)| number < min).map(|(_, min)| format!("less than `min` {min}"));
        let high = max.filter(|(max, _)| number > max).map(|(_, max)| format!("greater than `max` {max}"));
        if let Some(relation) = low.or(high) {
            report.add(&at.key("raw"), rule::SCORE_RAW, || format!("`raw` is {raw}, {relation}"));
        }
    }
}
