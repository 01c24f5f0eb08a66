//! Jobs: taken under a lease, done in steps, gone on with by others, paused, cancelled, tried again.

mod command;
mod crashes;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use progress_service::{
    model::{
        Ids,
        job::{Act, State},
    },
    store::{
        As, Store, StoreError,
        platform::jobs::{self, AskError, Filter, Job, NewJob},
    },
    telemetry::Metrics,
    worker::jobs::{Context, Ended, JobKind, JobRunner, JobStep, Progress},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{patience, pg::TestDatabase};

/// Puts a job into the queue.
pub async fn put_job(store: &Store, job: &NewJob<'_>) {
    store.run_once("put", As::Worker, |tx| Box::pin(jobs::put(tx, job))).await.unwrap();
}

async fn put(store: &Store, kind: &'static str, plan: Option<&str>) -> Uuid {
    let id = Ids::random().uuid();
    let parameters = json!({ "to": 3 });
    let job = &NewJob { id, kind, tenant: None, by: "test", approved_by: Some("other"), parameters, plan_digest: plan };
    put_job(store, job).await;
    id
}

async fn get(store: &Store, id: Uuid) -> Job {
    store.run_tx("get", As::Worker, |tx| Box::pin(jobs::get(tx, id))).await.unwrap().expect("a job")
}

async fn ask(store: &Store, id: Uuid, act: Act) -> Result<Job, AskError> {
    store.run_once("ask", As::Worker, |tx| Box::pin(jobs::ask(tx, id, act, "operator"))).await
}

fn node(db: &TestDatabase, name: &str, kinds: Vec<JobKind>) -> (JobRunner, Metrics) {
    let metrics = Metrics::new().unwrap();
    (JobRunner::new(db.store(), metrics.clone(), name, kinds).with_term(Duration::from_secs(3)), metrics)
}

/// Takes what waits and does it.
async fn turn(runner: &JobRunner) -> Option<Ended> {
    let taken = runner.take(None).await.unwrap()?;
    Some(runner.work(taken, &CancellationToken::new()).await)
}

/// Counts to what was asked for, a number in each step. `gate` has a permit for each step; the numbers that were
/// counted are rows.
fn counting(gate: &Arc<Semaphore>) -> JobKind {
    let gate = Arc::clone(gate);
    JobKind::new("count", move |job: Arc<Context>| {
        let gate = Arc::clone(&gate);
        async move {
            let to = job.parameters::<Value>()?["to"].as_u64().unwrap_or_default();
            let next = job.checkpoint::<u64>()?.unwrap_or_default() + 1;
            tokio::select! {
                permit = gate.acquire() => permit.unwrap().forget(),
                () = job.stopped() => return Ok(JobStep::More),
            }
            job.save_alone(&next).await?;
            job.progress(&Progress { done: next, total: Some(to), unit: "numbers", ..Progress::default() });
            Ok(if next < to { JobStep::More } else { JobStep::Done(json!({ "counted": next })) })
        }
    })
}

fn open() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1_000))
}

async fn counted(store: &Store, id: Uuid, expected: u64) {
    patience::until("the count", async || {
        let job = get(store, id).await;
        if job.checkpoint.as_ref().is_some_and(|c| c.value == json!(expected)) {
            Ok(())
        } else {
            Err(format!("{job:?}"))
        }
    })
    .await;
}

async fn expire(db: &TestDatabase, id: Uuid) {
    let sql = "UPDATE platform.leases SET expires_at = '-infinity' WHERE name = 'job/' || $1::text";
    assert_eq!(db.superuser().await.execute(sql, &[&id.to_string()]).await.unwrap(), 1);
}

