//! Fences: a node that was paused past its lease changes nothing when it wakes up.

use std::{sync::Arc, time::Duration};

use progress_service::store::{As, Store, StoreError, platform::leases};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_postgres::Client;

use crate::{
    projections::{platform, statement},
    support::{
        app::{KEY, SECRET, send},
        http, patience,
        process::Service,
    },
};

const TERM: Duration = Duration::from_secs(30);

async fn expire(superuser: &Client, lease: &str) {
    let sql = "UPDATE platform.leases SET expires_at = '-infinity' WHERE name = $1";
    assert_eq!(superuser.execute(sql, &[&lease]).await.unwrap(), 1, "no lease {lease}");
}

async fn count(superuser: &Client, table: &str) -> i64 {
    superuser.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

/// Waits until a session waits for a lock in a statement with this label.
async fn blocked(superuser: &Client, label: &str) {
    let sql = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    patience::until("a blocked statement", async || {
        let rows = superuser.query(sql, &[]).await.unwrap();
        let waiting: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if waiting.iter().any(|query| query.contains(label)) { Ok(()) } else { Err(waiting.join("\n")) }
    })
    .await;
}

/// A far month, made under whatever lease the store has.
async fn make_month(store: &Store, n: i64) -> Result<bool, StoreError> {
    store.ensure_partition(chrono::DateTime::from_timestamp(2_000_000_000 + n * 40 * 86_400, 0).unwrap()).await
}

/// One that forgot it would go on writing after another node has taken over, and no test of its own would tell.
#[test]
fn every_loop_works_under_its_lease() {
    let source = include_str!("../../src/app/loops.rs");
    let (loops, under) = (source.matches("Loop::new(").count(), source.matches(".under(&lease)").count());
    // What validates takes back whatever it tries, so that twice is as good as once.
    let harmless = source.matches("move |_|").count();
    assert!(loops > 5 && loops == under + harmless, "{loops} loops, {under} of them under their lease");
    assert_eq!(harmless, 1, "whoever changes something takes its lease");
}

on_each_server! {
    async fn what_is_done_under_a_lease_is_refused_once_another_node_has_it(db: TestDatabase) {
        let store = db.store();
        let lease = store.acquire_lease("loop", "a", TERM).await.unwrap().expect("a free lease");
        let under = store.under(&lease);
        assert!(make_month(&under, 0).await.unwrap());
        under.check_lease().await.unwrap();
        let superuser = db.superuser().await;
        expire(&superuser, "loop").await;
        assert!(make_month(&under, 1).await.unwrap(), "nobody else has taken it");
        store.acquire_lease("loop", "b", TERM).await.unwrap().expect("it ran out");
        let before = count(&superuser, "ledger.partitions").await;
        let refused = make_month(&under, 2).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Fenced { lease } if lease == "loop"), "{refused}");
        assert!(matches!(under.check_lease().await, Err(StoreError::Fenced { .. })));
        assert_eq!(count(&superuser, "ledger.partitions").await, before);
        assert!(!store.renew_lease(&lease, TERM).await.unwrap(), "it cannot be had back by renewing");
        assert!(make_month(&store, 2).await.unwrap(), "by hand there is no lease to lose");
    }

    async fn the_same_node_that_takes_a_lease_again_has_a_new_fence(db: TestDatabase) {
        let store = db.store();
        let first = store.acquire_lease("loop", "a", TERM).await.unwrap().expect("a free lease");
        assert_eq!(store.acquire_lease("loop", "a", TERM).await.unwrap(), Some(first.clone()), "kept");
        store.release_lease("loop", "a").await.unwrap();
        let second = store.acquire_lease("loop", "a", TERM).await.unwrap().expect("free again");
        assert!(second.fence > first.fence);
        assert!(matches!(store.under(&first).check_lease().await, Err(StoreError::Fenced { .. })));
        store.under(&second).check_lease().await.unwrap();
    }

    async fn a_checked_lease_is_not_taken_over_before_the_end_but_renewed_meanwhile(db: TestDatabase) {
        let store = db.store();
        let lease = store.acquire_lease("loop", "a", TERM).await.unwrap().expect("a free lease");
        let (superuser, other, under) = (db.superuser().await, db.store(), store.under(&lease));
        let [checked, go] = [0; 2].map(|_| Arc::new(Semaphore::new(0)));
        let gates = (Arc::clone(&checked), Arc::clone(&go));
        let middle = tokio::spawn(async move {
            let work = under.run_tx("in_the_middle", As::Worker, |tx| {
                let (checked, go) = gates.clone();
                Box::pin(async move {
                    leases::check(tx).await?;
                    checked.add_permits(1);
                    go.acquire().await.expect("it stays open").forget();
                    Ok::<_, StoreError>(())
                })
            });
            work.await
        });
        checked.acquire().await.unwrap().forget();
        assert!(store.renew_lease(&lease, TERM).await.unwrap(), "its holder renews it");
        expire(&superuser, "loop").await;
        let taking = tokio::spawn(async move { other.acquire_lease("loop", "b", TERM).await });
        blocked(&superuser, "leases::acquire").await;
        go.add_permits(1);
        middle.await.unwrap().unwrap();
        let taken = taking.await.unwrap().unwrap().expect("the transaction is over");
        assert!(taken.fence > lease.fence);
    }

    async fn a_node_that_was_paused_past_its_lease_is_refused_on_waking(db: TestDatabase) {
        let (superuser, credential) = (db.superuser().await, format!("{KEY}:{SECRET}"));
        let mut service = Service::start(&[
            ("PROGRESS_DATABASE_URL", &db.service_url()),
            ("PROGRESS_DATABASE_MIGRATION_URL", &db.owner_url()),
            ("PROGRESS_BOOTSTRAP_CREDENTIAL", &credential),
        ])
        .await;
        // The audit trail has its key from now on, and only the projections ask for theirs.
        let get = |path: String| http::client().get(format!("{}{path}", service.url)).basic_auth(KEY, Some(SECRET));
        let entries = send(get("/api/v1/audit/entries".to_owned())).await.expect(200).json();
        send(get(format!("/api/v1/audit/entries/{}/receipt", entries["data"][0]["id"]))).await.expect(200);
        // The projections stand still where they have found a statement and not begun to write what comes of it.
        superuser.batch_execute("BEGIN; LOCK TABLE platform.signing_keys IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let request = http::client().post(format!("{}/xapi/statements", service.url)).basic_auth(KEY, Some(SECRET));
        let body = json!(statement(1, "passed", &platform("attempt", 1)));
        send(request.header("X-Experience-API-Version", "1.0.3").json(&body)).await.expect(200);
        let eye = db.superuser().await;
        blocked(&eye, "signing_key").await;
        service.process.signal("STOP");
        expire(&eye, "projections").await;
        let another = db.store();
        another.acquire_lease("projections", "another", TERM).await.unwrap().expect("it ran out");
        superuser.batch_execute("ROLLBACK").await.unwrap();
        service.process.signal("CONT");
        service.process.says("the lease projections went to another node").await;
        assert_eq!(count(&eye, "progress.attempts").await, 0, "what it had in hand was refused");
        assert_eq!(count(&eye, "progress.outbox").await, 0, "and nothing is told of it");
        another.release_lease("projections", "another").await.unwrap();
        patience::until("the attempt", async || match count(&eye, "progress.attempts").await {
            1 => Ok(()),
            other => Err(other),
        })
        .await;
    }
}
