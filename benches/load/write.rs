//! Statements sent as fast as they are taken: singles and batches, each caller waiting for its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::header::HeaderValue;
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::{
    dearest, disk,
    http::Connection,
    options::Options,
    place::Place,
    process,
    report::{Latencies, Report, cpu_each, heading},
    standing::{self, Standing},
    statements::{Part, Stock},
};

pub struct Scenario {
    pub batch: usize,
    pub concurrency: usize,
    /// The long one shows whether the service slows down as the ledger grows.
    pub long: bool,
}

/// The long one is the last: what is said after them is said of it.
const SCENARIOS: [Scenario; 7] = [
    Scenario { batch: 1, concurrency: 1, long: false },
    Scenario { batch: 1, concurrency: 16, long: false },
    Scenario { batch: 1, concurrency: 64, long: false },
    Scenario { batch: 50, concurrency: 4, long: false },
    Scenario { batch: 50, concurrency: 8, long: false },
    Scenario { batch: 100, concurrency: 4, long: false },
    Scenario { batch: 100, concurrency: 8, long: true },
];

impl Scenario {
    pub fn name(&self) -> String {
        format!("batch_{}_at_{}", self.batch, self.concurrency)
    }
}

/// Of a line that [`measure`] prints.
pub const COLUMNS: &str = "batch conc  statements/s   p50 ms    p95 ms    p99 ms | CPU us/statement: service database client | \
                           WAL B | RSS MiB now, most | last/first";

/// Runs all scenarios, then says what of them has not gone out as events, what the long one asked of the database, and
/// what a statement takes on the disk.
pub async fn run(place: &Place, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    warm_up(place, stock).await?;
    let owner = place.superuser().await?;
    table(&format!("POST /statements, {} bytes each", stock.mean_bytes()));
    for scenario in &SCENARIOS {
        if scenario.long {
            dearest::reset(&owner).await?;
        }
        let seconds = if scenario.long { options.long } else { options.seconds };
        let figures = measure(place, stock, scenario, seconds).await?;
        report.add("write", &scenario.name(), figures);
    }
    if place.sends {
        report.add("write", "unsent", standing::unsent(&owner).await?);
    }
    dearest::print(&owner, "the long run of batches of 100 by 8").await?;
    // What the projections have not read yet takes no room in them.
    standing::until(&owner, Standing::is_projected).await?;
    disk::run(&owner, report).await
}

/// What a statement costs where many are already: to be compared with a ledger of another size.
pub async fn into_filled(
    place: &Place,
    stock: &Arc<Stock>,
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    warm_up(place, stock).await?;
    table(&format!("POST /statements, into a ledger of {} statements", options.statements));
    let section = format!("write into {}", options.statements);
    let scenario = Scenario { batch: 100, concurrency: 8, long: false };
    let figures = measure(place, stock, &scenario, options.seconds).await?;
    report.add(&section, &scenario.name(), figures);
    Ok(())
}

fn table(title: &str) {
    heading(title, COLUMNS);
}

/// Lets the service meet the activities, learners and verbs, so that the first scenario is like the others.
pub async fn warm_up(place: &Place, stock: &Stock) -> anyhow::Result<()> {
    let mut connection = Connection::open(&place.target).await?;
    // Not a fixed seed: the ids may be in the ledger already, and then nothing would be stored.
    let mut rng = SmallRng::seed_from_u64(rand::random());
    for _ in 0..100 {
        connection.post("/xapi/statements", stock.body(50, &mut rng)).await?;
    }
    Ok(())
}

/// What one worker saw.
#[derive(Default)]
struct Seen {
    latencies: Latencies,
    /// Statements answered in each second.
    seconds: Vec<u64>,
}

/// Whom a worker speaks for: one after the other, from its own on in steps of so many.
struct Voices {
    all: Arc<[HeaderValue]>,
    next: usize,
    step: usize,
}

