//! The storage is away, slow or spoilt, or too many ask it: nothing is left out silently, and who needs no archived month does
//! not notice.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use progress_service::{
    cold::{Cold, ColdError},
    model::{Clock, Ids, TenantId, partition::Month},
    objects::{
        Objects,
        shelf::{Shelf, ShelfError, ShelfSettings, Wanted},
    },
    store::{
        As, StoreError,
        ledger::{
            pages::{self, Filter, Span},
            tables::Tables,
        },
    },
    telemetry::Metrics,
};
use reqwest::Method;
use serde_json::json;

use super::{history::settle, objects};
use crate::{
    support::{
        app::{TestApp, send},
        faulty::{Fault, Faulty},
        months,
        segments::{self, folder_store},
    },
    xapi::{about, id, identified, ids},
};

fn march() -> Month {
    "2026-03".parse().unwrap()
}

/// Statements 1 to 3 in March, 4 and 5 in the present.
async fn two_months(app: &TestApp) {
    app.stop_loops().await;
    let batch = |numbers: std::ops::RangeInclusive<u128>| {
        json!(numbers.map(|n| identified(&id(n), "ann", "a")).collect::<Vec<_>>())
    };
    app.post_statements(&batch(1..=3)).await.expect(200);
    months::spread(&app.db, march()).await;
    app.post_statements(&batch(4..=5)).await.expect(200);
    settle(app).await;
}

