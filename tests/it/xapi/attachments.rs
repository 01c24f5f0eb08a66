//! Attachments: in and out in parts, each content once, large ones in pieces.

use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{id, identified};
use crate::support::{
    app::{Answer, KEY, SECRET, TestApp, send},
    http,
    pg::{Server, TestDatabase},
    process::Service,
};

pub fn with_attachment(n: u128, content: &[u8]) -> Value {
    let mut statement = identified(&id(n), "ann", "a");
    statement["attachments"] = json!([{
        "usageType": "http://example.com/report", "display": {"en": "a report"},
        "contentType": "application/octet-stream", "length": content.len(),
        "sha2": hex::encode(Sha256::digest(content)),
    }]);
    statement
}

pub fn multipart(statements: &Value, contents: &[&[u8]]) -> Vec<u8> {
    let mut body = format!("--limit\r\nContent-Type: application/json\r\n\r\n{statements}").into_bytes();
    for content in contents {
        let head = format!(
            "\r\n--limit\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\
             X-Experience-API-Hash: {}\r\n\r\n",
            hex::encode(Sha256::digest(content))
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
    }
    body.extend_from_slice(b"\r\n--limit--\r\n");
    body
}

async fn post(app: &TestApp, body: Vec<u8>) -> Answer {
    let request = app.xapi(Method::POST, "/statements");
    send(request.header("Content-Type", "multipart/mixed; boundary=limit").body(body)).await
}

pub fn occurrences(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

on_each_server! {
    async fn a_large_content_shared_by_statements_is_kept_once_and_comes_back_whole(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let content: Vec<u8> = (0..3_000_000u32).map(|n| u8::try_from(n % 253).unwrap()).collect();
        let statements = json!([with_attachment(1, &content), with_attachment(2, &content)]);
        post(&app, multipart(&statements, &[&content])).await.expect(200);
        let kept = "SELECT count(*), sum(length)::bigint FROM ledger.attachments";
        let row = app.db.superuser().await.query_one(kept, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 3_000_000));
        let answer = app.get_statements(&[("attachments", "true")]).await.expect(200);
        assert!(answer.header("content-type").starts_with("multipart/mixed; boundary="));
        assert_eq!(occurrences(&answer.body, b"X-Experience-API-Hash"), 1);
        assert!(answer.body.windows(content.len()).any(|window| window == content));
    }

    async fn what_does_not_fit_is_refused_and_nothing_is_kept(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (content, other) = (b"the report".as_slice(), b"another".as_slice());
        let statement = with_attachment(1, content);
        let mut wrong = multipart(&statement, &[content]);
        let at = wrong.windows(content.len()).position(|window| window == content).unwrap();
        wrong[at] ^= 1;
        for (what, body) in [
            ("no part", multipart(&statement, &[])),
            ("a part too many", multipart(&statement, &[content, other])),
            ("other bytes", wrong),
            ("cut short", multipart(&statement, &[content])[..120].to_vec()),
        ] {
            let refusal = post(&app, body).await.expect(400).json();
            assert!(!refusal["violations"].as_array().unwrap().is_empty(), "{what}: {refusal}");
        }
        app.post_statements(&statement).await.expect(400);
        app.get_statements(&[("statementId", &id(1))]).await.expect(404);
        let kept = "SELECT count(*) FROM ledger.attachments";
        assert_eq!(app.db.superuser().await.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 0);
    }

    async fn one_tenants_content_is_not_anothers(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let content = b"private".as_slice();
        post(&app, multipart(&with_attachment(1, content), &[content])).await.expect(200);
        let identity = app.service().rooms.identity.clone();
        let tenant = identity.create_tenant("test", "other").await.unwrap();
        let issued = crate::identity::setup::credential(&identity, tenant.id, "all").await;
        let mut by_url = with_attachment(2, content);
        by_url["attachments"][0]["fileUrl"] = json!("http://example.com/file");
        let foreign = |method| {
            app.anonymous(method, "/xapi/statements?attachments=true")
                .basic_auth(&issued.credential.api_key, Some(issued.secret.expose()))
                .header("X-Experience-API-Version", "1.0.3")
        };
        let post = app.anonymous(Method::POST, "/xapi/statements")
            .basic_auth(&issued.credential.api_key, Some(issued.secret.expose()))
            .header("X-Experience-API-Version", "1.0.3");
        send(post.json(&by_url)).await.expect(200);
        let answer = send(foreign(Method::GET)).await.expect(200);
        assert_eq!(occurrences(&answer.body, content), 0, "known by its hash alone");
    }
}

/// The most memory the process ever held, in KiB.
pub(super) fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends a content of so many MiB with the statement `n`, as it is made, and takes it back as it comes.
async fn pass(service: &Service, n: u128, pieces: u8) {
    const PIECE: usize = 1 << 20;
    let length = usize::from(pieces) * PIECE;
    let request = |method, query: &str| {
        let url = format!("{}/xapi/statements{query}", service.url);
        let request = http::client().request(method, url).basic_auth(KEY, Some(SECRET));
        request.header("X-Experience-API-Version", "1.0.3")
    };
    let mut hash = Sha256::new();
    (0..pieces).for_each(|piece| hash.update(vec![piece; PIECE]));
    let hash = hex::encode(hash.finalize());
    let mut statement = with_attachment(n, b"");
    statement["attachments"][0]["length"] = json!(length);
    statement["attachments"][0]["sha2"] = json!(hash);
    let head = format!(
        "--limit\r\nContent-Type: application/json\r\n\r\n{statement}\r\n--limit\r\n\
         Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {hash}\r\n\r\n"
    );
    let tail = std::iter::once(b"\r\n--limit--\r\n".to_vec());
    let body = std::iter::once(head.into_bytes()).chain((0..pieces).map(|piece| vec![piece; PIECE])).chain(tail);
    let body = Body::wrap_stream(stream::iter(body.map(Ok::<_, std::io::Error>)));
    let posted = request(Method::POST, "").header("Content-Type", "multipart/mixed; boundary=limit").body(body);
    send(posted).await.expect(200);

    let query = format!("?attachments=true&statementId={}", id(n));
    let mut answer = request(Method::GET, &query).send().await.unwrap();
    let mut received = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert!(received > length, "{received} of {length} bytes came back");
}

#[tokio::test]
async fn a_large_content_passes_both_ways_without_being_held() {
    let db = TestDatabase::new(Server::newest().await).await;
    let (url, owner) = (db.service_url(), db.owner_url());
    let variables = [
        ("PROGRESS_DATABASE_URL", url.as_str()),
        ("PROGRESS_DATABASE_MIGRATION_URL", &owner),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", "test-key:test-secret"),
    ];
    let service = Service::start(&variables).await;
    // The allocator takes its room in blocks of many MiB, whatever the length: a few MiB make it take them.
    pass(&service, 1, 16).await;
    let before = peak(service.process.id());
    pass(&service, 2, 120).await;
    let grown = peak(service.process.id()).saturating_sub(before);
    assert!(grown < 60 << 10, "{grown} KiB more were held for 120 MiB than for 16");
}
