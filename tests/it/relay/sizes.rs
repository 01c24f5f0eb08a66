//! Events that no topic takes: they go to the dead letters, and nothing waits for them.

use progress_service::{model::Ids, relay::STATEMENT_STORED};
use serde_json::{Value, json};

use super::{by_hand, ids};
use crate::{
    support::{
        app::TestApp,
        kafka::{Topic, brokers, unique},
        patience, schemas,
    },
    xapi::{id, identified},
};

/// Statements 0 to 4 of one actor; the third has a name that weighs 8,000 bytes, also when it is compressed.
fn one_is_large() -> Value {
    let ids = Ids::random();
    let name: String = (0..250).map(|_| ids.uuid().simple().to_string()).collect();
    let mut all: Vec<Value> = (0..5).map(|n| identified(&id(n), "ann", "a")).collect();
    all[2]["object"]["id"] = json!(format!("http://example.com/{name}"));
    json!(all)
}

/// The broker acts upon settings in their order, but a moment after it has answered: waits until it has for all before.
async fn settled() {
    let probe = Topic::new(1).await;
    probe.set("max.message.bytes", "4096").await;
    patience::until("the new limit", async || match probe.try_send("k", &[0; 8_000], &[]).await {
        Ok(()) => Err("a large message was taken".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
}

/// All but the large one are out in order, and it is among the dead letters.
async fn check(topic: &Topic, letters: &Topic) {
    assert_eq!(ids(&topic.read_all().await), [0, 1, 3, 4].map(id));
    let received = letters.read(1).await;
    schemas::check(&received);
    let data = &received[0].json()["data"];
    assert_eq!((data["id"].as_str(), data["type"].as_str()), (Some(&*id(2)), Some(STATEMENT_STORED)));
    assert_eq!(data["topic"], topic.name.as_str());
    assert!(data["bytes"].as_u64() > Some(8_000) && data["reason"].as_str().unwrap().starts_with("larger than"));
}

on_each_server! {
    async fn an_event_that_no_topic_takes_is_a_dead_letter_and_holds_nobody_up(db: TestDatabase) {
        let prefix = unique("relay");
        let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
        let letters = Topic::named(format!("{prefix}progress.dlq"), 1).await;
        topic.set("max.message.bytes", "4096").await;
        let app = TestApp::start(db).await;
        app.post_statements(&one_is_large()).await.expect(200);
        let relay = by_hand(&app, &prefix, &brokers());
        relay.drain().await;
        check(&topic, &letters).await;
        assert_eq!((relay.metrics.relay.dead_letters.get(), relay.metrics.relay.sent.get()), (1, 4));
        relay.drain().await;
        assert_eq!(letters.count().await, 1, "once");
    }

    async fn a_topic_that_is_told_to_take_less_is_asked_again(db: TestDatabase) {
        let prefix = unique("relay");
        let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
        let letters = Topic::named(format!("{prefix}progress.dlq"), 1).await;
        let app = TestApp::start(db).await;
        let relay = by_hand(&app, &prefix, &brokers());
        relay.drain().await;
        topic.set("max.message.bytes", "4096").await;
        settled().await;
        app.post_statements(&one_is_large()).await.expect(200);
        let refused = relay.step().await.unwrap_err();
        assert!(refused.contains("too large") || refused.contains("TooLarge"), "{refused}");
        relay.drain().await;
        check(&topic, &letters).await;
    }
}
