//! Backfills: every row once however often they are broken off, heard when somebody pauses them, held by any sign of strain,
//! and done only when nothing remains.

mod kills;
mod large;

use std::{path::Path, time::Duration};

use progress_service::{
    app,
    migrate::{
        backfill::{Backfills, DeskError, Did, Steps},
        modules,
    },
    model::Ids,
    store::{
        As, Store,
        platform::{jobs, leases},
    },
    telemetry::Metrics,
    worker::jobs::JobRunner,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    app::{TestApp, send},
    patience,
    pg::TestDatabase,
    process::command,
};

const NAME: &str = "shop/DM001_colour";
const TABLE: &str = "-- Description: things to be coloured
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE shop.things (tenant_id uuid NOT NULL, id bigint NOT NULL, colour text, times integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id));
ALTER TABLE shop.things ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.things FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON shop.things TO progress_worker USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA shop TO progress_worker;
GRANT SELECT, UPDATE ON shop.things TO progress_worker;
";
const COLOUR: &str = "-- Description: a colour for every thing
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: colour IS NULL

UPDATE shop.things t SET colour = 'red', times = t.times + 1 FROM batch b
WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id);
";
const STEP: &str = "-- Description: a colour for every thing, by a step of the release
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: colour IS NULL
-- Step: colour
";
const ROWS: i64 = 6_000;

/// A folder of plug-ins with the module `shop`.
fn plugins(table: &str, backfill: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop");
    std::fs::create_dir(&shop).unwrap();
    std::fs::write(shop.join("001_things.sql"), table).unwrap();
    std::fs::write(shop.join("DM001_colour.sql"), backfill).unwrap();
    folder
}

async fn started(db: TestDatabase, plugins: &Path) -> TestApp {
    let folder = plugins.to_string_lossy().into_owned();
    let variables = [("PROGRESS_MIGRATIONS_PLUGIN_DIR", folder.as_str())];
    TestApp::with(db, &variables, progress_service::model::Clock::system(), Ids::random()).await
}

async fn fill(app: &TestApp, from: i64, rows: i64) {
    let sql = format!(
        "INSERT INTO shop.things (tenant_id, id) SELECT ('00000000-0000-4000-8000-00000000000' || n % 3)::uuid, n
         FROM generate_series({from}, {}) n",
        from + rows - 1
    );
    app.db.superuser().await.batch_execute(&sql).await.unwrap();
}

