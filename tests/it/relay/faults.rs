//! What may go wrong on the way to the brokers. Nothing is lost, the order of a key is kept, and what comes twice is
//! the same message.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use progress_service::relay::{STATEMENT_STORED, Share};
use rdkafka::admin::TopicReplication;
use serde_json::{Value, json};

use super::{ByHand, by_hand, ids, outbox::passing, statements};
use crate::{
    support::{
        app::{KEY, SECRET, TestApp},
        background,
        kafka::{Received, Topic, brokers, unique},
        kafkaproc::Broker,
        patience,
        pg::{Server, TestDatabase},
        process::Service,
        schemas::{self, TOPICS},
    },
    xapi::id,
};

/// The messages in the order of their partitions, each once: what a reader keeps that knows the ids it has seen.
/// Fails when two with one id are not one.
fn once(mut received: Vec<Received>) -> Vec<Received> {
    received.sort_by_key(|message| (message.partition, message.offset));
    let mut seen: HashMap<String, Received> = HashMap::new();
    received.retain(|message| {
        let id = message.json()["id"].as_str().unwrap().to_owned();
        match seen.get(&id) {
            Some(first) => {
                assert_eq!((&first.key, &first.payload), (&message.key, &message.payload), "two with one id");
                false
            }
            None => seen.insert(id, message.clone()).is_none(),
        }
    });
    received
}

/// Statements of each key are in the order of the ledger.
fn check_order(received: &[Received]) {
    let mut last: HashMap<Option<String>, String> = HashMap::new();
    for message in received {
        let stored = message.json()["data"]["stored"].as_str().unwrap().to_owned();
        let before = last.insert(message.key.clone(), stored.clone());
        assert!(before.is_none_or(|before| before < stored), "out of order: {message:?}");
    }
}

fn check_whole(received: &[Received], expected: std::ops::Range<u128>) {
    let there: HashSet<String> = ids(received).into_iter().collect();
    let missing: Vec<u128> = expected.clone().filter(|n| !there.contains(&id(*n))).collect();
    assert!(missing.is_empty(), "{} of {expected:?} are lost, first {:?}", missing.len(), missing.first());
    assert_eq!(there.len(), received.len());
}

/// A relay that steps again and again, whatever it meets, until it is told to stop and nothing is left.
fn keep_sending(by_hand: &ByHand) -> (tokio::task::JoinHandle<()>, Arc<AtomicBool>) {
    let (relay, stop) = (Arc::clone(&by_hand.relay), Arc::new(AtomicBool::new(false)));
    let stopping = Arc::clone(&stop);
    let sending = background::runtime().spawn(async move {
        loop {
            let is_last = stopping.load(Ordering::SeqCst);
            match relay.step(Share::WHOLE).await {
                Ok(false) if is_last => return,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => tracing::info!(%error, "again"),
            }
        }
    });
    (sending, stop)
}

async fn newest() -> TestDatabase {
    TestDatabase::new(Server::newest().await).await
}

