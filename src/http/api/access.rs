//! Who may read about whom: services and administrators about everybody, a learner about themselves.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    http::HttpError,
    identity::{AuthError, Caller},
    model::{Pseudonyms, Scope},
    xapi::keys::{self, Ifi},
};

/// About whom a caller may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Everybody,
    /// A person reads about these ids, all of which are their own.
    Own(Vec<String>),
}

impl Reach {
    /// The reach of a caller who holds one of `scopes`. A token that names a person reads their own, and an
    /// administrator's everybody's.
    pub fn of(caller: &Caller, scopes: &[Scope], pseudonyms: &Pseudonyms) -> Result<Self, HttpError> {
        if let [first, ..] = scopes
            && !scopes.iter().any(|scope| caller.scopes.allows(*scope))
        {
            return Err(AuthError::Scope(*first).into());
        }
        let is_person = caller.user.is_some() || caller.launch.is_some();
        if !is_person || caller.scopes.allows(Scope::Admin) {
            Ok(Self::Everybody)
        } else {
            Ok(Self::Own(own(caller, pseudonyms)))
        }
    }

    pub fn covers(&self, user: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::Own(ids) => ids.iter().any(|id| id == user),
        }
    }

    /// Refuses a caller who names somebody else.
    pub fn require(&self, user: &str) -> Result<(), HttpError> {
        if self.covers(user) {
            return Ok(());
        }
        Err(HttpError::Forbidden("this token is a learner's and reads only that learner's own".to_owned()))
    }

    /// Whether the read is of other people, and so leaves a trail.
    pub fn is_of_others(&self) -> bool {
        matches!(self, Self::Everybody)
    }
}

/// A user's id in its usual form. A pseudonym looks like a UUID without its hyphens, and is none.
pub fn user_id(text: &str) -> String {
    let is_uuid = text.len() == 36 && Uuid::parse_str(text).is_ok();
    if is_uuid { text.to_ascii_lowercase() } else { text.to_owned() }
}

/// The ids under which attempts know this person.
fn own(caller: &Caller, pseudonyms: &Pseudonyms) -> Vec<String> {
    let user = |actor: &Ifi| keys::user(caller.tenant.0, actor, |key| pseudonyms.of(key));
    let mut ids = Vec::new();
    if let Some(launch) = &caller.launch {
        ids.extend(Ifi::of(&launch.actor).as_ref().map(user));
    }
    if caller.user.is_some() {
        // A token's authority ends with the account of its person at the issuer.
        let account = match caller.authority.get("member") {
            Some(Value::Array(members)) => members.last().and_then(Value::as_object),
            _ => Some(&*caller.authority),
        };
        ids.extend(account.and_then(Ifi::of).as_ref().map(user));
    }
    ids
}

/// The name an actor gives itself.
pub fn actor_name(statement: &Map<String, Value>) -> Option<String> {
    let name = statement.get("actor")?.get("name")?.as_str()?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{
        identity::CredentialRef,
        model::{Scopes, TenantId},
    };

    const USER: &str = "00000000-0000-4000-8000-0000000000aa";

    fn caller(user: Option<&str>, scopes: &str) -> Caller {
        let account = json!({ "account": { "homePage": "https://issuer", "name": user.unwrap_or("service") } });
        let Value::Object(authority) = account else { panic!() };
        Caller {
            tenant: TenantId::DEFAULT,
            tenant_name: "t".into(),
            authority: Arc::new(authority),
            scopes: Scopes::parse(scopes).unwrap(),
            credential: CredentialRef::Key { id: Uuid::nil(), api_key: "k".into() },
            user: user.map(Into::into),
            launch: None,
        }
    }

    fn reach(user: Option<&str>, scopes: &str) -> Result<Reach, HttpError> {
        Reach::of(&caller(user, scopes), &[Scope::ApiTranscriptRead], &Pseudonyms::with_key(b"key"))
    }

    #[test]
    fn a_scope_is_asked_for_first() {
        assert!(reach(None, "all").unwrap_err().to_string().contains("transcript:read"));
        assert!(reach(Some(USER), "statement:read").is_err());
    }

    #[test]
    fn services_and_administrators_read_everybody_and_learners_themselves() {
        assert_eq!(reach(None, "transcript:read").unwrap(), Reach::Everybody);
        assert_eq!(reach(Some(USER), "admin:*").unwrap(), Reach::Everybody);
        let own = reach(Some(&USER.to_uppercase()), "transcript:read").unwrap();
        assert!(own.covers(USER) && !own.covers("somebody else"));
        assert!(own.require("somebody else").is_err() && !own.is_of_others());
    }

    #[test]
    fn only_a_whole_uuid_has_another_form() {
        assert_eq!(user_id(&USER.to_uppercase()), USER);
        let pseudonym = "00000000000040008000 0000000000AA".replace(' ', "");
        assert_eq!(user_id(&pseudonym), pseudonym);
    }

    #[test]
    fn a_person_without_a_uuid_is_known_by_the_account_at_the_issuer() {
        let account = Ifi::Account { home_page: "https://issuer".into(), name: "ada".into() };
        let id = keys::user(TenantId::DEFAULT.0, &account, |key| Pseudonyms::with_key(b"key").of(key));
        assert!(reach(Some("ada"), "transcript:read").unwrap().covers(&id));
        assert!(!reach(Some("eve"), "transcript:read").unwrap().covers(&id));
    }
}
