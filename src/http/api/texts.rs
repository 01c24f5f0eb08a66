//! Texts that no column can hold, found before anything is made of a body.

/// Where the first `\u0000` stands: the database has no text that holds that character.
pub fn escaped_nul(body: &[u8]) -> Option<usize> {
    let mut place = 0;
    while let Some(next) = body.get(place..)?.iter().position(|byte| *byte == b'\\') {
        place += next;
        if body.get(place + 1..)?.starts_with(b"u0000") {
            return Some(place);
        }
        // The backslash and what it escapes, which may be a backslash.
        place += 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_where_it_is_escaped_and_only_there() {
        for (body, place) in [
            (r#"{"a": "\u0000"}"#, Some(7)),
            (r#"{"\\\u0000": 1}"#, Some(4)),
            (r#"{"a": "\\u0000"}"#, None),
            (r#"{"a": "\u00001"}"#, Some(7)),
            (r#"{"a": "\u0001"}"#, None),
            ("\\", None),
        ] {
            assert_eq!(escaped_nul(body.as_bytes()), place, "{body}");
        }
    }
}
