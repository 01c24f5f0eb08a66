//! Statements sent as fast as they are taken: singles and batches, each caller waiting for its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::{
    http::Connection,
    options::Options,
    place::Place,
    process,
    report::{Latencies, Report, cpu_each, heading},
    statements::Stock,
};

pub struct Scenario {
    pub batch: usize,
    pub concurrency: usize,
    /// The long one shows whether the service slows down as the ledger grows.
    pub long: bool,
}

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
    fn name(&self) -> String {
        format!("batch_{}_at_{}", self.batch, self.concurrency)
    }
}

/// Of a line that [`measure`] prints.
pub const COLUMNS: &str = "batch conc  statements/s   p50 ms    p95 ms    p99 ms | CPU us/statement: service database client | \
                           WAL B | RSS MiB now, most | last/first";

/// Runs all scenarios, then says what a statement costs on the disk.
pub async fn run(place: &Place, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    warm_up(place, stock).await?;
    table(&format!("POST /statements, {} bytes each", stock.mean_bytes()));
    for scenario in &SCENARIOS {
        let seconds = if scenario.long { options.long } else { options.seconds };
        let figures = measure(place, stock, scenario, seconds).await?;
        report.add("write", &scenario.name(), figures);
    }
    let owner = place.owner().await?;
    dearest(&owner).await?;
    sizes(&owner, report).await
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

/// Where the database's time went since the last time this was asked, if it keeps count.
pub async fn dearest(owner: &Client) -> anyhow::Result<()> {
    if owner.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.is_err() {
        return Ok(());
    }
    let rows = owner
        .query(
            r"SELECT calls, total_exec_time / greatest(sum(total_exec_time) OVER (), 1e-9) * 100 AS share,
                     total_exec_time * 1000 / calls AS us_each, rows::float8 / calls AS rows_each,
                     left(regexp_replace(query, '\s+', ' ', 'g'), 70) AS query
              FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 15",
            &[],
        )
        .await?;
    heading("Where the database's time went", "share %     calls    us each  rows each  statement");
    for row in &rows {
        let (calls, query): (i64, String) = (row.get("calls"), row.get("query"));
        let (share, each, lines): (f64, f64, f64) = (row.get("share"), row.get("us_each"), row.get("rows_each"));
        println!("{share:>7.1} {calls:>9} {each:>10.1} {lines:>10.1}  {query}");
    }
    owner.batch_execute("SELECT pg_stat_statements_reset()").await?;
    Ok(())
}

/// Lets the service meet the activities, learners and verbs, so that the first scenario is like the others.
async fn warm_up(place: &Place, stock: &Stock) -> anyhow::Result<()> {
    let mut connection = Connection::open(&place.target).await?;
    let mut rng = SmallRng::seed_from_u64(1);
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

async fn worker(
    mut connection: Connection,
    stock: Arc<Stock>,
    batch: usize,
    begun: Instant,
    length: Duration,
    seed: u64,
) -> anyhow::Result<Seen> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut seen = Seen::default();
    while begun.elapsed() < length {
        let body = stock.body(batch, &mut rng);
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
    let owner = place.owner().await?;
    let (cpu, wal) = (place.cpu(), wal_bytes(&owner).await?);
    let (begun, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut workers = JoinSet::new();
    for _ in 0..scenario.concurrency {
        let connection = Connection::open(&place.target).await?;
        // Not a fixed seed: what a second run sends must have ids of its own.
        workers.spawn(worker(connection, Arc::clone(stock), scenario.batch, begun, length, rand::random()));
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
    let decay = last_over_first(&per_second);
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
        "rss_mib": memory.0, "rss_most_mib": memory.1, "last_over_first": decay}),
    )
}

fn total_per_second(all: &[Seen], seconds: u64) -> Vec<u64> {
    let at = |second: usize| all.iter().filter_map(|seen| seen.seconds.get(second)).sum();
    (0..usize::try_from(seconds).unwrap_or_default()).map(at).collect()
}

/// The last minute's speed by the first's; of a shorter run, its last and first third.
fn last_over_first(per_second: &[u64]) -> f64 {
    let window = (per_second.len() / 3).min(60);
    let first: u64 = per_second.iter().take(window).sum();
    let last: u64 = per_second.iter().rev().take(window).sum();
    last as f64 / first.max(1) as f64
}

pub async fn wal_bytes(owner: &Client) -> anyhow::Result<f64> {
    let row = owner.query_one("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8", &[]).await?;
    Ok(row.get(0))
}

/// Bytes of each table, index and TOAST table for one statement; the months of a table are taken together.
async fn sizes(owner: &Client, report: &mut Report) -> anyhow::Result<()> {
    let statements: i64 = owner.query_one("SELECT count(*) FROM ledger.statement_ids", &[]).await?.get(0);
    let rows = owner
        .query(
            r"WITH part AS (
                  SELECT c.oid, c.relname::text AS name, CASE c.relkind WHEN 'i' THEN 'index' ELSE 'table' END AS kind
                  FROM pg_class c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'i')
                  UNION ALL
                  SELECT c.reltoastrelid, c.relname::text, 'toast' FROM pg_class c
                  WHERE c.relnamespace = 'ledger'::regnamespace AND c.reltoastrelid <> 0)
              SELECT regexp_replace(name, '_\d{4}_\d\d', '') AS name, kind, sum(pg_relation_size(oid))::float8 AS bytes
              FROM part GROUP BY 1, 2 HAVING sum(pg_relation_size(oid)) > 0 ORDER BY 3 DESC",
            &[],
        )
        .await?;
    heading(&format!("On the disk after {statements} statements"), "bytes/statement  kind   name");
    let mut total = 0.0;
    for row in &rows {
        let (name, kind, bytes): (String, String, f64) = (row.get(0), row.get(1), row.get(2));
        let each = bytes / statements.max(1) as f64;
        total += each;
        if each >= 0.5 {
            println!("{each:>15.0}  {kind:<5}  {name}");
            report.add("disk", &format!("{kind} {name}"), json!(each));
        }
    }
    println!("{total:>15.0}  total");
    report.add("disk", "total", json!(total));
    report.add("disk", "statements", json!(statements));
    Ok(())
}
