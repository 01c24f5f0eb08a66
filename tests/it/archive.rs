//! Months go to the archive and come back: byte for byte, whatever fails on the way, and never for a copy of the database.

mod clones;
mod command;
mod damage;
mod full;
mod kills;
mod returned;
mod schedule;
mod sweeps;

use std::sync::Arc;

use object_store::ObjectStore;
use progress_service::{
    archive::{Archive, ArchiveError, jobs, jobs::Stepped},
    model::{
        Clock, Ids,
        job::State as JobState,
        partition::{Change, State},
    },
    objects::Objects,
    store::{
        Store,
        ledger::segments::{self, Segment},
        platform::jobs::{Context, Job},
    },
    telemetry::Metrics,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    lifecycle::{MARCH, fill, make, month, settled},
    support::{
        app::TestApp,
        past,
        pg::TestDatabase,
        segments::{RealStore, SMALL, keys, stores},
    },
    xapi::{id, voiding},
};

/// An archive over a store, of this database.
pub fn archive_over(db: &TestDatabase, store: Arc<dyn ObjectStore>) -> Archive {
    let (objects, metrics) = (Objects::over(store), Metrics::new().unwrap());
    Archive::new(&db.store(), &objects, &Clock::system(), &Ids::random(), &metrics).with_sizes(SMALL)
}

/// A job that nobody has put anywhere.
pub fn job(store: &Store, kind: &str, name: Option<&str>) -> Context {
    let parameters = jobs::Order::of(name.map(month));
    let now = Clock::system().now();
    let job = Job {
        id: Ids::random().uuid(),
        kind: kind.to_owned(),
        tenant: None,
        state: JobState::Running,
        requested_by: "a test".to_owned(),
        approved_by: None,
        parameters,
        plan_digest: None,
        progress: Value::Null,
        checkpoint: None,
        outcome: None,
        error: None,
        attempts: 1,
        crashes: 0,
        created_at: now,
        updated_at: now,
        started_at: Some(now),
        finished_at: None,
        is_fresh: true,
    };
    Context::new(job, store.clone(), 1, watch::channel(Value::Null).0, CancellationToken::new())
}

/// Does a job of this kind for March, to its end.
pub async fn work(archive: &Archive, kind: &str) -> Result<Value, ArchiveError> {
    match jobs::step(archive, &job(&archive.store, kind, Some(MARCH))).await? {
        Stepped::Done(outcome) => Ok(outcome),
        other => panic!("{kind}: {other:?}"),
    }
}

pub async fn state(db: &TestDatabase) -> State {
    let all = db.store().partitions().await.unwrap();
    all.iter().find(|one| one.bounds.lower == month(MARCH).begin()).expect("March").state
}

pub async fn published(archive: &Archive) -> Vec<Segment> {
    let mut all = archive.segments(Some(month(MARCH))).await.unwrap();
    all.retain(|one| one.state == segments::State::Published);
    all
}

/// A service with a sealed March of two tenants, in which some statements are voided.
pub async fn sealed_march(db: TestDatabase, statements: u128) -> TestApp {
    let app = TestApp::start(db).await;
    fill(&app, MARCH, 1, statements).await;
    // Voidings within the month and from behind it.
    app.post_statements(&voiding(&id(900), &id(2))).await.expect(200);
    settled(&app).await;
    past::double(&app.db, month(MARCH)).await;
    make(&app.db.store(), MARCH, Change::Seal).await.unwrap();
    app
}

