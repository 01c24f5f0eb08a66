//! `serve`: the service itself, in the foreground, until a signal comes.

use std::{process::ExitCode, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::supervisor::Supervisor;
use crate::{
    app::Service,
    config::{Config, supervised},
    identity::Issued,
    model::{Clock, Ids},
};

pub fn run() -> anyhow::Result<ExitCode> {
    let loaded = super::begin()?;
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(serve(&loaded.config));
    // A task that did not end by now must not hold the process: by design its work is safe to cut.
    runtime.shutdown_timeout(LAST);
    outcome.map(|()| ExitCode::SUCCESS)
}

/// How long tasks may take to notice that the process ends.
const LAST: Duration = Duration::from_millis(200);

/// The first signal drains, the second cuts.
async fn serve(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let supervisor = Supervisor::new(&supervised());
    let started = Box::pin(Service::start_unless(config, Clock::system(), Ids::random(), signals.next())).await?;
    let Some(mut service) = started else { return Ok(()) };
    let url = service.running.url();
    // Scripts and tests wait for exactly this line.
    say!("listening on {url}");
    // Before anything else: a queue that is full of signs of life would have no room for it.
    supervisor.say("READY=1");
    supervisor.keep_alive();
    if let Some(issued) = service.first_credential.take() {
        super::print::text(&welcome(&url, config, &issued));
    }
    tokio::select! {
        stopped = service.running.stopped() => {
            service.stop(config).await;
            return Ok(stopped?);
        }
        () = signals.next() => tracing::info!("draining; a second signal stops at once"),
    }
    supervisor.say("STOPPING=1");
    tokio::select! {
        () = service.drain(config) => {}
        // What is still open ends with the process.
        () = signals.next() => tracing::warn!("stopping at once"),
    }
    service.close().await;
    Ok(())
}

/// What a person needs on the first day. The secret is stored hashed, so this is the only time it is seen.
fn welcome(url: &str, config: &Config, issued: &Issued) -> String {
    let path = config.xapi.paths.first().map_or("/xapi", String::as_str);
    let (key, secret) = (&issued.credential.api_key, issued.secret.expose());
    let statement = r#"{"actor":{"mbox":"mailto:you@example.com"},"verb":{"id":"http://adlnet.gov/expapi/verbs/experienced"},"object":{"id":"http://example.com/first"}}"#;
    format!(
        "\n  endpoint  {url}{path}\n  key       {key}\n  secret    {secret}   (shown once, stored hashed)\n  \
         header    Authorization: Basic {}\n\nTry it:\n\n  curl -u {key}:{secret} -H 'X-Experience-API-Version: 1.0.3' \
         -H 'Content-Type: application/json' {url}{path}/statements -d '{statement}'\n\n",
        BASE64_STANDARD.encode(format!("{key}:{secret}"))
    )
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
