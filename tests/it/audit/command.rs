//! `audit …` at the command line, beside a service that runs: exit codes, files, and a receipt that is checked without a database.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::support::{app::TestApp, background, process::command};

fn run(variables: &BTreeMap<String, String>, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(arguments, variables).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

on_each_server! {
    async fn an_auditor_looks_proves_and_prints(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post("/api/v1/admin/tenants", &serde_json::json!({"name": "acme"})).await.expect(201);
        app.stop_loops().await;
        let data = tempfile::tempdir().unwrap();
        let variables = app.variables([]);
        let (code, entries, why) = run(&variables, &["audit", "entries", "--action", "tenant.create", "--json"]);
        assert_eq!(code, Some(0), "{why}");
        let entry: Value = serde_json::from_str(entries.lines().next().unwrap()).unwrap();
        let id = entry["id"].to_string();
        let (receipt, pdf, state) = (data.path().join("receipt.json"), data.path().join("receipt.pdf"), data.path().join("state"));
        let (code, _, why) = run(&variables, &["audit", "receipt", &id, "--pdf", path(&pdf), "--output", path(&receipt)]);
        assert_eq!(code, Some(0), "{why}");
        let text = std::process::Command::new("pdftotext").args(["-layout", path(&pdf), "-"]).output().unwrap();
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.contains("Receipt") && text.contains("tenant.create") && text.contains("How to check this"), "{text}");
        let (_, key, _) = run(&variables, &["audit", "key"]);
        // Without any configuration.
        let nothing = BTreeMap::new();
        let (code, said, _) = run(&nothing, &["audit", "check", path(&receipt), "--key", key.trim()]);
        assert!(code == Some(0) && said.starts_with("it holds") && said.contains("tenant.create"), "{said}");
        let forged = std::fs::read_to_string(&receipt).unwrap().replace("tenant.create", "tenant.remove");
        std::fs::write(&receipt, forged).unwrap();
        let (code, said, _) = run(&nothing, &["audit", "check", path(&receipt), "--key", key.trim()]);
        assert!(code == Some(4) && said.contains("the entry is not in the tree"), "{said}");
        let (code, _, why) = run(&nothing, &["audit", "check", path(&receipt), "--key", "x"]);
        assert!(code == Some(1) && why.contains("expected name+id+key"), "{why}");

        let (code, proof, _) = run(&variables, &["audit", "proof", &id]);
        assert!(code == Some(0) && proof.starts_with("c2sp.org/tlog-proof@v1\nindex "), "{proof}");
        let (code, _, why) = run(&variables, &["audit", "proof", "4711"]);
        assert!(code == Some(1) && why.contains("there is no entry 4711"), "{why}");
        let (_, checkpoint, _) = run(&variables, &["audit", "checkpoint"]);
        assert!(checkpoint.starts_with("progress-service/"), "{checkpoint}");
        let (_, anchors, _) = run(&variables, &["audit", "anchors"]);
        assert!(anchors.contains("objects"), "{anchors}");

        let (code, said, why) = run(&variables, &["audit", "verify", "--state", path(&state), "--key", key.trim()]);
        assert!(code == Some(0) && said.contains("all as it was signed"), "{said}{why}");
        let (code, said, _) = run(&variables, &["audit", "verify", "--state", path(&state), "--json"]);
        let report: Value = serde_json::from_str(&said).unwrap();
        assert!(code == Some(0) && report["from"] == report["size"], "{said}");
        let superuser = app.db.superuser().await;
        superuser.batch_execute("ALTER TABLE platform.audit DISABLE TRIGGER USER; UPDATE platform.audit SET actor = 'somebody else'
                                 WHERE action = 'tenant.create'").await.unwrap();
        let (code, said, _) = run(&variables, &["audit", "verify"]);
        assert!(code == Some(4) && said.contains(&format!("changed: entry {id} at place")) && said.contains("backup"), "{said}");
        let (code, _, why) = run(&variables, &["audit", "receipt", &id]);
        assert!(code == Some(1) && why.contains("is not what the log committed to"), "{why}");
    }

    async fn a_key_is_destroyed_after_a_look_at_what_that_does_and_the_log_stays_whole(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        crate::audit::act(&app.db.store(), 30).await;
        let variables = app.variables([]);
        run(&variables, &["audit", "checkpoint"]);
        let (_, listed, why) = run(&variables, &["audit", "keys", "list", "--json"]);
        let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |tenant: &Value| listed.iter().find(|line| line["tenant"] == *tenant).unwrap_or_else(|| panic!("{listed:?}{why}"));
        let theirs = of(&serde_json::json!(crate::audit::OTHER.0));
        assert_eq!((&theirs["entries"], &theirs["destroyedAt"]), (&Value::from(10), &Value::Null));
        let (key, own) = (theirs["key"].to_string(), of(&Value::Null)["key"].to_string());
        let client = app.db.superuser().await;
        let secret = "SELECT key FROM platform.audit_keys WHERE key_id::text = $1";
        let secret: Vec<u8> = client.query_one(secret, &[&key]).await.unwrap().get(0);

        let destroy = ["audit", "keys", "destroy", &key, "--reason", "the tenant left", "--by", "ann"];
        let (code, said, _) = run(&variables, &destroy);
        assert!(code == Some(0) && said.contains("10 entries are sealed") && said.contains("nothing was done"), "{said}");
        let digest = said.lines().find_map(|line| line.strip_prefix("plan ")).unwrap();
        assert_eq!(run(&variables, &["audit", "keys", "destroy", &key]).0, Some(2), "nobody does it without a reason");
        assert_eq!(run(&variables, &["audit", "keys", "destroy", &key, "--reason", ""]).0, Some(2));
        for (key, says) in [("4711", "there is no key 4711"), (own.as_str(), "the installation's own")] {
            let (code, _, why) = run(&variables, &["audit", "keys", "destroy", key, "--reason", "x", "--apply"]);
            assert!(code == Some(1) && why.contains(says), "{why}");
        }
        let (code, _, why) = run(&variables, &[&destroy[..], &["--apply", "--plan", "0123"]].concat());
        assert!(code == Some(1) && why.contains("the plan is not 0123 any more"), "{why}");
        for role in ["progress_service", "progress_worker", "progress_eraser", "progress_retention"] {
            let service = app.db.service().await;
            service.batch_execute(&format!("BEGIN; SET LOCAL ROLE {role}")).await.unwrap();
            let denied = service.execute("SELECT platform.destroy_audit_key(1::bigint, 'x', 'x')", &[]).await.unwrap_err();
            assert_eq!(denied.code().unwrap().code(), "42501", "{role}");
        }
        let (code, said, _) = run(&variables, &["audit", "verify"]);
        assert!(code == Some(0) && said.contains(" 0 sealed"), "nothing was done yet: {said}");

        // Somebody writes elsewhere on the server meanwhile: a rewrite that does not wait for that takes along what it may still see.
        let neighbour = app.db.neighbour().await;
        neighbour.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
        let ends = background::runtime().spawn(async move { neighbour.batch_execute("SELECT pg_sleep(2); COMMIT").await.unwrap() });
        let (code, said, why) = run(&variables, &[&destroy[..], &["--apply", "--plan", digest, "--json"]].concat());
        ends.await.unwrap();
        let done: Value = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}{why}"));
        assert!(code == Some(0) && done["done"] == true && done["plan"]["entries"] == 10, "{said}{why}");
        let (code, said, _) = run(&variables, &["audit", "verify"]);
        assert!(code == Some(0) && said.contains(" 10 sealed") && said.contains("all as it was signed"), "{said}");
        let (_, told, _) = run(&variables, &["audit", "entries", "--action", "audit.key.destroy", "--json"]);
        let told: Value = serde_json::from_str(told.trim()).unwrap();
        assert_eq!((&told["subject"], &told["actor"]), (&Value::from(key.as_str()), &Value::from("ann")));
        assert_eq!(told["detail"]["reason"], "the tenant left");
        let (code, proof, _) = run(&variables, &["audit", "proof", &told["id"].to_string()]);
        assert!(code == Some(0) && proof.contains("tlog-proof"), "{proof}");
        let (code, _, why) = run(&variables, &[&destroy[..], &["--apply"]].concat());
        assert!(code == Some(1) && why.contains("was destroyed at"), "{why}");
        // Not even free space of the table has it.
        client.batch_execute("CHECKPOINT").await.unwrap();
        let file = "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('platform.audit_keys')";
        let bytes = std::fs::read(client.query_one(file, &[]).await.unwrap().get::<_, String>(0)).unwrap();
        assert!(!bytes.windows(32).any(|some| some == secret), "the key lies in the table's file");
    }
}
