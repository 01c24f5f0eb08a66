//! Bearer tokens against a small issuer: what is accepted, what never, and how keys come and go.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use progress_service::{
    identity::{AuthError, Identity, IdentitySettings, IssuerSettings},
    model::{Clock, Ids, Scope, TenantId},
    store::platform::tenants::TenantStatus,
};
use serde_json::{Value, json};
use std::time::Duration;

use super::{
    issuer::{Signer, TestIssuer},
    setup::{clock, settings},
};
use crate::support::pg::{Server, TestDatabase};

fn node(db: &TestDatabase, clock: &Clock, issuer: &TestIssuer) -> Identity {
    let issuer = IssuerSettings {
        issuer: issuer.url.clone(),
        audience: "progress".to_owned(),
        jwks_url: None,
        cache: Duration::from_secs(600),
        pause: Duration::from_secs(10),
        ca_file: None,
        allow_http: false,
        client: None,
    };
    let settings = IdentitySettings { issuer: Some(issuer), ..settings() };
    Identity::new(db.store(), clock.clone(), Ids::random(), settings).unwrap()
}

fn claims(issuer: &TestIssuer, clock: &Clock) -> Value {
    json!({ "iss": issuer.url, "aud": ["progress", "other"], "sub": "ada", "azp": "lms",
            "exp": clock.now().timestamp() + 86_400, "tid": TenantId::DEFAULT, "scope": "openid statements/write" })
}

async fn database() -> TestDatabase {
    TestDatabase::new(Server::newest().await).await
}

fn why(result: Result<progress_service::identity::Caller, AuthError>) -> &'static str {
    match result {
        Err(AuthError::Token(why)) => why,
        other => panic!("expected a refused token, got {other:?}"),
    }
}

#[tokio::test]
async fn every_accepted_algorithm_lets_a_caller_in() {
    let (db, clock) = (database().await, clock());
    let signers = [
        Signer::elliptic("es256", Algorithm::ES256),
        Signer::elliptic("es384", Algorithm::ES384),
        Signer::rsa("rs256", Algorithm::RS256),
        Signer::rsa("rs384", Algorithm::RS384),
        Signer::rsa("rs512", Algorithm::RS512),
        Signer::rsa("ps256", Algorithm::PS256),
        Signer::rsa("ps512", Algorithm::PS512),
    ];
    let issuer = TestIssuer::start(&signers.each_ref()).await;
    let identity = node(&db, &clock, &issuer);
    for signer in &signers {
        let caller = identity.authenticate(&signer.bearer(&claims(&issuer, &clock))).await.unwrap();
        assert_eq!((caller.tenant, caller.user.as_deref()), (TenantId::DEFAULT, Some("ada")));
        assert!(caller.require(Scope::StatementsWrite).is_ok() && caller.require(Scope::Profile).is_err());
        assert_eq!(caller.authority["objectType"], "Group");
        assert_eq!(caller.authority["member"][1]["account"], json!({ "homePage": issuer.url, "name": "ada" }));
    }
    assert_eq!(issuer.fetches(), 1, "the keys were fetched once for all of them");
}

#[tokio::test]
async fn what_the_issuer_did_not_sign_is_refused() {
    let (db, clock) = (database().await, clock());
    let (signer, thief) = (Signer::rsa("a", Algorithm::RS256), Signer::elliptic("a", Algorithm::ES256));
    let issuer = TestIssuer::start(&[&signer]).await;
    let identity = node(&db, &clock, &issuer);
    let claims = claims(&issuer, &clock);
    let good = signer.bearer(&claims);
    identity.authenticate(&good).await.unwrap();

    assert_eq!(why(identity.authenticate(&thief.bearer(&claims)).await), "it is not signed with a key of the issuer");

    let [head, _, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let mut wider = claims.clone();
    wider["scope"] = json!("all admin:*");
    let forged = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(wider.to_string()));
    assert_eq!(why(identity.authenticate(&forged).await), "its signature does not verify");

    // The oldest trick: the public key as the secret of a shared-secret algorithm, or no signature at all.
    let public = EncodingKey::from_secret(signer.jwk["n"].as_str().unwrap().as_bytes());
    let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
    let shared = format!("Bearer {}", encode(&header, &claims, &public).unwrap());
    assert_eq!(why(identity.authenticate(&shared).await), "its algorithm is not accepted");
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"a"}"#);
    for signature in ["", signature] {
        let unsigned = format!("Bearer {none}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        assert_eq!(why(identity.authenticate(&unsigned).await), "it is not a JWT with a known algorithm");
    }
    let critical = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"a","crit":["b64"],"b64":false}"#);
    let critical = format!("Bearer {critical}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    assert_eq!(why(identity.authenticate(&critical).await), "its header has critical extensions");
    for nonsense in ["Bearer x", "Bearer a.b.c", "Bearer ..", "Bearer \u{1F600}"] {
        why(identity.authenticate(nonsense).await);
    }
}

