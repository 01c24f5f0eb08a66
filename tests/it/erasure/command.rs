//! `erasure …` at the command line, beside a service that runs: a plan that does nothing, a digest, exit codes, and a receipt that is
//! checked without a database.

use std::collections::BTreeMap;

use progress_service::store::{Store, ledger::scrub};
use serde_json::Value;

use super::{
    ANN, by_mbox,
    disks::{files_of, objects_with},
};
use crate::{
    support::{app::TestApp, background, process::command},
    xapi::{id, identified, ids},
};

/// Exit code, standard output and standard error.
fn run(variables: &BTreeMap<String, String>, line: &str) -> (Option<i32>, String, String) {
    let output = command(&line.split(' ').collect::<Vec<_>>(), variables).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The last line of what was said, which is JSON.
fn last(said: &str) -> Value {
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

on_each_server! {
    async fn an_operator_plans_erases_verifies_and_hands_out_the_receipt(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for n in 1..=4 {
            app.post_statements(&identified(&id(n), if n == 4 { "bob" } else { "ann" }, "a")).await.expect(200);
        }
        let variables = app.variables([]);
        let (code, said, why) = run(&variables, &format!("erasure request --mbox {ANN}"));
        assert!(code == Some(0) && said.contains("3 own"), "{said}{why}");
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()).len(), 4, "a plan removes nothing");
        let (code, _, why) = run(&variables, &format!("erasure request --mbox {ANN} --apply --plan 0123"));
        assert!(code == Some(1) && why.contains("0123"), "{why}");
        let (code, _, why) = run(&variables, "erasure request --mbox ann@example.com --apply");
        assert!(matches!(code, Some(1 | 2)) && why.contains("mailto"), "{why}");

        let (code, said, why) = run(&variables, &format!("erasure request --mbox {ANN} --apply"));
        assert!(code == Some(0) && said.contains("statements 3"), "{said}{why}");
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()), [id(4)]);
        let (_, said, _) = run(&variables, "erasure status --json");
        let done = last(&said);
        assert_eq!(done["state"], "erased");
        let erasure = done["id"].as_str().unwrap();
        let (code, said, why) = run(&variables, &format!("erasure verify {erasure} --mbox {ANN}"));
        assert!(code == Some(0) && said.contains("0 of them are still there"), "{said}{why}");

        let folder = tempfile::tempdir().unwrap();
        let (json, pdf) = (folder.path().join("receipt.json"), folder.path().join("receipt.pdf"));
        let (json, pdf) = (json.display(), pdf.display());
        let (code, _, why) = run(&variables, &format!("erasure receipt {erasure} --output {json} --pdf {pdf}"));
        assert_eq!(code, Some(0), "{why}");
        assert!(std::fs::read(pdf.to_string()).unwrap().starts_with(b"%PDF"));
        let receipt = std::fs::read_to_string(json.to_string()).unwrap();
        assert!(!receipt.contains("ann@example.com"), "a receipt names nobody");
        let (_, key, _) = run(&variables, "audit key");
        let (code, said, _) = run(&BTreeMap::new(), &format!("audit check {json} --key {}", key.trim()));
        assert!(code == Some(0) && said.contains("erasure.end") && said.contains(r#""statements":3"#), "{said}");

        let (code, _, why) = run(&variables, "erasure receipt 00000000-0000-4000-8000-000000000077");
        assert!(code == Some(1) && why.contains("000000000077"), "{why}");
        // Of somebody who is not there nothing is found, and that is said.
        let (code, said, why) = run(&variables, "erasure request --mbox mailto:nobody@example.com --apply");
        assert!(code == Some(0) && said.contains("0 own"), "{said}{why}");
    }

    async fn free_space_is_rewritten_once_nobody_can_see_any_more_what_was_in_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let variables = app.variables([]);
        let (code, _, why) = run(&variables, &format!("erasure request --mbox {ANN} --apply"));
        assert_eq!(code, Some(0), "{why}");
        let (code, said, _) = run(&variables, "erasure scrub");
        assert!(code == Some(0) && said.contains("ledger.statement_ids") && said.contains("nothing was done"), "{said}");
        app.stop_loops().await;
        let (reader, neighbour, store) = (app.db.superuser().await, app.db.neighbour().await, app.db.store());
        let brief = std::time::Duration::from_millis(300);
        let unseen = background::runtime();
        // Whoever reads here since before is named, and whoever writes elsewhere on the server counts as well.
        reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
        let pid: i32 = reader.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let waits = |store: Store| unseen.spawn(async move { scrub::until_unseen(&store, brief).await });
        let refused = waits(store.clone()).await.unwrap().unwrap_err().to_string();
        assert!(refused.contains(&format!("process {pid} ")) && refused.contains("repeat this"), "{refused}");
        reader.batch_execute("COMMIT").await.unwrap();
        neighbour.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
        // Something ends here that began after it.
        reader.batch_execute("SELECT pg_current_xact_id()").await.unwrap();
        let refused = waits(store).await.unwrap().unwrap_err().to_string();
        assert!(refused.contains("in another database of the server"), "{refused}");
        let ends = unseen.spawn(async move { neighbour.batch_execute("SELECT pg_sleep(1); COMMIT").await.unwrap() });
        let (code, said, why) = run(&variables, "erasure scrub --apply");
        ends.await.unwrap();
        assert!(code == Some(0) && said.contains("rewritten"), "{said}{why}");
        reader.batch_execute("CHECKPOINT").await.unwrap();
        assert_eq!(objects_with(&files_of(&reader).await, "ann@example.com"), Vec::<String>::new());
    }

    async fn a_request_has_one_job_however_often_somebody_goes_on_with_it(db: TestDatabase) {
        let mut db = db;
        // References are followed by a loop, and none runs here.
        db.leaves("ledger.links_due");
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        app.stop_loops().await;
        let asked = app.post("/api/v1/erasures", &by_mbox(ANN)).await.expect(202).json();
        let (erasure, job) = (asked["id"].as_str().unwrap(), asked["jobId"].as_str().unwrap());
        let variables = app.variables([]);
        let (code, _, why) = run(&variables, &format!("jobs pause {job}"));
        assert_eq!(code, Some(0), "{why}");
        let (code, _, why) = run(&variables, &format!("erasure run {erasure}"));
        assert!(code == Some(1) && why.contains(&format!("jobs resume {job}")), "{why}");
        run(&variables, &format!("jobs resume {job}"));
        let (code, said, why) = run(&variables, &format!("erasure run {erasure}"));
        assert!(code == Some(0) && said.contains("erased") && why.contains(&format!("the job {job} does it already")), "{said}{why}");
        let (code, said, _) = run(&variables, &format!("erasure run {erasure}"));
        assert!(code == Some(0) && said.contains("erased"), "what is over is shown: {said}");
        let client = app.db.superuser().await;
        let count = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
        assert_eq!(count("SELECT count(*) FROM platform.jobs WHERE kind = 'erasure.run'").await, 1);
        assert_eq!(count("SELECT count(*) FROM platform.audit WHERE action = 'erasure.run'").await, 1);
    }
}
