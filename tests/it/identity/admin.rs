//! Administration over HTTP, and what callers meet at the door.

use progress_service::model::{Clock, Ids};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, KEY, SECRET, TestApp, send},
    http, patience,
    pg::{Server, TestDatabase},
    process::Service,
};

const CREDENTIALS: &str = "/api/v1/admin/credentials";
const TENANTS: &str = "/api/v1/admin/tenants";

async fn with(app: &TestApp, issued: &Value, method: Method, path: &str, body: Option<Value>) -> Answer {
    let (key, secret) = (issued["apiKey"].as_str().unwrap(), issued["secret"].as_str());
    let request = app.anonymous(method, path).basic_auth(key, secret);
    send(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

async fn create(app: &TestApp, query: &str, scopes: &[&str]) -> Value {
    let body = json!({ "scopes": scopes, "label": "made by a test" });
    app.post(&format!("{CREDENTIALS}{query}"), &body).await.expect(201).json()
}

on_each_server! {
    async fn a_credential_lives_from_create_to_revoke(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let made = app.post(CREDENTIALS, &json!({ "scopes": ["admin:*", "state"] })).await.expect(201);
        assert_eq!(made.header("cache-control"), "private, no-store");
        let made = made.json();
        with(&app, &made, Method::GET, CREDENTIALS, None).await.expect(200);

        let listed = app.get(CREDENTIALS).await.expect(200);
        assert!(!listed.text().contains(made["secret"].as_str().unwrap()));
        let listed = listed.json();
        let found = listed["data"].as_array().unwrap().iter().find(|one| one["id"] == made["id"]).unwrap();
        assert_eq!(found["scopes"], json!(["admin:*", "state"]));
        assert!(found.get("secret").is_none());

        let path = format!("{CREDENTIALS}/{}", made["id"].as_str().unwrap());
        let rotated = app.post(&format!("{path}/rotate"), &json!({ "overlapSeconds": 60 })).await.expect(200).json();
        assert_ne!(rotated["secret"], made["secret"]);
        for issued in [&made, &rotated] {
            with(&app, issued, Method::GET, CREDENTIALS, None).await.expect(200);
        }
        let revoked = app.post(&format!("{path}/revoke"), &Value::Null).await.expect(200).json();
        assert_ne!(revoked["revokedAt"], Value::Null);
        for issued in [&made, &rotated] {
            with(&app, issued, Method::GET, CREDENTIALS, None).await.expect(401);
        }
        app.post(&format!("{path}/rotate"), &json!({})).await.expect(409);
    }

    async fn an_administrator_keeps_to_their_tenant_and_an_operator_need_not(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let tenant = app.post(TENANTS, &json!({ "name": "acme" })).await.expect(201).json();
        let id = tenant["id"].as_str().unwrap();
        let theirs = create(&app, &format!("?tenantId={id}"), &["admin:*"]).await;
        assert_eq!(theirs["tenantId"], tenant["id"]);
        let body = || Some(json!({ "scopes": ["all"] }));
        let own = with(&app, &theirs, Method::POST, CREDENTIALS, body()).await.expect(201).json();
        assert_eq!(own["tenantId"], tenant["id"]);
        let default = "00000000-0000-4000-8000-000000000001";
        with(&app, &theirs, Method::POST, &format!("{CREDENTIALS}?tenantId={default}"), body()).await.expect(403);
        with(&app, &theirs, Method::GET, TENANTS, None).await.expect(403);
        let ops = app.get(CREDENTIALS).await.json();
        let ops = ops["data"][0]["id"].as_str().unwrap();
        with(&app, &theirs, Method::POST, &format!("{CREDENTIALS}/{ops}/revoke"), None).await.expect(404);
        let listed = with(&app, &theirs, Method::GET, CREDENTIALS, None).await.json();
        assert!(listed["data"].as_array().unwrap().iter().all(|one| one["tenantId"] == tenant["id"]));

        app.post(&format!("{TENANTS}/{id}/suspend"), &Value::Null).await.expect(200);
        let refused = with(&app, &theirs, Method::GET, CREDENTIALS, None).await.expect(403);
        assert!(refused.json()["detail"].as_str().unwrap().contains("suspended"));
        app.post(&format!("{TENANTS}/{id}/resume"), &Value::Null).await.expect(200);
        with(&app, &theirs, Method::GET, CREDENTIALS, None).await.expect(200);
        let names = app.get(TENANTS).await.json();
        let names: Vec<&str> = names["data"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["acme", "default"]);
        app.post(TENANTS, &json!({ "name": "acme" })).await.expect(409);
    }
}

async fn app(variables: &[(&str, &str)]) -> TestApp {
    let db = TestDatabase::new(Server::newest().await).await;
    TestApp::with(db, variables, Clock::system(), Ids::random()).await
}

#[tokio::test]
async fn the_door_says_what_is_missing() {
    let app = app(&[]).await;
    let header = |value: &str| app.anonymous(Method::GET, CREDENTIALS).header("Authorization", value);
    for request in [
        app.anonymous(Method::GET, CREDENTIALS),
        header("Basic:xxxx"),
        header("Basic !!!"),
        header("Digest x"),
        header("Bearer x"),
        app.anonymous(Method::GET, CREDENTIALS).basic_auth(KEY, Some("wrong")),
    ] {
        let answer = send(request).await.expect(401);
        assert!(answer.header("www-authenticate").starts_with("Basic realm="), "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let weak = create(&app, "", &["state"]).await;
    let refused = with(&app, &weak, Method::GET, CREDENTIALS, None).await.expect(403).json();
    assert!(refused["detail"].as_str().unwrap().contains("admin:*"), "{refused}");

    let tenant = |id: &str| app.request(Method::GET, CREDENTIALS).header("X-Tenant-Id", id);
    send(tenant("00000000-0000-4000-8000-000000000001")).await.expect(200);
    for other in ["00000000-0000-4000-8000-000000000002", "default", ""] {
        send(tenant(other)).await.expect(403);
    }
}

#[tokio::test]
async fn bad_bodies_and_ids_are_named() {
    let app = app(&[]).await;
    let long = "x".repeat(100_000);
    for body in [json!({ &long: 1 }), json!({ "scopes": [long] }), json!({ "scopes": ["all"], "label": long })] {
        let answer = app.post(CREDENTIALS, &body).await.expect(400);
        assert!(answer.body.len() < 2_000, "an answer of {} bytes", answer.body.len());
    }
    let large = json!({ "scopes": ["all"], "label": "x".repeat(300 << 10) });
    for path in [
        CREDENTIALS.to_owned(),
        format!("{CREDENTIALS}/launch"),
        TENANTS.to_owned(),
        "/api/v1/admin/migrations/run".to_owned(),
        format!("{CREDENTIALS}/00000000-0000-4000-8000-0000000000ff/rotate"),
    ] {
        let answer = app.post(&path, &large).await.expect(413);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert!(answer.text().contains("262144"), "{path}: {}", answer.text());
        let broken = app.request(Method::POST, &path).header("Content-Type", "application/json").body("{\"a\": ");
        let answer = send(broken).await.expect(400);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert!(answer.text().contains("byte 6"), "{path}: {}", answer.text());
    }
    for (body, word) in [
        (json!({ "scopes": [] }), "scopes"),
        (json!({ "scopes": ["statements/fly"] }), "statements/fly"),
        (json!({ "scopes": ["all"], "secret": "mine" }), "secret"),
        (json!({ "scopes": ["all"], "expiresAt": "2001-01-01T00:00:00Z" }), "expiresAt"),
        (json!({ "scopes": ["all"], "agent": { "name": "x" } }), "agent"),
        (json!([]), "body"),
    ] {
        let answer = app.post(CREDENTIALS, &body).await.expect(400);
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    let unknown = format!("{CREDENTIALS}/00000000-0000-4000-8000-0000000000ff");
    for path in [format!("{unknown}/revoke"), format!("{CREDENTIALS}/nonsense/revoke"), format!("{TENANTS}/x/suspend")]
    {
        app.post(&path, &Value::Null).await.expect(404);
    }
    let query = app.get(&format!("{CREDENTIALS}?tenantId=nonsense")).await.expect(400);
    assert_eq!(query.header("content-type"), "application/problem+json");
    app.post(&format!("{TENANTS}/00000000-0000-4000-8000-000000000001/suspend"), &Value::Null).await.expect(409);
}

#[tokio::test]
async fn a_launch_credential_is_made_over_http() {
    let app = app(&[]).await;
    let body = json!({ "registration": "6fa459ea-ee8a-4ca4-894e-db77e160355e", "lifetimeSeconds": 600,
                       "actor": { "account": { "homePage": "https://lms.example", "name": "ada" } } });
    let made = app.post(&format!("{CREDENTIALS}/launch"), &body).await.expect(201).json();
    assert_eq!(made["registration"], body["registration"]);
    assert_ne!(made["expiresAt"], Value::Null);
    with(&app, &made, Method::GET, CREDENTIALS, None).await.expect(403);
}

#[tokio::test]
async fn a_credential_over_its_rate_is_told_when_to_come_back_and_others_are_not() {
    let app = app(&[("PROGRESS_LIMITS_RATE_PER_SECOND", "1"), ("PROGRESS_LIMITS_RATE_BURST", "20")]).await;
    let other = create(&app, "", &["admin:*"]).await;
    let mut refused = None;
    // Slower than the rate it would never be refused; a bucket of 20 is empty long before 200 requests.
    for _ in 0..200 {
        let answer = app.get(CREDENTIALS).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a refusal");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(refused.text().contains("1 requests a second"), "{}", refused.text());
    let mut on_xapi = false;
    for _ in 0..200 {
        on_xapi |= app.get_statements(&[]).await.status == 429;
    }
    assert!(on_xapi, "the same bucket serves /xapi");
    with(&app, &other, Method::GET, CREDENTIALS, None).await.expect(200);
}

#[tokio::test]
async fn browsers_may_ask_first_on_every_xapi_path() {
    let app = app(&[("PROGRESS_LIMITS_CORS_ORIGINS", "https://course.example")]).await;
    for path in [
        "/xapi/statements",
        "/xapi/statements/",
        "/xAPI/about",
        "/data/xAPI/activities/state",
        "/xapi/v2/agents",
        "/xapi/v2/agents/profile/",
        "/xapi//statements",
        "/xapi/nothing",
        "/api/v1/attempts",
        "/healthz",
        "/nowhere/",
    ] {
        let ask = app
            .anonymous(Method::OPTIONS, path)
            .header("Origin", "https://course.example")
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type,x-experience-api-version");
        let answer = send(ask).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), "https://course.example", "{path}");
    }
    let refused = send(app.anonymous(Method::GET, "/xapi/statements").header("Origin", "https://course.example")).await;
    assert!(refused.header("access-control-expose-headers").to_lowercase().contains("retry-after"), "{refused:?}");
}

#[tokio::test]
async fn no_secret_reaches_the_log_even_at_its_loudest() {
    let db = TestDatabase::new(Server::newest().await).await;
    let (service, owner) = (db.service_url(), db.owner_url());
    let bootstrap = format!("{KEY}:{SECRET}");
    let service = Service::start(&[
        ("PROGRESS_DATABASE_URL", &service),
        ("PROGRESS_DATABASE_MIGRATION_URL", &owner),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", &bootstrap),
        ("PROGRESS_LOG", "trace"),
    ])
    .await;
    let url = format!("{}{CREDENTIALS}", service.url);
    let post = || http::client().post(&url).json(&json!({ "scopes": ["all"] }));
    let made = send(post().basic_auth(KEY, Some(SECRET))).await.expect(201).json();
    let made = made["secret"].as_str().unwrap().to_owned();
    send(post().basic_auth(KEY, Some("a-wrong-secret"))).await.expect(401);
    send(post().header("Authorization", "Bearer a-secret-token")).await.expect(401);
    patience::until("the log of these requests", async || {
        let log = service.process.log.clone();
        if log.contains("answered") { Ok(()) } else { Err(log.lines().join("\n")) }
    })
    .await;
    let log = service.process.log.lines().join("\n");
    let password = url::Url::parse(&db.service_url()).unwrap().password().unwrap().to_owned();
    for secret in [SECRET, &made, "a-wrong-secret", "a-secret-token", &password] {
        assert!(!log.contains(secret), "a secret is in the log: {secret}");
    }
    // Base64 of the whole pair, as it came in the header.
    let encoded = super::setup::basic(KEY, &progress_service::model::Secret::new(SECRET));
    assert!(!log.contains(encoded.trim_start_matches("Basic ")));
}
