//! Changes that happen while somebody's secret is being checked, and what the time of a check gives away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version, password_hash::SaltString};
use futures_util::future::BoxFuture;
use progress_service::{
    identity::{AuthError, Identity, Issued},
    model::{Secret, TenantId},
    store::platform::tenants::TenantStatus,
};

use super::setup::{basic, clock, credential, header, node};
use crate::support::{
    patience::until,
    pg::{Server, TestDatabase},
};

/// Makes the check of this credential's secret take many times what it usually does.
async fn slow_down(db: &TestDatabase, issued: &Issued) {
    let costly = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19_456, 30, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    let hash = costly.hash_password(issued.secret.expose().as_bytes(), &salt).unwrap().to_string();
    let sql = "UPDATE platform.credentials SET secret_hash = $1 WHERE credential_id = $2";
    db.superuser().await.execute(sql, &[&hash, &issued.credential.id]).await.unwrap();
}

/// Lets `change` happen after the first check of the secret has read what it rests on, and before it ends; answers what
/// the next one says.
async fn during_the_first_check(
    db: &TestDatabase,
    identity: &Arc<Identity>,
    issued: &Issued,
    table: &str,
    change: impl FnOnce(Arc<Identity>) -> BoxFuture<'static, ()>,
) -> AuthError {
    slow_down(db, issued).await;
    let gate = db.superuser().await;
    gate.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    let waiting = async |count: i64| {
        let watcher = db.superuser().await;
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        until("the gate", async || {
            let now: i64 = watcher.query_one(sql, &[&table]).await.unwrap().get(0);
            if now == count { Ok(()) } else { Err(format!("{now} wait")) }
        })
        .await;
    };
    let changed = Arc::new(AtomicBool::new(false));
    let first = tokio::spawn({
        let (identity, header, changed) = (Arc::clone(identity), header(issued), Arc::clone(&changed));
        async move { (identity.authenticate(&header).await, changed.load(Ordering::SeqCst)) }
    });
    waiting(1).await;
    let changing = tokio::spawn({
        let (change, changed) = (change(Arc::clone(identity)), Arc::clone(&changed));
        async move {
            change.await;
            changed.store(true, Ordering::SeqCst);
        }
    });
    waiting(2).await;
    gate.batch_execute("COMMIT").await.unwrap();
    changing.await.unwrap();
    let (first, was_changed_first) = first.await.unwrap();
    assert!(first.is_ok() && was_changed_first, "the check read the old state and ended after the change");
    identity.authenticate(&header(issued)).await.unwrap_err()
}

on_each_server! {
    async fn a_key_revoked_during_its_first_check_is_not_remembered(db: TestDatabase) {
        let identity = Arc::new(node(&db, &clock()));
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        let id = issued.credential.id;
        let why = during_the_first_check(&db, &identity, &issued, "platform.credentials", move |identity| {
            Box::pin(async move { drop(identity.revoke_credential("test", TenantId::DEFAULT, id).await.unwrap()) })
        });
        assert!(matches!(why.await, AuthError::Revoked));
    }

    async fn a_secret_replaced_during_its_first_check_is_not_remembered(db: TestDatabase) {
        let identity = Arc::new(node(&db, &clock()));
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        let id = issued.credential.id;
        let why = during_the_first_check(&db, &identity, &issued, "platform.credentials", move |identity| {
            Box::pin(async move {
                drop(identity.rotate_credential("test", TenantId::DEFAULT, id, Duration::ZERO).await.unwrap());
            })
        });
        assert!(matches!(why.await, AuthError::Refused));
    }

    async fn a_tenant_suspended_during_a_first_check_is_not_remembered(db: TestDatabase) {
        let identity = Arc::new(node(&db, &clock()));
        let tenant = identity.create_tenant("test", "acme").await.unwrap().id;
        let issued = credential(&identity, tenant, "all").await;
        let why = during_the_first_check(&db, &identity, &issued, "platform.tenants", move |identity| {
            Box::pin(async move {
                drop(identity.set_tenant_status("test", tenant, TenantStatus::Suspended).await.unwrap());
            })
        });
        assert!(matches!(why.await, AuthError::Suspended));
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// How long each refusal of a wrong secret took, of the key that is there and of one that is not, asked in turn.
async fn refusals(identity: &Identity, there: &str, what: &str, rounds: u32) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for (key, times) in [there, "nobody"].into_iter().zip(&mut times) {
            let begun = Instant::now();
            let refused = identity.authenticate(&basic(key, &Secret::new(format!("wrong in {what} {round}")))).await;
            assert!(matches!(refused, Err(AuthError::Refused | AuthError::Busy)), "{refused:?}");
            times.push(begun.elapsed());
        }
    }
    times.map(median)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_a_refusal_does_not_say_which_keys_there_are() {
    let db = TestDatabase::new(Server::newest().await).await;
    let identity = Arc::new(node(&db, &clock()));
    let plain = credential(&identity, TenantId::DEFAULT, "all").await;
    let rotated = credential(&identity, TenantId::DEFAULT, "all").await;
    let (id, day) = (rotated.credential.id, Duration::from_secs(86_400));
    identity.rotate_credential("test", TenantId::DEFAULT, id, day).await.unwrap();
    identity.authenticate(&header(&plain)).await.unwrap();

    let is_even = async |issued: &Issued, what: &str| {
        let [known, unknown] = refusals(&identity, &issued.credential.api_key, what, 9).await;
        assert!((0.6..1.7).contains(&(known / unknown)), "{what}: {known} s for a known key, {unknown} s for none");
    };
    is_even(&plain, "peace").await;
    is_even(&rotated, "peace, with two secrets").await;
    // Strangers who make keys up, more of them than hash at once.
    let flood = (0..6).map(|stranger| {
        let identity = Arc::clone(&identity);
        tokio::spawn(async move {
            for n in 0u64.. {
                let _ = identity.authenticate(&basic(&format!("stranger {stranger} {n}"), &Secret::new("x"))).await;
            }
        })
    });
    let flood: Vec<_> = flood.collect();
    is_even(&plain, "a flood").await;
    // Who is known already waits for nobody, also after something was changed: not one hash is due.
    identity.revoke_credential("test", TenantId::DEFAULT, id).await.unwrap();
    let begun = Instant::now();
    identity.authenticate(&header(&plain)).await.unwrap();
    let (known, [refused, _]) = (begun.elapsed(), refusals(&identity, &plain.credential.api_key, "the end", 5).await);
    assert!(known.as_secs_f64() < refused / 2.0, "{known:?} for a client that is known, {refused} s for a refusal");
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}
