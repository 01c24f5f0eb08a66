//! Who is to be erased, as somebody asks for it: identifiers of one person, checked before anything is looked for. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::xapi::{
    keys::Ifi,
    syntax::{hash::is_sha1, iri::is_iri, mbox::is_mbox},
};

/// Identifiers that one request may name. One person has few; more are a mistake, or several persons.
pub const MOST: usize = 100;
/// Characters of an identifier.
const LONGEST: usize = 4_000;

/// Identifiers of one person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub agents: Vec<Ifi>,
    /// Ids of the platform, or pseudonyms under which attempts know somebody.
    pub users: Vec<String>,
}

/// Why it names nobody.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    #[error("no identifier is given: an erasure is of one person, and a request for everybody is none")]
    Nobody,
    #[error("{given} identifiers are given, and at most {MOST} are taken: an erasure is of one person")]
    TooMany { given: usize },
    #[error("identifier {place}: {rule}")]
    Wrong { place: usize, rule: &'static str },
}

/// How it stands in a request and in the log.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    agents: Vec<Map<String, Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
}

impl Subject {
    /// Reads `{"agents": […], "users": […], "userId": …}`; what else stands there is nobody's.
    pub fn read(value: &Value) -> Result<Self, SubjectError> {
        let wrong = |_| SubjectError::Wrong { place: 0, rule: "agents are objects, and users texts" };
        let Written { agents, users, user_id } = Written::deserialize(value).map_err(wrong)?;
        let given = agents.len() + users.len() + usize::from(user_id.is_some());
        if given > MOST {
            return Err(SubjectError::TooMany { given });
        }
        let ifi = |(place, map): (usize, &Map<String, Value>)| {
            let one =
                ["mbox", "mbox_sha1sum", "openid", "account"].iter().filter(|name| map.contains_key(**name)).count();
            let rule = "an agent has exactly one of mbox, mbox_sha1sum, openid and account";
            if one != 1 {
                return Err(SubjectError::Wrong { place, rule });
            }
            Ifi::of(map).ok_or(SubjectError::Wrong { place, rule })
        };
        let agents = agents.iter().enumerate().map(ifi).collect::<Result<_, _>>()?;
        Self { agents, users: users.into_iter().chain(user_id).collect() }.checked()
    }

    /// The same, if it names somebody.
    pub fn checked(self) -> Result<Self, SubjectError> {
        let given = self.agents.len() + self.users.len();
        if given == 0 {
            return Err(SubjectError::Nobody);
        }
        if given > MOST {
            return Err(SubjectError::TooMany { given });
        }
        for (place, ifi) in self.agents.iter().enumerate() {
            if let Some(rule) = fault(ifi) {
                return Err(SubjectError::Wrong { place, rule });
            }
        }
        for (at, user) in self.users.iter().enumerate() {
            if user.trim().is_empty() || user.len() > LONGEST || user.contains('\0') {
                let place = self.agents.len() + at;
                return Err(SubjectError::Wrong { place, rule: "a user's id is a text of 1 to 4000 bytes" });
            }
        }
        Ok(self)
    }

    /// As it stands in the log while it is needed.
    pub fn write(&self) -> String {
        let agents = self.agents.iter().map(Ifi::to_map).collect();
        serde_json::to_string(&Written { agents, users: self.users.clone(), user_id: None }).unwrap_or_default()
    }
}

fn fault(ifi: &Ifi) -> Option<&'static str> {
    let texts = match ifi {
        Ifi::Mbox(text) | Ifi::MboxSha1sum(text) | Ifi::OpenId(text) => vec![text],
        Ifi::Account { home_page, name } => vec![home_page, name],
    };
    if texts.iter().any(|text| text.len() > LONGEST || text.contains('\0')) {
        return Some("an identifier has at most 4000 bytes, and no character U+0000");
    }
    match ifi {
        Ifi::Mbox(text) if !is_mbox(text) => Some("an mbox is mailto: and one address"),
        Ifi::MboxSha1sum(text) if !is_sha1(text) => Some("an mbox_sha1sum is 40 hexadecimal digits"),
        Ifi::OpenId(text) if !is_iri(text) => Some("an openid is an IRI"),
        Ifi::Account { home_page, .. } if !is_iri(home_page) => Some("the home page of an account is an IRI"),
        Ifi::Account { name, .. } if name.is_empty() => Some("the name of an account is not empty"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_under_every_identifier_is_read_and_written_back() {
        let asked = json!({"userId": "u1", "agents": [
            {"mbox": "mailto:ann@x.example", "name": "Ann"}, {"mbox_sha1sum": "ebd31e95054c018b10727ccffd2ef2ec3a016ee9"},
            {"openid": "http://id.example/ann"}, {"account": {"homePage": "http://h.example", "name": "ann"}}]});
        let subject = Subject::read(&asked).unwrap();
        assert_eq!((subject.agents.len(), subject.users.len()), (4, 1));
        let written: Value = serde_json::from_str(&subject.write()).unwrap();
        assert!(!written.to_string().contains("Ann"), "a name is no identifier");
        assert_eq!(Subject::read(&written).unwrap(), subject);
    }

    #[test]
    fn what_names_nobody_or_everybody_is_refused_with_the_rule_and_never_with_what_was_said() {
        assert_eq!(Subject::read(&json!({})), Err(SubjectError::Nobody));
        assert_eq!(Subject::read(&json!({"agents": [], "everything": true})), Err(SubjectError::Nobody));
        let many: Vec<Value> = (0..10_000).map(|n| json!({"mbox": format!("mailto:a{n}@x.example")})).collect();
        assert_eq!(Subject::read(&json!({"agents": many})), Err(SubjectError::TooMany { given: 10_000 }));
        for wrong in [
            json!({"agents": [{"mbox": "ann@x.example"}]}),
            json!({"agents": [{"mbox": "mailto:ann"}]}),
            json!({"agents": [{"mbox_sha1sum": "abc"}]}),
            json!({"agents": [{"openid": "ann"}]}),
            json!({"agents": [{"account": {"homePage": "h", "name": "ann"}}]}),
            json!({"agents": [{"account": {"homePage": "http://h.example", "name": ""}}]}),
            json!({"agents": [{"name": "ann"}]}),
            json!({"agents": [{"mbox": "mailto:ann@x.example", "openid": "http://x.example/ann"}]}),
            json!({"agents": "ann"}),
            json!({"users": [" "]}),
        ] {
            let error = Subject::read(&wrong).unwrap_err().to_string();
            assert!(error.starts_with("identifier 0: ") && !error.contains("ann"), "{wrong}: {error}");
        }
    }
}
