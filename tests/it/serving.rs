//! The binary as an operator meets it: start, health, maintenance, refusal, the database gone, the end.

mod maintenance;

use std::{collections::BTreeMap, fs, path::Path};

use reqwest::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    admin_migrations::credential,
    support::{
        app::{Answer, KEY, SECRET, ready, send},
        http, patience,
        pg::{Server, TestDatabase},
        pgproc::{PgServer, free_port},
        process::{Process, Service, command},
    },
};

async fn get(service: &Service, path: &str) -> Answer {
    send(http::client().get(format!("{}{path}", service.url))).await
}

/// Starts over this database with its two logins and more variables.
async fn start(db: &TestDatabase, more: &[(&str, &str)]) -> Service {
    let (service, owner) = (db.service_url(), db.owner_url());
    let logins = [("PROGRESS_DATABASE_URL", service.as_str()), ("PROGRESS_DATABASE_MIGRATION_URL", owner.as_str())];
    Service::start(&[logins.as_slice(), more].concat()).await
}

fn check<'a>(readiness: &'a Value, name: &str) -> &'a Value {
    let checks = readiness["checks"].as_array().expect("a list of checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {readiness}"))
}

on_each_server! {
    async fn an_empty_database_is_filled_and_served_until_a_signal(db: TestDatabase) {
        let empty = TestDatabase::empty(db.server()).await;
        let mut service = start(&empty, &[("PROGRESS_BOOTSTRAP_CREDENTIAL", "first-key:first-secret")]).await;
        let readiness = ready(&service.url).await;
        assert_eq!(readiness["phase"], "serving");
        assert_eq!(check(&readiness, "database")["ok"], true);
        let metrics = get(&service, "/metrics").await.expect(200).text();
        assert!(metrics.contains("progress_http_requests_total"), "{metrics}");
        let credentials = "SELECT count(*) FROM platform.credentials WHERE api_key = 'first-key'";
        assert_eq!(empty.superuser().await.query_one(credentials, &[]).await.unwrap().get::<_, i64>(0), 1);
        service.process.signal("TERM");
        assert_eq!(service.process.ended().await.code(), Some(0));
        let log = service.process.log.lines().join("\n");
        assert!(!log.contains("first-secret"), "{log}");
    }
}

