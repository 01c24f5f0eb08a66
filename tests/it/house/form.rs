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

/// No panic on input, and nothing that says "later".
pub fn leftovers(source: &Source) -> Vec<String> {
    let panics = [".unwrap()", ".expect(\"\")", "todo!(", "unimplemented!(", "dbg!("];
    let notes = ["TODO", "FIXME", "XXX"];
    let mut found: Vec<String> = Vec::new();
    for word in panics.iter().filter(|word| source.code.contains(**word)) {
        found.extend(finding(source, true, &format!("`{word}` does not belong into the service")));
    }
    for word in notes.iter().filter(|word| source.text.contains(**word)) {
        found.extend(finding(source, true, &format!("{word}: do it, or open an issue")));
    }
    found
}

fn finding(source: &Source, is_wrong: bool, advice: &str) -> Vec<String> {
    is_wrong.then(|| format!("src/{}: {advice}", source.path)).into_iter().collect()
}
