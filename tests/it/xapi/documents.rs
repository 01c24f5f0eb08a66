//! State and profiles: one document for one name, writers that cannot overwrite each other unseen.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{id, identified};
use crate::support::app::{TestApp, send};

const STATE: &str =
    "/activities/state?activityId=http://example.com/a&agent=%7B%22mbox%22%3A%22mailto:ann@example.com%22%7D";
const PROFILE: &str = "/activities/profile?activityId=http://example.com/a&profileId=p";

on_each_server! {
    async fn without_registration_there_is_one_document_however_many_write_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let state = format!("{STATE}&stateId=s");
        let writes = (0..8).map(|n| send(app.xapi(Method::POST, &state).json(&json!({n.to_string(): n}))));
        for answer in join_all(writes).await {
            answer.expect(204);
        }
        let merged = send(app.xapi(Method::GET, &state)).await.expect(200).json();
        assert_eq!(merged.as_object().unwrap().len(), 8, "every merge is there: {merged}");
        let ids = send(app.xapi(Method::GET, STATE)).await.expect(200).json();
        assert_eq!(ids, json!(["s"]));
        let other = format!("{state}&registration={}", id(9));
        send(app.xapi(Method::GET, &other)).await.expect(404);
    }

    async fn a_profile_is_written_only_by_who_has_seen_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let put = |body: &'static str| app.xapi(Method::PUT, PROFILE).header("Content-Type", "text/plain").body(body);
        send(put("one")).await.expect(400);
        send(put("one").header("If-None-Match", "*")).await.expect(204);
        send(put("two").header("If-None-Match", "*")).await.expect(412);
        let refusal = send(put("two")).await.expect(409);
        assert!(refusal.text().contains("If-Match"), "{}", refusal.text());
        let first = send(app.xapi(Method::GET, PROFILE)).await.expect(200);
        let etag = first.header("etag").to_owned();
        assert_eq!((first.text().as_str(), first.header("content-type")), ("one", "text/plain"));
        send(app.xapi(Method::GET, PROFILE).header("If-None-Match", &etag)).await.expect(304);
        let rivals = join_all([send(put("two").header("If-Match", &etag)), send(put("three").header("If-Match", &etag))]).await;
        let mut statuses: Vec<u16> = rivals.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 412], "exactly one of two rivals wins");
    }

    async fn a_date_will_do_for_who_has_no_etag(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let state = format!("{STATE}&stateId=s");
        send(app.xapi(Method::PUT, &state).json(&json!({"a": 1}))).await.expect(204);
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        for resource in [state, format!("/statements?statementId={}", id(1))] {
            let first = send(app.xapi(Method::GET, &resource)).await.expect(200);
            let ask = |since: &str| send(app.xapi(Method::GET, &resource).header("If-Modified-Since", since));
            let answer = ask(first.header("last-modified")).await.expect(304);
            assert!(answer.body.is_empty());
            ask("Fri, 01 Jan 2100 00:00:00 GMT").await.expect(304);
            ask("Sat, 01 Jan 2000 00:00:00 GMT").await.expect(200);
            ask("yesterday").await.expect(200);
            let with_tag = app.xapi(Method::GET, &resource).header("If-Modified-Since", first.header("last-modified"));
            send(with_tag.header("If-None-Match", "\"another\"")).await.expect(200);
        }
        // A page of the same second may have grown.
        send(app.xapi(Method::GET, "/statements").header("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")).await.expect(200);
    }

    async fn many_are_listed_and_deleted_by_registration(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (state, registration) in [("a", None), ("b", Some(id(1))), ("c", Some(id(1)))] {
            let registration = registration.map_or(String::new(), |r| format!("&registration={r}"));
            let path = format!("{STATE}&stateId={state}{registration}");
            send(app.xapi(Method::PUT, &path).json(&json!({}))).await.expect(204);
        }
        let of_one = format!("{STATE}&registration={}", id(1));
        assert_eq!(send(app.xapi(Method::GET, &of_one)).await.json(), json!(["b", "c"]));
        assert_eq!(send(app.xapi(Method::GET, STATE)).await.json(), json!(["a", "b", "c"]));
        send(app.xapi(Method::DELETE, &of_one)).await.expect(204);
        assert_eq!(send(app.xapi(Method::GET, STATE)).await.json(), json!(["a"]));
    }

    async fn merging_what_is_not_json_leaves_the_document_as_it_was(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let state = format!("{STATE}&stateId=s");
        send(app.xapi(Method::PUT, &state).json(&json!({"a": {"b": 1}, "c": 2}))).await.expect(204);
        for (content_type, body) in [("application/json", "[1]"), ("application/json", "{"), ("text/plain", "{}")] {
            send(app.xapi(Method::POST, &state).header("Content-Type", content_type).body(body)).await.expect(400);
        }
        send(app.xapi(Method::POST, &state).json(&json!({"a": {}}))).await.expect(204);
        assert_eq!(send(app.xapi(Method::GET, &state)).await.json(), json!({"a": {}, "c": 2}));
    }
}
