//! One person as somebody types them: an identifier a line, and the platform's id. Pure.

use serde_json::{Map, Value, json};

use crate::{
    erasure::{Subject, subject::SubjectError},
    http::{HttpError, pages::form::Form},
    retention::who,
    xapi::Violations,
};

/// The fields of a form that name a person.
pub struct Person {
    pub agents: Vec<Map<String, Value>>,
    pub user: Option<String>,
}

/// Fields that a plan sends back.
pub const FIELDS: [&str; 2] = ["identifiers", "user"];

impl Person {
    pub fn of(form: &Form) -> Result<Self, HttpError> {
        let lines = form.text("identifiers").lines().map(str::trim).filter(|line| !line.is_empty());
        let agents = lines.map(identifier).collect::<Result<_, _>>().map_err(refuse)?;
        Ok(Self { agents, user: form.given("user").map(str::to_owned) })
    }

    /// As an erasure asks for them.
    pub fn subject(&self) -> Result<Subject, HttpError> {
        let given = json!({ "agents": self.agents, "users": self.user.as_slice() });
        Subject::read(&given).map_err(|error: SubjectError| refuse(error.to_string()))
    }
}

fn refuse(why: String) -> HttpError {
    Violations::whole("page.person", why).into()
}

/// What a line is: an Agent as JSON, an address of mail, a hash of one, an account, or an OpenID.
fn identifier(line: &str) -> Result<Map<String, Value>, String> {
    if line.starts_with('{') {
        return serde_json::from_str(line).map_err(|_| format!("{line:?} is no Agent: write it as JSON, on one line"));
    }
    if line.contains('|') {
        return who::account(line).map_err(|error| error.to_string());
    }
    if line.len() == 40 && line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(who::agent("mbox_sha1sum", json!(line)));
    }
    if line.starts_with("http://") || line.starts_with("https://") {
        return Ok(who::agent("openid", json!(line)));
    }
    if line.contains('@') {
        let address = line.strip_prefix("mailto:").unwrap_or(line);
        return Ok(who::agent("mbox", json!(format!("mailto:{address}"))));
    }
    Err(format!(
        "{line:.80?} is no identifier: write an address of mail, HOMEPAGE|NAME for an account, an OpenID, a SHA-1 of a mailbox, or an \
         Agent as JSON"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_known_by_their_form() {
        for (line, name) in [
            ("ann@example.com", "mbox"),
            ("mailto:ann@example.com", "mbox"),
            ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "mbox_sha1sum"),
            ("http://x.example/home|ann", "account"),
            ("https://id.example/ann", "openid"),
            (r#"{"mbox":"mailto:ann@example.com"}"#, "mbox"),
        ] {
            assert!(identifier(line).unwrap().contains_key(name), "{line}");
        }
        assert_eq!(identifier("ann@example.com"), identifier("mailto:ann@example.com"));
        for line in ["ann", "{\"mbox\":", "12345"] {
            assert!(identifier(line).unwrap_err().contains("is no "), "{line}");
        }
    }

    #[test]
    fn a_person_is_somebody() {
        let of = |text: &str| Person::of(&Form::of(text.as_bytes()).unwrap()).unwrap();
        assert!(of("identifiers=&user=").subject().is_err());
        assert!(of("identifiers=a%40x.example%0D%0A%0D%0Ab%40x.example&user=u").subject().is_ok());
        assert_eq!(of("identifiers=a%40x.example%0D%0Ab%40x.example").agents.len(), 2);
    }
}
