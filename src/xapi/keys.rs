//! Lookup keys: every IRI, agent and document name as 128 bits of its hash, so that an index entry has one size however long
//! the name is. A key holds its tenant: equal names of two tenants have different keys. Never reversed, never shown.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::query::resource::Resource;

/// The one property that identifies an agent or an identified group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ifi {
    Mbox(String),
    #[serde(rename = "mbox_sha1sum")]
    MboxSha1sum(String),
    #[serde(rename = "openid")]
    OpenId(String),
    #[serde(rename_all = "camelCase")]
    Account {
        home_page: String,
        name: String,
    },
}

impl Ifi {
    /// The identifier of an agent or group; an anonymous group has none.
    pub fn of(actor: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| actor.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(Value::Object(account)) = actor.get("account") {
            let part = |name: &str| account.get(name).and_then(Value::as_str).map(str::to_owned);
            return Some(Self::Account { home_page: part("homePage")?, name: part("name")? });
        }
        text("mbox")
            .map(Self::Mbox)
            .or_else(|| text("mbox_sha1sum").map(Self::MboxSha1sum))
            .or_else(|| text("openid").map(Self::OpenId))
    }

    /// The identifier alone, as the JSON object an agent would carry it in.
    pub fn to_map(&self) -> Map<String, Value> {
        let (name, value) = match self {
            Self::Mbox(mbox) => ("mbox", Value::from(mbox.as_str())),
            Self::MboxSha1sum(sum) => ("mbox_sha1sum", Value::from(sum.as_str())),
            Self::OpenId(iri) => ("openid", Value::from(iri.as_str())),
            Self::Account { home_page, name } => {
                ("account", serde_json::json!({ "homePage": home_page, "name": name }))
            }
        };
        Map::from_iter([(name.to_owned(), value)])
    }
}

/// The key of an agent or identified group. Letter case that means nothing (a mail domain, a hex digit) does not count.
pub fn agent(tenant: Uuid, ifi: &Ifi) -> Uuid {
    match ifi {
        Ifi::Mbox(mbox) => key(tenant, Kind::Mbox, &[fold_domain(mbox).as_bytes()]),
        Ifi::MboxSha1sum(sum) => key(tenant, Kind::MboxSha1sum, &[fold_ascii(sum).as_bytes()]),
        Ifi::OpenId(iri) => key(tenant, Kind::OpenId, &[iri.as_bytes()]),
        Ifi::Account { home_page, name } => key(tenant, Kind::Account, &[home_page.as_bytes(), name.as_bytes()]),
    }
}

/// The platform's id of an actor: the name of its account, at whichever home page, where that is a UUID.
pub fn platform_user(actor: &Ifi) -> Option<Uuid> {
    match actor {
        Ifi::Account { name, .. } => Uuid::parse_str(name).ok(),
        _ => None,
    }
}

/// How attempts know an actor: by the platform's id where it has one, else by a pseudonym of its key.
pub fn user(tenant: Uuid, actor: &Ifi, pseudonym: impl Fn(Uuid) -> String) -> String {
    platform_user(actor).map_or_else(|| pseudonym(agent(tenant, actor)), |user| user.to_string())
}

/// The key of a verb.
pub fn verb(tenant: Uuid, iri: &str) -> Uuid {
    key(tenant, Kind::Verb, &[iri.as_bytes()])
}

/// The key of an activity.
pub fn activity(tenant: Uuid, iri: &str) -> Uuid {
    key(tenant, Kind::Activity, &[iri.as_bytes()])
}

/// The key of a registration.
pub fn registration(tenant: Uuid, registration: Uuid) -> Uuid {
    key(tenant, Kind::Registration, &[registration.as_bytes()])
}

/// The key of a state document; one without registration is a document of its own, not a wildcard.
pub fn state(tenant: Uuid, activity: &str, agent: &Ifi, registration: Option<Uuid>, id: &str) -> Uuid {
    let agent = self::agent(tenant, agent);
    let registration = registration.as_ref().map_or(&[][..], |r| &r.as_bytes()[..]);
    key(tenant, Kind::State, &[activity.as_bytes(), agent.as_bytes(), registration, id.as_bytes()])
}

/// The key of an activity profile document.
pub fn activity_profile(tenant: Uuid, activity: &str, id: &str) -> Uuid {
    key(tenant, Kind::ActivityProfile, &[activity.as_bytes(), id.as_bytes()])
}

