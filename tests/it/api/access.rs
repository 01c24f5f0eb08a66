//! Who is let in: scopes, a learner's own, tenants.

use reqwest::Method;
use serde_json::json;

use super::{ADA, Api, EVE, statement};
use crate::support::app::send;

pub async fn key(api: &Api, scopes: &[&str], query: &str) -> String {
    let body = json!({"scopes": scopes});
    basic(&api.post(&format!("/api/v1/admin/credentials{query}"), &body).await.expect(201).json())
}

/// The `Authorization` of a credential that was just made.
pub fn basic(made: &serde_json::Value) -> String {
    let pair = format!("{}:{}", made["apiKey"].as_str().unwrap(), made["secret"].as_str().unwrap());
    format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair))
}

on_each_server! {
    async fn each_read_asks_for_its_scope(db: TestDatabase) {
        let api = Api::start(db).await;
        api.store(&[statement(1, ADA, "passed", "e1", "a1")]).await;
        let paths = ["/api/v1/attempts/a1", "/api/v1/attempts", "/api/v1/enrollments/e1/progress",
                     "/api/v1/enrollments/e1/transcript", &format!("/api/v1/users/{ADA}/transcripts"),
                     &format!("/api/v1/users/{ADA}/statements")];
        let statements = key(&api, &["statement:read"], "").await;
        let transcripts = key(&api, &["transcript:read"], "").await;
        let xapi_only = key(&api, &["all"], "").await;
        for (authorization, allowed) in [
            (&statements, [true, true, true, false, false, true]),
            (&transcripts, [true, true, true, true, true, false]),
            (&xapi_only, [false; 6]),
            (&api.token("service", "admin:*"), [true; 6]),
        ] {
            for (path, allowed) in paths.iter().zip(allowed) {
                let answer = api.get_as(authorization, path).await.expect(if allowed { 200 } else { 403 });
                assert!(allowed || answer.json()["detail"].as_str().unwrap().contains(":read"), "{path}");
            }
        }
        for path in paths {
            api.checked(Method::GET, path, api.app.anonymous(Method::GET, path)).await.expect(401);
        }
    }

    async fn a_learner_reads_their_own_and_nobody_elses(db: TestDatabase) {
        let api = Api::start(db).await;
        let mut by_name = statement(3, "grace", "passed", "e3", "a3");
        by_name["actor"] = json!({"account": {"homePage": api.issuer.url, "name": "grace"}});
        api.store(&[statement(1, ADA, "passed", "e1", "a1"), statement(2, EVE, "failed", "e2", "a2"), by_name]).await;
        let scopes = "statement:read transcript:read";
        let ada = api.token(ADA, scopes);
        for own in ["/api/v1/attempts/a1", "/api/v1/enrollments/e1/progress", "/api/v1/enrollments/e1/transcript"] {
            api.get_as(&ada, own).await.expect(200);
        }
        for other in ["/api/v1/attempts/a2", "/api/v1/enrollments/e2/progress", "/api/v1/enrollments/e2/transcript"] {
            api.get_as(&ada, other).await.expect(404);
        }
        for list in ["transcripts", "statements"] {
            assert_eq!(api.get_as(&ada, &format!("/api/v1/users/{ADA}/{list}")).await.expect(200).json()["data"]
                .as_array().unwrap().len(), 1);
            api.get_as(&ada, &format!("/api/v1/users/{EVE}/{list}")).await.expect(403);
        }
        api.get_as(&ada, &format!("/api/v1/attempts?filter[userId]={EVE}")).await.expect(403);
        let seen = api.get_as(&ada, "/api/v1/attempts").await.expect(200).json();
        assert_eq!((seen["data"].as_array().unwrap().len(), &seen["data"][0]["id"]), (1, &json!("a1")));
        // A person who is no UUID is the account at the issuer.
        let grace = api.token("grace", scopes);
        api.get_as(&grace, "/api/v1/attempts/a3").await.expect(200);
        api.get_as(&grace, "/api/v1/attempts/a1").await.expect(404);
        api.get_as(&api.token("eve", scopes), "/api/v1/attempts/a3").await.expect(404);
        // A learner needs the scope too, and an application's own token reads everybody's.
        api.get_as(&api.token(ADA, "statement:read"), "/api/v1/enrollments/e1/transcript").await.expect(403);
        api.get_as(&api.token("lms", scopes), "/api/v1/attempts/a2").await.expect(200);
    }

    async fn rows_of_other_tenants_are_not_there(db: TestDatabase) {
        let api = Api::start(db).await;
        api.store(&[statement(1, ADA, "passed", "e1", "a1")]).await;
        let tenant = api.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json();
        let theirs = key(&api, &["admin:*"], &format!("?tenantId={}", tenant["id"].as_str().unwrap())).await;
        for path in ["/api/v1/attempts/a1", "/api/v1/enrollments/e1/progress", "/api/v1/enrollments/e1/transcript"] {
            api.get_as(&theirs, path).await.expect(404);
        }
        for path in ["/api/v1/attempts", &format!("/api/v1/users/{ADA}/transcripts"),
            &format!("/api/v1/users/{ADA}/statements")] {
            assert_eq!(api.get_as(&theirs, path).await.expect(200).json()["data"], json!([]), "{path}");
        }
        // A cursor of one tenant is worth nothing to another.
        api.store(&[statement(2, ADA, "passed", "e1", "a2")]).await;
        let next = api.get("/api/v1/attempts?page[size]=1").await.json()["links"]["next"].as_str().unwrap().to_owned();
        api.get_as(&theirs, &next).await.expect(400);
        let asked = |tenant: &str| api.app.request(Method::GET, "/api/v1/attempts").header("X-Tenant-Id", tenant);
        send(asked("00000000-0000-4000-8000-000000000001")).await.expect(200);
        send(asked(tenant["id"].as_str().unwrap())).await.expect(403);
    }
}
