//! UUIDs in their standard form: 8-4-4-4-12 hexadecimal digits, nothing around them.

use uuid::Uuid;

/// Length of the standard form; no other form the `uuid` crate reads is as long.
const LENGTH: usize = 36;

/// Reads the standard form in either case; braces, URNs and bare digits are refused.
pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() != LENGTH {
        return None;
    }
    Uuid::try_parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_standard_form_in_either_case() {
        let lower = parse("e05aa883-acaf-40ad-bf54-02c8ce485fb0");
        assert!(lower.is_some());
        assert_eq!(lower, parse("E05AA883-ACAF-40AD-BF54-02C8CE485FB0"));
        assert!(parse("00000000-0000-0000-0000-000000000000").is_some());
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "e05aa883acaf40adbf5402c8ce485fb0",
            "{e05aa883-acaf-40ad-bf54-02c8ce485fb0}",
            "urn:uuid:e05aa883-acaf-40ad-bf54-02c8ce485fb0",
            "e05aa883-acaf-40ad-bf54-02c8ce485fb00",
            "e05aa883-acaf-40ad-bf54-02c8ce485fbg",
            "e05aa883-acaf-40ad-bf5402-c8ce485fb0",
            "e05aa883-acaf-40ad-bf54-02c8ce485fé",
            " 05aa883-acaf-40ad-bf54-02c8ce485fb0",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
