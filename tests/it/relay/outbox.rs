//! What projections tell reaches the brokers: each event once, in the order of its attempt, fit for its schema.

use chrono::TimeDelta;
use progress_service::{
    model::{Clock, Ids},
    projections::run,
};
use serde_json::{Value, json};

use super::{ByHand, by_hand, sending};
use crate::{
    projections::{platform, settle, statement},
    support::{
        app::TestApp,
        background,
        kafka::{Received, Topic, brokers, unique},
        patience,
        pg::TestDatabase,
        schemas::{self, TOPICS},
    },
    xapi::{id, voiding},
};

/// The topics of all events under `prefix`, in the order of [`TOPICS`].
async fn topics(prefix: &str) -> Vec<Topic> {
    let mut topics = Vec::new();
    for kind in TOPICS {
        topics.push(Topic::named(format!("{prefix}{kind}"), 2).await);
    }
    topics
}

/// Two statements of attempt `n`, which pass it with a score.
pub fn passing(n: u128) -> [Value; 2] {
    let context = platform(&format!("attempt {n}"), 1);
    let mut passed = statement(2 * n + 1, "passed", &context);
    passed["result"] = json!({"score": {"scaled": 0.5}});
    [statement(2 * n, "initialized", &context), passed]
}

fn keys(received: &[Received]) -> Vec<String> {
    let mut keys: Vec<String> = received.iter().filter_map(|message| message.key.clone()).collect();
    keys.sort();
    keys
}

async fn unsent(db: &TestDatabase) -> i64 {
    let sql = "SELECT count(*) FROM progress.outbox WHERE published_at IS NULL";
    db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

on_each_server! {
    async fn a_passed_attempt_tells_all_five_kinds_of_events(db: TestDatabase) {
        let prefix = unique("relay");
        let topics = topics(&prefix).await;
        let app = sending(db, &prefix).await;
        let statements: Vec<Value> = (0..20).flat_map(passing).collect();
        app.post_statements(&json!(statements)).await.expect(200);
        schemas::check(&topics[0].read(40).await);
        let mut expected: Vec<String> = (0..20).map(|n| format!("attempt {n}")).collect();
        expected.sort();
        for topic in &topics[1..] {
            let received = topic.read(20).await;
            schemas::check(&received);
            assert_eq!(keys(&received), expected, "{}", topic.name);
            assert!(received.iter().all(|message| message.json()["subject"].as_str() == message.key.as_deref()));
        }
        patience::until("the marks", async || match unsent(&app.db).await {
            0 => Ok(()),
            left => Err(format!("{left} events are not marked")),
        })
        .await;
        let score = topics[4].read(1).await[0].json()["data"]["score"].to_string();
        assert_eq!(score, "0.5000", "the digits go out as they were told");
    }

    async fn a_later_event_is_never_visible_before_an_earlier_one(db: TestDatabase) {
        let prefix = unique("relay");
        let topics = topics(&prefix).await;
        let app = TestApp::start(db).await;
        // The service's own projections would wait at the cursor, too, and might come first.
        app.stop_loops().await;
        app.post_statements(&json!([passing(0)[0]])).await.expect(200);
        settle(&app).await;
        let relay = by_hand(&app, &prefix, &brokers());
        relay.drain().await;
        // A projection that has told something and not committed yet.
        let slow = app.db.superuser().await;
        slow.batch_execute(
            "BEGIN; SELECT FROM progress.projection_cursors FOR UPDATE;
             INSERT INTO progress.outbox (tenant_id, id, type, key, correlation_id, causation_id, occurred_at, data)
             SELECT tenant_id, gen_random_uuid(), type, key, correlation_id, causation_id, occurred_at, data
             FROM progress.outbox",
        )
        .await
        .unwrap();
        app.post_statements(&json!([passing(0)[1]])).await.expect(200);
        let store = app.service().rooms.store.clone();
        let second = background::runtime().spawn(async move { run::step(&store).await.unwrap() });
        patience::until("the second projection at the cursor", async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                           AND wait_event_type = 'Lock' AND query LIKE '%lock_cursor%'";
            match app.db.superuser().await.query_one(waiting, &[]).await.unwrap().get(0) {
                1_i64 => Ok(()),
                others => Err(format!("{others} wait")),
            }
        })
        .await;
        relay.drain().await;
        assert_eq!(topics[2].read_all().await, [], "nothing of the second is out before the first");
        slow.batch_execute("COMMIT").await.unwrap();
        assert_eq!(second.await.unwrap(), 1);
        let order = "SELECT string_agg(type, ' ' ORDER BY position) FROM progress.outbox WHERE published_at IS NULL";
        let order: String = app.db.superuser().await.query_one(order, &[]).await.unwrap().get(0);
        assert!(order.starts_with("progress.attempt.started.v1 progress.attempt.closed.v1"), "{order}");
        relay.drain().await;
        assert_eq!(keys(&topics[1].read(2).await), ["attempt 0", "attempt 0"]);
        assert_eq!(keys(&topics[2].read(1).await), ["attempt 0"]);
    }

    async fn what_was_told_long_ago_is_forgotten_and_not_told_again(db: TestDatabase) {
        let prefix = unique("relay");
        let topics = topics(&prefix).await;
        let clock = Clock::stepped(Clock::system().now());
        let app = TestApp::with(db, &[], clock.clone(), Ids::random()).await;
        app.post_statements(&json!(passing(0))).await.expect(200);
        settle(&app).await;
        let relay = by_hand(&app, &prefix, &brokers());
        relay.drain().await;
        let prune = async || {
            let relay = std::sync::Arc::clone(&relay.relay);
            background::runtime().spawn(async move { relay.prune().await.unwrap() }).await.unwrap()
        };
        let told = async || -> (i64, i64) {
            let sql = "SELECT (SELECT count(*) FROM progress.outbox), (SELECT count(*) FROM progress.told_events)";
            let row = app.db.superuser().await.query_one(sql, &[]).await.unwrap();
            (row.get(0), row.get(1))
        };
        prune().await;
        assert_eq!(told().await, (4, 0), "not yet");
        clock.advance(TimeDelta::days(8));
        prune().await;
        assert_eq!(told().await, (0, 4));
        // The attempt is folded again, to another end.
        app.post_statements(&json!([voiding(&id(90), &id(1)), statement(3, "failed", &platform("attempt 0", 1))]))
            .await
            .expect(200);
        settle(&app).await;
        assert_eq!(told().await, (0, 4));
        assert_eq!(keys(&topics[2].read_all().await), ["attempt 0"]);
    }

    async fn the_lag_is_the_age_of_what_waits(db: TestDatabase) {
        let prefix = unique("relay");
        let _topics = topics(&prefix).await;
        let app = TestApp::start(db).await;
        app.post_statements(&json!(passing(0))).await.expect(200);
        settle(&app).await;
        let unreachable = by_hand(&app, &prefix, "127.0.0.1:1");
        let lag = |source: &str, by_hand: &ByHand| {
            by_hand.metrics.relay.lag_seconds.with_label_values(&[source, "0"]).get()
        };
        assert!(unreachable.step().await.is_err());
        let relay = by_hand(&app, &prefix, &brokers());
        relay.step().await.unwrap();
        assert!(lag("ledger", &relay) > 0.0 && lag("outbox", &relay) > 0.0);
        assert_eq!(relay.metrics.relay.sent.get(), 2 + 4);
        assert_eq!(relay.metrics.relay.delay_seconds.get_sample_count(), 2 + 4);
        relay.step().await.unwrap();
        assert_eq!((lag("ledger", &relay), lag("outbox", &relay)), (0.0, 0.0));
    }
}
