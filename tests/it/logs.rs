//! Whatever is asked of the log, it holds no statement, no document, no name and no secret.

use std::{fs, os::unix::fs::PermissionsExt};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    app::{ready, send},
    http,
    process::Service,
    settings,
};

const CANARY: &str = "canary-7f3a";
const SECRET: &str = "a-secret-5c21";
const WRONG: &str = "a-wrong-secret-9e40";

#[tokio::test(flavor = "multi_thread")]
async fn at_its_loudest_the_log_tells_nobodys_data() {
    let programs = settings::required("TEST_PG_PROGRAMS");
    let credential = format!("key:{SECRET}");
    let loudest =
        "trace,tokio_postgres=trace,tokio_postgres::query=trace,tokio_postgres::simple_query=trace,hyper=trace";
    let variables =
        [("PROGRESS_LOG", loudest), ("PROGRESS_PG_BIN", &programs), ("PROGRESS_BOOTSTRAP_CREDENTIAL", &credential)];
    let mut service = Service::start_in(&variables, |data| {
        // The server's own user passes through it.
        fs::set_permissions(data, fs::Permissions::from_mode(0o755)).unwrap();
    })
    .await;
    ready(&service.url).await;
    let client = http::client();
    let request = |method: Method, path: &str, secret: &str| {
        let request = client.request(method, format!("{}{path}", service.url)).basic_auth("key", Some(secret));
        request.header("X-Experience-API-Version", "1.0.3")
    };
    let agent = json!({"mbox": format!("mailto:{CANARY}@example.com"), "name": CANARY});
    let statement = |target: &str| {
        json!({"actor": agent, "verb": {"id": "http://example.com/verbs/did", "display": {"en": CANARY}},
               "object": {"id": format!("http://example.com/{CANARY}"), "definition": {"name": {"en": CANARY}}},
               "context": {"registration": target, "extensions": {"http://example.com/x": CANARY}}})
    };
    let registration = "16fd2706-8baf-433b-82eb-8c7fada847da";
    send(request(Method::POST, "/xapi/statements", SECRET).json(&statement(registration))).await.expect(200);
    send(request(Method::POST, "/xapi/statements", SECRET).json(&json!({"actor": CANARY}))).await.expect(400);
    let who = [("agent", agent.to_string())];
    send(request(Method::GET, "/xapi/statements", SECRET).query(&who)).await.expect(200);
    let place = [
        ("agent", agent.to_string()),
        ("activityId", format!("http://example.com/{CANARY}")),
        ("stateId", CANARY.to_owned()),
    ];
    let document = request(Method::PUT, "/xapi/activities/state", SECRET).query(&place);
    send(document.header("Content-Type", "text/plain").body(CANARY)).await.expect(204);
    send(request(Method::GET, "/xapi/statements", WRONG)).await.expect(401);
    send(request(Method::GET, &format!("/xapi/statements?statementId={CANARY}"), SECRET)).await.expect(400);
    let launch = json!({"registration": registration, "actor": agent, "fetch": true});
    let launch = request(Method::POST, "/api/v1/admin/credentials/launch", SECRET).json(&launch);
    let address = send(launch).await.expect(201).json()["fetchUrl"].as_str().unwrap().to_owned();
    let token = send(client.post(&address)).await.expect(200).json()["auth-token"].as_str().unwrap().to_owned();
    send(client.post(&address)).await.expect(200);
    let by_unit = client.get(format!("{}/xapi/statements", service.url)).header("X-Experience-API-Version", "1.0.3");
    send(by_unit.header("Authorization", format!("Basic {token}"))).await.expect(200);
    // What was stored is read by the loops as well, and a stop has its own words.
    service.process.signal("TERM");
    service.process.ended().await;

    let pair = String::from_utf8(STANDARD.decode(&token).unwrap()).unwrap();
    let mut kept = vec![CANARY.to_owned(), SECRET.to_owned(), WRONG.to_owned(), token];
    kept.extend([pair.split_once(':').unwrap().1, address.rsplit_once('.').unwrap().1].map(str::to_owned));
    for login in ["progress_app", "progress_schema", "progress_owner"] {
        let file = service.data().join(format!("postgres/{login}.password"));
        kept.push(fs::read_to_string(file).unwrap().trim().to_owned());
    }
    let lines = service.process.log.lines();
    assert!(lines.iter().any(|line| line.contains("DEBUG")), "the log is not loud at all");
    for line in &lines {
        assert!(kept.iter().all(|word| !line.contains(word)), "{line}");
    }
}
