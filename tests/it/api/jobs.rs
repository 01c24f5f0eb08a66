//! `/api/v1/admin/jobs`: who may, what is told, and a job followed while it goes on.

use std::time::Duration;

use progress_service::{
    model::{Clock, Ids},
    store::platform::jobs::NewJob,
};
use reqwest::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Api, access::key};
use crate::{
    jobs::put_job,
    support::{
        app::{TestApp, send},
        patience::PATIENCE,
    },
};

const ROOT: &str = "/api/v1/admin/jobs";

/// A job that no node knows how to do: it stays where it is.
async fn put(app: &TestApp, kind: &'static str) -> Uuid {
    let id = Ids::random().uuid();
    let parameters = json!({ "of": kind });
    let job = NewJob { id, kind, tenant: None, by: "test", approved_by: None, parameters, plan_digest: None };
    put_job(&app.db.store(), &job).await;
    id
}

async fn stream(app: &TestApp, id: Uuid) -> Response {
    let request = app.request(reqwest::Method::GET, &format!("{ROOT}/{id}")).header("Accept", "text/event-stream");
    request.send().await.expect("an answer")
}

/// The next event; `None` at the end of the stream.
async fn event(stream: &mut Response) -> Option<Value> {
    let mut text = String::new();
    let whole = async {
        while !text.ends_with("\n\n") {
            text.push_str(std::str::from_utf8(&stream.chunk().await.expect("a stream")?).expect("a text"));
        }
        Some(
            serde_json::from_str(text.strip_prefix("event: job\ndata: ").expect("an event").trim())
                .expect("a document"),
        )
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("an event, or the end")
}

on_each_server! {
    async fn jobs_are_listed_page_by_page_and_by_state(db: TestDatabase) {
        let mut db = db;
        db.leaves("platform.jobs");
        let api = Api::start(db).await;
        let [first, second, third] = [put(&api.app, "a").await, put(&api.app, "b").await, put(&api.app, "a").await];
        let ids = |jobs: Vec<Value>| jobs.iter().map(|job| job["id"].as_str().unwrap().parse().unwrap()).collect::<Vec<Uuid>>();
        assert_eq!(ids(api.all(&format!("{ROOT}?page[size]=1")).await), [third, second, first]);
        assert_eq!(ids(api.all(&format!("{ROOT}?filter[kind]=a&page[size]=1")).await), [third, first]);
        api.post(&format!("{ROOT}/{second}/pause"), &json!({})).await.expect(200);
        assert_eq!(ids(api.all(&format!("{ROOT}?filter[state]=paused")).await), [second]);
        let refused = api.get(&format!("{ROOT}?filter[state]=ajar")).await.expect(400);
        assert!(refused.text().contains("queued, running"), "{}", refused.text());
        let job = api.get(&format!("{ROOT}/{first}")).await.expect(200).json();
        assert_eq!((&job["state"], &job["parameters"], &job["attempts"]), (&json!("queued"), &json!({ "of": "a" }), &json!(0)));
    }

    async fn a_job_is_steered_and_every_act_is_written_down(db: TestDatabase) {
        let api = Api::start(db).await;
        let id = put(&api.app, "a").await;
        let ask = async |act: &str| api.post(&format!("{ROOT}/{id}/{act}"), &json!({})).await;
        for (act, state) in [("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"),
            ("cancel", "cancelled"), ("retry", "queued"), ("cancel", "cancelled")] {
            assert_eq!(ask(act).await.expect(200).json()["state"], state, "{act}");
        }
        let refused = ask("pause").await.expect(409);
        assert!(refused.text().contains("a job that is cancelled cannot be asked to pause"), "{}", refused.text());
        for nobody in [Uuid::nil().to_string(), "no-id".to_owned()] {
            api.post(&format!("{ROOT}/{nobody}/cancel"), &json!({})).await.expect(404);
            api.get(&format!("{ROOT}/{nobody}")).await.expect(404);
        }
        let audit = "SELECT count(*) FROM platform.audit WHERE subject = $1 AND action LIKE 'jobs.%' AND actor LIKE 'key:%'";
        let entries: i64 = api.app.db.superuser().await.query_one(audit, &[&id.to_string()]).await.unwrap().get(0);
        assert_eq!(entries, 5, "one for each change");
    }

    async fn only_an_administrator_of_the_default_tenant_sees_or_steers_jobs(db: TestDatabase) {
        let api = Api::start(db).await;
        let id = put(&api.app, "a").await;
        let tenant = api.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json();
        let theirs = key(&api, &["admin:*"], &format!("?tenantId={}", tenant["id"].as_str().unwrap())).await;
        let plain = key(&api, &["all"], "").await;
        let acts = ["pause", "resume", "cancel", "retry"].map(|act| ("POST", format!("/{id}/{act}")));
        for (method, path) in [("GET", String::new()), ("GET", format!("/{id}"))].into_iter().chain(acts) {
            let (method, path): (reqwest::Method, _) = (method.parse().unwrap(), format!("{ROOT}{path}"));
            for (authorization, status) in [(Some(&theirs), 403), (Some(&plain), 403), (None, 401)] {
                let request = api.app.anonymous(method.clone(), &path);
                let request = authorization.map(|text| request.try_clone().unwrap().header("Authorization", text))
                    .unwrap_or(request);
                api.checked(method.clone(), &path, request).await.expect(status);
            }
        }
        api.post(&format!("{ROOT}/{id}/cancel"), &json!({})).await.expect(200);
    }

    async fn a_job_is_followed_until_it_is_over(db: TestDatabase) {
        // Far less than the job takes: a stream is not an answer that somebody takes too slowly.
        let hurried = [("PROGRESS_HTTP_ANSWER_TIMEOUT", "100ms")];
        let app = TestApp::with(db, &hurried, Clock::system(), Ids::random()).await;
        let id = put(&app, "a").await;
        let mut stream = stream(&app, id).await;
        assert_eq!((stream.status().as_u16(), &stream.headers()["content-type"]), (200, &"text/event-stream".parse().unwrap()));
        assert!(stream.headers().contains_key("x-api-version"));
        assert_eq!(event(&mut stream).await.unwrap()["state"], "queued");
        app.post(&format!("{ROOT}/{id}/pause"), &json!({})).await.expect(200);
        assert_eq!(event(&mut stream).await.unwrap()["state"], "paused");
        app.post(&format!("{ROOT}/{id}/cancel"), &json!({})).await.expect(200);
        let last = event(&mut stream).await.unwrap();
        assert!(last["state"] == "cancelled" && last["finishedAt"].is_string(), "{last:#}");
        assert_eq!(event(&mut stream).await, None, "it is over");
    }

    async fn a_node_has_so_many_streams_and_ends_them_when_it_drains(db: TestDatabase) {
        let mut db = db;
        db.leaves("platform.jobs");
        let app = TestApp::start(db).await;
        let id = put(&app, "a").await;
        let mut streams = Vec::new();
        for _ in 0..64 {
            let mut one = stream(&app, id).await;
            assert_eq!(event(&mut one).await.unwrap()["state"], "queued");
            streams.push(one);
        }
        let refused = send(app.request(reqwest::Method::GET, &format!("{ROOT}/{id}"))
            .header("Accept", "text/event-stream")).await;
        let refused = refused.expect(503);
        assert!(refused.text().contains("64 streams") && !refused.header("retry-after").is_empty(), "{}", refused.text());
        app.get(&format!("{ROOT}/{id}")).await.expect(200);
        // Who goes away makes room.
        streams.pop();
        let again = crate::support::patience::until("room", async || match stream(&app, id).await {
            one if one.status() == 200 => Ok(one),
            other => Err(other.status()),
        });
        streams.push(again.await);
        app.service().rooms.edge.lifecycle.drain();
        for mut one in streams {
            let rest = async { while one.chunk().await.expect("a proper end").is_some() {} };
            tokio::time::timeout(Duration::from_secs(30), rest).await.expect("the end");
        }
    }
}
