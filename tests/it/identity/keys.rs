//! Keys and secrets: who gets in, who does not, and what the answers give away.

use std::sync::Arc;

use chrono::TimeDelta;
use progress_service::{
    identity::{AuthError, CredentialRef, Identity, NewCredential},
    model::{Ids, Scope, Scopes, Secret, TenantId},
};
use serde_json::json;

use super::setup::{basic, clock, credential, header, node, settings};

on_each_server! {
    async fn a_key_and_its_secret_make_a_caller(db: TestDatabase) {
        let identity = node(&db, &clock());
        let issued = credential(&identity, TenantId::DEFAULT, "statements/write state").await;
        let caller = identity.authenticate(&header(&issued)).await.unwrap();
        assert_eq!(caller.tenant, TenantId::DEFAULT);
        assert_eq!(&*caller.tenant_name, "default");
        assert_eq!(caller.authority["account"]["homePage"], "https://lrs.example/credentials");
        assert_eq!(caller.authority["account"]["name"], issued.credential.api_key);
        assert!(caller.require(Scope::StatementsWrite).is_ok());
        assert!(matches!(caller.require(Scope::StatementsRead), Err(AuthError::Scope(Scope::StatementsRead))));
        assert!(matches!(caller.credential, CredentialRef::Key { id, .. } if id == issued.credential.id));
    }

    async fn a_wrong_secret_and_an_unknown_key_get_the_same_answer(db: TestDatabase) {
        let identity = node(&db, &clock());
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        let mut answers = Vec::new();
        for (key, secret) in [
            (issued.credential.api_key.as_str(), "wrong"),
            ("nobody", "wrong"),
            (issued.credential.api_key.as_str(), ""),
            ("", "x"),
            ("a\0b", "x"),
            ("'; DROP TABLE platform.credentials; --", "x"),
        ] {
            answers.push(identity.authenticate(&basic(key, &Secret::new(secret))).await.unwrap_err().to_string());
        }
        answers.dedup();
        assert_eq!(answers, ["the key or the secret is wrong"]);
        assert!(identity.authenticate(&header(&issued)).await.is_ok(), "refusals do not lock the right secret out");
    }

    async fn many_requests_at_once_are_all_answered(db: TestDatabase) {
        let identity = Arc::new(node(&db, &clock()));
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        let (right, wrong) = (header(&issued), basic(&issued.credential.api_key, &Secret::new("wrong")));
        let requests = (0..200).map(|n| {
            let (identity, header) = (Arc::clone(&identity), if n % 2 == 0 { right.clone() } else { wrong.clone() });
            tokio::spawn(async move { (n, identity.authenticate(&header).await.is_ok()) })
        });
        for request in requests.collect::<Vec<_>>() {
            let (n, is_in) = request.await.unwrap();
            assert_eq!(is_in, n % 2 == 0);
        }
    }

    async fn a_credential_may_speak_for_an_agent_of_its_own(db: TestDatabase) {
        let identity = node(&db, &clock());
        let agent = json!({ "objectType": "Agent", "mbox": "mailto:lms@example.org", "name": "LMS" });
        let new = NewCredential {
            scopes: Scopes::parse("all").unwrap(),
            agent: agent.as_object().cloned(),
            ..Default::default()
        };
        let issued = identity.create_credential("test", TenantId::DEFAULT, new).await.unwrap();
        let caller = identity.authenticate(&header(&issued)).await.unwrap();
        assert_eq!(serde_json::Value::Object((*caller.authority).clone()), agent);
    }

    async fn the_database_holds_no_clear_secret(db: TestDatabase) {
        let identity = node(&db, &clock());
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        let rows = db.superuser().await;
        let rows = rows.query("SELECT to_jsonb(c)::text FROM platform.credentials c
                               UNION ALL SELECT to_jsonb(a)::text FROM platform.audit a", &[]).await.unwrap();
        assert!(rows.len() >= 2, "a credential and its audit entry");
        for row in rows {
            assert!(!row.get::<_, String>(0).contains(issued.secret.expose()));
        }
        assert!(!format!("{issued:?}").contains(issued.secret.expose()));
    }

    async fn a_database_that_is_gone_is_no_refusal(db: TestDatabase) {
        let store = db.store();
        let settings = settings();
        let ids = Ids::random();
        let identity = Identity::new(store.clone(), clock(), ids, settings).unwrap();
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        store.close();
        assert!(identity.authenticate(&header(&issued)).await.unwrap_err().is_failure());
    }

    async fn a_remembered_caller_needs_no_database_until_the_time_is_up(db: TestDatabase) {
        let (store, clock) = (db.store(), clock());
        let ids = Ids::random();
        let settings = settings();
        let identity = Identity::new(store.clone(), clock.clone(), ids, settings).unwrap();
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        identity.authenticate(&header(&issued)).await.unwrap();
        store.close();
        clock.advance(TimeDelta::seconds(29));
        identity.authenticate(&header(&issued)).await.unwrap();
        clock.advance(TimeDelta::seconds(1));
        assert!(identity.authenticate(&header(&issued)).await.unwrap_err().is_failure());
    }
}
