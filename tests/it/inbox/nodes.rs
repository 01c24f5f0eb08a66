//! Nodes that die or share the work: each command counts once.

use progress_service::inbox::CommandKind;

use super::{Topics, erasure, outcomes, recorded, requests, send};
use crate::support::{
    http,
    kafka::brokers,
    patience,
    pg::{Server, TestDatabase},
    process::Service,
};

/// The real program over the test's database.
async fn service(db: &TestDatabase, prefix: &str) -> Service {
    Service::start(&[
        ("PROGRESS_DATABASE_URL", &db.service_url()),
        ("PROGRESS_DATABASE_MIGRATION_URL", &db.owner_url()),
        ("PROGRESS_KAFKA_BROKERS", &brokers()),
        ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix),
    ])
    .await
}

/// Makes the next commit of a request wait for a lock that the test holds, as if the database were slow just then.
const SLOW_COMMIT: &str = "
    CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON progress.saga_requests
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.wait();
    SELECT pg_advisory_lock(4711)";

on_each_server! {
    async fn killed_between_the_commit_and_the_offset_the_command_comes_again_and_counts_once(db: TestDatabase) {
        let mut db = db;
        // What the commands ask for is begun by jobs, and is not what this is about.
        db.leaves("platform.jobs");
        let topics = Topics::new(1).await;
        let superuser = db.superuser().await;
        superuser.batch_execute(SLOW_COMMIT).await.unwrap();
        let mut first = service(&db, &topics.prefix).await;
        send(&topics.erasures, &erasure("e1", "r1")).await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND wait_event_type = 'Lock' AND wait_event = 'advisory' AND query = 'COMMIT'";
        let watcher = db.superuser().await;
        patience::until("the commit", async || {
            let count: i64 = watcher.query_one(waiting, &[]).await.unwrap().get(0);
            if count == 1 { Ok(()) } else { Err(count) }
        })
        .await;
        // The database has the order to commit, and nobody is left to commit the offset.
        first.process.kill();
        superuser.batch_execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
        recorded(&db, 1).await;

        let second = service(&db, &topics.prefix).await;
        send(&topics.erasures, &erasure("e2", "r2")).await;
        recorded(&db, 2).await;
        let client = http::client();
        let metrics = async || {
            let page = client.get(format!("{}/metrics", second.url)).send().await.unwrap().text().await.unwrap();
            if page.contains("outcome=\"recorded\",type=\"gdpr.subject_request.erasure.v1\"} 1") { Ok(page) } else { Err(page) }
        };
        let page = patience::until("the count", metrics).await;
        assert!(page.contains("outcome=\"repeated\",type=\"gdpr.subject_request.erasure.v1\"} 1"), "{page}");
        let answers = topics.erasure_answers.read(2).await;
        let told: Vec<_> = answers.iter().map(|answer| answer.json()["data"]["commandId"].clone()).collect();
        assert_eq!(told, ["e1", "e2"]);
        assert_eq!(topics.erasure_answers.read_all().await.len(), 2);
    }
}

#[tokio::test]
async fn two_nodes_share_the_commands_out_and_each_counts_once() {
    let topics = Topics::new(4).await;
    let mut db = TestDatabase::new(Server::newest().await).await;
    db.leaves("platform.jobs");
    let one = super::start(db, &topics.prefix).await;
    let mut two = service(&one.db, &topics.prefix).await;
    let mut sent = 0_u64;
    // Until both have taken some: the brokers decide when the second gets its partitions.
    patience::until("work for both", async || {
        for _ in 0..8 {
            sent += 1;
            let message = erasure(&format!("e{sent}"), &format!("r{sent}")).to_string();
            topics.erasures.send(&sent.to_string(), message.as_bytes(), &[]).await;
        }
        recorded(&one.db, usize::try_from(sent).unwrap()).await;
        let here = outcomes(&one, CommandKind::Erasure, "recorded");
        if here > 0 && here < sent { Ok(()) } else { Err(format!("{here} of {sent} here")) }
    })
    .await;
    // Each is answered when it is recorded, and again when nothing is left.
    let mut answers = topics.erasure_answers.read(2 * usize::try_from(sent).unwrap()).await;
    answers.retain(|answer| answer.json()["data"]["status"] == "recorded");
    let mut told: Vec<String> = answers.iter().map(|a| a.json()["data"]["commandId"].to_string()).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len() as u64, sent, "each answered, none twice");
    assert_eq!(requests(&one.db).await.len() as u64, sent);
    two.process.signal("TERM");
    assert!(two.process.ended().await.success(), "it leaves the group and ends");
}
