//! Attempts, completion records, scores and their events over a real ledger, stepped by hand.

mod activity;
mod rebuild;

use progress_service::{
    model::{TenantId, attempt::Outcome},
    projections::{CloseError, CloseRequest, ClosedByHand, close_attempt, run},
};
use serde_json::{Value, json};

use crate::{
    support::{app::TestApp, background, patience, pg::TestDatabase},
    xapi::{id, voiding},
};

const EXTENSIONS: &str = "http://ghasi.io/xapi/extensions/";
const USER: &str = "00000000-0000-4000-8000-0000000000aa";
const REGISTRATION: &str = "6d8b6a44-0d1c-4a44-9f0a-0b1d4f6f3a10";

/// Statement `n` at minute `n`.
pub fn statement(n: u128, verb: &str, context: &Value) -> Value {
    json!({
        "id": id(n),
        "actor": {"account": {"homePage": "http://h.example", "name": USER}},
        "verb": {"id": format!("http://adlnet.gov/expapi/verbs/{verb}")},
        "object": {"id": "http://x.example/au"},
        "context": context,
        "timestamp": format!("2026-11-01T{:02}:{:02}:00Z", 10 + n / 60, n % 60),
    })
}

/// The context of a statement that names its attempt by registration and course.
fn registered() -> Value {
    json!({
        "registration": REGISTRATION,
        "contextActivities": {"grouping": [{"id": "http://x.example/course"}]},
    })
}

/// The platform's own context: attempt `attempt` of enrollment `e`, asking for `number`.
pub fn platform(attempt: &str, number: i32) -> Value {
    json!({"extensions": {
        format!("{EXTENSIONS}attempt-id"): attempt,
        format!("{EXTENSIONS}enrollment-id"): "e",
        format!("{EXTENSIONS}course-version-id"): "v",
        format!("{EXTENSIONS}attempt-number"): number,
    }})
}

/// Steps until nothing is left.
pub async fn settle(app: &TestApp) {
    let store = app.service().rooms.store.clone();
    let all = async move { while run::step(&store).await.expect("a step") > 0 {} };
    background::runtime().spawn(all).await.expect("no panic");
}

async fn store(app: &TestApp, statements: &[Value]) {
    app.post_statements(&json!(statements)).await.expect(200);
    settle(app).await;
}

