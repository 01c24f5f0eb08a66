//! What callers can take: memory, processors, connections. Neighbours go on, and what is refused says so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use progress_service::model::{Clock, Ids};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use super::{attachments, id, identified, statement};
use crate::support::{
    app::{KEY, SECRET, TestApp, send},
    http,
    patience::{self, PATIENCE},
    pg::{Server, TestDatabase},
    pgproc::SmallDisk,
    process::Service,
};

const MIB: usize = 1 << 20;
const STATE: &str =
    "/activities/state?activityId=http://example.com/a&agent=%7B%22mbox%22%3A%22mailto:ann@example.com%22%7D";

async fn service(db: &TestDatabase, more: &[(&str, &str)]) -> Service {
    let (url, owner) = (db.service_url(), db.owner_url());
    let mut variables = vec![
        ("PROGRESS_DATABASE_URL", url.as_str()),
        ("PROGRESS_DATABASE_MIGRATION_URL", owner.as_str()),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", "test-key:test-secret"),
    ];
    variables.extend(more);
    let service = Service::start(&variables).await;
    crate::support::app::ready(&service.url).await;
    service
}

fn proof() -> String {
    format!(
        "Authorization: Basic {}\r\nX-Experience-API-Version: 1.0.3\r\n",
        STANDARD.encode(format!("{KEY}:{SECRET}"))
    )
}

/// A request whose body does not end, and what has been answered to it.
struct Held {
    reader: OwnedReadHalf,
    _writer: OwnedWriteHalf,
    answer: Option<String>,
}

/// How many of them are answered by now. The kernel takes some megabytes for a server that has not looked yet, so an answer may
/// come after the last byte was sent.
fn answered(all: &mut [Held]) -> usize {
    for held in all.iter_mut().filter(|held| held.answer.is_none()) {
        let mut answer = vec![0; 4096];
        match held.reader.try_read(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            read => held.answer = Some(String::from_utf8_lossy(&answer[..read.unwrap_or_default()]).into_owned()),
        }
    }
    all.iter().filter(|held| held.answer.is_some()).count()
}

/// Waits until at least so many are answered, and tells with what.
async fn answers(all: &mut [Held], least: usize) -> Vec<String> {
    patience::until("the answers", async || {
        let count = answered(all);
        if count >= least { Ok(()) } else { Err(format!("{count} of {least}")) }
    })
    .await;
    all.iter().filter_map(|held| held.answer.clone()).collect()
}

/// Sends a head and so much of a body, and stays; what has been answered by then comes with the connection.
async fn hold(url: &str, head: String, bytes: usize) -> Held {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}Host: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let (mut reader, writer) = stream.into_split();
    let piece = vec![b'x'; 64 << 10];
    let (mut answer, mut sent) = (vec![0; 4096], 0);
    while sent < bytes {
        tokio::select! {
            biased;
            read = reader.read(&mut answer) => {
                let length = read.unwrap_or_default();
                let answer = Some(String::from_utf8_lossy(&answer[..length]).into_owned());
                return Held { reader, _writer: writer, answer };
            }
            // The other side takes as much as it likes; where it has closed, its answer can be read.
            written = async { writer.writable().await.and_then(|()| writer.try_write(&piece)) } => {
                sent += written.unwrap_or_default();
            }
        }
    }
    Held { reader, _writer: writer, answer: None }
}

