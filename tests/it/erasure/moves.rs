//! Months that move while somebody is erased, or afterwards: they never come along.

use std::sync::atomic::{AtomicUsize, Ordering};

use progress_service::{
    model::scheme::Scheme,
    partitions::rescheme::{ReschemeError, rescheme},
    telemetry::Aside,
};
use serde_json::json;

use super::{ANN, by_mbox, erase, found, march, places};
use crate::{
    archived::{history::settle, objects},
    support::{
        app::TestApp,
        months, patience,
        pg::TestDatabase,
        process::{Process, command},
    },
    xapi::{id, identified},
};

const NOWHERE: [String; 0] = [];
const HERS: &str = "ann@example.com";
const THEIRS: [(&str, &str); 1] = [("agent", r#"{"mbox":"mailto:bob@example.com"}"#)];

/// Thirty statements in March, every third of them Ann's.
async fn a_march(db: TestDatabase) -> TestApp {
    let app = TestApp::start(db).await;
    let some: Vec<_> = (1..=30).map(|n| identified(&id(n), if n % 3 == 0 { "ann" } else { "bob" }, "a")).collect();
    app.post_statements(&json!(some)).await.expect(200);
    months::spread(&app.db, march()).await;
    settle(&app).await;
    app
}

on_each_server! {
    async fn a_copy_that_somebody_left_half_made_goes_as_well(db: TestDatabase) {
        let app = a_march(db).await;
        months::seal(&app.db, march()).await;
        let store = app.db.store();
        for stop in [20, 34] {
            let done = AtomicUsize::new(0);
            let go_on = |_| done.fetch_add(1, Ordering::Relaxed) + 1 < stop;
            let left = rescheme(&store, march(), Scheme::Weekly, "a test", &Aside::default(), &go_on).await.unwrap_err();
            assert!(matches!(left, ReschemeError::Stopped), "{left}");
            if stop == 34 {
                let copied = "SELECT count(*) FROM ledger.filling_statements_2026_03";
                assert_eq!(app.db.superuser().await.query_one(copied, &[]).await.unwrap().get::<_, i64>(0), 30, "it has her");
            }
        }
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        assert_eq!(places(&app.db, HERS).await, NOWHERE, "also where nobody is shown anything");
        assert!(store.divisions().await.unwrap().is_empty(), "it is begun anew");
        rescheme(&store, march(), Scheme::Weekly, "a test", &Aside::default(), &|_| true).await.unwrap();
        assert_eq!(places(&app.db, HERS).await, NOWHERE);
        assert_eq!(found(&app, &THEIRS).await.len(), 20);
    }

    async fn a_copy_of_others_is_left_alone(db: TestDatabase) {
        let app = a_march(db).await;
        months::seal(&app.db, march()).await;
        let (store, done) = (app.db.store(), AtomicUsize::new(0));
        rescheme(&store, march(), Scheme::Daily, "a test", &Aside::default(), &|_| done.fetch_add(1, Ordering::Relaxed) < 20).await.unwrap_err();
        assert_eq!(erase(&app, &by_mbox("mailto:eve@example.com")).await["state"], "erased");
        assert_eq!(store.divisions().await.unwrap().len(), 1, "nobody in it was erased");
        rescheme(&store, march(), Scheme::Daily, "a test", &Aside::default(), &|_| true).await.unwrap();
        assert_eq!(found(&app, &[]).await.len(), 30);
    }

    async fn a_month_that_is_attached_or_restored_afterwards_has_nothing_of_them(db: TestDatabase) {
        let app = a_march(db).await;
        let objects = objects(&app);
        months::seal(&app.db, march()).await;
        months::detach(&app.db, march()).await;
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        months::attach(&app.db, march()).await;
        assert_eq!(found(&app, &[]).await.len(), 20, "it is back among the others, without her");
        assert_eq!(places(&app.db, HERS).await, NOWHERE);
        months::detach(&app.db, march()).await;
        months::publish(&app.db, &objects, march(), 0).await;
        months::archived(&app.db, march()).await;
        months::drop_table(&app.db, march()).await;
        assert_eq!(found(&app, &THEIRS).await.len(), 20, "out of the archive");
        app.get_statements(&[("statementId", &id(3))]).await.expect(404);
    }
}

on_the_newest_server! {
    async fn killed_again_and_again_the_command_comes_to_its_end(db: TestDatabase) {
        let mut db = db;
        // Asking again for what a killed one has begun leaves a job of which nothing is left to do.
        db.leaves("platform.jobs");
        let app = TestApp::start(db).await;
        for first in [1, 5_001] {
            let some: Vec<_> = (first..first + 5_000).map(|n| identified(&id(n), if n % 5 == 0 { "bob" } else { "ann" }, "a")).collect();
            app.post_statements(&json!(some)).await.expect(200);
        }
        settle(&app).await;
        app.stop_loops().await;
        let variables = app.variables([]);
        let eye = app.db.superuser().await;
        let hers = "SELECT (SELECT count(*) FROM ledger.statements) + (SELECT count(*) FROM ledger.statement_ids WHERE NOT erased) AS left";
        let (mut before, mut killed): (i64, _) = (eye.query_one(hers, &[]).await.unwrap().get(0), 0);
        assert_eq!(before, 20_000);
        let arguments = ["erasure", "request", "--mbox", ANN, "--apply"];
        loop {
            let open: bool = eye.query_one("SELECT EXISTS (SELECT FROM ledger.erasures WHERE finished_at IS NULL)", &[]).await.unwrap().get(0);
            let id: Option<uuid::Uuid> = match open {
                true => eye.query_one("SELECT id FROM ledger.erasures", &[]).await.unwrap().get(0),
                false => None,
            };
            let id = id.map(|id| id.to_string());
            let run = ["erasure", "run", id.as_deref().unwrap_or_default()];
            // The lease of one that died is as good as over.
            eye.batch_execute("UPDATE platform.leases SET expires_at = '-infinity'").await.unwrap();
            let mut process = Process::start(command(if open { &run[..] } else { &arguments[..] }, &variables));
            let mut left = before;
            patience::until("some of it to go", async || {
                left = eye.query_one(hers, &[]).await.unwrap().get(0);
                if left < before || !process.is_running() { Ok(()) } else { Err(format!("{left} left: {:?}", process.log.lines())) }
            }).await;
            let finished = "SELECT count(*) FROM ledger.erasures WHERE state = 'erased'";
            if eye.query_one(finished, &[]).await.unwrap().get::<_, i64>(0) == 1 {
                break;
            }
            assert!(left < before || killed > 0, "{:?}", process.log.lines());
            process.kill();
            (before, killed) = (left, killed + 1);
            assert!(killed < 100, "it comes further every time");
        }
        assert!(killed >= 3, "killed {killed} times");
        assert_eq!(places(&app.db, HERS).await, NOWHERE);
        assert_eq!(eye.query_one("SELECT count(*) FROM ledger.statements", &[]).await.unwrap().get::<_, i64>(0), 2_000);
        let receipts = "SELECT count(*) FROM platform.audit WHERE action = 'erasure.end'";
        assert_eq!(eye.query_one(receipts, &[]).await.unwrap().get::<_, i64>(0), 1, "it ended once");
    }
}
