//! The topics of events: made where they are missing and that is allowed, with the retention that events need.

use progress_service::relay::STATEMENT_STORED;

use super::{ByHand, by_hand_with, statements};
use crate::support::{
    app::TestApp,
    kafka::{Topic, brokers, unique},
    patience,
    pg::{Server, TestDatabase},
    schemas::TOPICS,
};

const RETENTION: &str = "retention.ms";
/// 180 days.
const HALF_A_YEAR: &str = "15552000000";

async fn app() -> TestApp {
    TestApp::start(TestDatabase::new(Server::newest().await).await).await
}

fn relay(app: &TestApp, prefix: &str, makes_topics: &str) -> ByHand {
    by_hand_with(
        app,
        &[
            ("PROGRESS_KAFKA_BROKERS", &brokers()),
            ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix),
            ("PROGRESS_KAFKA_TOPIC_PARTITIONS", "4"),
            ("PROGRESS_KAFKA_CREATE_TOPICS", makes_topics),
        ],
    )
}

#[tokio::test]
async fn missing_topics_are_made_with_half_a_year_and_others_stay_as_they_are() {
    let (app, prefix) = (app().await, unique("relay"));
    let given = Topic::named(format!("{prefix}{}", TOPICS[1]), 2).await;
    given.set(RETENTION, "86400000").await;
    relay(&app, &prefix, "true").step().await.unwrap();
    for kind in TOPICS.into_iter().chain(["progress.dlq"]) {
        let topic = Topic::existing(brokers(), format!("{prefix}{kind}"), 4);
        let expected = if kind == TOPICS[1] { (2, "86400000") } else { (4, HALF_A_YEAR) };
        patience::until(kind, async || {
            let found = (topic.partition_count().await, topic.property(RETENTION).await);
            if found == (expected.0, Some(expected.1.to_owned())) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_topic_that_was_deleted_comes_back_with_its_retention() {
    let (app, prefix) = (app().await, unique("relay"));
    let relay = relay(&app, &prefix, "true");
    let topic = Topic::existing(brokers(), format!("{prefix}{STATEMENT_STORED}"), 4);
    app.post_statements(&statements(0..5)).await.expect(200);
    relay.drain().await;
    topic.delete().await;
    app.post_statements(&statements(5..10)).await.expect(200);
    patience::until("the topic", async || relay.step().await).await;
    relay.drain().await;
    assert_eq!((topic.partition_count().await, topic.property(RETENTION).await.as_deref()), (4, Some(HALF_A_YEAR)));
    assert_eq!(topic.count().await, 5);
}

#[tokio::test]
async fn where_it_is_not_allowed_nobody_makes_a_topic_and_events_wait() {
    let (app, prefix) = (app().await, unique("relay"));
    let relay = relay(&app, &prefix, "false");
    let topic = Topic::existing(brokers(), format!("{prefix}{STATEMENT_STORED}"), 1);
    app.post_statements(&statements(0..5)).await.expect(200);
    let refused = relay.step().await.unwrap_err();
    assert!(refused.contains("nknown topic") || refused.contains("UnknownTopic"), "{refused}");
    assert_eq!(topic.partition_count().await, 0, "the brokers made it by themselves");
    topic.make().await;
    patience::until("the events", async || relay.step().await).await;
    assert_eq!(topic.count().await, 5);
}
