//! The people of a decision: who asks, and who approves.

/// Whether two names mean one person, however they are spelled: letter case, spaces and the `key:` that the history
/// puts before a credential's name do not tell people apart.
pub fn same_person(a: &str, b: &str) -> bool {
    let plain = |name: &str| {
        let words: Vec<String> = name.split_whitespace().map(str::to_lowercase).collect();
        let joined = words.join(" ");
        joined.strip_prefix("key:").map_or(joined.clone(), |rest| rest.trim_start().to_owned())
    };
    plain(a) == plain(b)
}

/// An approval is a name, and that of another person than who asks for what it approves.
pub fn check_approver(approved_by: Option<&str>, requested_by: &str) -> Result<(), String> {
    let Some(name) = approved_by else { return Ok(()) };
    if name.trim().is_empty() {
        return Err("an approval needs a name".to_owned());
    }
    if same_person(name, requested_by) {
        return Err(format!("{name} asks for this, so somebody else has to approve it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_another_persons_however_the_name_is_spelled() {
        for (own, by) in [("Ada", "ada"), (" ADA  Lovelace", "ada lovelace"), ("K1", "key:k1"), ("ÉVA", "éva")] {
            assert!(same_person(own, by) && check_approver(Some(own), by).is_err(), "{own} and {by}");
        }
        assert!(check_approver(Some("Ada"), "Grace").is_ok() && check_approver(None, "Ada").is_ok());
        assert!(check_approver(Some("  "), "Ada").is_err());
    }
}