async fn worker(
    mut connection: Connection,
    mut voices: Voices,
    stock: Arc<Stock>,
    batch: usize,
    (begun, length): (Instant, Duration),
) -> anyhow::Result<Seen> {
    // Not a fixed seed: what a second run sends must have ids of its own.
    let mut rng = SmallRng::seed_from_u64(rand::random());
    let mut seen = Seen::default();
    while begun.elapsed() < length {
        let index = voices.next % voices.all.len();
        let body = stock.body_of(Part { index, of: voices.all.len() }, batch, &mut rng);
        connection.speak_as(&voices.all[index]);
        voices.next += voices.step;
        let sent = Instant::now();
        connection.post("/xapi/statements", body).await?;
        seen.latencies.add(sent.elapsed());
        let second = usize::try_from(begun.elapsed().as_secs())?;
        if seen.seconds.len() <= second {
            seen.seconds.resize(second + 1, 0);
        }
        seen.seconds[second] += batch as u64;
    }
    Ok(seen)
}

/// Runs one scenario, prints its line and answers its figures.
pub async fn measure(place: &Place, stock: &Arc<Stock>, scenario: &Scenario, seconds: u64) -> anyhow::Result<Value> {
    measure_as(std::slice::from_ref(&place.target.authorization), place, stock, scenario, seconds).await
}

/// The same, where the callers speak for these in turn, each of whom has a part of the learners.
pub async fn measure_as(
    voices: &[HeaderValue],
    place: &Place,
    stock: &Arc<Stock>,
    scenario: &Scenario,
    seconds: u64,
) -> anyhow::Result<Value> {
    let all: Arc<[HeaderValue]> = voices.into();
    let owner = place.superuser().await?;
    let (cpu, wal) = (place.cpu(), wal_bytes(&owner).await?);
    let (begun, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut workers = JoinSet::new();
    for next in 0..scenario.concurrency {
        let connection = Connection::open(&place.target).await?;
        let voices = Voices { all: Arc::clone(&all), next, step: scenario.concurrency };
        workers.spawn(worker(connection, voices, Arc::clone(stock), scenario.batch, (begun, length)));
    }
    let mut all = Vec::new();
    while let Some(seen) = workers.join_next().await {
        all.push(seen??);
    }
    let took = begun.elapsed().as_secs_f64();
    let (cpu, wal) = (place.cpu().since(cpu), wal_bytes(&owner).await? - wal);
    let memory = process::memory_mib(place.service_process());
    let per_second = total_per_second(&all, seconds);
    let latencies = Latencies::merge(all.into_iter().map(|seen| seen.latencies));
    let statements = (latencies.len() * scenario.batch) as u64;
    let rate = statements as f64 / took;
    let (first, last) = first_and_last(&per_second);
    let decay = last / first.max(1.0);
    let wal_each = wal / statements.max(1) as f64;
    let (cpu_text, cpu_json) = cpu_each(cpu, statements);
    println!(
        "{:>5} {:>4} {rate:>13.0} {} | {cpu_text} | {wal_each:>6.0} | {:>6.0} {:>6.0} | {decay:>5.2}",
        scenario.batch,
        scenario.concurrency,
        latencies.columns(),
        memory.0,
        memory.1,
    );
    Ok(
        json!({"per_second": rate, "seconds": took, "latency": latencies.json(), "cpu_each": cpu_json, "wal_bytes_each": wal_each,
        "rss_mib": memory.0, "rss_most_mib": memory.1, "last_per_second": last, "last_over_first": decay}),
    )
}

fn total_per_second(all: &[Seen], seconds: u64) -> Vec<u64> {
    let at = |second: usize| all.iter().filter_map(|seen| seen.seconds.get(second)).sum();
    (0..usize::try_from(seconds).unwrap_or_default()).map(at).collect()
}

/// Statements a second in the first minute and in the last; of a shorter run, in its first and its last third.
fn first_and_last(per_second: &[u64]) -> (f64, f64) {
    let window = (per_second.len() / 3).clamp(1, 60);
    let first: u64 = per_second.iter().take(window).sum();
    let last: u64 = per_second.iter().rev().take(window).sum();
    (first as f64 / window as f64, last as f64 / window as f64)
}

pub async fn wal_bytes(owner: &Client) -> anyhow::Result<f64> {
    let row = owner.query_one("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8", &[]).await?;
    Ok(row.get(0))
}
