//! Somebody leaves, from every place that can have something of them; the others stay byte for byte, and nothing comes back.

mod bad;
mod command;
mod disks;
mod hunt;
mod kills;
mod law;
mod middle;
mod moves;
mod replicas;
mod returns;
mod rules;

use progress_service::{
    erasure::Erasures,
    model::{TenantId, partition::Month},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    api::{EXTENSIONS, statement as attempt},
    archived::{history::settle, objects},
    support::{
        app::{TestApp, send},
        background, months, patience,
        pg::TestDatabase,
    },
    xapi::{about, attachments::multipart, id, identified, ids, voiding},
};

pub const MARCH: &str = "2026-03";
pub const ANN: &str = "mailto:ann@example.com";
/// What her story says of her.
const OF_ANN: [&str; 3] = ["ann@example.com", "ann-canary", "ann the learner"];

pub fn march() -> Month {
    MARCH.parse().unwrap()
}

/// Asks for an erasure, and waits until it is what it becomes.
pub async fn erase(app: &TestApp, body: &Value) -> Value {
    let asked = app.post("/api/v1/erasures", body).await.expect(202).json();
    let path = format!("/api/v1/erasures/{}", asked["id"].as_str().unwrap());
    let mut last = Value::Null;
    patience::until("the erasure", async || {
        last = app.get(&path).await.expect(200).json();
        let state = last["state"].as_str().unwrap().to_owned();
        if ["erased", "refused", "queued"].contains(&&*state) {
            return Ok(());
        }
        let job = app.get(&format!("/api/v1/admin/jobs/{}", asked["jobId"].as_str().unwrap())).await.json();
        assert!(job["state"] != "failed", "{job}");
        Err(format!("{state}: {job}"))
    })
    .await;
    last
}

pub fn by_mbox(mbox: &str) -> Value {
    json!({"subject": {"agents": [{"mbox": mbox}]}})
}

/// Where in the tables a text stands, whatever column has it.
pub async fn places(db: &TestDatabase, needle: &str) -> Vec<String> {
    places_by(&db.superuser().await, needle).await
}

/// The same by a superuser's session.
pub async fn places_by(client: &Client, needle: &str) -> Vec<String> {
    let tables =
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind = 'r' AND n.nspname IN ('ledger', 'progress', 'platform') ORDER BY 1";
    let mut found = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let hexed = hex::encode(needle);
        let sql = format!(
            "SELECT count(*) FROM {table} t WHERE strpos(lower(t::text), lower($1)) > 0 OR strpos(t::text, $2) > 0"
        );
        let count: i64 = client.query_one(&sql, &[&needle, &hexed]).await.unwrap().get(0);
        if count > 0 {
            found.push(format!("{table}: {count}"));
        }
    }
    found
}

pub async fn found(app: &TestApp, parameters: &[(&str, &str)]) -> Vec<String> {
    ids(&app.get_statements(parameters).await.expect(200).json())
}

pub async fn put_state(app: &TestApp, mbox: &str, content: &str) -> u16 {
    let agent = json!({"mbox": mbox}).to_string();
    let place = [("activityId", "http://example.com/activities/a"), ("agent", agent.as_str()), ("stateId", "s")];
    send(
        app.xapi(Method::PUT, "/activities/state")
            .query(&place)
            .header("Content-Type", "text/plain")
            .body(content.to_owned()),
    )
    .await
    .status
    .as_u16()
}

pub async fn get_state(app: &TestApp, mbox: &str) -> u16 {
    let agent = json!({"mbox": mbox}).to_string();
    let place = [("activityId", "http://example.com/activities/a"), ("agent", agent.as_str()), ("stateId", "s")];
    send(app.xapi(Method::GET, "/activities/state").query(&place)).await.status.as_u16()
}

/// What erases without a service.
pub fn erasures(app: &TestApp) -> Erasures {
    app.service().rooms.erasures.clone()
}

