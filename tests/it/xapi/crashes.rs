//! Killed in the middle: whatever was acknowledged is there, once and whole.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{id, identified, ids, statement};
use crate::support::{
    app::{Answer, KEY, SECRET, send},
    http, patience,
    pg::try_connect,
    pgproc::PgServer,
    process::Service,
};

/// A request about the statements at `url`, with the credential of the tests.
fn statements(url: &str, method: Method) -> RequestBuilder {
    let request = http::client().request(method, format!("{url}/xapi/statements"));
    request.basic_auth(KEY, Some(SECRET)).header("X-Experience-API-Version", "1.0.3")
}

/// Posts batches of three until the service stops answering; returns the ids that were acknowledged.
async fn pour(url: String, from: u128) -> Vec<String> {
    let client = http::client();
    let mut acknowledged = Vec::new();
    for n in (from..).step_by(3) {
        let batch: Vec<Value> = (n..n + 3).map(|n| identified(&id(n), &format!("learner{}", n % 5), "a")).collect();
        let request = client
            .post(format!("{url}/xapi/statements"))
            .basic_auth(KEY, Some(SECRET))
            .header("X-Experience-API-Version", "1.0.3")
            .json(&batch);
        let Ok(response) = request.send().await else { break };
        if response.status() == 200 {
            acknowledged.extend((n..n + 3).map(id));
        } else if response.status() != 503 {
            panic!("{}", response.text().await.unwrap_or_default());
        }
    }
    acknowledged
}

async fn start(pg: &PgServer) -> Service {
    let credential = format!("{KEY}:{SECRET}");
    let variables = [
        ("PROGRESS_DATABASE_URL", pg.url()),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", credential),
        // What hangs is given up a few seconds after this.
        ("PROGRESS_DATABASE_STATEMENT_TIMEOUT", "5s".to_owned()),
    ];
    Service::start(&variables.each_ref().map(|(name, value)| (*name, value.as_str()))).await
}

/// Everything in the store, page by page.
async fn all(service: &Service) -> Vec<String> {
    let client = http::client();
    let mut path = "/xapi/statements?limit=0".to_owned();
    let mut seen = Vec::new();
    loop {
        let request = client
            .get(format!("{}{path}", service.url))
            .basic_auth(KEY, Some(SECRET))
            .header("X-Experience-API-Version", "1.0.3");
        let page: Answer = send(request).await.expect(200);
        let page = page.json();
        seen.extend(ids(&page));
        match page["more"].as_str() {
            Some(more) if !more.is_empty() => path = more.to_owned(),
            _ => return seen,
        }
    }
}

/// Nothing acknowledged is missing, nothing is there twice, and no batch is there in part.
async fn check(service: &Service, acknowledged: &[String]) {
    let seen = all(service).await;
    let distinct: HashSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "a statement is there twice");
    let missing: Vec<_> = acknowledged.iter().filter(|id| !distinct.contains(id)).collect();
    assert!(missing.is_empty(), "{} of {} acknowledged are missing", missing.len(), acknowledged.len());
    assert!(acknowledged.len() >= 30, "only {} were acknowledged before the crash", acknowledged.len());
    assert_eq!(seen.len() % 3, 0, "a batch of three is there in part");
}

/// Waits until the ledger holds more than `most` statements; answers how many.
async fn more_than(pg: &PgServer, most: i64) -> i64 {
    patience::until("statements arrive", async || {
        // A postmaster whose backend crashed still lets clients in, and then throws them out.
        let client = try_connect(&pg.url()).await.map_err(|e| e.to_string())?;
        let row = client.query_one("SELECT count(*) FROM ledger.statements", &[]).await.map_err(|e| e.to_string())?;
        let count = row.get::<_, i64>(0);
        if count > most { Ok(count) } else { Err(format!("there are {count}")) }
    })
    .await
}

fn pour_from_six(service: &Service) -> Vec<JoinHandle<Vec<String>>> {
    (0..6u128).map(|n| tokio::spawn(pour(service.url.clone(), n * 1_000_000))).collect()
}

/// Kills the service, starts it again, and asks it for everything that was acknowledged.
async fn killed_and_whole(pg: &PgServer, mut service: Service, pouring: Vec<JoinHandle<Vec<String>>>) {
    service.process.kill();
    let acknowledged: Vec<String> = join_all(pouring).await.into_iter().flat_map(Result::unwrap).collect();
    check(&start(pg).await, &acknowledged).await;
}

#[tokio::test]
async fn a_killed_service_loses_nothing_it_acknowledged() {
    let pg = PgServer::start().await;
    let service = start(&pg).await;
    let pouring = pour_from_six(&service);
    more_than(&pg, 150).await;
    killed_and_whole(&pg, service, pouring).await;
}

#[tokio::test]
async fn a_killed_database_loses_nothing_that_was_acknowledged() {
    let mut pg = PgServer::start().await;
    let service = start(&pg).await;
    let pouring = pour_from_six(&service);
    let before = more_than(&pg, 150).await;
    pg.kill();
    pg.resume().await;
    more_than(&pg, before + 150).await;
    killed_and_whole(&pg, service, pouring).await;
}

