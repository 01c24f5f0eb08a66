//! Mailboxes of agents: `mailto:` and one e-mail address.

/// Whether the text is `mailto:` followed by an address with something on both sides of its `@`.
pub fn is_mbox(text: &str) -> bool {
    let Some((local, domain)) = text.strip_prefix("mailto:").and_then(|address| address.rsplit_once('@')) else {
        return false;
    };
    let never =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '\\' | '"' | '{' | '}' | '^' | '`');
    let in_domain = |c: char| c.is_alphanumeric() || !c.is_ascii() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
    !local.is_empty()
        && !local.contains('@')
        && !local.contains(never)
        && !domain.is_empty()
        && !domain.contains(never)
        && domain.chars().all(in_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_addresses() {
        for text in [
            "mailto:a@b",
            "mailto:xapi@adlnet.gov",
            "mailto:o'neil+x@ex-am.ple",
            "mailto:ü@exämple.de",
            "mailto:a@[::1]",
        ] {
            assert!(is_mbox(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_no_scheme_or_no_address() {
        for text in [
            "",
            "mailto:",
            "mailto:@",
            "mailto:a@",
            "mailto:@b",
            "mailto:@a@b",
            "mailto:should.fail.com",
            "a@b.com",
            "MAILTO:a@b",
            "mailto:a b@c",
            "mailto:a@b c",
            "mailto:<a@b>",
            "mailto:a@b?subject=x",
            "mailto:a@b,c@d e",
            "mailto:a@b\u{0}",
            "mailto:a@b.com ",
            "mailto:a@b/c",
        ] {
            assert!(!is_mbox(text), "{text:?}");
        }
    }
}
