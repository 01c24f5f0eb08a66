//! The process is gone at its k-th step, for every k: a step ends wherever it waits for the database or the store. What it had under
//! way is cut off as by SIGKILL: its sessions are closed, and nothing is tidied up. Whoever comes next finishes it.

use std::{future::Future, pin::pin, task::Poll};

use progress_service::{
    archive::jobs,
    model::partition::{Change, State},
};

use super::{archive_over, forget_segments, sealed_march, state, work};
use crate::{
    lifecycle::{MARCH, make, month},
    support::{
        past,
        segments::{RealStore, keys},
    },
};

/// Lets the work wait so many times, and then drops it; `None` where it was cut off.
async fn cut_off<T>(work: impl Future<Output = T>, waits: usize) -> Option<T> {
    let (mut work, mut left) = (pin!(work), waits);
    std::future::poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

on_the_newest_server! {
    async fn wherever_a_process_dies_the_next_one_comes_to_the_same_end(db: TestDatabase) {
        let app = sealed_march(db, 8).await;
        app.stop_loops().await;
        let rows = past::contents(&app.db, month(MARCH)).await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        work(&archive, jobs::RUN).await.unwrap();
        let wanted = keys(&real.store()).await;
        let mut cuts = 0;
        for (kind, ends) in [(jobs::DROP, State::Dropped), (jobs::RESTORE, State::Archived), (jobs::RUN, State::Archived)] {
            for waits in 0.. {
                match kind {
                    jobs::RUN => {
                        make(&archive.store, MARCH, Change::Attach).await.unwrap();
                        for key in keys(&real.store()).await {
                            archive.objects.delete(&key).await.unwrap();
                        }
                        forget_segments(&app.db).await;
                    }
                    jobs::DROP if state(&app.db).await == State::Dropped => drop(work(&archive, jobs::RESTORE).await.unwrap()),
                    jobs::RESTORE if state(&app.db).await == State::Archived => drop(work(&archive, jobs::DROP).await.unwrap()),
                    _ => {}
                }
                let done = cut_off(work(&archive, kind), waits).await;
                if state(&app.db).await != State::Dropped {
                    assert_eq!(past::contents(&app.db, month(MARCH)).await, rows, "{kind}, {waits} waits");
                }
                if let Some(done) = done {
                    done.unwrap_or_else(|error| panic!("{kind}, {waits} waits: {error}"));
                    assert!(waits > 10, "{kind} waited {waits} times only");
                    assert_eq!(state(&app.db).await, ends);
                    break;
                }
                cuts += 1;
                work(&archive, kind).await.unwrap_or_else(|error| panic!("{kind}, {waits} waits: {error}"));
                assert_eq!(state(&app.db).await, ends, "{kind}, {waits} waits");
                let expected: &[String] = if ends == State::Dropped { &[] } else { &rows };
                assert_eq!(past::contents(&app.db, month(MARCH)).await, expected, "{kind}, {waits} waits");
                work(&archive, jobs::GC).await.unwrap();
                assert_eq!(keys(&real.store()).await, wanted, "{kind}, {waits} waits");
            }
        }
        assert!(cuts > 60, "{cuts} cuts");
    }
}
