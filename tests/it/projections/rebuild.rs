//! Projections made again beside the live ones: the same bytes, no event twice, and whatever was damaged is mended.

use std::collections::BTreeMap;

use progress_service::projections::rebuild::{Rebuild, RebuildError, RebuildProgress, Replaced};
use progress_service::store::progress::rebuild::Difference;
use serde_json::{Value, json};

use super::{attempts, close, everything, forget, platform, registered, rows, settle, statement, store};
use crate::{
    support::{app::TestApp, background, patience, process::command},
    xapi::{id, voiding},
};

/// A history with everything in it: passed, failed, open, late, voided and retried.
async fn history(app: &TestApp) {
    store(app, &[statement(1, "initialized", &platform("a", 2)), statement(2, "completed", &platform("a", 2))]).await;
    store(app, &[statement(3, "initialized", &platform("b", 2)), statement(4, "passed", &platform("a", 2))]).await;
    let mut scored = statement(5, "failed", &registered());
    scored["result"] = json!({"score": {"scaled": 0.25}});
    store(app, &[voiding(&id(20), &id(3)), scored, statement(6, "abandoned", &platform("c", 1))]).await;
    store(app, &[statement(7, "passed", &registered()), statement(8, "initialized", &platform("d", 9))]).await;
    close(app, "d", progress_service::model::attempt::Outcome::Incomplete).await.unwrap();
}

fn silent(_: RebuildProgress) {}

type Outcome = Result<(Vec<Difference>, Option<Replaced>), RebuildError>;

/// Rebuilds, on the harness's runtime, and perhaps puts it in place; `between` is what happens before that.
pub async fn rebuild(app: &TestApp, apply: bool, between: impl AsyncFnOnce()) -> Outcome {
    let service = app.service().rooms.cold.clone();
    let (rebuild, differences) = background::runtime()
        .spawn(async move {
            let rebuild = Rebuild::begin(&service, None).await?;
            rebuild.build(&silent).await?;
            let tenant = rebuild.tenants().next().expect("a tenant");
            let differences = rebuild.compare(tenant).await?;
            Ok::<_, RebuildError>((rebuild, differences))
        })
        .await
        .expect("no panic")?;
    between().await;
    let replaced = background::runtime().spawn(async move {
        let tenant = rebuild.tenants().next().expect("a tenant");
        let replaced = if apply { Some(rebuild.apply(tenant, "a test").await?) } else { None };
        rebuild.end().await?;
        Ok::<_, RebuildError>(replaced)
    });
    Ok((differences, replaced.await.expect("no panic")?))
}

async fn outbox(app: &TestApp) -> Vec<String> {
    rows(&app.db, "SELECT * FROM progress.outbox ORDER BY position").await
}

pub fn kinds(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(|one| format!("{} {} {}", one.table, one.kind, one.rows)).collect()
}

const DAMAGE: &str = "UPDATE progress.attempts SET outcome = 'failed' WHERE id = 'a';
    DELETE FROM progress.completion_records;
    DELETE FROM progress.attempt_names WHERE id = 'c'; DELETE FROM progress.attempts WHERE id = 'c';
    INSERT INTO progress.scores SELECT tenant_id, 'nobody', 'e', 'u', 0.5, 'x', now() FROM progress.projection_cursors;
    UPDATE progress.attempt_statements SET effect = 'belongs' WHERE effect = 'failed'";

