//! A proxy between the service and PostgreSQL that loses what belongs to every eighth COMMIT: the answer, the COMMIT
//! itself, or the connection while the server is still at it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::background;

/// COMMIT as a simple query: its letter, its length, its text.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// What the server says when it is done: the tag of a command.
const COMMITTED: &[u8] = b"COMMIT\0";

#[derive(Clone, Copy)]
enum Loss {
    /// The server commits, and nobody hears of it.
    Answer,
    /// The server never sees the COMMIT.
    Question,
    /// The connection ends while the server commits.
    Race,
}

#[derive(Default)]
struct State {
    loses: AtomicBool,
    commits: AtomicUsize,
    lost: AtomicUsize,
}

impl State {
    fn next(&self) -> Option<Loss> {
        if !self.loses.load(Ordering::SeqCst) {
            return None;
        }
        let loss = match self.commits.fetch_add(1, Ordering::SeqCst) % 24 {
            0 => Loss::Answer,
            8 => Loss::Question,
            16 => Loss::Race,
            _ => return None,
        };
        self.lost.fetch_add(1, Ordering::SeqCst);
        Some(loss)
    }
}

pub struct Proxy {
    port: u16,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// In front of the server that this URL names; loses nothing yet.
    pub async fn before(url: &str) -> Self {
        let url = url::Url::parse(url).expect("a URL");
        let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port").into_std().expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accepting = background::runtime().spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, state) = (server.clone(), Arc::clone(&shared));
                connections.spawn(async move { pass(client, &server, &state).await });
            }
        });
        Self { port, state, accepting }
    }

    /// The same URL through the proxy.
    pub fn url(&self, direct: &str) -> String {
        let mut url = url::Url::parse(direct).expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(self.port)).expect("a URL with a port");
        url.into()
    }

    pub fn lose(&self, loses: bool) {
        self.state.loses.store(loses, Ordering::SeqCst);
    }

    /// How many COMMITs were lost in one of the three ways.
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes bytes both ways until either side, or a loss, ends it.
async fn pass(mut client: TcpStream, server: &str, state: &State) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let sent = &up[..read?];
                if sent.is_empty() {
                    return Ok(());
                }
                let loss = if holds(sent, COMMIT) { state.next() } else { None };
                match loss {
                    None => server.write_all(sent).await?,
                    Some(Loss::Question) => return Ok(()),
                    Some(Loss::Race) => return server.write_all(sent).await,
                    Some(Loss::Answer) => {
                        server.write_all(sent).await?;
                        let mut answer = Vec::new();
                        while !holds(&answer, COMMITTED) && server.read_buf(&mut answer).await? > 0 {}
                        return Ok(());
                    }
                }
            }
            read = server.read(&mut down) => {
                let answered = &down[..read?];
                if answered.is_empty() {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
