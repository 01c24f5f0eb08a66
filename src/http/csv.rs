//! Lines of CSV, for whoever opens a table in a spreadsheet: no cell of them is a formula there.

use serde_json::Value;

/// The media type of an answer.
pub const CONTENT_TYPE: &str = "text/csv; charset=utf-8";

/// A cell. A text that a spreadsheet would take for a formula begins with an apostrophe, and is a text there.
pub fn cell(value: Option<&Value>) -> String {
    let (text, is_text) = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => (text.clone(), true),
        Some(other) => (other.to_string(), false),
    };
    let is_formula = is_text && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

pub fn row(cells: impl Iterator<Item = String>) -> String {
    let mut row = cells.collect::<Vec<_>>().join(",");
    row.push_str("\r\n");
    row
}

/// What browsers call the file that they keep an answer as.
pub fn named(file: &str) -> String {
    format!("attachment; filename=\"{file}.csv\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_its_row() {
        for (value, text) in [
            (json!("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0"),
            (json!("@SUM(A1)"), "'@SUM(A1)"),
            (json!(-1), "-1"),
            (json!("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\""),
            (json!(true), "true"),
            (json!(null), ""),
        ] {
            assert_eq!(cell(Some(&value)), text);
        }
    }
}
