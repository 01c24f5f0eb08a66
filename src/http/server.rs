//! The listener: bind, serve, drain, stop.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    middleware::{NormalizePath, TrailingSlash, from_fn},
    web,
};
use socket2::{Domain, Socket, Type};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    Edge,
    api::{endpoint::nowhere, stamp},
    cors,
    guard::{self, Guard},
    tls, xapi,
};
use crate::config::Config;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen on {address}: {source}; PROGRESS_LISTEN chooses another address")]
    Bind { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("the listener stopped: {0}")]
    Stopped(String),
}

/// How long connections that are in use get, after the listener has closed, to send what they are about to send and to
/// hear in its answer that they end. What is idle after that is closed.
const PARTING: Duration = Duration::from_secs(1);

/// How many connections are open.
#[derive(Clone, Debug, Default)]
struct Connections(Arc<AtomicUsize>);

impl Connections {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn opened(&self) -> Connection {
        self.0.fetch_add(1, Ordering::Relaxed);
        Connection(self.clone())
    }
}

/// Counts as one for as long as it lives.
struct Connection(Connections);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A listener at work. Dropping it does not stop it; call [`Running::drain`] or [`Running::cut`].
#[derive(Debug)]
pub struct Running {
    /// The address in use: with port 0 asked for, the one that was free.
    pub address: SocketAddr,
    edge: Edge,
    connections: Connections,
    /// How long accepted requests may take once the listener closes.
    soft: Duration,
    scheme: &'static str,
    handle: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

/// Binds and starts to answer. Handlers run on the server's own threads; the caller's runtime only waits.
pub fn start<R>(config: &Config, edge: Edge, routes: R) -> Result<Running, ServerError>
where
    R: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let (inner, origins) = (edge.clone(), Arc::<[String]>::from(config.limits.cors_origins.clone()));
    let bases = xapi::stamp::Bases::new(&config.xapi.paths);
    let (connections, soft) = (Connections::default(), config.shutdown.soft);
    let counted = connections.clone();
    let server = HttpServer::new(move || {
        let lifecycle = inner.lifecycle.clone();
        let (edge, renamed) = (inner.clone(), Arc::<[stamp::Renamed]>::from(stamp::RENAMED));
        let asked = inner.metrics.http.old_names.clone();
        let (bases, guard, listed) = (bases.clone(), Guard::new(&origins, &bases), origins.clone());
        App::new()
            .wrap(from_fn(move |req, next| guard.clone().pass(req, next)))
            .wrap(from_fn(move |req, next| edge.clone().pass(req, next)))
            .wrap(from_fn(move |req, next| stamp::pass(renamed.clone(), asked.clone(), req, next)))
            .wrap(NormalizePath::new(TrailingSlash::Trim))
            .wrap(cors::middleware(&origins))
            .wrap(from_fn(move |req, next| cors::trust_listed(listed.clone(), req, next)))
            .wrap(from_fn(move |req, next| bases.clone().pass(req, next)))
            .wrap(from_fn(guard::keep_private))
            .wrap(from_fn(move |req, next| lifecycle.clone().pass(req, next)))
            .configure(routes.clone())
            .default_service(web::to(nowhere))
    })
    .keep_alive(config.http.keep_alive)
    .client_request_timeout(config.http.head_timeout)
    .max_connections(config.http.max_connections)
    .on_connect(move |_, data| {
        data.insert(counted.opened());
    })
    .shutdown_timeout(soft.as_secs())
    .disable_signals();
    let server = if config.http.workers > 0 { server.workers(config.http.workers) } else { server };

    let address = config.service.listen;
    let bind = |source| ServerError::Bind { address, source };
    let listener = listener(address, config.http.answer_timeout).map_err(bind)?;
    let (server, scheme) = match tls::Files::of(&config.tls) {
        Some(files) => (server.listen_rustls_0_23(listener, tls::server_config(files, config.tls.reload)?), "https"),
        None => (server.listen(listener), "http"),
    };
    let server = server.map_err(bind)?;
    let address = server.addrs().first().copied().ok_or_else(|| bind(io::ErrorKind::AddrNotAvailable.into()))?;
    let server = server.run();
    let handle = server.handle();
    Ok(Running { address, edge, connections, soft, scheme, handle, serving: tokio::spawn(server) })
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// The listening socket. Connections inherit its TCP_USER_TIMEOUT, which closes one whose peer acknowledges no data for so
/// long: actix would not notice, because it polls the body no further while the send buffer is full.
fn listener(address: SocketAddr, answer_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(answer_timeout))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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

