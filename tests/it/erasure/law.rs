//! What the law keeps: it is hidden, not removed, until the law lets go; or the request is refused, with the reason.

use progress_service::{
    archive::{Archive, jobs},
    model::{Clock, Ids, TenantId},
    store::{
        As,
        ledger::holds::{self, New, Scope},
    },
    telemetry::Metrics,
    xapi::keys::{self, Ifi},
};
use serde_json::json;

use super::{ANN, by_mbox, erase, erasures, found, get_state, march, places, put_state};
use crate::{
    archive::work,
    archived::{history::settle, objects},
    lifecycle::{MARCH, fill},
    support::{
        app::{TestApp, send},
        background, months, patience,
    },
    xapi::{id, identified},
};

/// The lookup keys of somebody by their mail address.
pub fn somebody(mbox: &str) -> Scope {
    Scope::Person(vec![keys::agent(TenantId::DEFAULT.0, &Ifi::Mbox(mbox.to_owned()))])
}

pub async fn hold(app: &TestApp, number: u128, scope: Scope) -> uuid::Uuid {
    let (store, hold) = (app.db.store(), uuid::Uuid::from_u128(number));
    let placing = async move {
        let new = &New { id: hold, scope: &scope, reason: "a lawsuit", law: "court order 7", by: "a test" };
        store
            .run_tx("hold", As::Retention(TenantId::DEFAULT), |tx| Box::pin(holds::add(tx, TenantId::DEFAULT, new)))
            .await
    };
    background::runtime().spawn(placing).await.unwrap().unwrap();
    hold
}

pub async fn release(app: &TestApp, hold: uuid::Uuid) {
    let store = app.db.store();
    let releasing = async move {
        store
            .run_tx("release", As::Retention(TenantId::DEFAULT), |tx| {
                Box::pin(holds::release(tx, TenantId::DEFAULT, hold, "a test", "it is over"))
            })
            .await
    };
    background::runtime().spawn(releasing).await.unwrap().unwrap();
}

