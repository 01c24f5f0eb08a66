//! Leases and background loops: one node at a time, and what happens when a step goes wrong.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use progress_service::{
    telemetry::Metrics,
    worker::{Loop, Step, Turn, Worker},
};

use crate::support::patience;

const TERM: Duration = Duration::from_secs(30);

/// A loop that counts its steps.
fn counting(steps: &Arc<AtomicUsize>) -> Loop {
    let steps = Arc::clone(steps);
    Loop::new("count", TERM, move |_| {
        let steps = Arc::clone(&steps);
        async move {
            steps.fetch_add(1, Ordering::SeqCst);
            Ok(Step::Idle)
        }
    })
}

on_each_server! {
    async fn a_lease_has_one_holder_and_a_fence_that_grows_with_every_change(db: TestDatabase) {
        let store = db.store();
        let first = store.acquire_lease("loop", "a", TERM).await.unwrap().expect("a free lease");
        assert_eq!(store.acquire_lease("loop", "a", TERM).await.unwrap(), Some(first.clone()), "kept by its holder");
        assert_eq!(store.acquire_lease("loop", "b", TERM).await.unwrap(), None);
        store.release_lease("loop", "b").await.unwrap();
        assert_eq!(store.acquire_lease("loop", "b", TERM).await.unwrap(), None, "only the holder lets go");
        store.release_lease("loop", "a").await.unwrap();
        let second = store.acquire_lease("loop", "b", TERM).await.unwrap().expect("released");
        assert!(second.fence > first.fence);
    }

    async fn a_lease_that_ran_out_is_free(db: TestDatabase) {
        let store = db.store();
        let first = store.acquire_lease("loop", "a", Duration::ZERO).await.unwrap().expect("a free lease");
        let second = store.acquire_lease("loop", "b", TERM).await.unwrap().expect("it ran out at once");
        assert!(second.fence > first.fence);
    }

    async fn many_nodes_want_a_lease_and_one_gets_it(db: TestDatabase) {
        let store = db.store();
        let nodes: Vec<String> = (0..8).map(|n| format!("node {n}")).collect();
        // New each time: nodes that make the row at once are those that can meet.
        for turn in 0..50 {
            let lease = format!("loop {turn}");
            let tries = nodes.iter().map(|node| store.acquire_lease(&lease, node, TERM));
            let got = futures_util::future::try_join_all(tries).await.unwrap();
            assert_eq!(got.iter().flatten().count(), 1);
        }
    }

    async fn a_turn_steps_under_the_lease_and_not_without_it(db: TestDatabase) {
        let (store, metrics) = (db.store(), Metrics::new().unwrap());
        let steps = Arc::new(AtomicUsize::new(0));
        let work = counting(&steps);
        let (one, two) =
            (Worker::new(store.clone(), metrics.clone(), "one"), Worker::new(store.clone(), metrics, "two"));
        assert!(matches!(one.turn(&work).await, Turn::Did(Step::Idle)));
        assert!(matches!(two.turn(&work).await, Turn::Elsewhere));
        assert_eq!(steps.load(Ordering::SeqCst), 1);
    }

    async fn a_panic_and_an_error_are_counted_and_survived(db: TestDatabase) {
        let metrics = Metrics::new().unwrap();
        let worker = Worker::new(db.store(), metrics.clone(), "node");
        let panics = Loop::new("panics", TERM, |_| async { panic!("planted") });
        assert!(matches!(worker.turn(&panics).await, Turn::Panicked));
        let fails = Loop::new("fails", TERM, |_| async { Err("planted".into()) });
        assert!(matches!(worker.turn(&fails).await, Turn::Failed(_)));
        assert_eq!(metrics.worker.panics.with_label_values(&["panics"]).get(), 1);
        assert_eq!(metrics.worker.errors.with_label_values(&["fails"]).get(), 1);
    }

    async fn a_started_loop_stops_when_told_and_lets_go_of_its_lease(db: TestDatabase) {
        let store = db.store();
        let steps = Arc::new(AtomicUsize::new(0));
        let worker = Worker::new(store.clone(), Metrics::new().unwrap(), "node");
        worker.spawn(counting(&steps));
        patience::until("a step", async || {
            if steps.load(Ordering::SeqCst) > 0 { Ok(()) } else { Err("none yet") }
        })
        .await;
        worker.stop(patience::PATIENCE).await;
        assert!(store.acquire_lease("count", "another", TERM).await.unwrap().is_some());
        assert_eq!(steps.load(Ordering::SeqCst), 1, "it pauses after an idle step");
    }

    async fn a_loop_that_fails_lets_go_of_its_lease(db: TestDatabase) {
        let (store, metrics) = (db.store(), Metrics::new().unwrap());
        let worker = Worker::new(store.clone(), metrics.clone(), "node");
        worker.spawn(Loop::new("fails", TERM, |_| async { Err("planted".into()) }));
        patience::until("a failure", async || {
            if metrics.worker.errors.with_label_values(&["fails"]).get() > 0 { Ok(()) } else { Err("none yet") }
        })
        .await;
        let taken = patience::until("the lease", async || {
            store.acquire_lease("fails", "another", TERM).await.unwrap().ok_or("not yet")
        })
        .await;
        assert!(taken.fence > 1);
        worker.stop(patience::PATIENCE).await;
    }

    async fn only_one_node_says_that_it_leads_also_between_two_steps(db: TestDatabase) {
        let store = db.store();
        let term = Duration::from_millis(300);
        let steps = Arc::new(AtomicUsize::new(0));
        let start = |node| {
            let metrics = Metrics::new().unwrap();
            let worker = Worker::new(store.clone(), metrics.clone(), node).with_term(term);
            worker.spawn(counting(&steps));
            (worker, metrics)
        };
        let leads = |metrics: &Metrics| metrics.worker.leading.with_label_values(&["count"]).get();
        let (one, of_one) = start("one");
        patience::until("the first leader", async || if leads(&of_one) == 1 { Ok(()) } else { Err("none") }).await;
        let (two, of_two) = start("two");
        // Many terms, in none of which the pause of the first one's loop ends.
        let begun = std::time::Instant::now();
        patience::until("many terms", async || {
            assert_eq!(leads(&of_one) + leads(&of_two), 1, "who leads");
            if begun.elapsed() > 10 * term { Ok(()) } else { Err("not yet") }
        })
        .await;
        assert_eq!(steps.load(Ordering::SeqCst), 1, "the second node had no turn");
        let by_force = "UPDATE platform.leases SET holder = 'two', fence = fence + 1 WHERE name = 'count'";
        db.superuser().await.execute(by_force, &[]).await.unwrap();
        patience::until("the hand-over", async || match (leads(&of_one), leads(&of_two)) {
            (0, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        one.stop(patience::PATIENCE).await;
        two.stop(patience::PATIENCE).await;
    }

    async fn a_shift_ends_alone_and_with_its_worker(db: TestDatabase) {
        let steps = Arc::new(AtomicUsize::new(0));
        let worker = Worker::new(db.store(), Metrics::new().unwrap(), "node");
        let stepped = async |times| {
            patience::until("a step", async || match steps.load(Ordering::SeqCst) {
                done if done >= times => Ok(()),
                done => Err(done),
            })
            .await;
        };
        let shift = worker.shift();
        shift.spawn(counting(&steps));
        stepped(1).await;
        shift.stop(patience::PATIENCE).await;
        worker.shift().spawn(counting(&steps));
        stepped(2).await;
        worker.stop(patience::PATIENCE).await;
        assert!(db.store().acquire_lease("count", "another", TERM).await.unwrap().is_some());
    }

    async fn a_node_that_comes_later_gets_its_part_of_what_is_divided(db: TestDatabase) {
        let store = db.store();
        let (soon, steps) = (Duration::from_millis(40), Arc::new(AtomicUsize::new(0)));
        let divided = |n: u32, name| {
            let steps = Arc::clone(&steps);
            let step = move |_| {
                steps.fetch_add(1, Ordering::SeqCst);
                async { Ok(Step::Idle) }
            };
            Loop::new(name, soon / 4, step).divided("part-", soon * n, soon * 4)
        };
        let names = ["part-0", "part-1", "part-2", "part-3"];
        let start = |node| {
            let worker = Worker::new(store.clone(), Metrics::new().unwrap(), node);
            (0..).zip(names).for_each(|(n, name)| worker.spawn(divided(n, name)));
            worker
        };
        let held = async |expected: &[(&str, i64)]| {
            let expected: HashMap<String, i64> = expected.iter().map(|(node, count)| ((*node).to_owned(), *count)).collect();
            patience::until("the division", async || match store.leases_held("part-").await.unwrap() {
                held if held == expected => Ok(()),
                held => Err(format!("{held:?}")),
            })
            .await;
        };
        let one = start("one");
        held(&[("one", 4)]).await;
        let two = start("two");
        held(&[("one", 2), ("two", 2)]).await;
        // It stays so, whatever is offered.
        let before = steps.load(Ordering::SeqCst);
        patience::until("many more steps", async || match steps.load(Ordering::SeqCst) {
            now if now > before + 100 => Ok(()),
            now => Err(now - before),
        })
        .await;
        held(&[("one", 2), ("two", 2)]).await;
        one.stop(patience::PATIENCE).await;
        held(&[("two", 4)]).await;
        two.stop(patience::PATIENCE).await;
    }
}
