//! Squash: the same schema from many files, from one, and from one recorded over many.

use progress_service::migrate::{Module, Verdict, down::DownRequest, report::State, silent, squash};

use super::{
    command::json,
    crashes::plugins,
    fill,
    fixture::{everything, headed, history, module, owner, run_all, runner, sql},
};
use crate::support::pg::TestDatabase as Database;

fn files() -> Vec<(&'static str, String)> {
    vec![
        ("001_table.sql", sql("CREATE TABLE alpha.t (a int);")),
        ("001_table.down.sql", "DROP TABLE alpha.t;".into()),
        ("100_column.sql", sql("ALTER TABLE alpha.t ADD COLUMN b text NOT NULL DEFAULT 'x';")),
        ("100_column.down.sql", "ALTER TABLE alpha.t DROP COLUMN b;".into()),
        (
            "101_index.sql",
            headed("-- progress: no-transaction", "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_b ON alpha.t (b);"),
        ),
        ("101_index.down.sql", "-- progress: no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS alpha.t_b;".into()),
    ]
}

/// The module after its first three files were squashed, with one more file.
fn squashed() -> Module {
    let squash = squash::squash(&module("alpha", &files()), "101_index.sql", "base").unwrap();
    let (up, down) = (squash.name.file(), squash.name.down_file());
    let later = ("102_later.sql", sql("CREATE TABLE alpha.later (a int);"));
    module("alpha", &[(&up, squash.text), (&down, squash.down), later])
}

on_each_server! {
    async fn a_squash_gives_the_same_schema_by_every_way(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &files())])).await;
        let upgraded = runner(&db, vec![squashed()]);
        // The mapping is proof enough for the row; the later file still waits for its gate.
        assert!(
            matches!(upgraded.startup("node", &silent).await.unwrap(), Verdict::Maintenance { pending, .. }
                if pending == ["alpha/102_later.sql"])
        );
        run_all(&upgraded).await;
        let rows = history(&db.owner().await, "alpha").await;
        assert_eq!(rows, ["001_table.sql", "100_column.sql", "101_index.sql", "002_base.sql", "102_later.sql"]);
        let states: Vec<_> = upgraded.status().await.unwrap().modules[0].files.iter().map(|f| f.state).collect();
        assert_eq!(states, [State::Applied, State::Applied, State::Superseded, State::Superseded, State::Superseded]);

        let clean = Database::empty(db.server()).await;
        run_all(&runner(&clean, vec![squashed()])).await;
        assert_eq!(history(&clean.owner().await, "alpha").await, ["002_base.sql", "102_later.sql"]);
        assert_eq!(fill::objects(&owner(&db), &["alpha"]).await, fill::objects(&owner(&clean), &["alpha"]).await);
    }

    async fn a_squash_in_the_middle_comes_before_what_stands_on_it(db: TestDatabase) {
        let create = |table: &str| sql(&format!("CREATE TABLE alpha.{table} (a int);"));
        let files = vec![
            ("001_a.sql", create("a")),
            ("001_a.down.sql", "DROP TABLE alpha.a;".into()),
            ("002_b.sql", create("b")),
            ("002_b.down.sql", "DROP TABLE alpha.b;".into()),
            ("003_c.sql", sql("ALTER TABLE alpha.b ADD COLUMN c int;")),
            ("003_c.down.sql", "ALTER TABLE alpha.b DROP COLUMN c;".into()),
        ];
        run_all(&runner(&db, vec![module("alpha", &files)])).await;
        let squash = squash::squash(&module("alpha", &files), "002_b.sql", "base").unwrap();
        let (up, down) = (squash.name.file(), squash.name.down_file());
        let shorter = module("alpha", &[&[(up.as_str(), squash.text), (down.as_str(), squash.down)], &files[4..]].concat());
        let upgraded = runner(&db, vec![shorter.clone()]);
        assert_eq!(upgraded.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 1 });
        assert_eq!(upgraded.status().await.unwrap().problems, []);
        let clean = Database::empty(db.server()).await;
        let report = run_all(&runner(&clean, vec![shorter])).await;
        assert_eq!(report.failed, None);
        assert_eq!(history(&clean.owner().await, "alpha").await, ["002_base.sql", "003_c.sql"]);
        assert_eq!(fill::objects(&owner(&db), &["alpha"]).await, fill::objects(&owner(&clean), &["alpha"]).await);
    }

    async fn half_of_the_superseded_files_is_not_enough(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &files()[..2])])).await;
        let error = runner(&db, vec![squashed()]).run(&everything(), &silent).await.unwrap_err();
        assert!(error.to_string().contains("lacks 100_column.sql, 101_index.sql"), "{error}");
    }

    async fn a_recorded_squash_has_no_way_back(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &files())])).await;
        let upgraded = runner(&db, vec![squashed()]);
        upgraded.startup("node", &silent).await.unwrap();
        let request = DownRequest { module: None, steps: 1, approved_by: Some("Ada".into()), by: "t".into(), apply: true };
        let error = upgraded.down(&request, &silent).await.unwrap_err();
        assert!(error.to_string().contains("in place of other files"), "{error}");
    }
}

on_the_newest_server! {
    async fn a_squash_is_written_only_where_it_leaves_nobody_behind_and_its_proof_holds(db: TestDatabase) {
        let (server, mut files) = (db.superuser_url(), files());
        let (folder, elsewhere) = (plugins("alpha", &files), tempfile::tempdir().unwrap());
        let written = || folder.path().join("alpha/002_base.sql").exists();
        let window = |last: &str| {
            let path = elsewhere.path().join("releases.toml");
            let text = format!("[[release]]\nversion = \"1.4.0\"\n[release.last]\nalpha = [\"001_table.sql\", \"{last}\"]\n");
            std::fs::write(&path, text).unwrap();
            path.to_string_lossy().into_owned()
        };
        let squash = async |releases: &str| {
            let asked = ["baseline", "--module", "alpha", "--through", "101_index.sql", "--description", "base", "--apply"];
            json(&db, folder.path(), &[&asked[..], &["--releases", releases, "--server", &server]].concat()).await
        };
        // Databases of a release that is still supported would have a part of its files.
        let (code, said) = squash(&window("100_column.sql")).await;
        let lacks = serde_json::json!(["databases of 1.4.0, from which upgrades are supported, lack 101_index.sql"]);
        assert_eq!((code, &said["refused"], &said["written"], written()), (4, &lacks, &false.into(), false));
        // A default that is what the clock says when it is made is another one each time.
        files[0].1 = sql("CREATE TABLE alpha.t (a int, made timestamptz DEFAULT 'now'::timestamptz);");
        std::fs::write(folder.path().join("alpha/001_table.sql"), &files[0].1).unwrap();
        let (code, said) = squash(&window("101_index.sql")).await;
        let refused = said["refused"].to_string();
        assert!(code == 4 && refused.contains("squashed ends in another schema than clean") && !written(), "{said}");
        std::fs::write(folder.path().join("alpha/001_table.sql"), sql("CREATE TABLE alpha.t (a int);")).unwrap();
        let (code, said) = squash(&window("101_index.sql")).await;
        assert_eq!((code, &said["refused"], written()), (0, &serde_json::json!([]), true), "{said}");
    }
}