#[tokio::test]
async fn whoever_asks_while_it_starts_is_told_to_come_back_and_never_that_the_key_is_wrong() {
    let db = TestDatabase::empty(Server::newest().await).await;
    let address = format!("127.0.0.1:{}", free_port());
    let variables = [("PROGRESS_LISTEN", address.as_str()), ("PROGRESS_BOOTSTRAP_CREDENTIAL", "key:secret")];
    let asking = async {
        let client = http::client();
        let mut refused = 0;
        loop {
            let mut opened = 0;
            for path in ["/xapi/statements?limit=1", "/api/v1/admin/migrations/status"] {
                let request = client.get(format!("http://{address}{path}")).basic_auth("key", Some("secret"));
                let Ok(answer) = request.header("X-Experience-API-Version", "1.0.3").send().await else { continue };
                match answer.status().as_u16() {
                    200 => opened += 1,
                    503 => {
                        assert!(answer.headers().contains_key("retry-after"), "{path}");
                        refused += 1;
                    }
                    other => panic!("{path}: {other} {}", answer.text().await.unwrap()),
                }
            }
            if opened == 2 {
                return refused;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let (_service, refused) = tokio::join!(start(&db, &variables), asking);
    assert!(refused > 0, "nobody asked before it was ready");
}

#[tokio::test]
async fn ready_means_that_the_operators_key_works() {
    let db = TestDatabase::empty(Server::newest().await).await;
    let address = format!("127.0.0.1:{}", free_port());
    let variables = [("PROGRESS_LISTEN", address.as_str()), ("PROGRESS_BOOTSTRAP_CREDENTIAL", "key:secret")];
    let asking = async {
        let client = http::client();
        patience::until("readiness", async || {
            let answer = client.get(format!("http://{address}/readyz")).send().await.map_err(|e| e.to_string())?;
            if answer.status() == StatusCode::OK { Ok(()) } else { Err(answer.status().to_string()) }
        })
        .await;
        let request = client.get(format!("http://{address}/xapi/statements")).basic_auth("key", Some("secret"));
        send(request.header("X-Experience-API-Version", "1.0.3")).await.expect(200);
    };
    let (_service, ()) = tokio::join!(start(&db, &variables), asking);
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let db = TestDatabase::new(Server::newest().await).await;
    let service = start(&db, &[]).await;
    ready(&service.url).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = send(http::client().head(format!("{}{path}", service.url))).await.expect(200);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("content-type"), get(&service, path).await.header("content-type"), "{path}");
    }
}

/// Starts a service that is expected to give up; answers its exit code and its words.
async fn refused(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let data = tempfile::tempdir().unwrap();
    let mut all = BTreeMap::from([
        ("PROGRESS_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("PROGRESS_DATA_DIR".to_owned(), data.path().to_string_lossy().into_owned()),
    ]);
    all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut process = Process::start(command(&["serve"], &all));
    let code = process.ended().await.code();
    let words = patience::until("its last words", async || {
        let words = process.log.lines().join("\n");
        if words.contains("error: ") { Ok(words) } else { Err(words) }
    });
    (code, words.await)
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_the_reason() {
    let db = TestDatabase::new(Server::newest().await).await;
    let newer = "INSERT INTO platform.schema_migrations
                 (migration_name, category, checksum, applied_at, applied_by, duration_ms)
                 VALUES ('099_from_the_future.sql', 'startup', 'sha256:00', now(), 'newer', 1)";
    db.superuser().await.execute(newer, &[]).await.unwrap();
    let (service, owner) = (db.service_url(), db.owner_url());
    let (code, words) =
        refused(&[("PROGRESS_DATABASE_URL", &service), ("PROGRESS_DATABASE_MIGRATION_URL", &owner)]).await;
    assert_eq!(code, Some(1));
    assert!(words.contains("099_from_the_future"), "{words}");
}

on_each_server! {
    async fn a_database_whose_encoding_is_too_narrow_is_refused_before_anything_is_made(db: TestDatabase) {
        for encoding in ["LATIN1", "SQL_ASCII"] {
            let narrow = TestDatabase::encoded(db.server(), encoding).await;
            let url = narrow.owner_url();
            let (code, words) = refused(&[("PROGRESS_DATABASE_URL", &url)]).await;
            assert_eq!(code, Some(1), "{words}");
            assert!(words.contains(&format!("encoding is {encoding}")) && words.contains("ENCODING 'UTF8'"), "{words}");
            for (verb, code) in [(["migrations", "run"], 4), (["migrations", "status"], 1), (["db", "check"], 4)] {
                let variables = BTreeMap::from([("PROGRESS_DATABASE_URL".to_owned(), url.clone())]);
                let output = command(&verb, &variables).output().unwrap();
                let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                assert_eq!(output.status.code(), Some(code), "{said}");
                assert!(said.contains(encoding), "{said}");
            }
            let made = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('platform', 'ledger', 'progress')";
            assert_eq!(narrow.superuser().await.query_one(made, &[]).await.unwrap().get::<_, i64>(0), 0);
        }
    }

    async fn a_database_that_takes_no_writes_is_served_to_readers_although_its_month_is_missing(db: TestDatabase) {
        credential(&db).await;
        let superuser = db.superuser().await;
        superuser.batch_execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", db.name())).await.unwrap();
        let months = superuser.query_one("SELECT count(*) FROM ledger.partitions", &[]).await.unwrap();
        assert_eq!(months.get::<_, i64>(0), 0, "the template has no month, or this proves nothing");
        let service = start(&db, &[("PROGRESS_BOOTSTRAP_CREDENTIAL", &format!("{KEY}:{SECRET}"))]).await;
        ready(&service.url).await;
        let request = || http::client().get(format!("{}/xapi/statements", service.url)).basic_auth(KEY, Some(SECRET));
        let answer = send(request().header("X-Experience-API-Version", "1.0.3")).await.expect(200);
        assert_eq!(answer.json()["statements"], serde_json::json!([]));
    }
}

#[tokio::test]
async fn a_wrong_configuration_ends_with_its_own_exit_code_and_the_nearest_name() {
    let (code, words) = refused(&[("PROGRESS_DATABSE_URL", "postgres://x")]).await;
    assert_eq!(code, Some(3));
    assert!(words.contains("did you mean PROGRESS_DATABASE_URL?"), "{words}");
}

#[tokio::test]
async fn a_taken_address_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let db = TestDatabase::new(Server::newest().await).await;
    let (code, words) = refused(&[("PROGRESS_LISTEN", &address), ("PROGRESS_DATABASE_URL", &db.service_url())]).await;
    assert_eq!(code, Some(1));
    assert!(words.contains(&address) && words.contains("PROGRESS_LISTEN"), "{words}");
}

#[tokio::test]
async fn readiness_follows_the_database_and_health_does_not() {
    let mut server = PgServer::start().await;
    let service = Service::start(&[("PROGRESS_DATABASE_URL", &server.url())]).await;
    ready(&service.url).await;
    server.kill();
    get(&service, "/healthz").await.expect(200);
    let readiness = get(&service, "/readyz").await.expect(503).json();
    assert_eq!(check(&readiness, "database")["ok"], false);
    server.resume().await;
    ready(&service.url).await;
}

#[tokio::test]
async fn a_database_that_comes_late_is_waited_for() {
    let mut server = PgServer::start().await;
    server.kill();
    let url = server.url();
    let variables = [("PROGRESS_DATABASE_URL", url.as_str())];
    let (service, ()) = tokio::join!(Service::start(&variables), server.resume());
    ready(&service.url).await;
}

#[tokio::test]
async fn a_second_signal_cuts_what_the_first_waits_for() {
    let db = TestDatabase::new(Server::newest().await).await;
    let mut service = start(&db, &[("PROGRESS_SHUTDOWN_ANNOUNCE", "1h")]).await;
    service.process.signal("TERM");
    patience::until("the end of readiness", async || {
        let answer = get(&service, "/readyz").await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE { Ok(()) } else { Err(answer.text()) }
    })
    .await;
    get(&service, "/healthz").await.expect(200);
    service.process.signal("INT");
    assert_eq!(service.process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_body_that_never_comes_holds_the_first_signal_but_not_the_second() {
    let db = TestDatabase::new(Server::newest().await).await;
    let patient = [
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", "key:secret"),
        ("PROGRESS_HTTP_BODY_TIMEOUT", "1h"),
        ("PROGRESS_SHUTDOWN_SOFT", "1h"),
    ];
    let mut service = start(&db, &patient).await;
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // Expect: the server asks for the body once its handler waits for it.
    let head = "POST /xapi/statements HTTP/1.1\r\nHost: x\r\nAuthorization: Basic a2V5OnNlY3JldA==\r\n\
                X-Experience-API-Version: 1.0.3\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\
                Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 12];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    service.process.signal("TERM");
    service.process.says("draining").await;
    service.process.signal("TERM");
    assert_eq!(service.process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_cuts_loops_that_do_not_end() {
    let db = TestDatabase::new(Server::newest().await).await;
    let patient = [
        ("PROGRESS_SHUTDOWN_HARD", "1h"),
        ("PROGRESS_DATABASE_LOCK_TIMEOUT", "1h"),
        ("PROGRESS_DATABASE_STATEMENT_TIMEOUT", "1h"),
    ];
    let mut service = start(&db, &patient).await;
    ready(&service.url).await;
    // No loop can give its lease back while somebody holds the table.
    let superuser = db.superuser().await;
    superuser.batch_execute("BEGIN; LOCK TABLE platform.leases IN ACCESS EXCLUSIVE MODE").await.unwrap();
    service.process.signal("TERM");
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    patience::until("the end of the listener", async || match tokio::net::TcpStream::connect(&address).await {
        Ok(_) => Err("it accepts"),
        Err(_) => Ok(()),
    })
    .await;
    assert!(service.process.is_running(), "the loops hold it");
    service.process.signal("TERM");
    assert_eq!(service.process.ended().await.code(), Some(0));
}

/// The line a person pastes, run by a shell as it stands.
#[tokio::test]
async fn a_fresh_install_prints_a_line_that_works_when_pasted() {
    let mut service = Service::start(&[]).await;
    let line = service.process.says("  curl ").await;
    let pasted = std::process::Command::new("sh").arg("-c").arg(format!("curl -fsS {line}")).output().unwrap();
    assert!(pasted.status.success(), "{}", String::from_utf8_lossy(&pasted.stderr));
    let ids: Value = serde_json::from_slice(&pasted.stdout).unwrap();
    assert_eq!(ids.as_array().map(Vec::len), Some(1));
    let metrics = get(&service, "/metrics").await.expect(200).text();
    assert!(metrics.contains(r#"progress_ingest_statements_total{outcome="new"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"progress_store_tx_seconds_count{tx="ingest"} 1"#), "{metrics}");
    let again = service.again().await;
    assert!(!again.process.log.contains("curl"), "a secret is shown once");
}

/// Writes a fresh self-signed pair and answers its certificate.
fn certificate(folder: &Path) -> reqwest::Certificate {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), pair.cert.pem()).unwrap();
    reqwest::Certificate::from_pem(pair.cert.pem().as_bytes()).unwrap()
}

#[tokio::test]
async fn https_follows_its_certificate_without_a_restart() {
    let db = TestDatabase::new(Server::newest().await).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let first = certificate(folder.path());
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let tls =
        [("PROGRESS_TLS_CERT_FILE", cert.as_str()), ("PROGRESS_TLS_KEY_FILE", &key), ("PROGRESS_TLS_RELOAD", "20ms")];
    let service = start(&db, &tls).await;
    assert!(service.url.starts_with("https://"), "{}", service.url);
    // Also makes the process ready for TLS; this client trusts neither certificate.
    assert!(http::client().get(format!("{}/healthz", service.url)).send().await.is_err());
    let trusting = |certificate: reqwest::Certificate| {
        let client = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().build().unwrap();
        client.get(format!("{}/healthz", service.url)).send()
    };
    assert_eq!(trusting(first.clone()).await.unwrap().status(), StatusCode::OK);
    let second = certificate(folder.path());
    patience::until("the new certificate", async || trusting(second.clone()).await).await;
    assert!(trusting(first).await.is_err());
}

#[tokio::test]
async fn validation_knocks_at_every_door_and_tells_which_is_shut() {
    let db = TestDatabase::new(Server::newest().await).await;
    let data = tempfile::tempdir().unwrap();
    let free = format!("127.0.0.1:{}", free_port());
    let mut variables = BTreeMap::from([
        ("PROGRESS_DATA_DIR".to_owned(), data.path().to_string_lossy().into_owned()),
        ("PROGRESS_DATABASE_URL".to_owned(), db.service_url()),
    ]);
    let validate = |variables: &BTreeMap<String, String>| {
        let output = command(&["config", "validate", "--connect"], variables).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, words) = validate(&variables);
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("database: answers") && words.contains("archive: answers"), "{words}");
    variables.insert("PROGRESS_DATABASE_URL".to_owned(), format!("postgres://nobody:hunter2@{free}/none"));
    let (code, words) = validate(&variables);
    assert_eq!(code, Some(7), "{words}");
    assert!(words.contains("database: FAILED") && !words.contains("hunter2"), "{words}");
}
