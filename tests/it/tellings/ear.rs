//! Somebody who is told of rollouts over HTTP: hears, and answers as a test wants it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::support::background;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Answers(u16),
    /// Answers with a redirect to this address.
    Points(String),
    /// Every connection is cut, also those that are open.
    Away,
    /// Whoever asked waits, until this is over: then it is answered as it is by then.
    Silent,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn what(&self) -> String {
        self.json()["data"]["what"].as_str().unwrap().to_owned()
    }

    /// Whether it is signed with this secret, as a receiver that knows nothing of us looks.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let Some(signature) = self.headers.get("webhook-signature").and_then(|all| all.strip_prefix("v1,")) else {
            return false;
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
        let signed = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        hmac::verify(&key, signed.as_bytes(), &STANDARD.decode(signature).unwrap()).is_ok()
    }
}

#[derive(Clone, Default)]
struct Kept {
    tried: Arc<Mutex<Vec<Request>>>,
    heard: Arc<Mutex<Vec<Request>>>,
}

pub struct Ear {
    pub url: String,
    mode: watch::Sender<Mode>,
    kept: Kept,
}

impl Ear {
    pub async fn open() -> Self {
        let (mode, modes) = watch::channel(Mode::Answers(204));
        let kept = Kept::default();
        let (hearing, listener) = (kept.clone(), background::runtime().spawn(TcpListener::bind("127.0.0.1:0")));
        let listener = listener.await.unwrap().unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        background::runtime().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, modes.clone(), hearing.clone()));
            }
        });
        Self { url, mode, kept }
    }

    pub fn is(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// What was asked, however it was answered.
    pub fn tried(&self) -> Vec<Request> {
        self.kept.tried.lock().unwrap().clone()
    }

    /// What was answered with 2xx.
    pub fn heard(&self) -> Vec<Request> {
        self.kept.heard.lock().unwrap().clone()
    }

    /// The same without what it has already, as a receiver looks that minds ids.
    pub fn words_once(&self) -> Vec<String> {
        let (mut known, mut heard) = (HashSet::new(), self.heard());
        heard.retain(|request| known.insert(request.id().to_owned()));
        heard.iter().map(Request::what).collect()
    }

    /// What it heard, in a word each.
    pub fn words(&self) -> Vec<String> {
        self.heard().iter().map(Request::what).collect()
    }
}

async fn serve(mut client: TcpStream, mut modes: watch::Receiver<Mode>, kept: Kept) {
    if *modes.borrow_and_update() == Mode::Away {
        return;
    }
    let Some(request) = read(&mut client).await else { return };
    kept.tried.lock().unwrap().push(request.clone());
    while *modes.borrow_and_update() == Mode::Silent {
        if modes.changed().await.is_err() {
            return;
        }
    }
    let mode = modes.borrow().clone();
    let (status, place) = match mode {
        Mode::Answers(status) => (status, String::new()),
        Mode::Points(place) => (307, format!("Location: {place}\r\n")),
        Mode::Away | Mode::Silent => return,
    };
    if status < 300 {
        kept.heard.lock().unwrap().push(request);
    }
    let answer = format!("HTTP/1.1 {status} As it is\r\n{place}Content-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(answer.as_bytes()).await.ok();
}

async fn read(client: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16_384]);
    loop {
        if let Some(request) = whole(&bytes) {
            return Some(request);
        }
        match client.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Request> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() == length).then(|| Request { headers, body: body.to_owned() })
}
