//! A database of lrsql as a source: everything comes, nothing twice and nothing is lost after a kill; what cannot be taken is named.

mod source;

use std::fs;

use serde_json::{Value, json};

use super::{Desk, count};
use crate::support::{
    app::{Answer, TestApp, send},
    http, patience,
    pg::TestDatabase,
    process::Process,
};
use source::{API_KEY, API_SECRET, CREDENTIAL, Lrsql, MANY, id, statement};

/// What is asked with the credential that came from lrsql.
async fn get(app: &TestApp, resource: &str, parameters: &[(&str, &str)]) -> Answer {
    let request = http::client().get(format!("{}/xapi{resource}", app.url)).basic_auth(API_KEY, Some(API_SECRET));
    send(request.header("X-Experience-API-Version", "1.0.3").query(parameters)).await
}

const PULL: &str = "data lrsql --database @/lrsql.url --tenant acme --cursor @/cursor --page 100 --per-second 500";

/// A tenant that waits for what lrsql has.
fn desk(db: &TestDatabase, source: &Lrsql) -> Desk {
    let desk = Desk::new();
    desk.done(db, "tenants create acme");
    fs::write(desk.path("lrsql.url"), format!("{}\n", source.url())).unwrap();
    desk
}

on_each_server! {
    async fn what_lrsql_has_comes_whole_and_once(db: TestDatabase) {
        let source = Lrsql::filled(db.server()).await;
        let desk = desk(&db, &source);
        let plan = desk.done(&db, PULL);
        assert_eq!((&plan["plan"]["statements"], &plan["plan"]["voided"], &plan["plan"]["attachments"]), (&json!(MANY), &json!(1), &json!(3)), "{plan}");
        assert_eq!(plan["plan"]["documents"], json!({"state": 3, "agentProfile": 1, "activityProfile": 1}));
        let keys = plan["plan"]["credentials"].as_array().unwrap();
        assert_eq!((keys.len(), &keys[0]["apiKey"], &keys[0]["scopes"], &keys[0]["keepsAuthority"]), (3, &json!(API_KEY), &json!(["all"]), &json!(true)), "{plan}");
        assert_eq!((&keys[1]["scopes"], &keys[1]["without"], &keys[2]["scopes"]), (&json!(["statements/write"]), &json!(["agents_profile"]), &json!([])), "{plan}");
        let eyes = db.superuser().await;
        assert_eq!((count(&eyes, "ledger.statement_ids").await, desk.path("cursor").exists()), (0, false), "a plan does nothing");

        let done = desk.done(&db, &format!("{PULL} --credentials --apply"));
        assert_eq!((&done["done"]["taken"]["new"], &done["done"]["taken"]["moved"], &done["done"]["attachments"]), (&json!(MANY), &json!(MANY / 3 * 2), &json!(2)), "{done}");
        assert_eq!((&done["compared"]["equal"], &done["compared"]["statements"], &done["compared"]["late"]), (&json!(true), &json!(MANY), &json!(0)), "{done}");
        let months: Vec<&Value> = done["compared"]["months"].as_array().unwrap().iter().map(|one| &one["month"]).collect();
        assert_eq!(months, ["2025-11", "2025-12", "2026-01"], "{done}");
        assert_eq!((&done["done"]["documents"]["put"], &done["done"]["documents"]["equal"], &done["done"]["documents"]["different"]), (&json!(5), &json!(5), &json!([])), "{done}");
        let states: Vec<&Value> = done["credentials"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
        assert_eq!(states, ["made", "made", "cannot be made: scopes: name at least one"], "{done}");
        assert!(!fs::read_to_string(desk.path("cursor")).unwrap().contains("postgres"), "no password in it");
        desk.done(&db, "data validate --tenant acme");
        desk.done(&db, "projections verify");
        let stored = format!("ledger.statements WHERE id = '{}' AND stored = '2025-11-20T00:00:00Z'", id(0));
        assert_eq!(count(&eyes, &stored).await, 1);
        assert_eq!(count(&eyes, "platform.audit WHERE action = 'data.pull'").await, 1);
        assert_eq!(count(&eyes, "platform.credentials WHERE secret_hash LIKE '$argon2id$%' AND api_key LIKE 'lrsql%'").await, 2);

        let again = desk.done(&db, &format!("{PULL} --credentials --apply"));
        assert_eq!((&again["done"]["taken"]["new"], &again["compared"]["equal"]), (&json!(0), &json!(true)), "{again}");
        assert!(again["done"]["read"].as_i64() < Some(MANY / 2), "from the cursor on: {again}");
        assert_eq!((&again["done"]["documents"]["put"], &again["credentials"][0]["state"]), (&json!(0), &json!("there")), "{again}");
        let all = desk.done(&db, &format!("{} --apply", PULL.replace(" --cursor @/cursor", "")));
        assert_eq!((&all["done"]["taken"]["new"], &all["done"]["taken"]["same"], &all["done"]["read"], &all["done"]["attachments"]), (&json!(0), &json!(MANY), &json!(MANY), &json!(0)), "{all}");
        assert_eq!((count(&eyes, "ledger.statements").await, count(&eyes, "ledger.documents").await), (MANY, 5));

        // Who spoke to lrsql speaks here with the same key, and finds what was there.
        let app = TestApp::start(db).await;
        let one = get(&app, "/statements", &[("statementId", &id(9).to_string())]).await.expect(200).json();
        assert_eq!((&one["authority"], &one["stored"]), (&statement(9)["authority"], &json!("2025-11-20T00:45:00.000000Z")), "{one}");
        get(&app, "/statements", &[("statementId", &id(10).to_string())]).await.expect(404);
        let voided = get(&app, "/statements", &[("voidedStatementId", &id(10).to_string())]).await.expect(200).json();
        assert_eq!(voided["id"], json!(id(10)));
        let about = get(&app, "/statements", &[("agent", r#"{"mbox":"mailto:l4@x.example"}"#), ("limit", "500")]).await.expect(200).json();
        assert!(about["statements"].as_array().unwrap().iter().any(|one| one["id"] == json!(id(12))), "through what it refers to: {about}");
        let attached = get(&app, "/statements", &[("statementId", &id(13).to_string()), ("attachments", "true")]).await.expect(200);
        assert!(attached.text().contains("bytes of a certificate"), "{}", attached.text());
        let agent = r#"{"account":{"homePage":"http://x.example","name":"ann@x.example"}}"#;
        let state = get(&app, "/activities/state", &[("activityId", "http://x.example/1"), ("stateId", "bookmark"), ("agent", agent)]).await.expect(200);
        assert_eq!((state.text().as_str(), state.header("Content-Type"), state.header("Last-Modified")), ("page 7", "text/plain", "Thu, 01 Jan 2026 10:00:00 GMT"));
        let registration = "99990000-0000-4000-8000-000000000001";
        let other = get(&app, "/activities/state", &[("activityId", "http://x.example/1"), ("stateId", "bookmark"), ("agent", agent), ("registration", registration)]).await.expect(200);
        assert_eq!(other.text(), "page 9");
        let profile = get(&app, "/agents/profile", &[("profileId", "likes"), ("agent", r#"{"mbox":"mailto:l1@x.example"}"#)]).await.expect(200);
        assert_eq!((profile.json(), profile.header("Content-Type")), (json!({"tea": true}), "application/json"));
        assert_eq!(get(&app, "/activities/profile", &[("profileId", "p"), ("activityId", "http://x.example/2")]).await.expect(200).body, [0, 255]);
        // Its authority is the one that its statements had there.
        let sent = http::client().post(format!("{}/xapi/statements", app.url)).basic_auth(API_KEY, Some(API_SECRET));
        let new = json!({"id": id(9_000_000), "actor": {"mbox": "mailto:new@x.example"}, "verb": {"id": "http://x.example/did"}, "object": {"id": "http://x.example/1"}});
        send(sent.header("X-Experience-API-Version", "1.0.3").json(&new)).await.expect(200);
        let new = get(&app, "/statements", &[("statementId", &id(9_000_000).to_string())]).await.expect(200).json();
        assert_eq!(new["authority"]["account"]["name"], json!(CREDENTIAL), "{new}");
    }

    async fn what_comes_there_late_is_found(db: TestDatabase) {
        let source = Lrsql::filled(db.server()).await;
        let desk = desk(&db, &source);
        let pull = format!("{PULL} --apply");
        desk.done(&db, &pull);
        let eyes = db.superuser().await;
        // Committed after its key was passed by: a little before the last, long before it, and behind it.
        let (little, long, behind) = (MANY - 6, 30, MANY + 6);
        source.put(&[late(little, 1), late(behind, 2)]).await;
        let more = desk.done(&db, &format!("{pull} --no-compare --overlap 3600"));
        assert_eq!((&more["done"]["taken"]["new"], &more["compared"]), (&json!(2), &Value::Null), "{more}");
        source.put(&[late(long, 3)]).await;
        let document = "UPDATE state_document SET contents = 'page 8', content_length = 6, last_modified = last_modified + interval '90 days' WHERE state_id = 'bookmark' AND registration IS NULL";
        source.eyes.batch_execute(document).await.unwrap();
        let more = desk.done(&db, &pull);
        assert_eq!((&more["done"]["taken"]["new"], &more["compared"]["late"], &more["compared"]["equal"]), (&json!(1), &json!(1), &json!(true)), "{more}");
        assert_eq!((&more["done"]["documents"]["read"], &more["done"]["documents"]["put"]), (&json!(4), &json!(1)), "{more}");
        assert_eq!(count(&eyes, "ledger.statements").await, MANY + 3);
        desk.done(&db, "data validate --tenant acme");

        // What was written here since is not written over, and what is other here than there is told.
        eyes.batch_execute("UPDATE ledger.documents SET content = 'page 1', updated_at = '2026-06-01' WHERE document_id = 'bookmark' AND registration IS NULL").await.unwrap();
        eyes.batch_execute(&format!("ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only;
            UPDATE ledger.statements SET payload = replace(payload, 'x.example', 'y.example') WHERE id = '{}';
            ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_append_only", id(20))).await.unwrap();
        let (code, said, errors) = desk.run(&db, &pull.replace(" --cursor @/cursor", ""));
        assert_eq!((code, &said["compared"]["equal"], &said["done"]["documents"]["newer"]), (Some(4), &json!(false), &json!(1)), "{said} {errors}");
        let told = &said["compared"]["differences"][0];
        assert_eq!((&told["different"], &told["month"], &told["onlyLeft"]), (&json!([id(20)]), &json!("2025-11"), &json!([])), "{said}");
    }

    async fn what_cannot_be_taken_is_named(db: TestDatabase) {
        let source = Lrsql::filled(db.server()).await;
        let desk = desk(&db, &source);
        let pull = format!("{PULL} --apply");
        // Another database, none at all, the wrong password, a login that may not, a file that is none.
        let refused = |url: String, words: &[&str]| {
            fs::write(desk.path("lrsql.url"), &url).unwrap();
            let why = desk.refused(&db, &pull);
            assert!(words.iter().all(|word| why.contains(word)), "{words:?}: {why}");
            let is_told = why.contains("hunter2") || url.contains('@') && why.contains(&url);
            assert!(!is_told, "the password is told: {why}");
        };
        refused(db.service_url(), &[db.name(), "it is none of lrsql: there is no table xapi_statement, attachment"]);
        refused("postgres://me:hunter2@127.0.0.1:9/lrsql".to_owned(), &["lrsql's database", "cannot be reached"]);
        refused(source.url_with("hunter2"), &["lrsql's database", "password authentication failed"]);
        refused("postgres://me:hunter2@[nowhere".to_owned(), &["cannot be parsed (it is not shown here)"]);
        refused("lrsql".to_owned(), &["one line postgres://user:password@host:5432/lrsql was expected"]);
        source.closed("attachment").await;
        refused(source.url(), &["this login may not read attachment"]);
        source.open("attachment").await;
        source.closed("lrs_credential").await;
        assert!(desk.refused(&db, &format!("{PULL} --credentials")).contains("may not read lrs_credential"));
        assert_eq!(desk.done(&db, PULL)["plan"]["credentials"], Value::Null);

        // A payload that is no statement, and one with another id. What was before it comes, but for bytes that are not what they say.
        source.eyes.batch_execute("UPDATE attachment SET contents = 'other bytes' WHERE id = (SELECT id FROM attachment ORDER BY id DESC LIMIT 1)").await.unwrap();
        for (n, wrong, words) in [
            (MANY + 10, json!({"verb": {"id": "no iri"}}), ["/verb/id", "["]),
            (MANY + 11, json!({"id": id(5_000_000)}), ["its payload has the id", "[id]"]),
        ] {
            let mut bad = statement(n);
            bad.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            source.put(&[(n, n, bad)]).await;
            let why = desk.refused(&db, &pull);
            assert!(why.contains(&format!("xapi_statement {}", id(n))) && words.iter().all(|word| why.contains(word)), "{words:?}: {why}");
            source.eyes.batch_execute(&format!("DELETE FROM xapi_statement WHERE statement_id = '{}'", id(n))).await.unwrap();
        }
        let (code, said, errors) = desk.run(&db, &pull);
        let difference = &said["compared"]["differences"][0];
        assert_eq!((code, &said["done"]["taken"]["same"], &said["done"]["brokenAttachments"]), (Some(4), &json!(MANY), &json!(1)), "{said} {errors}");
        assert_eq!((&difference["kind"], difference["onlyLeft"].as_array().map(Vec::len)), (&json!("attachments"), Some(1)), "{said}");
        // Another statement has the id here.
        let mut other = statement(5);
        other["verb"]["id"] = json!("http://x.example/other");
        source.eyes.batch_execute(&format!("DELETE FROM xapi_statement WHERE statement_id = '{}'", id(5))).await.unwrap();
        source.put(&[(5, 5, other)]).await;
        let why = desk.refused(&db, &pull.replace(" --cursor @/cursor", ""));
        assert!(why.contains(&format!("statement {}: another statement has this id already", id(5))), "{why}");
        desk.done(&db, "tenants create other");
        fs::write(desk.path("cursor"), json!({"database": "other", "tenant": id(1), "after": id(1), "documents": null}).to_string()).unwrap();
        assert!(desk.refused(&db, &pull).contains("it is of a pull from other into"));
    }
}

/// A statement with the key of one place, under an id of its own.
fn late(place: i64, n: i64) -> (i64, i64, Value) {
    let mut one = statement(place);
    one["id"] = json!(id(7_000_000 + n));
    (place, 7_000_000 + n, one)
}

on_the_newest_server! {
    async fn who_is_killed_while_taking_goes_on(db: TestDatabase) {
        let source = Lrsql::filled(db.server()).await;
        let total = 11_000;
        source.more(total).await;
        let desk = desk(&db, &source);
        let pull = format!("{} --apply", PULL.replace("--page 100", "--page 500"));
        let eyes = db.superuser().await;
        // Before anything is noted, and after.
        for is_noted in [false, true] {
            let mut process = Process::start(desk.command(&db, &pull));
            patience::until("some of it is taken", async || {
                let is_there = if is_noted { desk.path("cursor").exists() } else { count(&eyes, "ledger.statement_ids").await >= 500 };
                if is_there || !process.is_running() { Ok(()) } else { Err(is_noted) }
            }).await;
            process.kill();
        }
        let done = desk.done(&db, &pull);
        assert!(done["done"]["read"].as_i64() < Some(total), "it went on from the cursor: {done}");
        assert_eq!((&done["compared"]["equal"], &done["compared"]["statements"]), (&json!(true), &json!(total)), "{done}");
        assert_eq!(count(&eyes, "ledger.statements").await, total);
        desk.done(&db, "data validate --tenant acme");
    }
}
