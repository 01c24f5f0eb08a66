//! Each call to the store fails once, for every call there is: the end is the same, and nothing is lost, doubled or nameless.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use object_store::ObjectStore;
use progress_service::objects::{
    Objects,
    segment::{Filter, Key, Manifest, Row, Segment, SegmentError, Sizes, clear, remove},
};
use uuid::Uuid;

use crate::support::{
    faulty::{Fault, Faulty},
    segments::{
        OWNER, RealStore, SMALL, all_of, archive, brute_force, everything, keys, place, rows, scan, stores, writing,
    },
};

/// Two parts of a few row groups.
const TINY: Sizes = Sizes { part_bytes: 60 << 10, ..SMALL };

fn faulty(store: Arc<dyn ObjectStore>, fault: Fault) -> (Objects, Arc<AtomicUsize>) {
    let store = Faulty::new(store, fault);
    let calls = store.calls();
    (Objects::over(Arc::new(store)), calls)
}

#[tokio::test]
async fn whichever_call_of_archiving_fails_running_it_again_comes_to_the_same_end() {
    let place = place("2026-03");
    let rows = rows(place, 600);
    for real in stores().await {
        let (objects, calls) = faulty(real.store(), Fault::None);
        let first = archive(&objects, writing(place, 1), &rows, TINY).await.unwrap();
        let parts = first.manifest().parts.len();
        assert!(parts > 1, "one part is too simple");
        clear(&objects, &place, Uuid::from_u128(1)).await.unwrap();
        let (calls, wanted) = (calls.load(Ordering::SeqCst), keys(&real.store()).await);
        assert!(calls > 12, "{calls} calls");
        remove(&objects, &place, &OWNER).await.unwrap();
        for k in 0..calls {
            for fault in [Fault::At(k), Fault::AnswerOf(k), Fault::From(k)] {
                attempt(&real, fault, &rows, &wanted).await;
            }
        }
    }
}

async fn attempt(real: &RealStore, fault: Fault, rows: &[Row], wanted: &[String]) {
    let place = place("2026-03");
    let (objects, _) = faulty(real.store(), fault);
    let archived = archive(&objects, writing(place, 2), rows, TINY).await;
    if let Err(error) = &archived {
        let named = error.to_string();
        assert!(named.contains("tenant=") && named.contains("injected"), "{fault:?}: {named}");
    }
    // What is published is whole, whatever became of the call.
    match all_of(&real.objects(), &place).await {
        Ok(found) => assert_eq!(found, rows, "{fault:?}"),
        Err(SegmentError::NotPublished(_)) => assert!(archived.is_err(), "{fault:?}"),
        Err(error) => panic!("{fault:?}: {error}"),
    }
    // The next run, with a name of its own, and the cleaning of both.
    let objects = real.objects();
    archive(&objects, writing(place, 3), rows, TINY).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    for writing in [2, 3] {
        clear(&objects, &place, Uuid::from_u128(writing)).await.unwrap();
    }
    assert_eq!(all_of(&objects, &place).await.unwrap(), rows, "{fault:?}");
    assert_eq!(keys(&real.store()).await, wanted, "{fault:?}");
    remove(&objects, &place, &OWNER).await.unwrap();
    assert!(keys(&real.store()).await.is_empty(), "{fault:?}");
}

#[tokio::test]
async fn whichever_call_of_removing_fails_what_is_left_has_a_name() {
    let place = place("2026-03");
    let rows = rows(place, 600);
    for real in stores().await {
        let objects = real.objects();
        archive(&objects, writing(place, 1), &rows, TINY).await.unwrap();
        clear(&objects, &place, Uuid::from_u128(1)).await.unwrap();
        let manifest = Manifest::load(&objects, &place, OWNER.installation).await.unwrap();
        for k in 0..manifest.parts.len() + 2 {
            let (failing, _) = faulty(real.store(), Fault::At(k));
            remove(&failing, &place, &OWNER).await.unwrap_err();
            // The manifest stays to the last, and names every object that is left.
            let left = Manifest::load(&objects, &place, OWNER.installation).await.unwrap();
            let named: Vec<_> = left.parts.iter().map(|part| part.key.clone()).chain([place.manifest()]).collect();
            assert!(keys(&real.store()).await.iter().all(|key| named.contains(key)), "call {k}");
        }
        remove(&objects, &place, &OWNER).await.unwrap();
        assert!(keys(&real.store()).await.is_empty());
    }
}

#[tokio::test]
async fn whichever_call_of_reading_fails_no_answer_is_wrong() {
    let place = place("2026-03");
    let rows = rows(place, 600);
    for real in stores().await {
        let done = archive(&real.objects(), writing(place, 1), &rows, TINY).await.unwrap();
        let read = async |fault: Fault| {
            let (objects, calls) = faulty(real.store(), fault);
            let segment = Segment::open(&objects, done.manifest().clone(), None).unwrap();
            let filter = Filter::default().and(Key::Verb, rows[1].verb_key, &[]);
            let page = segment.select(&filter, &everything()).await;
            let page = page.map(|page| assert_eq!(page, brute_force(&rows, &filter, &everything())));
            let all = scan(&segment).await.map(|all| assert_eq!(all, rows));
            (page.and(all), calls.load(Ordering::SeqCst))
        };
        let (ok, calls) = read(Fault::None).await;
        ok.unwrap();
        for k in 0..calls {
            let failed = read(Fault::At(k)).await.0.unwrap_err().to_string();
            assert!(failed.contains("part-00") && failed.contains("injected"), "call {k}: {failed}");
        }
    }
}