on_each_server! {
    async fn what_is_held_is_hidden_until_the_hold_ends_or_refused(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "a")])).await.expect(200);
        assert_eq!(put_state(&app, ANN, "here").await, 204);
        let hold = hold(&app, 1, somebody(ANN)).await;
        let refused = erase(&app, &json!({"subject": {"agents": [{"mbox": ANN}]}, "onHold": "refuse"})).await;
        assert_eq!((&refused["state"], &refused["reason"]), (&json!("refused"), &json!("court order 7: a lawsuit")));
        assert_eq!((found(&app, &[]).await.len(), get_state(&app, ANN).await), (2, 200), "nothing came of it");

        let queued = erase(&app, &by_mbox(ANN)).await;
        assert_eq!((&queued["state"], &queued["reason"]), (&json!("queued"), &json!("court order 7: a lawsuit")));
        assert_eq!((found(&app, &[]).await, get_state(&app, ANN).await), (vec![id(2)], 404), "nobody is shown it");
        app.get_statements(&[("statementId", &id(1))]).await.expect(404);
        assert!(places(&app.db, "ann@example.com").await.iter().any(|place| place.starts_with("ledger.statements_")), "it is kept");
        release(&app, hold).await;
        let path = format!("/api/v1/erasures/{}", queued["id"].as_str().unwrap());
        patience::until("the law lets go", async || {
            let now = app.get(&path).await.expect(200).json();
            if now["state"] == "erased" { Ok(()) } else { Err(now.to_string()) }
        }).await;
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new());
    }

    async fn what_comes_while_a_law_keeps_somebody_is_kept_and_hidden_and_goes_with_the_rest(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "a")])).await.expect(200);
        let hold = hold(&app, 1, somebody(ANN)).await;
        let queued = erase(&app, &by_mbox(ANN)).await;
        assert_eq!(queued["state"], "queued");
        app.post_statements(&json!([identified(&id(3), "ann", "a"), identified(&id(4), "bob", "a")])).await.expect(200);
        assert_eq!(put_state(&app, ANN, "later").await, 204);
        assert_eq!(get_state(&app, ANN).await, 404);
        patience::until("what came is hidden", async || {
            let shown = found(&app, &[]).await;
            if shown == [id(4), id(2)] { Ok(()) } else { Err(format!("{shown:?}")) }
        }).await;
        app.get_statements(&[("statementId", &id(3))]).await.expect(404);
        let client = app.db.superuser().await;
        let kept = "SELECT count(*) FROM ledger.statements WHERE payload::text ~ 'ann@'";
        assert_eq!(client.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 2, "the law keeps what came as well");
        release(&app, hold).await;
        let path = format!("/api/v1/erasures/{}", queued["id"].as_str().unwrap());
        patience::until("the law lets go", async || {
            let now = app.get(&path).await.expect(200).json();
            if now["state"] == "erased" { Ok(()) } else { Err(now.to_string()) }
        }).await;
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new());
        assert_eq!(found(&app, &[]).await, [id(4), id(2)]);
        // From then on what comes is not kept any more.
        app.post_statements(&identified(&id(5), "ann", "a")).await.expect(200);
        app.get_statements(&[("statementId", &id(5))]).await.expect(404);
    }

    async fn who_waits_for_the_law_keeps_no_month_from_the_archive_and_nobody_else_from_being_erased(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let all: Vec<_> = ["ann", "bob", "cid", "dan", "eve"].iter().zip(1..).map(|(who, n)| identified(&id(n), who, "a")).collect();
        app.post_statements(&json!(all)).await.expect(200);
        months::spread(&app.db, march()).await;
        settle(&app).await;
        hold(&app, 1, somebody(ANN)).await;
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "queued");
        assert_eq!(erase(&app, &by_mbox("mailto:bob@example.com")).await["state"], "erased");
        // By the archive itself, which asks whether somebody was erased while it read.
        months::seal(&app.db, march()).await;
        let metrics = Metrics::new().unwrap();
        let archive = Archive::new(&app.db.store(), &objects(&app), &Clock::system(), &Ids::random(), &metrics);
        for kind in [jobs::RUN, jobs::DROP] {
            work(&archive, kind).await.unwrap();
        }
        for who in ["cid", "dan"] {
            assert_eq!(erase(&app, &by_mbox(&format!("mailto:{who}@example.com"))).await["state"], "erased", "{who}");
        }
        assert_eq!(found(&app, &[]).await, [id(5)]);
        let rows = "SELECT rows FROM ledger.segments WHERE state = 'published'";
        assert_eq!(app.db.superuser().await.query_one(rows, &[]).await.unwrap().get::<_, i64>(0), 2, "Ann's and Eve's");
    }

    async fn a_hold_over_somebody_or_something_that_a_statement_names_is_told_before_anything_is_done(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let spoken_of = |n: u128| {
            let mut taught = identified(&id(n), "bob", "a");
            taught["context"] = json!({"instructor": {"mbox": ANN},
                "contextActivities": {"grouping": [{"id": "http://example.com/courses/held"}]}});
            taught
        };
        // The same hot and in the archive.
        app.post_statements(&json!([identified(&id(11), "ann", "a"), spoken_of(12)])).await.expect(200);
        months::spread(&app.db, march()).await;
        settle(&app).await;
        months::away(&app.db, &objects(&app), march()).await;
        std::fs::remove_dir_all(app.data().join("archive/_staged")).unwrap();
        let course = "http://example.com/courses/held";
        let course = Scope::Course { named: course.to_owned(), key: keys::activity(TenantId::DEFAULT.0, course) };
        let cases = [(1, somebody("mailto:bob@example.com"), false), (2, course, false), (3, somebody("mailto:bob@example.com"), true)];
        for (number, scope, is_hot) in cases {
            if is_hot {
                app.post_statements(&json!([identified(&id(21), "ann", "a"), spoken_of(22)])).await.expect(200);
            }
            let placed = hold(&app, number, scope).await;
            let planned = app.post("/api/v1/erasures", &json!({"subject": {"agents": [{"mbox": ANN}]}, "dryRun": true})).await.expect(200).json();
            assert_eq!(planned["plan"]["laws"], json!([{"law": "court order 7", "reason": "a lawsuit"}]), "{number}");
            let keeping = json!({"subject": {"agents": [{"mbox": ANN}]}, "mentions": "keep", "dryRun": true});
            let planned = app.post("/api/v1/erasures", &keeping).await.expect(200).json();
            assert_eq!(planned["plan"]["laws"], json!([]), "what mentions her is not touched then: {number}");
            release(&app, placed).await;
        }
        hold(&app, 4, somebody("mailto:bob@example.com")).await;
        let queued = erase(&app, &by_mbox(ANN)).await;
        assert_eq!(queued["state"], "queued");
        // Whoever waits asks nobody for anything meanwhile.
        let entries = "SELECT count(*) FROM platform.audit WHERE action = 'erasure.run'";
        let client = app.db.superuser().await;
        for _ in 0..5 {
            let looking = erasures(&app);
            let begun = background::runtime().spawn(async move { looking.look_around().await }).await.unwrap().unwrap();
            assert_eq!((begun, client.query_one(entries, &[]).await.unwrap().get::<_, i64>(0)), (0, 1));
        }
        release(&app, uuid::Uuid::from_u128(4)).await;
        let path = format!("/api/v1/erasures/{}", queued["id"].as_str().unwrap());
        patience::until("the law lets go", async || {
            let now = app.get(&path).await.expect(200).json();
            if now["state"] == "erased" { Ok(()) } else { Err(now.to_string()) }
        }).await;
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new());
        settle(&app).await;
    }

    async fn what_waits_what_is_held_and_what_went_is_counted(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 20).await;
        app.post_statements(&json!([identified(&id(91), "ann", "a"), identified(&id(92), "bob", "b"), identified(&id(93), "bob", "b")])).await.expect(200);
        hold(&app, 1, somebody(ANN)).await;
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "queued");
        assert_eq!(erase(&app, &by_mbox("mailto:bob@example.com")).await["state"], "erased");
        let retention = crate::retention::retention(&app.db, std::time::Duration::from_hours(24));
        let rule = crate::retention::rule(Some(TenantId::DEFAULT), "standard", None, Some(90));
        crate::retention::set(&retention, rule).await;
        retention.apply(Some(TenantId::DEFAULT), (None, "a test"), true).await.unwrap();
        let (metrics, counted) = (app.service().rooms.edge.metrics.clone(), erasures(&app));
        let counting = async move {
            counted.measure(&metrics).await.unwrap();
            retention.measure(&metrics).await.unwrap();
        };
        background::runtime().spawn(counting).await.unwrap();
        let page = send(app.anonymous(reqwest::Method::GET, "/metrics")).await.expect(200).text();
        let at = |series: &str| -> f64 {
            let found = page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
            found.unwrap_or_else(|| panic!("no {series} in\n{page}"))
        };
        let whole = |series: &str| at(series) as i64;
        assert_eq!((whole("progress_erasures{state=\"queued\"}"), whole("progress_erasures{state=\"erased\"}")), (1, 1));
        assert_eq!(whole("progress_erasure_oldest_seconds"), 0, "what the law keeps waiting is not late");
        assert_eq!(whole("progress_erasure_removed{place=\"statements\"}"), 2);
        assert_eq!(whole("progress_holds{scope=\"person\"}"), 1);
        assert_eq!(whole("progress_retention_removals{state=\"marked\"}"), 1);
        assert_eq!(whole("progress_retention_removed{place=\"statements\"}"), 0, "marking removes nothing");
        let due = at("progress_retention_oldest_due_seconds");
        assert!(due > progress_service::model::Clock::system().now().timestamp() as f64 + 3_600.0, "{due}");
    }
}
