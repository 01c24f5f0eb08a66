//! `migrations evidence`: what a cutover leaves, before and after it, and what makes it unsound.

use std::path::Path;

use serde_json::Value;

use super::{crashes::plugins, fixture::sql};
use crate::support::{app::TestApp, process::command};

const FILES: [&str; 6] =
    ["w0-status.json", "w1-snapshot.json", "w2-dry-run.json", "w3-upgrade.json", "w4-replay.json", "w5-verify.json"];

/// Exit code, the list of what there is, and what was complained of.
fn evidence(app: &TestApp, plugins: &Path, folder: &Path, more: &[&str]) -> (Option<i32>, Value, String) {
    let variables = app.variables([("PROGRESS_MIGRATIONS_PLUGIN_DIR", plugins.to_string_lossy().into_owned())]);
    let server = app.db.superuser_url();
    let own = ["migrations", "evidence", folder.to_str().unwrap(), "--server", &server, "--json"];
    let output = command(&[&own[..], more].concat(), &variables).output().unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), said, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn read(folder: &Path, file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap()
}

/// The waves that are not sound.
fn unsound(list: &Value) -> Vec<&str> {
    let lines = list["artefacts"].as_array().unwrap().iter();
    lines.filter(|line| line["sound"] == false).map(|line| line["wave"].as_str().unwrap()).collect()
}

on_the_newest_server! {
    async fn a_cutover_leaves_a_document_for_each_wave_and_what_was_lost_in_it_is_found(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&crate::xapi::identified(&crate::xapi::id(1), "ann", "a")).await.expect(200);
        app.stop_loops().await;
        let (none, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| folders.path().join(name);
        let (code, list, why) = evidence(&app, none.path(), &at("before"), &["--count"]);
        assert_eq!((code, unsound(&list)), (Some(0), vec![]), "{list}{why}");
        assert_eq!(FILES.iter().filter(|file| read(&at("before"), file)["sound"] == true).count(), 6);
        let upgrade = read(&at("before"), "w3-upgrade.json");
        assert!(upgrade["body"]["arrivals"].as_array().unwrap().iter().all(|one| one["digest"] == upgrade["body"]["clean"]), "{upgrade}");
        assert_eq!(read(&at("before"), "w1-snapshot.json")["body"]["snapshot"]["counted"]["ledger.statements"], serde_json::json!({"rows": 1, "only_grows": true}));
        let (code, _, why) = evidence(&app, none.path(), &at("before"), &[]);
        assert!(code == Some(1) && why.contains("has something in it already"), "{why}");

        // A harmless change between two looks, with what was applied by it; and one whose next file would fail.
        let before = at("before");
        let before = ["--before", before.to_str().unwrap()];
        let more = plugins("alpha", &[("001_table.sql", sql("CREATE TABLE alpha.t (a int);"))]);
        let variables = app.variables([("PROGRESS_MIGRATIONS_PLUGIN_DIR", more.path().to_string_lossy().into_owned())]);
        assert!(command(&["migrations", "run", "--module", "alpha"], &variables).output().unwrap().status.success());
        std::fs::write(more.path().join("alpha/002_next.sql"), sql("CREATE TABLE alpha.u (a int);")).unwrap();
        let (code, list, why) = evidence(&app, more.path(), &at("after"), &[&before[..], &["--count"]].concat());
        assert_eq!((code, unsound(&list)), (Some(0), vec![]), "{list}{why}");
        let parity = &read(&at("after"), "w0-status.json")["body"]["parity"];
        assert_eq!((&parity["came"][0], &parity["lost"]), (&"alpha/001_table.sql".into(), &Value::Array(vec![])), "{parity}");
        let planned = &read(&at("after"), "w2-dry-run.json")["body"]["planned"];
        assert_eq!((&planned[0]["file"], &planned[0]["rehearsal"]["rehearsal"]), (&"002_next.sql".into(), &"ran".into()), "{planned}");

        let superuser = app.db.superuser().await;
        superuser.batch_execute("ALTER TABLE ledger.statements DISABLE TRIGGER USER; DELETE FROM ledger.statements; DELETE FROM progress.outbox;
            ALTER TABLE progress.courses DROP COLUMN structure CASCADE").await.unwrap();
        std::fs::write(more.path().join("alpha/002_next.sql"), sql("CREATE TABLE alpha.t (a int);")).unwrap();
        let (code, list, why) = evidence(&app, more.path(), &at("broken"), &[&before[..], &["--count"]].concat());
        assert_eq!(code, Some(4), "{why}");
        let found = unsound(&list);
        assert!(["w1-snapshot", "w2-dry-run"].iter().all(|wave| found.contains(wave)), "{list}");
        let compared = &read(&at("broken"), "w1-snapshot.json")["body"]["compared"];
        assert!(compared["gone"].as_array().unwrap().contains(&"column progress.courses.structure".into()), "{compared}");
        assert_eq!(compared["fewer"], serde_json::json!({"ledger.statements": [1, 0]}), "and no queue");

        // What was before counts only as it was written.
        let told = at("before").join("w1-snapshot.json");
        let changed = std::fs::read_to_string(&told).unwrap().replace("progress.courses.structure", "progress.courses.name");
        std::fs::write(&told, changed).unwrap();
        let (code, _, why) = evidence(&app, none.path(), &at("late"), &before);
        assert!(code == Some(1) && why.contains("it was changed since"), "{why}");
    }
}
