//! What the rules delete is marked, waits, and goes: rows of tables in batches, months of the archive whole; a hold or a rule that
//! comes in between spares it.

use std::time::Duration;

use progress_service::{
    archive::{Archive, jobs},
    model::partition::Change,
    retention::{Done, Retention, Trial, plan::Principle},
    store::ledger::{holds::Scope, segments::State as SegmentState},
};
use serde_json::json;

use super::{TENANT, hold, learner, release, retention, retention_over, rule, set};
use crate::{
    archive::{archive_over, sealed_march, work},
    lifecycle::{MARCH, fill, make, month, settled},
    support::{
        app::TestApp,
        background,
        past::{self, SECOND},
        patience,
        pg::TestDatabase,
        segments::{keys, stores},
    },
    xapi::{id, identified},
};

const WEEK: Duration = Duration::from_hours(7 * 24);

async fn count(db: &TestDatabase, sql: &str) -> i64 {
    db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

async fn apply(retention: &Retention) -> Done {
    retention.apply(Some(TENANT), (None, "ann"), true).await.unwrap()
}

/// Both months leave their tables: March is in the archive alone.
async fn archived_march(app: &TestApp, archive: &Archive) {
    for kind in [jobs::RUN, jobs::DROP] {
        work(archive, kind).await.unwrap();
    }
    assert!(past::contents(&app.db, month(MARCH)).await.is_empty());
}

on_each_server! {
    async fn reports_keep_the_counts_of_what_went_by_its_age(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 30).await;
        let counted = "SELECT coalesce(sum(statements), 0)::bigint FROM progress.activity";
        assert_eq!(count(&app.db, counted).await, 30);
        let hasty = retention(&app.db, Duration::ZERO);
        set(&hasty, rule(Some(TENANT), "standard", None, Some(90))).await;
        apply(&hasty).await;
        apply(&hasty).await;
        assert_eq!(count(&app.db, "SELECT count(*) FROM ledger.statements").await, 0);
        assert_eq!(count(&app.db, counted).await, 30, "they tell of nobody");
    }

    async fn what_is_past_its_time_is_marked_and_goes_after_its_grace_and_does_not_come_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 30).await;
        past::double(&app.db, month(MARCH)).await;
        app.post_statements(&identified(&id(100), "ann", "a")).await.expect(200);
        let patient = retention(&app.db, WEEK);
        assert!(patient.plan(Some(TENANT), None).await.unwrap().units.iter().all(|unit| !unit.goes()), "there is no rule");
        set(&patient, rule(Some(TENANT), "standard", None, Some(90))).await;
        let plan = patient.plan(Some(TENANT), None).await.unwrap();
        let going: Vec<_> = plan.units.iter().filter(|unit| unit.goes()).collect();
        assert_eq!(going.len(), 1, "{plan:?}");
        assert_eq!((going[0].rows, going[0].principle, going[0].month), (30, Principle::Deleted, Some(month(MARCH))));
        let done = apply(&patient).await;
        assert_eq!((done.marked.len(), done.removed.len()), (1, 0));
        let again = apply(&patient).await;
        assert_eq!((again.marked.len(), again.waiting.len(), again.removed.len()), (0, 1, 0), "it is marked once");
        assert_eq!(count(&app.db, "SELECT count(*) FROM ledger.statements").await, 61, "marking removes nothing");

        let hasty = "UPDATE ledger.removals SET due_at = now()";
        app.db.superuser().await.batch_execute(hasty).await.unwrap();
        let done = apply(&patient).await;
        assert_eq!((done.removed.len(), done.removed[0].rows), (1, 30));
        let left = format!("SELECT count(*) FROM ledger.statements WHERE tenant_id = '{TENANT}'");
        assert_eq!(count(&app.db, &left).await, 1);
        let theirs = format!("SELECT count(*) FROM ledger.statements WHERE tenant_id = '{SECOND}'");
        assert_eq!(count(&app.db, &theirs).await, 30, "what is another tenant's stays");
        let relations = format!("SELECT count(*) FROM ledger.relations WHERE tenant_id = '{TENANT}' AND stored < '2026-04-01'");
        assert_eq!(count(&app.db, &relations).await, 0);
        let tombstones = format!("SELECT count(*) FROM ledger.statement_ids WHERE tenant_id = '{TENANT}' AND erased");
        assert_eq!(count(&app.db, &tombstones).await, 30);
        app.post_statements(&identified(&id(7), "learner0", "course2")).await.expect(200);
        app.get_statements(&[("statementId", &id(7))]).await.expect(404);
        app.get_statements(&[("statementId", &id(100))]).await.expect(200);
        let entries = "SELECT count(*) FROM platform.audit WHERE action IN ('retention.policy', 'retention.mark', 'retention.remove')";
        assert_eq!(count(&app.db, entries).await, 3);
        assert!(apply(&patient).await.removed.is_empty(), "done again it changes nothing");
    }

    async fn a_month_that_moves_before_its_turn_is_removed_where_it_lies(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 30).await;
        settled(&app).await;
        app.stop_loops().await;
        let retention = retention(&app.db, Duration::ZERO);
        set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
        assert_eq!(apply(&retention).await.marked.len(), 1);
        let store = app.db.store();
        make(&store, MARCH, Change::Seal).await.unwrap();
        // It waits to ask for holds, and thinks that the month is hot.
        let holder = app.db.superuser().await;
        holder.batch_execute(&format!("BEGIN; SELECT ledger.own_holds('{TENANT}')")).await.unwrap();
        let removing = background::runtime().spawn({
            let retention = retention.clone();
            async move { apply(&retention).await }
        });
        let eye = app.db.superuser().await;
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 76302 AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        patience::until("the removal to wait", async || {
            if eye.query_one(waits, &[]).await.unwrap().get(0) { Ok(()) } else { Err("it is on its way") }
        })
        .await;
        assert!(make(&store, MARCH, Change::Detach).await.unwrap());
        holder.batch_execute("ROLLBACK").await.unwrap();
        let done = removing.await.unwrap();
        assert_eq!((done.removed.len(), done.removed[0].rows), (1, 30), "what is said to be gone is gone");
        assert_eq!(count(&app.db, "SELECT count(*) FROM ledger.detached_statements").await, 0);
        assert_eq!(count(&app.db, "SELECT count(*) FROM ledger.detached_relations").await, 0);
    }

    async fn a_hold_or_a_rule_that_comes_after_the_mark_spares_what_was_marked(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 20).await;
        let retention = retention(&app.db, Duration::ZERO);
        set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
        assert_eq!(apply(&retention).await.marked.len(), 1);
        let whole = hold(&app.db.store(), &Scope::Tenant).await;
        let done = apply(&retention).await;
        assert_eq!((done.spared.len(), done.spared[0].spared_by.as_deref(), done.removed.len()), (1, Some("hold"), 0));
        let plan = retention.plan(Some(TENANT), None).await.unwrap();
        assert!(plan.units.iter().any(|unit| unit.principle == Principle::Hold && unit.hold == Some(whole.id)), "{plan:?}");
        release(&app.db.store(), whole.id).await;
        assert_eq!(apply(&retention).await.marked.len(), 1, "it is marked anew");
        set(&retention, rule(Some(TENANT), "standard", Some(3_650), None)).await;
        assert_eq!(apply(&retention).await.spared.len(), 1);
        assert_eq!(count(&app.db, "SELECT count(*) FROM ledger.statements").await, 20);
    }

    async fn what_is_about_a_held_person_or_a_kept_course_stays_where_the_rest_goes(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 35).await;
        let retention = retention(&app.db, Duration::ZERO);
        set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
        hold(&app.db.store(), &Scope::Person(vec![learner("learner3")])).await;
        let course = progress_service::retention::who::course(TENANT, "http://example.com/activities/course2").unwrap();
        set(&retention, progress_service::model::retention::Rule { course: Some(course), ..rule(Some(TENANT), "standard", Some(3_650), None) }).await;
        for _ in 0..2 {
            apply(&retention).await;
        }
        let left = "SELECT count(*) FROM ledger.statements WHERE payload LIKE '%learner3@%' OR payload LIKE '%/course2\"%'";
        let (left, all) = (count(&app.db, left).await, count(&app.db, "SELECT count(*) FROM ledger.statements").await);
        assert_eq!((left, all), (11, 11), "five of the person, seven of the course, one of both");
    }

    async fn an_archived_month_goes_whole_and_other_tenants_bytes_are_not_touched(db: TestDatabase) {
        let app = sealed_march(db, 40).await;
        app.stop_loops().await;
        let real = stores().await.into_iter().next().expect("a store");
        let archive = archive_over(&app.db, real.store());
        archived_march(&app, &archive).await;
        let retention = retention_over(&app.db, real.store(), Duration::ZERO);
        set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
        let held = hold(&app.db.store(), &Scope::Person(vec![learner("learner3")])).await;
        let plan = retention.plan(Some(TENANT), None).await.unwrap();
        let segment = plan.units.iter().find(|unit| unit.revision.is_some()).expect("a segment");
        assert_eq!((segment.goes(), segment.principle, segment.hold), (false, Principle::Hold, Some(held.id)));
        release(&app.db.store(), held.id).await;
        hold(&app.db.store(), &Scope::Person(vec![learner("nobody-there")])).await;

        let before = keys(&real.store()).await;
        assert_eq!(apply(&retention).await.marked.len(), 1);
        let done = apply(&retention).await;
        assert_eq!((done.removed.len(), done.removed[0].rows), (1, 40), "{done:?}");
        let all = archive.segments(Some(month(MARCH))).await.unwrap();
        let of = |tenant: &str| all.iter().find(|one| one.name.tenant.to_string() == tenant).unwrap().state;
        assert_eq!((of(&TENANT.to_string()), of(SECOND)), (SegmentState::Marked, SegmentState::Published));
        app.get_statements(&[("statementId", &id(7))]).await.expect(404);
        let tombstones = format!("SELECT count(*) FROM ledger.statement_ids WHERE tenant_id = '{TENANT}' AND erased");
        assert_eq!(count(&app.db, &tombstones).await, 40);
        assert_eq!(keys(&real.store()).await, before, "the objects are the archive's to remove");
        app.db.superuser().await.batch_execute("UPDATE ledger.segments SET marked_at = now() - interval '2 hours' WHERE state = 'marked'")
            .await.unwrap();
        let leftovers = archive.leftovers().await.unwrap();
        archive.collect(&archive.claim().await.unwrap(), &leftovers).await.unwrap();
        let left = keys(&real.store()).await;
        let own = format!("tenant={TENANT}");
        let of_it: Vec<&String> = left.iter().filter(|key| key.contains(&own)).collect();
        assert_eq!(of_it, [&format!("_gone/{own}/month={MARCH}.json")], "nothing but the word that nothing is left");
        let theirs = |all: &[String]| all.iter().filter(|key| key.contains(SECOND)).cloned().collect::<Vec<_>>();
        assert_eq!(theirs(&left), theirs(&before));
        assert_eq!(work(&archive, jobs::VERIFY).await.unwrap()["statements"], json!(40));
    }

    async fn the_objects_stay_until_every_id_is_a_tombstone(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let real = stores().await.into_iter().next().expect("a store");
        let archive = archive_over(&app.db, real.store());
        archived_march(&app, &archive).await;
        let retention = retention_over(&app.db, real.store(), Duration::ZERO);
        set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
        apply(&retention).await;
        // As a crash leaves it between giving way and the tombstones, long ago.
        app.db.superuser().await.batch_execute(&format!(
            "UPDATE ledger.segments SET state = 'marked', marked_at = now() - interval '2 days' WHERE tenant_id = '{TENANT}';
             UPDATE ledger.removals SET state = 'removing'")).await.unwrap();
        assert!(archive.leftovers().await.unwrap().is_empty(), "somebody has to read it once more");
        let done = apply(&retention).await;
        assert_eq!((done.removed.len(), done.removed[0].rows), (1, 20), "{done:?}");
        assert_eq!(archive.leftovers().await.unwrap().len(), 1);
    }

    async fn what_would_go_that_is_older_is_told_and_nothing_is_done(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 10).await;
        let retention = retention(&app.db, Duration::ZERO);
        let older = async |days| -> i64 {
            let plan = retention.plan(Some(TENANT), Some(&Trial::OlderThan(days))).await.unwrap();
            plan.units.iter().filter(|unit| unit.goes()).map(|unit| unit.rows).sum()
        };
        assert_eq!((older(90).await, older(36_500).await), (10, 0));
        set(&retention, rule(Some(TENANT), "standard", Some(3_650), None)).await;
        assert_eq!(older(90).await, 0, "what is kept stays");
        assert_eq!(count(&app.db, "SELECT count(*) FROM ledger.removals").await, 0);
    }
}
