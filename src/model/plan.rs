//! Plans: what is shown before anything is done. Pure.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The digest of a plan as it was shown: who confirms it says what was seen.
pub fn digest(plan: &impl Serialize) -> String {
    let text = serde_json::to_vec(plan).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}

/// What would be done now.
#[derive(Clone, Debug)]
pub struct Planned {
    pub plan: Value,
    pub digest: String,
    /// Whether there is nothing to do.
    pub is_idle: bool,
}

impl Planned {
    pub fn of(plan: Value, is_idle: bool) -> Self {
        Self { digest: digest(&plan), plan, is_idle }
    }
}

/// Whether the plan is another one than was seen, in words.
pub fn must_be_the_one(seen: Option<&str>, now: &str) -> Result<(), String> {
    match seen {
        Some(seen) if seen != now => Err(format!("the plan is not {seen} any more, but {now}: look at it again")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_plan_has_another_digest() {
        assert_eq!(digest(&["2026-03"]), digest(&["2026-03"]));
        assert_ne!(digest(&["2026-03"]), digest(&["2026-04"]));
    }

    #[test]
    fn only_the_plan_that_was_seen_is_carried_out() {
        let now = digest(&["2026-03"]);
        assert_eq!(must_be_the_one(None, &now), Ok(()));
        assert_eq!(must_be_the_one(Some(&now), &now), Ok(()));
        let refused = must_be_the_one(Some("0123"), &now).unwrap_err();
        assert!(refused.starts_with("the plan is not 0123 any more, but "), "{refused}");
    }
}
