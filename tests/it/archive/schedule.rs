//! What the service does to months by itself, as its configuration says.

use std::time::Duration;

use progress_service::{
    app::archive_kinds,
    archive::{Archive, plan::Schedule},
    model::{
        Clock, Ids,
        partition::{Change, State},
    },
    objects::Objects,
    store::{
        As,
        platform::jobs::{self as queue, Filter, Job},
    },
    telemetry::Metrics,
    worker::jobs::{Ended, JobRunner},
};
use tokio_util::sync::CancellationToken;

use super::state;
use crate::{
    lifecycle::{MARCH, fill, make},
    support::{app::TestApp, pg::TestDatabase, segments::RealStore},
};

const DAY: Duration = Duration::from_hours(24);

async fn queued(db: &TestDatabase) -> Vec<Job> {
    let filter = &Filter::default();
    db.store().run_tx("jobs", As::Worker, |tx| Box::pin(queue::list(tx, filter, 10))).await.unwrap()
}

on_each_server! {
    async fn months_are_sealed_archived_and_dropped_when_their_time_has_come(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 10).await;
        app.stop_loops().await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let metrics = Metrics::new().unwrap();
        let objects = Objects::over(real.store());
        let archive = Archive::new(&app.db.store(), &objects, &Clock::system(), &Ids::random(), &metrics);
        let runner = JobRunner::new(app.db.store(), metrics.clone(), "a node", archive_kinds(&archive));
        let turn = async || match runner.take(None).await.unwrap() {
            Some(taken) => Some(runner.work(taken, &CancellationToken::new()).await),
            None => None,
        };
        let off = Schedule { hot_months: None, seal_after: DAY, drop_after: Some(Duration::ZERO) };
        archive.keep_schedule(&off, false).await.unwrap();
        assert_eq!((state(&app.db).await, queued(&app.db).await.len()), (State::Open, 0), "nothing happens that nobody asked for");

        let on = Schedule { hot_months: Some(1), ..off };
        // Somebody has not read it yet.
        let superuser = app.db.superuser().await;
        superuser.batch_execute("UPDATE progress.projection_cursors SET position = '2026-03-01'").await.unwrap();
        archive.keep_schedule(&on, false).await.unwrap();
        assert_eq!(state(&app.db).await, State::Open);
        let page = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(page.contains("progress_archive_due 1") && page.contains("progress_archive_months{state=\"open\"}"), "{page}");
        superuser.batch_execute("UPDATE progress.projection_cursors SET position = now()").await.unwrap();

        archive.keep_schedule(&on, false).await.unwrap();
        assert_eq!(state(&app.db).await, State::Sealed);
        archive.keep_schedule(&on, false).await.unwrap();
        archive.keep_schedule(&on, false).await.unwrap();
        let jobs = queued(&app.db).await;
        assert!(jobs.len() == 1 && jobs[0].kind == "archive.run" && jobs[0].requested_by == "schedule", "{jobs:?}");
        assert_eq!(turn().await, Some(Ended::Succeeded));
        assert_eq!(state(&app.db).await, State::Archived);
        archive.keep_schedule(&on, false).await.unwrap();
        assert_eq!(turn().await, Some(Ended::Succeeded));
        assert_eq!(state(&app.db).await, State::Dropped);
        archive.keep_schedule(&on, false).await.unwrap();
        assert_eq!(queued(&app.db).await.len(), 2, "there is nothing left to do");
        let audited: Vec<String> = superuser
            .query("SELECT action FROM platform.audit WHERE actor = 'schedule' ORDER BY 1", &[]).await.unwrap()
            .iter().map(|row| row.get(0)).collect();
        assert_eq!(audited, ["archive.drop", "archive.run", "partitions.archive", "partitions.detach", "partitions.drop", "partitions.seal"]);
    }

    async fn what_failed_rests_and_what_was_brought_back_stays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 10).await;
        app.stop_loops().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("_owners")).unwrap();
        let (metrics, objects) = (Metrics::new().unwrap(), Objects::over(crate::support::segments::folder_store(folder.path())));
        let archive = Archive::new(&app.db.store(), &objects, &Clock::system(), &Ids::random(), &metrics);
        let installation = archive.installation().await.unwrap().id;
        std::fs::write(folder.path().join(format!("_owners/{installation}.json")), b"{}").unwrap();
        let runner = JobRunner::new(app.db.store(), metrics.clone(), "a node", archive_kinds(&archive));
        let on = Schedule { hot_months: Some(1), seal_after: DAY, drop_after: None };
        make(&archive.store, MARCH, Change::Seal).await.unwrap();
        archive.keep_schedule(&on, false).await.unwrap();
        let taken = runner.take(None).await.unwrap().expect("a job");
        assert_eq!(runner.work(taken, &CancellationToken::new()).await, Ended::Failed);
        let failed = queued(&app.db).await;
        assert!(failed[0].error.as_ref().unwrap().contains("is no word of an owner"), "{failed:?}");
        archive.keep_schedule(&on, false).await.unwrap();
        assert_eq!(queued(&app.db).await.len(), 1, "somebody should look first");

        make(&archive.store, MARCH, Change::Detach).await.unwrap();
        make(&archive.store, MARCH, Change::Attach).await.unwrap();
        app.db.superuser().await.batch_execute("UPDATE platform.jobs SET finished_at = now() - interval '1 day'").await.unwrap();
        archive.keep_schedule(&on, false).await.unwrap();
        assert_eq!((queued(&app.db).await.len(), state(&app.db).await), (1, State::Sealed));
    }

    async fn a_node_whose_clock_is_years_ahead_seals_nothing_that_is_still_written(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 10).await;
        app.stop_loops().await;
        app.post_statements(&crate::xapi::identified(&crate::xapi::id(700), "ann", "a")).await.expect(200);
        let superuser = app.db.superuser().await;
        superuser.batch_execute("UPDATE progress.projection_cursors SET position = now()").await.unwrap();
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let metrics = Metrics::new().unwrap();
        let on = Schedule { hot_months: Some(0), seal_after: DAY, drop_after: Some(Duration::ZERO) };
        for years in [-30, 30] {
            let clock = Clock::stepped(Clock::system().now() + chrono::TimeDelta::days(365 * years));
            let archive = Archive::new(&app.db.store(), &Objects::over(real.store()), &clock, &Ids::random(), &metrics);
            archive.keep_schedule(&on, false).await.unwrap();
            let open = "SELECT count(*) FROM ledger.partitions WHERE state = 'open' AND upper_bound > now()";
            let ahead = "SELECT count(*) FROM ledger.partitions WHERE upper_bound > now()";
            let count = async |sql: &str| superuser.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
            assert_eq!(count(open).await, count(ahead).await, "the database's own clock decides");
            let wanted = if years < 0 { State::Open } else { State::Sealed };
            assert_eq!(state(&app.db).await, wanted, "{years} years off");
        }
        app.post_statements(&crate::xapi::identified(&crate::xapi::id(701), "ann", "a")).await.expect(200);
    }
}
