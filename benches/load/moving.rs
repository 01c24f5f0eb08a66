//! A tenant moves to another cell, back, and there again, while a client of it writes at a steady pace: how long its writers wait.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::StatusCode;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    archive::command,
    http::{Connection, Target},
    options::Options,
    place::Place,
    report::{Latencies, Report, heading},
    statements::Stock,
};

const TENANT: &str = "moved";
/// What the client writes in a second, in requests of so many.
const PACE: usize = 500;
const BATCH: usize = 10;
/// What is there before, in requests of so many.
const FILLED: usize = 100;
/// The address that a cell tells whoever comes to the other one.
const ONE: &str = "http://one.load.example";

pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut two = Place::start_with(&data.join("two"), &[("PROGRESS_RESIDENCY_CELL", "two")]).await?;
    let other = format!("two http://{} {}", two.target.address, two.service_url());
    let named = [
        ("PROGRESS_RESIDENCY_CELL", "one"),
        ("PROGRESS_RESIDENCY_ENDPOINT", ONE),
        ("PROGRESS_RESIDENCY_CELLS", other.as_str()),
    ];
    let one = Place::start_with(&data.join("one"), &named).await?;
    command(&one, &["residency", "join", "--cell", "two", "--apply"]).await?;
    // It has to know the keys that it was given, and where it was asked for.
    two.serve_at(two.target.address).await?;
    let made = command(&one, &["tenants", "create", TENANT, "--json"]).await?;
    let tenant: Uuid = text(made.first().context("no tenant")?, "id")?.parse()?;
    let target = Target { authorization: login(&one).await?, ..one.target.clone() };
    let filled = fill(&target, stock, options.moved).await?;
    let client = Client::start([target, Target { authorization: login(&one).await?, ..two.target.clone() }], stock);
    let id = planned(&one).await?;
    heading(
        &format!("A tenant of {filled} statements moves while {PACE} statements/s are written"),
        "                      seconds  frozen ms",
    );
    for act in ["start", "switch", "reverse"] {
        let begun = Instant::now();
        let done = command(&one, &["residency", act, &id, "--apply", "--json"]).await?;
        say(act, begun.elapsed(), &done, report);
    }
    let again = planned(&one).await?;
    for act in ["start", "switch"] {
        let begun = Instant::now();
        let done = command(&one, &["residency", act, &again, "--apply", "--json"]).await?;
        say(&format!("{act} again"), begun.elapsed(), &done, report);
    }
    let seen = client.end().await?;
    let kept = "SELECT count(*) FROM ledger.statements WHERE tenant_id = $1";
    let kept: i64 = two.superuser().await?.query_one(kept, &[&tenant]).await?.get(0);
    ensure!(usize::try_from(kept)? == filled + seen.written, "{} of {} are there", kept, filled + seen.written);
    println!(
        "{} were written meanwhile; 503 was answered {} times, 421 {} times; no request waited longer than {:.0} ms for its 200",
        seen.written,
        seen.later,
        seen.elsewhere,
        seen.longest.as_secs_f64() * 1e3
    );
    let latencies = Latencies::merge([seen.latencies]);
    report.add(
        "moving",
        "client",
        json!({"written": seen.written, "unavailable": seen.later, "elsewhere": seen.elsewhere,
        "longest_ms": seen.longest.as_secs_f64() * 1e3, "latency": latencies.json()}),
    );
    one.stop().await?;
    two.stop().await
}

fn say(act: &str, took: Duration, done: &[Value], report: &mut Report) {
    let frozen =
        done.iter().rev().find_map(|line| line.pointer("/outcome/frozenMs").or_else(|| line.get("frozenMs"))?.as_i64());
    let shown = frozen.map_or_else(String::new, |ms| ms.to_string());
    println!("{act:<20} {:>8.1} {shown:>10}", took.as_secs_f64());
    report.add("moving", act, json!({"seconds": took.as_secs_f64(), "frozen_ms": frozen}));
}

fn text<'a>(of: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    of[name].as_str().with_context(|| format!("no {name} in {of}"))
}

async fn login(place: &Place) -> anyhow::Result<hyper::header::HeaderValue> {
    let issued = command(place, &["credentials", "create", "--tenant", TENANT, "--scopes", "all", "--json"]).await?;
    let issued = issued.first().context("no credential")?;
    let pair = format!("{}:{}", text(issued, "apiKey")?, text(issued, "secret")?);
    Ok(format!("Basic {}", BASE64_STANDARD.encode(pair)).parse()?)
}

async fn planned(place: &Place) -> anyhow::Result<String> {
    let line = ["residency", "plan", "--tenant", TENANT, "--to", "two", "--apply", "--reason", "measured", "--json"];
    let noted = command(place, &line).await?;
    Ok(text(noted.last().context("no move")?, "move")?.to_owned())
}

async fn fill(target: &Target, stock: &Stock, statements: usize) -> anyhow::Result<usize> {
    let mut connection = Connection::open(target).await?;
    let mut rng = SmallRng::seed_from_u64(rand::random());
    let requests = statements.div_ceil(FILLED);
    for _ in 0..requests {
        connection.post("/xapi/statements", stock.body(FILLED, &mut rng)).await?;
    }
    Ok(requests * FILLED)
}

/// What the client saw.
#[derive(Default)]
struct Seen {
    written: usize,
    later: usize,
    elsewhere: usize,
    longest: Duration,
    latencies: Latencies,
}

/// Writes at its pace, sends again what was not taken, and goes where it is sent.
struct Client {
    stop: Arc<AtomicBool>,
    work: JoinHandle<anyhow::Result<Seen>>,
}

impl Client {
    fn start(cells: [Target; 2], stock: &Arc<Stock>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let work = tokio::spawn(write(cells, Arc::clone(stock), Arc::clone(&stop)));
        Self { stop, work }
    }

    async fn end(self) -> anyhow::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.work.await?
    }
}

async fn write(cells: [Target; 2], stock: Arc<Stock>, stop: Arc<AtomicBool>) -> anyhow::Result<Seen> {
    let mut connection = Connection::open(&cells[0]).await?;
    let (mut at, mut seen, mut rng) = (0, Seen::default(), SmallRng::seed_from_u64(rand::random()));
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        due += Duration::from_secs(1).mul_f64(BATCH as f64 / PACE as f64);
        tokio::time::sleep_until(due.into()).await;
        let body = stock.body(BATCH, &mut rng);
        let begun = Instant::now();
        loop {
            let (status, said) = connection.ask("/xapi/statements", body.clone()).await?;
            match status {
                StatusCode::OK => break,
                StatusCode::SERVICE_UNAVAILABLE => {
                    seen.later += 1;
                    // A little at random, as clients do that were all told the same.
                    tokio::time::sleep(Duration::from_millis(rng.random_range(50..100))).await;
                }
                StatusCode::MISDIRECTED_REQUEST => {
                    (seen.elsewhere, at) = (seen.elsewhere + 1, 1 - at);
                    connection = Connection::open(&cells[at]).await?;
                }
                status => bail!("the service said {status}: {}", String::from_utf8_lossy(&said)),
            }
        }
        seen.written += BATCH;
        seen.longest = seen.longest.max(begun.elapsed());
        seen.latencies.add(begun.elapsed());
    }
    Ok(seen)
}
