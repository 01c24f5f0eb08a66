//! Counts of activity: as many as there are statements that stand, whatever comes when; the same as a rebuild makes them.

use progress_service::projections::activity;
use serde_json::{Value, json};

use super::{
    EXTENSIONS, platform,
    rebuild::{kinds, rebuild},
    rows, settle, statement, store,
};
use crate::{
    archived::objects,
    erasure::{ANN, by_mbox, erase, march},
    support::{app::TestApp, background, months, patience},
    xapi::{id, identified, voiding},
};

/// Statement `n` of an attempt in a course.
fn in_course(n: u128, verb: &str, course: &str) -> Value {
    let mut context = platform(&format!("in {course}"), 1);
    context["extensions"][format!("{EXTENSIONS}course-id")] = json!(course);
    statement(n, verb, &context)
}

/// Statements by verb and course, over all days.
async fn counts(app: &TestApp) -> Vec<String> {
    let sql = "SELECT replace(v.iri, 'http://adlnet.gov/expapi/verbs/', '') AS verb, a.course_id, sum(a.statements) AS statements
        FROM progress.activity a JOIN ledger.verbs_seen v ON v.tenant_id = a.tenant_id AND v.key = a.verb_key
        GROUP BY 1, 2 ORDER BY 1, 2";
    rows(&app.db, sql).await
}

async fn count(app: &TestApp, table: &str) -> String {
    rows(&app.db, &format!("SELECT count(*) FROM progress.{table}")).await.remove(0)
}

/// What a rebuild would change.
async fn differences(app: &TestApp) -> Vec<String> {
    kinds(&rebuild(app, false, async || {}).await.unwrap().0)
}

async fn mend(app: &TestApp) {
    rebuild(app, true, async || {}).await.unwrap();
}

async fn settle_archived(app: &TestApp) -> usize {
    let cold = app.service().rooms.cold.clone();
    background::runtime().spawn(async move { activity::settle(&cold).await }).await.unwrap().unwrap()
}

async fn since(app: &TestApp) -> Option<String> {
    let report = app.get("/api/v1/reports/activity").await.expect(200).json();
    report["countedSince"].as_str().map(str::to_owned)
}

