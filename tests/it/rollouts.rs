//! Rollouts: what is worse is taken back by itself, what is not goes on, and what nobody knows holds and says so.

mod paused;

use std::{collections::BTreeMap, path::Path};

use progress_service::model::TenantId;
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, send},
    patience,
    pg::TestDatabase,
    process::command,
};

fn statement() -> Value {
    json!({"actor": {"mbox": "mailto:ada@example.com"}, "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
           "object": {"id": "http://example.com/a"}})
}

/// A service with a second tenant, `pilot`, and the command line beside it.
struct Stage {
    app: TestApp,
    key: String,
    secret: String,
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Stage {
    async fn set(db: TestDatabase) -> Self {
        let app = TestApp::start(db).await;
        let tenant = app.post("/api/v1/admin/tenants", &json!({"name": "pilot"})).await.expect(201).json();
        let path = format!("/api/v1/admin/credentials?tenantId={}", tenant["id"].as_str().unwrap());
        let made = app.post(&path, &json!({"scopes": ["all"]})).await.expect(201).json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let (key, secret) = (text("apiKey"), text("secret"));
        let variables = app.variables([]);
        Self { app, key, secret, folder: tempfile::tempdir().unwrap(), variables }
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
        let output = command(&[&["rollout"], arguments, &["--json"]].concat(), &self.variables).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).expect(&errors)).collect(), errors)
    }

    fn file(&self, text: &str) -> String {
        let path = self.folder.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn begin(&self, text: &str) {
        let file = self.file(text);
        let (code, planned, why) = self.run(&["plan", &file]);
        assert_eq!(code, Some(0), "{planned:?} {why}");
        let digest = planned[0]["digest"].as_str().unwrap();
        let (code, begun, why) = self.run(&["start", &file, "--plan", digest, "--by", "ann"]);
        assert_eq!((code, &begun[0]["state"]), (Some(0), &json!("running")), "{why}");
    }

    fn status(&self) -> Value {
        self.run(&["status"]).1[0].clone()
    }

    async fn pilot(&self, method: reqwest::Method) -> Answer {
        let request = self.app.anonymous(method.clone(), "/xapi/statements").basic_auth(&self.key, Some(&self.secret));
        let request = request.header("X-Experience-API-Version", "1.0.3");
        send(if method == reqwest::Method::POST { request.json(&statement()) } else { request }).await
    }

    /// Both tenants write and read, until the rollout is in this state.
    async fn under_load_until(&self, state: &str) -> Value {
        let look = async || {
            for _ in 0..40 {
                self.pilot(reqwest::Method::POST).await;
                self.pilot(reqwest::Method::GET).await;
                self.app.post_statements(&statement()).await.expect(200);
                self.app.get_statements(&[]).await.expect(200);
            }
            let now = self.status();
            if now["state"] == state { Ok(now) } else { Err(now) }
        };
        patience::until(state, look).await
    }
}

fn switched(flag: &str, value: &str, bake: &str) -> String {
    format!(
        r#"
format = 1
name = "a-change"
about = "a change for pilots, then for everybody"
[watch]
slow = "20s"
tolerance = 0.2
[[steps]]
name = "pilots"
kind = "switch"
flag = "{flag}"
value = "{value}"
pilots = ["pilot"]
bake = "{bake}"
[[steps]]
name = "everybody"
kind = "switch"
flag = "{flag}"
value = "{value}"
bake = "{bake}"
needs = ["pilots"]
[[steps]]
name = "contract"
kind = "contract"
files = ["platform/026_tenant_settings.sql"]
needs = ["everybody"]
"#
    )
}

async fn in_force(app: &TestApp, name: &str, tenant: Option<TenantId>) -> Option<Value> {
    let sql = "SELECT value FROM platform.flags WHERE name = $1 AND tenant_id IS NOT DISTINCT FROM $2 ORDER BY number DESC LIMIT 1";
    let row = app.db.superuser().await.query_opt(sql, &[&name, &tenant.map(|tenant| tenant.0)]).await.unwrap();
    row.and_then(|row| row.get(0))
}

