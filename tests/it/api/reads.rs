//! Attempts, progress, transcripts and statements, as the projections and the ledger have them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ADA, Api, EVE, statement};
use crate::{
    support::{app::send, pg::TestDatabase},
    xapi::{id, voiding},
};

/// Enrollment `e1` of Ada with a failed and a passed attempt, and `e2` with an open one.
async fn three_attempts(db: TestDatabase) -> Api {
    let api = Api::start(db).await;
    let mut failed = statement(2, ADA, "failed", "e1", "a1");
    failed["result"] = json!({"score": {"scaled": 0.25}, "duration": "PT90S"});
    let mut passed = statement(5, ADA, "passed", "e1", "a2");
    passed["result"] = json!({"score": {"scaled": 0.875}});
    api.store(&[
        statement(1, ADA, "initialized", "e1", "a1"),
        failed,
        statement(3, ADA, "initialized", "e1", "a2"),
        statement(4, ADA, "completed", "e1", "a2"),
        passed,
        statement(6, ADA, "initialized", "e2", "a3"),
    ])
    .await;
    api
}

fn ids(data: &[Value]) -> Vec<&str> {
    data.iter().map(|one| one["id"].as_str().unwrap()).collect()
}

on_each_server! {
    async fn an_attempt_is_as_its_statements_made_it(db: TestDatabase) {
        let api = three_attempts(db).await;
        let attempt = api.get("/api/v1/attempts/a2").await.expect(200);
        assert!(attempt.text().contains(r#""score":0.8750"#), "{}", attempt.text());
        let attempt = attempt.json();
        assert_eq!(attempt["enrollmentId"], "e1");
        assert_eq!(attempt["userId"], ADA);
        assert_eq!((&attempt["courseId"], &attempt["courseVersionId"]), (&json!("course 1"), &json!("version 1")));
        assert_eq!(
            (&attempt["attemptNumber"], &attempt["state"], &attempt["outcome"]),
            (&json!(2), &json!("closed"), &json!("passed"))
        );
        assert_eq!(
            (&attempt["startedAt"], &attempt["endedAt"]),
            (&json!("2026-11-01T10:03:00Z"), &json!("2026-11-01T10:05:00Z"))
        );
        assert_eq!(
            (&attempt["durationSeconds"], &attempt["evidenceStatementIds"]),
            (&json!(120), &json!([id(4), id(5)]))
        );
        let failed = api.get("/api/v1/attempts/a1").await.expect(200).json();
        assert_eq!((&failed["durationSeconds"], &failed["evidenceStatementIds"]), (&json!(90), &json!([id(2)])));
        let open = api.get("/api/v1/attempts/a3").await.expect(200).json();
        assert_eq!((&open["state"], &open["outcome"], &open["score"]), (&json!("open"), &Value::Null, &Value::Null));
        let missing = api.get("/api/v1/attempts/none").await.expect(404).json();
        assert_eq!(missing["type"], "urn:progress:problem:not-found");
    }

    async fn attempts_are_found_by_their_filters_and_come_in_pages(db: TestDatabase) {
        let api = three_attempts(db).await;
        for (filter, expected) in [
            ("", vec!["a1", "a2", "a3"]),
            ("?filter[enrollmentId]=e1", vec!["a1", "a2"]),
            ("?filter[outcome]=failed", vec!["a1"]),
            ("?filter[state]=open", vec!["a3"]),
            ("?filter[state]=closed&filter%5Boutcome%5D=passed", vec!["a2"]),
            ("?filter[userId]=00000000-0000-4000-8000-0000000000AA&filter[enrollmentId]=e2", vec!["a3"]),
            ("?filter[userId]=somebody", vec![]),
            ("?page[size]=1", vec!["a1", "a2", "a3"]),
            ("?page[size]=2&filter[enrollmentId]=e1", vec!["a1", "a2"]),
        ] {
            assert_eq!(ids(&api.all(&format!("/api/v1/attempts{filter}")).await), expected, "{filter}");
        }
        let page = api.get("/api/v1/attempts?page[size]=2").await.expect(200).json();
        assert_eq!(ids(page["data"].as_array().unwrap()), ["a1", "a2"]);
        let next = page["links"]["next"].as_str().unwrap();
        // The same cursor under other filters, and a cursor of nobody's, lead nowhere.
        for broken in [next.replace("/attempts?", "/attempts?filter[state]=open&"), format!("{next}A")] {
            let refused = api.get(&broken).await.expect(400).json();
            assert!(refused["violations"][0]["message"].as_str().unwrap().contains("page[cursor]"), "{refused}");
        }
        // A larger page may go on where a smaller one ended.
        let larger = next.replace("page%5Bsize%5D=2", "page%5Bsize%5D=9");
        assert_eq!(ids(api.get(&larger).await.expect(200).json()["data"].as_array().unwrap()), ["a3"]);
    }

    async fn progress_is_what_the_attempts_amount_to(db: TestDatabase) {
        let api = three_attempts(db).await;
        let done = api.get("/api/v1/enrollments/e1/progress").await.expect(200).json();
        assert_eq!((&done["overallState"], &done["latestAttempt"]["id"]), (&json!("completed"), &json!("a2")));
        assert_eq!(ids(done["attempts"].as_array().unwrap()), ["a1", "a2"]);
        assert_eq!(done["completion"]["evidenceStatementIds"], json!([id(4), id(5)]));
        assert_eq!((&done["courseId"], &done["userId"]), (&json!("course 1"), &json!(ADA)));
        let going = api.get("/api/v1/enrollments/e2/progress").await.expect(200).json();
        assert_eq!((&going["overallState"], &going["completion"]), (&json!("in_progress"), &Value::Null));
        // Everything voided: the enrollment is known, and nothing of it stands.
        api.store(&[voiding(&id(20), &id(6))]).await;
        let none = api.get("/api/v1/enrollments/e2/progress").await.expect(200).json();
        assert_eq!(
            (&none["overallState"], &none["attempts"], &none["latestAttempt"]),
            (&json!("not_started"), &json!([]), &Value::Null)
        );
        api.get("/api/v1/enrollments/e3/progress").await.expect(404);
        // The late failure of an attempt that passed changes nothing; a new failure after a pass neither.
        api.store(&[statement(7, ADA, "failed", "e1", "a2"), statement(8, ADA, "failed", "e1", "a4")]).await;
        let done = api.get("/api/v1/enrollments/e1/progress").await.expect(200).json();
        assert_eq!((&done["overallState"], &done["latestAttempt"]["outcome"]), (&json!("completed"), &json!("failed")));
        api.store(&[statement(9, ADA, "failed", "e4", "a5")]).await;
        assert_eq!(api.get("/api/v1/enrollments/e4/progress").await.json()["overallState"], "failed");
    }

    async fn a_transcript_names_learner_course_and_evidence(db: TestDatabase) {
        let api = three_attempts(db).await;
        let path = "/api/v1/enrollments/e1/transcript";
        let transcript = api.get(path).await.expect(200).json();
        assert_eq!(transcript["learner"], json!({"userId": ADA, "name": "Ada Lovelace"}));
        let course = json!({"courseId": "course 1", "courseVersionId": "version 1",
                            "activityId": "http://x.example/course", "title": "Engines"});
        assert_eq!(transcript["course"], course);
        assert_eq!(ids(transcript["attempts"].as_array().unwrap()), ["a1", "a2"]);
        assert_eq!((&transcript["overallState"], &transcript["completion"]["attemptId"]), (&json!("completed"), &json!("a2")));
        let greek = api.app.request(Method::GET, path).header("Accept-Language", "el");
        assert_eq!(api.checked(Method::GET, path, greek).await.json()["course"]["title"], "Μηχανές");

        let all = api.all(&format!("/api/v1/users/{ADA}/transcripts?page[size]=1")).await;
        let enrollments: Vec<&str> = all.iter().map(|one| one["enrollmentId"].as_str().unwrap()).collect();
        assert_eq!(enrollments, ["e1", "e2"]);
        assert_eq!(api.all(&format!("/api/v1/users/{EVE}/transcripts")).await, Vec::<Value>::new());
    }

    async fn a_page_of_large_statements_ends_before_its_bytes_and_the_next_goes_on(db: TestDatabase) {
        let api = Api::start(db).await;
        for n in 1..=12 {
            let mut large = statement(n, ADA, "experienced", "e", "a");
            large["context"]["extensions"]["http://x.example/large"] = json!("x".repeat(900_000));
            api.app.post_statements(&large).await.expect(200);
        }
        let path = format!("/api/v1/users/{ADA}/statements?page[size]=500");
        let first = api.get(&path).await.expect(200);
        assert!(first.body.len() < 9 << 20, "a page of {} bytes", first.body.len());
        let all = api.all(&path).await;
        assert_eq!(
            all.iter().map(|s| s["id"].clone()).collect::<Vec<_>>(),
            (1..=12).rev().map(|n| json!(id(n))).collect::<Vec<_>>()
        );
    }

    async fn a_persons_statements_come_newest_first_whatever_the_home_page(db: TestDatabase) {
        let api = three_attempts(db).await;
        let mut elsewhere = crate::xapi::identified(&id(30), "x", "a");
        elsewhere["actor"] = json!({"account": {"homePage": "http://other.example", "name": ADA.to_uppercase()}});
        let mut mailbox = crate::xapi::identified(&id(31), "ann", "a");
        mailbox["context"] = json!({"registration": id(99)});
        api.store(&[elsewhere, mailbox, voiding(&id(32), &id(3))]).await;
        let all = api.all(&format!("/api/v1/users/{ADA}/statements?page[size]=2")).await;
        assert_eq!(ids(&all), [id(30), id(6), id(5), id(4), id(2), id(1)].iter().map(String::as_str).collect::<Vec<_>>());
        assert!(all.iter().all(|statement| statement["stored"].is_string() && statement["version"].is_string()));
        assert_eq!(api.all(&format!("/api/v1/users/{EVE}/statements")).await, Vec::<Value>::new());
        // Who has no account of a UUID is known by the key that their attempts name.
        let attempt = api.all(&format!("/api/v1/attempts?filter[enrollmentId]={}", id(99))).await;
        let user = attempt[0]["userId"].as_str().unwrap();
        assert!(user.len() == 32, "a pseudonym: {user}");
        assert_eq!(ids(&api.all(&format!("/api/v1/users/{user}/statements")).await), [id(31)]);
    }

    async fn an_administrator_closes_an_attempt_once(db: TestDatabase) {
        let api = three_attempts(db).await;
        let path = "/api/v1/attempts/a3/close";
        for broken in [
            json!({"outcome": "passed", "reason": "x"}),
            json!({"outcome": "failed", "reason": " "}),
            json!({"outcome": "failed"}),
        ] {
            api.post(path, &broken).await.expect(400);
        }
        let learner = api
            .app
            .anonymous(Method::POST, path)
            .header("Authorization", api.token(ADA, "transcript:read statement:read"));
        api.checked(Method::POST, path, learner.json(&json!({"outcome": "failed", "reason": "x"}))).await.expect(403);
        let order = json!({"outcome": "incomplete", "reason": "the course was withdrawn"});
        let closed = api.post(path, &order).await.expect(200).json();
        assert_eq!((&closed["state"], &closed["outcome"]), (&json!("closed"), &json!("incomplete")));
        assert_eq!(api.post(path, &order).await.expect(200).json(), closed);
        api.post(path, &json!({"outcome": "failed", "reason": "no"})).await.expect(409);
        api.post("/api/v1/attempts/none/close", &order).await.expect(404);
        api.post("/api/v1/attempts/a2/close", &order).await.expect(409);
        // What a statement says later is late.
        api.store(&[statement(7, ADA, "passed", "e2", "a3")]).await;
        assert_eq!(api.get("/api/v1/attempts/a3").await.json(), closed);
        let sql = "SELECT count(*) FROM platform.audit WHERE action = 'attempt.close' AND subject = 'a3' AND actor = \
            'key:test-key'";
        assert_eq!(api.app.db.superuser().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1);
    }

    async fn ids_may_hold_whatever_a_path_can_carry(db: TestDatabase) {
        let api = Api::start(db).await;
        api.store(&[statement(1, ADA, "passed", "über/5 %", "a/1?")]).await;
        let attempt = api.get("/api/v1/attempts/a%2F1%3F").await.expect(200).json();
        assert_eq!(attempt["enrollmentId"], "über/5 %");
        api.get("/api/v1/enrollments/%C3%BCber%2F5%20%25/progress").await.expect(200);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let api = Api::start(crate::api::newest().await).await;
    let violation = |answer: Value| answer["violations"][0]["message"].as_str().unwrap_or_default().to_owned();
    for (path, name) in [
        ("/api/v1/attempts?colour=red", "colour"),
        ("/api/v1/attempts?filter[outcome]=won", "filter[outcome]"),
        ("/api/v1/attempts?filter[state]=ajar", "filter[state]"),
        ("/api/v1/attempts?page[size]=0", "page[size]"),
        ("/api/v1/attempts?page[size]=9&page[size]=9", "page[size]"),
        ("/api/v1/attempts/x?fields=id", "fields"),
        ("/api/v1/verbs?x=y", "x"),
        ("/api/v1/admin/tenants?limit=5", "limit"),
        ("/api/v1/admin/credentials?tenantId=x", "tenantId"),
        ("/api/v1/enrollments/e/transcript?format=docx", "format"),
        ("/api/v1/users/u/statements?page[cursor]=AAAA", "page[cursor]"),
    ] {
        let message = violation(api.get(path).await.expect(400).json());
        assert!(message.contains(&format!("the parameter {name}:")), "{path}: {message}");
    }
    let body = |text: &'static str, media: &'static str| {
        let request = api.app.request(Method::POST, "/api/v1/verbs").header("Content-Type", media);
        api.checked(Method::POST, "/api/v1/verbs", request.body(text))
    };
    assert!(violation(body("{", "application/json").await.expect(400).json()).contains("found the end"));
    assert!(
        violation(body(r#"{"iri": "http://e.example/v"}"#, "application/json").await.expect(400).json())
            .contains("name")
    );
    body("iri=x", "application/x-www-form-urlencoded").await.expect(415);
    let large = api.app.request(Method::POST, "/api/v1/verbs").body(" ".repeat((256 << 10) + 1));
    let refused = api.checked(Method::POST, "/api/v1/verbs", large).await.expect(413).json();
    assert!(refused["detail"].as_str().unwrap().contains("262144"), "{refused}");
}

#[tokio::test]
async fn the_edges_of_the_surface_are_problems_too() {
    let api = Api::start(crate::api::newest().await).await;
    let ask = |method: Method, path: &str| send(api.app.request(method, path));
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", 404),
        (Method::GET, "/api", 404),
        (Method::DELETE, "/api/v1/attempts/x", 405),
        (Method::POST, "/api/v1/openapi.json", 405),
    ] {
        let answer = ask(method, path).await.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert_eq!(answer.header("x-api-version"), "1.0", "{path}");
        assert!(answer.json()["type"].as_str().unwrap().starts_with("urn:progress:problem:"));
    }
    assert_eq!(ask(Method::DELETE, "/api/v1/verbs").await.expect(405).header("allow"), "GET, HEAD, POST");
    let head = ask(Method::HEAD, "/api/v1/verbs").await.expect(200);
    assert!(head.body.is_empty());
    let xapi = send(api.app.request(Method::GET, "/nothing")).await.expect(404);
    assert!(xapi.header("x-api-version").is_empty());
}
