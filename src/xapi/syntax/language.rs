//! Language tags by the syntax of RFC 5646; the registry of subtags is never asked.

/// Tags the RFC keeps although its own grammar does not produce them.
const IRREGULAR: [&str; 17] = [
    "en-GB-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-BE-FR",
    "sgn-BE-NL",
    "sgn-CH-DE",
];

/// Whether the text is well formed, without a repeated variant or extension singleton.
pub fn is_tag(text: &str) -> bool {
    is_langtag(text) || IRREGULAR.iter().any(|tag| tag.eq_ignore_ascii_case(text))
}

fn is_langtag(text: &str) -> bool {
    let subtag = |part: &str| matches!(part.len(), 1..=8) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if !text.split('-').all(subtag) {
        return false;
    }
    let mut tags = Subtags { rest: Some(text) };
    if tags.next_if(is_private_singleton) {
        return tags.rest.is_some();
    }
    language(&mut tags) && {
        tags.next_if(|part| part.len() == 4 && is_alpha(part));
        tags.next_if(|part| (part.len() == 2 && is_alpha(part)) || (part.len() == 3 && is_digits(part)));
        variants(&mut tags) && extensions(&mut tags)
    }
}

/// `2*3ALPHA [extlang]`, `4ALPHA` or `5*8ALPHA`.
fn language(tags: &mut Subtags) -> bool {
    if tags.next_if(|part| part.len() >= 4 && is_alpha(part)) {
        return true;
    }
    let short = tags.next_if(|part| part.len() >= 2 && is_alpha(part));
    for _ in 0..3 {
        if !short || !tags.next_if(|part| part.len() == 3 && is_alpha(part)) {
            break;
        }
    }
    short
}

fn variants(tags: &mut Subtags) -> bool {
    let start = tags.rest;
    let mut count = 0;
    while tags.next_if(is_variant) {
        count += 1;
    }
    let seen = |n: usize| start.into_iter().flat_map(|rest| rest.split('-')).take(n);
    (1..count).all(|n| {
        let this = seen(count).nth(n).unwrap_or_default();
        !seen(n).any(|earlier| earlier.eq_ignore_ascii_case(this))
    })
}

/// Extensions, then a private use part, then the end of the tag.
fn extensions(tags: &mut Subtags) -> bool {
    let mut singletons = 0_u128;
    while let Some(part) = tags.peek() {
        let [byte] = part.as_bytes() else { return false };
        tags.next_if(|_| true);
        if is_private_singleton(part) {
            return tags.rest.is_some();
        }
        let bit = 1_u128 << (byte.to_ascii_lowercase() - b'0');
        if singletons & bit != 0 || !tags.next_if(|part| part.len() >= 2) {
            return false;
        }
        singletons |= bit;
        while tags.next_if(|part| part.len() >= 2) {}
    }
    true
}

fn is_variant(part: &str) -> bool {
    part.len() >= 5 || (part.len() == 4 && part.as_bytes()[0].is_ascii_digit())
}

fn is_private_singleton(part: &str) -> bool {
    part.eq_ignore_ascii_case("x")
}

fn is_alpha(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_alphabetic())
}

fn is_digits(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_digit())
}

struct Subtags<'a> {
    rest: Option<&'a str>,
}

impl<'a> Subtags<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.rest.and_then(|rest| rest.split('-').next())
    }

    fn next_if(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        if found {
            self.rest = self.rest.and_then(|rest| rest.split_once('-')).map(|(_, tail)| tail);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_well_formed_tags() {
        for tag in [
            "de",
            "de-DE",
            "zh-Hant",
            "sr-Latn-RS",
            "sr-Cyrl",
            "zh-Hans-CN",
            "cmn",
            "ase",
            "es-MX",
            "fr-CA",
            "ja",
            "tlh",
            "und",
            "EN-us",
            "es-419",
            "zh-cmn-Hans-CN",
            "zh-yue-HK",
            "sl-rozaj-biske-1994",
            "de-CH-1901",
            "hy-Latn-IT-arevela",
            "de-CH-x-phonebk",
            "x-whatever",
            "az-Arab-x-AZE-derbend",
            "en-US-u-islamcal",
            "zh-CN-a-myext-x-private",
            "en-a-myext-b-another",
            "i-klingon",
            "I-KLINGON",
            "art-lojban",
            "sgn-BE-FR",
            "en-GB-oed",
            "zh-min-nan",
            "abcd",
            "abcdefgh",
            "en-0-aa-9-bb-z-cc",
            "de-t-en-u-co-phonebk-w-zz",
        ] {
            assert!(is_tag(tag), "{tag}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for tag in [
            "",
            "-",
            "a",
            "something",
            "a12345678",
            "zh-z-aaa-z-bbb-c-ccc",
            "en_US",
            "en-",
            "-en",
            "en--US",
            "en us",
            "de-419-DE",
            "a-DE",
            "ar-a-aaa-b-bbb-a-ccc",
            "en-x",
            "x",
            "x-",
            "en-u",
            "en-u-x-foo",
            "de-DE-1901-1901",
            "en-Latn-Latn",
            "12",
            "é",
            "en-ü",
            "en-abcdefghi",
            "zh-aaa-bbb-ccc-ddd",
            "de-1901-rozaj-1901",
            "i-nope",
            "e1",
            "en-US-GB",
        ] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
