//! Learners at work at a steady pace: from the answer to the statement that completes an attempt to the reader that has
//! the event of it, and how far the relay is behind.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::{
    broker::Broker,
    http::{Connection, Target},
    options::Options,
    place::Place,
    report::{Latencies, Report, heading},
    sessions::Sessions,
    standing::{Standing, until},
};

const COMPLETIONS: &str = "progress.completion.recorded.v1";
const LAG: &str = "progress_relay_lag_seconds{";
/// Statements in one request.
const BATCH: usize = 100;
/// More than are busy at once, so that a slow answer holds no request back.
const CALLERS: usize = 16;
const LOOK: Duration = Duration::from_millis(250);

/// The requests still to be sent, shared by the callers.
struct Plan {
    sessions: Mutex<Sessions>,
    next: AtomicUsize,
    requests: usize,
    begun: Instant,
    every: Duration,
}

pub async fn run(place: &Place, broker: &Broker, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let owner = place.superuser().await?;
    until(&owner, Standing::is_all_out).await?;
    let (watch, before) = (broker.watch(COMPLETIONS).await?, completions(&owner).await?);
    let stop = CancellationToken::new();
    let lag = tokio::spawn(sample(Connection::open(&place.target).await?, stop.clone()));
    let begun = Instant::now();
    let (answers, posts) = send(&place.target, options).await?;
    let rate = answers.len() as f64 / begun.elapsed().as_secs_f64();
    stop.cancel();
    let lags = lag.await??;
    until(&owner, Standing::is_all_out).await?;
    // What comes twice counts when it came first.
    let seen: HashMap<Uuid, Instant> = watch.end()?.into_iter().rev().collect();
    let made = completions(&owner).await? - before;
    if i64::try_from(seen.len())? != made {
        bail!("{made} completions were recorded and {} events came", seen.len());
    }
    let mut late = Latencies::default();
    for (cause, came) in &seen {
        let Some(answered) = answers.get(cause) else { bail!("nobody sent the statement {cause}") };
        late.add(came.saturating_duration_since(*answered));
    }
    let late = Latencies::merge([late]);
    let title = format!("{} statements/s for {} s, {} completions", options.rate, options.paced, late.len());
    heading(&title, "                               p50 ms    p95 ms    p99 ms");
    for (name, figures) in
        [("answer to a POST", &posts), ("answer to completion event", &late), ("lag by the metric", &lags)]
    {
        println!("{name:<27} {}", figures.columns());
        report.add("paced", name, figures.json());
    }
    println!("{rate:.0} statements/s were answered");
    report.add("paced", "run", json!({"per_second": rate, "completions": late.len()}));
    Ok(())
}

async fn completions(owner: &Client) -> anyhow::Result<i64> {
    Ok(owner.query_one("SELECT count(*) FROM progress.completion_records", &[]).await?.get(0))
}

/// Sends at its pace whatever the answers take; answers when each statement was accepted, and how long each POST took
/// from the moment it was due.
async fn send(target: &Target, options: &Options) -> anyhow::Result<(HashMap<Uuid, Instant>, Latencies)> {
    let plan = Arc::new(Plan {
        sessions: Mutex::new(Sessions::new((options.rate / 5).max(BATCH))),
        next: AtomicUsize::new(0),
        requests: options.rate * usize::try_from(options.paced)? / BATCH,
        begun: Instant::now(),
        every: Duration::from_secs(1).mul_f64(BATCH as f64 / options.rate.max(1) as f64),
    });
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(Connection::open(target).await?, Arc::clone(&plan)));
    }
    let (mut answers, mut posts) = (HashMap::new(), Vec::new());
    while let Some(done) = callers.join_next().await {
        let (accepted, latencies) = done??;
        answers.extend(accepted);
        posts.push(latencies);
    }
    Ok((answers, Latencies::merge(posts)))
}

type Accepted = Vec<(Uuid, Instant)>;

async fn call(mut connection: Connection, plan: Arc<Plan>) -> anyhow::Result<(Accepted, Latencies)> {
    let (mut accepted, mut latencies) = (Vec::new(), Latencies::default());
    loop {
        let number = plan.next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.requests {
            return Ok((accepted, latencies));
        }
        let due = plan.begun + plan.every.mul_f64(number as f64);
        tokio::time::sleep_until(due.into()).await;
        let body = plan.sessions.lock().unwrap_or_else(PoisonError::into_inner).body(BATCH);
        let answer = connection.post("/xapi/statements", body).await?;
        let now = Instant::now();
        latencies.add(now - due);
        let ids: Vec<Uuid> = serde_json::from_slice(&answer)?;
        accepted.extend(ids.into_iter().map(|id| (id, now)));
    }
}

/// The largest of the relay's lags, at every look.
async fn sample(mut connection: Connection, stop: CancellationToken) -> anyhow::Result<Latencies> {
    let mut lags = Latencies::default();
    while !stop.is_cancelled() {
        let metrics = connection.get("/metrics").await?;
        let text = String::from_utf8_lossy(&metrics);
        let values = text.lines().filter(|line| line.starts_with(LAG)).filter_map(|line| line.rsplit_once(' '));
        let largest = values.filter_map(|(_, value)| value.parse().ok()).fold(0.0, f64::max);
        lags.add(Duration::from_secs_f64(largest));
        tokio::time::sleep(LOOK).await;
    }
    Ok(Latencies::merge([lags]))
}