#[tokio::test]
async fn a_token_expires_by_our_clock_and_its_leeway() {
    let (db, clock) = (database().await, clock());
    let signer = Signer::elliptic("a", Algorithm::ES256);
    let issuer = TestIssuer::start(&[&signer]).await;
    let identity = node(&db, &clock, &issuer);
    let mut claims = claims(&issuer, &clock);
    claims["exp"] = json!(clock.now().timestamp() + 30);
    let token = signer.bearer(&claims);
    clock.advance(TimeDelta::seconds(89));
    identity.authenticate(&token).await.unwrap();
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(why(identity.authenticate(&token).await), "it has expired");
}

#[tokio::test]
async fn rotated_keys_are_found_and_unknown_ones_do_not_hammer_the_issuer() {
    let (db, clock) = (database().await, clock());
    let (old, new) = (Signer::elliptic("old", Algorithm::ES256), Signer::elliptic("new", Algorithm::ES256));
    let issuer = TestIssuer::start(&[&old]).await;
    let identity = node(&db, &clock, &issuer);
    let claims = claims(&issuer, &clock);
    identity.authenticate(&old.bearer(&claims)).await.unwrap();
    issuer.publish(&[&new]);
    for _ in 0..20 {
        why(identity.authenticate(&new.bearer(&claims)).await);
    }
    assert_eq!(issuer.fetches(), 1, "within the pause nothing is fetched, whatever comes in");
    clock.advance(TimeDelta::seconds(10));
    identity.authenticate(&new.bearer(&claims)).await.unwrap();
    assert_eq!(why(identity.authenticate(&old.bearer(&claims)).await), "it is not signed with a key of the issuer");
    assert_eq!(issuer.fetches(), 2);
    // A withdrawn key is noticed by the cache's age alone.
    issuer.publish(&[&old]);
    clock.advance(TimeDelta::seconds(600));
    why(identity.authenticate(&new.bearer(&claims)).await);
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test]
async fn an_issuer_that_fails_is_no_refusal_and_old_keys_serve_for_a_while() {
    let (db, clock) = (database().await, clock());
    let signer = Signer::elliptic("a", Algorithm::ES256);
    let issuer = TestIssuer::start(&[&signer]).await;
    let identity = node(&db, &clock, &issuer);
    let token = signer.bearer(&claims(&issuer, &clock));
    let broken: [Vec<u8>; 4] = [
        b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope".to_vec(),
        [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), vec![b' '; 300 << 10], b"{\"keys\":[]}".to_vec()]
            .concat(),
    ];
    for answer in broken {
        issuer.answer_with(Some(answer));
        let before = issuer.fetches();
        assert!(matches!(identity.authenticate(&token).await, Err(AuthError::IssuerUnavailable)));
        assert_eq!(issuer.fetches(), before + 1);
        assert!(matches!(identity.authenticate(&token).await, Err(AuthError::IssuerUnavailable)));
        assert_eq!(issuer.fetches(), before + 1, "a failure is not repeated at once");
        clock.advance(TimeDelta::seconds(10));
    }
    issuer.answer_with(None);
    identity.authenticate(&token).await.unwrap();
    issuer.answer_with(Some(b"HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n".to_vec()));
    clock.advance(TimeDelta::seconds(601));
    identity.authenticate(&token).await.unwrap();
    clock.advance(TimeDelta::seconds(3_600));
    assert!(matches!(identity.authenticate(&token).await, Err(AuthError::IssuerUnavailable)));
}

#[tokio::test]
async fn a_token_needs_a_tenant_that_is_there_and_active() {
    let (db, clock) = (database().await, clock());
    let signer = Signer::elliptic("a", Algorithm::ES256);
    let issuer = TestIssuer::start(&[&signer]).await;
    let identity = node(&db, &clock, &issuer);
    let mut claims = claims(&issuer, &clock);
    claims["tid"] = json!("00000000-0000-4000-8000-0000000000ff");
    assert!(matches!(identity.authenticate(&signer.bearer(&claims)).await, Err(AuthError::UnknownTenant(_))));
    let tenant = identity.create_tenant("test", "acme").await.unwrap();
    claims["tid"] = json!(tenant.id);
    let token = signer.bearer(&claims);
    assert_eq!(identity.authenticate(&token).await.unwrap().tenant, tenant.id);
    identity.set_tenant_status("test", tenant.id, TenantStatus::Suspended).await.unwrap();
    assert!(matches!(identity.authenticate(&token).await, Err(AuthError::Suspended)));
}

#[tokio::test]
async fn without_an_issuer_no_token_is_accepted() {
    let (db, clock) = (database().await, clock());
    let identity = super::setup::node(&db, &clock);
    assert!(matches!(identity.authenticate("Bearer a.b.c").await, Err(AuthError::NoIssuer)));
}
