//! `/api/v1/retention`: who may, what it answers, and bad input.

use serde_json::json;

use super::TENANT;
use crate::{
    lifecycle::{MARCH, fill},
    support::{app::TestApp, pg::TestDatabase},
};

async fn started(db: TestDatabase) -> TestApp {
    let app = TestApp::start(db).await;
    fill(&app, MARCH, 1, 12).await;
    app
}

on_each_server! {
    async fn rules_plan_and_holds_over_http(db: TestDatabase) {
        let app = started(db).await;
        let policy = app.get("/api/v1/retention/policy").await.expect(200).json();
        assert_eq!((&policy["class"], policy["classes"].as_array().unwrap().len()), (&json!("standard"), 2));
        let rule = json!({"class": "standard", "covers": "statements", "delete": "90d", "reason": "we said so"});
        let shown = app.post("/api/v1/retention/policy", &rule).await.expect(200).json();
        assert_eq!((&shown["applied"], &shown["needsSignOff"]), (&json!(false), &json!(false)));
        let mut applied = rule.clone();
        applied["apply"] = json!(true);
        app.post("/api/v1/retention/policy", &applied).await.expect(200);
        let plan = app.get("/api/v1/retention/plan").await.expect(200).json();
        let going: Vec<_> = plan["units"].as_array().unwrap().iter().filter(|unit| !unit["until"].is_null()).collect();
        assert_eq!((going.len(), &going[0]["rows"], &going[0]["principle"]), (1, &json!(12), &json!("deleted")));
        app.post("/api/v1/retention/apply", &json!({"plan": "0123"})).await.expect(409);
        let done = app.post("/api/v1/retention/apply", &json!({"plan": plan["digest"]})).await.expect(200).json();
        assert_eq!(done["marked"].as_array().unwrap().len(), 1);
        assert_eq!(app.get("/api/v1/retention/removals").await.expect(200).json()["data"][0]["state"], "marked");
        let hold = json!({"wholeTenant": true, "reason": "a lawsuit", "law": "Art. 17(3)(e) GDPR"});
        let placed = app.post("/api/v1/retention/holds", &hold).await.expect(201).json();
        let path = format!("/api/v1/retention/holds/{}/release", placed["id"].as_str().unwrap());
        app.post(&path, &json!({"reason": "it ended"})).await.expect(200);
        app.post(&path, &json!({"reason": "again"})).await.expect(404);
        assert!(app.get("/api/v1/retention/holds").await.expect(200).json()["data"][0]["released"]["at"].is_string());
        let older = app.get("/api/v1/retention/plan?olderThan=1d").await.expect(200).json();
        assert!(older["units"].as_array().unwrap().iter().any(|unit| unit["rows"] == 12), "{older}");
    }

    async fn two_administrators_shorten_what_a_law_keeps(db: TestDatabase) {
        let app = started(db).await;
        let class = json!({"class": "regulated", "reason": "a contract", "apply": true});
        app.post("/api/v1/retention/class", &class).await.expect(200);
        let shorter = json!({"class": "regulated", "covers": "statements", "keep": "5y", "everybody": true, "reason": "x", "apply": true});
        let refused = app.post("/api/v1/retention/policy", &shorter).await.expect(409).json();
        assert!(refused["detail"].as_str().unwrap().contains("two persons"), "{refused}");
        let asked = app.get("/api/v1/retention/requests").await.expect(200).json();
        let digest = asked["data"][0]["digest"].as_str().unwrap().to_owned();
        let sign = format!("/api/v1/retention/requests/{digest}/sign-off");
        let own = app.post(&sign, &json!({"reason": "mine"})).await.expect(409).json();
        assert!(own["detail"].as_str().unwrap().contains("another person"), "{own}");
        app.post("/api/v1/retention/requests/0123/sign-off", &json!({"reason": "?"})).await.expect(404);
        let other = app.post("/api/v1/admin/credentials", &json!({"scopes": ["admin:*"]})).await.expect(201).json();
        let (key, secret) = (other["apiKey"].as_str().unwrap(), other["secret"].as_str().unwrap());
        let request = app.anonymous(reqwest::Method::POST, &sign).basic_auth(key, Some(secret)).json(&json!({"reason": "seen"}));
        crate::support::app::send(request).await.expect(200);
        let mut signed = shorter.clone();
        signed["plan"] = json!(digest);
        app.post("/api/v1/retention/policy", &signed).await.expect(200);
    }

    async fn who_may_not_and_what_makes_no_sense_is_refused_by_name(db: TestDatabase) {
        let app = started(db).await;
        let weak = app.post("/api/v1/admin/credentials", &json!({"scopes": ["all", "statement:read"]})).await.expect(201).json();
        let (key, secret) = (weak["apiKey"].as_str().unwrap(), weak["secret"].as_str().unwrap());
        for path in ["policy", "plan", "removals", "holds", "requests"] {
            let request = app.anonymous(reqwest::Method::GET, &format!("/api/v1/retention/{path}")).basic_auth(key, Some(secret));
            crate::support::app::send(request).await.expect(403);
        }
        let base = json!({"class": "standard", "covers": "statements", "reason": "x"});
        for (name, value) in [("covers", json!("audit")), ("keep", json!("7 years")), ("delete", json!("0d")), ("starts", json!("ended")),
                              ("course", json!("no iri")), ("class", json!("never"))] {
            let mut body = base.clone();
            body[name] = value;
            app.post("/api/v1/retention/policy", &body).await.expect(400);
        }
        for body in [
            json!({"reason": "x", "law": "y"}),
            json!({"wholeTenant": true, "user": "u", "reason": "x", "law": "y"}),
            json!({"user": "00000000-0000-4000-8000-00000000abcd", "reason": "x", "law": "y"}),
            json!({"agents": [{"mbox": "no address"}], "reason": "x", "law": "y"}),
            json!({"registration": "seven", "reason": "x", "law": "y"}),
            json!({"course": "seven", "reason": "x", "law": "y"}),
            json!({"wholeTenant": true, "reason": "", "law": "y"}),
        ] {
            let answer = app.post("/api/v1/retention/holds", &body).await;
            assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        }
        app.get(&format!("/api/v1/retention/plan?olderThan=soon&tenantId={TENANT}")).await.expect(400);
        app.get("/api/v1/retention/plan?tenantId=00000000-0000-4000-8000-00000000dead").await.expect(404);
    }
}
