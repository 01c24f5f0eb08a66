//! A month changes sides while everybody works: whoever is in the way is not waited for, and nobody waits long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use progress_service::{
    model::partition::{Change, State},
    partitions::{
        change::{self, ChangeError, Wish},
        run,
    },
    store::{As, Store, ledger::partitions},
};
use serde_json::json;

use super::{MARCH, count, fill, make, month, state};
use crate::{
    support::{app::TestApp, background, patience},
    xapi::{id, identified},
};

async fn patiently(store: &Store, change: Change, patience: Duration) -> Result<bool, ChangeError> {
    change::make(store, &Wish { month: month(MARCH), change, has_brokers: false, by: "a test", patience }).await
}

on_each_server! {
    async fn a_change_gives_way_to_whoever_reads_and_says_who_that_is(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 5).await;
        let store = app.db.store();
        make(&store, MARCH, Change::Seal).await.unwrap();
        let reader = app.db.superuser().await;
        reader.batch_execute("BEGIN; SELECT FROM ledger.statements").await.unwrap();
        let pid: i32 = reader.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let refused = patiently(&store, Change::Detach, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(&refused, ChangeError::Busy { pids, .. } if pids.contains(&pid)), "{refused}");
        assert_eq!((state(&store, MARCH).await, count(&app.db, "statements").await), (State::Sealed, 5));
        // It goes on trying, and finds the moment.
        let trying = background::runtime().spawn({
            let store = store.clone();
            async move { patiently(&store, Change::Detach, Duration::from_secs(60)).await }
        });
        app.post_statements(&identified(&id(80), "ann", "a")).await.expect(200);
        reader.batch_execute("COMMIT").await.unwrap();
        assert!(trying.await.unwrap().unwrap());
        assert_eq!((state(&store, MARCH).await, count(&app.db, "detached_statements").await), (State::Detached, 5));
    }

    async fn what_a_transaction_was_told_of_the_months_stays_true_until_its_end(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 5).await;
        let store = app.db.store();
        make(&store, MARCH, Change::Seal).await.unwrap();
        make(&store, MARCH, Change::Detach).await.unwrap();
        let other = store.clone();
        let told = store.run_tx("t", As::Worker, |tx| {
            let other = other.clone();
            Box::pin(async move {
                let away = partitions::away(tx).await?;
                let refused = make(&other, MARCH, Change::Attach).await;
                assert!(matches!(refused, Err(ChangeError::Busy { .. })), "{refused:?}");
                Ok::<_, progress_service::store::StoreError>(away)
            })
        }).await.unwrap();
        assert_eq!(told.iter().map(|one| one.state).collect::<Vec<_>>(), [State::Detached]);
        assert!(make(&store, MARCH, Change::Attach).await.unwrap());
        assert!(store.run_tx("t", As::Worker, |tx| Box::pin(partitions::away(tx))).await.unwrap().is_empty());
    }

    async fn statements_come_in_while_a_month_goes_to_and_fro(db: TestDatabase) {
        let app = Arc::new(TestApp::start(db).await);
        fill(&app, MARCH, 1, 200).await;
        let store = app.db.store();
        make(&store, MARCH, Change::Seal).await.unwrap();
        let n = AtomicU64::new(1_000);
        let post = async || {
            let began = Instant::now();
            let n = u128::from(n.fetch_add(1, Ordering::Relaxed));
            app.post_statements(&identified(&id(n), "ann", "a")).await.expect(200);
            app.get_statements(&[("statementId", &id(n))]).await.expect(200);
            began.elapsed()
        };
        for _ in 0..20 {
            post().await;
        }
        let mut alone = Duration::ZERO;
        for _ in 0..60 {
            alone = alone.max(post().await);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let swapping = background::runtime().spawn({
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            async move {
                let mut swaps = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    for change in [Change::Detach, Change::Attach] {
                        assert!(patiently(&store, change, Duration::from_secs(60)).await.unwrap());
                        swaps += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                swaps
            }
        });
        let mut beside = Vec::new();
        for _ in 0..120 {
            beside.push(post().await);
        }
        stop.store(true, Ordering::Relaxed);
        let swaps = swapping.await.unwrap();
        assert!(swaps >= 4, "{swaps} swaps");
        // The slowest of all is the machine's; there are more swaps than any installation makes in years.
        beside.sort_unstable();
        let (most, slowest) = (beside[beside.len() * 9 / 10], beside[beside.len() - 1]);
        assert!(most < alone * 4, "{most:?} and {slowest:?} beside {swaps} swaps, {alone:?} without");
        assert_eq!(count(&app.db, "statements").await, 200);
    }

    async fn what_was_left_half_detached_is_put_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 5).await;
        app.stop_loops().await;
        let (reader, person) = (app.db.superuser().await, app.db.owner().await);
        reader.batch_execute("BEGIN; SELECT FROM ledger.statements").await.unwrap();
        person.batch_execute("SET statement_timeout = '500ms'").await.unwrap();
        let detach = "ALTER TABLE ledger.statements DETACH PARTITION ledger.statements_2026_03 CONCURRENTLY";
        assert!(person.batch_execute(detach).await.is_err(), "the reader is in the way");
        reader.batch_execute("COMMIT").await.unwrap();
        assert_eq!(count(&app.db, "statements").await, 0, "new queries see nothing of it");
        let store = app.db.store();
        patience::until("the server lets go", async || run::mend(&store).await.map_err(|e| e.to_string())).await;
        assert_eq!(count(&app.db, "statements").await, 5);
        let left: i64 = reader.query_one("SELECT count(*) FROM pg_inherits WHERE inhdetachpending", &[]).await.unwrap().get(0);
        assert_eq!((left, state(&store, MARCH).await), (0, State::Open));
        app.post_statements(&json!([identified(&id(90), "ann", "a")])).await.expect(200);
    }
}