on_each_server! {
    async fn a_rebuild_of_what_is_right_finds_nothing_and_changes_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        history(&app).await;
        let before = (everything(&app).await, outbox(&app).await);
        let (differences, replaced) = rebuild(&app, true, async || {}).await.unwrap();
        assert_eq!((kinds(&differences), replaced), (vec![], Some(Replaced { removed: 0, added: 0 })));
        assert_eq!((everything(&app).await, outbox(&app).await), before);
        assert!(rows(&app.db, "SELECT nspname FROM pg_namespace WHERE nspname = 'progress_rebuild'").await.is_empty());
    }

    async fn damage_is_found_row_by_row_and_mended_to_the_byte(db: TestDatabase) {
        let app = TestApp::start(db).await;
        history(&app).await;
        let before = (everything(&app).await, outbox(&app).await);
        app.db.superuser().await.batch_execute(DAMAGE).await.unwrap();
        let damaged = everything(&app).await;
        let expected = ["attempt_names missing 1", "attempt_statements wrong 1", "attempts missing 1", "attempts wrong 1",
            "completion_records missing 1", "scores extra 1"];
        let (differences, _) = rebuild(&app, false, async || {}).await.unwrap();
        assert_eq!(kinds(&differences), expected);
        assert_eq!(everything(&app).await, damaged, "without a word nothing is changed");
        let (_, replaced) = rebuild(&app, true, async || {}).await.unwrap();
        assert_eq!(replaced, Some(Replaced { removed: 3, added: 5 }));
        assert_eq!((everything(&app).await, outbox(&app).await), before);
        assert!(rebuild(&app, false, async || {}).await.unwrap().0.is_empty());
        let audit = "SELECT actor, detail FROM platform.audit WHERE action = 'projections.rebuild'";
        assert_eq!(rows(&app.db, audit).await, [r#"a test|{"added": 5, "removed": 3, "effectsVersion": 2}"#]);
    }

    async fn what_happens_during_a_rebuild_is_in_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        history(&app).await;
        app.db.superuser().await.batch_execute(DAMAGE).await.unwrap();
        // Between the comparison and the swap the live step goes on, also over what is damaged.
        let later = async || {
            store(&app, &[statement(30, "passed", &platform("e", 20)), voiding(&id(31), &id(4))]).await;
            app.post_statements(&json!([statement(32, "initialized", &platform("c", 1))])).await.expect(200);
        };
        rebuild(&app, true, later).await.unwrap();
        settle(&app).await;
        let mended = everything(&app).await;
        forget(&app).await;
        settle(&app).await;
        assert_eq!(mended, everything(&app).await, "as a replay from zero makes it");
        let twice = "SELECT count(*) - count(DISTINCT (type, key)) FROM progress.outbox";
        assert_eq!(rows(&app.db, twice).await, ["0"]);
    }

    async fn one_that_was_killed_half_way_is_repeated_and_two_never_run_at_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        history(&app).await;
        app.db.superuser().await.batch_execute(DAMAGE).await.unwrap();
        let service = app.service().rooms.cold.clone();
        // Dropped in the middle: its schema is left behind, as by a process that was killed.
        let half = background::runtime()
            .spawn(async move { Rebuild::begin(&service, None).await.map_err(|e| e.to_string()) })
            .await
            .unwrap()
            .unwrap();
        assert!(matches!(rebuild(&app, false, async || {}).await, Err(RebuildError::Busy)));
        drop(half);
        let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'progress_rebuild'";
        assert_eq!(rows(&app.db, left).await, ["1"]);
        let again = patience::until("the end of its session", async || match rebuild(&app, true, async || {}).await {
            Err(RebuildError::Busy) => Err("busy"),
            other => Ok(other),
        })
        .await;
        assert_eq!(again.unwrap().0.len(), 6);
        assert!(rebuild(&app, false, async || {}).await.unwrap().0.is_empty());
        assert_eq!(rows(&app.db, left).await, ["0"]);
    }

    async fn the_command_prints_its_plan_and_changes_nothing_unless_told_to(db: TestDatabase) {
        let app = TestApp::start(db).await;
        history(&app).await;
        let right = attempts(&app).await;
        let run = |arguments: &[&str]| -> (Option<i32>, Vec<Value>) {
            let variables =
                [("PROGRESS_DATABASE_URL", app.db.service_url()), ("PROGRESS_DATABASE_MIGRATION_URL", app.db.owner_url())];
            let variables = BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value)));
            let output = command(&[&["projections", "--json"], arguments].concat(), &variables).output().unwrap();
            let lines = String::from_utf8(output.stdout).unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), lines.lines().map(|line| serde_json::from_str(line).expect(&errors)).collect())
        };
        let (code, status) = run(&["status"]);
        assert_eq!((code, &status[0]["attempts"], &status[0]["open"]), (Some(0), &json!(4), &json!(0)), "{status:?}");
        assert_eq!(run(&["verify"]).0, Some(0));
        app.db.superuser().await.batch_execute(DAMAGE).await.unwrap();
        let damaged = attempts(&app).await;
        let (code, found) = run(&["verify", "--tenant", "default"]);
        assert_eq!((code, found[0]["differences"].as_array().map(Vec::len)), (Some(4), Some(6)));
        let (code, plan) = run(&["rebuild"]);
        assert_eq!((code, plan.len(), &plan[0]), (Some(0), 1, &found[0]));
        assert_eq!(attempts(&app).await, damaged);
        let (code, done) = run(&["rebuild", "--apply"]);
        assert_eq!((code, &done[1]["added"]), (Some(0), &json!(5)));
        assert_eq!(attempts(&app).await, right);
        assert_eq!(run(&["verify"]).0, Some(0));
    }
}
