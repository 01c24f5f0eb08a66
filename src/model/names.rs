//! Names that are derived rather than given: the same input gives the same name on every replay.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::TenantId;

/// The longest name that is kept as it was given; an index entry has its bounds.
const LONGEST: usize = 200;

/// A UUID that stands for `parts` within a tenant. Lengths go before the parts, so that ("ab", "c") and ("a", "bc")
/// differ.
pub fn derived(tenant: TenantId, what: &str, parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(tenant.0.as_bytes());
    for part in [what].iter().chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(first).into_uuid()
}

/// A name as a statement gives it: UUIDs in their usual form, other text as it is, and what no column could hold by
/// a name derived from it.
pub fn given(tenant: TenantId, what: &str, text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if let Ok(uuid) = Uuid::parse_str(text) {
        return Some(uuid.to_string());
    }
    let fits = text.len() <= LONGEST && !text.chars().any(char::is_control);
    Some(if fits { text.to_owned() } else { derived(tenant, what, &[text]).to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TenantId = TenantId::DEFAULT;

    #[test]
    fn given_names_are_kept_where_they_can_be() {
        let uuid = "EC531277-B57B-4C15-8D91-D292C5B2B8F7";
        assert_eq!(given(T, "attempt", uuid), Some(uuid.to_lowercase()));
        assert_eq!(given(T, "attempt", " enrollment 7 "), Some("enrollment 7".to_owned()));
        assert_eq!(given(T, "attempt", "  "), None);
        for odd in ["a\0b".to_owned(), "x".repeat(201)] {
            assert!(Uuid::parse_str(&given(T, "attempt", &odd).unwrap()).is_ok());
        }
    }

    #[test]
    fn derived_names_never_change_between_releases_and_keep_parts_apart() {
        assert_eq!(derived(T, "attempt", &["ab", "c"]).get_version_num(), 8);
        assert_ne!(derived(T, "attempt", &["ab", "c"]), derived(T, "attempt", &["a", "bc"]));
        assert_ne!(derived(T, "attempt", &["a"]), derived(T, "enrollment", &["a"]));
        assert_ne!(derived(T, "attempt", &["a"]), derived(TenantId(Uuid::nil()), "attempt", &["a"]));
    }
}
