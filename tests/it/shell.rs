//! The command line for shells, manuals and scripts: completions, pages, partitions as lines of JSON.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::support::process::command;

fn said(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let variables: BTreeMap<_, _> = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let output = command(arguments, &variables).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_know_the_subcommands_of_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = said(&["completions", shell], &[]);
        for word in ["partitions", "ensure", "migrations", "reindex"] {
            assert!(text.contains(word), "{shell} does not know {word}");
        }
    }
    let unknown = command(&["completions", "cmd.exe"], &BTreeMap::new()).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    said(&["man", pages.to_str().unwrap()], &[]);
    for page in ["progress-service.1", "progress-service-partitions-ensure.1", "progress-service-db-reindex.1"] {
        let text = fs::read_to_string(pages.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

on_each_server! {
    async fn partitions_are_listed_and_made_once(db: TestDatabase) {
        let url = db.service_url();
        let owner = db.owner_url();
        let variables = [("PROGRESS_DATABASE_URL", url.as_str()), ("PROGRESS_DATABASE_MIGRATION_URL", owner.as_str())];
        let lines = |arguments: &[&str]| -> Vec<Value> {
            said(arguments, &variables).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let wanted = lines(&["partitions", "ensure", "--json"]);
        assert_eq!(wanted.len(), 4, "{wanted:?}");
        assert!(wanted.iter().all(|one| one["made"] == false));
        assert!(lines(&["partitions", "list", "--json"]).is_empty(), "a plan makes nothing");
        let made = lines(&["partitions", "ensure", "--apply", "--json"]);
        assert!(made.iter().all(|one| one["made"] == true), "{made:?}");
        let listed = lines(&["partitions", "list", "--json"]);
        let names = |lines: &[Value]| lines.iter().map(|line| line["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&listed), names(&wanted));
        assert!(listed.iter().all(|one| one["state"] == "open" && one["bytes"].as_i64() > Some(0)), "{listed:?}");
        assert!(lines(&["partitions", "ensure", "--apply", "--json"]).is_empty(), "there is nothing left to make");

        let later = "ALTER TABLE ledger.partitions DROP CONSTRAINT partitions_state_check;
            DELETE FROM ledger.partitions WHERE month = (SELECT max(month) FROM ledger.partitions);
            UPDATE ledger.partitions SET state = 'resting' WHERE month = (SELECT min(month) FROM ledger.partitions)";
        db.superuser().await.batch_execute(later).await.unwrap();
        assert_eq!(lines(&["partitions", "ensure", "--json"]).len(), 1, "a newer release's state is in nobody's way");
        let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let refused = command(&["partitions", "list"], &variables).output().unwrap();
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && why.contains("\"resting\""), "{why}");
    }
}
