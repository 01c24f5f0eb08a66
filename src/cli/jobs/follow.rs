//! Watching a job: a bar on a terminal, a line of JSON for each change.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{get, print, words};
use crate::{
    app::{self, Database},
    config::Config,
    store::{Store, StoreError, platform::jobs::Job},
    worker::jobs::JobRunner,
};

/// A short job is over soon; a long one is looked at this often.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_millis(500);
/// How long a service beside has to take a job up: it looks twice a second.
const GRACE: Duration = Duration::from_secs(3);

/// Watches until the job is over.
pub(in crate::cli) async fn follow(store: &Store, id: Uuid, json: bool) -> anyhow::Result<Job> {
    let bar = ProgressBar::new(1).with_style(ProgressStyle::with_template("{bar:30} {msg} ({elapsed})")?);
    let (mut told, mut pause) = (None, FIRST_LOOK);
    loop {
        let job = get(store, id).await?;
        let now = (job.state, job.progress.clone());
        if told.as_ref() != Some(&now) {
            if json {
                print(&job, true);
            }
            draw(&bar, &job);
            told = Some(now);
        }
        if job.state.is_over() {
            bar.finish_and_clear();
            if !json {
                print(&job, false);
            }
            return Ok(job);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK);
    }
}

fn draw(bar: &ProgressBar, job: &Job) {
    let number = |name: &str| job.progress.get(name).and_then(Value::as_u64);
    bar.set_length(number("total").unwrap_or(1));
    bar.set_position(number("done").filter(|_| number("total").is_some()).unwrap_or(0));
    bar.set_message(format!("{}: {}", job.state.name(), words(job)));
}

/// Watches a job until it is over. A service beside takes it up within a moment; where none does, it is done here, and the
/// lease says who of the two was first. Interrupted, this process hands back what it has in hand.
pub(in crate::cli) async fn see_through(
    config: &Config,
    database: &Database,
    store: &Store,
    id: Uuid,
    json: bool,
) -> anyhow::Result<Job> {
    let (runner, stop) = (app::job_runner(config, database)?, CancellationToken::new());
    let here = do_here(&runner, id, &stop);
    tokio::pin!(here);
    tokio::select! {
        job = follow(store, id, json) => return job,
        done = &mut here => done?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            stop.cancel();
            here.await?;
        }
    }
    let job = get(store, id).await?;
    print(&job, json);
    Ok(job)
}

/// Takes the job up where nobody else does, until told to stop.
async fn do_here(runner: &JobRunner, id: Uuid, stop: &CancellationToken) -> Result<(), StoreError> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(GRACE) => {}
            () = stop.cancelled() => return Ok(()),
        }
        if let Some(taken) = runner.take(Some(id)).await? {
            eprintln!("no service took the job up: it is done here");
            runner.work(taken, stop).await;
        }
    }
}
