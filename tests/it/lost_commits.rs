//! A COMMIT whose answer never comes: what was made is answered as made, and nothing is made twice.

use futures_util::future::join_all;
use progress_service::model::{Clock, Ids};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, send},
    patience,
    pg::TestDatabase,
    proxy::Proxy,
};

async fn through_a_proxy(db: TestDatabase) -> (TestApp, Proxy) {
    let direct = db.service_url();
    let proxy = Proxy::before(&direct).await;
    let url = proxy.url(&direct);
    let app = TestApp::with(db, &[("PROGRESS_DATABASE_URL", &url)], Clock::system(), Ids::random()).await;
    // They commit as well, and would take losses away from what is looked at.
    app.stop_loops().await;
    (app, proxy)
}

async fn count(app: &TestApp, sql: &str) -> i64 {
    app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// Writes, changes, merges and deletes one document again and again, each time under the condition that it is as it was
/// left; answers how many writes that were.
async fn writer(app: &TestApp, name: usize, rounds: usize) -> i64 {
    let resource = format!("/activities/profile?activityId=http://example.com/a&profileId=p{name}");
    let etag = async || send(app.xapi(Method::GET, &resource)).await.expect(200).header("etag").to_owned();
    let write = |method: Method, condition: (&'static str, String), body: Option<Value>| {
        let request = app.xapi(method, &resource).header(condition.0, condition.1);
        send(match body {
            Some(body) => request.json(&body),
            None => request,
        })
    };
    let mut writes = 0;
    for round in 0..rounds {
        write(Method::PUT, ("If-None-Match", "*".to_owned()), Some(json!({ "round": round }))).await.expect(204);
        write(Method::PUT, ("If-Match", etag().await), Some(json!({ "changed": round }))).await.expect(204);
        write(Method::POST, ("If-Match", etag().await), Some(json!({ "merged": round }))).await.expect(204);
        let merged = send(app.xapi(Method::GET, &resource)).await.expect(200);
        assert_eq!(merged.json(), json!({ "changed": round, "merged": round }));
        write(Method::DELETE, ("If-Match", merged.header("etag").to_owned()), None).await.expect(204);
        writes += 4;
    }
    writes
}

on_each_server! {
    async fn a_conditional_write_that_was_made_is_answered_so_and_made_once(db: TestDatabase) {
        let (app, proxy) = through_a_proxy(db).await;
        let counted = "CREATE TABLE public.made (what text);
            CREATE FUNCTION public.made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
                AS 'BEGIN INSERT INTO public.made VALUES (TG_OP); RETURN NULL; END';
            CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON ledger.documents
                FOR EACH ROW EXECUTE FUNCTION public.made()";
        app.db.superuser().await.batch_execute(counted).await.unwrap();
        proxy.lose(true);
        let writes: i64 = join_all((0..4).map(|name| writer(&app, name, 40))).await.into_iter().sum();
        proxy.lose(false);
        assert!(proxy.lost() > 100, "only {} were lost", proxy.lost());
        assert_eq!(count(&app, "SELECT count(*) FROM public.made").await, writes);
    }

    async fn an_act_of_administration_is_answered_as_the_first_time_and_leaves_one_entry(db: TestDatabase) {
        let (app, proxy) = through_a_proxy(db).await;
        let posted = |path: String, body: Value| {
            let app = &app;
            async move { app.post(&path, &body).await }
        };
        proxy.lose(true);
        for n in 0..30 {
            let verb = json!({ "iri": format!("http://example.com/verbs/{n}"), "name": "did", "vocabulary": "test" });
            posted("/api/v1/verbs".to_owned(), verb).await.expect(201);
            posted("/api/v1/admin/tenants".to_owned(), json!({ "name": format!("tenant {n}") })).await.expect(201);
            let new = json!({ "scopes": ["statements/write"], "label": "lost" });
            let made = posted("/api/v1/admin/credentials".to_owned(), new).await.expect(201).json();
            let path = format!("/api/v1/admin/credentials/{}", made["id"].as_str().unwrap());
            posted(format!("{path}/rotate"), json!({ "overlapSeconds": 60 })).await.expect(200);
            let asked: Answer = app.get_statements(&[("agent", r#"{"mbox":"mailto:ann@example.com"}"#)]).await;
            asked.expect(200);
        }
        proxy.lose(false);
        assert!(proxy.lost() > 20, "only {} were lost", proxy.lost());
        for action in ["registry.added", "tenant.create", "credential.create", "credential.rotate"] {
            let entries = format!("SELECT count(*) FROM platform.audit WHERE action = '{action}'");
            assert_eq!(count(&app, &entries).await, 30, "{action}");
        }
        let read = "SELECT count(*) FROM platform.audit WHERE subject LIKE 'person:%'";
        patience::until("the trail of reads", async || match count(&app, read).await {
            30.. => Ok(()),
            few => Err(few),
        })
        .await;
        assert_eq!(count(&app, read).await, 30);
    }
}
