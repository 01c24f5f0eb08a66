//! What lists of another LRS do not show: documents, which it has for an agent or activity that one names, and what was voided.

use std::{io::Read, process::Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::Desk;
use crate::support::app::{KEY, SECRET, TestApp, send};

const REGISTRATION: &str = "ec531277-b57b-4c15-8d91-d292c5b2b8f7";
const ACTIVITY: &str = "http://x.example/1";

async fn put(app: &TestApp, path: &str, query: Value, content: &'static str) {
    let query: Vec<(String, String)> = query
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let request =
        app.xapi(Method::PUT, path).query(&query).header("Content-Type", "text/plain; charset=x").body(content);
    // A profile is only made where whoever makes it says that there is none.
    let request = if path.ends_with("profile") { request.header("If-None-Match", "*") } else { request };
    send(request).await.expect(204);
}

fn state(id: &str, registration: Option<&str>) -> Value {
    let mut query = json!({"activityId": ACTIVITY, "agent": {"mbox": "mailto:a@x.example"}, "stateId": id});
    if let Some(registration) = registration {
        query["registration"] = registration.into();
    }
    query
}

/// A learner with two documents of state, one of which belongs to a registration, and one profile of each kind.
async fn filled(app: &TestApp) {
    let of = |who: &str, context: Value| {
        json!({"actor": {"mbox": format!("mailto:{who}@x.example")}, "verb": {"id": "http://x.example/did"},
            "object": {"id": ACTIVITY}, "context": context})
    };
    let both = json!([of("a", json!({"registration": REGISTRATION})), of("b", json!({}))]);
    app.post_statements(&both).await.expect(200);
    put(app, "/activities/state", state("bookmark", None), "page 1").await;
    put(app, "/activities/state", state("attempt", Some(REGISTRATION)), "half").await;
    put(app, "/activities/profile", json!({"activityId": ACTIVITY, "profileId": "p"}), "of all").await;
    let agent = json!({"mbox": "mailto:b@x.example"});
    put(app, "/agents/profile", json!({"agent": agent, "profileId": "likes"}), "blue").await;
}

/// What a client sees of them: HTTP knows seconds alone.
async fn all(client: &Client) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', kind, document_id, registration, content_type, convert_from(content, 'utf8'), etag, activity,
            agent, date_trunc('second', updated_at)) FROM ledger.documents";
    let mut rows: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    rows.sort();
    rows
}

