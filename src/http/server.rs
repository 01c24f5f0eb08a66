//! The listener: bind, serve, drain, stop.

use std::{io, net::SocketAddr};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    middleware::{NormalizePath, TrailingSlash, from_fn},
    web,
};
use tokio::task::JoinHandle;

use super::{Edge, HttpError, Phase, tls};
use crate::config::Config;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("the listener stopped: {0}")]
    Stopped(String),
}

/// A listener at work. Dropping it does not stop it; call [`Running::drain`] or [`Running::cut`].
#[derive(Debug)]
pub struct Running {
    /// The address in use: with port 0 asked for, the one that was free.
    pub address: SocketAddr,
    edge: Edge,
    scheme: &'static str,
    handle: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

/// Binds and starts to answer. Handlers run on the server's own threads; the caller's runtime only waits.
pub fn start<R>(config: &Config, edge: Edge, routes: R) -> Result<Running, ServerError>
where
    R: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let inner = edge.clone();
    let server = HttpServer::new(move || {
        let edge = inner.clone();
        App::new()
            .wrap(from_fn(move |req, next| edge.clone().pass(req, next)))
            .wrap(NormalizePath::new(TrailingSlash::Trim))
            .configure(routes.clone())
            .default_service(web::to(|| async { Err::<&str, _>(HttpError::NotFound("no such resource".to_owned())) }))
    })
    .keep_alive(config.http.keep_alive)
    .client_request_timeout(config.http.head_timeout)
    .max_connections(config.http.max_connections)
    .shutdown_timeout(config.shutdown.soft.as_secs())
    .disable_signals();
    let server = if config.http.workers > 0 { server.workers(config.http.workers) } else { server };

    let address = config.service.listen;
    let bind = |source| ServerError::Bind { address, source };
    let (server, scheme) = match tls::Files::of(&config.tls) {
        Some(files) => (server.bind_rustls_0_23(address, tls::server_config(files, config.tls.reload)?), "https"),
        None => (server.bind(address), "http"),
    };
    let server = server.map_err(bind)?;
    let address = server.addrs().first().copied().ok_or_else(|| bind(io::ErrorKind::AddrNotAvailable.into()))?;
    let server = server.run();
    let handle = server.handle();
    Ok(Running { address, edge, scheme, handle, serving: tokio::spawn(server) })
}

impl Running {
    /// The base URL, as printed at the start.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Waits until the listener has stopped, by request or by fault.
    pub async fn stopped(&mut self) -> Result<(), ServerError> {
        match (&mut self.serving).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ServerError::Stopped(error.to_string())),
            Err(error) => Err(ServerError::Stopped(error.to_string())),
        }
    }

    /// Soft stop: not ready from now on, no new connections, accepted requests finish within the soft grace.
    pub async fn drain(&self) {
        self.edge.lifecycle.enter(Phase::Draining);
        self.handle.stop(true).await;
    }

    /// Hard stop: connections are closed where they stand.
    pub async fn cut(&self) {
        self.edge.lifecycle.enter(Phase::Draining);
        self.handle.stop(false).await;
    }
}
