//! The learner's preferences (cmi5 11), which the LMS and every unit may write.

use serde_json::{Map, Value};

use super::rules;
use crate::xapi::{Violations, syntax::language::is_tag};

/// The agent profile document that holds them.
pub const PREFERENCES: &str = "cmi5LearnerPreferences";

/// Whether a document that takes the place of the one before is what the specification wants.
pub fn check(content_type: &str, body: &[u8]) -> Result<(), Violations> {
    let refuse = |message: &str| Err(Violations::whole(rules::PREFERENCES, message));
    if content_type.split(';').next().is_none_or(|essence| !essence.trim().eq_ignore_ascii_case("application/json")) {
        return refuse("the learner's preferences are application/json");
    }
    let Ok(document) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return refuse("the learner's preferences are a JSON object");
    };
    let languages = document.get("languagePreference").and_then(Value::as_str);
    if !languages.is_some_and(|all| all.split(',').all(|tag| is_tag(tag.trim()))) {
        return refuse("languagePreference is language tags separated by commas, such as en-US,fr-FR");
    }
    if !document.get("audioPreference").is_some_and(|audio| audio == "on" || audio == "off") {
        return refuse("audioPreference is on or off");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_an_object_with_both_members() {
        let json = "application/json; charset=utf-8";
        for (content_type, body, fits) in [
            (json, r#"{"languagePreference": "en-US,fr-FR", "audioPreference": "on"}"#, true),
            (json, r#"{"languagePreference": "en", "audioPreference": "off", "more": 1}"#, true),
            (json, r#"{"languagePreference": "en-US, fr", "audioPreference": "off"}"#, true),
            ("text/plain", r#"{"languagePreference": "en", "audioPreference": "on"}"#, false),
            (json, r#"{"audioPreference": "on"}"#, false),
            (json, r#"{"languagePreference": "en"}"#, false),
            (json, r#"{"languagePreference": "", "audioPreference": "on"}"#, false),
            (json, r#"{"languagePreference": "not comma separated", "audioPreference": "on"}"#, false),
            (json, r#"{"languagePreference": "en", "audioPreference": "loud"}"#, false),
            (json, "[]", false),
            (json, "just some text", false),
        ] {
            assert_eq!(check(content_type, body.as_bytes()).is_ok(), fits, "{content_type} {body}");
        }
    }
}