#[tokio::test]
async fn a_hanging_database_is_told_of_and_loses_nothing_that_was_acknowledged() {
    let pg = PgServer::start().await;
    let service = start(&pg).await;
    let pouring = pour_from_six(&service);
    let before = more_than(&pg, 150).await;
    pg.freeze();
    let posted = statements(&service.url, Method::POST).json(&identified(&id(9_000_000), "ann", "a"));
    for answer in join_all([send(posted), send(statements(&service.url, Method::GET))]).await {
        let answer = answer.expect(503);
        assert!(!answer.header("retry-after").is_empty());
    }
    pg.thaw();
    more_than(&pg, before + 150).await;
    killed_and_whole(&pg, service, pouring).await;
}

/// Lets every COMMIT that added rows to `table` wait for as long as the connection that is answered holds its lock.
async fn commits_wait(pg: &PgServer, table: &str) -> tokio_postgres::Client {
    let by_hand = pg.client().await;
    let waits_at_commit = format!(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION public.wait();
        SELECT pg_advisory_lock(42)"
    );
    by_hand.batch_execute(&waits_at_commit).await.unwrap();
    by_hand
}

/// One that goes on waiting: what several callers share gives way after a quarter of a second, and comes back as each one's own.
async fn until_a_commit_waits(by_hand: &tokio_postgres::Client) {
    patience::until("the COMMIT waits", async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted
            AND waitstart < clock_timestamp() - interval '500 ms'";
        let count: i64 = by_hand.query_one(waiting, &[]).await.map_err(|e| e.to_string())?.get(0);
        if count == 1 { Ok(()) } else { Err(format!("{count} wait")) }
    })
    .await;
}

#[tokio::test]
async fn a_document_that_may_have_been_written_is_said_to_be_in_doubt() {
    let pg = PgServer::start().await;
    let service = start(&pg).await;
    let by_hand = commits_wait(&pg, "ledger.documents").await;
    let profile = format!("{}/xapi/activities/profile?activityId=http://example.com/a&profileId=p", service.url);
    let put = |condition| {
        let request = http::client().put(&profile).basic_auth(KEY, Some(SECRET)).header(condition, "*");
        request.header("X-Experience-API-Version", "1.0.3").body("one")
    };
    let first = tokio::spawn(send(put("If-None-Match")));
    until_a_commit_waits(&by_hand).await;
    pg.freeze();
    let doubt = first.await.unwrap().expect(503);
    assert_eq!(doubt.json()["type"], "urn:progress:problem:in-doubt");
    assert_ne!(doubt.header("retry-after"), "");
    pg.thaw();
    by_hand.batch_execute("SELECT pg_advisory_unlock(42)").await.unwrap();
    // Whether it was written can be seen; if not, it is written now.
    let again = send(put("If-None-Match")).await;
    assert!([204, 412].contains(&again.status.as_u16()), "{}", again.text());
    send(put("If-Match")).await.expect(204);
}

#[tokio::test]
async fn a_crash_of_the_server_is_seen_in_its_statistics() {
    let mut pg = PgServer::start().await;
    let since = async |pg: &PgServer| -> String {
        let sql = "SELECT pg_stat_get_bgwriter_stat_reset_time()::text";
        pg.client().await.query_one(sql, &[]).await.unwrap().get(0)
    };
    let before = since(&pg).await;
    assert_eq!(since(&pg).await, before);
    pg.kill();
    pg.resume().await;
    assert_ne!(since(&pg).await, before);
}

#[tokio::test]
async fn what_may_have_been_committed_is_said_to_be_in_doubt() {
    let pg = PgServer::start().await;
    let service = start(&pg).await;
    let by_hand = commits_wait(&pg, "ledger.statement_ids").await;
    let first = tokio::spawn(send(statements(&service.url, Method::POST).json(&statement("ann", "a"))));
    until_a_commit_waits(&by_hand).await;
    pg.freeze();
    let doubt = first.await.unwrap().expect(503).json();
    assert_eq!(doubt["type"], "urn:progress:problem:in-doubt");
    pg.thaw();
    by_hand.batch_execute("SELECT pg_advisory_unlock(42)").await.unwrap();
    let mut again = statement("ann", "a");
    again["id"] = doubt["ids"][0].clone();
    send(statements(&service.url, Method::POST).json(&again)).await.expect(200);
    assert_eq!(all(&service).await, [again["id"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let mut pg = PgServer::on_a_small_disk().await;
    let service = start(&pg).await;
    let pouring = pour_from_six(&service);
    let before = more_than(&pg, 150).await;
    pg.fill_disk();
    pg.until_full().await;
    pg.free_disk();
    // With nowhere to write its log it may have given up altogether.
    pg.resume().await;
    more_than(&pg, before + 150).await;
    killed_and_whole(&pg, service, pouring).await;
}
