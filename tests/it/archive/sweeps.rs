//! Each call to the store fails once, for every call there is, in every job: run again, the end is the same; nothing is lost, doubled
//! or invisible, and no object is left that gc does not name.

use std::sync::{Arc, atomic::Ordering};

use progress_service::{
    archive::{Archive, jobs},
    model::partition::{Change, State},
};

use super::{archive_over, forget_segments, published, sealed_march, state, work};
use crate::{
    lifecycle::{MARCH, make, month},
    support::{
        app::TestApp,
        faulty::{Fault, Faulty},
        past,
        pg::TestDatabase,
        segments::{RealStore, keys, stores},
    },
};

/// Where a job begins, and what must be so after it.
struct Story<'a> {
    app: &'a TestApp,
    real: &'a RealStore,
    kind: &'static str,
    ends: State,
}

fn faulty(app: &TestApp, real: &RealStore, fault: Fault) -> (Archive, Arc<std::sync::atomic::AtomicUsize>) {
    let store = Faulty::new(real.store(), fault);
    let calls = store.calls();
    (archive_over(&app.db, Arc::new(store)), calls)
}

/// Brings March to where the job begins, with nothing in the archive that does not belong there.
async fn begin(story: &Story<'_>) {
    let archive = archive_over(&story.app.db, story.real.store());
    loop {
        match (story.kind, state(&story.app.db).await) {
            (jobs::RUN, State::Sealed) => {
                for key in keys(&story.real.store()).await {
                    archive.objects.delete(&key).await.unwrap();
                }
                return forget_segments(&story.app.db).await;
            }
            (jobs::DROP, State::Archived) | (jobs::RESTORE, State::Dropped) => return,
            (jobs::ADOPT, State::Archived) => return elsewhere(&story.app.db).await,
            (jobs::GC, State::Archived) => return replaced(story, &archive).await,
            (jobs::RUN, State::Archived | State::Detached) => {
                assert!(make(&archive.store, MARCH, Change::Attach).await.unwrap());
            }
            (_, State::Sealed | State::Detached) => {
                drop(work(&archive, jobs::RUN).await.unwrap());
            }
            (jobs::RESTORE, State::Archived) => drop(work(&archive, jobs::DROP).await.unwrap()),
            (_, State::Dropped) => drop(work(&archive, jobs::RESTORE).await.unwrap()),
            (kind, state) => panic!("{kind} from {state:?}"),
        }
    }
}

/// Run again, the job comes to its end; gc finds what was left, and then the archive holds what it would hold without a fault.
async fn ends_well(story: &Story<'_>, rows: &[String], wanted: &[String], fault: Fault) {
    let archive = archive_over(&story.app.db, story.real.store());
    // Nothing is lost whatever happened: its rows are in a table, or all of it is published.
    if state(&story.app.db).await != State::Dropped {
        assert_eq!(past::contents(&story.app.db, month(MARCH)).await, rows, "{fault:?}");
    }
    work(&archive, story.kind).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    assert_eq!(state(&story.app.db).await, story.ends, "{fault:?}");
    let expected: &[String] = if story.ends == State::Dropped { &[] } else { rows };
    assert_eq!(past::contents(&story.app.db, month(MARCH)).await, expected, "{fault:?}");
    work(&archive, jobs::GC).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    assert!(archive.leftovers().await.unwrap().is_empty(), "{fault:?}");
    let there = keys(&story.real.store()).await;
    // What was replaced once more has another number.
    let same = if story.kind == jobs::GC { there.len() == wanted.len() } else { there == wanted };
    assert!(same, "{fault:?}: {there:?}");
    assert_eq!(work(&archive, jobs::VERIFY).await.unwrap()["problems"], serde_json::json!([]), "{fault:?}");
}

/// As if the database had been moved: its epoch began somewhere else.
async fn elsewhere(db: &TestDatabase) {
    db.superuser().await.batch_execute("UPDATE platform.installation SET database_id = 'another'").await.unwrap();
}

/// A segment that another one has replaced long ago, and what a crash has left beside it.
async fn replaced(story: &Story<'_>, archive: &Archive) {
    let spoil = async |key: &str| archive.objects.put(key, b"spoilt".to_vec().into()).await.unwrap();
    let newest = published(archive).await.into_iter().max_by_key(|one| (one.name.tenant, one.name.revision)).unwrap();
    spoil(
        &progress_service::objects::segment::Place {
            tenant: newest.name.tenant,
            month: newest.name.month,
            revision: newest.name.revision,
        }
        .part(0),
    )
    .await;
    assert!(make(&archive.store, MARCH, Change::Attach).await.unwrap());
    work(archive, jobs::RUN).await.unwrap();
    let past = "UPDATE ledger.segments SET marked_at = marked_at - interval '2 hours' WHERE state = 'marked'";
    story.app.db.superuser().await.batch_execute(past).await.unwrap();
    assert_eq!(archive.leftovers().await.unwrap().len(), 1);
}

/// Over the bucket of a real server, and over a folder.
async fn sweep(db: TestDatabase, kind: &'static str, ends: State) {
    let app = sealed_march(db, 20).await;
    app.stop_loops().await;
    for real in stores().await {
        sweep_over(&app, &real, kind, ends).await;
        let archive = archive_over(&app.db, real.store());
        if state(&app.db).await == State::Dropped {
            work(&archive, jobs::RESTORE).await.unwrap();
        }
        assert!(make(&archive.store, MARCH, Change::Attach).await.unwrap());
        forget_segments(&app.db).await;
    }
}

async fn sweep_over(app: &TestApp, real: &RealStore, kind: &'static str, ends: State) {
    let rows = past::contents(&app.db, month(MARCH)).await;
    let story = Story { app, real, kind, ends };
    begin(&story).await;
    let (archive, calls) = faulty(app, real, Fault::None);
    work(&archive, kind).await.unwrap();
    let (calls, wanted) = (calls.load(Ordering::SeqCst), keys(&real.store()).await);
    assert!(calls >= 4, "{calls} calls");
    for k in 0..calls {
        for fault in [Fault::At(k), Fault::AnswerOf(k), Fault::From(k)] {
            begin(&story).await;
            let (archive, _) = faulty(app, real, fault);
            let failed = work(&archive, kind).await;
            if let Err(error) = failed {
                assert!(error.to_string().contains("injected") && error.is_passing(), "{fault:?}: {error}");
            }
            ends_well(&story, &rows, &wanted, fault).await;
        }
    }
}

on_the_newest_server! {
    async fn whichever_call_of_writing_a_month_fails(db: TestDatabase) {
        sweep(db, jobs::RUN, State::Archived).await;
    }

    async fn whichever_call_of_dropping_a_month_fails(db: TestDatabase) {
        sweep(db, jobs::DROP, State::Dropped).await;
    }

    async fn whichever_call_of_removing_what_was_replaced_fails(db: TestDatabase) {
        sweep(db, jobs::GC, State::Archived).await;
    }

    async fn whichever_call_of_adopting_fails(db: TestDatabase) {
        sweep(db, jobs::ADOPT, State::Archived).await;
    }

    async fn whichever_call_of_restoring_a_month_fails(db: TestDatabase) {
        sweep(db, jobs::RESTORE, State::Archived).await;
    }
}