#[tokio::test]
async fn held_bodies_take_no_more_than_the_budget_and_leave_room_for_others() {
    let db = TestDatabase::new(Server::newest().await).await;
    let service = service(&db, &[("PROGRESS_HTTP_MEMORY", "64MiB")]).await;
    let neighbour = async || {
        let request = http::client().post(format!("{}/xapi/statements", service.url)).basic_auth(KEY, Some(SECRET));
        send(request.header("X-Experience-API-Version", "1.0.3").json(&statement("ann", "a"))).await
    };
    neighbour().await.expect(200);
    let before = attachments::peak(service.process.id());
    let form = "POST /xapi/statements?method=POST HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 15000000\r\n";
    let mut strangers = join_all((0..40).map(|_| hold(&service.url, form.to_owned(), 14 * MIB))).await;
    let told = answers(&mut strangers, 40).await;
    // An answer may be lost where our bytes meet a closed end.
    assert!(told.iter().any(|text| text.contains(" 413 ")), "{told:?}");
    neighbour().await.expect(200);
    let document = format!("PUT /xapi{STATE}&stateId=s HTTP/1.1\r\n{}Content-Length: 15000000\r\n", proof());
    let mut held = join_all((0..40).map(|_| hold(&service.url, document.clone(), 14 * MIB))).await;
    // A key has a quarter of 64 MiB: one of these bodies, or two that have not come far.
    let refused = answers(&mut held, 38).await;
    let told = |text: &str| text.contains(" 503 ") && text.contains("retry-after: 2") && text.contains("16777216");
    assert!(refused.iter().any(|text| told(text)), "{refused:?}");
    let grown = attachments::peak(service.process.id()) - before;
    assert!(grown < 96 << 10, "{grown} KiB more were held");
    drop((strangers, held));
    patience::until("room for the key", async || {
        let answer = neighbour().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
}

#[tokio::test]
async fn pages_that_nobody_reads_are_bounded_and_cut() {
    let db = TestDatabase::new(Server::newest().await).await;
    let service = service(&db, &[("PROGRESS_HTTP_MEMORY", "64MiB"), ("PROGRESS_HTTP_ANSWER_TIMEOUT", "2s")]).await;
    let request = |method, path: &str| {
        let request = http::client().request(method, format!("{}/xapi{path}", service.url));
        request.basic_auth(KEY, Some(SECRET)).header("X-Experience-API-Version", "1.0.3")
    };
    for n in 0..16 {
        let mut large = identified(&id(n), "ann", "a");
        large["result"] = json!({"response": "x".repeat(450_000)});
        send(request(Method::POST, "/statements").json(&large)).await.expect(200);
    }
    let before = attachments::peak(service.process.id());
    let address: std::net::SocketAddr = service.url.trim_start_matches("http://").parse().unwrap();
    let page = format!("GET /xapi/statements HTTP/1.1\r\nHost: x\r\n{}\r\n", proof());
    let unread = join_all((0..60).map(|_| async {
        let socket = TcpSocket::new_v4().unwrap();
        // What the kernel keeps for a reader is not for this test to fill.
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream.write_all(page.as_bytes()).await.unwrap();
        let mut head = vec![0; 64];
        timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("an answer").unwrap();
        (stream, String::from_utf8_lossy(&head).into_owned())
    }))
    .await;
    assert!(unread.iter().any(|(_, head)| head.starts_with("HTTP/1.1 200")));
    assert!(unread.iter().any(|(_, head)| head.starts_with("HTTP/1.1 503")), "more than there is room for");
    let grown = attachments::peak(service.process.id()) - before;
    assert!(grown < 260 << 10, "{grown} KiB more were held");
    let metrics = format!("{}/metrics", service.url);
    patience::until("unread answers to be cut", async || {
        let text = send(http::client().get(&metrics)).await.text();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        let (held, cut) = (value("progress_http_held_bytes "), value("progress_http_untaken_answers_total "));
        if held == Some(0.0) && cut > Some(0.0) { Ok(()) } else { Err(format!("{held:?} held, {cut:?} cut")) }
    })
    .await;
    drop(unread);
}

/// So many answers somebody who asks for little waits for at least, one after the other.
const OFTEN: usize = 40;

/// How many answers somebody who asks for little got beside a `crowd` of callers, each of whom brings one large piece of work
/// after the other, and how many pieces ended meanwhile. Who has to wait for the work of the others gets in between it, so no
/// more is answered than ends. What is asked has to need what the pieces need: a machine that stalls for a moment stalls both then.
async fn answers_beside(app: &TestApp, asked: &str, crowd: usize, piece: impl AsyncFn()) -> (usize, usize) {
    let (enough, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
    let bring = async || {
        while !enough.load(Ordering::Relaxed) {
            piece().await;
            ended.fetch_add(1, Ordering::Relaxed);
        }
    };
    let ask = async {
        let mut answers = 0;
        while answers < OFTEN || ended.load(Ordering::Relaxed) < crowd {
            let answer = send(app.xapi(Method::GET, asked)).await;
            assert!([200, 404].contains(&answer.status.as_u16()), "{}", answer.text());
            answers += 1;
        }
        enough.store(true, Ordering::Relaxed);
        (answers, ended.load(Ordering::Relaxed))
    };
    tokio::join!(ask, join_all((0..crowd).map(|_| bring()))).0
}

on_each_server! {
    async fn large_merges_of_one_document_are_all_kept(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let state = format!("{STATE}&stateId=s");
        let part = |n: usize| json!({ format!("k{n}"): "x".repeat(100_000) });
        send(app.xapi(Method::POST, &state).json(&part(0))).await.expect(204);
        let writes = (1..5).map(|n| send(app.xapi(Method::POST, &state).json(&part(n))));
        for answer in join_all(writes).await {
            answer.expect(204);
        }
        let merged = send(app.xapi(Method::GET, &state)).await.expect(200);
        let etag = merged.header("etag").to_owned();
        assert_eq!(merged.json().as_object().map(serde_json::Map::len), Some(5));
        send(app.xapi(Method::POST, &state).header("If-Match", "\"other\"").json(&part(6))).await.expect(412);
        send(app.xapi(Method::POST, &state).header("If-Match", &etag).json(&part(6))).await.expect(204);
    }

    async fn the_only_connection_is_free_while_large_documents_are_merged(db: TestDatabase) {
        let variables = [("PROGRESS_DATABASE_POOL_SIZE", "1"), ("PROGRESS_HTTP_MEMORY", "1GiB")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let state = format!("{STATE}&stateId=s");
        let members = |from: usize| -> Value {
            (from..from + 150_000).map(|n| (format!("key{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into()
        };
        send(app.xapi(Method::PUT, &state).json(&members(0))).await.expect(204);
        let (answers, ended) = answers_beside(&app, &format!("{STATE}&stateId=none"), 1, async || {
            send(app.xapi(Method::POST, &state).json(&members(100_000))).await.expect(204);
        })
        .await;
        assert!(answers > ended, "{answers} small answers beside {ended} merges");
    }

    async fn who_waits_is_not_who_brings_much(db: TestDatabase) {
        let app = TestApp::with(db, &[("PROGRESS_HTTP_WORKERS", "1")], Clock::system(), Ids::random()).await;
        let statements: Vec<Value> = (0..3_000).map(|n| identified(&id(n), "ann", "a")).collect();
        let mut broken = statements;
        broken.push(json!({}));
        let broken = json!(broken);
        let (answers, ended) = answers_beside(&app, "/about", 4, async || {
            let answer = app.post_statements(&broken).await;
            assert!([400, 503].contains(&answer.status.as_u16()), "{}", answer.text());
        })
        .await;
        assert!(answers > ended, "{answers} small answers beside {ended} batches");
    }
}

#[tokio::test]
async fn a_full_temporary_folder_is_503_and_nothing_is_kept() {
    let db = TestDatabase::new(Server::newest().await).await;
    let folder = tempfile::tempdir().unwrap();
    let _disk = SmallDisk::mount(folder.path(), 1);
    let service = service(&db, &[("TMPDIR", folder.path().to_str().unwrap())]).await;
    let content = vec![7; 4 * MIB];
    let body = attachments::multipart(&attachments::with_attachment(1, &content), &[&content]);
    let request = |method, path: &str| {
        let request = http::client().request(method, format!("{}{path}", service.url));
        request.basic_auth(KEY, Some(SECRET)).header("X-Experience-API-Version", "1.0.3")
    };
    let posted = request(Method::POST, "/xapi/statements").header("Content-Type", "multipart/mixed; boundary=limit");
    let refused = send(posted.body(body)).await.expect(503);
    assert_eq!(refused.header("retry-after"), "5");
    send(request(Method::GET, &format!("/xapi/statements?statementId={}", id(1)))).await.expect(404);
    let metrics = send(request(Method::GET, "/metrics")).await.text();
    assert!(metrics.contains("progress_ingest_spool_failures_total 1"), "{metrics}");
    let small = attachments::multipart(&attachments::with_attachment(2, b"small"), &[b"small"]);
    let posted = request(Method::POST, "/xapi/statements").header("Content-Type", "multipart/mixed; boundary=limit");
    send(posted.body(small)).await.expect(200);
}
