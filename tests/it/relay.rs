//! Stored statements reach the real brokers: in order, at least once, and only with what may be known.

use std::{collections::HashMap, sync::Arc};

use progress_service::{
    bus::producer::Producer,
    config::{self, Environment},
    model::{Clock, Ids},
    relay::{Relay, STATEMENT_STORED, Share},
    telemetry::Metrics,
};
use serde_json::{Value, json};

mod faults;
mod outbox;
mod shares;
mod sizes;
mod topics;

use crate::{
    support::{
        app::TestApp,
        background,
        kafka::{Received, Topic, brokers, unique},
        pg::TestDatabase,
        schemas,
    },
    xapi::{id, identified},
};

/// A service over `db` that sends to topics of its own.
async fn sending(db: TestDatabase, prefix: &str) -> TestApp {
    let brokers = brokers();
    let variables = [("PROGRESS_KAFKA_BROKERS", brokers.as_str()), ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix)];
    TestApp::with(db, &variables, Clock::system(), Ids::random()).await
}

/// A relay to step by hand beside a service without brokers, and its metrics.
struct ByHand {
    relay: Arc<Relay>,
    metrics: Metrics,
}

fn by_hand(app: &TestApp, prefix: &str, brokers: &str) -> ByHand {
    by_hand_with(app, &[("PROGRESS_KAFKA_BROKERS", brokers), ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix)])
}

fn by_hand_with(app: &TestApp, variables: &[(&str, &str)]) -> ByHand {
    let environment = Environment::of(variables.iter().copied());
    let kafka = config::read(&environment, std::path::Path::new("no such file")).unwrap().config.kafka;
    let (producer, metrics) = (Producer::connect(&kafka).unwrap(), Metrics::new().unwrap());
    let store = app.service().rooms.store.clone();
    ByHand { relay: Arc::new(Relay::new(store, producer, metrics.clone(), app.clock.clone())), metrics }
}

impl ByHand {
    async fn step(&self) -> Result<bool, String> {
        self.step_of(Share::WHOLE).await
    }

    /// One step, on the harness's runtime, where the connections live.
    async fn step_of(&self, share: Share) -> Result<bool, String> {
        let relay = Arc::clone(&self.relay);
        let step = async move { relay.step(share).await.map_err(|e| e.to_string()) };
        background::runtime().spawn(step).await.unwrap()
    }

    /// Until nothing is left.
    async fn drain(&self) {
        while self.step().await.unwrap() {}
    }
}

fn statements(range: std::ops::Range<u128>) -> Value {
    json!(range.map(|n| identified(&id(n), &format!("learner{}", n % 5), "a")).collect::<Vec<_>>())
}

fn ids(received: &[Received]) -> Vec<String> {
    received.iter().map(|message| message.json()["id"].as_str().unwrap().to_owned()).collect()
}

on_each_server! {
    async fn every_statement_goes_out_once_acknowledged_in_the_order_of_its_actor(db: TestDatabase) {
        let prefix = unique("relay");
        let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 3).await;
        let app = sending(db, &prefix).await;
        for n in 0..6 {
            app.post_statements(&statements(n * 50..(n + 1) * 50)).await.expect(200);
        }
        let received = topic.read(300).await;
        schemas::check(&received);
        let mut sorted = ids(&received);
        sorted.sort();
        let mut expected: Vec<String> = (0..300).map(id).collect();
        expected.sort();
        assert_eq!(sorted, expected, "each exactly once while nothing fails");
        let mut last: HashMap<String, String> = HashMap::new();
        let mut by_partition = received.clone();
        by_partition.sort_by_key(|message| (message.partition, message.offset));
        for message in by_partition {
            let (key, event) = (message.key.clone().unwrap(), message.json());
            assert_eq!(key, event["data"]["actorKey"].as_str().unwrap());
            let stored = event["data"]["stored"].as_str().unwrap().to_owned();
            let before = last.insert(key, stored.clone());
            assert!(before.is_none_or(|before| before < stored), "an actor's events are out of order");
        }
    }

    async fn what_was_stored_before_there_were_brokers_goes_out_later(db: TestDatabase) {
        let prefix = unique("relay");
        let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
        let app = TestApp::start(db).await;
        app.post_statements(&statements(0..20)).await.expect(200);
        let unreachable = by_hand(&app, &prefix, "127.0.0.1:1");
        assert!(unreachable.step().await.is_err(), "nobody listens on port 1");
        app.post_statements(&statements(20..25)).await.expect(200);
        let relay = by_hand(&app, &prefix, &brokers());
        relay.drain().await;
        assert_eq!(ids(&topic.read(25).await), (0..25).map(id).collect::<Vec<_>>());
    }

    async fn killed_between_sending_and_moving_on_it_sends_the_same_events_again(db: TestDatabase) {
        let prefix = unique("relay");
        let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
        let app = TestApp::start(db).await;
        app.post_statements(&statements(0..10)).await.expect(200);
        let relay = by_hand(&app, &prefix, &brokers());
        relay.step().await.unwrap();
        // As if the process had died after the acknowledgement and before the cursor moved.
        app.db.superuser().await.batch_execute("DELETE FROM progress.relay_cursors").await.unwrap();
        relay.step().await.unwrap();
        app.post_statements(&statements(10..12)).await.expect(200);
        relay.step().await.unwrap();
        let received = ids(&topic.read(22).await);
        let expected: Vec<String> = (0..10).chain(0..10).chain(10..12).map(id).collect();
        assert_eq!(received, expected, "again with the same ids, and nothing is skipped");
    }

    async fn nothing_goes_out_past_a_transaction_that_may_still_store_something_earlier(db: TestDatabase) {
        let prefix = unique("relay");
        let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
        let app = TestApp::start(db).await;
        app.post_statements(&statements(0..2)).await.expect(200);
        let slow = app.db.superuser().await;
        slow.batch_execute("BEGIN; SELECT ledger.reserve(1)").await.unwrap();
        app.post_statements(&statements(2..4)).await.expect(200);
        let relay = by_hand(&app, &prefix, &brokers());
        relay.drain().await;
        let sent = "SELECT count(*) FROM ledger.statements s JOIN progress.relay_cursors c ON s.stored <= c.position";
        assert_eq!(app.db.superuser().await.query_one(sent, &[]).await.unwrap().get::<_, i64>(0), 2);
        slow.batch_execute("COMMIT").await.unwrap();
        relay.drain().await;
        assert_eq!(ids(&topic.read(4).await), (0..4).map(id).collect::<Vec<_>>());
    }
}