on_each_server! {
    async fn a_month_goes_to_the_archive_and_comes_back_byte_for_byte(db: TestDatabase) {
        let app = sealed_march(db, 60).await;
        let before = past::contents(&app.db, month(MARCH)).await;
        assert!(before.len() >= 240, "{} rows", before.len());
        for real in stores().await {
            let archive = archive_over(&app.db, real.store());
            assert!(matches!(work(&archive, jobs::DROP).await, Err(ArchiveError::Wrong { .. })), "not before it is archived");
            let done = work(&archive, jobs::RUN).await.unwrap();
            assert_eq!((&done["state"], &done["statements"], &done["segments"]), (&json!("archived"), &json!(120), &json!(2)));
            assert_eq!(state(&app.db).await, State::Archived);
            assert_eq!(past::contents(&app.db, month(MARCH)).await, before, "its table is still here");
            let noted = published(&archive).await;
            assert!(noted.len() == 2 && noted.iter().all(|one| one.contents.as_ref().is_some_and(|of| of.rows == 60)), "{noted:?}");
            assert!(keys(&real.store()).await.iter().all(|key| !key.starts_with("_staged/")), "nothing is left behind");
            assert_eq!(work(&archive, jobs::RUN).await.unwrap()["state"], "archived", "done again it changes nothing");

            let dropped = work(&archive, jobs::DROP).await.unwrap();
            assert_eq!((&dropped["statements"], state(&app.db).await), (&json!(120), State::Dropped));
            assert!(past::contents(&app.db, month(MARCH)).await.is_empty(), "only the segments are left");
            assert_eq!(work(&archive, jobs::VERIFY).await.unwrap()["statements"], 120);

            assert_eq!(work(&archive, jobs::RESTORE).await.unwrap()["statements"], 120);
            assert_eq!(state(&app.db).await, State::Archived);
            assert_eq!(past::contents(&app.db, month(MARCH)).await, before);
            assert!(make(&archive.store, MARCH, Change::Attach).await.unwrap());
            assert_eq!(past::contents(&app.db, month(MARCH)).await, before);

            // What is archived again and has not changed is not written again, whoever was voided meanwhile.
            app.post_statements(&voiding(&id(901), &id(5))).await;
            let objects = keys(&real.store()).await;
            work(&archive, jobs::RUN).await.unwrap();
            assert_eq!(keys(&real.store()).await, objects);
            assert_eq!(published(&archive).await.iter().map(|one| one.name.revision).collect::<Vec<_>>(), [0, 0]);
            work(&archive, jobs::DROP).await.unwrap();
            work(&archive, jobs::RESTORE).await.unwrap();
            make(&archive.store, MARCH, Change::Attach).await.unwrap();
            forget_segments(&app.db).await;
        }
    }

    async fn a_month_that_is_brought_back_while_it_is_written_is_not_taken_for_whole(db: TestDatabase) {
        let app = sealed_march(db, 60).await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        let claim = archive.claim().await.unwrap();
        archive.detach(month(MARCH), "a test").await.unwrap();
        let bounds = archive.ready(month(MARCH)).await.unwrap();
        let tenant = archive.next_tenant(&bounds, None).await.unwrap().expect("a tenant");
        // As if the rest of its statements had been read from a table that was not there any more.
        let elsewhere = "UPDATE ledger.detached_statements SET tenant_id = gen_random_uuid() WHERE id IN
            (SELECT id FROM ledger.detached_statements WHERE tenant_id = '00000000-0000-4000-8000-000000000001' ORDER BY stored DESC LIMIT 3)";
        let read = std::sync::atomic::AtomicBool::new(false);
        let superuser = app.db.superuser().await;
        superuser.batch_execute("ALTER TABLE ledger.detached_statements DISABLE TRIGGER statements_are_append_only").await.unwrap();
        let tell = |_| {
            if !read.swap(true, std::sync::atomic::Ordering::SeqCst) {
                let url = app.db.superuser_url();
                crate::support::background::wait_for(async move {
                    crate::support::pg::try_connect(&url).await.unwrap().batch_execute(elsewhere).await.unwrap();
                });
            }
        };
        let refused = archive.write(&claim, (month(MARCH), &bounds), tenant, &tell).await.unwrap_err();
        assert!(refused.to_string().contains("statements were read, and the table has"), "{refused}");
        assert!(published(&archive).await.is_empty());
    }

    async fn statements_come_in_and_are_read_while_a_month_goes_and_comes(db: TestDatabase) {
        let app = Arc::new(sealed_march(db, 60).await);
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        let going = crate::support::background::runtime().spawn(async move {
            for kind in [jobs::RUN, jobs::DROP, jobs::RESTORE] {
                work(&archive, kind).await.unwrap();
            }
        });
        let mut n = 2_000_u128;
        while !going.is_finished() {
            n += 1;
            app.post_statements(&crate::xapi::identified(&id(n), "ann", "a")).await.expect(200);
            app.get_statements(&[("statementId", &id(n))]).await.expect(200);
        }
        going.await.unwrap();
        assert!(n > 2_005, "{n}");
    }
}

/// As if nothing had ever been archived: only for a test that goes on with another store.
pub async fn forget_segments(db: &TestDatabase) {
    let sql = "DELETE FROM ledger.segments; DELETE FROM ledger.writings;
               UPDATE platform.installation SET word = NULL, word_before = NULL";
    db.superuser().await.batch_execute(sql).await.unwrap();
}