    /// Soft stop: not ready from now on, and every answer ends its connection; no new connections after `announce`;
    /// accepted requests finish within the soft grace.
    pub async fn drain(&self, announce: Duration) {
        self.edge.lifecycle.drain();
        sleep(announce).await;
        self.handle.pause().await;
        self.part().await;
        self.handle.stop(true).await;
    }

    /// Waits until no idle keep-alive connection is left. Stopping closes those at once, and a request already on its way
    /// would get a connection reset; so each gets an answer with `Connection: close` first.
    async fn part(&self) {
        let until = Instant::now() + PARTING.min(self.soft);
        let at_work = || usize::try_from(self.edge.metrics.http.in_flight.get()).unwrap_or_default();
        while self.connections.count() > at_work() && Instant::now() < until {
            sleep(PARTING / 50).await;
        }
    }

    /// Hard stop: connections are closed where they stand.
    pub async fn cut(&self) {
        self.edge.lifecycle.drain();
        self.handle.stop(false).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use actix_web::{HttpResponse, http::Method};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::Notify,
    };

    use super::*;
    use crate::{
        config::{Environment, read},
        http::{HttpError, Lifecycle, Phase, health},
        model::Ids,
        telemetry::Metrics,
    };

    fn config(environment: &[(&str, &str)]) -> Config {
        let always = [("PROGRESS_LISTEN", "127.0.0.1:0"), ("PROGRESS_HTTP_WORKERS", "1")];
        let environment = Environment::of(always.iter().chain(environment).copied());
        read(&environment, Path::new("/nowhere")).unwrap().config
    }

    /// Blocks a request until the test releases it. Two semaphores (`Notify`): with one, a request that arrives before the
    /// test waits would consume its own notification and not block at all.
    #[derive(Default)]
    struct Gate {
        reached: Notify,
        opened: Notify,
    }

    /// A server with a route that swallows a body and one that waits to be let go.
    fn served(environment: &[(&str, &str)], gate: &Arc<Gate>) -> Running {
        let config = config(environment);
        let edge = Edge::new(&config.http, Lifecycle::default(), Metrics::new().unwrap(), Ids::random());
        let health = health::routes(&edge, Arc::from([]), true);
        let gate = gate.clone();
        start(&config, edge, move |cfg: &mut web::ServiceConfig| {
            health(cfg);
            let gate = gate.clone();
            cfg.route("/xapi/wait", web::get().to(move || wait(gate.clone())));
            cfg.route("/xapi/swallow", web::method(Method::POST).to(swallow));
        })
        .unwrap()
    }

    async fn wait(gate: Arc<Gate>) -> HttpResponse {
        gate.reached.notify_one();
        gate.opened.notified().await;
        HttpResponse::Ok().body("done")
    }

    async fn swallow(mut body: web::Payload) -> Result<HttpResponse, HttpError> {
        use futures_util::StreamExt;
        while let Some(chunk) = body.next().await {
            chunk.map_err(|e| HttpError::payload(&e, 0))?;
        }
        Ok(HttpResponse::NoContent().finish())
    }

