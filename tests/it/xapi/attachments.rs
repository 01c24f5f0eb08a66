//! Attachments: in and out in parts, each content once, large ones in pieces.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{id, identified};
use crate::support::app::{Answer, TestApp, send};

fn with_attachment(n: u128, content: &[u8]) -> Value {
    let mut statement = identified(&id(n), "ann", "a");
    statement["attachments"] = json!([{
        "usageType": "http://example.com/report", "display": {"en": "a report"},
        "contentType": "application/octet-stream", "length": content.len(),
        "sha2": hex::encode(Sha256::digest(content)),
    }]);
    statement
}

fn multipart(statements: &Value, contents: &[&[u8]]) -> Vec<u8> {
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

fn occurrences(haystack: &[u8], needle: &[u8]) -> usize {
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
