//! `/api/v1/admin/exports`: what belongs to a tenant as a zip that compares equal, for administrators alone, and a few at once.

use progress_service::model::partition::Month;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{ADA, Api, access::key, statement};
use crate::{
    archived::objects,
    lifecycle::{MARCH, fill},
    support::{
        app::{TestApp, send},
        months, patience,
        process::command,
    },
};

const MAKE: &str = "/api/v1/admin/exports";
const PLAN: &str = "/api/v1/admin/exports/plan";

/// What a command says that works beside this service; `@` stands for its folder.
fn done(app: &TestApp, line: &str) -> Value {
    let line = line.replace('@', &app.data().display().to_string());
    let words: Vec<&str> = line.split(' ').chain(["--json"]).collect();
    let output = command(&words, &app.variables([])).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{line}: {said} {}", String::from_utf8_lossy(&output.stderr));
    said.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
}

async fn tenant(app: &TestApp, name: &str) -> String {
    let sql = "SELECT tenant_id::text FROM platform.tenants WHERE name = $1";
    app.db.superuser().await.query_one(sql, &[&name]).await.unwrap().get(0)
}

fn posted(api: &Api, authorization: &str, path: &str, body: &Value) -> RequestBuilder {
    api.app.anonymous(Method::POST, path).header("Authorization", authorization).json(body)
}

