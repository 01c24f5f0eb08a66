//! Internet media types with parameters: `text/plain; charset=ascii`.

/// Bytes of a media type at most: it goes into a header, and not every reader takes long ones.
pub const LONGEST: usize = 256;

/// Whether the text is `type/subtype`, with or without parameters (a value may be quoted), and no longer than [`LONGEST`].
pub fn is_media_type(text: &str) -> bool {
    if text.len() > LONGEST {
        return false;
    }
    let (essence, parameters) = match text.split_once(';') {
        Some((essence, parameters)) => (essence, Some(parameters)),
        None => (text, None),
    };
    let names = essence.trim_end_matches(BLANK).split_once('/');
    names.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype)) && parameters.is_none_or(are_parameters)
}

const BLANK: [char; 2] = [' ', '\t'];

fn is_token(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(token)
}

fn are_parameters(text: &str) -> bool {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(BLANK);
        // A trailing semicolon is common and harmless.
        if rest.is_empty() {
            return true;
        }
        let Some((name, value)) = rest.split_once('=') else { return false };
        let end = match value.strip_prefix('"') {
            Some(quoted) => quoted_length(quoted).map(|length| length + 1),
            None => Some(value.find([';', ' ', '\t']).unwrap_or(value.len())).filter(|&end| is_token(&value[..end])),
        };
        let Some(end) = end.filter(|_| is_token(name)) else { return false };
        let after = value[end..].trim_start_matches(BLANK);
        match after.strip_prefix(';') {
            Some(next) => rest = next,
            None => return after.is_empty(),
        }
    }
}

/// Bytes up to and with the closing quote; a backslash quotes the character after it.
fn quoted_length(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => _ = bytes.next()?,
            b if b.is_ascii_control() && b != b'\t' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_types_and_parameters() {
        for text in [
            "text/plain",
            "text/plain; charset=ascii",
            "text/plain;charset=\"utf-8\" ; a=b",
            "application/octet-stream",
            "application/vnd.api+json",
            "text/plain;",
            "a/b;x=\"\\\"é;\"",
        ] {
            assert!(is_media_type(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_too_long() {
        let of = |length: usize| format!("text/{}", "x".repeat(length - 5));
        assert!(is_media_type(&of(LONGEST)) && !is_media_type(&of(LONGEST + 1)));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            "text",
            "/plain",
            "text/",
            "text/plain/x",
            " text/plain",
            "text/pl ain",
            "text/plain; charset",
            "text/plain; =x",
            "text/plain; a=",
            "text/plain; a=\"x",
            "text/plain; a=\"x\\",
            "text/plain; a=b c",
            "text/pläin",
            "a/b;é=\"x\"",
        ] {
            assert!(!is_media_type(text), "{text}");
        }
    }
}