/// Ann does things alone, with others, and is spoken of; Bob does the same.
async fn story(app: &TestApp, first: u128) {
    let named = |n: u128, who: &str| {
        let mut it = identified(&id(first + n), who, &format!("of-{who}"));
        it["actor"]["name"] = json!(format!("{who} the learner"));
        it["object"]["definition"] = json!({"name": {"en": format!("the essay of {who}-canary")}});
        it["verb"] = json!({"id": format!("http://example.com/verbs/{who}-canary"), "display": {"en": format!("did as {who}-canary")}});
        it
    };
    let with_file = |n: u128, who: &str, content: &[u8]| {
        let mut it = crate::xapi::attachments::with_attachment(first + n, content);
        it["actor"] = json!({"mbox": format!("mailto:{who}@example.com")});
        it
    };
    let mut taught = identified(&id(first + 3), "bob", "a");
    taught["context"] = json!({"instructor": {"mbox": ANN, "name": "Ann Instructor"}, "extensions": {"http://e.example/x": "asked ann@example.com"}});
    let mut grouped = identified(&id(first + 4), "bob", "a");
    grouped["actor"] = json!({"objectType": "Group", "member": [{"mbox": ANN}, {"mbox": "mailto:bob@example.com"}]});
    app.post_statements(&json!([
        named(1, "ann"),
        named(2, "bob"),
        taught,
        grouped,
        about(&id(first + 5), "http://adlnet.gov/expapi/verbs/commented", &id(first + 1)),
        voiding(&id(first + 6), &id(first + 9)),
        identified(&id(first + 9), "bob", "a")
    ]))
    .await
    .expect(200);
    for (n, who, contents) in
        [(7, "ann", [&b"secret of ann-canary"[..], b"shared"]), (8, "bob", [b"secret of bob-canary", b"shared"])]
    {
        let mut it = with_file(n, who, contents[0]);
        let second = with_file(n, who, contents[1])["attachments"][0].clone();
        it["attachments"].as_array_mut().unwrap().push(second);
        let body = multipart(&it, &contents);
        send(
            app.xapi(Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=limit").body(body),
        )
        .await
        .expect(200);
    }
}

on_each_server! {
    async fn a_person_leaves_every_table_and_nobody_else_does(db: TestDatabase) {
        let app = TestApp::start(db).await;
        story(&app, 100).await;
        assert_eq!((put_state(&app, ANN, "where ann-canary is").await, put_state(&app, "mailto:bob@example.com", "bob").await), (204, 204));
        let mut one = attempt(1, crate::api::ADA, "initialized", "e-1", "one");
        one["actor"] = json!({"mbox": ANN});
        let other = attempt(2, crate::api::EVE, "initialized", "e-2", "two");
        app.post_statements(&json!([one, other])).await.expect(200);
        settle(&app).await;
        let bob = r#"{"mbox":"mailto:bob@example.com"}"#;
        let before = app.get_statements(&[("agent", bob), ("verb", "http://example.com/verbs/bob-canary")]).await.expect(200).body;
        app.get("/api/v1/attempts/one").await.expect(200);

        let planned = app.post("/api/v1/erasures", &json!({"subject": {"agents": [{"mbox": ANN}]}, "dryRun": true})).await.expect(200).json();
        let counted = &planned["plan"]["found"];
        assert_eq!((&counted["hot"]["own"], &counted["hot"]["mentions"]), (&json!(3), &json!(2)), "{planned}");
        assert_eq!((&counted["documents"], &counted["attempts"]), (&json!(1), &json!(1)), "{planned}");
        assert_eq!(places(&app.db, "ledger.erasures").await, Vec::<String>::new(), "a plan leaves nothing");

        let done = erase(&app, &by_mbox(ANN)).await;
        assert_eq!(done["state"], "erased", "{done}");
        for needle in ["ann@example.com", "ann-canary", "ann the learner", "Ann Instructor"] {
            assert_eq!(places(&app.db, needle).await, Vec::<String>::new(), "{needle}");
        }
        let counts = &done["counts"];
        assert_eq!((&counts["statements"], &counts["redacted"], &counts["documents"], &counts["attachments"]),
            (&json!(3), &json!(2), &json!(1), &json!(1)), "{done}");
        // Who is left, is left as they were.
        assert_eq!(app.get_statements(&[("agent", bob), ("verb", "http://example.com/verbs/bob-canary")]).await.expect(200).body, before);
        assert_eq!(get_state(&app, "mailto:bob@example.com").await, 200);
        app.get("/api/v1/attempts/two").await.expect(200);
        app.get("/api/v1/attempts/one").await.expect(404);
        let with_both = app.get_statements(&[("statementId", &id(108)), ("attachments", "true")]).await.expect(200).text();
        assert!(with_both.contains("secret of bob-canary") && with_both.contains("shared"), "{with_both}");
        // What only mentioned her is there, and found for Bob.
        let taught = app.get_statements(&[("statementId", &id(103))]).await.expect(200).json();
        assert_eq!(taught["context"]["instructor"], json!({"account": {"homePage": "urn:progress:erased", "name": "erased"}}));
        assert!(found(&app, &[("agent", bob)]).await.contains(&id(104)), "the other member of the group");
        assert_eq!(found(&app, &[("agent", r#"{"mbox":"mailto:ann@example.com"}"#), ("related_agents", "true")]).await, Vec::<String>::new());
        app.get_statements(&[("statementId", &id(101))]).await.expect(404);
        app.get_statements(&[("statementId", &id(105))]).await.expect(200);
        app.get_statements(&[("voidedStatementId", &id(109))]).await.expect(200);
        let left = "SELECT count(*) FROM ledger.hidden";
        assert_eq!(app.db.superuser().await.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
        settle(&app).await;
        assert!(EXTENSIONS.starts_with("http"));
    }

    async fn a_person_leaves_months_wherever_they_are(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let client = app.db.superuser().await;
        let all = [("2026-03", 100), ("2026-04", 200), ("2026-05", 300)];
        for (name, first) in all {
            story(&app, first).await;
            months::spread(&app.db, name.parse().unwrap()).await;
            settle(&app).await;
        }
        story(&app, 400).await;
        settle(&app).await;
        let objects = objects(&app);
        months::away(&app.db, &objects, march()).await;
        for name in ["2026-04", "2026-05"] {
            months::seal(&app.db, name.parse().unwrap()).await;
        }
        months::detach(&app.db, "2026-04".parse().unwrap()).await;
        months::publish(&app.db, &objects, "2026-04".parse().unwrap(), 0).await;
        months::archived(&app.db, "2026-04".parse().unwrap()).await;
        // The test writes segments by itself, and leaves what it staged.
        std::fs::remove_dir_all(app.data().join("archive/_staged")).unwrap();
        let bob = [("agent", r#"{"mbox":"mailto:bob@example.com"}"#), ("verb", "http://example.com/verbs/bob-canary")];
        let before = app.get_statements(&bob).await.expect(200).body;
        let planned = app.post("/api/v1/erasures", &json!({"subject": {"agents": [{"mbox": ANN}]}, "dryRun": true})).await.expect(200).json();
        let found_in = &planned["plan"]["found"];
        assert_eq!((&found_in["hot"]["own"], &found_in["detached"]["own"], &found_in["archived"]["own"]), (&json!(4), &json!(2), &json!(4)), "{planned}");
        assert_eq!(found_in["segments"], 2, "{planned}");

        let done = erase(&app, &by_mbox(ANN)).await;
        assert_eq!((&done["state"], &done["counts"]["segments"]), (&json!("erased"), &json!(2)), "{done}");
        assert_eq!((&done["counts"]["archived"], &done["counts"]["statements"]), (&json!(2), &json!(6)), "each once: {done}");
        for needle in OF_ANN {
            assert_eq!(places(&app.db, needle).await, Vec::<String>::new(), "{needle}");
        }
        assert_eq!(app.get_statements(&bob).await.expect(200).body, before);
        let everything = disks::objects_with_any(&app.data().join("archive"), &OF_ANN);
        assert_eq!(everything, Vec::<String>::new(), "no object says anything of her");
        let revisions = "SELECT month::text, revision, state FROM ledger.segments ORDER BY month, revision";
        let states: Vec<(String, i32, String)> =
            client.query(revisions, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        assert_eq!(states.iter().map(|(_, _, state)| state.as_str()).collect::<Vec<_>>(), ["removed", "published", "removed", "published"], "{states:?}");
        // Brought back, it is as it is now.
        months::restore(&app.db, &objects, march(), 1).await;
        assert_eq!(app.get_statements(&bob).await.expect(200).body, before);
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new());
        let verified = erasures(&app);
        let id = done["id"].as_str().unwrap().parse().unwrap();
        let verified = background::runtime().spawn(async move { verified.verify(id, None).await }).await.unwrap().unwrap();
        assert_eq!((verified.statements, verified.still_there), (8, 0));
        // What others reach is found out anew by a loop.
        settle(&app).await;
    }

    async fn what_mentions_somebody_is_a_matter_of_policy(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mention = |n: u128, who: &str| {
            let mut it = identified(&id(n), "bob", "a");
            it["context"] = json!({"instructor": {"mbox": format!("mailto:{who}@example.com")}});
            it
        };
        app.post_statements(&json!([mention(1, "ann"), mention(2, "eve"), mention(3, "joe"), identified(&id(4), "ann", "a"), identified(&id(5), "eve", "a")])).await.expect(200);
        let ask = |who: &str, mentions: &str| json!({"subject": {"agents": [{"mbox": format!("mailto:{who}@example.com")}]}, "mentions": mentions});
        assert_eq!(erase(&app, &ask("ann", "delete")).await["counts"]["statements"], 2);
        app.get_statements(&[("statementId", &id(1))]).await.expect(404);
        let kept = erase(&app, &ask("eve", "keep")).await;
        assert_eq!((&kept["counts"]["statements"], &kept["state"]), (&json!(1), &json!("erased")), "{kept}");
        let still = app.get_statements(&[("statementId", &id(2))]).await.expect(200).text();
        assert!(still.contains("eve@example.com"), "{still}");
        erase(&app, &ask("joe", "redact")).await;
        let redacted = app.get_statements(&[("statementId", &id(3))]).await.expect(200).text();
        assert!(!redacted.contains("joe") && redacted.contains("urn:progress:erased"), "{redacted}");
    }

    async fn everything_somebody_is_known_by_is_found_from_any_part_of_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let sha1 = progress_service::xapi::document::etag(ANN.as_bytes()).trim_matches('"').to_owned();
        let account = |home: &str| json!({"account": {"homePage": home, "name": crate::api::ADA}});
        let actors = [json!({"mbox": ANN}), json!({"mbox_sha1sum": sha1}), account("http://one.example"), account("http://two.example")];
        let all: Vec<Value> = (1..).zip(&actors).map(|(n, actor)| {
            let mut it = identified(&id(n), "x", "a");
            it["actor"] = actor.clone();
            it
        }).collect();
        app.post_statements(&json!(all)).await.expect(200);
        let plan = async |subject: Value| {
            let body = json!({"subject": subject, "dryRun": true});
            app.post("/api/v1/erasures", &body).await.expect(200).json()["plan"].clone()
        };
        for subject in [json!({"agents": [{"mbox": ANN}]}), json!({"agents": [{"mbox_sha1sum": sha1.to_uppercase()}]})] {
            let plan = plan(subject.clone()).await;
            assert_eq!(plan["found"]["hot"]["own"], 2, "{subject}: {plan}");
        }
        for subject in [json!({"userId": crate::api::ADA}), json!({"agents": [account("http://one.example")]})] {
            let plan = plan(subject.clone()).await;
            assert_eq!(plan["found"]["hot"]["own"], 2, "{subject}: {plan}");
            assert!(plan["aliases"].to_string().contains("http://two.example"), "{plan}");
        }
        let whole = plan(json!({"userId": crate::api::ADA, "agents": [{"mbox": ANN}]})).await;
        assert_eq!(whole["found"]["hot"]["own"], 4, "{whole}");
        assert_eq!(app.db.superuser().await.query_one("SELECT count(*) FROM ledger.erasures", &[]).await.unwrap().get::<_, i64>(0), 0);
        assert_eq!(TenantId::DEFAULT.to_string(), "00000000-0000-4000-8000-000000000001");
    }

    async fn what_names_nobody_or_everybody_is_answered_with_the_rule(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "bob", "a")])).await.expect(200);
        let many: Vec<Value> = (0..2_000).map(|n| json!({"mbox": format!("mailto:a{n}@x.example")})).collect();
        for (subject, rule) in [
            (json!({}), "no identifier is given"),
            (json!({"agents": many}), "at most 100"),
            (json!({"agents": [{"mbox": "ann@example.com"}]}), "mbox is mailto:"),
            (json!({"agents": [{"name": "Ann"}]}), "exactly one of"),
        ] {
            let refused = app.post("/api/v1/erasures", &json!({"subject": subject})).await.expect(400).text();
            assert!(refused.contains(rule) && !refused.contains("ann@"), "{refused}");
        }
        let nobody = json!({"tenantId": "00000000-0000-4000-8000-0000000000ff", "subject": {"agents": [{"mbox": ANN}]}});
        app.post("/api/v1/erasures", &nobody).await.expect(404);
        app.post("/api/v1/erasures", &json!({"subject": {"userId": "u"}, "mentions": "burn"})).await.expect(400);
        app.post("/api/v1/erasures", &json!({"subject": {"userId": "u"}, "plan": "0".repeat(64)})).await.expect(409);
        app.get("/api/v1/erasures/00000000-0000-4000-8000-0000000000ff").await.expect(404);
        let unknown = erase(&app, &by_mbox("mailto:nobody@example.com")).await;
        assert_eq!((&unknown["state"], &unknown["counts"]), (&json!("erased"), &json!({})), "{unknown}");
        assert_eq!(found(&app, &[]).await, [id(1)]);
    }
}
