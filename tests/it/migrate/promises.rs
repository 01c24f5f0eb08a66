//! What a newer release promises to the one before: kept in the database, believed by who is promised, and taken away again.

use progress_service::migrate::{
    MigrateError, Runner, Verdict, down::DownRequest, modules, promise, releases, silent, standing::look,
};

use super::fixture::{breaking, count, everything, headed, module, owner, run_all, runner, settings, sql};
use crate::support::pg::TestDatabase;

fn first() -> (&'static str, String) {
    ("001_table.sql", sql("CREATE TABLE alpha.t (a int);"))
}

fn adds(more: &str) -> (&'static str, String) {
    ("002_more.sql", headed(more, "ALTER TABLE alpha.t ADD COLUMN b text;"))
}

fn of(db: &TestDatabase, files: &[(&str, String)]) -> Runner {
    runner(db, vec![module("alpha", files)])
}

const PROMISES: &str = "alpha.schema_migration_baselines WHERE starts_with(baseline, 'for ')";

on_each_server! {
    async fn the_release_before_serves_on_what_it_was_promised_and_changes_nothing(db: TestDatabase) {
        run_all(&of(&db, &[first(), adds("-- Previous: serves")])).await;
        let older = of(&db, &[first()]);
        assert_eq!(older.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
        let status = older.status().await.unwrap();
        assert!(status.problems.is_empty(), "{:?}", status.problems);
        assert_eq!(status.modules[0].files[1].state.name(), "newer");
        // It serves, and that is all: the schema is the newer release's.
        let refused = older.run(&everything(), &silent).await.unwrap_err();
        assert!(matches!(&refused, MigrateError::Problems { .. }) && refused.to_string().contains("002_more.sql"), "{refused}");
        assert_eq!(look(&older, &db.store()).await.unwrap(), Some(Vec::new()));
    }

    async fn what_was_not_promised_is_refused_by_the_files_name(db: TestDatabase) {
        for (head, name) in [("-- Previous: stops", "it says so"), ("", "a plug-in that says nothing")] {
            let empty = TestDatabase::empty(db.server()).await;
            run_all(&of(&empty, &[first(), adds(head)])).await;
            let older = of(&empty, &[first()]);
            let Verdict::Refuse { why } = older.startup("node", &silent).await.unwrap() else { panic!("{name}") };
            assert!(why[0].contains("alpha/002_more.sql was applied by a newer release"), "{name}: {why:?}");
            assert_eq!(count(&empty.owner().await, PROMISES).await, 0, "{name}");
        }
    }

    async fn a_node_that_serves_closes_when_a_newer_release_takes_something_away(db: TestDatabase) {
        let older = of(&db, &[first()]);
        run_all(&older).await;
        let store = db.store();
        assert_eq!(look(&older, &store).await.unwrap(), Some(Vec::new()));
        run_all(&of(&db, &[first(), adds("-- Previous: serves")])).await;
        assert_eq!(look(&older, &store).await.unwrap(), Some(Vec::new()));
        let drops = ("100_drop.sql", breaking(&sql("ALTER TABLE alpha.t DROP COLUMN a;")));
        run_all(&of(&db, &[first(), adds("-- Previous: serves"), drops])).await;
        let waits = look(&older, &store).await.unwrap().unwrap();
        assert_eq!(waits.len(), 1, "{waits:?}");
        assert!(waits[0].starts_with("alpha/100_drop.sql (of a newer release"), "{waits:?}");
    }

    async fn a_promise_goes_with_its_file_and_with_the_release_that_it_was_made_to(db: TestDatabase) {
        let down = ("002_more.down.sql", "ALTER TABLE alpha.t DROP COLUMN b;".to_owned());
        let both = of(&db, &[first(), adds("-- Previous: serves"), down]);
        run_all(&both).await;
        let client = db.owner().await;
        assert_eq!(count(&client, PROMISES).await, 1);
        let request = DownRequest {
            module: None, steps: 1, approved_by: Some("Ada".into()), by: "test".into(), apply: true,
        };
        assert!(both.down(&request, &silent).await.unwrap().failed.is_none());
        assert_eq!(count(&client, PROMISES).await, 0);
        // What somebody promised to an older release than the one before says nothing of what comes now.
        let old = "INSERT INTO alpha.schema_migration_baselines (baseline, superseded, checksum, recorded_by)
            VALUES ('for 0.0.1', '001_table.sql', 'sha256:00', 'test')";
        client.batch_execute(old).await.unwrap();
        run_all(&both).await;
        let left = format!("{PROMISES} AND baseline = 'for {}'", promise::previous().unwrap());
        assert_eq!((count(&client, PROMISES).await, count(&client, &left).await), (1, 1));
    }

    async fn nobody_waits_in_maintenance_for_what_this_release_can_do_without(db: TestDatabase) {
        run_all(&of(&db, &[first()])).await;
        let gated = |head: &str| ("100_gated.sql", headed(head, "CREATE TABLE alpha.u (a int);"));
        let needs = of(&db, &[first(), gated("")]);
        let Verdict::Maintenance { pending, .. } = needs.startup("node", &silent).await.unwrap() else { panic!("it is needed") };
        assert_eq!(pending, ["alpha/100_gated.sql"]);
        let later = of(&db, &[first(), gated("-- Needed: later")]);
        assert_eq!(later.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
        assert_eq!(look(&later, &db.store()).await.unwrap(), Some(Vec::new()), "nor does it close for that");
        assert_eq!(later.status().await.unwrap().gated, ["alpha/100_gated.sql"], "it is still to be done");
        // What comes after it is needed, and waits with it.
        let behind = of(&db, &[first(), gated("-- Needed: later"), ("101_next.sql", sql("CREATE TABLE alpha.v (a int);"))]);
        let Verdict::Maintenance { pending, .. } = behind.startup("node", &silent).await.unwrap() else { panic!("behind") };
        assert_eq!(pending.len(), 2, "{pending:?}");
    }

    async fn the_release_before_was_promised_to_live_with_every_file_of_this_one(db: TestDatabase) {
        let (releases, internal) = (releases::supported().unwrap(), modules::internal().unwrap());
        let before = releases::previous(&releases, &internal).unwrap().unwrap();
        let had = releases::modules_at(before, &internal).unwrap();
        for upgraded in [true, false] {
            let empty = TestDatabase::empty(db.server()).await;
            let older = Runner::new(had.clone(), owner(&empty), settings());
            if upgraded {
                older.startup("node", &silent).await.unwrap();
            }
            let newer = Runner::new(internal.clone(), owner(&empty), settings());
            let Verdict::Ready { applied } = newer.startup("node", &silent).await.unwrap() else { panic!("it waits") };
            assert!(applied > 20, "{applied}");
            assert_eq!(older.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 }, "{upgraded}");
        }
    }
}
