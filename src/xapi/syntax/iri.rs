//! Absolute IRIs by the grammar of RFC 3987. Nothing is normalised: two IRIs are the same when their characters are.

use std::fmt;

/// Why a text is no absolute IRI; positions are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Scheme,
    NothingAfterScheme,
    Authority,
    Character(usize, char),
    Percent(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "it does not begin with a scheme such as `https:`"),
            Self::NothingAfterScheme => write!(f, "nothing follows its scheme"),
            Self::Authority => write!(f, "the part after `//` is not a host"),
            Self::Character(at, c) => write!(f, "the character {c:?} at byte {at} must be percent-encoded"),
            Self::Percent(at) => write!(f, "the `%` at byte {at} is not followed by two hexadecimal digits"),
        }
    }
}

/// Whether the text is an absolute IRI: a scheme, and something after it.
pub fn is_iri(text: &str) -> bool {
    check(text).is_ok()
}

/// As [`is_iri`], and says what is wrong.
pub fn check(text: &str) -> Result<(), Fault> {
    let scheme = scheme_length(text).ok_or(Fault::Scheme)?;
    let start = scheme + 1;
    let rest = &text.as_bytes()[start..];
    if rest.is_empty() {
        return Err(Fault::NothingAfterScheme);
    }
    let web = matches!(scheme, 4 | 5)
        && (text[..scheme].eq_ignore_ascii_case("http") || text[..scheme].eq_ignore_ascii_case("https"));
    let mut at = start;
    if rest.starts_with(b"//") {
        at = start + 2;
        let end =
            text.as_bytes()[at..].iter().position(|b| matches!(b, b'/' | b'?' | b'#')).map_or(text.len(), |n| at + n);
        authority(text, at, end, web)?;
        at = end;
    } else if web {
        return Err(Fault::Authority);
    }
    path_query_fragment(text, at)
}

/// Length of the scheme in front of the first colon.
fn scheme_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let length = bytes.iter().take_while(|b| CLASS[usize::from(**b)] & SCHEME != 0).count();
    (length > 0 && bytes[0].is_ascii_alphabetic() && bytes.get(length) == Some(&b':')).then_some(length)
}

fn authority(text: &str, start: usize, end: usize, web: bool) -> Result<(), Fault> {
    let part = &text[start..end];
    let host = match part.rfind('@') {
        Some(at) => {
            run(text, start, start + at, USER, false)?;
            start + at + 1
        }
        None => start,
    };
    let after_host = match text[host..end].strip_prefix('[') {
        Some(literal) => {
            let close = literal.find(']').ok_or(Fault::Authority)?;
            let address = |b: u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'v' | b'V');
            if close == 0 || !literal.as_bytes()[..close].iter().all(|b| address(*b)) {
                return Err(Fault::Authority);
            }
            host + close + 2
        }
        None => text[host..end].find(':').map_or(end, |n| host + n),
    };
    if web && after_host == host {
        return Err(Fault::Authority);
    }
    if text.as_bytes()[host..].first() != Some(&b'[') {
        run(text, host, after_host, NAME, false)?;
    }
    match text[after_host..end].strip_prefix(':') {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        None if after_host == end => Ok(()),
        _ => Err(Fault::Authority),
    }
}

fn path_query_fragment(text: &str, at: usize) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let path = bytes[at..].iter().position(|b| matches!(b, b'?' | b'#')).map_or(text.len(), |n| at + n);
    run(text, at, path, PATH, false)?;
    let query = bytes[path..].iter().position(|b| *b == b'#').map_or(text.len(), |n| path + n);
    if path < query {
        run(text, path + 1, query, QUERY, true)?;
    }
    if query < text.len() {
        run(text, query + 1, text.len(), QUERY, false)?;
    }
    Ok(())
}

/// Checks one run of characters of a class, percent-encodings and letters beyond ASCII included.
fn run(text: &str, start: usize, end: usize, class: u8, private: bool) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < end {
        let byte = bytes[at];
        if CLASS[usize::from(byte)] & class != 0 {
            at += 1;
        } else if byte == b'%' {
            let hex = |n: usize| n < end && bytes[n].is_ascii_hexdigit();
            if !hex(at + 1) || !hex(at + 2) {
                return Err(Fault::Percent(at));
            }
            at += 3;
        } else {
            let c = text[at..].chars().next().unwrap_or_default();
            let allowed = is_ucs(c) || (private && is_private(c));
            if !allowed {
                return Err(Fault::Character(at, c));
            }
            at += c.len_utf8();
        }
    }
    Ok(())
}

