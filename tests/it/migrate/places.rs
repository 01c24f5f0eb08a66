//! Where modules come from: plug-in folders, the source tree around the binary, and folders that went away.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    command::json,
    crashes::plugins,
    fixture::{headed, sql},
};
use crate::support::{
    pg::{Server, TestDatabase},
    process::command,
};

fn one_table(module: &str) -> Vec<(&'static str, String)> {
    vec![
        ("001_table.sql", sql(&format!("CREATE TABLE {module}.t (a int);"))),
        ("001_table.down.sql", format!("DROP TABLE {module}.t;")),
    ]
}

#[tokio::test]
async fn a_module_that_is_not_there_is_an_error_for_every_verb() {
    let db = TestDatabase::new(Server::newest().await).await;
    let folder = plugins("alpha", &one_table("alpha"));
    let verbs = ["status", "verify", "run", "down", "validate", "logs", "baseline", "adopt"];
    for verb in verbs {
        let (code, said) = json(&db, folder.path(), &[verb, "--module", "nope"]).await;
        let message = said["message"].as_str().unwrap_or_default();
        assert!(
            code == 1 && message.contains("\"nope\"") && message.contains("platform, ledger, progress, alpha"),
            "{verb}: {said}"
        );
    }
    for more in [
        &["force", "--module", "nope", "--file", "x", "--word", "approve", "--approved-by", "Ada"][..],
        &["baseline", "--module", "nope", "--through", "x"],
        &["create", "nope", "seed", "rows"],
    ] {
        let (code, said) = json(&db, folder.path(), more).await;
        assert!(code == 1 && said["message"].as_str().unwrap().contains("there is no module"), "{more:?}: {said}");
    }
}

#[tokio::test]
async fn new_files_of_a_plug_in_go_into_its_own_folder() {
    let db = TestDatabase::new(Server::newest().await).await;
    let mut files = one_table("alpha");
    files.extend([("002_more.sql", sql("SELECT 1;")), ("002_more.down.sql", "SELECT 1;".to_owned())]);
    let (first, second) = (plugins("beta", &one_table("beta")), plugins("alpha", &files));
    let both = std::env::join_paths([first.path(), second.path()]).unwrap();
    let (code, modules) = json(&db, Path::new(&both), &["modules"]).await;
    let names: Vec<_> =
        modules["modules"].as_array().unwrap().iter().map(|module| module["name"].as_str().unwrap()).collect();
    assert_eq!((code, names), (0, vec!["platform", "ledger", "progress", "beta", "alpha"]));
    let (code, made) = json(&db, Path::new(&both), &["create", "alpha", "startup", "a thing"]).await;
    assert!(code == 0 && second.path().join("alpha/003_a_thing.sql").exists(), "{made}");
    for file in ["003_a_thing.sql", "003_a_thing.down.sql"] {
        fs::write(second.path().join("alpha").join(file), sql("SELECT 1;")).unwrap();
    }
    let server = db.superuser_url();
    let squash = ["baseline", "--module", "alpha", "--through", "002_more.sql", "--apply", "--server", &server];
    let (code, made) = json(&db, Path::new(&both), &squash).await;
    assert!(code == 0 && second.path().join("alpha/002_baseline.sql").exists(), "{made}");
}

#[tokio::test]
async fn a_plug_in_that_was_taken_away_whole_is_missed() {
    let db = TestDatabase::new(Server::newest().await).await;
    let folder = plugins("alpha", &one_table("alpha"));
    assert_eq!(json(&db, folder.path(), &["run", "--module", "alpha"]).await.0, 0);
    assert_eq!(json(&db, folder.path(), &["verify"]).await.0, 0);
    let empty = tempfile::tempdir().unwrap();
    let (code, verify) = json(&db, empty.path(), &["verify"]).await;
    assert_eq!((code, &verify["abandoned"]), (4, &serde_json::json!(["alpha"])), "{verify:#}");
    let (code, status) = json(&db, empty.path(), &["status"]).await;
    assert_eq!((code, &status["abandoned"]), (0, &serde_json::json!(["alpha"])), "{status:#}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

#[test]
fn inside_its_source_tree_a_binary_says_when_it_is_older_than_the_files() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = tempfile::tempdir().unwrap();
    copy(&source.join("migrations"), &tree.path().join("migrations"));
    fs::copy(source.join("Cargo.toml"), tree.path().join("Cargo.toml")).unwrap();
    let validate = || {
        let output = command(&["migrations", "validate"], &BTreeMap::new()).current_dir(tree.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = validate();
    assert!(code == Some(0) && !said.contains("build it again"), "{said}");
    fs::write(tree.path().join("migrations/ledger/900_new.sql"), headed("", "SELECT 1;")).unwrap();
    let (code, said) = validate();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("migrations/ledger/900_new.sql is not in this binary: build it again"), "{said}");
}