    /// Sends raw bytes and reads until the server closes the connection.
    async fn exchange(running: &Running, sent: &str) -> String {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(running: &Running, path: &str, headers: &str) -> String {
        exchange(running, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")).await
    }

    #[tokio::test]
    async fn the_data_plane_waits_for_its_phase_and_health_does_not() {
        let running = served(&[], &Arc::default());
        assert!(get(&running, "/healthz", "").await.starts_with("HTTP/1.1 200"));
        let refused = get(&running, "/xapi/swallow", "").await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 5"), "{refused}");
        assert!(get(&running, "/readyz", "").await.starts_with("HTTP/1.1 503"));
        assert!(get(&running, "/api/v1/x", "").await.contains("application/problem+json"));
        running.edge.lifecycle.enter(Phase::Serving);
        assert!(get(&running, "/readyz/", "").await.starts_with("HTTP/1.1 200"));
        assert!(get(&running, "/api/v1/x", "").await.starts_with("HTTP/1.1 404"));
        running.cut().await;
    }

    #[tokio::test]
    async fn an_accepted_request_is_finished_and_new_ones_are_not_accepted() {
        let gate = Arc::new(Gate::default());
        let mut running = served(&[], &gate);
        running.edge.lifecycle.enter(Phase::Serving);
        let mut accepted = TcpStream::connect(running.address).await.unwrap();
        accepted.write_all(b"GET /xapi/wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        gate.reached.notified().await;
        let answer = async {
            while TcpStream::connect(running.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            gate.opened.notify_one();
            let mut answer = String::new();
            accepted.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let ((), answer) = tokio::join!(running.drain(Duration::ZERO), answer);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        running.stopped().await.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_cut_with_408() {
        let running = served(&[("PROGRESS_HTTP_BODY_TIMEOUT", "50ms")], &Arc::default());
        running.edge.lifecycle.enter(Phase::Serving);
        let head = "POST /xapi/swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx";
        let answer = exchange(&running, head).await;
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("connection: close"), "{answer}");
        running.cut().await;
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_cut() {
        let running = served(&[("PROGRESS_HTTP_HEAD_TIMEOUT", "50ms")], &Arc::default());
        let answer = exchange(&running, "GET /healthz HTTP/1.1\r\nHost:").await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        running.cut().await;
    }

    #[tokio::test]
    async fn large_headers_are_refused_with_431() {
        let running = served(&[("PROGRESS_HTTP_HEADER_BYTES", "1KiB")], &Arc::default());
        let answer = get(&running, "/healthz", &format!("X-Large: {}\r\n", "x".repeat(2_000))).await;
        assert!(answer.starts_with("HTTP/1.1 431") && answer.contains("1024"), "{answer}");
        running.cut().await;
    }

    #[tokio::test]
    async fn answers_of_xapi_say_their_version_wherever_they_come_from() {
        let running = served(
            &[("PROGRESS_HTTP_HEADER_BYTES", "1KiB"), ("PROGRESS_LIMITS_CORS_ORIGINS", "http://lms.example")],
            &Arc::default(),
        );
        let large = format!("X-Large: {}\r\n", "x".repeat(2_000));
        for (path, headers, status, version) in [
            ("/xapi/statements", "", "503", "1.0.3"),
            ("/xapi/statements", "X-Experience-API-Version: 2.0.0\r\n", "503", "2.0.0"),
            ("/xapi/v2/statements", "", "503", "2.0.0"),
            ("/xapi/statements", large.as_str(), "431", "1.0.3"),
        ] {
            let answer = get(&running, path, headers).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            assert!(answer.contains(&format!("\nx-experience-api-version: {version}\r\n")), "{path}: {answer}");
        }
        let preflight = "OPTIONS /xapi/statements HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                         Origin: http://lms.example\r\nAccess-Control-Request-Method: POST\r\n\r\n";
        let answer = exchange(&running, preflight).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\nx-experience-api-version: 1.0.3"), "{answer}");
        assert!(!get(&running, "/healthz", "").await.contains("\nx-experience-api-version:"));
        running.cut().await;
    }

    #[tokio::test]
    async fn a_request_keeps_its_id_and_gets_one() {
        let running = served(&[], &Arc::default());
        let answer = get(&running, "/healthz", "X-Request-Id: mine-1\r\n").await;
        assert!(answer.contains("x-request-id: mine-1\r\n"), "{answer}");
        let answer = get(&running, "/healthz", "X-Request-Id: not mine\r\n").await;
        assert!(answer.contains("x-request-id: ") && !answer.contains("not mine"), "{answer}");
        running.cut().await;
    }
}
