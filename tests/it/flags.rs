//! Flags and settings of tenants: set, taken back, known to every node, in the history and in the trail; and bad input.

use std::collections::BTreeMap;

use progress_service::{
    flags::{
        Change, Flags,
        declared::{PAGE, WRITES},
    },
    model::TenantId,
    store::Store,
};
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, send},
    patience,
    process::command,
};

fn statement() -> Value {
    json!({"actor": {"mbox": "mailto:ada@example.com"}, "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
           "object": {"id": "http://example.com/a"}})
}

async fn set(app: &TestApp, name: &str, body: &Value) -> crate::support::app::Answer {
    send(app.request(reqwest::Method::PUT, &format!("/api/v1/admin/flags/{name}")).json(body)).await
}

/// Waits until statements are answered so.
async fn answers(app: &TestApp, status: u16) {
    let ask = async || {
        let now = app.post_statements(&statement()).await.status.as_u16();
        if now == status { Ok(()) } else { Err(now) }
    };
    patience::until("the service knows", ask).await;
}

/// Another tenant with a credential of its own, as key and secret.
async fn other_tenant(app: &TestApp) -> (String, String, String) {
    let tenant = app.post("/api/v1/admin/tenants", &json!({"name": "other"})).await.expect(201).json();
    let id = tenant["id"].as_str().unwrap().to_owned();
    let body = json!({"scopes": ["all", "admin:*"]});
    let made = app.post(&format!("/api/v1/admin/credentials?tenantId={id}"), &body).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (id, text("apiKey"), text("secret"))
}

fn variables(app: &TestApp) -> BTreeMap<String, String> {
    app.variables([])
}

fn run(variables: &BTreeMap<String, String>, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let output = command(&[&["flags"], arguments, &["--json"]].concat(), variables).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).expect(&errors)).collect(), errors)
}

