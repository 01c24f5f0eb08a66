//! JSON into one growing string, compact and fast. Keys keep their order and numbers their own digits; nothing is checked.

use serde_json::{Map, Value};

pub(super) fn value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(number.as_str()),
        Value::String(text) => string(out, text),
        Value::Array(items) => array(out, items.iter()),
        Value::Object(fields) => object(out, fields),
    }
}

pub(super) fn object(out: &mut String, fields: &Map<String, Value>) {
    out.push('{');
    let mut first = true;
    for (name, field) in fields {
        key(out, name, &mut first);
        value(out, field);
    }
    out.push('}');
}

pub(super) fn array<'a>(out: &mut String, items: impl Iterator<Item = &'a Value>) {
    out.push('[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        value(out, item);
    }
    out.push(']');
}

/// A property's name with its comma and colon; `first` is whether it opens its object, and is cleared.
pub(super) fn key(out: &mut String, name: &str, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(',');
    }
    string(out, name);
    out.push(':');
}

/// A quoted string. Runs without anything to escape, nearly all there are, are copied whole.
pub(super) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                out.push(char::from(b'0' + (byte >> 4)));
                out.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
            }
        }
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(v: &Value) -> String {
        let mut out = String::new();
        value(&mut out, v);
        out
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"a":[1.0,1e+0,0.12123434,12345678901234567890123,-0],"b":null,"c":[true,false,{}]}"#;
        assert_eq!(written(&serde_json::from_str(text).unwrap()), text);
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text in any::<String>()) {
            let v = Value::String(text);
            prop_assert_eq!(serde_json::from_str::<Value>(&written(&v)).unwrap(), v);
        }
    }
}
