//! An identity over a test's database, with a clock the test moves.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::DateTime;
use progress_service::{
    identity::{Identity, IdentitySettings, Issued, NewCredential},
    model::{Clock, Ids, Scopes, Secret, TenantId},
};

use crate::support::pg::TestDatabase;

/// How long the identities of these tests remember a verdict.
pub const TTL: Duration = Duration::from_secs(30);

pub fn clock() -> Clock {
    Clock::stepped(DateTime::from_timestamp(1_900_000_000, 0).unwrap())
}

pub fn settings() -> IdentitySettings {
    IdentitySettings {
        account_home_page: "https://lrs.example/credentials".to_owned(),
        credential_cache: TTL,
        issuer: None,
    }
}

/// Each call is another node: it shares the database and the clock, and no memory.
pub fn node(db: &TestDatabase, clock: &Clock) -> Identity {
    Identity::new(db.store(), clock.clone(), Ids::random(), settings()).unwrap()
}

pub async fn credential(identity: &Identity, tenant: TenantId, scopes: &str) -> Issued {
    let new = NewCredential { scopes: Scopes::parse(scopes).unwrap(), ..NewCredential::default() };
    identity.create_credential("test", tenant, new).await.unwrap()
}

pub fn basic(api_key: &str, secret: &Secret) -> String {
    format!("Basic {}", STANDARD.encode(format!("{api_key}:{}", secret.expose())))
}

pub fn header(issued: &Issued) -> String {
    basic(&issued.credential.api_key, &issued.secret)
}
