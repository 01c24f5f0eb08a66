//! A caller: somebody who proved who they are, and what that lets them do.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::AuthError;
use crate::{
    cmi5::Launch,
    model::{Scope, Scopes, TenantId},
};

/// What a caller proved themselves with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialRef {
    /// A key and secret of ours.
    Key { id: Uuid, api_key: Arc<str> },
    /// A token of the configured issuer; the pseudonym stands for issuer and subject.
    Token { pseudonym: Arc<str> },
}

impl CredentialRef {
    pub(super) fn token(issuer: &str, subject: &str) -> Self {
        let digest = Sha256::new_with_prefix(issuer).chain_update([0]).chain_update(subject).finalize();
        Self::Token { pseudonym: hex::encode(&digest[..12]).into() }
    }

    /// The name under which the audit trail knows this caller; no personal data.
    pub fn audit_name(&self) -> String {
        match self {
            Self::Key { api_key, .. } => format!("key:{api_key}"),
            Self::Token { pseudonym } => format!("token:{pseudonym}"),
        }
    }
}

/// Who is asking. Only [`super::Identity::authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub tenant_name: Arc<str>,
    /// The `authority` of every statement this caller stores.
    pub authority: Arc<Map<String, Value>>,
    pub scopes: Scopes,
    pub credential: CredentialRef,
    /// The token's subject: a caller who is a person reads only their own.
    pub user: Option<Arc<str>>,
    /// A launch credential speaks for this learner in this registration only.
    pub launch: Option<Arc<Launch>>,
}

impl Caller {
    /// Refuses unless the caller holds `scope`, or one that includes it.
    pub fn require(&self, scope: Scope) -> Result<(), AuthError> {
        if self.scopes.allows(scope) { Ok(()) } else { Err(AuthError::Scope(scope)) }
    }

    /// The agent that a token's user is; `None` for keys and for applications.
    pub fn person(&self) -> Option<&Map<String, Value>> {
        self.user.as_ref()?;
        let members = self.authority.get("member").and_then(Value::as_array);
        // Of the pair, the application comes first.
        members.map_or(Some(&*self.authority), |members| members.last()?.as_object())
    }

    /// Refuses unless the caller may manage every tenant: an administrator of the default one.
    pub fn require_operator(&self) -> Result<(), AuthError> {
        self.require(Scope::Admin)?;
        if self.tenant == TenantId::DEFAULT { Ok(()) } else { Err(AuthError::NotOperator) }
    }
}

/// An Agent known by an account.
pub fn account(home_page: &str, name: &str) -> Map<String, Value> {
    let agent = json!({ "objectType": "Agent", "account": { "homePage": home_page, "name": name } });
    match agent {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The authority of a token: the pair of application and user where it names both, else the one it names.
pub(super) fn token_authority(issuer: &str, application: Option<&str>, user: &str) -> Map<String, Value> {
    match application.filter(|application| *application != user) {
        None => account(issuer, user),
        Some(application) => {
            let members = json!([account(issuer, application), account(issuer, user)]);
            Map::from_iter([("objectType".to_owned(), json!("Group")), ("member".to_owned(), members)])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(tenant: TenantId, scopes: &str) -> Caller {
        Caller {
            tenant,
            tenant_name: "t".into(),
            authority: Arc::new(account("https://lrs.example", "k")),
            scopes: Scopes::parse(scopes).unwrap(),
            credential: CredentialRef::token("https://issuer", "ada@example.org"),
            user: None,
            launch: None,
        }
    }

    #[test]
    fn a_missing_scope_is_named() {
        let error = caller(TenantId::DEFAULT, "state").require(Scope::StatementsRead).unwrap_err();
        assert!(error.to_string().contains("statements/read"));
        assert!(caller(TenantId::DEFAULT, "all").require(Scope::StatementsRead).is_ok());
    }

    #[test]
    fn the_person_of_a_token_is_its_user_alone_or_beside_the_application() {
        let token = |authority, user: Option<&str>| Caller {
            authority: Arc::new(authority),
            user: user.map(Into::into),
            ..caller(TenantId::DEFAULT, "state")
        };
        let ada = account("https://issuer", "ada");
        assert_eq!(token(token_authority("https://issuer", Some("app"), "ada"), Some("ada")).person(), Some(&ada));
        assert_eq!(token(token_authority("https://issuer", None, "ada"), Some("ada")).person(), Some(&ada));
        assert_eq!(token(token_authority("https://issuer", Some("app"), "app"), None).person(), None);
    }

    #[test]
    fn only_administrators_of_the_default_tenant_are_operators() {
        assert!(caller(TenantId::DEFAULT, "admin:*").require_operator().is_ok());
        assert!(caller(TenantId::DEFAULT, "all").require_operator().is_err());
        assert!(caller(TenantId(Uuid::nil()), "admin:*").require_operator().is_err());
    }

    #[test]
    fn the_audit_trail_knows_a_token_only_by_a_pseudonym() {
        let name = caller(TenantId::DEFAULT, "all").credential.audit_name();
        assert!(name.starts_with("token:") && !name.contains("ada"));
    }

    #[test]
    fn a_token_of_application_and_user_speaks_as_an_anonymous_group_of_both() {
        let pair = token_authority("https://issuer", Some("app"), "ada");
        assert_eq!(pair["objectType"], "Group");
        assert_eq!(pair["member"][0]["account"]["name"], "app");
        assert_eq!(pair["member"][1]["account"], json!({ "homePage": "https://issuer", "name": "ada" }));
        assert_eq!(pair["member"].as_array().map(Vec::len), Some(2));
        assert_eq!(token_authority("https://issuer", Some("app"), "app")["objectType"], "Agent");
        assert_eq!(token_authority("https://issuer", None, "ada")["account"]["name"], "ada");
    }
}
