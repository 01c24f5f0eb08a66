//! The process that removes is gone at its k-th step, for every k: whoever comes next comes to the same end. And a hold that is placed
//! at that step stops what had not gone by then.

use std::time::Duration;

use progress_service::{
    archive::jobs,
    model::partition::Change,
    retention::Retention,
    store::ledger::{holds::Scope, removals::State},
};

use super::{TENANT, hold, release, retention, retention_over, rule, set};
use crate::{
    archive::{archive_over, job},
    lifecycle::{fill, make},
    support::{app::TestApp, cut::cut_off, pg::TestDatabase, segments::RealStore},
};

async fn apply(retention: &Retention) {
    retention.apply(Some(TENANT), (None, "a test"), true).await.unwrap();
}

async fn count(db: &TestDatabase, sql: &str) -> i64 {
    db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

const GONE: &str = "SELECT count(*) FROM ledger.statement_ids WHERE erased";
const LEFT: &str = "SELECT (SELECT count(*) FROM ledger.statements) + (SELECT count(*) FROM ledger.detached_statements)
    + (SELECT count(*) FROM ledger.relations r WHERE NOT EXISTS (SELECT FROM ledger.statements s WHERE s.stored = r.stored))";

/// Everything that was marked went, and each removal is told of once.
async fn ended(retention: &Retention, db: &TestDatabase, gone: i64, what: &str) {
    let all = retention.removals(Some(TENANT), true).await.unwrap();
    assert!(all.iter().all(|one| matches!(one.state, State::Removed | State::Spared)), "{what}: {all:?}");
    assert_eq!(count(db, GONE).await, gone, "{what}: every id is a tombstone");
    let removed = all.iter().filter(|one| one.state == State::Removed).count() as i64;
    let told = "SELECT count(*) FROM platform.audit WHERE action = 'retention.remove'";
    assert_eq!(count(db, told).await, removed, "{what}: told once each");
    let rows: i64 = all.iter().map(|one| one.rows).sum();
    assert_eq!(rows, gone, "{what}: no row is counted twice");
}

on_the_newest_server! {
    async fn wherever_a_removal_of_rows_dies_the_next_one_comes_to_the_same_end(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let retention = retention(&app.db, Duration::ZERO);
        set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
        let (mut cuts, mut gone) = (0, 0);
        for waits in 0.. {
            fill(&app, "2026-03", 1 + 10 * waits as u128, 3).await;
            gone += 3;
            // Once it is marked, and once it is removed.
            let marking = waits % 2 == 0;
            if !marking {
                apply(&retention).await;
            }
            let done = cut_off(retention.apply(Some(TENANT), (None, "a test"), true), waits).await;
            for _ in 0..2 {
                apply(&retention).await;
            }
            assert_eq!(count(&app.db, LEFT).await, 0, "{waits} waits");
            ended(&retention, &app.db, gone, &format!("{waits} waits")).await;
            if !marking && done.is_some() {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 20, "{cuts} cuts");
    }

    async fn wherever_a_removal_of_an_archived_month_dies_the_next_one_comes_to_the_same_end(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        let retention = retention_over(&app.db, real.store(), Duration::ZERO);
        let (mut cuts, mut gone) = (0, 0);
        for (number, waits) in (0_u32..).zip((0..).step_by(5)) {
            let name = format!("{}-{:02}", 2023 + number / 12, 1 + number % 12);
            fill(&app, &name, 1 + 10 * u128::from(number), 3).await;
            gone += 3;
            make(&app.db.store(), &name, Change::Seal).await.unwrap();
            for kind in [jobs::RUN, jobs::DROP] {
                jobs::step(&archive, &job(&archive.store, kind, Some(&name))).await.unwrap();
            }
            if number == 0 {
                set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
            }
            apply(&retention).await;
            let done = cut_off(retention.apply(Some(TENANT), (None, "a test"), true), waits).await;
            apply(&retention).await;
            let marked = "SELECT count(*) FROM ledger.segments WHERE state = 'published'";
            assert_eq!(count(&app.db, marked).await, 0, "{waits} waits");
            ended(&retention, &app.db, gone, &format!("{waits} waits")).await;
            if done.is_some() {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 4, "{cuts} cuts");
    }

    async fn a_hold_at_any_step_of_a_removal_keeps_what_had_not_gone_by_then(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let retention = retention(&app.db, Duration::ZERO);
        set(&retention, rule(Some(TENANT), "standard", None, Some(90))).await;
        let (mut spared, mut late) = (0, 0);
        for waits in 0.. {
            fill(&app, "2026-03", 1 + 10 * waits as u128, 3).await;
            apply(&retention).await;
            let done = cut_off(retention.apply(Some(TENANT), (None, "a test"), true), waits).await;
            let placed = hold(&app.db.store(), &Scope::Tenant).await;
            let there = count(&app.db, "SELECT count(*) FROM ledger.statements").await;
            for _ in 0..2 {
                apply(&retention).await;
            }
            assert_eq!(count(&app.db, "SELECT count(*) FROM ledger.statements").await, there, "{waits} waits: it went under a hold");
            if there > 0 { spared += 1 } else { late += 1 }
            release(&app.db.store(), placed.id).await;
            for _ in 0..2 {
                apply(&retention).await;
            }
            assert_eq!(count(&app.db, LEFT).await, 0, "{waits} waits: once it ended, the rest goes");
            if done.is_some() {
                break;
            }
        }
        assert!(spared > 10 && late > 0, "{spared} spared, {late} late");
    }
}
