//! What JSON text will take in memory once it is read, found out in one pass that keeps nothing.
//!
//! It is an estimate from above, from the commas, colons and brackets outside of strings; whether the text is JSON is
//! for the parser to say.

use serde_json::Value;

use crate::{Limits, Violations, rules::table as rule};

/// Bytes of a value in a list that has grown: lists double.
const VALUE: usize = 2 * size_of::<Value>();
/// Bytes that a property takes beside its value: its name, its hash and its place in the index.
const NAME: usize = 112;

/// Bytes of the values that `body` holds, or that they are more than the limit allows.
pub fn weigh(body: &[u8], limits: &Limits) -> Result<usize, Violations> {
    let (mut values, mut names) = (1, 0);
    let mut at = 0;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => at += string(&body[at + 1..]),
            b'[' | b'{' | b',' => values += 1,
            b':' => names += 1,
            _ => {}
        }
        at += 1;
    }
    // An empty container was counted as if it held one value.
    if values > 2 * limits.values {
        let message = format!("the JSON holds more than {} values, which is the limit", limits.values);
        return Err(Violations::whole(rule::JSON_VALUES, message));
    }
    Ok(values.min(limits.values) * VALUE + names * NAME)
}

/// The length of a string behind its opening quote, the closing one included.
fn string(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = rest[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        at += found + 1;
        if rest[at - 1] == b'"' {
            return at;
        }
        at = (at + 1).min(rest.len());
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(text: &str) -> usize {
        weigh(text.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn values_and_names_are_counted_and_strings_are_not_looked_into() {
        assert_eq!(weight("[1,2,3]"), 4 * VALUE);
        assert_eq!(weight(r#"{"a":"[,:{\",\\","b,":1}"#), 3 * VALUE + 2 * NAME);
        for cut in ["", "\"", "\"a", "\"a\\", "{\"a\":\"\\u"] {
            assert!(weight(cut) <= 2 * VALUE + NAME, "{cut}");
        }
    }

    #[test]
    fn too_many_are_refused_before_any_is_read() {
        let limits = Limits { values: 1_000, ..Limits::default() };
        let refused = weigh("0,".repeat(100_000).as_bytes(), &limits).unwrap_err();
        assert_eq!(refused.0[0].rule, rule::JSON_VALUES);
        assert!(refused.0[0].message.contains("1000 values"));
    }
}