on_each_server! {
    async fn documents_come_with_the_statements_that_name_whose_they_are(db: TestDatabase) {
        let (desk, source) = (Desk::new(), TestApp::start(db).await);
        filled(&source).await;
        let target = TestDatabase::new(source.db.server()).await;
        desk.done(&target, "tenants create acme");
        std::fs::write(desk.path("login"), format!("{KEY}:{SECRET}\n")).unwrap();
        let pull = format!("data pull --endpoint {}/xapi --login @/login --tenant acme --cursor @/cursor --per-second 500 --apply", source.url);
        assert!(desk.done(&target, &pull)["done"].get("documents").is_none(), "nobody asked for them");
        let pull = format!("{pull} --documents");
        let (theirs, ours) = (source.db.superuser().await, target.superuser().await);
        let done = desk.done(&target, &pull);
        let said = &done["done"]["documents"];
        assert_eq!((&said["read"], &said["put"], &said["equal"]), (&json!(4), &json!(4), &json!(4)), "{done}");
        assert_eq!(all(&ours).await, all(&theirs).await);

        // What changes in the second in which it was read is another document; what was changed here since stays.
        put(&source, "/activities/state", state("bookmark", None), "page 2").await;
        put(&source, "/activities/state", state("new", Some(REGISTRATION)), "whole").await;
        let newer = "UPDATE ledger.documents SET content = 'red', updated_at = now() + interval '1 minute' WHERE document_id = 'likes'";
        ours.execute(newer, &[]).await.unwrap();
        let done = desk.done(&target, &pull);
        let said = &done["done"]["documents"];
        assert_eq!((&said["put"], &said["equal"], &said["newer"]), (&json!(2), &json!(4), &json!(1)), "{done}");
        let but_one = |mut rows: Vec<String>| {
            rows.retain(|row| !row.contains("likes"));
            rows
        };
        assert_eq!(but_one(all(&ours).await), but_one(all(&theirs).await));

        // Of a registration that no statement names there is no way to know.
        put(&source, "/activities/state", state("stray", Some("ffffffff-b57b-4c15-8d91-d292c5b2b8f7")), "lost").await;
        let (code, done, _) = desk.run(&target, &pull);
        assert_eq!((code, &done["done"]["documents"]["outOfReach"]), (Some(4), &json!([format!("{ACTIVITY} stray")])), "{done}");
        // Once one names it, all there is comes, however old it is.
        let stray = json!({"actor": {"mbox": "mailto:a@x.example"}, "verb": {"id": "http://x.example/did"}, "object": {"id": ACTIVITY},
            "context": {"registration": "ffffffff-b57b-4c15-8d91-d292c5b2b8f7"}});
        source.post_statements(&json!([stray])).await.expect(200);
        desk.done(&target, &format!("{pull} --overlap 0"));
        assert_eq!(but_one(all(&ours).await), but_one(all(&theirs).await));
        ours.execute("DELETE FROM ledger.documents WHERE document_id = 'likes'", &[]).await.unwrap();
        desk.done(&target, "data validate --tenant acme");
    }

    async fn a_pull_that_is_killed_goes_on_and_ends_with_the_same(db: TestDatabase) {
        let (desk, source) = (Desk::new(), TestApp::start(db).await);
        let of = |n: u32| json!({"id": format!("55550000-0000-4000-8000-{n:012}"), "actor": {"mbox": format!("mailto:l{}@x.example", n % 9)},
            "verb": {"id": "http://x.example/did"}, "object": {"id": format!("http://x.example/{}", n % 11)}, "timestamp": "2026-01-02T03:04:05.000000Z"});
        for some in (0..300).collect::<Vec<u32>>().chunks(50) {
            source.post_statements(&json!(some.iter().map(|n| of(*n)).collect::<Vec<_>>())).await.expect(200);
        }
        let voids = |n: u32| json!({"actor": {"mbox": "mailto:chief@x.example"}, "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
            "object": {"objectType": "StatementRef", "id": format!("55550000-0000-4000-8000-{n:012}")}, "timestamp": "2026-01-02T03:04:05.000000Z"});
        source.post_statements(&json!([voids(7), voids(299)])).await.expect(200);
        for n in 0..9 {
            let agent = json!({"mbox": format!("mailto:l{n}@x.example")});
            put(&source, "/agents/profile", json!({"agent": agent, "profileId": "likes"}), "blue").await;
        }
        let target = TestDatabase::new(source.db.server()).await;
        desk.done(&target, "tenants create acme");
        std::fs::write(desk.path("login"), format!("{KEY}:{SECRET}\n")).unwrap();
        let pull = format!("data pull --endpoint {}/xapi --login @/login --tenant acme --cursor @/cursor --page 20 --documents --apply", source.url);
        let (theirs, ours) = (source.db.superuser().await, target.superuser().await);
        let (mut kills, mut in_statements, mut in_documents) = (0, 0, 0);
        // Longer from life to life, so that there is an end on a slow machine too.
        loop {
            let mut life = desk.command(&target, &format!("{pull} --per-second 50")).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(300 + 250 * kills)).await;
            if let Some(status) = life.try_wait().unwrap() {
                let mut why = String::new();
                life.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                assert!(status.success(), "after {kills} kills: {why}");
                break;
            }
            life.kill().unwrap();
            life.wait().unwrap();
            kills += 1;
            let row = ours.query_one("SELECT (SELECT count(*) FROM ledger.statements), (SELECT count(*) FROM ledger.documents)", &[]);
            let (statements, documents): (i64, i64) = row.await.map(|row| (row.get(0), row.get(1))).unwrap();
            in_statements += u32::from(statements > 0 && documents == 0);
            in_documents += u32::from(documents > 0 && documents < 9);
        }
        assert!(in_statements > 0 && in_documents > 0, "{kills} kills: {in_statements}, {in_documents}");
        desk.done(&target, &format!("{pull} --per-second 500"));
        let rows = async |client: &Client| -> Vec<String> {
            let sql = "SELECT concat_ws(' ', id, stored, payload) FROM ledger.statements ORDER BY id";
            client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
        };
        assert_eq!(rows(&ours).await, rows(&theirs).await);
        assert_eq!(all(&ours).await, all(&theirs).await);
        desk.done(&target, "data validate --tenant acme");
    }
}
