//! Hostile input: a clear answer with the limit's number, in bounded memory, and the service goes on.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::stream;
use progress_service::model::{Clock, Ids};
use reqwest::{Body, Method};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{id, identified, ids, statement};
use crate::support::{
    app::{KEY, SECRET, TestApp, send},
    patience::PATIENCE,
};

on_each_server! {
    async fn every_monster_gets_its_answer(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let post = |content_type: &str, body: Vec<u8>| {
            app.xapi(Method::POST, "/statements").header("Content-Type", content_type).body(body)
        };
        let long_iri = format!("http://example.com/{}", "a".repeat(100_000));
        let mut long = statement("ann", "a");
        long["object"]["id"] = json!(long_iri);
        let duplicate = r#"{"actor":{"mbox":"mailto:a@example.com"},"actor":{"mbox":"mailto:b@example.com"},"verb":{"id":"http://example.com/v"},"object":{"id":"http://example.com/a"}}"#;
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let sha2 = |number: usize| hex::encode(Sha256::digest(number.to_string()));
        let attachment = |number: usize| json!({
            "usageType": "http://example.com/usage", "display": {"en": "a number"}, "contentType": "text/plain",
            "length": number.to_string().len(), "sha2": sha2(number),
        });
        let mut attached = statement("ann", "a");
        attached["attachments"] = (0..1_000).map(attachment).collect();
        let part = |number: usize| {
            let hash = sha2(number);
            format!("\r\n--b\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {hash}\r\n\r\n{number}")
        };
        let statements = format!("--b\r\nContent-Type: application/json\r\n\r\n{attached}");
        let many_parts = statements + &(0..100_000).map(part).collect::<String>();
        let endless = format!("--b\r\nContent-Type: application/json\r\n{}", "X-Padding: aaaa\r\n".repeat(100_000));
        for (what, content_type, body, status, says) in [
            ("deep nesting", "application/json", deep.into_bytes(), 400, "64"),
            ("invalid UTF-8", "application/json", b"{\"actor\": \"\xff\xfe\"}".to_vec(), 400, "UTF-8"),
            ("duplicate keys", "application/json", duplicate.as_bytes().to_vec(), 400, "actor"),
            ("a long IRI", "application/json", long.to_string().into_bytes(), 400, "16384"),
            (
                "many statements",
                "application/json",
                json!(vec![statement("a", "b"); 5_001]).to_string().into_bytes(),
                400,
                "5000",
            ),
            ("many parts", "multipart/mixed; boundary=b", many_parts.into_bytes(), 400, "1000"),
            ("endless headers of a part", "multipart/mixed; boundary=b", endless.into_bytes(), 400, "16384"),
            ("no boundary", "multipart/mixed", b"--b".to_vec(), 400, "boundary"),
            ("another type", "text/xml", b"<a/>".to_vec(), 400, "text/xml"),
            ("nothing", "application/json", Vec::new(), 400, ""),
        ] {
            let answer = send(post(content_type, body)).await;
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            assert!(answer.text().contains(says), "{what}: {}", answer.text());
            assert!(answer.body.len() < 64 << 10, "{what}: an answer of {} bytes", answer.body.len());
        }
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
    }

    async fn two_hundred_megabytes_are_refused_by_their_announcement_or_on_the_way(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let chunk = || Ok::<_, std::io::Error>(vec![b' '; 1 << 20]);
        for length in [Some(200u64 << 20), None] {
            let body = Body::wrap_stream(stream::iter((0..200).map(move |_| chunk())));
            let mut request = app.xapi(Method::POST, "/statements").header("Content-Type", "application/json").body(body);
            if let Some(length) = length {
                request = request.header("Content-Length", length);
            }
            // The service answers and closes while we still send; a client may see either.
            if let Ok(response) = request.send().await {
                assert_eq!(response.status(), 413);
                assert!(response.text().await.unwrap().contains("16777216"));
            }
        }
        let in_parts = app.xapi(Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=b");
        let answer = in_parts
            .header("Content-Length", 200u64 << 20)
            .body(Body::wrap_stream(stream::pending::<std::io::Result<Vec<u8>>>()));
        let answer = send(answer).await.expect(413);
        assert!(answer.text().contains("134217728"), "by its announcement alone: {}", answer.text());
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
    }

    async fn what_is_too_large_for_its_kind_is_413_with_the_limit_and_nothing_is_stored(db: TestDatabase) {
        let variables = [("PROGRESS_XAPI_STATEMENT_BYTES", "2KiB"), ("PROGRESS_XAPI_MULTIPART_BYTES", "64KiB")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let mut large = identified(&id(2), "ann", "a");
        large["result"] = json!({"response": "x".repeat(3_000)});
        let refusal = app.post_statements(&json!([identified(&id(1), "ann", "a"), large])).await.expect(413).json();
        assert_eq!(
            (&refusal["violations"][0]["statement"], &refusal["violations"][0]["rule"]),
            (&json!(1), &json!("statement.bytes"))
        );
        assert!(refusal["violations"][0]["message"].as_str().unwrap().contains("2048"), "{refusal}");
        large["actor"] = json!({});
        large["result"] = json!({"response": "small"});
        app.post_statements(&large).await.expect(400);

        // Without an announced length it is found on the way; the answer may be lost while we still send.
        let mut attached = identified(&id(3), "ann", "a");
        let content = vec![b'x'; 100 << 10];
        let hash = hex::encode(Sha256::digest(&content));
        attached["attachments"] = json!([{"usageType": "http://example.com/u", "display": {"en": "x"},
            "contentType": "text/plain", "length": content.len(), "sha2": hash}]);
        let head = format!(
            "--b\r\nContent-Type: application/json\r\n\r\n{attached}\r\n--b\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {hash}\r\n\r\n"
        );
        let pieces = vec![head.into_bytes(), content, b"\r\n--b--\r\n".to_vec()].into_iter().map(Ok::<_, std::io::Error>);
        let request = app.xapi(Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=b");
        if let Ok(response) = request.body(Body::wrap_stream(stream::iter(pieces))).send().await {
            assert_eq!(response.status(), 413);
            assert!(response.text().await.unwrap().contains("65536"));
        }
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()), [""; 0]);
    }

    async fn a_body_that_unpacks_to_more_than_it_is_never_gets_unpacked(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // What a small gzip file begins with; the rest does not matter to one who does not unpack it.
        let packed = || vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
        for encoding in ["gzip", "br", "identity, gzip", "GZIP"] {
            let request = app.xapi(Method::POST, "/statements").header("Content-Type", "application/json");
            let answer = send(request.header("Content-Encoding", encoding).body(packed())).await.expect(415);
            assert!(answer.text().contains("Content-Encoding"), "{}", answer.text());
        }
        let plain = app.xapi(Method::POST, "/statements").header("Content-Encoding", "identity");
        send(plain.json(&identified(&id(1), "ann", "a"))).await.expect(200);
    }

    async fn a_client_that_sends_a_byte_now_and_then_is_cut_with_a_word(db: TestDatabase) {
        let variables = [("PROGRESS_HTTP_BODY_TIMEOUT", "1s"), ("PROGRESS_HTTP_BODY_RATE", "1MiB")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let address = app.url.trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /xapi/statements HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {}\r\n\
             X-Experience-API-Version: 1.0.3\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n",
            STANDARD.encode(format!("{KEY}:{SECRET}"))
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let trickle = tokio::spawn(async move {
            // Ends when the service hangs up.
            while write.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let mut answer = Vec::new();
        // The connection is reset when our bytes meet the closed end: the answer has come by then.
        let _ = timeout(PATIENCE, read.read_to_end(&mut answer)).await.expect("an end");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("slow-body"), "{answer}");
        assert_eq!(app.service().rooms.edge.metrics.http.slow_bodies.get(), 1);
        trickle.abort();
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
    }

    async fn parameters_that_make_no_sense_are_named(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (name, value) in [
            ("statementId", "x"), ("voidedStatementId", "1234"), ("agent", "ann"), ("agent", "{}"), ("verb", "experienced"),
            ("activity", "no iri"), ("registration", "7"), ("since", "yesterday"), ("until", "2026-13-01"), ("limit", "-1"),
            ("limit", "many"), ("format", "EXACT"), ("ascending", "1"), ("attachments", "yes"), ("related_agents", "TRUE"),
            ("Verb", "http://example.com/v"), ("unknown", "1"), ("more", "AAAA"),
        ] {
            let refusal = app.get_statements(&[(name, value)]).await.expect(400).json();
            assert!(refusal["violations"][0]["message"].as_str().unwrap().contains(name), "{name}={value}: {refusal}");
        }
        app.get_statements(&[("statementId", &id(1)), ("voidedStatementId", &id(1))]).await.expect(400);
        app.get_statements(&[("verb", "http://a.example/1"), ("verb", "http://a.example/2")]).await.expect(400);
    }
}
