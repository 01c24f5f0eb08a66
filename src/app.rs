//! The whole: builds doors and rooms from the configuration. The only file that knows everybody.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::Config,
    http::{Edge, Lifecycle, Phase, health, server},
    model::Ids,
    telemetry::Metrics,
};

/// Serves until a signal comes: the first drains, the second cuts.
pub async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut service = Service::start(config)?;
    service.edge.lifecycle.enter(Phase::Serving);
    // Scripts and tests wait for exactly this line.
    println!("listening on {}", service.running.url());
    tokio::select! {
        stopped = service.running.stopped() => return Ok(stopped?),
        () = signals.next() => tracing::info!("draining; a second signal stops at once"),
    }
    tokio::select! {
        () = service.running.drain() => {}
        () = signals.next() => service.running.cut().await,
    }
    Ok(())
}

/// A started service: its listener and what the listener shares with the rest.
pub struct Service {
    pub running: server::Running,
    pub edge: Edge,
}

impl Service {
    /// Builds all rooms and starts to answer; the data plane stays closed until the phase says otherwise.
    pub fn start(config: &Config) -> anyhow::Result<Self> {
        let edge = Edge::new(&config.http, Lifecycle::default(), Metrics::new()?, Ids::random());
        let health = health::routes(&edge, Arc::from([]), config.service.metrics);
        let routes = move |cfg: &mut ServiceConfig| {
            health(cfg);
        };
        let running = server::start(config, edge.clone(), routes)?;
        Ok(Self { running, edge })
    }
}

/// SIGTERM and SIGINT mean the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
