//! `multipart/mixed`, the form of statements with attachments: an incremental reader in bounded memory, the rules that tie
//! parts to attachments, and the frame of an answer.

mod attachments;
mod frame;
mod parser;

use super::{Violations, rules::table as rule};

pub use attachments::{Expected, Hasher, Received, check_statements_part};
pub use frame::Frame;
pub use parser::{Event, Parser, PartHeaders};

/// The boundary named in a `Content-Type` of `multipart/mixed`.
pub fn boundary(content_type: &str) -> Result<String, Violations> {
    let refused = |message: &str| Err(Violations::whole(rule::MULTIPART_BOUNDARY, message));
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !essence.trim().eq_ignore_ascii_case("multipart/mixed") {
        return refused("statements with attachments are sent as multipart/mixed");
    }
    let Some(boundary) = parameter(parameters, "boundary") else {
        return refused("the content type multipart/mixed needs a boundary parameter");
    };
    let is_printable = boundary.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if boundary.is_empty() || boundary.len() > 70 || !is_printable || boundary.ends_with(' ') {
        return refused("a boundary has 1 to 70 printable ASCII characters and does not end with a space");
    }
    Ok(boundary)
}

/// A parameter of a header value, its quotes taken off.
fn parameter(mut text: &str, wanted: &str) -> Option<String> {
    while let Some((name, rest)) = text.split_once('=') {
        let rest = rest.trim_start();
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        // What stands before the last semicolon is no parameter of a name and a value.
        let name = name.rsplit(';').next().unwrap_or_default();
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        text = after;
    }
    None
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_found_in_its_many_forms() {
        for (content_type, wanted) in [
            ("multipart/mixed; boundary=-------314159265358979323846", "-------314159265358979323846"),
            ("Multipart/Mixed;BOUNDARY=abc", "abc"),
            ("multipart/mixed; charset=utf-8; boundary=\"a b\\\"c\"; x=y", "a b\"c"),
            ("multipart/mixed; x=\"; boundary=no\"; boundary = yes ", "yes"),
            ("multipart/mixed;boundary=a=b", "a=b"),
        ] {
            assert_eq!(boundary(content_type).as_deref(), Ok(wanted), "{content_type}");
        }
        let long = format!("multipart/mixed; boundary={}", "x".repeat(71));
        for refused in [
            "multipart/mixed",
            "multipart/mixed;",
            "multipart/mixed; boundary=",
            "multipart/mixed; boundary=\"open",
            "multipart/form-data; boundary=x",
            "application/json; boundary=x",
            "multipart/mixed; noboundary=x",
            "multipart/mixed; boundary=é",
            &long,
        ] {
            assert_eq!(boundary(refused).unwrap_err().0[0].rule, "multipart.boundary", "{refused}");
        }
    }
}
