//! SIGTERM to the real binary while clients send without pause: every request that was sent is answered, and every answer
//! says that its connection ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    patience,
    pg::{Server, TestDatabase},
    process::Service,
};

const CONNECTIONS: usize = 64;
const REQUEST: &[u8] = b"GET /xapi/about HTTP/1.1\r\nHost: x\r\nX-Experience-API-Version: 1.0.3\r\n\r\n";

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// An answer said that it is the last one.
    Told,
    /// A request was sent and never answered.
    Lost,
}

/// Reads one answer; `None` when the connection ends before it is whole.
async fn answer(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Sends one request after the other until an answer says that the connection ends.
async fn without_pause(mut stream: TcpStream, answered: Arc<AtomicUsize>) -> End {
    loop {
        if stream.write_all(REQUEST).await.is_err() {
            return End::Lost;
        }
        let Some(answer) = answer(&mut stream).await else { return End::Lost };
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        answered.fetch_add(1, Ordering::SeqCst);
        if answer.contains("\r\nconnection: close\r\n") {
            return End::Told;
        }
    }
}

async fn connected(service: &Service) -> TcpStream {
    TcpStream::connect(service.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// One round; answers how many connections lost a request.
async fn round(db: &TestDatabase, announce: &str) -> usize {
    let (url, owner) = (db.service_url(), db.owner_url());
    let variables = [
        ("PROGRESS_DATABASE_URL", url.as_str()),
        ("PROGRESS_DATABASE_MIGRATION_URL", owner.as_str()),
        ("PROGRESS_SHUTDOWN_ANNOUNCE", announce),
    ];
    let mut service = Service::start(&variables).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(tokio::spawn(without_pause(connected(&service).await, Arc::clone(&answered))));
    }
    let mut idle = connected(&service).await;
    idle.write_all(REQUEST).await.unwrap();
    answer(&mut idle).await.expect("an answer");
    patience::until("many answers", async || match answered.load(Ordering::SeqCst) {
        many if many > 10 * CONNECTIONS => Ok(()),
        few => Err(few),
    })
    .await;
    service.process.signal("TERM");
    let ends = join_all(senders).await;
    // What is idle ends cleanly: nothing is reset.
    assert_eq!(idle.read(&mut [0; 16]).await.expect("a clean end"), 0);
    assert_eq!(service.process.ended().await.code(), Some(0));
    ends.into_iter().filter(|end| *end.as_ref().unwrap() == End::Lost).count()
}

#[tokio::test]
async fn no_request_is_lost_whenever_the_signal_comes() {
    let db = TestDatabase::new(Server::newest().await).await;
    let mut lost = Vec::new();
    for announce in ["0ms", "0ms", "0ms", "1s"] {
        lost.push(round(&db, announce).await);
    }
    assert_eq!(lost, [0; 4], "connections that lost a request, round by round");
}

#[tokio::test]
async fn while_the_stop_is_announced_idle_connections_still_answer_and_are_told() {
    let db = TestDatabase::new(Server::newest().await).await;
    let (url, owner) = (db.service_url(), db.owner_url());
    let variables = [
        ("PROGRESS_DATABASE_URL", url.as_str()),
        ("PROGRESS_DATABASE_MIGRATION_URL", owner.as_str()),
        ("PROGRESS_SHUTDOWN_ANNOUNCE", "1h"),
    ];
    let mut service = Service::start(&variables).await;
    let mut before = connected(&service).await;
    before.write_all(REQUEST).await.unwrap();
    assert!(!answer(&mut before).await.unwrap().contains("connection: close"));
    service.process.signal("TERM");
    service.process.says("draining").await;
    let mut after = connected(&service).await;
    patience::until("the announcement", async || {
        let mut probe = connected(&service).await;
        probe.write_all(REQUEST).await.unwrap();
        match answer(&mut probe).await {
            Some(answer) if answer.contains("connection: close") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    for stream in [&mut before, &mut after] {
        stream.write_all(REQUEST).await.unwrap();
        let told = answer(stream).await.expect("an answer");
        assert!(told.starts_with("http/1.1 200") && told.contains("\r\nconnection: close\r\n"), "{told}");
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), stream.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
    }
    service.process.signal("TERM");
    assert_eq!(service.process.ended().await.code(), Some(0));
}
