//! A server as its packagers set it, which compiles what is priced as dear: nothing of ours is.

use std::time::{Duration, Instant};

use progress_service::store::{As, Store, StoreError, door::pool::PLANNER};
use reqwest::Method;
use serde_json::json;
use tokio_postgres::Client;

use crate::{
    support::{
        app::{TestApp, send},
        patience,
        pg::TestDatabase,
    },
    xapi::{id, identified, voiding},
};

/// Lets the server compile, as it does by default, and count what it compiled, within functions too.
async fn counting(db: &TestDatabase) -> Client {
    let client = db.superuser().await;
    let name = db.name();
    let set = format!(
        "CREATE EXTENSION pg_stat_statements; ALTER DATABASE {name} SET jit = on;
         ALTER DATABASE {name} SET pg_stat_statements.track = 'all'"
    );
    client.batch_execute(&set).await.unwrap();
    // This session came before.
    db.superuser().await
}

/// The statements of this database that were compiled.
async fn compiled(client: &Client) -> Vec<String> {
    let sql = "SELECT query FROM pg_stat_statements
        WHERE jit_functions > 0 AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Whether the server is built to compile at all.
async fn can_compile(client: &Client) -> bool {
    client.query_one("SELECT pg_jit_available()", &[]).await.unwrap().get(0)
}

async fn setting(store: &Store, whom: As, name: &'static str) -> String {
    let show = store.run_tx("setting", whom, |tx| {
        Box::pin(async move {
            let row = tx.query_one("SELECT current_setting($1)", &[&name]).await?;
            Ok::<String, StoreError>(row.get(0))
        })
    });
    show.await.unwrap()
}

/// Some of everything a service does in a day.
async fn work(app: &TestApp) {
    for n in 0..5 {
        let batch: Vec<_> = (10 * n..10 * n + 10).map(|n| identified(&id(n), "ann", "a")).collect();
        app.post_statements(&json!(batch)).await.expect(200);
    }
    app.post_statements(&voiding(&id(900), &id(1))).await.expect(200);
    app.put_statement(&id(901), &identified(&id(901), "bob", "b")).await.expect(204);
    let agent = r#"{"mbox":"mailto:ann@example.com"}"#;
    let since = ("since", "2020-01-01T00:00:00Z");
    let pages: [&[(&str, &str)]; 6] = [
        &[],
        &[since, ("ascending", "true")],
        &[("agent", agent)],
        &[("agent", agent), ("related_agents", "true")],
        &[("activity", "http://example.com/activities/a"), ("related_activities", "true")],
        &[("verb", "http://adlnet.gov/expapi/verbs/experienced"), ("format", "canonical")],
    ];
    for parameters in pages {
        app.get_statements(parameters).await.expect(200);
    }
    let state = [("activityId", "http://example.com/activities/a"), ("agent", agent), ("stateId", "s")];
    let document = |method| app.xapi(method, "/activities/state").query(&state);
    send(document(Method::PUT).json(&json!({"a": 1}))).await.expect(204);
    send(document(Method::GET)).await.expect(200);
    for path in ["/readyz", "/api/v1/verbs", "/api/v1/admin/tenants", "/api/v1/admin/migrations/status"] {
        patience::until(path, async || {
            let answer = app.get(path).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        })
        .await;
    }
}

on_each_server! {
    async fn no_statement_of_ours_is_compiled(db: TestDatabase) {
        let client = counting(&db).await;
        let store = db.store();
        for whom in [As::Worker, As::Nobody] {
            assert_eq!(setting(&store, whom, "jit").await, "off");
        }
        store.close();
        let app = TestApp::start(db).await;
        work(&app).await;
        app.stop_loops().await;
        assert_eq!(compiled(&client).await, Vec::<String>::new());
        if can_compile(&client).await {
            client
                .batch_execute("SET jit_above_cost = 0; SELECT sum(n) FROM generate_series(1, 10) n WHERE n > 3")
                .await
                .unwrap();
            assert!(!compiled(&client).await.is_empty(), "the count would not show it");
        }
    }

    async fn the_clock_is_cheap_for_sessions_that_compile_too(db: TestDatabase) {
        let client = counting(&db).await;
        // As a service of an earlier release has them.
        let session = db.service().await;
        session.batch_execute(&format!("{PLANNER}; SET jit = on; SET ROLE progress_service")).await.unwrap();
        for function in ["reserve(1)", "settled(0)", "safe_bound()"] {
            session.query_one(&format!("SELECT ledger.{function}"), &[]).await.unwrap();
        }
        assert_eq!(compiled(&client).await, Vec::<String>::new());
    }

    async fn a_lone_statement_takes_no_longer_than_on_a_tuned_server(db: TestDatabase) {
        let tuned = TestDatabase::new(db.server()).await;
        let set = |name: &str, jit: &str| format!("ALTER DATABASE {name} SET jit = {jit}");
        let superuser = db.superuser().await;
        superuser.batch_execute(&set(db.name(), "on")).await.unwrap();
        superuser.batch_execute(&set(tuned.name(), "off")).await.unwrap();
        let apps = [TestApp::start(db).await, TestApp::start(tuned).await];
        let mut took = [Vec::new(), Vec::new()];
        // In turns, so that both have the machine alike.
        for n in 0..40 {
            for (app, took) in apps.iter().zip(&mut took) {
                let begun = Instant::now();
                app.post_statements(&identified(&id(n), "ann", "a")).await.expect(200);
                took.push(begun.elapsed());
            }
        }
        let [stock, tuned] = took.map(|mut took| {
            took.sort_unstable();
            took[took.len() / 2]
        });
        assert!(stock < tuned * 3 + Duration::from_millis(1), "stock {stock:?}, tuned {tuned:?}");
    }
}
