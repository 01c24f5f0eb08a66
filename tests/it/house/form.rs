//! The form of a file: its head, its length, and what must not be left in it.

use super::source::Source;

const LONGEST: usize = 400;

/// Says what it is on its first line.
pub fn head(source: &Source) -> Vec<String> {
    finding(source, !source.text.starts_with("//!"), "begin with a `//!` that says what the file is")
}

/// Fits a head that reads it.
pub fn length(source: &Source) -> Vec<String> {
    let lines = source.body.lines().count();
    finding(source, lines > LONGEST, &format!("{lines} lines before its tests; split it, {LONGEST} are the most"))
}

/// Rules and plans take facts and give steps: no IO, so no waiting.
pub fn purity(source: &Source) -> Vec<String> {
    let is_pure = matches!(source.room.as_str(), "xapi" | "model") || source.path.ends_with("/plan.rs");
    let waits = source.code.contains("async ") || source.code.contains(".await") || source.code.contains("std::fs");
    finding(source, is_pure && waits, "this file must stay pure: no async, no IO")
}

/// Nothing says "later". That nothing panics is clippy's to say.
pub fn leftovers(source: &Source) -> Vec<String> {
    let notes = ["TODO", "FIXME", "XXX"].into_iter().filter(|word| source.text.contains(word));
    notes.flat_map(|word| finding(source, true, &format!("{word}: do it, or open an issue"))).collect()
}

/// SQL begins with the label by which it is found in `pg_stat_statements` and in a log: the name of the file, or of the one
/// whose folder it is in, and the verb.
pub fn labels(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
    let is_own = |label: &str| {
        label.split_once("::").is_some_and(|(name, _)| path.rsplit('/').take(2).any(|segment| segment == name))
    };
    let labels = source.body.split("\"/* ").skip(1).filter_map(|rest| rest.split_once(" */"));
    let foreign = labels.map(|(label, _)| label).filter(|label| !is_own(label));
    foreign.flat_map(|label| finding(source, true, &format!("label {label}: begin it with the file's name"))).collect()
}

fn finding(source: &Source, is_wrong: bool, advice: &str) -> Vec<String> {
    is_wrong.then(|| format!("src/{}: {advice}", source.path)).into_iter().collect()
}
