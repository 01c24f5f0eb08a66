//! Hashes as hexadecimal text.

/// A SHA-1 in 40 hexadecimal digits (`mbox_sha1sum`).
pub fn is_sha1(text: &str) -> bool {
    text.len() == 40 && is_hex(text)
}

/// A SHA-224, SHA-256, SHA-384 or SHA-512 in hexadecimal digits (`sha2` of an attachment).
pub fn is_sha2(text: &str) -> bool {
    matches!(text.len(), 56 | 64 | 96 | 128) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_digits_and_checks_them() {
        let sha1 = "ebd31e95054c018b10727ccffd2ef2ec3a016ee9";
        assert!(is_sha1(sha1) && is_sha1(&sha1.to_uppercase()));
        assert!(!is_sha1(&sha1[1..]) && !is_sha1(&sha1.replace('e', "g")) && !is_sha1("") && !is_sha2(sha1));
        for (length, valid) in [(56, true), (64, true), (96, true), (128, true), (63, false), (65, false), (0, false)] {
            assert_eq!(is_sha2(&"a".repeat(length)), valid, "{length}");
        }
    }
}