#[tokio::test]
async fn a_broker_killed_again_and_again_loses_nothing() {
    let (app, mut broker) = (TestApp::start(newest().await).await, Broker::start().await);
    let topic = Topic::existing(broker.address.clone(), STATEMENT_STORED.to_owned(), 1);
    let relay = by_hand(&app, "", &broker.address);
    let (sending, stop) = keep_sending(&relay);
    for n in 0..12 {
        app.post_statements(&statements(n * 100..(n + 1) * 100)).await.expect(200);
        if n % 4 == 1 {
            broker.kill();
            app.post_statements(&statements(10_000 + n..10_001 + n)).await.expect(200);
            broker.resume().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    sending.await.unwrap();
    let received = once(topic.read_all().await);
    check_order(&received);
    let expected: HashSet<String> = (0..1_200).chain([10_001, 10_005, 10_009]).map(id).collect();
    assert_eq!(ids(&received).into_iter().collect::<HashSet<_>>(), expected);
    assert_eq!(received.len(), expected.len());
}

#[tokio::test]
async fn a_leader_that_is_gone_for_good_is_followed_by_another_replica() {
    let (app, first) = (TestApp::start(newest().await).await, Broker::start().await);
    let mut leader = Broker::beside(&first).await;
    let topic = Topic::existing(first.address.clone(), STATEMENT_STORED.to_owned(), 1);
    topic.make_on(TopicReplication::Variable(&[&[2, 1]])).await;
    let relay = by_hand(&app, "", &format!("{},{}", first.address, leader.address));
    app.post_statements(&statements(0..100)).await.expect(200);
    relay.drain().await;
    let (sending, stop) = keep_sending(&relay);
    for n in 1..6 {
        app.post_statements(&statements(n * 100..(n + 1) * 100)).await.expect(200);
        if n == 3 {
            leader.kill();
        }
    }
    stop.store(true, Ordering::SeqCst);
    sending.await.unwrap();
    let received = once(topic.read_all().await);
    check_order(&received);
    check_whole(&received, 0..600);
}

#[tokio::test]
async fn nothing_moves_on_before_a_slow_broker_has_acknowledged() {
    let (app, broker) = (TestApp::start(newest().await).await, Broker::start().await);
    let topic = Topic::existing(broker.address.clone(), STATEMENT_STORED.to_owned(), 1);
    let relay = by_hand(&app, "", &broker.address);
    app.post_statements(&statements(0..10)).await.expect(200);
    relay.drain().await;
    let position = async || -> String {
        let sql = "SELECT position::text FROM progress.relay_cursors";
        app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
    };
    let before = position().await;
    broker.signal("STOP");
    app.post_statements(&statements(10..20)).await.expect(200);
    let (sending, stop) = keep_sending(&relay);
    stop.store(true, Ordering::SeqCst);
    for n in 20..30 {
        // The service goes on as ever.
        app.post_statements(&statements(n..n + 1)).await.expect(200);
    }
    assert!(!sending.is_finished());
    assert_eq!(position().await, before);
    broker.signal("CONT");
    sending.await.unwrap();
    relay.drain().await;
    assert_ne!(position().await, before);
    assert_eq!(ids(&topic.read_all().await).len(), 30, "each once: the producer's own retries are no duplicates");
}

#[tokio::test]
async fn a_deleted_topic_is_made_again_and_what_waits_goes_there() {
    let (app, prefix) = (TestApp::start(newest().await).await, unique("relay"));
    let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
    let relay = by_hand(&app, &prefix, &brokers());
    app.post_statements(&statements(0..10)).await.expect(200);
    relay.drain().await;
    assert_eq!(topic.count().await, 10);
    topic.delete().await;
    app.post_statements(&statements(10..20)).await.expect(200);
    let (sending, stop) = keep_sending(&relay);
    stop.store(true, Ordering::SeqCst);
    sending.await.unwrap();
    check_whole(&once(topic.read_all().await), 10..20);
}

#[tokio::test]
async fn relays_that_run_at_once_send_the_same_messages_in_the_same_order() {
    let (app, prefix) = (TestApp::start(newest().await).await, unique("relay"));
    let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 3).await;
    let relays: Vec<ByHand> = (0..3).map(|_| by_hand(&app, &prefix, &brokers())).collect();
    let running: Vec<_> = relays.iter().map(keep_sending).collect();
    for n in 0..10 {
        app.post_statements(&statements(n * 100..(n + 1) * 100)).await.expect(200);
    }
    for (sending, stop) in running {
        stop.store(true, Ordering::SeqCst);
        sending.await.unwrap();
    }
    let received = once(topic.read_all().await);
    schemas::check(&received);
    check_order(&received);
    check_whole(&received, 0..1_000);
}

/// Whoever moves the relay on waits for the holder of this lock.
const HOLD: &str = "
    CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE INSERT OR UPDATE ON progress.relay_cursors
        FOR EACH ROW EXECUTE FUNCTION public.hold();
    CREATE TRIGGER hold BEFORE UPDATE ON progress.outbox FOR EACH ROW EXECUTE FUNCTION public.hold();
    SELECT pg_advisory_lock(4711)";

async fn post(service: &Service, statements: &Value) {
    let client = crate::support::http::client();
    let request = client.post(format!("{}/xapi/statements", service.url)).basic_auth(KEY, Some(SECRET));
    let answer = request.header("X-Experience-API-Version", "1.0.3").json(statements).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_service_killed_between_sending_and_moving_on_sends_the_same_again() {
    let (db, prefix) = (newest().await, unique("relay"));
    let mut topics = Vec::new();
    for kind in TOPICS {
        topics.push(Topic::named(format!("{prefix}{kind}"), 2).await);
    }
    let (database, owner, brokers) = (db.service_url(), db.owner_url(), brokers());
    let mut service = Service::start(&[
        ("PROGRESS_DATABASE_URL", &database),
        ("PROGRESS_DATABASE_MIGRATION_URL", &owner),
        ("PROGRESS_KAFKA_BROKERS", &brokers),
        ("PROGRESS_KAFKA_TOPIC_PREFIX", &prefix),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", &format!("{KEY}:{SECRET}")),
    ])
    .await;
    let holder = db.superuser().await;
    holder.batch_execute(HOLD).await.unwrap();
    post(&service, &json!((0..20).flat_map(passing).collect::<Vec<Value>>())).await;
    for (topic, wanted) in topics.iter().zip([40, 20, 20, 20, 20]) {
        patience::until("the events", async || match topic.count().await {
            count if count >= wanted => Ok(()),
            count => Err(format!("{count} of {wanted}")),
        })
        .await;
    }
    service.process.kill();
    let moved = "SELECT (SELECT count(*) FROM progress.relay_cursors) + (SELECT count(*) FROM progress.outbox
                 WHERE published_at IS NOT NULL)";
    assert_eq!(holder.query_one(moved, &[]).await.unwrap().get::<_, i64>(0), 0, "it died before it could move on");
    // The leases of the dead would keep the next one waiting for half a minute.
    let go_on = "SELECT pg_advisory_unlock(4711); UPDATE platform.leases SET expires_at = '-infinity'";
    holder.batch_execute(go_on).await.unwrap();

    let service = service.again().await;
    post(&service, &json!((20..22).flat_map(passing).collect::<Vec<Value>>())).await;
    let left = "SELECT (SELECT count(*) FROM ledger.statements) <> 44 OR (SELECT count(*) FROM progress.outbox) <> 88
        OR EXISTS (SELECT FROM progress.outbox WHERE published_at IS NULL)
        OR (SELECT max(stored) FROM ledger.statements) > (SELECT max(position) FROM progress.relay_cursors)";
    patience::until("the rest", async || match holder.query_one(left, &[]).await.unwrap().get(0) {
        Some(false) => Ok(()),
        left => Err(format!("{left:?}")),
    })
    .await;
    drop(service);
    for (topic, (sent_twice, wanted)) in topics.iter().zip([(40, 44), (20, 22), (20, 22), (20, 22), (20, 22)]) {
        let all = topic.read_all().await;
        assert!(all.len() >= sent_twice + wanted, "{} has {} messages", topic.name, all.len());
        schemas::check(&all);
        let received = once(all);
        assert_eq!(received.len(), wanted, "{}", topic.name);
    }
    check_order(&once(topics[0].read_all().await));
}
