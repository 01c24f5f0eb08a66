//! A file's text in its one canonical form, and the checksum over that form. Pure.

use sha2::{Digest, Sha256};

/// Without a byte order mark and with `\n` line ends, so that an editor or a checkout cannot change a checksum.
pub fn normalize(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n")
}

/// `sha256:` and 64 hexadecimal digits over the normalized text.
pub fn checksum(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(normalize(text).as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_byte_order_marks_do_not_count() {
        let unix = checksum("SELECT 1;\nSELECT 2;\n");
        assert_eq!(checksum("\u{feff}SELECT 1;\r\nSELECT 2;\r\n"), unix);
        assert_ne!(checksum("SELECT 1;\nSELECT 2;"), unix);
    }

    #[test]
    fn is_plain_sha_256() {
        assert_eq!(checksum(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
