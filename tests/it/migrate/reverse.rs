//! The way back: down scripts, approvals, and every file of the product up, down and up again with rows in its tables.

use progress_service::{
    migrate::{MigrateError, Runner, Verdict, down::DownRequest, modules, silent},
    store::Endpoint,
};

use super::{
    fill,
    fixture::{count, everything, headed, history, module, owner, run_all, runner, settings, sql},
};
use crate::support::pg::{Server, TestDatabase};

fn files() -> Vec<(&'static str, String)> {
    vec![
        ("001_table.sql", sql("CREATE TABLE alpha.t (a int); INSERT INTO alpha.t VALUES (1);")),
        ("001_table.down.sql", "DROP TABLE alpha.t;".to_owned()),
        (
            "100_index.sql",
            headed("-- progress: no-transaction", "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON alpha.t (a);"),
        ),
        ("100_index.down.sql", "-- progress: no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS alpha.t_a;".to_owned()),
        ("101_lost.sql", sql("SELECT 1;")),
    ]
}

fn request(steps: usize) -> DownRequest {
    DownRequest { module: None, steps, approved_by: Some("Ada".into()), by: "test".into(), apply: true }
}

on_each_server! {
    async fn the_last_files_go_first_and_come_back(db: TestDatabase) {
        let runner = runner(
            &db,
            vec![
                module("alpha", &files()[..4]),
                module("beta", &[("001_a.sql", sql("SELECT 1;")), ("001_a.down.sql", "SELECT 1;".into())]),
            ],
        );
        run_all(&runner).await;
        let plan = runner.down(&DownRequest { apply: false, ..request(2) }, &silent).await.unwrap();
        let planned: Vec<_> = plan.planned.iter().map(|step| step.file.as_str()).collect();
        assert_eq!((planned, plan.done.len()), (vec!["001_a.sql", "100_index.sql"], 0));
        let report = runner.down(&request(2), &silent).await.unwrap();
        assert_eq!(report.done.len(), 2);
        let client = db.owner().await;
        assert_eq!(history(&client, "alpha").await, ["001_table.sql"]);
        assert_eq!(count(&client, "pg_class WHERE relname = 't_a'").await, 0);
        assert_eq!(run_all(&runner).await.done.len(), 2);
    }

    async fn losing_data_needs_a_name(db: TestDatabase) {
        let runner = runner(&db, vec![module("alpha", &files()[..2])]);
        run_all(&runner).await;
        let error = runner.down(&DownRequest { approved_by: None, ..request(1) }, &silent).await.unwrap_err();
        assert!(error.to_string().contains("--approved-by"), "{error}");
        assert_eq!(count(&db.owner().await, "alpha.t").await, 1);
        runner.down(&request(1), &silent).await.unwrap();
        let log = runner.logs(None).await.unwrap();
        assert_eq!(log.last().unwrap().attempt.approved_by.as_deref(), Some("Ada"));
    }

    async fn a_file_without_a_script_stays(db: TestDatabase) {
        let runner = runner(&db, vec![module("alpha", &files())]);
        run_all(&runner).await;
        let error = runner.down(&request(1), &silent).await.unwrap_err();
        assert!(matches!(&error, MigrateError::Refused(why) if why.contains("alpha/101_lost.sql has no rollback")), "{error}");
    }

    async fn a_script_that_fails_leaves_file_and_row(db: TestDatabase) {
        let mut files = files();
        files[1].1 = "DROP TABLE alpha.t; DROP TABLE alpha.missing;".to_owned();
        let runner = runner(&db, vec![module("alpha", &files[..2])]);
        run_all(&runner).await;
        let report = runner.down(&request(1), &silent).await.unwrap();
        assert_eq!(report.failed.unwrap().code.as_deref(), Some("42P01"));
        assert_eq!(history(&db.owner().await, "alpha").await, ["001_table.sql"]);
        assert_eq!(count(&db.owner().await, "alpha.t").await, 1);
    }
}

/// From the last file to the first: down with rows in the tables, up, down again; after each up the schema is as before.
async fn every_file_goes_up_down_up(server: &'static Server) {
    let db = TestDatabase::empty(server).await;
    let owner: Endpoint = owner(&db);
    let runner = Runner::new(modules::internal().unwrap(), owner.clone(), settings());
    assert!(matches!(runner.startup("node", &silent).await.unwrap(), Verdict::Ready { .. }));
    let superuser = db.superuser().await;
    let unfilled = fill::fill(&superuser, &modules::INTERNAL).await;
    assert!(unfilled.is_empty(), "no row could be made for {unfilled:?}");
    let files: usize = runner.modules().iter().map(|module| module.files.len()).sum();
    let down = |steps| DownRequest { steps, ..request(steps) };
    for left in (0..files).rev() {
        let before = fill::objects(&owner, &modules::INTERNAL).await;
        let undone = runner.down(&down(1), &silent).await.unwrap();
        assert_eq!(undone.failed, None);
        let file = format!("{}/{}", undone.done[0].module, undone.done[0].file);
        let mut one = everything();
        one.wish.steps = Some(1);
        let redone = runner.run(&one, &silent).await.unwrap();
        assert_eq!((redone.failed, redone.done.len()), (None, 1), "{file}");
        let after = fill::objects(&owner, &modules::INTERNAL).await;
        assert_eq!(before, after, "{file} does not come back as it was");
        assert_eq!(runner.down(&down(1), &silent).await.unwrap().failed, None, "{file}");
        assert_eq!(runner.status().await.unwrap().applied, left, "{file}");
    }
    assert_eq!(
        count(
            &superuser,
            "pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('platform', \
        'ledger', 'progress') AND NOT starts_with(relname, 'schema_migration')"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn every_file_goes_up_down_up_on_15() {
    every_file_goes_up_down_up(Server::oldest().await).await;
}

#[tokio::test]
async fn every_file_goes_up_down_up_on_18() {
    every_file_goes_up_down_up(Server::newest().await).await;
}
