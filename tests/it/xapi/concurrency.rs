//! Many at once: no deadlock, no caller in another's trouble, back-pressure instead of loss.

use futures_util::future::{join, join_all};
use progress_service::model::{Clock, Ids, TenantId};
use serde_json::{Value, json};

use super::{id, identified, ids, statement};
use crate::support::{app::TestApp, patience};

on_each_server! {
    async fn batches_that_share_agents_activities_and_ids_never_deadlock(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let batch = |round: u128| {
            let mut statements: Vec<Value> = (0..20)
                .map(|n| {
                    let mut statement = statement(&format!("learner{}", (n + round) % 7), &format!("unit{}", (n * round) % 5));
                    statement["actor"]["name"] = json!(format!("Learner in round {round}"));
                    statement["object"]["definition"] = json!({"name": {"en": format!("Unit as of round {round}")}});
                    statement
                })
                .collect();
            // The same ids in every batch, in another order each time.
            statements.extend((0..10).map(|n| identified(&id(1 + (n + round) % 10), "shared", "shared")));
            json!(statements)
        };
        let batches: Vec<Value> = (0..24).map(batch).collect();
        let answers = join_all(batches.iter().map(|batch| app.post_statements(batch))).await;
        for answer in answers {
            answer.expect(200);
        }
        let count = "SELECT count(*), count(DISTINCT id) FROM ledger.statements";
        let row = app.db.superuser().await.query_one(count, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (24 * 20 + 10, 24 * 20 + 10));
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(app.db.superuser().await.query_one(deadlocks, &[]).await.unwrap().get::<_, i64>(0), 0);
    }

    async fn a_conflict_of_one_caller_does_not_touch_its_neighbours(db: TestDatabase) {
        let app = TestApp::with(
            db,
            &[("PROGRESS_INGEST_WRITERS", "1"), ("PROGRESS_INGEST_GROUP_DELAY", "50ms")],
            Clock::system(),
            Ids::random(),
        )
        .await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let bodies: Vec<Value> = (0..12)
            .map(|n| if n % 3 == 0 { identified(&id(1), "eve", "other") } else { identified(&id(100 + n), "bob", "b") })
            .collect();
        let answers = join_all(bodies.iter().map(|body| app.post_statements(body))).await;
        for (n, answer) in answers.into_iter().enumerate() {
            answer.expect(if n % 3 == 0 { 409 } else { 200 });
        }
        assert_eq!(ids(&app.get_statements(&[]).await.json()).len(), 9);
    }

    async fn work_that_takes_too_long_fails_its_sender_only(db: TestDatabase) {
        let variables = [("PROGRESS_INGEST_WRITERS", "1"), ("PROGRESS_DATABASE_STATEMENT_TIMEOUT", "3s")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let other = app.db.superuser().await;
        let taken = format!(
            "BEGIN; INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest) VALUES ('{}', '{}', now(), '')",
            TenantId::DEFAULT, id(1)
        );
        other.batch_execute(&taken).await.unwrap();
        let (slow, quick) = (identified(&id(1), "ann", "a"), identified(&id(2), "bob", "b"));
        // The first one keeps the writer busy, so that the next two come into one group.
        let (first, (second, neighbour)) = join(app.post_statements(&slow), async {
            patience::until("the first one waits", async || {
                let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                    WHERE datname = current_database() AND locktype = 'transactionid' AND NOT granted";
                let count: i64 = other.query_one(waiting, &[]).await.map_err(|e| e.to_string())?.get(0);
                if count > 0 { Ok(()) } else { Err("nobody waits".to_owned()) }
            })
            .await;
            join(app.post_statements(&slow), app.post_statements(&quick)).await
        }).await;
        first.expect(503);
        second.expect(503);
        neighbour.expect(200);
    }

    async fn who_waits_too_long_for_a_writer_is_told_to_come_back(db: TestDatabase) {
        let variables = [
            ("PROGRESS_INGEST_WRITERS", "1"), ("PROGRESS_INGEST_GROUP_SIZE", "1"), ("PROGRESS_DATABASE_STATEMENT_TIMEOUT", "3s"),
        ];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let holder = app.db.superuser().await;
        holder.batch_execute("BEGIN; LOCK TABLE ledger.statement_ids IN EXCLUSIVE MODE").await.unwrap();
        let bodies: Vec<Value> = (0..8).map(|n| identified(&id(n), "ann", "a")).collect();
        let answers = join_all(bodies.iter().map(|body| app.post_statements(body))).await;
        let late = answers.into_iter().map(|answer| answer.expect(503).text()).filter(|text| text.contains("within 3s"));
        assert!(late.count() >= 2, "the first have tried for as long as the others may wait");
        holder.batch_execute("COMMIT").await.unwrap();
        app.post_statements(&bodies[7]).await.expect(200);
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()), [id(7)]);
    }

    async fn a_full_queue_is_told_and_loses_nothing(db: TestDatabase) {
        let app = TestApp::with(
            db,
            &[("PROGRESS_INGEST_QUEUE", "4KiB"), ("PROGRESS_INGEST_WRITERS", "1")],
            Clock::system(),
            Ids::random(),
        )
        .await;
        // Nothing is stored until somebody has been refused: else a busy machine might empty the queue as it fills.
        let holder = app.db.superuser().await;
        holder.batch_execute("BEGIN; LOCK TABLE ledger.statement_ids IN EXCLUSIVE MODE").await.unwrap();
        let refused = || app.service().rooms.edge.metrics.ingest.refused.get();
        let release = async {
            patience::until("a refusal", async || if refused() > 0 { Ok(()) } else { Err("none yet") }).await;
            holder.batch_execute("COMMIT").await.unwrap();
        };
        let bodies: Vec<Value> = (0..40).map(|n| identified(&id(n), "ann", "a")).collect();
        let (answers, ()) = join(join_all(bodies.iter().map(|body| app.post_statements(body))), release).await;
        let mut stored = Vec::new();
        for (answer, n) in answers.into_iter().zip(0..) {
            match answer.status.as_u16() {
                200 => stored.push(id(n)),
                503 => assert!(!answer.header("retry-after").is_empty()),
                other => panic!("{other}: {}", answer.text()),
            }
        }
        assert!(stored.len() < 40, "forty at once fit into four KiB");
        let mut there = ids(&app.get_statements(&[("limit", "0")]).await.expect(200).json());
        there.sort();
        stored.sort();
        assert_eq!(there, stored, "exactly what was acknowledged");
    }
}
