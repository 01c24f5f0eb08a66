//! What the runner refuses, and that it says why.

use progress_service::{
    migrate::{
        MigrateError, Request, Runner, Verdict, Wish,
        approve::{Force, Word},
        modules::ModuleError,
        plan::{Because, Problem},
        report::State,
        silent,
    },
    model::Secret,
    store::{
        Endpoint,
        door::ddl::Session,
        schema::migrations::{
            Budget, ExecuteError,
            blockers::Blocker,
            execute::{self, HistoryEntry},
            patience::Waiting,
            record::NewRow,
        },
    },
};

use super::fixture::{
    breaking, count, everything, headed, history, module, owner, run_all, runner, settings, sql, try_module,
};

fn two() -> Vec<(&'static str, String)> {
    vec![
        ("001_table.sql", sql("CREATE TABLE alpha.t (a int);\nINSERT INTO alpha.t VALUES (1);")),
        ("002_more.sql", sql("ALTER TABLE alpha.t ADD COLUMN b text;")),
    ]
}

fn refused(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refuse { why } => why.join("; "),
        other => panic!("not refused: {other:?}"),
    }
}

on_each_server! {
    async fn a_tampered_file(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two())])).await;
        let mut files = two();
        files[0].1.push_str("-- a remark\n");
        let changed = runner(&db, vec![module("alpha", &files)]);
        // Not even a run with every gate open skips a checksum.
        let error = changed.run(&everything(), &silent).await.unwrap_err();
        assert!(
            matches!(&error, MigrateError::Problems { problems } if matches!(problems[0], Problem::Tampered { .. })),
            "{error}"
        );
        assert!(refused(changed.startup("node", &silent).await.unwrap()).contains("alpha/001_table.sql was changed"));
        assert_eq!(changed.status().await.unwrap().modules[0].files[0].state, State::Tampered);
    }

    async fn a_removed_file(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two())])).await;
        let without = runner(&db, vec![module("alpha", &two()[1..])]);
        assert!(refused(without.startup("node", &silent).await.unwrap()).contains("001_table.sql was applied here but"));
        assert_eq!(without.status().await.unwrap().modules[0].files[1].state, State::Removed);
    }

    async fn an_unknown_newer_schema(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two())])).await;
        let older = runner(&db, vec![module("alpha", &two()[..1])]);
        assert!(refused(older.startup("node", &silent).await.unwrap()).contains("002_more.sql was applied by a newer release"));
        assert!(older.run(&everything(), &silent).await.is_err());
    }

    async fn other_line_ends_are_no_change(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two())])).await;
        let windows: Vec<_> =
            two().into_iter().map(|(name, text)| (name, format!("\u{feff}{}", text.replace('\n', "\r\n")))).collect();
        let runner = runner(&db, vec![module("alpha", &windows)]);
        assert_eq!(runner.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
    }

    async fn a_failing_statement_leaves_nothing_and_says_where(db: TestDatabase) {
        let mut files = two();
        files[1].1 = sql("CREATE TABLE alpha.leaked (a int);\n\nINSERT INTO alpha.wrong VALUES (1);\nSELECT 1;");
        files.push(("003_never.sql", sql("SELECT 1;")));
        let report = run_all(&runner(&db, vec![module("alpha", &files)])).await;
        let failed = report.failed.unwrap();
        assert_eq!((failed.file.as_str(), failed.code.as_deref()), ("002_more.sql", Some("42P01")));
        // The head has four lines; the insert is the third line after it.
        assert_eq!(failed.line, Some(7), "{}", failed.error);
        let client = db.owner().await;
        assert_eq!(history(&client, "alpha").await, ["001_table.sql"]);
        assert_eq!(count(&client, "pg_class WHERE relname = 'leaked'").await, 0);
        assert_eq!(count(&client, "alpha.schema_migration_attempts WHERE outcome = 'failed' AND detail LIKE '42P01%'").await, 1);
        files[1].1 = two()[1].1.clone();
        assert_eq!(run_all(&runner(&db, vec![module("alpha", &files)])).await.done.len(), 2);
    }

    async fn a_text_that_ends_the_runners_transaction_is_not_called_applied(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two()[..1])])).await;
        let client = db.owner().await;
        let session = Session::connect(&owner(&db)).await.unwrap();
        let (budget, nobody) = (Budget::default(), |_: u32, _: &[Blocker]| {});
        let row = NewRow { schema: "alpha", file: "002_leaves.sql", category: "startup", checksum: "c", by: "test", promised: None };
        for (ends, left) in [("COMMIT", 1), ("COMMIT; BEGIN", 0), ("ROLLBACK; BEGIN", 0)] {
            let waiting = Waiting { budget: &budget, watcher: None, blocked: &nobody };
            // No file comes so far: whoever reads it sees to that.
            let text = format!("{ends}; CREATE TABLE alpha.late (a int)");
            let done = execute::transactional(&session, &text, HistoryEntry::Add(row), waiting).await;
            assert!(matches!(done, Err(ExecuteError::LeftTransaction)), "{ends}: {done:?}");
            assert_eq!(history(&client, "alpha").await, ["001_table.sql"], "{ends}");
            assert_eq!(count(&client, "pg_class WHERE relname = 'late'").await, left, "{ends}");
            client.batch_execute("DROP TABLE IF EXISTS alpha.late").await.unwrap();
        }
        let waiting = Waiting { budget: &budget, watcher: None, blocked: &nobody };
        let text = "INSERT INTO alpha.t SELECT generate_series(1, 3)";
        let done = execute::transactional(&session, text, HistoryEntry::Add(row), waiting).await.unwrap();
        assert_eq!((done.rows, count(&client, "alpha.t").await), (Some(3), 4));
        assert_eq!(history(&client, "alpha").await, ["001_table.sql", "002_leaves.sql"]);
    }

    async fn a_number_that_comes_too_late(db: TestDatabase) {
        let mut files = two();
        let first = files.remove(0);
        files[0].1 = sql("SELECT 1;");
        run_all(&runner(&db, vec![module("alpha", &files)])).await;
        files.push(first);
        let error = runner(&db, vec![module("alpha", &files)]).run(&everything(), &silent).await.unwrap_err();
        assert!(error.to_string().contains("001_table.sql is not applied, but 002_more.sql"), "{error}");
    }

    async fn a_second_runner_waits_and_then_says_who_holds_the_lock(db: TestDatabase) {
        let holder = db.superuser().await;
        let lock = "SELECT pg_advisory_lock(x'70726f676d696772'::bigint), pg_backend_pid()";
        let pid: i32 = holder.query_one(lock, &[]).await.unwrap().get(1);
        let mut impatient = settings();
        impatient.patience = std::time::Duration::from_millis(100);
        let runner = Runner::new(vec![module("alpha", &two())], owner(&db), impatient);
        let error = runner.run(&everything(), &silent).await.unwrap_err();
        assert!(matches!(error, MigrateError::Locked { .. }) && error.to_string().contains(&pid.to_string()), "{error}");
        holder.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
        assert_eq!(run_all(&runner).await.done.len(), 2);
    }

    async fn a_role_without_rights(db: TestDatabase) {
        let service = Endpoint { url: Secret::new(db.service_url()), ca_file: None };
        let runner = Runner::new(vec![module("alpha", &two())], service, settings());
        let error = runner.run(&everything(), &silent).await.unwrap_err();
        assert!(error.is_permission(), "{error}");
        assert_eq!(count(&db.owner().await, "pg_namespace WHERE nspname = 'alpha'").await, 0);
    }

    async fn a_read_only_database(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two()[..1])])).await;
        let freeze = format!("ALTER DATABASE {} SET default_transaction_read_only = on", db.name());
        db.superuser().await.batch_execute(&freeze).await.unwrap();
        let pending = runner(&db, vec![module("alpha", &two())]);
        let error = pending.run(&everything(), &silent).await.unwrap_err();
        assert!(matches!(error, MigrateError::ReadOnly { pending: 1 }), "{error}");
        assert!(pending.status().await.unwrap().read_only);
        // A node that has nothing to apply serves reads from it all the same.
        let settled = runner(&db, vec![module("alpha", &two()[..1])]);
        assert_eq!(settled.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
    }

    async fn objects_that_nobody_recorded(db: TestDatabase) {
        db.owner().await.batch_execute("CREATE SCHEMA alpha; CREATE TABLE alpha.t (a int)").await.unwrap();
        let why = refused(runner(&db, vec![module("alpha", &two())]).startup("node", &silent).await.unwrap());
        assert!(why.contains("1 objects but no history"), "{why}");
    }

    async fn destructive_files_without_a_name(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two())])).await;
        let mut files = two();
        files.push(("100_drop.sql", breaking(&sql("ALTER TABLE alpha.t DROP COLUMN b;"))));
        let runner = runner(&db, vec![module("alpha", &files)]);
        let mut request = everything();
        request.wish = Wish { force: true, ..Wish::default() };
        let report = runner.run(&request, &silent).await.unwrap();
        assert_eq!(report.withheld[0].withheld, Some(Because::Approval));
        let mut force = Force {
            module: "alpha".into(), file: "100_drop.sql".into(), word: Word::Approve,
            approved_by: "Ada".into(), by: "test".into(), apply: false,
        };
        runner.force(&force, &silent).await.unwrap();
        assert!(runner.run(&request, &silent).await.unwrap().done.is_empty(), "a plan is not an approval");
        force.apply = true;
        runner.force(&force, &silent).await.unwrap();
        assert_eq!(runner.run(&request, &silent).await.unwrap().done.len(), 1);
        let log = runner.logs(Some("alpha")).await.unwrap();
        assert!(log.iter().any(|line| line.attempt.action == "approve" && line.attempt.approved_by.as_deref() == Some("Ada")));
        assert!(runner.force(&force, &silent).await.is_err(), "it is applied already");
    }

    async fn ones_own_approval_is_none(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &two())])).await;
        let mut files = two();
        files.push(("100_drop.sql", breaking(&sql("ALTER TABLE alpha.t DROP COLUMN b;"))));
        let runner = runner(&db, vec![module("alpha", &files)]);
        let own = |requested: &str, approved: Option<&str>| Request {
            wish: Wish { force: true, approved_by: approved.map(str::to_owned), ..Wish::default() },
            dry_run: false,
            applied_by: requested.into(),
        };
        for spelled in ["Ada", "ada ", "key:ADA"] {
            let error = runner.run(&own("Ada", Some(spelled)), &silent).await.unwrap_err();
            assert!(error.to_string().contains("somebody else has to approve"), "{error}");
        }
        let mut force = Force {
            module: "alpha".into(), file: "100_drop.sql".into(), word: Word::Approve,
            approved_by: "ADA".into(), by: "ada".into(), apply: true,
        };
        assert!(runner.force(&force, &silent).await.is_err());
        force.by = "Grace".into();
        runner.force(&force, &silent).await.unwrap();
        // What Ada approved before is no approval for Ada's own run.
        let report = runner.run(&own("ada", None), &silent).await.unwrap();
        assert_eq!((report.done.len(), report.withheld[0].withheld.clone()), (0, Some(Because::Approval)));
        assert_eq!(runner.run(&own("Grace", None), &silent).await.unwrap().done.len(), 1);
    }

    async fn a_no_transaction_file_that_failed_waits_for_a_word(db: TestDatabase) {
        let text = headed("-- progress: no-transaction", "INSERT INTO alpha.t (a) VALUES (7);");
        let files = vec![two().remove(0), ("100_row.sql", text)];
        let runner = runner(&db, vec![module("alpha", &files)]);
        let hide = "ALTER TABLE alpha.t RENAME TO hidden";
        let mut only = everything();
        only.wish.steps = Some(1);
        runner.run(&only, &silent).await.unwrap();
        let client = db.owner().await;
        client.batch_execute(hide).await.unwrap();
        assert_eq!(run_all(&runner).await.failed.unwrap().file, "100_row.sql");
        client.batch_execute("ALTER TABLE alpha.hidden RENAME TO t").await.unwrap();
        let error = runner.run(&everything(), &silent).await.unwrap_err();
        assert!(error.to_string().contains("stopped half-way"), "{error}");
        // Serving would be wrong, but a person must get in to settle it.
        let waits = Verdict::Maintenance { pending: vec!["alpha/100_row.sql".into()], failed: None };
        assert_eq!(runner.startup("node", &silent).await.unwrap(), waits);
        let force = Force {
            module: "alpha".into(), file: "100_row.sql".into(), word: Word::Retry,
            approved_by: "Ada".into(), by: "test".into(), apply: true,
        };
        runner.force(&force, &silent).await.unwrap();
        assert_eq!(run_all(&runner).await.done.len(), 1);
        assert_eq!(count(&client, "alpha.t").await, 2);
    }
}

#[test]
fn files_that_could_never_be_applied_do_not_load() {
    let twice = try_module("alpha", &[("001_a.sql", sql("SELECT 1;")), ("001_b.sql", sql("SELECT 1;"))]);
    assert!(matches!(twice, Err(ModuleError::DuplicateNumber { .. })));
    let named = try_module("alpha", &[("1_a.sql", sql("SELECT 1;"))]);
    assert!(matches!(named, Err(ModuleError::Name(_))));
    let commit = try_module("alpha", &[("001_a.sql", sql("CREATE TABLE a ();\nCOMMIT;\nSELECT 1/0;"))]);
    assert!(matches!(commit, Err(ModuleError::Shape { .. })));
}
