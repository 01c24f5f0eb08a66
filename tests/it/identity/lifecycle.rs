//! What happens to a credential and a tenant over time, as seen by another node that only remembers for a while.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use progress_service::{
    cmi5::{Launch, LaunchMode},
    identity::{AuthError, FetchError, Handed, IdentityError, NewCredential, NewLaunch},
    model::{Clock, Scope, Scopes, Secret, TenantId, attempt::MoveOn, score::Score},
    store::platform::tenants::TenantStatus,
};
use serde_json::json;
use uuid::Uuid;

use super::setup::{TTL, basic, clock, credential, header, node};

fn past_the_ttl() -> TimeDelta {
    TimeDelta::from_std(TTL).unwrap()
}

on_each_server! {
    async fn rotation_overlaps_and_then_ends_the_old_secret(db: TestDatabase) {
        let clock = clock();
        let (here, there) = (node(&db, &clock), node(&db, &clock));
        let old = credential(&here, TenantId::DEFAULT, "all").await;
        there.authenticate(&header(&old)).await.unwrap();
        let overlap = Duration::from_secs(3_600);
        let new = here.rotate_credential("test", TenantId::DEFAULT, old.credential.id, overlap).await.unwrap();
        assert_eq!(new.credential.api_key, old.credential.api_key);
        for identity in [&here, &there] {
            identity.authenticate(&header(&new)).await.unwrap();
            identity.authenticate(&header(&old)).await.unwrap();
        }
        clock.advance(TimeDelta::seconds(3_599));
        here.authenticate(&header(&old)).await.unwrap();
        // Remembered a second ago, and still over when the overlap is.
        clock.advance(TimeDelta::seconds(1));
        assert!(matches!(here.authenticate(&header(&old)).await, Err(AuthError::Refused)));
        here.authenticate(&header(&new)).await.unwrap();
    }

    async fn rotation_without_overlap_ends_the_old_secret_at_once_here_and_soon_elsewhere(db: TestDatabase) {
        let clock = clock();
        let (here, there) = (node(&db, &clock), node(&db, &clock));
        let old = credential(&here, TenantId::DEFAULT, "all").await;
        there.authenticate(&header(&old)).await.unwrap();
        here.rotate_credential("test", TenantId::DEFAULT, old.credential.id, Duration::ZERO).await.unwrap();
        assert!(matches!(here.authenticate(&header(&old)).await, Err(AuthError::Refused)));
        clock.advance(past_the_ttl());
        assert!(matches!(there.authenticate(&header(&old)).await, Err(AuthError::Refused)));
    }

    async fn a_revoked_credential_stops_within_the_ttl(db: TestDatabase) {
        let clock = clock();
        let (here, there) = (node(&db, &clock), node(&db, &clock));
        let issued = credential(&here, TenantId::DEFAULT, "all").await;
        there.authenticate(&header(&issued)).await.unwrap();
        here.revoke_credential("test", TenantId::DEFAULT, issued.credential.id).await.unwrap();
        assert!(matches!(here.authenticate(&header(&issued)).await, Err(AuthError::Revoked)));
        clock.advance(past_the_ttl());
        assert!(matches!(there.authenticate(&header(&issued)).await, Err(AuthError::Revoked)));
        // Only who knows the secret learns that it was revoked.
        let wrong = basic(&issued.credential.api_key, &Secret::new("wrong"));
        assert!(matches!(there.authenticate(&wrong).await, Err(AuthError::Refused)));
        let again = here.rotate_credential("test", TenantId::DEFAULT, issued.credential.id, Duration::ZERO).await;
        assert!(matches!(again, Err(IdentityError::Conflict(_))));
    }

    async fn a_credential_expires_to_the_second_although_it_is_remembered(db: TestDatabase) {
        let clock = clock();
        let identity = node(&db, &clock);
        let expires_at = Some(clock.now() + TimeDelta::seconds(10));
        let new = NewCredential { scopes: Scopes::parse("all").unwrap(), expires_at, ..NewCredential::default() };
        let issued = identity.create_credential("test", TenantId::DEFAULT, new).await.unwrap();
        clock.advance(TimeDelta::seconds(9));
        identity.authenticate(&header(&issued)).await.unwrap();
        clock.advance(TimeDelta::seconds(1));
        assert!(matches!(identity.authenticate(&header(&issued)).await, Err(AuthError::Expired)));
    }

    async fn a_suspended_tenant_is_refused_until_it_is_resumed(db: TestDatabase) {
        let clock = clock();
        let identity = node(&db, &clock);
        let tenant = identity.create_tenant("test", "acme").await.unwrap();
        let issued = credential(&identity, tenant.id, "all").await;
        identity.authenticate(&header(&issued)).await.unwrap();
        let suspended = identity.set_tenant_status("test", tenant.id, TenantStatus::Suspended).await.unwrap();
        assert_eq!(suspended.status, TenantStatus::Suspended);
        assert!(matches!(identity.authenticate(&header(&issued)).await, Err(AuthError::Suspended)));
        identity.set_tenant_status("test", tenant.id, TenantStatus::Active).await.unwrap();
        identity.authenticate(&header(&issued)).await.unwrap();
        let default = identity.set_tenant_status("test", TenantId::DEFAULT, TenantStatus::Suspended).await;
        assert!(matches!(default, Err(IdentityError::Conflict(_))));
        let twin = identity.create_tenant("test", " acme ").await;
        assert!(matches!(twin, Err(IdentityError::Conflict(_))));
    }

    async fn a_launch_that_is_over_goes_with_the_next_credential(db: TestDatabase) {
        // In the past for the database's own clock too, which the policy on deletes asks.
        let clock = Clock::stepped(DateTime::from_timestamp(1_600_000_000, 0).unwrap());
        let identity = node(&db, &clock);
        let actor = json!({ "mbox": "mailto:ada@example.org" });
        let launch = Launch::of(Uuid::from_u128(7), actor.as_object().cloned().unwrap());
        let new = NewLaunch { lifetime: Duration::from_secs(60), ..NewLaunch::of(launch) };
        identity.create_launch("test", TenantId::DEFAULT, new).await.unwrap();
        let admin = db.superuser().await;
        let count = "SELECT count(*) FROM platform.credentials WHERE launch_actor IS NOT NULL";
        credential(&identity, TenantId::DEFAULT, "all").await;
        assert_eq!(admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
        clock.advance(TimeDelta::seconds(61));
        credential(&identity, TenantId::DEFAULT, "all").await;
        assert_eq!(admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    }

    async fn a_launch_speaks_for_one_learner_while_it_lasts(db: TestDatabase) {
        let clock = clock();
        let identity = node(&db, &clock);
        let actor = json!({ "account": { "homePage": "https://lms.example", "name": "ada" } });
        let launch = Launch::of(Uuid::from_u128(7), actor.as_object().cloned().unwrap());
        let make = |scopes| {
            let new = NewLaunch { lifetime: Duration::from_secs(60), scopes, ..NewLaunch::of(launch.clone()) };
            identity.create_launch("test", TenantId::DEFAULT, new)
        };
        let issued = make(None).await.unwrap();
        let Handed::Secret(secret) = &issued.handed else { panic!("nobody asked for a fetch URL") };
        let header = basic(&issued.credential.api_key, secret);
        let caller = identity.authenticate(&header).await.unwrap();
        assert_eq!(caller.launch.as_deref(), Some(&launch));
        assert!(caller.require(Scope::State).is_ok() && caller.require(Scope::StatementsRead).is_err());
        let wide = make(Some(Scopes::parse("admin:*").unwrap())).await;
        assert!(matches!(wide, Err(IdentityError::Invalid { field: "scopes", .. })));
        clock.advance(TimeDelta::seconds(60));
        assert!(matches!(identity.authenticate(&header).await, Err(AuthError::Expired)));
        assert!(identity.list_credentials(TenantId::DEFAULT, None, 10).await.unwrap().is_empty(), "launches are not listed");
    }

    async fn a_token_is_fetched_once_in_time_and_by_nobody_who_was_shut_out(db: TestDatabase) {
        let clock = clock();
        let (here, there) = (node(&db, &clock), node(&db, &clock));
        let actor = json!({ "account": { "homePage": "https://lms.example", "name": "ada" } });
        let launch = Launch {
            session: Some("s1".to_owned()),
            activity: Some("https://lms.example/au".to_owned()),
            move_on: MoveOn::named("Passed"),
            mastery_score: Score::parse("0.8"),
            mode: LaunchMode::named("Review"),
            ..Launch::of(Uuid::from_u128(7), actor.as_object().cloned().unwrap())
        };
        let make = || async {
            let new = NewLaunch { fetch: true, ..NewLaunch::of(launch.clone()) };
            let launched = here.create_launch("test", TenantId::DEFAULT, new).await.unwrap();
            let Handed::Fetch { token, .. } = launched.handed else { panic!("a fetch URL was asked for") };
            (launched.credential.id, token)
        };
        let code = |answer: Result<Secret, FetchError>| answer.unwrap_err().code();

        let (_, token) = make().await;
        let given = there.fetch(&token).await.unwrap();
        let caller = here.authenticate(&format!("Basic {}", given.expose())).await.unwrap();
        assert_eq!(caller.launch.as_deref(), Some(&launch), "what a launch is bound to is known to whoever asks");
        assert_eq!(code(here.fetch(&token).await), "1", "on every node");

        let (_, late) = make().await;
        clock.advance(TimeDelta::seconds(3_601));
        assert_eq!(code(here.fetch(&late).await), "1");
        let (id, revoked) = make().await;
        here.revoke_credential("test", TenantId::DEFAULT, id).await.unwrap();
        assert_eq!(code(here.fetch(&revoked).await), "2");
        let (_, good) = make().await;
        for wrong in ["", ".", "a.b", "nobody", &format!("{}0", good.expose()), good.expose().split_once('.').unwrap().0] {
            assert_eq!(code(here.fetch(&Secret::new(wrong)).await), "2", "{wrong:?}");
        }
        // Another launch's half does not fit.
        let (key, _) = good.expose().split_once('.').unwrap();
        let (_, other) = make().await;
        let mixed = format!("{key}.{}", other.expose().split_once('.').unwrap().1);
        assert_eq!(code(here.fetch(&Secret::new(mixed)).await), "2");

        let rows = db.superuser().await;
        let kept = rows.query("SELECT c::text FROM platform.credentials c", &[]).await.unwrap();
        let secret = good.expose().split_once('.').unwrap().1;
        assert!(kept.iter().all(|row| !row.get::<_, String>(0).contains(secret)), "only its hash is kept");
        let acts = rows.query_one("SELECT count(*) FROM platform.audit WHERE action = 'credential.fetch'", &[]).await.unwrap();
        assert_eq!(acts.get::<_, i64>(0), 1);
    }

    async fn the_bootstrap_credential_is_made_once_and_never_changed(db: TestDatabase) {
        let identity = node(&db, &clock());
        assert!(identity.ensure_bootstrap(&Secret::new("ops:first:part")).await.unwrap());
        assert!(!identity.ensure_bootstrap(&Secret::new("ops:second")).await.unwrap());
        let caller = identity.authenticate(&basic("ops", &Secret::new("first:part"))).await.unwrap();
        assert!(caller.require_operator().is_ok() && caller.require(Scope::All).is_ok());
        assert!(identity.authenticate(&basic("ops", &Secret::new("second"))).await.is_err());
        assert!(identity.ensure_bootstrap(&Secret::new("nothing")).await.is_err());
    }

    async fn a_fresh_install_gets_one_credential(db: TestDatabase) {
        let identity = node(&db, &clock());
        let issued = identity.first_credential().await.unwrap().expect("none was there");
        assert!(identity.authenticate(&header(&issued)).await.unwrap().require_operator().is_ok());
        assert!(identity.first_credential().await.unwrap().is_none());
    }

    async fn every_act_leaves_one_entry_in_the_audit_trail(db: TestDatabase) {
        let identity = node(&db, &clock());
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        let id = issued.credential.id;
        identity.rotate_credential("key:ops", TenantId::DEFAULT, id, Duration::ZERO).await.unwrap();
        identity.revoke_credential("key:ops", TenantId::DEFAULT, id).await.unwrap();
        identity.revoke_credential("key:ops", TenantId::DEFAULT, id).await.unwrap();
        let tenant = identity.create_tenant("key:ops", "acme").await.unwrap();
        identity.set_tenant_status("key:ops", tenant.id, TenantStatus::Suspended).await.unwrap();
        let rows = db.superuser().await;
        let rows = rows.query("SELECT action, subject FROM platform.audit ORDER BY audit_id", &[]).await.unwrap();
        let acts: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let (key, tenant) = (id.to_string(), tenant.id.to_string());
        let expected = [
            ("credential.create", &key),
            ("credential.rotate", &key),
            ("credential.revoke", &key),
            ("tenant.create", &tenant),
            ("tenant.suspend", &tenant),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(act, of)| (act.to_owned(), of.clone())).collect();
        assert_eq!(acts, expected);
    }

    async fn bad_wishes_are_refused_with_the_field(db: TestDatabase) {
        let clock = clock();
        let identity = node(&db, &clock);
        let all = || Scopes::parse("all").unwrap();
        let agent = |value: serde_json::Value| value.as_object().cloned();
        let cases = [
            ("scopes", NewCredential::default()),
            ("label", NewCredential { scopes: all(), label: "a\0b".to_owned(), ..NewCredential::default() }),
            ("expiresAt", NewCredential { scopes: all(), expires_at: Some(clock.now()), ..NewCredential::default() }),
            ("agent", NewCredential { scopes: all(), agent: agent(json!({ "name": "x" })), ..NewCredential::default() }),
            ("agent", NewCredential { scopes: all(), agent: agent(json!({ "mbox": "a\0" })), ..NewCredential::default() }),
        ];
        for (expected, new) in cases {
            match identity.create_credential("test", TenantId::DEFAULT, new).await {
                Err(IdentityError::Invalid { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        let nowhere = identity.create_credential("test", TenantId(Uuid::nil()),
            NewCredential { scopes: all(), ..NewCredential::default() });
        assert!(matches!(nowhere.await, Err(IdentityError::NotFound("tenant"))));
    }
}