on_each_server! {
    async fn with_the_storage_away_hot_queries_are_answered_and_others_told_to_come_again(db: TestDatabase) {
        // Nobody listens there.
        let variables = [
            ("PROGRESS_ARCHIVE_URL", "s3://bucket/prefix"),
            ("PROGRESS_ARCHIVE_S3_ENDPOINT", "http://127.0.0.1:9"),
            ("PROGRESS_ARCHIVE_S3_ALLOW_HTTP", "true"),
            ("PROGRESS_ARCHIVE_S3_ACCESS_KEY", "key"),
            ("PROGRESS_ARCHIVE_S3_SECRET_KEY", "secret"),
            ("PROGRESS_ARCHIVE_READ_TIMEOUT", "300ms"),
        ];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        two_months(&app).await;
        months::away(&app.db, &objects(&app), march()).await;
        // A page that fills, a time that is hot, a statement that is.
        for hot in [vec![("limit", "1".to_owned())], vec![("since", "2026-08-01T00:00:00Z".to_owned())], vec![("statementId", id(4))]] {
            let answer = send(app.xapi(Method::GET, "/statements").query(&hot)).await.expect(200);
            assert_eq!(answer.header("x-progress-archived"), "0", "{hot:?}");
        }
        app.get_statements(&[("statementId", &id(77))]).await.expect(404);
        for cold in [vec![], vec![("ascending", "true".to_owned())], vec![("statementId", id(1))], vec![("limit", "3".to_owned())]] {
            let answer = send(app.xapi(Method::GET, "/statements").query(&cold)).await.expect(503);
            assert_eq!(answer.header("retry-after"), "5", "{cold:?}");
            assert_eq!(answer.json()["type"], "urn:progress:problem:unavailable");
        }
        // Whoever only refers to it is stored, and is found by it later.
        app.post_statements(&about(&id(6), "http://adlnet.gov/expapi/verbs/commented", &id(1))).await.expect(200);
        // Whether this is the same cannot be told; its neighbours are not concerned.
        let mut again = identified(&id(1), "ann", "a");
        again["timestamp"] = json!("2026-03-01T10:00:00Z");
        let new = identified(&id(7), "ann", "a");
        let (one, other) = tokio::join!(app.post_statements(&again), app.post_statements(&new));
        assert_eq!(one.expect(503).header("retry-after"), "5");
        other.expect(200);
        // Without a timestamp it can.
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let failures = String::from_utf8(app.service().rooms.edge.metrics.render().unwrap()).unwrap();
        assert!(failures.contains("progress_archive_read_failures_total{why=\"late\"}") || failures.contains("{why=\"storage\"}"), "{failures}");
    }

    async fn a_query_that_hot_months_answer_is_one_transaction_as_ever(db: TestDatabase) {
        let app = TestApp::start(db).await;
        two_months(&app).await;
        months::away(&app.db, &objects(&app), march()).await;
        let counted = |name: &str| {
            let text = String::from_utf8(app.service().rooms.edge.metrics.render().unwrap()).unwrap();
            let line = format!("progress_store_tx_seconds_count{{tx=\"{name}\"}} ");
            text.lines().find_map(|text| text.strip_prefix(&line)?.parse::<u32>().ok()).unwrap_or(0)
        };
        let names = ["page", "statement", "seek", "detached_page", "published", "referrers", "voidings", "kept_at"];
        let before = names.map(counted);
        for _ in 0..5 {
            app.get_statements(&[("limit", "1")]).await.expect(200);
            app.get_statements(&[("since", "2026-08-01T00:00:00Z"), ("agent", r#"{"mbox":"mailto:ann@example.com"}"#)]).await.expect(200);
            app.get_statements(&[("statementId", &id(4))]).await.expect(200);
        }
        let made: Vec<u32> = names.map(counted).iter().zip(before).map(|(now, before)| now - before).collect();
        assert_eq!(made, [10, 5, 0, 0, 0, 0, 0, 0], "{names:?}");
        app.get_statements(&[]).await.expect(200);
        assert!(counted("published") > 0 && counted("voidings") > 0);
    }

    async fn a_spoilt_object_is_said_and_nothing_is_left_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        two_months(&app).await;
        months::away(&app.db, &objects(&app), march()).await;
        let folder = std::fs::read_dir(app.data().join("archive")).unwrap().flatten().map(|entry| entry.path());
        let folder = folder.filter(|path| path.to_string_lossy().contains("tenant=")).last().unwrap().join("month=2026-03");
        let (part, manifest) = (folder.join("part-0000.parquet"), folder.join("_manifest.json"));
        let (good, good_manifest) = (std::fs::read(&part).unwrap(), std::fs::read(&manifest).unwrap());
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let refused = async |what: &str| {
            for cold in [vec![], vec![("statementId", id(1))]] {
                let answer = send(app.xapi(Method::GET, "/statements").query(&cold)).await.expect(500);
                assert_eq!(answer.json()["type"], "urn:progress:problem:archive", "{what}");
                assert!(!answer.text().contains("tenant="), "{}", answer.text());
            }
            app.get_statements(&[("limit", "1")]).await.expect(200);
        };
        std::fs::write(&part, &flipped).unwrap();
        refused("a flipped bit").await;
        std::fs::remove_file(&part).unwrap();
        refused("a missing part").await;
        std::fs::write(&part, &good).unwrap();
        std::fs::write(&manifest, b"{}").unwrap();
        refused("another manifest").await;
        std::fs::write(&manifest, &good_manifest).unwrap();
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()).len(), 5, "it is whole again");
        // A segment of other content under the same name is none.
        app.db.superuser().await.batch_execute("UPDATE ledger.segments SET digest = 'another'").await.unwrap();
        refused("another digest").await;
    }

    async fn a_month_that_is_written_anew_while_it_is_read_is_read_anew(db: TestDatabase) {
        let app = TestApp::start(db).await;
        two_months(&app).await;
        let objects = objects(&app);
        months::seal(&app.db, march()).await;
        months::detach(&app.db, march()).await;
        months::publish(&app.db, &objects, march(), 0).await;
        months::archived(&app.db, march()).await;
        // As an erasure does it: the next revision beside it, and then the old one goes.
        months::publish(&app.db, &objects, march(), 1).await;
        months::drop_table(&app.db, march()).await;
        let all: Vec<String> = (1..=5).rev().map(id).collect();
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()), all);
        for entry in std::fs::read_dir(app.data().join("archive")).unwrap().flatten() {
            let folder = entry.path().join("month=2026-03");
            for name in ["_manifest.json", "part-0000.parquet"] {
                drop(std::fs::remove_file(folder.join(name)));
            }
        }
        let answer = app.get_statements(&[]).await.expect(200);
        assert_eq!((ids(&answer.json()), answer.header("x-progress-archived")), (all, "3"));
    }

    async fn a_month_that_moves_between_two_reads_of_a_page_is_never_left_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        two_months(&app).await;
        months::seal(&app.db, march()).await;
        months::detach(&app.db, march()).await;
        let (store, tenant) = (app.db.store(), TenantId::DEFAULT);
        let cold = Cold::new(store.clone(), Shelf::over(objects(&app), settings(), Metrics::new().unwrap()));
        let (filter, span) = (&Filter::default(), &Span { ascending: false, since: None, until: None, limit: 10, bytes: 1 << 20 });
        let begun = async || {
            let page = store.run_tx("page", As::Tenant(tenant), |tx| Box::pin(async move {
                Ok::<_, StoreError>(pages::page(tx, tenant, filter, (Tables::Hot, span), DateTime::UNIX_EPOCH).await?.found)
            }));
            page.await.unwrap()
        };
        let end = async |hot| cold.fill(tenant, filter, span, hot, DateTime::UNIX_EPOCH).await;
        assert_eq!(end(begun().await).await.unwrap().len(), 5);
        // Back among the hot ones, whose part of the page was read without it.
        let hot = begun().await;
        months::attach(&app.db, march()).await;
        assert!(matches!(end(hot).await, Err(ColdError::Moved)));
        // And away for good, while the tables are thought to have it.
        months::detach(&app.db, march()).await;
        let hot = begun().await;
        months::publish(&app.db, &objects(&app), march(), 0).await;
        months::archived(&app.db, march()).await;
        months::drop_table(&app.db, march()).await;
        assert!(matches!(end(hot).await, Err(ColdError::Moved)));
        assert_eq!(end(begun().await).await.unwrap().len(), 5);
    }
}

