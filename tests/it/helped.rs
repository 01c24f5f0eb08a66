//! What stays compatible over HTTP, who calls, and what is given to somebody who helps: without anything that is anybody's.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, send},
    patience,
    process::command,
};

const OLD: &str = "/api/v1/admin/migrations/run";
const NEW: &str = "/api/v1/admin/migrations/runs";

async fn metrics(app: &TestApp) -> String {
    send(app.anonymous(reqwest::Method::GET, "/metrics")).await.expect(200).text()
}

fn variables(app: &TestApp) -> BTreeMap<String, String> {
    app.variables([("PROGRESS_BOOTSTRAP_CREDENTIAL", "needle-key:needle-secret".to_owned())])
}

/// The entries of a zip whose entries are stored as they are, by name: read by its list at the end, as any program reads it.
fn unzipped(path: &Path) -> BTreeMap<String, String> {
    let program = "import json, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); \
                   print(json.dumps({n: z.read(n).decode() for n in z.namelist()}))";
    let output = std::process::Command::new("python3").args(["-c", program]).arg(path).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

on_the_newest_server! {
    async fn a_path_that_was_renamed_is_answered_by_its_old_name_for_half_a_year_and_says_so(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let dry = json!({"dry_run": true});
        let mut places = Vec::new();
        for (path, is_old) in [(NEW, false), (OLD, true)] {
            let answer = app.post(path, &dry).await.expect(202);
            assert_eq!(answer.header("deprecation"), if is_old { "@1795824000" } else { "" }, "{path}");
            assert_eq!(answer.header("sunset"), if is_old { "Fri, 28 May 2027 00:00:00 GMT" } else { "" });
            assert_eq!(answer.header("link"), if is_old { format!("<{NEW}>; rel=\"successor-version\"") } else { String::new() });
            let place = answer.header("location").to_owned();
            assert!(place.starts_with(&format!("{NEW}/")), "{place}");
            let over = async || {
                let run = app.get(&place).await.expect(200).json();
                if run["state"] == "succeeded" { Ok(()) } else { Err(run.to_string()) }
            };
            patience::until("the rehearsal", over).await;
            places.push(place);
        }
        assert_ne!(places[0], places[1]);
        // Who may not do it by the new name may not by the old one.
        send(app.anonymous(reqwest::Method::POST, OLD).json(&dry)).await.expect(401);
        let said = metrics(&app).await;
        assert!(said.contains(&format!("progress_http_old_names_total{{old=\"{OLD}\"}} 2")), "{said}");
        let described = send(app.anonymous(reqwest::Method::GET, "/api/v1/openapi.json")).await.expect(200).json();
        assert_eq!(described["paths"][OLD]["post"]["deprecated"], true);
        assert_eq!(described["paths"][NEW]["post"]["deprecated"], Value::Null);
    }

    async fn whoever_calls_with_a_key_is_counted_by_program_and_version(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for agent in ["lms-of-ours/4.2.1 (linux)", "lms-of-ours/4.2.9", "ann@example.com"] {
            let request = app.request(reqwest::Method::GET, "/api/v1/verbs").header("User-Agent", agent);
            send(request).await.expect(200);
        }
        send(app.anonymous(reqwest::Method::GET, "/api/v1/verbs").header("User-Agent", "stranger/1.0")).await.expect(401);
        let said = metrics(&app).await;
        assert!(said.contains("progress_http_clients_total{client=\"lms-of-ours\",version=\"4.2\"} 2"), "{said}");
        assert!(said.contains("progress_http_clients_total{client=\"other\",version=\"\"} 1"), "{said}");
        assert!(!said.contains("ann@example.com") && !said.contains("stranger"), "{said}");
    }

    async fn a_bundle_tells_what_helps_and_nothing_that_is_anybodys(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // Needles: where a person, a secret or a text of theirs could come from.
        let statement = json!({"id": "00000000-0000-4000-8000-00000000a11c",
            "actor": {"mbox": "mailto:needle-person@example.com", "name": "Needle Person"},
            "verb": {"id": "http://example.com/needle-verb"}, "object": {"id": "http://example.com/needle-activity"}});
        app.post_statements(&statement).await.expect(200);
        app.post("/api/v1/admin/tenants", &json!({"name": "needle-tenant"})).await.expect(201);
        let made = app.post("/api/v1/admin/credentials", &json!({"scopes": ["all"], "label": "needle-label"})).await.expect(201).json();
        let key = made["apiKey"].as_str().unwrap().to_owned();
        let client = app.db.superuser().await;
        client.batch_execute("INSERT INTO platform.jobs (job_id, kind, state, requested_by, request, error, outcome, finished_at)
            VALUES ('00000000-0000-4000-8000-0000000000b1', 'erasure.run', 'failed', 'needle-operator', '{\"who\": \"needle-subject\"}',
                    'no agent mailto:needle-mail@example.com and no ''needle-quote'' at http://needle-host/x', '{\"a\": \"needle-outcome\"}', now());
            INSERT INTO ledger.schema_migration_attempts (migration_name, action, done_by, approved_by, outcome, detail, finished_at)
            VALUES ('100_x.sql', 'up', 'needle-runner', 'needle-approver', 'failed', '23505: Key (name)=(needle-row) exists', now())").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("help.zip");
        let (path, url) = (file.to_string_lossy().into_owned(), format!("{}/metrics", app.url));
        let bundle = |arguments: &[&str]| {
            let output = command(&[&["system", "bundle", path.as_str()], arguments].concat(), &variables(&app)).output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, said, why) = bundle(&["--metrics", &url, "--json"]);
        assert_eq!(code, Some(0), "{why}");
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["parts"].as_object().unwrap().len(), 8);
        let mut whole = Vec::new();
        std::fs::File::open(&file).unwrap().read_to_end(&mut whole).unwrap();
        let whole = String::from_utf8_lossy(&whole);
        let passwords: Vec<String> = [app.db.service_url(), app.db.owner_url()]
            .iter()
            .map(|url| url::Url::parse(url).unwrap().password().unwrap().to_owned())
            .collect();
        for needle in ["needle", "Needle", "a11c", key.as_str()].into_iter().chain(passwords.iter().map(String::as_str)) {
            let at = whole.find(needle);
            assert!(at.is_none(), "{needle}: {:?}", at.map(|at| &whole[at.saturating_sub(200)..(at + 60).min(whole.len())]));
        }
        let parts = unzipped(&file);
        let json = |name: &str| serde_json::from_str::<Value>(&parts[name]).unwrap();
        assert_eq!(json("versions.json")["program"], env!("CARGO_PKG_VERSION"));
        assert!(parts["configuration.txt"].contains("database.url = [redacted]"), "{}", parts["configuration.txt"]);
        assert!(parts["metrics.txt"].contains("progress_http_requests_total"));
        assert_eq!(json("migrations.json")["tried"][0]["code"], "23505");
        assert_eq!(json("migrations.json")["pending"], 0);
        let failed = json("jobs.json")[0].clone();
        assert_eq!((&failed["kind"], &failed["state"]), (&json!("erasure.run"), &json!("failed")));
        assert!(failed["error"].as_str().unwrap().starts_with("no agent …"), "{failed}");
        assert!(json("checks.json").as_array().unwrap().iter().any(|line| line["name"] == "tenant-isolation"));
        // What is there is not written over, and a service that is away is no reason to say nothing.
        let (code, _, why) = bundle(&[]);
        assert!(code == Some(1) && why.contains("cannot be made"), "{why}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(bundle(&["--metrics", "http://127.0.0.1:1/metrics"]).0, Some(0));
        assert!(unzipped(&file)["metrics.txt"].starts_with("# none: "));
    }
}