on_each_server! {
    async fn a_job_is_done_in_steps_and_leaves_its_story(db: TestDatabase) {
        let (store, (runner, metrics)) = (db.store(), node(&db, "one", vec![counting(&open())]));
        assert_eq!(turn(&runner).await, None, "nothing waits");
        let id = put(&store, "count", None).await;
        let queued = get(&store, id).await;
        assert_eq!((queued.state, queued.attempts, queued.approved_by.as_deref()), (State::Queued, 0, Some("other")));
        assert_eq!(turn(&runner).await, Some(Ended::Succeeded));
        let job = get(&store, id).await;
        assert_eq!((job.state, job.attempts, job.outcome), (State::Succeeded, 1, Some(json!({ "counted": 3 }))));
        assert_eq!((&job.progress["done"], &job.progress["total"], &job.progress["unit"]),
            (&json!(3), &json!(3), &json!("numbers")));
        assert!(job.started_at.is_some() && job.finished_at >= job.started_at);
        assert_eq!(turn(&runner).await, None, "it is over");
        let ended = |outcome| metrics.jobs.ended.with_label_values(&["count", outcome]).get();
        assert_eq!((ended("succeeded"), ended("failed")), (1, 0));
        assert_eq!(metrics.jobs.started.with_label_values(&["count"]).get(), 1);
        assert_eq!(metrics.jobs.running.with_label_values(&["count"]).get(), 0);
        assert_eq!(metrics.jobs.seconds.with_label_values(&["count"]).get_sample_count(), 1);
        let audit = "SELECT actor FROM platform.audit WHERE action = 'count' AND subject = $1";
        let actor: String = db.superuser().await.query_one(audit, &[&id.to_string()]).await.unwrap().get(0);
        assert_eq!(actor, "test");
    }

    async fn a_job_whose_node_died_goes_on_elsewhere_from_its_checkpoint(db: TestDatabase) {
        let (store, gate) = (db.store(), Arc::new(Semaphore::new(2)));
        let (one, _) = node(&db, "one", vec![counting(&gate)]);
        let (two, _) = node(&db, "two", vec![counting(&open())]);
        let id = put(&store, "count", None).await;
        let taken = one.take(None).await.unwrap().expect("it waits");
        let dying = tokio::spawn(async move { one.work(taken, &CancellationToken::new()).await });
        counted(&store, id, 2).await;
        dying.abort();
        assert!(dying.await.unwrap_err().is_cancelled());
        assert_eq!(turn(&two).await, None, "its lease lasts");
        expire(&db, id).await;
        assert_eq!(turn(&two).await, Some(Ended::Succeeded));
        let job = get(&store, id).await;
        assert_eq!((job.state, job.attempts, job.crashes), (State::Succeeded, 2, 0));
        assert_eq!(job.outcome, Some(json!({ "counted": 3 })), "it went on with the third");
    }

    async fn a_node_that_lost_its_job_writes_nothing_of_it(db: TestDatabase) {
        let (store, gate) = (db.store(), Arc::new(Semaphore::new(1)));
        let (one, metrics) = node(&db, "one", vec![counting(&gate)]);
        let (two, _) = node(&db, "two", vec![counting(&Arc::new(Semaphore::new(0)))]);
        let id = put(&store, "count", None).await;
        let taken = one.take(None).await.unwrap().expect("it waits");
        let losing = tokio::spawn(async move { one.work(taken, &CancellationToken::new()).await });
        counted(&store, id, 1).await;
        expire(&db, id).await;
        let theirs = two.take(None).await.unwrap().expect("it ran out");
        gate.add_permits(5);
        assert_eq!(losing.await.unwrap(), Ended::Lost);
        let job = get(&store, id).await;
        assert_eq!((job.state, job.checkpoint.unwrap().value), (State::Running, json!(1)), "as the other one found it");
        assert_eq!(metrics.jobs.ended.with_label_values(&["count", "lost"]).get(), 1);
        ask(&store, id, Act::Cancel).await.unwrap();
        assert_eq!(two.work(theirs, &CancellationToken::new()).await, Ended::Cancelled);
    }

    async fn a_job_is_paused_resumed_cancelled_and_tried_again(db: TestDatabase) {
        let (store, gate) = (db.store(), Arc::new(Semaphore::new(1)));
        let (runner, _) = node(&db, "one", vec![counting(&gate)]);
        let id = put(&store, "count", None).await;
        let work = || {
            let runner = runner.clone();
            tokio::spawn(async move { turn(&runner).await })
        };
        let working = work();
        counted(&store, id, 1).await;
        assert_eq!(ask(&store, id, Act::Pause).await.unwrap().state, State::Pausing);
        assert_eq!(working.await.unwrap(), Some(Ended::Paused));
        assert_eq!(get(&store, id).await.state, State::Paused);
        assert_eq!(turn(&runner).await, None, "nobody takes a paused job");
        assert_eq!(ask(&store, id, Act::Pause).await.unwrap().state, State::Paused, "it is so already");
        assert_eq!(ask(&store, id, Act::Resume).await.unwrap().state, State::Queued);
        let working = work();
        gate.add_permits(1);
        counted(&store, id, 2).await;
        assert_eq!(ask(&store, id, Act::Cancel).await.unwrap().state, State::Cancelling);
        assert_eq!(working.await.unwrap(), Some(Ended::Cancelled));
        let refused = ask(&store, id, Act::Pause).await.unwrap_err();
        assert!(matches!(refused, AskError::Refused { state: State::Cancelled, act: Act::Pause }), "{refused}");
        assert_eq!(ask(&store, id, Act::Retry).await.unwrap().state, State::Queued);
        gate.add_permits(1);
        assert_eq!(turn(&runner).await, Some(Ended::Succeeded), "from the second on");
        assert!(matches!(ask(&store, Uuid::nil(), Act::Retry).await, Err(AskError::Unknown(_))));
        let audit = "SELECT action, detail->>'was', detail->>'is' FROM platform.audit WHERE actor = 'operator' ORDER BY audit_id";
        let rows = db.superuser().await.query(audit, &[]).await.unwrap();
        let acts: Vec<(String, String, String)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        let expected = [
            ("jobs.pause", "running", "pausing"),
            ("jobs.resume", "paused", "queued"),
            ("jobs.cancel", "running", "cancelling"),
            ("jobs.retry", "cancelled", "queued"),
        ];
        assert_eq!(acts, expected.map(|(act, was, is)| (act.to_owned(), was.to_owned(), is.to_owned())));
    }

    async fn a_job_that_waits_is_cancelled_and_resumed_at_once(db: TestDatabase) {
        let store = db.store();
        let id = put(&store, "count", None).await;
        assert_eq!(ask(&store, id, Act::Pause).await.unwrap().state, State::Paused);
        assert_eq!(ask(&store, id, Act::Resume).await.unwrap().state, State::Queued);
        let job = ask(&store, id, Act::Cancel).await.unwrap();
        assert!(job.state == State::Cancelled && job.finished_at.is_some(), "{job:?}");
        let (runner, _) = node(&db, "one", vec![counting(&open())]);
        assert_eq!(turn(&runner).await, None);
    }

    async fn a_failing_step_is_begun_again_and_at_last_fails_its_job(db: TestDatabase) {
        let (store, calls) = (db.store(), Arc::new(AtomicU32::new(0)));
        let stumbles = |name, well_at: u32| {
            let calls = Arc::clone(&calls);
            JobKind::new(name, move |_| {
                let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
                async move {
                    assert!(call != 2, "planted");
                    if call < well_at { Err("planted".into()) } else { Ok(JobStep::Done(Value::Null)) }
                }
            })
        };
        let (runner, metrics) = node(&db, "one", vec![stumbles("stumbles", 4), stumbles("fails", u32::MAX)]);
        let id = put(&store, "stumbles", None).await;
        assert_eq!(turn(&runner).await, Some(Ended::Succeeded));
        assert_eq!(calls.swap(2, Ordering::SeqCst), 4);
        assert_eq!(get(&store, id).await.attempts, 1);
        assert_eq!(metrics.jobs.retries.with_label_values(&["stumbles"]).get(), 3);
        let id = put(&store, "fails", None).await;
        assert_eq!(turn(&runner).await, Some(Ended::Failed));
        let job = get(&store, id).await;
        assert_eq!((job.state, job.error.as_deref()), (State::Failed, Some("planted")));
        assert_eq!(calls.load(Ordering::SeqCst), 2 + 5);
    }

    async fn of_each_kind_one_runs_at_a_time_and_other_kinds_beside(db: TestDatabase) {
        let (store, shut) = (db.store(), Arc::new(Semaphore::new(0)));
        let other = || JobKind::new("other", |_| async { Ok(JobStep::Done(Value::Null)) });
        let (one, _) = node(&db, "one", vec![counting(&shut), other()]);
        let (two, _) = node(&db, "two", vec![counting(&shut), other()]);
        let [first, second, beside] =
            [put(&store, "count", None).await, put(&store, "count", None).await, put(&store, "other", None).await];
        let taken = one.take(None).await.unwrap().expect("the oldest");
        assert_eq!(taken.job.id, first);
        assert_eq!(two.take(None).await.unwrap().expect("of another kind").job.id, beside);
        assert!(two.take(Some(second)).await.unwrap().is_none(), "one of its kind runs");
        expire(&db, first).await;
        assert_eq!(two.take(None).await.unwrap().expect("the one whose node is gone").job.id, first);
        ask(&store, second, Act::Cancel).await.unwrap();
        let mut db = db;
        db.leaves("platform.jobs");
    }

    async fn many_nodes_want_a_job_and_one_gets_it(db: TestDatabase) {
        let store = db.store();
        let nodes: Vec<JobRunner> = (0..8).map(|n| node(&db, &format!("node {n}"), vec![counting(&open())]).0).collect();
        let ids = [put(&store, "count", None).await, put(&store, "count", None).await];
        let taken = futures_util::future::try_join_all(nodes.iter().map(|node| node.take(None))).await.unwrap();
        let taken: Vec<_> = taken.into_iter().flatten().collect();
        assert_eq!(taken.iter().map(|taken| taken.job.id).collect::<Vec<_>>(), [ids[0]]);
        let mut db = db;
        db.leaves("platform.jobs");
    }

    async fn a_job_of_another_plan_a_newer_checkpoint_or_the_release_before_is_left_alone(db: TestDatabase) {
        let (store, superuser) = (db.store(), db.superuser().await);
        let (runner, _) = node(&db, "one", vec![counting(&open()).of_plan("mine".to_owned())]);
        let [theirs, newer, mine] =
            [put(&store, "count", Some("theirs")).await, put(&store, "count", Some("mine")).await,
                put(&store, "count", Some("mine")).await];
        let checkpoint = "UPDATE platform.jobs SET checkpoint = '1', checkpoint_format = 2 WHERE job_id = $1";
        superuser.execute(checkpoint, &[&newer]).await.unwrap();
        let older = "INSERT INTO platform.jobs (job_id, kind, state, requested_by, request, plan_digest)
            VALUES (gen_random_uuid(), 'count', 'running', 'the release before', '{}', 'mine')";
        superuser.execute(older, &[]).await.unwrap();
        assert_eq!(turn(&runner).await, Some(Ended::Succeeded));
        assert_eq!(get(&store, mine).await.state, State::Succeeded);
        assert_eq!(turn(&runner).await, None);
        for id in [theirs, newer] {
            assert_eq!(get(&store, id).await.state, State::Queued);
        }
        let mut db = db;
        db.leaves("platform.jobs");
    }

    async fn a_job_that_kills_its_nodes_is_not_tried_for_ever(db: TestDatabase) {
        let store = db.store();
        let (runner, _) = node(&db, "one", vec![counting(&open())]);
        let id = put(&store, "count", None).await;
        for _ in 0..5 {
            runner.take(None).await.unwrap().expect("it waits, or its node is gone");
            expire(&db, id).await;
        }
        assert_eq!(turn(&runner).await, Some(Ended::Failed));
        let job = get(&store, id).await;
        assert!(job.error.as_ref().is_some_and(|why| why.contains("5 nodes")), "{job:?}");
        ask(&store, id, Act::Retry).await.unwrap();
        assert_eq!(turn(&runner).await, Some(Ended::Succeeded));
    }

    async fn a_node_that_stops_hands_its_jobs_back_and_another_goes_on_at_once(db: TestDatabase) {
        let (store, gate) = (db.store(), Arc::new(Semaphore::new(2)));
        let ((one, metrics), (two, _)) = (node(&db, "one", vec![counting(&gate)]), node(&db, "two", vec![counting(&open())]));
        let (id, stop) = (put(&store, "count", None).await, CancellationToken::new());
        let running = tokio::spawn(one.run(stop.clone()));
        counted(&store, id, 2).await;
        stop.cancel();
        running.await.unwrap();
        assert_eq!(metrics.jobs.ended.with_label_values(&["count", "handed_back"]).get(), 1);
        assert_eq!(get(&store, id).await.state, State::Queued);
        assert_eq!(turn(&two).await, Some(Ended::Succeeded));
        assert_eq!(get(&store, id).await.attempts, 2);
    }

    async fn a_node_that_stops_takes_nothing_of_what_it_handed_back(db: TestDatabase) {
        let (store, gate) = (db.store(), Arc::new(Semaphore::new(1)));
        let other = JobKind::new("other", |job: Arc<Context>| async move {
            job.stopped().await;
            Ok(JobStep::More)
        });
        let ((one, metrics), stop) = (node(&db, "one", vec![counting(&gate), other]), CancellationToken::new());
        let first = put(&store, "count", None).await;
        let running = tokio::spawn(one.run(stop.clone()));
        counted(&store, first, 1).await;
        // It is about to take another one, and has to wait for its turn: the first is older, and would come before that if it waited too.
        let neighbour = db.superuser().await;
        neighbour.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('platform.jobs', 0))").await.unwrap();
        let second = put(&store, "other", None).await;
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        patience::until("the node waits", async || {
            let waiting: i64 = neighbour.query_one(waits, &[]).await.unwrap().get(0);
            if waiting > 0 { Ok(()) } else { Err("it does not") }
        }).await;
        stop.cancel();
        tokio::time::sleep(Duration::from_millis(300)).await;
        neighbour.batch_execute("COMMIT").await.unwrap();
        running.await.unwrap();
        for (kind, id) in [("count", first), ("other", second)] {
            assert_eq!(metrics.jobs.ended.with_label_values(&[kind, "handed_back"]).get(), 1, "{kind}");
            let job = get(&store, id).await;
            assert_eq!((job.state, job.attempts), (State::Queued, 1), "{kind}");
        }
        let mut db = db;
        db.leaves("platform.jobs");
    }

    async fn a_checkpoint_stands_or_falls_with_the_transaction_it_is_part_of(db: TestDatabase) {
        let store = db.store();
        let kind = JobKind::new("marks", |job: Arc<Context>| async move {
            let saved = job
                .store
                .run_tx("mark", As::Worker, |tx| {
                    let job = Arc::clone(&job);
                    Box::pin(async move {
                        job.save(tx, &7).await?;
                        Err::<(), _>(StoreError::Config("planted".to_owned()))
                    })
                })
                .await;
            assert!(saved.is_err());
            Ok(JobStep::Done(Value::Null))
        });
        let (runner, _) = node(&db, "one", vec![kind]);
        let id = put(&store, "marks", None).await;
        assert_eq!(turn(&runner).await, Some(Ended::Succeeded));
        assert_eq!(get(&store, id).await.checkpoint, None);
    }

    async fn jobs_are_listed_the_newest_first_by_kind_and_state(db: TestDatabase) {
        let store = db.store();
        let (a, b, c) = (put(&store, "a", None).await, put(&store, "b", None).await, put(&store, "a", None).await);
        ask(&store, b, Act::Cancel).await.unwrap();
        ask(&store, c, Act::Pause).await.unwrap();
        let list = async |filter: Filter| {
            let filter = &filter;
            let found = store.run_tx("list", As::Worker, |tx| Box::pin(jobs::list(tx, filter, 10))).await.unwrap();
            found.into_iter().map(|job| job.id).collect::<Vec<_>>()
        };
        assert_eq!(list(Filter::default()).await, [c, b, a]);
        assert_eq!(list(Filter { kind: Some("a".to_owned()), ..Filter::default() }).await, [c, a]);
        for (state, expected) in [(State::Queued, vec![a]), (State::Paused, vec![c]), (State::Cancelled, vec![b]),
            (State::Failed, vec![])] {
            assert_eq!(list(Filter { state: Some(state), ..Filter::default() }).await, expected, "{}", state.name());
        }
        let before = get(&store, c).await;
        assert_eq!(list(Filter { before: Some((before.created_at, c)), ..Filter::default() }).await, [b, a]);
        let mut db = db;
        db.leaves("platform.jobs");
    }
}
