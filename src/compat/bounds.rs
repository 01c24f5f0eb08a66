//! Keywords that bound a value: which way each may move without hurting whoever relies on it.

use serde_json::{Map, Value};

use super::role::Role;

/// Keywords that set a least value; raising one narrows.
const LEAST: [&str; 6] = ["minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties", "minContains"];
/// Keywords that set a largest value; lowering one narrows.
const LARGEST: [&str; 6] = ["maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties", "maxContains"];
/// Keywords that narrow by being there, and of which one value cannot be compared with another.
const FORMS: [&str; 4] = ["pattern", "format", "multipleOf", "uniqueItems"];

/// Whether this file judges the keyword.
pub(super) fn knows(keyword: &str) -> bool {
    LEAST.contains(&keyword) || LARGEST.contains(&keyword) || FORMS.contains(&keyword)
}

/// The keywords that moved the wrong way, each with a sentence: what is consumed must not become narrower, what is
/// produced must not become wider.
pub(super) fn moved(role: Role, old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let keywords = LEAST.iter().chain(&LARGEST).chain(&FORMS);
    let mut found = Vec::new();
    for keyword in keywords {
        let (before, after) = (old.get(*keyword), new.get(*keyword));
        let change = change(keyword, before, after);
        let wrong = match role {
            Role::Consumed => matches!(change, Change::Narrower | Change::Other),
            Role::Produced => matches!(change, Change::Wider | Change::Other),
        };
        if wrong {
            let shown = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
            found.push((*keyword, format!("{keyword} was {} and is {}", shown(before), shown(after))));
        }
    }
    found
}

enum Change {
    None,
    Narrower,
    Wider,
    Other,
}

fn change(keyword: &str, before: Option<&Value>, after: Option<&Value>) -> Change {
    match (before, after) {
        (before, after) if before == after => Change::None,
        (None, _) => Change::Narrower,
        (_, None) => Change::Wider,
        (Some(before), Some(after)) => {
            let (Some(before), Some(after)) = (before.as_f64(), after.as_f64()) else { return Change::Other };
            if LEAST.contains(&keyword) {
                if after > before { Change::Narrower } else { Change::Wider }
            } else if LARGEST.contains(&keyword) {
                if after < before { Change::Narrower } else { Change::Wider }
            } else {
                Change::Other
            }
        }
    }
}
