//! Upgrades from every release that is supported, of what users have: nothing, a row in each table with NULL wherever it may be, and
//! statements. Nothing of it is lost, also when what was upgraded is squashed later, and the service serves it.

use progress_service::{
    migrate::{Module, Verdict, modules, releases, replay, silent},
    model::TenantId,
};

use super::{
    fill,
    fixture::{count, owner, run_all, runner},
    lived_in::{self, Kept},
};
use crate::{
    support::{
        app::TestApp,
        pg::{Server, TestDatabase},
        process::command,
    },
    xapi::{id, identified},
};

/// What a database holds when it is upgraded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stock {
    Nothing,
    /// With NULL in each column that may be.
    ARowInEachTable,
    Statements,
}

const STATEMENTS: i64 = 300;

/// Every release with the files that it had.
fn supported() -> Vec<(String, Vec<Module>)> {
    let internal = modules::internal().unwrap();
    let at = |release: releases::Release| {
        let files = releases::modules_at(&release, &internal).unwrap();
        (release.version, files)
    };
    releases::supported().unwrap().into_iter().map(at).collect()
}

/// The product's modules with as many of their files squashed as can be.
pub fn squashed() -> Vec<Module> {
    let roads = replay::roads(&modules::internal().unwrap(), &[]).unwrap();
    roads.into_iter().find(|road| road.name == "squashed").unwrap().stages.remove(0)
}

/// A database of these files with this in it.
async fn stocked(server: &'static Server, files: &[Module], stock: Stock) -> (TestDatabase, Vec<Kept>) {
    let db = TestDatabase::empty(server).await;
    assert_eq!(run_all(&runner(&db, files.to_vec())).await.failed, None);
    let superuser = db.superuser().await;
    match stock {
        Stock::Nothing => {}
        Stock::ARowInEachTable => {
            let unfilled = fill::fill(&superuser, &modules::INTERNAL).await;
            assert!(unfilled.is_empty(), "no row could be made for {unfilled:?}");
        }
        Stock::Statements => lived_in::write(&superuser, STATEMENTS).await,
    }
    let kept = lived_in::keep(&superuser).await;
    (db, kept)
}

/// What the catalog of a new installation holds, with the month that statements are in.
async fn clean(server: &'static Server, files: &[Module], stock: Stock) -> Vec<String> {
    let db = TestDatabase::empty(server).await;
    run_all(&runner(&db, files.to_vec())).await;
    if stock == Stock::Statements {
        db.superuser().await.execute("SELECT ledger.ensure_month(now())", &[]).await.unwrap();
    }
    fill::objects(&owner(&db), &modules::INTERNAL).await
}

/// Rows that mean nothing are no work that was left.
async fn let_go(db: &TestDatabase) {
    db.superuser().await.batch_execute("DROP SCHEMA platform, ledger, progress CASCADE").await.unwrap();
}

on_each_server! {
    async fn what_users_have_stays_whatever_release_they_come_from_and_when_it_is_squashed(db: TestDatabase) {
        let internal = modules::internal().unwrap();
        for stock in [Stock::Nothing, Stock::ARowInEachTable, Stock::Statements] {
            let expected = clean(db.server(), &internal, stock).await;
            assert_eq!(clean(db.server(), &squashed(), stock).await, expected, "{stock:?}: installed by the squash");
            for (version, files) in supported() {
                let case = format!("{stock:?} of {version}");
                let (old, kept) = stocked(db.server(), &files, stock).await;
                let superuser = old.superuser().await;
                let report = run_all(&runner(&old, internal.clone())).await;
                assert!(report.failed.is_none() && report.done.len() > 20, "{case}: {report:?}");
                assert_eq!(lived_in::gone(&superuser, &kept).await, [], "{case}");
                assert_eq!(fill::objects(&owner(&old), &modules::INTERNAL).await, expected, "{case}");

                let later = runner(&old, squashed());
                assert_eq!(later.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 3 }, "{case}");
                assert!(later.status().await.unwrap().problems.is_empty(), "{case}");
                // Nodes of this release, which knows nothing of the squash, serve on beside it.
                assert_eq!(runner(&old, internal.clone()).startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 }, "{case}");
                assert_eq!(lived_in::gone(&superuser, &kept).await, [], "{case}, squashed");
                assert_eq!(fill::objects(&owner(&old), &modules::INTERNAL).await, expected, "{case}, squashed");
                // What was written before is written to afterwards; and what is lost would be seen.
                if stock == Stock::Statements {
                    lived_in::write(&superuser, 10).await;
                    assert_eq!(count(&superuser, "ledger.statements").await, STATEMENTS + 10, "{case}");
                    let planted = "DELETE FROM ledger.relations WHERE stored = (SELECT min(stored) FROM ledger.relations)";
                    superuser.batch_execute(planted).await.unwrap();
                    assert_eq!(lived_in::gone(&superuser, &kept).await, [("ledger.relations".to_owned(), 1)], "{case}");
                }
                let_go(&old).await;
            }
        }
    }
}

on_the_newest_server! {
    async fn the_service_serves_the_statements_of_every_release(db: TestDatabase) {
        for (version, files) in supported() {
            let (old, _) = stocked(db.server(), &files, Stock::Statements).await;
            let ids = "SELECT id::text FROM ledger.statements WHERE tenant_id = $1 ORDER BY stored LIMIT 3";
            let first = old.superuser().await.query(ids, &[&TenantId::DEFAULT.0]).await.unwrap();
            let app = TestApp::start(old).await;
            for row in &first {
                let found = app.get_statements(&[("statementId", row.get(0))]).await.expect(200).json();
                assert_eq!(found["actor"]["mbox"], "mailto:ann@example.com", "{version}");
            }
            let page = app.get_statements(&[("limit", "100"), ("agent", r#"{"mbox":"mailto:ann@example.com"}"#)]).await;
            assert_eq!(page.expect(200).json()["statements"].as_array().unwrap().len(), 100, "{version}");
            app.post_statements(&identified(&id(1), "bea", "a")).await.expect(200);
            let variables = app.variables([]);
            for line in [&["projections", "rebuild", "--apply"][..], &["projections", "verify"], &["db", "check", "--after"]] {
                let output = command(line, &variables).output().unwrap();
                let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
                assert!(output.status.success(), "{version}: {line:?}: {said}");
            }
        }
    }
}
