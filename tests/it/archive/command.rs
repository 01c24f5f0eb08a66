//! The command line, in processes of their own: plans, digests, lines of JSON, and processes that are killed.

use std::{collections::BTreeMap, path::Path};

use progress_service::model::partition::State;
use serde_json::{Value, json};

use super::{sealed_march, state};
use crate::{
    lifecycle::{MARCH, month},
    support::{
        app::TestApp,
        past, patience,
        process::{Process, command},
    },
};

fn variables(app: &TestApp, folder: &Path) -> BTreeMap<String, String> {
    let archive = format!("file://{}", folder.display());
    let all = [
        ("PROGRESS_DATABASE_URL", app.db.service_url()),
        ("PROGRESS_DATABASE_MIGRATION_URL", app.db.owner_url()),
        ("PROGRESS_ARCHIVE_URL", archive),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Exit code, lines of JSON, and what was said on standard error.
fn run(variables: &BTreeMap<String, String>, arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let output = command(&[arguments, &["--json"]].concat(), variables).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).expect(&errors)).collect(), errors)
}

fn files(folder: &Path) -> usize {
    let inside = |entry: std::io::Result<std::fs::DirEntry>| entry.map(|entry| entry.path());
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(|entry| inside(entry).ok()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// Some object of a segment.
fn a_part(folder: &Path) -> Option<std::path::PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    entries.into_iter().find_map(|path| match path.is_dir() {
        true => a_part(&path),
        false => path.extension().is_some_and(|ends| ends == "parquet").then_some(path),
    })
}

on_the_newest_server! {
    async fn a_month_is_archived_dropped_and_restored_at_the_command_line(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        // Its service would do the jobs, in its own archive.
        app.stop_loops().await;
        let folder = tempfile::tempdir().unwrap();
        let variables = variables(&app, folder.path());
        let rows = past::contents(&app.db, month(MARCH)).await;
        let (code, plan, _) = run(&variables, &["archive", "run", "--month", MARCH]);
        assert_eq!((code, &plan[0]["plan"]["becomes"], &plan[0]["applied"]), (Some(0), &json!("archived"), &json!(false)));
        assert_eq!((state(&app.db).await, files(folder.path())), (State::Sealed, 0), "a plan changes nothing");
        let (code, _, why) = run(&variables, &["archive", "run", "--month", MARCH, "--apply", "--plan", "0123"]);
        assert!(code == Some(1) && why.contains("the plan is not 0123 any more"), "{why}");
        let digest = plan[0]["digest"].as_str().unwrap();
        let (code, done, why) = run(&variables, &["archive", "run", "--month", MARCH, "--apply", "--plan", digest]);
        assert_eq!((code, &done.last().unwrap()["outcome"]["statements"]), (Some(0), &json!(40)), "{why}");
        let (_, listed, _) = run(&variables, &["archive", "list", "--month", MARCH]);
        assert!(listed.len() == 2 && listed.iter().all(|one| one["state"] == "published" && one["rows"] == 20), "{listed:?}");
        let (code, verified, why) = run(&variables, &["archive", "verify"]);
        assert_eq!((code, &verified.last().unwrap()["outcome"]["segments"]), (Some(0), &json!(2)), "{why}");
        assert_eq!(run(&variables, &["archive", "drop", "--month", MARCH, "--apply"]).0, Some(0));
        let (_, months, _) = run(&variables, &["partitions", "list"]);
        assert!(months.iter().any(|one| one["name"] == MARCH && one["state"] == "dropped" && one["bytes"] == 0), "{months:?}");
        let (code, _, why) = run(&variables, &["partitions", "attach", "--month", MARCH, "--apply"]);
        assert!(code == Some(1) && why.contains("is dropped, and only one that is detached or one that is archived is attached"), "{why}");
        assert_eq!(run(&variables, &["archive", "restore", "--month", MARCH, "--apply"]).0, Some(0));
        let (code, attached, _) = run(&variables, &["partitions", "attach", "--month", MARCH, "--apply"]);
        assert_eq!((code, &attached[0]["state"], &attached[0]["made"]), (Some(0), &json!("sealed"), &json!(true)));
        assert_eq!(past::contents(&app.db, month(MARCH)).await, rows);

        assert_eq!(run(&variables, &["archive", "gc"]).1[0]["plan"], json!([]));
        let (_, adopt, _) = run(&variables, &["archive", "adopt"]);
        assert_eq!((&adopt[0]["plan"]["begins"], &adopt[0]["plan"]["segments"]), (&json!(false), &json!(0)));
        assert!(run(&variables, &["archive", "plan"]).1.is_empty(), "there is no schedule");
        let mut scheduled = variables.clone();
        scheduled.insert("PROGRESS_ARCHIVE_HOT_MONTHS".to_owned(), "2".to_owned());
        let (_, coming, _) = run(&scheduled, &["partitions", "plan"]);
        assert!(!coming.is_empty() && coming.iter().all(|one| one["act"] == "seal"), "March was brought back by hand: {coming:?}");
        let (code, _, why) = run(&variables, &["archive", "run", "--month", "2020-01"]);
        assert!(code == Some(1) && why.contains("there is no partition 2020-01"), "{why}");
    }

    async fn an_object_or_an_entry_of_the_trail_that_is_gone_makes_the_whole_not_in_order(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        // In the service's own archive, to which it brings the checkpoints of its trail too.
        let folder = app.data().join("archive");
        let variables = variables(&app, &folder);
        assert_eq!(run(&variables, &["archive", "run", "--month", MARCH, "--apply"]).0, Some(0));
        app.service().rooms.audit.settle().await.unwrap();
        // Whether the line is in order, and what was found. Others may not be: the statements of March lie behind the projections.
        let line = |name: &str| {
            let (code, document, why) = run(&variables, &["system", "validate"]);
            let lines = document.first().and_then(|one| one["checks"].as_array().cloned()).unwrap_or_else(|| panic!("{why}"));
            let found = lines.into_iter().find(|line| line["name"] == name).unwrap();
            assert!(found["status"] != "fail" || code == Some(4), "{code:?} {found}");
            (found["status"] == "pass", found["found"].as_str().unwrap().to_owned())
        };
        assert_eq!(line("archive"), (true, "the objects of 2 segments are there".to_owned()));
        let sound = line("audit-trail");
        assert!(sound.0, "{}", sound.1);

        let part = a_part(&folder).expect("an object");
        let whole = std::fs::read(&part).unwrap();
        std::fs::write(&part, &whole[1..]).unwrap();
        let (is_sound, found) = line("archive");
        assert!(!is_sound && found.contains("were written"), "{found}");
        std::fs::remove_file(&part).unwrap();
        assert!(!line("archive").0);
        std::fs::write(&part, whole).unwrap();
        assert!(line("archive").0);

        let forger = app.db.superuser().await;
        let forges = "ALTER TABLE platform.audit DISABLE TRIGGER ALL;
            DELETE FROM platform.audit WHERE audit_id = (SELECT min(audit_id) FROM platform.audit)";
        forger.batch_execute(forges).await.unwrap();
        let (is_sound, found) = line("audit-trail");
        assert!(!is_sound && found.starts_with("removed: entry"), "{found}");
    }

    async fn a_person_reads_what_would_be_done_and_what_was(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let folder = tempfile::tempdir().unwrap();
        let mut variables = variables(&app, folder.path());
        variables.insert("PROGRESS_ARCHIVE_HOT_MONTHS".to_owned(), "2".to_owned());
        variables.insert("PROGRESS_ARCHIVE_DROP_AFTER".to_owned(), "30d".to_owned());
        let current = app.clock.now().format("%Y-%m").to_string();
        let story: [(&[&str], &str); 14] = [
            (&["partitions", "list"], "2026-03  sealed"),
            (&["partitions", "plan"], "2026-03  sealed    archive  2026-06-01 00:00  due"),
            (&["partitions", "seal", "--month", &current], ""),
            (&["partitions", "detach", "--month", MARCH], "2026-03  sealed -> detached\nnothing was done; --apply does it"),
            (&["archive", "run", "--month", MARCH], "nothing was done; --apply does it"),
            (&["archive", "run", "--month", MARCH, "--apply"], "statements 40"),
            (&["archive", "list"], "published"),
            (&["archive", "verify"], "problems [], segments 2, statements 40"),
            (&["archive", "plan"], "2026-03  archived  drop"),
            (&["archive", "drop", "--month", MARCH, "--apply"], "dropped"),
            (&["archive", "restore", "--month", MARCH, "--apply"], "archived"),
            (&["partitions", "attach", "--month", MARCH, "--apply"], "2026-03  archived -> sealed"),
            (&["archive", "gc"], "there is nothing to remove"),
            (&["archive", "adopt"], "the archive is this database's already"),
        ];
        for (arguments, wanted) in story {
            let output = command(arguments, &variables).output().unwrap();
            let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            println!("$ progress-service {}\n{said}{errors}", arguments.join(" "));
            if wanted.is_empty() {
                assert!(errors.contains("cannot be sealed yet: statements may still be written at"), "{arguments:?}: {errors}");
            } else {
                assert!(said.contains(wanted), "{arguments:?}: {said}{errors}");
            }
        }
    }

    async fn a_process_that_is_killed_is_gone_on_with(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let folder = tempfile::tempdir().unwrap();
        let variables = variables(&app, folder.path());
        let rows = past::contents(&app.db, month(MARCH)).await;
        // Whichever file is the next: the word, a staged part, a published part, a manifest. Five kills in a row would be too many.
        for k in 1..=4 {
            let before = files(folder.path());
            let mut process = Process::start(command(&["archive", "run", "--month", MARCH, "--apply", "--json"], &variables));
            patience::until("its files", async || {
                if files(folder.path()) > before || !process.is_running() { Ok(()) } else { Err("none yet") }
            })
            .await;
            process.kill();
            assert_eq!(past::contents(&app.db, month(MARCH)).await, rows, "after {k} kills");
            let free = "UPDATE platform.leases SET expires_at = '-infinity' WHERE name LIKE 'job/%'";
            app.db.superuser().await.batch_execute(free).await.unwrap();
        }
        let (code, done, why) = run(&variables, &["archive", "run", "--month", MARCH, "--apply"]);
        assert_eq!((code, state(&app.db).await), (Some(0), State::Archived), "{done:?} {why}");
        assert_eq!(run(&variables, &["archive", "gc", "--apply"]).0, Some(0));
        assert_eq!(run(&variables, &["archive", "gc"]).1[0]["plan"], json!([]));
        assert_eq!(files(folder.path()), 5, "a word, and for each tenant a part and a manifest");
        assert_eq!(run(&variables, &["archive", "drop", "--month", MARCH, "--apply"]).0, Some(0));
    }
}