on_each_server! {
    async fn what_stands_is_counted_and_what_is_voided_is_taken_off_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[in_course(1, "initialized", "c"), in_course(2, "passed", "c"), identified(&id(3), "ann", "a")]).await;
        store(&app, &[in_course(4, "initialized", "c"), in_course(5, "initialized", "d")]).await;
        let all = ["experienced||1", "initialized|c|2", "initialized|d|1", "passed|c|1"];
        assert_eq!(counts(&app).await, all);
        assert_eq!(count(&app, "learner_days").await, "2", "two people, whatever they did");
        // Voided, and voided again.
        let without = ["experienced||1", "initialized|c|2", "initialized|d|1"];
        for n in [20, 21] {
            store(&app, &[voiding(&id(n), &id(2))]).await;
            assert_eq!(counts(&app).await, without, "{n}");
        }
        // One that stays has more left beside it.
        store(&app, &[voiding(&id(22), &id(1))]).await;
        let one_less = ["experienced||1", "initialized|c|1", "initialized|d|1"];
        assert_eq!(counts(&app).await, one_less);
        // Before it arrives, together with it, and what voids itself.
        store(&app, &[voiding(&id(23), &id(6))]).await;
        store(&app, &[in_course(6, "failed", "c")]).await;
        store(&app, &[in_course(7, "failed", "c"), voiding(&id(24), &id(7)), voiding(&id(25), &id(24))]).await;
        store(&app, &[voiding(&id(26), &id(99))]).await;
        assert_eq!(counts(&app).await, one_less);
        assert_eq!(differences(&app).await, Vec::<String>::new());
        assert_eq!(since(&app).await, None);
    }

    async fn two_nodes_at_once_count_every_statement_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let all: Vec<Value> = (0..60).zip(["passed", "failed", "initialized"].into_iter().cycle())
            .map(|(n, verb)| in_course(n, verb, "c")).collect();
        for some in all.chunks(20) {
            app.post_statements(&json!(some)).await.expect(200);
            tokio::join!(settle(&app), settle(&app));
        }
        assert_eq!(counts(&app).await, ["failed|c|20", "initialized|c|20", "passed|c|20"]);
        assert_eq!(differences(&app).await, Vec::<String>::new());
    }

    async fn damaged_counts_are_found_and_mended_by_a_rebuild(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[in_course(1, "initialized", "c"), in_course(2, "passed", "c"), voiding(&id(20), &id(2))]).await;
        store(&app, &[in_course(3, "initialized", "d"), identified(&id(4), "ann", "a"), identified(&id(5), "bob", "a")]).await;
        let before = (counts(&app).await, rows(&app.db, "SELECT * FROM progress.learner_days ORDER BY learner").await);
        let damage = "UPDATE progress.activity SET statements = 7 WHERE course_id = 'c'; DELETE FROM progress.activity WHERE course_id = '';
            INSERT INTO progress.activity SELECT tenant_id, day, gen_random_uuid(), 'x', 1 FROM progress.activity LIMIT 1;
            INSERT INTO progress.learner_days SELECT tenant_id, day, gen_random_uuid() FROM progress.learner_days LIMIT 1;
            INSERT INTO progress.activity_due SELECT tenant_id, gen_random_uuid(), now() FROM progress.projection_cursors";
        app.db.superuser().await.batch_execute(damage).await.unwrap();
        // What waits for nothing is settled before anything is compared.
        let found = ["activity extra 1", "activity missing 1", "activity wrong 1", "learner_days extra 1"];
        assert_eq!(differences(&app).await, found);
        // What comes between the comparison and the swap is in it.
        rebuild(&app, true, async || store(&app, &[in_course(6, "initialized", "c"), voiding(&id(21), &id(3))]).await).await.unwrap();
        assert_eq!(counts(&app).await, ["experienced||2", "initialized|c|2"]);
        assert_eq!(before.0, ["experienced||2", "initialized|c|1", "initialized|d|1"]);
        assert_eq!(rows(&app.db, "SELECT * FROM progress.learner_days ORDER BY learner").await, before.1);
        assert_eq!(differences(&app).await, Vec::<String>::new());
        store(&app, &[in_course(7, "initialized", "c")]).await;
        assert_eq!((counts(&app).await, since(&app).await), (vec!["experienced||2".to_owned(), "initialized|c|3".to_owned()], None));
    }

    async fn what_nobody_counted_is_said_and_counted_by_a_rebuild(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[in_course(1, "initialized", "c"), in_course(2, "initialized", "c")]).await;
        // As if the release before had read them.
        let superuser = app.db.superuser().await;
        let forgotten = "TRUNCATE progress.activity, progress.activity_counted, progress.learner_days";
        superuser.batch_execute(forgotten).await.unwrap();
        let at = since(&app).await.expect("nothing is counted");
        store(&app, &[in_course(3, "initialized", "c"), voiding(&id(20), &id(1))]).await;
        assert_eq!(counts(&app).await, ["initialized|c|1"], "what was never counted is not taken off");
        assert_eq!(since(&app).await, Some(at));
        mend(&app).await;
        assert_eq!((counts(&app).await, since(&app).await), (vec!["initialized|c|2".to_owned()], None));
        // A node of the release before goes on for a while beside this one.
        app.post_statements(&json!([in_course(4, "initialized", "c")])).await.expect(200);
        let moved = "UPDATE progress.projection_cursors SET position = (SELECT max(stored) FROM ledger.statements)";
        superuser.batch_execute(moved).await.unwrap();
        let before = since(&app).await.expect("one was left out");
        store(&app, &[in_course(5, "initialized", "c")]).await;
        assert_eq!((counts(&app).await, since(&app).await), (vec!["initialized|c|3".to_owned()], Some(before)));
        mend(&app).await;
        assert_eq!((counts(&app).await, since(&app).await), (vec!["initialized|c|4".to_owned()], None));
    }

    async fn what_nobody_counted_is_counted_by_the_backfill_that_comes_with_the_release(db: TestDatabase) {
        let app = TestApp::start(db).await;
        store(&app, &[in_course(1, "initialized", "c"), in_course(2, "initialized", "c")]).await;
        let forgotten = "TRUNCATE progress.activity, progress.activity_counted, progress.learner_days";
        app.db.superuser().await.batch_execute(forgotten).await.unwrap();
        store(&app, &[in_course(3, "initialized", "c"), voiding(&id(20), &id(1))]).await;
        since(&app).await.expect("two are not counted");
        let name = "progress/DM001_count_activity.sql";
        app.post("/api/v1/admin/backfills/run", &json!({"name": name})).await.expect(202);
        let done = patience::until("the backfill", async || {
            let all = app.get("/api/v1/admin/backfills").await.expect(200).json();
            let found = all["data"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
            if found["state"] == "verified" { Ok(found) } else { Err(found) }
        }).await;
        assert_eq!((&done["rows"], &done["changed"]), (&json!(1), &json!(1)), "one tenant");
        assert_eq!((counts(&app).await, since(&app).await), (vec!["initialized|c|2".to_owned()], None));
        assert_eq!(differences(&app).await, Vec::<String>::new());
    }

    async fn after_an_erasure_a_number_of_few_is_still_not_told(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let people: Vec<Value> = (1..=10).map(|n| identified(&id(n), &if n == 1 { "ann".to_owned() } else { format!("p{n}") }, "a")).collect();
        store(&app, &people).await;
        settle(&app).await;
        let last = async || {
            let report = app.get("/api/v1/reports/learners").await.expect(200).json();
            report["data"].as_array().unwrap().last().unwrap().clone()
        };
        assert_eq!(last().await["learners"], 10);
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        let left = last().await;
        assert_eq!((&left["fewerThan"], left.get("learners")), (&json!(10), None), "{left}");
        assert_eq!(count(&app, "learner_days").await, "9");
    }

    async fn who_is_erased_is_counted_no_more_and_a_rebuild_finds_the_same(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let by_ann = |n: u128, verb: &str| {
            let mut it = in_course(n, verb, "of ann");
            it["actor"] = json!({"mbox": ANN});
            it
        };
        store(&app, &[by_ann(1, "initialized"), by_ann(2, "initialized"), by_ann(3, "passed"), identified(&id(4), "ann", "a")]).await;
        store(&app, &[identified(&id(5), "bob", "a"), voiding(&id(20), &id(2)), voiding(&id(21), &id(6)), by_ann(6, "failed")]).await;
        assert_eq!(counts(&app).await, ["experienced||2", "initialized|of ann|1", "passed|of ann|1"]);
        assert_eq!(count(&app, "learner_days").await, "2");
        // Not read yet when it goes.
        app.post_statements(&json!([by_ann(7, "passed")])).await.expect(200);
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        settle(&app).await;
        assert_eq!(counts(&app).await, ["experienced||1"]);
        assert_eq!(count(&app, "learner_days").await, "1", "Bob's");
        assert_eq!(differences(&app).await, Vec::<String>::new());
        crate::archived::history::settle(&app).await;
    }

    async fn what_is_voided_or_erased_of_archived_months_is_taken_off_as_well(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let said: Vec<Value> = (1..=3).map(|n| identified(&id(n), "bob", "a"))
            .chain((4..=5).map(|n| identified(&id(n), "ann", "a"))).collect();
        app.post_statements(&json!(said)).await.expect(200);
        months::spread(&app.db, march()).await;
        settle(&app).await;
        months::away(&app.db, &objects(&app), march()).await;
        std::fs::remove_dir_all(app.data().join("archive/_staged")).unwrap();
        assert_eq!(counts(&app).await, ["experienced||5"]);
        assert_eq!(differences(&app).await, Vec::<String>::new(), "archived months are read");
        store(&app, &[voiding(&id(20), &id(1)), voiding(&id(21), &id(4))]).await;
        assert_eq!((count(&app, "activity_due").await.as_str(), counts(&app).await), ("2", vec!["experienced||5".to_owned()]));
        // One of them goes before its month is read; the other stays.
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        assert_eq!((count(&app, "activity_due").await.as_str(), counts(&app).await), ("1", vec!["experienced||3".to_owned()]));
        assert_eq!(settle_archived(&app).await, 1);
        assert_eq!((count(&app, "activity_due").await.as_str(), counts(&app).await), ("0", vec!["experienced||2".to_owned()]));
        assert_eq!(settle_archived(&app).await, 0);
        assert_eq!(differences(&app).await, Vec::<String>::new());
        store(&app, &[voiding(&id(22), &id(1))]).await;
        assert_eq!(count(&app, "activity_due").await, "0", "it is taken off already");
        crate::archived::history::settle(&app).await;
    }
}