/// Every row of a query, its columns joined by bars.
async fn rows(db: &TestDatabase, sql: &str) -> Vec<String> {
    let sql = format!(
        "SELECT concat_ws('|', VARIADIC ARRAY(SELECT coalesce(value, '-') FROM json_each_text(row_to_json(r)))) FROM ({sql}) r"
    );
    db.superuser().await.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn attempts(app: &TestApp) -> Vec<String> {
    let sql =
        "SELECT attempt_number, state, outcome, score, duration_seconds FROM progress.attempts ORDER BY attempt_number";
    rows(&app.db, sql).await
}

/// The kinds of events told so far, in order.
async fn told(app: &TestApp) -> Vec<String> {
    let sql =
        "SELECT replace(replace(type, 'progress.', ''), '.v1', '') AS kind FROM progress.outbox ORDER BY position";
    rows(&app.db, sql).await
}

/// All that the projections hold, but for the times at which rows were written.
async fn everything(app: &TestApp) -> Vec<String> {
    let mut all = Vec::new();
    for sql in [
        "SELECT * FROM progress.attempt_names ORDER BY tenant_id, id",
        "SELECT * FROM progress.attempt_statements ORDER BY tenant_id, statement_id",
        "SELECT * FROM progress.attempts ORDER BY tenant_id, id",
        "SELECT * FROM progress.completion_records ORDER BY tenant_id, id",
        "SELECT * FROM progress.scores ORDER BY tenant_id, attempt_id",
    ] {
        all.extend(rows(&app.db, sql).await);
    }
    all
}

/// Everything that a replay makes again.
async fn forget(app: &TestApp) {
    let forget = "TRUNCATE progress.attempt_names, progress.attempt_statements, progress.attempts,
        progress.completion_records, progress.scores, progress.projection_cursors, progress.activity, progress.activity_due,
        progress.activity_counted, progress.learner_days";
    app.db.superuser().await.batch_execute(forget).await.unwrap();
}

fn request(attempt: &str, outcome: Outcome) -> CloseRequest {
    let (by, reason) = ("an administrator".to_owned(), "the exam hall burnt down".to_owned());
    CloseRequest { tenant: TenantId::DEFAULT, attempt: attempt.to_owned(), outcome, by, reason }
}

async fn close(app: &TestApp, attempt: &str, outcome: Outcome) -> Result<ClosedByHand, CloseError> {
    let (store, request) = (app.service().rooms.store.clone(), request(attempt, outcome));
    background::runtime().spawn(async move { close_attempt(&store, &request).await }).await.expect("no panic")
}

on_each_server! {
    async fn a_registration_becomes_a_passed_attempt_with_its_record_and_events(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut passed = statement(4, "passed", &registered());
        passed["result"] = json!({"success": true, "score": {"scaled": 0.875}, "duration": "PT3M"});
        store(&app, &[statement(1, "initialized", &registered())]).await;
        assert_eq!(attempts(&app).await, ["1|open|-|-|-"]);
        store(&app, &[statement(3, "completed", &registered()), passed, statement(5, "terminated", &registered())]).await;
        assert_eq!(attempts(&app).await, ["1|closed|passed|0.8750|180"]);
        assert_eq!(told(&app).await, ["attempt.started", "attempt.closed", "score.recorded", "completion.recorded"]);

        let record = "SELECT enrollment_id, user_id, score, passed, evidence_statement_ids::text AS evidence FROM \
            progress.completion_records";
        assert_eq!(rows(&app.db, record).await, [format!("{REGISTRATION}|{USER}|0.8750|true|{{{},{}}}", id(3), id(4))]);
        let data = "SELECT data FROM progress.outbox WHERE type = 'progress.completion.recorded.v1'";
        let data: Value = serde_json::from_str(&rows(&app.db, data).await[0]).unwrap();
        assert_eq!(data["evidenceStatementIds"], json!([id(3), id(4)]));
        assert_eq!(data["completedAt"], "2026-11-01T10:04:00.000000Z");
    }

    async fn a_retry_is_an_attempt_of_its_own_and_numbers_only_grow(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut failed = statement(2, "failed", &platform("first", 1));
        failed["result"] = json!({"score": {"scaled": 0.2}});
        store(&app, &[statement(1, "initialized", &platform("first", 1)), failed]).await;
        // The second asks for the number of the first; the fourth for one that was passed by.
        store(&app, &[statement(3, "passed", &platform("second", 1))]).await;
        store(&app, &[statement(4, "attempted", &platform("third", 7)), statement(5, "attempted", &platform("fourth", 3))]).await;
        let all = ["1|closed|failed|0.2000|60", "2|closed|passed|-|0", "7|open|-|-|-", "8|open|-|-|-"];
        assert_eq!(attempts(&app).await, all);
        assert_eq!(
            rows(&app.db, "SELECT id FROM progress.attempts ORDER BY attempt_number").await,
            ["first", "second", "third", "fourth"]
        );
    }

    async fn a_late_statement_is_stored_and_reopens_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[statement(1, "initialized", &registered()), statement(2, "failed", &registered())]).await;
        let (before, told_before) = (attempts(&app).await, told(&app).await);
        store(&app, &[statement(3, "passed", &registered()), statement(4, "answered", &registered())]).await;
        assert_eq!((attempts(&app).await, told(&app).await), (before, told_before));
        assert_eq!(rows(&app.db, "SELECT count(*) FROM progress.attempt_statements").await, ["4"]);
    }

    async fn what_is_voided_leaves_the_projections_whenever_its_voiding_arrives(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[statement(1, "initialized", &registered()), statement(2, "passed", &registered())]).await;
        assert_eq!(attempts(&app).await, ["1|closed|passed|-|60"]);
        store(&app, &[voiding(&id(20), &id(2))]).await;
        assert_eq!(attempts(&app).await, ["1|open|-|-|-"]);
        assert!(rows(&app.db, "SELECT id FROM progress.completion_records").await.is_empty());
        // Voided before it arrives.
        store(&app, &[voiding(&id(21), &id(3)), statement(3, "failed", &registered())]).await;
        assert_eq!(attempts(&app).await, ["1|open|-|-|-"]);
        store(&app, &[voiding(&id(22), &id(1))]).await;
        assert!(attempts(&app).await.is_empty());
        let kinds = ["attempt.started", "attempt.closed", "completion.recorded"];
        assert_eq!(told(&app).await, kinds);
        // A statement that still stands brings it back, under its number, and tells nothing twice.
        store(&app, &[statement(5, "passed", &registered())]).await;
        assert_eq!(attempts(&app).await, ["1|closed|passed|-|0"]);
        assert_eq!(told(&app).await, kinds);
    }

    async fn a_replay_from_zero_gives_the_same_rows_and_tells_nothing_again(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[statement(1, "initialized", &platform("a", 2)), statement(2, "completed", &platform("a", 2))]).await;
        store(&app, &[statement(3, "initialized", &platform("b", 2)), statement(4, "passed", &platform("a", 2))]).await;
        store(
            &app,
            &[
                voiding(&id(20), &id(3)),
                statement(5, "failed", &registered()),
                statement(6, "abandoned", &platform("c", 1)),
            ],
        )
        .await;
        let before = (everything(&app).await, rows(&app.db, "SELECT * FROM progress.outbox ORDER BY position").await);
        assert_eq!(before.0.len(), 4 + 6 + 3 + 1);
        forget(&app).await;
        settle(&app).await;
        let after = (everything(&app).await, rows(&app.db, "SELECT * FROM progress.outbox ORDER BY position").await);
        assert_eq!(after, before);
    }

    async fn two_steps_at_once_read_every_statement_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let statements: Vec<Value> =
            (0..40).map(|n| statement(n, "passed", &platform(&format!("attempt {n}"), 1))).collect();
        app.post_statements(&json!(statements)).await.expect(200);
        tokio::join!(settle(&app), settle(&app), settle(&app));
        let numbers: Vec<String> = rows(&app.db, "SELECT attempt_number FROM progress.attempts ORDER BY 1").await;
        assert_eq!(numbers, (1..=40).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(rows(&app.db, "SELECT count(*) FROM progress.outbox").await, [(40 * 3).to_string()]);
    }

    async fn a_step_that_dies_leaves_nothing_behind(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // The last thing a step writes is the cursor: whoever stops it there stops it after everything else.
        let stop = "CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'stopped'; END $$;
            CREATE TRIGGER stop BEFORE UPDATE ON progress.projection_cursors FOR EACH ROW EXECUTE FUNCTION public.stop()";
        let superuser = app.db.superuser().await;
        superuser.batch_execute(stop).await.unwrap();
        app.post_statements(&json!([statement(1, "passed", &registered())])).await.expect(200);
        let service = app.service().rooms.store.clone();
        let died = background::runtime().spawn(async move { run::step(&service).await }).await.unwrap();
        assert!(died.unwrap_err().to_string().contains("stopped"));
        for table in ["attempt_names", "attempt_statements", "attempts", "completion_records", "outbox", "projection_cursors",
            "activity", "activity_counted", "learner_days"] {
            assert_eq!(rows(&app.db, &format!("SELECT count(*) FROM progress.{table}")).await, ["0"], "{table}");
        }
        superuser.batch_execute("DROP TRIGGER stop ON progress.projection_cursors").await.unwrap();
        settle(&app).await;
        assert_eq!(attempts(&app).await, ["1|closed|passed|-|0"]);
        assert_eq!(told(&app).await, ["attempt.started", "attempt.closed", "completion.recorded"]);
    }

    async fn an_attempt_closed_by_hand_stays_closed_through_a_replay(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[statement(1, "initialized", &platform("a", 1)), statement(2, "initialized", &platform("b", 2))]).await;
        let closed = close(&app, "a", Outcome::Abandoned).await.unwrap();
        assert!(closed.is_folded);
        assert_eq!(close(&app, "a", Outcome::Abandoned).await.unwrap().at, closed.at, "the same again");
        let outcomes = "SELECT id, state, outcome FROM progress.attempts ORDER BY id";
        assert_eq!(rows(&app.db, outcomes).await, ["a|closed|abandoned", "b|open|-"]);
        // Late: it is stored and changes nothing.
        store(&app, &[statement(3, "passed", &platform("a", 1)), statement(4, "passed", &platform("b", 2))]).await;
        assert_eq!(rows(&app.db, outcomes).await, ["a|closed|abandoned", "b|closed|passed"]);
        let ended = "SELECT count(*) FROM progress.attempts a JOIN progress.attempt_closures c
                     ON c.attempt_id = a.id AND c.stored = a.ended_at";
        assert_eq!(rows(&app.db, ended).await, ["1"]);
        let events = "SELECT type FROM progress.outbox WHERE key = 'a' ORDER BY position";
        assert_eq!(rows(&app.db, events).await, ["progress.attempt.started.v1", "progress.attempt.closed.v1"]);
        let audit = "SELECT action, actor, subject, detail FROM platform.audit WHERE action = 'attempt.close'";
        assert_eq!(rows(&app.db, audit).await, [r#"attempt.close|an administrator|a|{"outcome": "abandoned"}"#]);

        let before = everything(&app).await;
        forget(&app).await;
        settle(&app).await;
        assert_eq!(everything(&app).await, before);
    }

    async fn closing_by_hand_is_refused_where_it_makes_no_sense(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[statement(1, "passed", &platform("a", 1)), statement(2, "initialized", &platform("b", 2))]).await;
        let refused = async |attempt, outcome| close(&app, attempt, outcome).await.unwrap_err().to_string();
        assert_eq!(refused("a", Outcome::Failed).await, "the attempt is closed already: passed");
        assert_eq!(refused("b", Outcome::Passed).await, "an attempt passes by a statement that proves it, not by hand");
        assert_eq!(refused("c", Outcome::Failed).await, "there is no such attempt");
        close(&app, "b", Outcome::Failed).await.unwrap();
        assert_eq!(refused("b", Outcome::Abandoned).await, "the attempt is closed already: failed");
        assert_eq!(rows(&app.db, "SELECT count(*) FROM progress.attempt_closures").await, ["1"]);
    }

    async fn a_statement_stored_before_the_closing_decides_though_it_commits_later(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[statement(1, "initialized", &platform("a", 1))]).await;
        // A writer that has its place in the order and has not committed.
        let slow = app.db.superuser().await;
        slow.batch_execute("BEGIN; SELECT ledger.reserve(1)").await.unwrap();
        let service = app.service().rooms.store.clone();
        let closing = background::runtime().spawn(async move { close_attempt(&service, &request("a", Outcome::Failed)).await });
        patience::until("the closing", async || {
            match rows(&app.db, "SELECT count(*) FROM progress.attempt_closures").await[0].as_str() {
                "1" => Ok(()),
                other => Err(other.to_owned()),
            }
        })
        .await;
        assert_eq!(attempts(&app).await, ["1|open|-|-|-"], "the order is not known yet");
        slow.batch_execute("COMMIT").await.unwrap();
        let first = closing.await.unwrap().unwrap();
        // It waits for seconds only: on a busy machine they may be over by now, and it has to be asked again.
        patience::until("the projections", async || match close(&app, "a", Outcome::Failed).await.unwrap() {
            again if again.at == first.at && again.is_folded => Ok(()),
            other => Err(format!("{other:?} after {first:?}")),
        })
        .await;
        assert_eq!(rows(&app.db, "SELECT outcome FROM progress.attempts").await, ["failed"]);
    }

    async fn what_names_no_attempt_moves_only_the_cursor(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[crate::xapi::identified(&id(1), "ann", "a")]).await;
        assert!(attempts(&app).await.is_empty());
        assert_eq!(rows(&app.db, "SELECT position > 'epoch' AS moved FROM progress.projection_cursors").await, ["true"]);
    }

    async fn other_tenants_see_nothing_of_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[statement(1, "passed", &registered())]).await;
        let service = app.db.service().await;
        service.batch_execute("SET ROLE progress_service").await.unwrap();
        for table in ["attempt_names", "attempt_statements", "attempts", "completion_records", "outbox", "projection_cursors",
            "activity", "activity_counted", "learner_days"] {
            let count = |row: tokio_postgres::Row| row.get::<_, i64>(0);
            let sql = format!("SELECT count(*) FROM progress.{table}");
            service.batch_execute("RESET app.tenant_id").await.unwrap();
            assert_eq!(count(service.query_one(&sql, &[]).await.unwrap()), 0, "{table}");
            service.batch_execute("SET app.tenant_id = '00000000-0000-4000-8000-000000000001'").await.unwrap();
            assert!(count(service.query_one(&sql, &[]).await.unwrap()) > 0, "{table}");
        }
    }
}