fn is_ucs(c: char) -> bool {
    matches!(c, '\u{A0}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFEF}')
        || matches!(c, '\u{10000}'..='\u{EFFFD}' if u32::from(c) & 0xFFFE != 0xFFFE && !matches!(c, '\u{E0000}'..='\u{E0FFF}'))
}

fn is_private(c: char) -> bool {
    matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}')
}

const SCHEME: u8 = 1;
const NAME: u8 = 2;
const USER: u8 = 4;
const PATH: u8 = 8;
const QUERY: u8 = 16;

/// For every byte, the places it may stand in unencoded.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        let alnum = byte.is_ascii_alphanumeric();
        let unreserved = alnum || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let delimiter = matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        if alnum || matches!(byte, b'+' | b'-' | b'.') {
            table[at] |= SCHEME;
        }
        if unreserved || delimiter {
            table[at] |= NAME | USER | PATH | QUERY;
        }
        match byte {
            b':' => table[at] |= USER | PATH | QUERY,
            b'@' | b'/' => table[at] |= PATH | QUERY,
            b'?' => table[at] |= QUERY,
            _ => {}
        }
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_absolute_iris() {
        for text in [
            "http://adlnet.gov/expapi/verbs/completed",
            "https://example.com",
            "http://example.com/path/../slug",
            "http://user:pw@example.com:8080/a?b=c&d=/?#e?/",
            "http://[2001:db8::1]:80/",
            "http://пример.рф/путь?ключ=значение#якорь",
            "http://example.com/%E2%82%AC",
            "http://example.com:/",
            "urn:uuid:e05aa883-acaf-40ad-bf54-02c8ce485fb0",
            "tag:example.com,2015:x",
            "mailto:a@b.com",
            "act:blocks/ünïcode",
            "file:///etc/hosts",
            "x:y",
            "http://example.com/?q=\u{E000}",
            "http://example.com/😀",
            "a+b-c.d://h",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_rest() {
        use Fault::*;
        for (text, fault) in [
            ("", Scheme),
            ("should fail", Scheme),
            ("ab=c://should.fail.com", Scheme),
            ("//example.com", Scheme),
            ("example.com/x", Scheme),
            (":x", Scheme),
            ("1http://x", Scheme),
            ("é:x", Scheme),
            ("http:", NothingAfterScheme),
            ("http:x", Authority),
            ("http:///x", Authority),
            ("https://?x", Authority),
            ("http://:80/", Authority),
            ("http://h:8x/", Authority),
            ("http://[::1", Authority),
            ("http://[]/", Authority),
            ("http://[::1]x/", Authority),
            ("http://[zz]/", Authority),
            ("http://a b/", Character(8, ' ')),
            ("http://a/b c", Character(10, ' ')),
            ("http://a/<b>", Character(9, '<')),
            ("http://a/{b}", Character(9, '{')),
            ("http://a/b\\c", Character(10, '\\')),
            ("http://a/b\u{0}", Character(10, '\u{0}')),
            ("http://a/[b]", Character(9, '[')),
            ("http://a/#b#c", Character(11, '#')),
            ("http://a/\u{E000}", Character(9, '\u{E000}')),
            ("http://a/\u{FFFF}", Character(9, '\u{FFFF}')),
            ("http://a/\u{85}", Character(9, '\u{85}')),
            ("http://a/%", Percent(9)),
            ("http://a/%4", Percent(9)),
            ("http://a/%g0", Percent(9)),
            ("http://a%4/b", Percent(8)),
            ("http://a/%é", Percent(9)),
        ] {
            assert_eq!(check(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_very_long_one_is_checked_in_one_pass() {
        let long = format!("http://example.com/{}", "a".repeat(1 << 20));
        assert!(is_iri(&long));
        assert_eq!(check(&format!("{long} ")), Err(Fault::Character(long.len(), ' ')));
    }
}