#[tokio::test]
async fn a_storage_that_is_slow_is_late_and_named_with_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (place, rows) = (segments::place("2026-03"), segments::rows(segments::place("2026-03"), 40));
    let objects = Objects::over(folder_store(folder.path()));
    let published = segments::archive(&objects, segments::writing(place, 1), &rows, segments::SMALL).await.unwrap();
    let wanted = &Wanted { place, digest: published.manifest().summary.digest.clone() };
    let ask = async |pause: u64| {
        let slow = Faulty::new(folder_store(folder.path()), Fault::Slow(Duration::from_millis(pause)));
        let shelf = Shelf::over(Objects::over(Arc::new(slow)), settings(), Metrics::new().unwrap());
        let visit = shelf.visit().await.unwrap();
        visit.select(wanted, &Default::default(), &segments::everything()).await.map(|rows| rows.len())
    };
    assert_eq!(ask(10).await.unwrap(), 40);
    let late = ask(6_000).await.unwrap_err();
    assert!(
        matches!(late, ShelfError::Late { after, .. } if after == settings().timeout) && late.is_temporary(),
        "{late}"
    );
}

fn settings() -> ShelfSettings {
    ShelfSettings { cache: None, reads: 2, wait: Duration::from_millis(20), timeout: Duration::from_secs(5) }
}

#[tokio::test]
async fn too_many_readers_are_told_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::over(Objects::over(folder_store(folder.path())), settings(), Metrics::new().unwrap());
    let (one, two) = (shelf.visit().await.unwrap(), shelf.visit().await.unwrap());
    let Err(refused) = shelf.visit().await else { panic!("a third was let in") };
    assert!(matches!(refused, ShelfError::Busy { limit: 2 }) && refused.is_temporary());
    assert_eq!(refused.to_string(), "2 reads of archived months are under way, which is the limit");
    drop((one, two.clone()));
    let _again = shelf.visit().await.expect("one has gone");
    drop(two);
}