/// What the trail says of exports: who, of which tenant, and the detail.
async fn trail(app: &TestApp) -> Vec<(String, String, Value)> {
    let sql =
        "SELECT actor, tenant_id::text, detail FROM platform.audit WHERE action = 'data.export' ORDER BY audit_id";
    let rows = app.db.superuser().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

on_each_server! {
    async fn what_is_exported_compares_equal_archived_months_included(db: TestDatabase) {
        let api = Api::start(db).await;
        done(&api.app, "demo seed --tenants 1 --statements 1500 --months 3 --until 2026-03 --apply");
        for verb in ["partitions seal", "archive run", "archive drop"] {
            done(&api.app, &format!("{verb} --month 2026-02 --apply"));
        }
        let demo = tenant(&api.app, "demo-1").await;
        let plan = api.post(PLAN, &json!({ "tenantId": demo })).await.expect(200).json();
        assert_eq!((plan["kinds"].as_array().unwrap().len(), &plan["tenantId"]), (10, &json!(demo)), "{plan}");
        assert!(plan["statements"].as_i64().is_some(), "{plan}");
        let file = api.app.data().join("out.zip");
        let answer = api.post(MAKE, &json!({ "tenantId": demo, "plan": plan["digest"] })).await.expect(200);
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"export-demo-1.zip\"");
        std::fs::write(&file, &answer.body).unwrap();
        let compared = done(&api.app, "data compare @/out.zip --to current");
        assert_eq!((&compared["equal"], &compared["compared"]["statements"]), (&json!(true), &json!(1500)), "{compared}");
        // The same as the command writes, to the last digest of a month.
        done(&api.app, "data export --tenant demo-1 --output @/folder");
        assert_eq!(done(&api.app, "data compare @/out.zip @/folder")["differences"], json!([]));
        let coming = done(&api.app, "data import --file @/out.zip --dry-run");
        assert_eq!(coming["problemCount"], 0, "{coming}");

        // A part of it: one month, and the attachments that its statements name.
        let part = json!({ "tenantId": demo, "kinds": ["attachments", "statements"], "since": "2026-02-01T00:00:00Z", "until": "2026-02-28T23:59:59.999999Z" });
        let answer = api.post(MAKE, &part).await.expect(200);
        std::fs::write(&file, &answer.body).unwrap();
        let compared = done(&api.app, "data compare @/out.zip --to current");
        let statements = compared["compared"]["statements"].as_u64().unwrap();
        assert!(compared["equal"] == true && (1..1500).contains(&statements), "{compared}");
        let trail = trail(&api.app).await;
        let (last, others) = (&trail[1], &trail[0]);
        assert_eq!((others.0.as_str(), &others.1, &others.2["kinds"][0]), ("key:test-key", &demo, &json!("statements")));
        assert!(trail.len() == 3 && trail.iter().any(|one| one.2["kinds"] == json!(["statements", "attachments"])), "{last:?}");
    }

    async fn only_administrators_export_and_only_their_own_tenant(db: TestDatabase) {
        let api = Api::start(db).await;
        api.store(&[statement(1, ADA, "passed", "e1", "a1")]).await;
        let acme = api.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json()["id"].clone();
        let own = tenant(&api.app, "default").await;
        let theirs = key(&api, &["admin:*"], &format!("?tenantId={}", acme.as_str().unwrap())).await;
        for path in [PLAN, MAKE] {
            let ask = async |authorization: &str, body: Value| api.checked(Method::POST, path, posted(&api, authorization, path, &body)).await;
            ask(&theirs, json!({})).await.expect(200);
            ask(&theirs, json!({ "tenantId": acme })).await.expect(200);
            ask(&theirs, json!({ "tenantId": own })).await.expect(403);
            api.post(path, &json!({ "tenantId": acme })).await.expect(200);
            for scopes in [&["audit:read", "statement:read", "transcript:read"][..], &["all"], &["all/read", "statements/read"]] {
                ask(&key(&api, scopes, "").await, json!({})).await.expect(403);
            }
            ask(&api.token(ADA, "statement:read transcript:read"), json!({})).await.expect(403);
            api.checked(Method::POST, path, api.app.anonymous(Method::POST, path).json(&json!({}))).await.expect(401);
        }
        let trail = trail(&api.app).await;
        let tenants: Vec<&str> = trail.iter().map(|one| one.1.as_str()).collect();
        assert_eq!(tenants, [acme.as_str().unwrap(); 3], "a plan leaves no entry, nor does what was refused");
    }

    async fn what_makes_no_sense_is_named(db: TestDatabase) {
        let api = Api::start(db).await;
        let digest = api.post(PLAN, &json!({})).await.expect(200).json()["digest"].clone();
        for path in [PLAN, MAKE] {
            for (status, body, word) in [
                (404, json!({ "tenantId": "00000000-0000-4000-8000-00000000dead" }), "tenant"),
                (400, json!({ "tenantId": "acme" }), "UUID"),
                (400, json!({ "since": "yesterday" }), "since: expected a moment"),
                (400, json!({ "until": "2026-13-01T00:00:00Z" }), "until: expected a moment"),
                (400, json!({ "since": "-100000-01-01T00:00:00Z" }), "since: expected a moment"),
                (400, json!({ "since": "2026-02-01T00:00:00Z", "until": "2026-02-01T00:00:00Z" }), "later than"),
                (400, json!({ "kinds": [] }), "at least one"),
                (400, json!({ "kinds": ["passwords"] }), "passwords"),
                (400, json!({ "user": ADA }), "user"),
                (409, json!({ "kinds": ["settings"], "plan": digest }), "look at it again"),
            ] {
                let answer = api.post(path, &body).await.expect(status);
                assert!(answer.text().contains(word), "{body}: {}", answer.text());
            }
        }
        assert!(trail(&api.app).await.is_empty());
        api.post(MAKE, &json!({ "plan": digest })).await.expect(200);
    }

    async fn a_node_makes_few_at_once_and_stops_when_nobody_takes_it(db: TestDatabase) {
        let api = Api::start(db).await;
        let exports = api.app.service().rooms.api.exports.clone();
        let places = [exports.place().unwrap(), exports.place().unwrap()];
        let refused = api.post(MAKE, &json!({})).await.expect(503);
        assert!(refused.header("retry-after") == "60" && refused.text().contains("come again"), "{}", refused.text());
        assert!(trail(&api.app).await.is_empty(), "what was not made is not in the trail");
        api.post(PLAN, &json!({})).await.expect(200);
        drop(places);
        api.post(MAKE, &json!({})).await.expect(200);

        // More than lies between two sockets and in the pieces that wait.
        let agent = json!({"mbox": "mailto:ann@example.com"}).to_string();
        for n in 0..24 {
            let query = [("agent", agent.clone()), ("profileId", format!("p{n}"))];
            let request = api.app.xapi(Method::PUT, "/agents/profile").query(&query).header("If-None-Match", "*");
            send(request.header("Content-Type", "text/plain").body("x".repeat(1 << 20))).await.expect(204);
        }
        let mut taken = api.app.request(Method::POST, MAKE).json(&json!({ "kinds": ["documents"] })).send().await.unwrap();
        assert!(taken.status() == 200 && taken.chunk().await.unwrap().is_some());
        let other = exports.place().expect("the second place is free");
        exports.place().expect_err("the first is not, for it is not taken to its end");
        drop((taken, other));
        patience::until("both places", async || {
            let both = (exports.place(), exports.place());
            if both.0.is_ok() && both.1.is_ok() { Ok(()) } else { Err("the export goes on for nobody") }
        }).await;
    }

    async fn an_archived_month_that_cannot_be_read_is_told_before_anything_is_sent(db: TestDatabase) {
        let api = Api::start(db).await;
        fill(&api.app, MARCH, 1, 20).await;
        let march: Month = MARCH.parse().unwrap();
        months::away(&api.app.db, &objects(&api.app), march).await;
        std::fs::remove_dir_all(api.app.data().join("archive")).unwrap();
        let answer = api.post(MAKE, &json!({ "kinds": ["statements"] })).await;
        assert!(answer.status.is_server_error() && answer.header("content-type").contains("problem"), "{}", answer.status);
        // It gave its place back.
        let both = [api.app.service().rooms.api.exports.place(), api.app.service().rooms.api.exports.place()];
        assert!(both.iter().all(Result::is_ok));
    }
}
