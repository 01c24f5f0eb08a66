//! What lrsql lets a key do, in our words. Pure.

use crate::model::{Scope, Scopes};

/// The scopes that say the same here, and those that nothing here says: no right is made larger than it was.
pub fn scopes(theirs: &[String]) -> (Scopes, Vec<String>) {
    let has = |name: &str| theirs.iter().any(|one| one == name);
    let has_profiles = has("activities_profile") && has("agents_profile");
    let ours = |name: &str| match name {
        "statements/write" => Some(Scope::StatementsWrite),
        "statements/read" => Some(Scope::StatementsRead),
        "statements/read/mine" => Some(Scope::StatementsReadMine),
        "all/read" => Some(Scope::AllRead),
        "all" => Some(Scope::All),
        "state" => Some(Scope::State),
        "define" => Some(Scope::Define),
        // Ours is both of them.
        "activities_profile" | "agents_profile" if has_profiles => Some(Scope::Profile),
        _ => None,
    };
    let without = theirs.iter().filter(|name| ours(name).is_none()).cloned().collect();
    (Scopes::new(theirs.iter().filter_map(|name| ours(name))), without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_right_becomes_larger() {
        let of = |theirs: &[&str]| {
            let (ours, without) = scopes(&theirs.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
            (ours.names().join(" "), without.join(" "))
        };
        assert_eq!(of(&["all"]), ("all".into(), String::new()));
        assert_eq!(
            of(&["statements/write", "statements/read/mine"]),
            ("statements/write statements/read/mine".into(), String::new())
        );
        assert_eq!(of(&["activities_profile", "state"]), ("state".into(), "activities_profile".into()));
        assert_eq!(of(&["activities_profile", "agents_profile"]), ("profile".into(), String::new()));
        assert_eq!(of(&["state/read"]), (String::new(), "state/read".into()));
    }
}
