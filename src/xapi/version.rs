//! The two versions of xAPI that one server speaks.

use std::fmt;

/// The version a request is made in; statements in the ledger keep their own `version` property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    V1_0_3,
    V2_0_0,
}

impl Version {
    /// The text of the `X-Experience-API-Version` response header.
    pub fn header(self) -> &'static str {
        match self {
            Self::V1_0_3 => "1.0.3",
            Self::V2_0_0 => "2.0.0",
        }
    }

    /// Reads the request header: any `1.0` or `1.0.x` is answered as 1.0.3, `2.0` or `2.0.x` as 2.0.0.
    pub fn negotiate(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('.');
        let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next());
        let patch_is_number = patch.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        if parts.next().is_some() || !patch_is_number {
            return None;
        }
        match (major, minor) {
            ("1", "0") => Some(Self::V1_0_3),
            ("2", "0") => Some(Self::V2_0_0),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.header())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiates_patch_versions_and_nothing_else() {
        for (text, version) in [("1.0", Version::V1_0_3), ("1.0.0", Version::V1_0_3), ("1.0.9", Version::V1_0_3)] {
            assert_eq!(Version::negotiate(text), Some(version));
        }
        assert_eq!(Version::negotiate("2.0.0"), Some(Version::V2_0_0));
        for text in ["", "1", "0.9", "0.95", "1.1.0", "1.0.x", "1.0.", "1.0.3.1", "2.1", "3.0.0", "should fail"] {
            assert_eq!(Version::negotiate(text), None, "{text:?}");
        }
    }
}
