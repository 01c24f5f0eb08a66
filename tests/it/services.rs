//! The servers themselves: each is the one its variable promises, and the harness keeps its word about it.

use object_store::{ObjectStoreExt, PutPayload, path::Path};
use progress_service::model::Ids;
use tokio_postgres::error::SqlState;

use crate::support::{
    app::{TestApp, ready},
    kafka::Topic,
    pg::{Server, TestDatabase},
    pgproc::PgServer,
    process::Service,
    s3::Bucket,
};

on_each_server! {
    async fn the_server_has_the_promised_version(db: TestDatabase) {
        let number: String = db.owner().await.query_one("SHOW server_version_num", &[]).await.unwrap().get(0);
        assert_eq!(number.parse::<u32>().unwrap() / 10_000, db.server().major);
    }

    async fn a_database_is_a_migrated_copy_of_its_own(db: TestDatabase) {
        let other = TestDatabase::new(db.server()).await;
        let insert = "INSERT INTO platform.tenants (tenant_id, name) VALUES (gen_random_uuid(), 'here')";
        db.superuser().await.execute(insert, &[]).await.unwrap();
        let count = "SELECT count(*) FROM platform.tenants WHERE name = 'here'";
        assert_eq!(other.superuser().await.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    }

    async fn the_service_login_owns_nothing(db: TestDatabase) {
        let error = db.service().await.batch_execute("DROP TABLE platform.tenants").await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    }

    async fn the_door_opens_with_the_logins_of_the_tests(db: TestDatabase) {
        let store = db.store();
        store.ping().await.unwrap();
        store.close();
    }
}

/// Makes a job nobody runs.
async fn leave_a_job(db: &TestDatabase) {
    let insert = "INSERT INTO platform.jobs (job_id, kind, state, requested_by, request)
                  VALUES ($1, 'test', 'pending', 'test', '{}')";
    db.superuser().await.execute(insert, &[&Ids::random().uuid()]).await.unwrap();
}

#[tokio::test]
async fn unfinished_work_fails_the_test_that_left_it() {
    let db = TestDatabase::new(Server::newest().await).await;
    leave_a_job(&db).await;
    let dropping = std::thread::spawn(move || drop(db));
    let panic = dropping.join().expect_err("a leftover must be noticed");
    assert!(panic.downcast_ref::<String>().unwrap().contains("platform.jobs: 1"));
}

#[tokio::test]
async fn declared_leftovers_are_fine() {
    let mut db = TestDatabase::new(Server::newest().await).await;
    leave_a_job(&db).await;
    db.leaves("platform.jobs");
}

#[tokio::test]
async fn an_empty_database_has_no_schema_of_ours() {
    let db = TestDatabase::empty(Server::newest().await).await;
    let count = "SELECT count(*) FROM pg_namespace WHERE nspname = 'platform'";
    assert_eq!(db.superuser().await.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn kafka_gives_back_what_it_was_given() {
    let topic = Topic::new(3).await;
    for number in 0..10 {
        topic.send("one key", number.to_string().as_bytes(), &[("kind", "test")]).await;
    }
    let received = topic.read_all().await;
    let payloads: Vec<_> = received.iter().map(|message| String::from_utf8_lossy(&message.payload)).collect();
    assert_eq!(payloads, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(received[0].key.as_deref(), Some("one key"));
    assert_eq!(received[0].headers, [("kind".to_owned(), b"test".to_vec())]);
}

#[tokio::test]
async fn object_storage_gives_back_what_it_was_given() {
    let bucket = Bucket::new().await;
    let path = Path::from("tenant=a/month=2026-01/part-0.parquet");
    bucket.store().put(&path, PutPayload::from_static(b"bytes")).await.unwrap();
    assert_eq!(bucket.store().get(&path).await.unwrap().bytes().await.unwrap(), "bytes");
    assert_eq!(bucket.keys().await, [path.to_string()]);
}

#[tokio::test]
async fn a_killed_server_comes_back_with_what_it_acknowledged() {
    let mut server = PgServer::start().await;
    server.client().await.batch_execute("CREATE TABLE t AS SELECT 1 AS n").await.unwrap();
    server.kill();
    assert!(crate::support::pg::try_connect(&server.url()).await.is_err());
    server.resume().await;
    let row = server.client().await.query_one("SELECT n FROM t", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn the_binary_serves_stops_on_request_and_survives_a_kill() {
    let db = TestDatabase::new(Server::newest().await).await;
    let (service, owner) = (db.service_url(), db.owner_url());
    let mut service =
        Service::start(&[("PROGRESS_DATABASE_URL", &service), ("PROGRESS_DATABASE_MIGRATION_URL", &owner)]).await;
    service.process.kill();
    let mut service = service.again().await;
    let health = crate::support::http::client().get(format!("{}/healthz", service.url)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    service.process.signal("TERM");
    assert!(service.process.ended().await.success());
}

on_each_server! {
    async fn the_service_answers_inside_the_test(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.get("/healthz").await.expect(200);
        assert_eq!(ready(&app.url).await["ready"], true);
        app.get("/no/such/resource").await.expect(404);
    }
}
