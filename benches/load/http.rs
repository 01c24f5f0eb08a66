//! The client: one connection kept alive for each worker, nothing done twice that can be done once.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::HeaderValue,
    http::request::Builder,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Whom to talk to, and as whom.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub authorization: HeaderValue,
}

/// One connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
    host: HeaderValue,
}

impl Connection {
    pub async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.address).await.context("the service does not answer")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, target: target.clone(), host: target.address.to_string().parse()? })
    }

    /// Speaks for another credential from now on.
    pub fn speak_as(&mut self, authorization: &HeaderValue) {
        self.target.authorization = authorization.clone();
    }

    pub async fn post(&mut self, path: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        let request = Request::post(path).header("Content-Type", "application/json");
        self.send(request, Full::new(Bytes::from(body))).await
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        self.send(Request::get(path), Full::default()).await
    }

    /// Posts, and answers whatever the service says; over a new connection where this one was closed after its last answer.
    pub async fn ask(&mut self, path: &str, body: Vec<u8>) -> anyhow::Result<(StatusCode, Bytes)> {
        if self.sender.ready().await.is_err() {
            *self = Self::open(&self.target).await?;
        }
        let request = Request::post(path).header("Content-Type", "application/json");
        self.answer(request, Full::new(Bytes::from(body))).await
    }

    /// Fails on anything but 200: a load that is refused measures nothing.
    async fn send(&mut self, request: Builder, body: Full<Bytes>) -> anyhow::Result<Bytes> {
        let (status, body) = self.answer(request, body).await?;
        if status != StatusCode::OK {
            bail!("the service said {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    async fn answer(&mut self, request: Builder, body: Full<Bytes>) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = request
            .header("Host", self.host.clone())
            .header("Authorization", self.target.authorization.clone())
            .header("X-Experience-API-Version", "1.0.3")
            .body(body)?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
