//! The `version` property of a statement (not the header of a request).

use crate::Version;

/// Whether a statement of this version may come in a request of that version.
///
/// 1.0.3 takes `1.0` and `1.0.N`; 2.0.0 takes these too (old statements are still sent), and `2.0` and `2.0.N`.
pub fn is_accepted(text: &str, request: Version) -> bool {
    match Version::negotiate(text) {
        Some(_) if text.trim() != text => false,
        Some(Version::V1_0_3) => true,
        Some(Version::V2_0_0) => request == Version::V2_0_0,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_statements_are_accepted_in_new_requests_only() {
        for text in ["1.0", "1.0.0", "1.0.9", "1.0.3"] {
            assert!(is_accepted(text, Version::V1_0_3) && is_accepted(text, Version::V2_0_0), "{text}");
        }
        for text in ["2.0", "2.0.0", "2.0.1"] {
            assert!(!is_accepted(text, Version::V1_0_3) && is_accepted(text, Version::V2_0_0), "{text}");
        }
        for text in ["", "0.9.9", "1.1.0", "should fail", " 1.0.0", "1", "2.1.0", "1.0.x", "1.0."] {
            assert!(!is_accepted(text, Version::V1_0_3) && !is_accepted(text, Version::V2_0_0), "{text}");
        }
    }
}
