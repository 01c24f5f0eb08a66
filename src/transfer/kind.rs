//! The kinds of what belongs to a tenant, and how what is of a kind is told from its like. Pure.

use serde_json::{Map, Value};

use crate::{bundle::tally, store::platform::portable::Rows};

/// A kind of what belongs to a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Statements,
    Documents,
    Attachments,
    Attempts,
    Completions,
    Scores,
    Courses,
    Registries,
    Settings,
    Credentials,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Statements,
        Self::Documents,
        Self::Attachments,
        Self::Attempts,
        Self::Completions,
        Self::Scores,
        Self::Courses,
        Self::Registries,
        Self::Settings,
        Self::Credentials,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Statements => "statements",
            Self::Documents => "documents",
            Self::Attachments => "attachments",
            Self::Attempts => "attempts",
            Self::Completions => "completions",
            Self::Scores => "scores",
            Self::Courses => "courses",
            Self::Registries => "registries",
            Self::Settings => "settings",
            Self::Credentials => "credentials",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether there is something of it that is one learner's.
    pub fn is_personal(self) -> bool {
        !matches!(self, Self::Courses | Self::Registries | Self::Settings | Self::Credentials)
    }
}

/// The files of lines beside those of statements, with what stands in them.
pub const FILES: [(Kind, &str); 12] = [
    (Kind::Statements, "voidings.ndjson"),
    (Kind::Documents, "documents.ndjson"),
    (Kind::Attachments, "attachments.ndjson"),
    (Kind::Attempts, "attempts.ndjson"),
    (Kind::Attempts, "closures.ndjson"),
    (Kind::Attempts, "silences.ndjson"),
    (Kind::Completions, "completions.ndjson"),
    (Kind::Scores, "scores.ndjson"),
    (Kind::Courses, "courses.ndjson"),
    (Kind::Registries, "registries.ndjson"),
    (Kind::Settings, "settings.ndjson"),
    (Kind::Credentials, "credentials.ndjson"),
];

/// The rows that a file has, where they are rows.
pub fn rows(file: &str) -> Option<Rows> {
    Some(match file {
        "voidings.ndjson" => Rows::Voidings,
        "attachments.ndjson" => Rows::Attachments,
        "attempts.ndjson" => Rows::Attempts,
        "closures.ndjson" => Rows::Closures,
        "silences.ndjson" => Rows::Silences,
        "completions.ndjson" => Rows::Completions,
        "scores.ndjson" => Rows::Scores,
        "courses.ndjson" => Rows::Courses,
        "credentials.ndjson" => Rows::Credentials,
        _ => return None,
    })
}

/// What a line is known by among those of its file, and the digest of what it says. What another installation makes differently by
/// itself does not count: keys, pseudonyms, and ids that are made of them.
/// Between two tenants neither do the ids of courses.
pub fn identity(file: &str, line: &Map<String, Value>, is_same_tenant: bool) -> (String, [u8; 32]) {
    let mut said = line.clone();
    let of_tenant: &[&str] = if is_same_tenant { &[] } else { &["courseId", "courseVersionId"] };
    for name in made_here(file).iter().chain(of_tenant) {
        said.shift_remove(*name);
    }
    let is_pseudonym = |user: &Value| user.as_str().is_some_and(|user| user.len() == 32 && !user.contains('-'));
    if said.get("userId").is_some_and(is_pseudonym) {
        said.shift_remove("userId");
    }
    let known_by: Vec<String> = named_by(file)
        .iter()
        .filter_map(|name| said.get(*name).filter(|value| !value.is_null()))
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    said.sort_keys();
    let text = Value::Object(said).to_string();
    (known_by.join(" "), tally::line(&text))
}

fn made_here(file: &str) -> &'static [&'static str] {
    match file {
        "documents.ndjson" => &["key", "scopeKey", "agentKey"],
        "attachments.ndjson" => &["broughtBy"],
        "voidings.ndjson" => &["onlyOf"],
        "attempts.ndjson" | "completions.ndjson" => &["id", "attemptId"],
        "scores.ndjson" => &["attemptId"],
        _ => &[],
    }
}

fn named_by(file: &str) -> &'static [&'static str] {
    match file {
        "documents.ndjson" => &["kind", "activity", "agent", "registration", "id"],
        "attachments.ndjson" => &["sha2"],
        "attempts.ndjson" | "closures.ndjson" => &["enrollmentId", "attemptNumber"],
        "silences.ndjson" => &["enrollmentId", "attemptNumber", "lastWord"],
        "completions.ndjson" => &["enrollmentId", "courseId", "completedAt"],
        "scores.ndjson" => &["enrollmentId", "recordedAt"],
        "registries.ndjson" => &["registry", "iri"],
        "credentials.ndjson" => &["apiKey"],
        _ => &["id", "name"],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(file: &str, line: Value) -> (String, [u8; 32]) {
        identity(file, line.as_object().unwrap(), true)
    }

    #[test]
    fn a_kind_is_known_by_its_name() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.name()) == Some(kind)));
        assert_eq!(Kind::parse("Statements"), None);
    }

    #[test]
    fn what_an_installation_makes_by_itself_is_no_difference() {
        let one =
            json!({"id": "1", "attemptNumber": 2, "enrollmentId": "e", "userId": "0".repeat(32), "state": "open"});
        let mut other = one.clone();
        other["id"] = json!("2");
        other["userId"] = json!("1".repeat(32));
        assert_eq!(of("attempts.ndjson", one.clone()), of("attempts.ndjson", other.clone()));
        assert_eq!(of("attempts.ndjson", one.clone()).0, "e 2");
        other["state"] = json!("closed");
        assert_ne!(of("attempts.ndjson", one.clone()).1, of("attempts.ndjson", other).1);
        let known = |user: &str| of("attempts.ndjson", json!({"userId": user, "enrollmentId": "e"})).1;
        assert_ne!(known("00000000-0000-4000-8000-000000000001"), known("00000000-0000-4000-8000-000000000002"));
    }

    #[test]
    fn the_order_of_names_means_nothing() {
        let (one, other) = (json!({"sha2": "a", "length": 1}), json!({"length": 1, "sha2": "a"}));
        assert_eq!(of("attachments.ndjson", one), of("attachments.ndjson", other));
    }
}
