//! A statement without somebody it only mentions: the same statement, in which an agent that is nobody stands in their place.
//! Pure.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::keys::{self, Ifi};

/// Texts that are shorter stand for too much else.
const SHORTEST: usize = 6;
const IN_PLACE: &str = "erased";

/// Whoever was erased.
pub fn nobody() -> Ifi {
    Ifi::Account { home_page: "urn:progress:erased".to_owned(), name: IN_PLACE.to_owned() }
}

/// Under which identifiers somebody is known.
#[derive(Clone, Debug, Default)]
pub struct Known {
    tenant: Uuid,
    keys: Vec<Uuid>,
    /// What tells them wherever it stands, as in a sentence or the value of an extension.
    texts: Vec<String>,
}

impl Known {
    pub fn of(tenant: Uuid, all: &[Ifi]) -> Self {
        let text = |ifi: &Ifi| match ifi {
            Ifi::Mbox(mbox) => mbox.strip_prefix("mailto:").unwrap_or(mbox).to_owned(),
            Ifi::MboxSha1sum(text) | Ifi::OpenId(text) => text.clone(),
            Ifi::Account { name, .. } => name.clone(),
        };
        let is_telling = |text: &String| text.len() >= SHORTEST && find(IN_PLACE, text).is_none();
        let mut texts: Vec<String> = all.iter().map(text).filter(is_telling).collect();
        // The longest first: one may be a part of another.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self { tenant, keys: all.iter().map(|ifi| keys::agent(tenant, ifi)).collect(), texts }
    }

    /// The statement's JSON without them.
    pub fn redact(&self, payload: &str) -> Result<String, serde_json::Error> {
        let mut doc: Value = serde_json::from_str(payload)?;
        self.walk(&mut doc);
        serde_json::to_string(&doc)
    }

    fn walk(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                if Ifi::of(map).is_some_and(|ifi| self.keys.contains(&keys::agent(self.tenant, &ifi))) {
                    *map = in_place_of(map);
                }
                map.values_mut().for_each(|value| self.walk(value));
            }
            Value::Array(all) => all.iter_mut().for_each(|value| self.walk(value)),
            Value::String(text) => self.clean(text),
            _ => {}
        }
    }

    fn clean(&self, text: &mut String) {
        for known in &self.texts {
            while let Some(at) = find(text, known) {
                text.replace_range(at..at + known.len(), IN_PLACE);
            }
        }
    }
}

/// Where the text stands, whatever the case of its ASCII letters.
fn find(text: &str, known: &str) -> Option<usize> {
    let (text, known) = (text.as_bytes(), known.as_bytes());
    text.windows(known.len()).position(|window| window.eq_ignore_ascii_case(known))
}

/// An agent of the same type, or a group with the same members.
fn in_place_of(actor: &mut Map<String, Value>) -> Map<String, Value> {
    let mut nobody = nobody().to_map();
    for name in ["objectType", "member"] {
        if let Some(kept) = actor.remove(name) {
            nobody.insert(name.to_owned(), kept);
        }
    }
    nobody
}

/// The lookup key of whoever was erased.
pub fn nobodys_key(tenant: Uuid) -> Uuid {
    keys::agent(tenant, &nobody())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown() -> Value {
        json!({ "account": { "homePage": "urn:progress:erased", "name": "erased" } })
    }

    const T: Uuid = Uuid::from_u128(1);

    fn ann() -> Known {
        let account = Ifi::Account { home_page: "http://h.example".into(), name: "ann-the-learner".into() };
        Known::of(T, &[Ifi::Mbox("mailto:Ann@x.example".into()), account])
    }

    #[test]
    fn every_place_that_names_an_agent_is_redacted_and_the_rest_is_byte_for_byte_the_same() {
        let payload = r#"{
            "id": "1", "actor": {"objectType": "Group", "member": [{"mbox": "mailto:Ann@X.example", "name": "Ann"}, {"mbox": "mailto:bob@x.example"}]},
            "context": {"instructor": {"account": {"name": "ann-the-learner", "homePage": "http://h.example"}, "name": "Ann"},
                        "extensions": {"http://e.example/x": ["said by ann@x.example", 1.50, {"mbox": "mailto:Ann@x.example"}]}},
            "authority": {"objectType": "Agent", "mbox": "mailto:Ann@x.example"}, "result": {"score": {"raw": 1e+3}}}"#;
        let text = ann().redact(payload).unwrap();
        assert!(!text.to_lowercase().contains("ann"), "{text}");
        let payload: Value = serde_json::from_str(payload).unwrap();
        let after: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(after["actor"]["member"][0], shown());
        assert_eq!(after["actor"]["member"][1], payload["actor"]["member"][1]);
        assert_eq!(after["context"]["instructor"], shown());
        assert_eq!(after["authority"]["objectType"], "Agent");
        assert_eq!(after["context"]["extensions"]["http://e.example/x"][0], "said by erased");
        assert!(text.contains("1.50") && text.contains("1e+3"), "numbers stay as they were written: {text}");
        assert_eq!(ann().redact(&text).unwrap(), text, "done again it changes nothing");
    }

    #[test]
    fn who_is_not_meant_stays() {
        let payload = r#"{"actor":{"mbox":"mailto:joann@x.org"},"n":"Ann","o":{"account":{"homePage":"http://other.example","name":"a"}}}"#;
        assert_eq!(ann().redact(payload).unwrap(), payload);
        assert!(ann().redact("{").is_err());
    }

    #[test]
    fn a_group_keeps_its_members() {
        let group = Known::of(T, &[Ifi::Mbox("mailto:team@x.example".into())]);
        let payload = json!({"team": {"objectType": "Group", "mbox": "mailto:team@x.example", "name": "T", "member": [{"mbox": "mailto:b@x.example"}]}});
        let after: Value = serde_json::from_str(&group.redact(&payload.to_string()).unwrap()).unwrap();
        assert_eq!(after["team"]["member"], payload["team"]["member"]);
        assert!(after["team"].get("name").is_none() && after["team"]["account"]["name"] == "erased");
    }
}