/// The key of an agent profile document.
pub fn agent_profile(tenant: Uuid, agent: &Ifi, id: &str) -> Uuid {
    key(tenant, Kind::AgentProfile, &[self::agent(tenant, agent).as_bytes(), id.as_bytes()])
}

/// What a key is of. The numbers are stored inside every key: add, never change.
/// The place that holds the documents of one resource for one activity and agent.
pub fn document_scope(tenant: Uuid, resource: Resource, activity: Option<Uuid>, agent: Option<Uuid>) -> Uuid {
    let bytes = |key: &Option<Uuid>| key.map_or_else(Vec::new, |key| key.as_bytes().to_vec());
    key(tenant, Kind::DocumentScope, &[&[resource as u8], &bytes(&activity), &bytes(&agent)])
}

#[derive(Clone, Copy)]
enum Kind {
    Mbox = 1,
    MboxSha1sum = 2,
    OpenId = 3,
    Account = 4,
    Verb = 5,
    Activity = 6,
    Registration = 7,
    State = 8,
    ActivityProfile = 9,
    AgentProfile = 10,
    DocumentScope = 11,
}

/// Lengths go before the values, so that ("ab", "c") and ("a", "bc") differ.
fn key(tenant: Uuid, kind: Kind, values: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(tenant.as_bytes());
    hash.update([kind as u8]);
    for value in values {
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(first)
}

/// A mail address with its domain in lower case: the domain's letter case means nothing, the local part's may.
pub(super) fn fold_domain(mbox: &str) -> Cow<'_, str> {
    match mbox.rfind('@') {
        Some(at) if mbox[at..].bytes().any(|b| b.is_ascii_uppercase()) => {
            Cow::Owned(format!("{}{}", &mbox[..at], mbox[at..].to_ascii_lowercase()))
        }
        _ => Cow::Borrowed(mbox),
    }
}

pub(super) fn fold_ascii(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    const T: Uuid = Uuid::from_u128(1);

    fn ifi(value: &Value) -> Option<Ifi> {
        Ifi::of(value.as_object().unwrap())
    }

    fn account(home_page: &str, name: &str) -> Ifi {
        Ifi::Account { home_page: home_page.into(), name: name.into() }
    }

    #[test]
    fn each_identifier_is_found_and_written_back() {
        for agent in [
            json!({"mbox": "mailto:a@b.c"}),
            json!({"mbox_sha1sum": "ebd31e95054c018b10727ccffd2ef2ec3a016ee9"}),
            json!({"openid": "http://id.example/a"}),
            json!({"account": {"homePage": "http://h.example", "name": "n"}}),
        ] {
            let found = ifi(&agent).unwrap();
            assert_eq!(Value::Object(found.to_map()), agent);
            assert_eq!(serde_json::to_value(&found).unwrap(), agent);
        }
        assert_eq!(ifi(&json!({"objectType": "Group", "member": []})), None);
    }

    #[test]
    fn keys_differ_by_tenant_kind_and_place_of_the_boundary() {
        let iri = "http://x.example/a";
        let registration_of_bytes = Uuid::from_u128(7);
        let keys = [
            verb(T, iri),
            activity(T, iri),
            agent(T, &Ifi::OpenId(iri.into())),
            agent(T, &Ifi::Mbox(iri.into())),
            activity(Uuid::from_u128(2), iri),
            registration(T, registration_of_bytes),
            agent(T, &account("http://h/", "ab")),
            agent(T, &account("http://h/a", "b")),
            state(T, iri, &account("h", "n"), None, "s"),
            state(T, iri, &account("h", "n"), Some(Uuid::nil()), "s"),
            activity_profile(T, iri, "s"),
            agent_profile(T, &account("h", "n"), "s"),
        ];
        assert_eq!(HashSet::from(keys).len(), keys.len());
    }

    #[test]
    fn keys_never_change_between_releases() {
        let key = activity(T, "http://example.com/activity");
        assert_eq!(key.simple().to_string(), "0dbe0c18c673d8fc453d238e8ee57171");
    }

    #[test]
    fn letter_case_that_means_nothing_makes_no_difference() {
        let key = |mbox: &str| agent(T, &Ifi::Mbox(mbox.into()));
        assert_eq!(key("mailto:Ann@Example.COM"), key("mailto:Ann@example.com"));
        assert_ne!(key("mailto:Ann@example.com"), key("mailto:ann@example.com"));
    }
}