async fn count(app: &TestApp, condition: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM shop.things WHERE {condition}");
    app.db.superuser().await.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn digest(app: &TestApp) -> String {
    let sql = "SELECT sum(hashtextextended(t::text, 0))::text FROM shop.things t";
    app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

async fn listed(app: &TestApp) -> Value {
    let all = app.get("/api/v1/admin/backfills").await.expect(200).json();
    let ours = all["data"].as_array().unwrap().iter().find(|one| one["name"] == format!("{NAME}.sql"));
    ours.unwrap_or_else(|| panic!("{all}")).clone()
}

async fn begin(app: &TestApp) -> Uuid {
    let begun = app.post("/api/v1/admin/backfills/run", &json!({"name": NAME})).await.expect(202).json();
    begun["jobId"].as_str().unwrap().parse().unwrap()
}

/// Waits until it is in this state; answers it.
async fn reaches(app: &TestApp, state: &str) -> Value {
    let ask = async || {
        let now = listed(app).await;
        if now["state"] == state { Ok(now) } else { Err(now) }
    };
    patience::until(state, ask).await
}

async fn speed(app: &TestApp, percent: i32) {
    let body = json!({"name": NAME, "speed": percent});
    send(app.request(reqwest::Method::PUT, "/api/v1/admin/backfills/speed").json(&body)).await.expect(204);
}

/// What a release does to a thing where no statement can, though one could.
fn steps() -> Steps {
    Steps::default().with("colour", |job, row| {
        let sql = format!(
            "UPDATE shop.things SET colour = 'red', times = times + 1 WHERE tenant_id = {} AND id = {}",
            row["tenant_id"].to_string().replace('"', "'"),
            row["id"]
        );
        Box::pin(async move {
            let done = job.store.run_tx("colour_one", As::Worker, |tx| {
                let sql = &sql;
                Box::pin(async move {
                    leases::check(tx).await?;
                    tx.execute(sql, &[]).await
                })
            });
            done.await.map(|_| Did::Row)
        })
    })
}

/// A runner of this test's own that does backfills, with short leases.
fn runner(store: &Store, plugins: &Path) -> (JobRunner, Backfills) {
    let metrics = Metrics::new().unwrap();
    let files = modules::all(&[plugins.to_owned()]).unwrap();
    let backfills = Backfills::new(store, &files, &Ids::random(), &metrics, None).with_steps(steps());
    let kinds = vec![app::backfill_runs(&backfills)];
    let node = progress_service::model::Ids::random().uuid().to_string();
    (JobRunner::new(store.clone(), metrics, &node, kinds).with_term(Duration::from_millis(400)), backfills)
}

async fn every_row_exactly_once(db: TestDatabase, file: &str, rows: i64) {
    let folder = plugins(TABLE, file);
    let app = started(db, folder.path()).await;
    app.stop_loops().await;
    fill(&app, 1, rows).await;
    let store = Store::open(&app.db.store_settings()).unwrap();
    let (_, backfills) = runner(&store, folder.path());
    backfills.set_speed(NAME, 20, "a test").await.unwrap();
    let id = backfills.start(NAME, false, "a test").await.unwrap();
    let (mut broken_off, mut lives) = (0, 0);
    loop {
        // Each life is another node; it is broken off wherever it is after another while.
        let (runner, _) = runner(&store, folder.path());
        let Some(taken) = runner.take(Some(id)).await.unwrap() else {
            let job = store.run_tx("look", As::Worker, |tx| Box::pin(jobs::get(tx, id))).await.unwrap().unwrap();
            if job.state.is_over() {
                assert_eq!(job.error, None);
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Longer from life to life: on a slow machine too the next batch comes in the end.
        lives += 1;
        let while_it_lives = Duration::from_millis(60 + 20 * lives);
        let stop = CancellationToken::new();
        broken_off += u32::from(tokio::time::timeout(while_it_lives, runner.work(taken, &stop)).await.is_err());
    }
    assert!(broken_off > 2, "it was over too soon to be tried");
    assert_eq!((count(&app, "times = 1 AND colour = 'red'").await, count(&app, "true").await), (rows, rows));
    let verified = listed(&app).await;
    assert_eq!((&verified["state"], &verified["digest"]), (&json!("verified"), &json!(digest(&app).await)));
    let changed = verified["changed"].as_i64().unwrap();
    // A place is kept with what a statement did up to it; a step may be done, and its node gone.
    assert!(if file == STEP { (1..=rows).contains(&changed) } else { changed == rows }, "{changed} of {rows}");
    store.close();
}

on_each_server! {
    async fn every_row_is_done_and_looked_at_while_the_service_serves(db: TestDatabase) {
        let folder = plugins(TABLE, COLOUR);
        let app = started(db, folder.path()).await;
        fill(&app, 1, ROWS).await;
        let waiting = listed(&app).await;
        assert_eq!((&waiting["state"], &waiting["name"]), (&json!("waiting"), &json!("shop/DM001_colour.sql")));
        begin(&app).await;
        let done = reaches(&app, "verified").await;
        assert_eq!((&done["rows"], &done["changed"]), (&json!(ROWS), &json!(ROWS)), "{done}");
        assert_eq!(done["digest"], json!(digest(&app).await));
        assert_eq!((count(&app, "colour IS NULL").await, count(&app, "times <> 1").await), (0, 0));
        let refused = app.post("/api/v1/admin/backfills/run", &json!({"name": NAME})).await.expect(409);
        assert!(refused.text().contains("was verified"), "{}", refused.text());
        // Once more it finds nothing to do and says the same.
        app.post("/api/v1/admin/backfills/run", &json!({"name": NAME, "again": true})).await.expect(202);
        let again = reaches(&app, "verified").await;
        assert_eq!((&again["changed"], &again["digest"]), (&json!(0), &done["digest"]));
        let trail = "SELECT count(*) FROM platform.audit WHERE action = 'backfill.run'";
        let entries: i64 = app.db.superuser().await.query_one(trail, &[]).await.unwrap().get(0);
        assert_eq!(entries, 2);
    }

    async fn broken_off_anywhere_it_does_every_row_exactly_once(db: TestDatabase) {
        every_row_exactly_once(db, COLOUR, 5 * ROWS).await;
    }

    async fn a_step_of_the_release_does_so_too(db: TestDatabase) {
        every_row_exactly_once(db, STEP, 300).await;
    }

    async fn a_step_that_this_release_does_not_have_is_told_and_nothing_is_done(db: TestDatabase) {
        let folder = plugins(TABLE, STEP);
        let app = started(db, folder.path()).await;
        fill(&app, 1, 10).await;
        begin(&app).await;
        let failed = reaches(&app, "failed").await;
        let id = failed["jobId"].as_str().unwrap();
        let job = app.get(&format!("/api/v1/admin/jobs/{id}")).await.expect(200).json();
        assert!(job["error"].as_str().unwrap().contains("has no step \"colour\""), "{job}");
        assert_eq!(count(&app, "times <> 0").await, 0);
    }

    async fn a_pause_is_heard_before_the_next_batch_and_what_came_behind_its_back_is_done_after_all(db: TestDatabase) {
        let folder = plugins(TABLE, COLOUR);
        let app = started(db, folder.path()).await;
        fill(&app, 1_000, 40_000).await;
        speed(&app, 20).await;
        let id = begin(&app).await;
        patience::until("it begins", async || if count(&app, "times = 1").await > 0 { Ok(()) } else { Err("not yet") }).await;
        app.post(&format!("/api/v1/admin/jobs/{id}/pause"), &json!({})).await.expect(200);
        reaches(&app, "paused").await;
        let done = count(&app, "times = 1").await;
        assert!(done < 40_000, "it was paused in the middle");
        // A release that does not know of it writes where it has been already.
        fill(&app, 1, 500).await;
        assert_eq!(count(&app, "times = 1").await, done, "it stands still");
        speed(&app, 100).await;
        app.post(&format!("/api/v1/admin/jobs/{id}/resume"), &json!({})).await.expect(200);
        let verified = reaches(&app, "verified").await;
        assert_eq!((count(&app, "times <> 1").await, &verified["rows"]), (0, &json!(40_500)));
        assert_eq!(verified["progress"]["round"], json!(2), "the second walk found them");
    }

    async fn it_stands_still_while_somebody_waits_for_a_lock_and_says_so(db: TestDatabase) {
        let folder = plugins(TABLE, COLOUR);
        let app = started(db, folder.path()).await;
        fill(&app, 1, ROWS).await;
        let (holder, waiter) = (app.db.superuser().await, app.db.superuser().await);
        holder.batch_execute("CREATE TABLE public.busy (a int)").await.unwrap();
        holder.batch_execute("BEGIN; LOCK TABLE public.busy").await.unwrap();
        let waits = tokio::spawn(async move { waiter.batch_execute("SELECT * FROM public.busy").await });
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = to_regclass('public.busy')";
        let look = app.db.superuser().await;
        patience::until("somebody waits", async || match look.query_one(sql, &[]).await.unwrap().get(0) {
            0_i64 => Err("nobody"),
            _ => Ok(()),
        })
        .await;
        begin(&app).await;
        let held = async || {
            let now = listed(&app).await;
            let text = now["progress"]["note"].as_str().unwrap_or_default().to_owned();
            if text.contains("wait for a lock") { Ok(now) } else { Err(now) }
        };
        let standing = patience::until("it stands still", held).await;
        assert_eq!((&standing["progress"]["done"], count(&app, "times <> 0").await), (&json!(0), 0), "{standing}");
        holder.batch_execute("ROLLBACK").await.unwrap();
        waits.await.unwrap().unwrap();
        reaches(&app, "verified").await;
        assert_eq!(count(&app, "times = 1").await, ROWS);
    }

    async fn a_statement_that_does_not_do_its_rows_is_never_called_done(db: TestDatabase) {
        let folder = plugins(TABLE, &COLOUR.replace("colour = 'red', times = t.times + 1", "times = t.times + 1"));
        let app = started(db, folder.path()).await;
        fill(&app, 1, 700).await;
        begin(&app).await;
        let failed = reaches(&app, "failed").await;
        assert_eq!(failed["verifiedAt"], json!(null));
        let id = failed["jobId"].as_str().unwrap();
        let job = app.get(&format!("/api/v1/admin/jobs/{id}")).await.expect(200).json();
        assert!(job["error"].as_str().unwrap().contains("700 rows remain after 3 rounds"), "{job}");
        assert_eq!(job["outcome"]["remaining"], json!(700));
    }

    async fn a_table_that_cannot_be_walked_whole_is_refused_before_anything_is_done(db: TestDatabase) {
        for (table, backfill, word) in [
            (TABLE.replace("CREATE POLICY every_tenant ON shop.things TO progress_worker USING (true) WITH CHECK (true);",
                "CREATE POLICY own ON shop.things TO progress_worker USING (tenant_id = (SELECT platform.current_tenant()));"),
             COLOUR.to_owned(), "does not see every row"),
            (TABLE.to_owned(), COLOUR.replace("by tenant_id, id", "by id"), "no unique index on (id)"),
            (TABLE.to_owned(), COLOUR.replace("shop.things by", "shop.nothing by"), "no table shop.nothing"),
            (TABLE.replace("GRANT SELECT, UPDATE", "GRANT UPDATE"), COLOUR.to_owned(), "may not read"),
        ] {
            let folder = plugins(&table, &backfill);
            let db = TestDatabase::new(db.server()).await;
            let app = started(db, folder.path()).await;
            fill(&app, 1, 10).await;
            begin(&app).await;
            let failed = reaches(&app, "failed").await;
            let id = failed["jobId"].as_str().unwrap();
            let job = app.get(&format!("/api/v1/admin/jobs/{id}")).await.expect(200).json();
            assert!(job["error"].as_str().unwrap().contains(word), "{word}: {job}");
            assert_eq!(count(&app, "times <> 0").await, 0);
        }
    }
}

on_the_newest_server! {
    async fn backfills_at_the_command_line(db: TestDatabase) {
        let folder = plugins(TABLE, COLOUR);
        let app = started(db, folder.path()).await;
        fill(&app, 1, 2_000).await;
        let variables = app.variables([("PROGRESS_MIGRATIONS_PLUGIN_DIR", folder.path().to_string_lossy().into_owned())]);
        let run = |arguments: &[&str]| {
            let output = command(&[&["backfill"], arguments, &["--json"]].concat(), &variables).output().unwrap();
            let lines = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (output.status.code(), lines, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, lines, why) = run(&["speed", NAME, "50"]);
        assert_eq!((code, &lines[0]["speed"]), (Some(0), &json!(50)), "{why}");
        let (code, lines, why) = run(&["run", NAME, "--follow"]);
        assert_eq!((code, &lines.last().unwrap()["state"]), (Some(0), &json!("succeeded")), "{why}");
        let ours = || {
            let all = run(&["list"]).1;
            all.into_iter().find(|line| line["name"] == format!("{NAME}.sql")).unwrap()
        };
        let listed = ours();
        assert_eq!((code, &listed["state"], &listed["rows"]), (Some(0), &json!("verified"), &json!(2_000)));
        assert_eq!(count(&app, "times = 1").await, 2_000);
        for (bad, code, word) in [
            (&["run", NAME][..], 1, "--again"),
            (&["run", "shop/DM009_nothing"], 1, "backfill list"),
            (&["pause", NAME], 1, "succeeded"),
            (&["speed", NAME, "0"], 2, "1..=100"),
        ] {
            let (found, _, why) = run(bad);
            assert!(found == Some(code) && why.contains(word), "{bad:?}: {why}");
        }
        // Another text under the same name was never verified.
        std::fs::write(folder.path().join("shop/DM001_colour.sql"), COLOUR.replace("'red'", "'blue'")).unwrap();
        assert_eq!(ours()["state"], json!("changed"));
        // What the linter would not let a migration do no backfill does.
        std::fs::write(folder.path().join("shop/DM001_colour.sql"), COLOUR.replace("UPDATE shop.things", "UPDATE things")).unwrap();
        let (code, _, why) = run(&["run", NAME]);
        assert!(code == Some(1) && why.contains("is not fit"), "{why}");
    }
}

#[test]
fn the_desk_knows_its_errors() {
    assert!(DeskError::Unknown("x".into()).to_string().contains("backfill list"));
}
