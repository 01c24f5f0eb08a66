//! Commands of other services over the real brokers: taken once, recorded, acknowledged, or put aside with the reason.

mod erasures;
mod nodes;

use std::collections::BTreeMap;

use progress_service::{
    inbox::CommandKind,
    model::{Clock, Ids, TenantId, event::DEAD_LETTER},
};
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, ready},
    kafka::{Received, Topic, brokers, unique},
    patience,
    pg::TestDatabase,
};

/// The topics of one test, with its own prefix.
struct Topics {
    prefix: String,
    erasures: Topic,
    residencies: Topic,
    erasure_answers: Topic,
    residency_answers: Topic,
    dead: Topic,
}

impl Topics {
    async fn new(partitions: i32) -> Self {
        let prefix = unique("inbox");
        let named = |kind: &str, partitions| Topic::named(format!("{prefix}{kind}"), partitions);
        Self {
            erasures: named(CommandKind::Erasure.topic(), partitions).await,
            residencies: named(CommandKind::Residency.topic(), partitions).await,
            erasure_answers: named(CommandKind::Erasure.acknowledgement(), 1).await,
            residency_answers: named(CommandKind::Residency.acknowledgement(), 1).await,
            dead: named(DEAD_LETTER, 1).await,
            prefix,
        }
    }
}

async fn start(db: TestDatabase, prefix: &str) -> TestApp {
    let brokers = brokers();
    let variables = [("PROGRESS_KAFKA_BROKERS", brokers.as_str()), ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix)];
    TestApp::with(db, &variables, Clock::system(), Ids::random()).await
}

fn erasure(event: &str, request: &str) -> Value {
    json!({"specversion": "1.0", "id": event, "type": CommandKind::Erasure.topic(), "source": "/gdpr",
        "time": "2026-11-21T12:00:00Z", "tenantid": TenantId::DEFAULT, "correlationid": format!("saga {request}"),
        "data": {"requestId": request, "subject": {"agents": [{"mbox": "mailto:ann@example.com"}]}}})
}

fn residency(event: &str, change: &str) -> Value {
    json!({"specversion": "1.0", "id": event, "type": CommandKind::Residency.topic(), "source": "/tenants",
        "tenantid": TenantId::DEFAULT, "data": {"changeId": change, "toRegion": "eu-central-1"}})
}

async fn send(topic: &Topic, message: &Value) {
    topic.send("key", message.to_string().as_bytes(), &[]).await;
}

