//! What a plain run does, and that it does it once.

use progress_service::{
    migrate::{Event, Runner, Verdict, Wish, modules, plan::Because, report::State, silent},
    model::Secret,
    store::Endpoint,
};

use super::fixture::{count, everything, headed, history, impatient, module, owner, run_all, runner, settings, sql};

fn files() -> Vec<(&'static str, String)> {
    vec![
        ("001_table.sql", sql("CREATE TABLE alpha.t (a int); INSERT INTO alpha.t VALUES (1);")),
        ("002_more.sql", sql("ALTER TABLE alpha.t ADD COLUMN b text;")),
        ("100_release.sql", sql("CREATE TABLE alpha.u (a int);")),
        (
            "101_index.sql",
            headed("-- progress: no-transaction", "CREATE INDEX CONCURRENTLY IF NOT EXISTS u_a ON alpha.u (a);"),
        ),
        ("S001_rows.sql", sql("INSERT INTO alpha.t VALUES (2, 'two');")),
        ("DM001_move.sql", sql("UPDATE alpha.t SET b = 'one' WHERE a = 1;")),
    ]
}

on_each_server! {
    async fn applies_every_category_once_and_keeps_exactly_six_columns(db: TestDatabase) {
        let runner = runner(&db, vec![module("alpha", &files())]);
        let report = run_all(&runner).await;
        assert_eq!(report.failed, None);
        assert_eq!(report.done.len(), 6);
        let client = db.owner().await;
        let order = ["001_table.sql", "002_more.sql", "100_release.sql", "101_index.sql", "S001_rows.sql", "DM001_move.sql"];
        assert_eq!(history(&client, "alpha").await, order);
        let columns = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns
                       WHERE table_schema = 'alpha' AND table_name = 'schema_migrations'";
        let columns: String = client.query_one(columns, &[]).await.unwrap().get(0);
        assert_eq!(columns, "migration_name,category,checksum,applied_at,applied_by,duration_ms");
        assert_eq!(count(&client, "alpha.schema_migrations WHERE checksum LIKE 'sha256:%' AND applied_by = 'test'").await, 6);
        assert!(run_all(&runner).await.done.is_empty());
        let status = runner.status().await.unwrap();
        assert_eq!((status.applied, status.pending, status.problems.len()), (6, 0, 0));
    }

    async fn four_runners_at_once_apply_each_file_once(db: TestDatabase) {
        let runs = (0..4).map(|_| {
            let runner = runner(
                &db,
                vec![module("alpha", &files()), module("beta", &[("001_a.sql", sql("CREATE TABLE beta.t (a int);"))])],
            );
            tokio::spawn(async move { runner.startup("node", &silent).await.unwrap() })
        });
        let verdicts = futures_util::future::join_all(runs.collect::<Vec<_>>()).await;
        let applied: Vec<usize> = verdicts.into_iter().map(|verdict| match verdict.unwrap() {
            Verdict::Ready { applied } => applied,
            other => panic!("{other:?}"),
        }).collect();
        assert_eq!(applied.iter().sum::<usize>(), 7, "{applied:?}");
        assert_eq!(count(&db.owner().await, "alpha.t").await, 2);
    }

    async fn gates_hold_release_and_data_until_somebody_says_so(db: TestDatabase) {
        let first = runner(&db, vec![module("alpha", &files()[..2])]);
        assert_eq!(first.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 2 });
        let next = runner(&db, vec![module("alpha", &files())]);
        let pending = ["100_release.sql", "101_index.sql (after 100_release.sql)", "DM001_move.sql"];
        let pending = pending.map(|f| format!("alpha/{f}")).to_vec();
        let verdict = next.startup("node", &silent).await.unwrap();
        assert_eq!(verdict, Verdict::Maintenance { pending, failed: None });
        assert_eq!(history(&db.owner().await, "alpha").await, ["001_table.sql", "002_more.sql", "S001_rows.sql"]);
        let mut request = everything();
        request.wish = Wish::default();
        let report = next.run(&request, &silent).await.unwrap();
        assert!(report.done.is_empty());
        assert_eq!(report.withheld[0].withheld, Some(Because::Gate));
        assert_eq!(run_all(&next).await.done.len(), 3);
        assert_eq!(next.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
    }

    async fn a_low_number_may_come_after_a_release(db: TestDatabase) {
        let mut files = files();
        let late = files.remove(1);
        run_all(&runner(&db, vec![module("alpha", &files[..2])])).await;
        files.truncate(2);
        files.push(late);
        let report = run_all(&runner(&db, vec![module("alpha", &files)])).await;
        assert_eq!(report.done[0].file, "002_more.sql");
    }

    async fn a_dry_run_executes_and_leaves_nothing(db: TestDatabase) {
        let runner = runner(&db, vec![module("alpha", &files())]);
        let mut request = everything();
        request.dry_run = true;
        let report = runner.run(&request, &silent).await.unwrap();
        let notes: Vec<_> = report.planned.iter().map(|p| serde_json::to_value(p.rehearsal.as_ref().unwrap()).unwrap()).collect();
        assert_eq!(notes[0]["rehearsal"], "ran");
        assert_eq!(notes[3]["rehearsal"], "not_executable");
        assert_eq!(count(&db.owner().await, "pg_namespace WHERE nspname = 'alpha'").await, 0);
        assert_eq!(runner.status().await.unwrap().pending, 6);
    }

    async fn a_dry_run_names_locks_on_what_was_there_before(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &files()[..1])])).await;
        let mut request = everything();
        request.dry_run = true;
        let report = runner(&db, vec![module("alpha", &files()[..2])]).run(&request, &silent).await.unwrap();
        let note = serde_json::to_value(report.planned[0].rehearsal.as_ref().unwrap()).unwrap();
        assert_eq!(note["locks"], serde_json::json!([{"relation": "alpha.t", "mode": "AccessExclusiveLock"}]));
    }

    async fn events_tell_what_happens(db: TestDatabase) {
        let seen = std::sync::Mutex::new(Vec::new());
        let listen = |event: Event| seen.lock().unwrap().push(serde_json::to_value(event).unwrap());
        runner(&db, vec![module("alpha", &files()[..2])]).run(&everything(), &listen).await.unwrap();
        let seen = seen.into_inner().unwrap();
        let kinds: Vec<_> = seen.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["planned", "started", "done", "started", "done"]);
        assert_eq!((&seen[3]["number"], &seen[3]["of"]), (&2.into(), &2.into()));
    }

    async fn a_long_reader_makes_a_migration_step_back_not_queue(db: TestDatabase) {
        run_all(&runner(&db, vec![module("alpha", &files()[..1])])).await;
        let reader = db.superuser().await;
        reader.batch_execute("BEGIN; SELECT * FROM alpha.t").await.unwrap();
        let next = Runner::new(vec![module("alpha", &files()[..2])], owner(&db), impatient());
        let failed = run_all(&next).await.failed.unwrap();
        assert_eq!(failed.code.as_deref(), Some("55P03"));
        // A migration that steps back lets others through: a second reader is not stuck behind it.
        let mut patient = impatient();
        patient.budget.lock_tries = 1000;
        let next = Runner::new(next.modules().to_vec(), owner(&db), patient);
        let migrating = tokio::spawn(async move { run_all(&next).await });
        let other = db.superuser().await;
        for _ in 0..3 {
            assert_eq!(count(&other, "alpha.t").await, 1);
        }
        reader.batch_execute("COMMIT").await.unwrap();
        let report = migrating.await.unwrap();
        assert_eq!(report.failed, None);
        assert_eq!(report.done[0].file, "002_more.sql");
    }

    async fn status_of_an_untouched_database_writes_nothing(db: TestDatabase) {
        let status = runner(&db, vec![module("alpha", &files())]).status().await.unwrap();
        assert!(status.modules[0].files.iter().all(|file| file.state == State::Pending));
        assert_eq!(count(&db.owner().await, "pg_namespace WHERE nspname = 'alpha'").await, 0);
    }

    async fn a_node_without_the_owners_login_serves_what_others_applied(db: TestDatabase) {
        let db = TestDatabase::empty(db.server()).await;
        let modules = modules::internal().unwrap();
        runner(&db, modules.clone()).startup("job", &silent).await.unwrap();
        let service = Endpoint { url: Secret::new(db.service_url()), ca_file: None };
        let node = Runner::new(modules, service, settings());
        assert_eq!(node.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
    }
}
