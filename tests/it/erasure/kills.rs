//! The process that erases is gone at its k-th step, for every k: whoever comes next comes to the same end.

use progress_service::{
    app,
    archive::Archive,
    model::{Clock, Ids, TenantId},
    telemetry::Metrics,
    worker::jobs::JobRunner,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{ANN, OF_ANN, disks, erasures, found, places, story};
use crate::{
    archived::{history::settle, objects},
    support::{app::TestApp, background, cut::cut_off, months},
};

on_the_newest_server! {
    async fn wherever_a_process_dies_the_next_one_comes_to_the_same_end(db: TestDatabase) {
        let mut db = db;
        // References are followed by a loop, and none runs here.
        db.leaves("ledger.links_due");
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let mut cuts = 0;
        for (number, waits) in (0..).zip((0..).step_by(23)) {
            here_and_in_the_archive(&app, number).await;
            let done = once(&app, waits).await;
            if !done {
                cuts += 1;
                assert!(once(&app, usize::MAX).await, "the next one does it, after {waits} waits");
            }
            for needle in ["ann@example.com", "ann-canary"] {
                assert_eq!(places(&app.db, needle).await, Vec::<String>::new(), "{needle} after {waits} waits");
            }
            let everything = disks::objects_with_any(&app.data().join("archive"), &OF_ANN);
            assert_eq!(everything, Vec::<String>::new(), "after {waits} waits");
            assert!(!found(&app, &[("agent", r#"{"mbox":"mailto:bob@example.com"}"#)]).await.is_empty());
            if done {
                break;
            }
        }
        assert!(cuts > 3, "{cuts} cuts");
    }
}

/// Ann's story in a month that is archived, and once more in the present; she was never erased.
pub async fn here_and_in_the_archive(app: &TestApp, number: u32) {
    let first = 1_000 * (u128::from(number) + 1);
    let month = format!("{}-{:02}", 2021 + number / 12, 1 + number % 12).parse().unwrap();
    app.db.superuser().await.batch_execute("DELETE FROM ledger.erased_identifiers").await.unwrap();
    story(app, first).await;
    months::spread(&app.db, month).await;
    settle(app).await;
    months::away(&app.db, &objects(app), month).await;
    std::fs::remove_dir_all(app.data().join("archive/_staged")).unwrap();
    story(app, first + 500).await;
    settle(app).await;
}

/// Does the job that waits, or a new one, until it has waited so often; answers whether it came to its end.
pub async fn once(app: &TestApp, waits: usize) -> bool {
    let (erasures, store) = (erasures(app), app.db.store());
    let objects = objects(app);
    let work = async move {
        let archive = Archive::new(&store, &objects, &Clock::system(), &Ids::random(), &Metrics::new().unwrap());
        let kinds = vec![app::erasure_runs(&erasures, &archive)];
        let runner = JobRunner::new(store.clone(), Metrics::new().unwrap(), &Ids::random().uuid().to_string(), kinds);
        let open = store
            .run_tx("open", progress_service::store::As::Worker, |tx| {
                Box::pin(progress_service::store::ledger::erasures::list(tx, None, true, 10))
            })
            .await
            .unwrap();
        if open.is_empty() {
            let value = json!({"agents": [{"mbox": ANN}]});
            let subject = progress_service::erasure::Subject::read(&value).unwrap();
            let request = progress_service::erasure::request::Request {
                tenant: TenantId::DEFAULT,
                subject: &subject,
                policy: None,
                by: "a test",
                saga_request: None,
                seen: None,
            };
            erasures.request(&request).await.unwrap();
        }
        let doing = async {
            // The job of one that died after its last step may be there as well, with nothing left to do.
            let mut succeeded = false;
            while let Some(taken) = runner.take(None).await.unwrap() {
                let ended = runner.work(taken, &CancellationToken::new()).await;
                succeeded = ended == progress_service::worker::jobs::Ended::Succeeded;
                if !succeeded {
                    return false;
                }
            }
            succeeded
        };
        cut_off(Box::pin(doing), waits).await.unwrap_or(false)
    };
    // The lease of one that died is as good as over.
    app.db.superuser().await.batch_execute("UPDATE platform.leases SET expires_at = '-infinity'").await.unwrap();
    background::runtime().spawn(work).await.unwrap()
}