/// The requests of the database, oldest first: kind and name.
async fn requests(db: &TestDatabase) -> Vec<(String, String)> {
    let sql = "SELECT kind, request_id FROM progress.saga_requests ORDER BY number";
    db.superuser().await.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn recorded(db: &TestDatabase, count: usize) -> Vec<(String, String)> {
    patience::until("the requests", async || {
        let requests = requests(db).await;
        if requests.len() >= count { Ok(requests) } else { Err(format!("{requests:?}")) }
    })
    .await
}

/// How many commands had this outcome on the node.
fn outcomes(app: &TestApp, kind: CommandKind, outcome: &str) -> u64 {
    app.service().rooms.edge.metrics.inbox.messages.with_label_values(&[kind.topic(), outcome]).get()
}

async fn counted(app: &TestApp, kind: CommandKind, outcome: &str, count: u64) {
    patience::until("the count", async || {
        let now = outcomes(app, kind, outcome);
        if now == count { Ok(()) } else { Err(format!("{now} {outcome}")) }
    })
    .await;
}

fn check_schema(schema: &str, messages: &[Received]) {
    let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    for message in messages {
        let errors: Vec<String> = validator.iter_errors(&message.json()).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {}", message.json());
    }
}

on_each_server! {
    async fn a_command_is_recorded_and_acknowledged_once_however_often_it_comes(db: TestDatabase) {
        let topics = Topics::new(1).await;
        let app = start(db, &topics.prefix).await;
        for message in [erasure("e1", "r1"), erasure("e1", "r1"), erasure("e2", "r2"), erasure("e3", "r1")] {
            send(&topics.erasures, &message).await;
        }
        send(&topics.residencies, &residency("e1", "c1")).await;
        counted(&app, CommandKind::Residency, "recorded", 1).await;
        counted(&app, CommandKind::Erasure, "recorded", 3).await;
        assert_eq!(outcomes(&app, CommandKind::Erasure, "repeated"), 1);
        let mut all = requests(&app.db).await;
        all.sort();
        let expected = [("erasure", "r1"), ("erasure", "r2"), ("residency", "c1")];
        assert_eq!(all, expected.map(|(kind, id)| (kind.to_owned(), id.to_owned())));

        // Each of the three events is answered, and each of the two requests once more when it is over.
        let answers = topics.erasure_answers.read(5).await;
        check_schema(include_str!("../../schemas/events/gdpr.subject_request.acknowledged.v1.json"), &answers);
        let of = |answer: &Received, name: &str| answer.json()["data"][name].as_str().unwrap().to_owned();
        let (answers, ends): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| of(answer, "status") == "recorded");
        let mut ended: Vec<_> = ends.iter().map(|end| (of(end, "requestId"), of(end, "status"))).collect();
        ended.sort();
        assert_eq!(ended, ["r1", "r2"].map(|request| (request.to_owned(), "erased".to_owned())));
        assert!(ends.iter().all(|end| end.json()["data"]["counts"].is_object() && end.json()["data"]["auditEntry"].is_i64()));
        assert!(ends.iter().all(|end| !String::from_utf8_lossy(&end.payload).contains("ann@")), "an answer names nobody");
        let left = "SELECT count(*) FROM progress.saga_requests WHERE kind = 'erasure' AND (data <> '{}' OR state <> 'completed')";
        assert_eq!(app.db.superuser().await.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0, "who it was about is forgotten");
        let told: Vec<_> = answers.iter().map(|a| (of(a, "commandId"), of(a, "requestId"))).collect();
        let expected = [("e1", "r1"), ("e2", "r2"), ("e3", "r1")].map(|(e, r)| (e.to_owned(), r.to_owned()));
        assert_eq!(told, expected, "who asks again under a new event hears again");
        assert_eq!((&answers[0].json()["correlationid"], answers[0].key.as_deref()), (&json!("saga r1"), Some("r1")));
        assert!(!String::from_utf8_lossy(&answers[0].payload).contains("ann@"), "an answer names nobody");
        let answers = topics.residency_answers.read(1).await;
        check_schema(include_str!("../../schemas/events/progress.residency.acknowledged.v1.json"), &answers);
    }

    async fn what_cannot_be_taken_is_put_aside_with_the_reason_and_the_next_is_read(db: TestDatabase) {
        let topics = Topics::new(1).await;
        let app = start(db, &topics.prefix).await;
        let stranger = json!("00000000-0000-4000-8000-0000000000ff");
        let (mut nobodys, mut unfit, mut other) = (erasure("e2", "r2"), erasure("e3", "r3"), erasure("e4", "r1"));
        nobodys["tenantid"] = stranger.clone();
        unfit["data"]["subject"] = json!({"name": "Ann"});
        other["data"]["subject"] = json!({"userId": "somebody else"});
        topics.erasures.send("key", b"no json, ann@example.com", &[]).await;
        for message in [&erasure("e1", "r1"), &nobodys, &unfit, &other, &erasure("e5", "r5")] {
            send(&topics.erasures, message).await;
        }
        topics.erasures.send("key", b"", &[]).await;
        counted(&app, CommandKind::Erasure, "refused", 5).await;
        let all = recorded(&app.db, 2).await;
        assert_eq!(all, ["r1", "r5"].map(|id| ("erasure".to_owned(), id.to_owned())));

        let letters = topics.dead.read(5).await;
        check_schema(include_str!("../../schemas/events/progress.dlq.json"), &letters);
        let reasons = ["no JSON that can be read", "no such tenant", "/data/subject", "says something else", "no JSON"];
        for ((letter, reason), offset) in letters.iter().zip(reasons).zip(["0", "2", "3", "4", "6"]) {
            let headers: BTreeMap<&str, String> =
                letter.headers.iter().map(|(name, value)| (&**name, String::from_utf8(value.clone()).unwrap())).collect();
            assert!(headers["reason"].contains(reason), "{headers:?}");
            assert_eq!((&headers["original-topic"], &*headers["original-offset"]), (&topics.erasures.name, offset));
            assert_eq!(headers["original-partition"], "0");
            assert_eq!(letter.json()["data"]["reason"], headers["reason"]);
            let text = String::from_utf8_lossy(&letter.payload).into_owned();
            assert!(!text.contains("Ann") && !text.contains("ann@") && !text.contains("somebody"), "{text}");
        }
        assert_eq!(letters[1].json()["tenantid"], stranger);
    }

    async fn a_database_in_trouble_keeps_commands_waiting_and_loses_none(db: TestDatabase) {
        let mut db = db;
        // What the commands ask for is begun by jobs, and is not what this is about.
        db.leaves("platform.jobs");
        let topics = Topics::new(1).await;
        let app = start(db, &topics.prefix).await;
        let owner = app.db.owner().await;
        owner.batch_execute("ALTER TABLE progress.inbox RENAME TO inbox_away").await.unwrap();
        send(&topics.erasures, &erasure("e1", "r1")).await;
        send(&topics.erasures, &erasure("e2", "r2")).await;
        let errors = || app.service().rooms.edge.metrics.inbox.errors.get();
        patience::until("trouble", async || if errors() > 0 { Ok(()) } else { Err("none yet") }).await;
        assert_eq!(requests(&app.db).await, []);
        owner.batch_execute("ALTER TABLE progress.inbox_away RENAME TO inbox").await.unwrap();
        let all = recorded(&app.db, 2).await;
        assert_eq!(all.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["r1", "r2"], "in their order");
        assert_eq!(topics.dead.read_all().await, []);
    }
}

#[tokio::test]
async fn without_brokers_that_answer_the_service_serves_and_stops() {
    let db = TestDatabase::new(crate::support::pg::Server::newest().await).await;
    let variables = [("PROGRESS_KAFKA_BROKERS", "127.0.0.1:1")];
    let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
    let errors = || app.service().rooms.edge.metrics.inbox.errors.get();
    patience::until("trouble", async || if errors() > 0 { Ok(()) } else { Err("none yet") }).await;
    ready(&app.url).await;
    app.post_statements(&crate::xapi::identified(&crate::xapi::id(1), "ann", "a")).await.expect(200);
    // Also those that wait for brokers.
    app.stop_loops().await;
}