on_the_newest_server! {
    async fn every_bad_change_is_taken_back_by_itself_and_what_was_written_stays(db: TestDatabase) {
        let stage = Stage::set(db).await;
        for (flag, value) in [("xapi.writes", "off"), ("xapi.reads", "off")] {
            stage.begin(&switched(flag, value, "1h"));
            let ended = stage.under_load_until("rolled_back").await;
            assert!(ended["why"].as_str().unwrap().starts_with("errors: "), "{flag}: {ended}");
            let works = async || {
                let answers = [stage.pilot(reqwest::Method::POST).await.status, stage.pilot(reqwest::Method::GET).await.status];
                if answers.iter().all(|status| *status == 200) { Ok(()) } else { Err(format!("{answers:?}")) }
            };
            patience::until("the pilot works again", works).await;
            let (_, report, _) = stage.run(&["report", "a-change"]);
            let what: Vec<&str> = report[1..].iter().map(|event| event["what"].as_str().unwrap()).collect();
            assert_eq!(what, ["started", "set", "baking", "worse", "rolled_back"], "{flag}: everybody else never saw it");
        }
        let sql = "SELECT count(DISTINCT tenant_id) FROM ledger.statements";
        let tenants: i64 = stage.app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(tenants, 2);
    }

    async fn a_harmless_change_goes_to_everybody_and_its_contract_waits_for_somebody_else(db: TestDatabase) {
        let stage = Stage::set(db).await;
        stage.begin(&switched("xapi.page_default", "50", "1s"));
        let (code, _, why) = stage.run(&["start", &stage.file(&switched("xapi.reads", "on", "1s"))]);
        assert!(code == Some(1) && why.contains("underway"), "{why}");
        let holding = async || {
            let now = stage.under_load_until("holding").await;
            // On its way it may hold because too few requests were made by then.
            if now["why"].as_str().unwrap().contains("somebody else approves") { Ok(now) } else { Err(now) }
        };
        let held = patience::until("the contract", holding).await;
        assert_eq!((&held["step"], in_force(&stage.app, "xapi.page_default", None).await), (&json!(2), Some(json!(50))));
        let (code, _, why) = stage.run(&["advance", "a-change", "--by", "Ann "]);
        assert!(code == Some(1) && why.contains("somebody else"), "{why}");
        let (code, _, why) = stage.run(&["advance", "a-change", "--by", "bob"]);
        assert_eq!(code, Some(0), "{why}");
        let done = async || {
            let now = stage.status();
            if now["state"] == "done" { Ok(now) } else { Err(now) }
        };
        let done = patience::until("done", done).await;
        assert_eq!((&done["askedBy"], &done["approvedBy"]), (&json!("ann"), &json!("bob")));
        let (_, report, _) = stage.run(&["report", "a-change"]);
        let what = report[1..].iter().map(|event| event["what"].as_str().unwrap()).filter(|what| *what != "holds");
        let steps = report[0]["steps"].as_array().unwrap();
        let took = |step: &Value| step["tookSeconds"].as_f64().unwrap() >= step["atLeastSeconds"].as_f64().unwrap_or(0.0);
        assert!(steps.len() == 3 && steps.iter().all(took) && steps[0]["atLeastSeconds"] == 1.0, "{steps:?}");
        assert_eq!(stage.app.get("/api/v1/admin/rollouts/a-change").await.expect(200).json()["steps"], json!(steps.iter().map(|step| {
            let mut step = step.clone();
            step.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            step
        }).collect::<Vec<_>>()));
        let baked = ["set", "baking", "not_worse", "done"];
        let all = [&["started"][..], &baked, &baked, &["needs_approval", "advanced", "done", "ended"]].concat();
        assert_eq!(what.collect::<Vec<_>>(), all);
        assert_eq!(in_force(&stage.app, "xapi.page_default", None).await, Some(json!(50)));
        let (code, _, why) = stage.run(&["abort", "a-change", "--reason", "too late"]);
        assert!(code == Some(1) && why.contains("underway"), "{why}");
    }

    async fn without_requests_nobody_knows_and_a_person_decides(db: TestDatabase) {
        let stage = Stage::set(db).await;
        let own = json!({"value": "30", "tenantId": null, "reason": "before"});
        send(stage.app.request(reqwest::Method::PUT, "/api/v1/admin/flags/xapi.page_default").json(&own)).await.expect(200);
        stage.begin(&switched("xapi.page_default", "50", "1s"));
        let holds = async || {
            let now = stage.status();
            if now["state"] == "holding" { Ok(now) } else { Err(now) }
        };
        let held = patience::until("it holds", holds).await;
        assert!(held["why"].as_str().unwrap().contains("the pilots made 0 of 100 requests"), "{held}");
        assert_eq!(stage.run(&["pause", "a-change"]).1[0]["state"], json!("paused"));
        assert_eq!(stage.run(&["resume", "a-change"]).1[0]["state"], json!("running"));
        patience::until("it holds", holds).await;
        assert_eq!(stage.run(&["advance", "a-change", "--by", "bob"]).0, Some(0));
        let everybody = async || match in_force(&stage.app, "xapi.page_default", None).await {
            Some(value) if value == json!(50) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        patience::until("everybody has it", everybody).await;
        // All of it is taken back, to what it was and not to what is configured.
        let (code, ended, why) = stage.run(&["abort", "a-change", "--reason", "not now", "--by", "bob"]);
        assert_eq!((code, &ended[0]["state"]), (Some(0), &json!("aborted")), "{why}");
        assert_eq!(in_force(&stage.app, "xapi.page_default", None).await, Some(json!(30)));
        for again in ["pause", "resume", "advance"] {
            assert_eq!(stage.run(&[again, "a-change"]).0, Some(1), "{again}");
        }
    }

    async fn a_plan_that_cannot_be_done_or_taken_back_is_never_begun(db: TestDatabase) {
        let stage = Stage::set(db).await;
        let good = switched("xapi.page_default", "50", "1s");
        for (from, to, word) in [
            ("bake = \"1s\"\n", "", "is not baked before it cannot be taken back"),
            ("needs = [\"pilots\"]", "needs = [\"contract\"]", "need each other"),
            ("pilots = [\"pilot\"]", "pilots = [\"nobody\"]", "no tenant \"nobody\""),
            ("flag = \"xapi.page_default\"", "flag = \"xapi.colour\"", "no flag"),
            ("026_tenant_settings", "999_nothing", "no file"),
        ] {
            let file = stage.file(&good.replacen(from, to, 1));
            let (code, planned, _) = stage.run(&["plan", &file]);
            assert!(code == Some(4) && planned[0]["faults"].to_string().replace('\\', "").contains(word), "{word}: {planned:?}");
            let (code, _, why) = stage.run(&["start", &file]);
            assert!(code == Some(1) && why.contains(word), "{word}: {why}");
        }
        let newer = stage.file(&good.replace("format = 1", "format = 2"));
        assert!(stage.run(&["plan", &newer]).2.contains("this release reads up to 1"));
        let other = stage.file(&good);
        assert!(stage.run(&["start", &other, "--plan", "0123"]).2.contains("the plan is not 0123 any more"));
        assert!(stage.run(&["plan", "/nowhere/plan.toml"]).2.contains("cannot be read"));
        assert_eq!(stage.run(&["status"]).0, Some(1), "nothing was begun");
        assert!(Path::new(&other).exists());
    }

    async fn over_http_a_rollout_is_planned_begun_watched_and_taken_back_as_on_the_command_line(db: TestDatabase) {
        let stage = Stage::set(db).await;
        let (app, root) = (&stage.app, "/api/v1/admin/rollouts");
        let text = switched("xapi.page_default", "50", "1h");
        let planned = app.post("/api/v1/admin/rollout-plans", &json!({"plan": text})).await.expect(200).json();
        assert_eq!((&planned["order"], &planned["faults"]), (&json!(["pilots", "everybody", "contract"]), &json!([])));
        let (_, by_command, _) = stage.run(&["plan", &stage.file(&text)]);
        assert_eq!(planned["digest"], by_command[0]["digest"]);
        let wrong = text.replace("pilots = [\"pilot\"]", "pilots = [\"nobody\"]");
        let faults = app.post("/api/v1/admin/rollout-plans", &json!({"plan": wrong})).await.expect(200).json();
        assert!(faults["faults"][0].as_str().unwrap().contains("no tenant \"nobody\""), "{faults}");
        app.post(root, &json!({"plan": wrong})).await.expect(400);
        app.post(root, &json!({"plan": "no plan"})).await.expect(400);
        app.post(root, &json!({"plan": text, "digest": "0123"})).await.expect(409);
        assert_eq!(app.get(root).await.expect(200).json(), json!({"data": []}), "nothing was begun");
        let begun = app.post(root, &json!({"plan": text, "digest": planned["digest"]})).await.expect(201);
        assert_eq!(begun.header("location"), "/api/v1/admin/rollouts/a-change");
        app.post(root, &json!({"plan": text})).await.expect(409);
        let one = |what: &str| format!("{root}/a-change{what}");
        let set = async || {
            let told = app.get(&one("")).await.expect(200).json();
            if told["events"].as_array().unwrap().iter().any(|event| event["what"] == "set") { Ok(told) } else { Err(told) }
        };
        let told = patience::until("the pilots have it", set).await;
        assert_eq!((&told["state"], &told["plan"]["name"]), (&json!("running"), &json!("a-change")));
        app.post(&one("/advance"), &json!({})).await.expect(409);
        app.post(&one("/approve"), &json!({})).await.expect(409);
        assert_eq!(app.post(&one("/pause"), &json!({})).await.expect(200).json()["state"], "paused");
        assert_eq!(app.post(&one("/resume"), &json!({})).await.expect(200).json()["state"], "running");
        app.post(&one("/abort"), &json!({"reason": " "})).await.expect(400);
        let ended = app.post(&one("/abort"), &json!({"reason": "not now"})).await.expect(200).json();
        assert_eq!((&ended["state"], &ended["why"]), (&json!("aborted"), &json!("not now")));
        assert_eq!(stage.status()["state"], "aborted");
        for (method, path) in [("POST", one("/pause")), ("GET", format!("{root}/nobody")), ("POST", format!("{root}/No%20Name/pause")), ("GET", format!("{root}/No%20Name"))] {
            send(app.request(method.parse().unwrap(), &path)).await.expect(404);
        }
        // Operators alone.
        let theirs = app.anonymous(reqwest::Method::GET, root).basic_auth(&stage.key, Some(&stage.secret));
        send(theirs).await.expect(403);
    }
}