on_each_server! {
    async fn what_is_switched_off_for_a_tenant_is_refused_to_it_alone_until_it_is_switched_on(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (other, key, secret) = other_tenant(&app).await;
        let theirs = async || {
            let request = app.anonymous(reqwest::Method::POST, "/xapi/statements").basic_auth(&key, Some(&secret));
            send(request.header("X-Experience-API-Version", "1.0.3").json(&statement())).await
        };
        theirs().await.expect(200);
        let off = json!({"value": "off", "tenantId": other, "reason": "they move"});
        let made = set(&app, "xapi.writes", &off).await.expect(200).json();
        assert_eq!((&made["value"], &made["tenantId"]), (&json!("off"), &json!(other)));
        let refused = theirs().await.expect(503);
        assert!(refused.text().contains("xapi.writes") && refused.header("retry-after") == "30", "{}", refused.text());
        app.post_statements(&statement()).await.expect(200);
        // Reading is another switch.
        let read = || app.anonymous(reqwest::Method::GET, "/xapi/statements").basic_auth(&key, Some(&secret));
        send(read().header("X-Experience-API-Version", "1.0.3")).await.expect(200);
        set(&app, "xapi.reads", &json!({"value": "off", "tenantId": other, "reason": "x"})).await.expect(200);
        send(read().header("X-Experience-API-Version", "1.0.3")).await.expect(503);
        // Off for everybody, on for one: its own value goes first, also after everybody's was taken back.
        set(&app, "xapi.writes", &json!({"value": "off", "reason": "a fault"})).await.expect(200);
        app.post_statements(&statement()).await.expect(503);
        set(&app, "xapi.writes", &json!({"value": "on", "tenantId": other, "reason": "not theirs"})).await.expect(200);
        theirs().await.expect(200);
        set(&app, "xapi.writes", &json!({"reason": "mended"})).await.expect(200);
        app.post_statements(&statement()).await.expect(200);
        let history = app.get("/api/v1/admin/flags/xapi.writes/history").await.expect(200).json();
        let values: Vec<_> = history["data"].as_array().unwrap().iter().map(|one| one["value"].clone()).collect();
        assert_eq!(values, [json!(null), json!("on"), json!("off"), json!("off")]);
        let trail = "SELECT count(*) FROM platform.audit WHERE action = 'flags.set' AND detail ? 'number'";
        let entries: i64 = app.db.superuser().await.query_one(trail, &[]).await.unwrap().get(0);
        assert_eq!(entries, 5);
    }

    async fn a_page_and_a_rate_are_those_of_the_tenant(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for _ in 0..5 {
            app.post_statements(&statement()).await.expect(200);
        }
        let count = async || app.get_statements(&[]).await.expect(200).json()["statements"].as_array().unwrap().len();
        assert_eq!(count().await, 5);
        let mine = |value: &str| json!({"value": value, "tenantId": TenantId::DEFAULT, "reason": "a test"});
        set(&app, "xapi.page_default", &mine("2")).await.expect(200);
        assert_eq!(count().await, 2);
        let first = app.get_statements(&[]).await.expect(200).json();
        let more = first["more"].as_str().unwrap().to_owned();
        assert_eq!(app.get_more(&more).await.expect(200).json()["statements"].as_array().unwrap().len(), 2);
        set(&app, "limits.rate_per_second", &mine("1")).await.expect(200);
        let mut last = app.get("/api/v1/admin/flags").await;
        // A bucket has a burst of its own before it is empty.
        for _ in 0..1_000 {
            if last.status == 429 {
                break;
            }
            last = app.get("/api/v1/admin/flags").await;
        }
        assert!(last.expect(429).text().contains("1 requests a second"));
    }

    async fn another_node_knows_it_without_being_asked(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let store = Store::open(&app.db.store_settings()).unwrap();
        let elsewhere = Flags::new(&store);
        elsewhere.refresh().await.unwrap();
        assert!(elsewhere.is_on(TenantId::DEFAULT, &WRITES));
        let off = Change { name: "xapi.writes", tenant: None, value: Some(json!(false)), reason: "a test" };
        elsewhere.set(&off, "a test").await.unwrap();
        answers(&app, 503).await;
        // Nothing new costs one small question and changes nothing.
        assert!(!elsewhere.refresh().await.unwrap());
        assert!(!elsewhere.is_on(TenantId::DEFAULT, &WRITES) && elsewhere.number(TenantId::DEFAULT, &PAGE).is_none());
        // One that starts now begins with what is in force.
        let fresh = Flags::new(&store);
        assert!(fresh.refresh().await.unwrap() && !fresh.is_on(TenantId::DEFAULT, &WRITES));
        store.close();
    }

    async fn what_makes_no_sense_and_who_may_not_is_refused_by_name(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (_, key, secret) = other_tenant(&app).await;
        for (name, body, status, word) in [
            ("xapi.colour", json!({"value": "on", "reason": "x"}), 404, "xapi.colour"),
            ("xapi.writes", json!({"value": "7", "reason": "x"}), 400, "on or off"),
            ("xapi.page_default", json!({"value": "0", "reason": "x"}), 400, "from 1 to 10000"),
            ("xapi.writes", json!({"value": "on", "reason": "  "}), 400, "reason"),
            ("xapi.writes", json!({"value": "on", "reason": "x", "tenantId": "00000000-0000-4000-8000-00000000dead"}), 404, "tenant"),
        ] {
            let answer = set(&app, name, &body).await.expect(status);
            assert!(answer.text().contains(word), "{body}: {}", answer.text());
        }
        // An administrator of another tenant sees their own and sets nothing.
        let own = |method, path: &str| app.anonymous(method, path).basic_auth(&key, Some(&secret));
        let seen = send(own(reqwest::Method::GET, "/api/v1/admin/flags")).await.expect(200).json();
        assert_eq!(seen["data"].as_array().unwrap().len(), 4);
        let default = TenantId::DEFAULT;
        send(own(reqwest::Method::GET, &format!("/api/v1/admin/flags?tenantId={default}"))).await.expect(403);
        let body = json!({"value": "off", "reason": "x"});
        send(own(reqwest::Method::PUT, "/api/v1/admin/flags/xapi.writes").json(&body)).await.expect(403);
        // The history is only added to, also by who owns it.
        set(&app, "xapi.writes", &json!({"value": "on", "reason": "x"})).await.expect(200);
        for sql in ["UPDATE platform.flags SET value = 'false'", "DELETE FROM platform.flags", "TRUNCATE platform.flags"] {
            assert!(app.db.superuser().await.batch_execute(sql).await.is_err(), "{sql}");
        }
    }

    async fn clients_of_openfeature_are_told_what_stands_for_a_tenant_and_never_of_another(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (other, key, secret) = other_tenant(&app).await;
        let root = "/api/v1/ofrep/v1/evaluate/flags";
        let of = |tenant: &str| json!({"context": {"targetingKey": tenant, "colour": "red"}});
        set(&app, "xapi.page_default", &json!({"value": "60", "tenantId": other, "reason": "a test"})).await.expect(200);
        set(&app, "xapi.reads", &json!({"value": "on", "reason": "a test"})).await.expect(200);
        let one = async |name: &str, body: &Value| app.post(&format!("{root}/{name}"), body).await.expect(200).json();
        let own = json!({"key": "xapi.page_default", "value": 60, "reason": "TARGETING_MATCH", "variant": "60"});
        assert_eq!(one("xapi.page_default", &of(&other)).await, own);
        let configured = json!({"key": "xapi.page_default", "reason": "DEFAULT", "variant": "configured"});
        assert_eq!(one("xapi.page_default", &json!({})).await, configured);
        let shared = json!({"key": "xapi.reads", "value": true, "reason": "STATIC", "variant": "on"});
        assert_eq!(one("xapi.reads", &of(&other)).await, shared);
        let all = app.post(root, &of(&other)).await.expect(200).json();
        assert!(all["flags"].as_array().unwrap().len() == 4 && all["flags"].as_array().unwrap().contains(&own), "{all}");
        for (path, body, status, code) in [
            ("/xapi.colour", json!({}), 404, "FLAG_NOT_FOUND"),
            ("/xapi.reads", of("nobody"), 400, "INVALID_CONTEXT"),
            ("", json!({"context": {"targetingKey": 7}}), 400, "INVALID_CONTEXT"),
            ("/xapi.reads", of("00000000-0000-4000-8000-00000000dead"), 404, "FLAG_NOT_FOUND"),
        ] {
            let answer = app.post(&format!("{root}{path}"), &body).await.expect(status);
            let told = answer.json();
            assert!(told["errorCode"] == code && told["errorDetails"] == told["detail"], "{told}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
        // An administrator of a tenant asks for nobody else.
        let theirs = |body: &Value| send(app.anonymous(reqwest::Method::POST, root).basic_auth(&key, Some(&secret)).json(body));
        assert!(theirs(&json!({})).await.expect(200).json()["flags"].as_array().unwrap().contains(&own));
        theirs(&of(&TenantId::DEFAULT.0.to_string())).await.expect(403);
    }
}

on_the_newest_server! {
    async fn flags_at_the_command_line(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let variables = variables(&app);
        let (code, all, why) = run(&variables, &["list"]);
        assert_eq!((code, all.len()), (Some(0), 4), "{why}");
        let writes = |lines: &[Value]| lines.iter().find(|one| one["name"] == "xapi.writes").unwrap().clone();
        assert_eq!((&writes(&all)["value"], &writes(&all)["from"]), (&json!("on"), &json!("default")));
        let off = ["set", "xapi.writes", "off", "--tenant", "default", "--reason", "a fault", "--by", "ann"];
        let (code, set, why) = run(&variables, &off);
        assert_eq!((code, &set[0]["value"], &set[0]["from"]), (Some(0), &json!("off"), &json!("tenant")), "{why}");
        // Every node knows it soon.
        answers(&app, 503).await;
        assert_eq!(run(&variables, &["unset", "xapi.writes", "--tenant", "default", "--reason", "mended"]).0, Some(0));
        answers(&app, 200).await;
        let (_, changes, _) = run(&variables, &["history", "xapi.writes"]);
        assert_eq!((changes.len(), &changes[1]["setBy"], &changes[0]["value"]), (2, &json!("ann"), &json!(null)));
        for (bad, word) in [
            (&["set", "xapi.colour", "on", "--reason", "x"][..], "no flag \"xapi.colour\""),
            (&["set", "xapi.writes", "7", "--reason", "x"], "on or off"),
            (&["set", "xapi.writes", "on", "--reason", ""], "a reason has"),
            (&["history", "xapi.colour"], "no flag"),
            (&["list", "--tenant", "nobody"], "no such tenant"),
        ] {
            let (code, _, why) = run(&variables, bad);
            assert!(code == Some(1) && why.contains(word), "{bad:?}: {why}");
        }
    }
}
