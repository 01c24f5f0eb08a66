//! Watches the server for as long as the service lives: one that dies is started again, on the same address.

use std::time::Duration;

use tokio::{sync::oneshot, task::JoinHandle, time::timeout};
use tracing::{error, info};

use super::{
    error::EmbeddedError,
    lock::FolderLock,
    server::{Plan, Server, tail},
};

/// The watching task. Dropping it stops the server too, as far as the runtime still turns.
#[derive(Debug)]
pub(super) struct Supervisor {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), EmbeddedError>>,
}

impl Supervisor {
    /// Takes over a running server; `lock` is held until it has stopped.
    pub fn watch(plan: Plan, server: Server, lock: FolderLock) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let result = run(&plan, server, stopped).await;
            drop(lock);
            result
        });
        Self { stop, task }
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        drop(self.stop);
        match self.task.await {
            Ok(result) => result,
            // the task ends early only when the runtime itself is being torn down
            Err(_) => Ok(()),
        }
    }
}

async fn run(plan: &Plan, mut server: Server, mut stop: oneshot::Receiver<()>) -> Result<(), EmbeddedError> {
    loop {
        tokio::select! {
            _ = &mut stop => return server.stop(&plan.home.cluster()).await,
            status = server.ended() => {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                error!(status, log = %plan.home.log().display(), "PostgreSQL died, starting it again:\n{}", tail(&plan.home.log()));
            }
        }
        match start_again(plan, &mut stop).await {
            Some(started) => server = started,
            None => return Ok(()),
        }
    }
}

/// Tries until it succeeds, ever more slowly, or until the service stops.
async fn start_again(plan: &Plan, stop: &mut oneshot::Receiver<()>) -> Option<Server> {
    let mut pause = Duration::from_millis(250);
    loop {
        // not raced against the stop: a half-started server must be stopped properly first, and it is by its own error
        match Server::start(plan).await {
            Ok(server) => {
                info!("PostgreSQL runs again");
                return Some(server);
            }
            Err(error) => error!(%error, seconds = pause.as_secs(), "PostgreSQL does not start, trying again"),
        }
        if timeout(pause, &mut *stop).await.is_ok() {
            return None;
        }
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}
