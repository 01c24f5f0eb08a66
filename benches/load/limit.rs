//! What PostgreSQL itself can do on this machine, while the service is stopped: the same rows copied into empty tables of
//! the same shape with the same indexes and into the ledger as it stands, the service's own statements for a write, and
//! rows inserted and committed one at a time. Each measurement begins right after a checkpoint: all of them log each old
//! page whole when they first change it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    append,
    options::Options,
    place::Place,
    report::{Latencies, Report, heading},
    rows::{self, Chunk},
    statements::Stock,
};

/// Statements in one COPY transaction.
const CHUNK: usize = 2_000;

pub async fn run(place: &Place, stock: &Stock, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    heading(
        "PostgreSQL alone: COPY into the same tables and indexes",
        "sessions  statements/s  batches of 100 reach: mean  last minute",
    );
    for sessions in [1, 2] {
        let all = chunks(stock, options.copied, DateTime::UNIX_EPOCH, sessions)?;
        make_tables(&place.superuser().await?).await?;
        let rate = copy(place, "bare", all, sessions).await?;
        compared(report, &format!("copy_{sessions}"), sessions, rate);
    }
    let owner = place.superuser().await?;
    let row = owner.query_one("SELECT count(*), date_trunc('month', max(stored)) FROM ledger.statements", &[]).await?;
    // The ledger's own rows of this month are later than its first minute, and nobody reads the ledger again.
    if let (statements, Some(month)) = (row.get::<_, i64>(0), row.get::<_, Option<DateTime<Utc>>>(1)) {
        println!("\nthe same into the ledger of {statements} statements");
        for sessions in [1, 2] {
            let all = chunks(stock, options.copied, month, 2 + sessions)?;
            checkpoint(&owner).await?;
            let rate = copy(place, "ledger", all, sessions).await?;
            compared(report, &format!("copy_into_ledger_{sessions}"), sessions, rate);
        }
    }
    heading("PostgreSQL alone: what the service asks of it for a write", "sessions  statements/s");
    let store = place.store()?;
    for sessions in [1, 2] {
        let groups = append::groups(stock, options.copied, 20 + sessions as u64)?;
        checkpoint(&owner).await?;
        let rate = append::run(&store, &groups, sessions).await?;
        println!("{sessions:>8} {rate:>13.0}");
        report.add("limit", &format!("append_{sessions}"), json!({"per_second": rate}));
    }
    store.close();
    heading("PostgreSQL alone: one row, one commit", "sessions     commits/s    p50 ms    p95 ms    p99 ms");
    for sessions in [1, 2] {
        let (rate, latencies) = commits(place, sessions, Duration::from_secs(options.seconds.div_ceil(3))).await?;
        println!("{sessions:>8} {rate:>13.0} {}", latencies.columns());
        let figures = json!({"per_second": rate, "latency": latencies.json()});
        report.add("limit", &format!("commit_{sessions}"), figures);
    }
    ratio_of_single(report);
    Ok(())
}

/// Prints a rate, and what batches of 100 reach of it: the best of their means, and the last minute of the long run,
/// when the ledger was as large as it is now.
fn compared(report: &mut Report, name: &str, sessions: usize, rate: f64) {
    let means = ["batch_100_at_4", "batch_100_at_8"].map(|scenario| report.number("write", scenario, "per_second"));
    let mean = means.into_iter().flatten().reduce(f64::max).map(|best| best / rate);
    let last = report.number("write", "batch_100_at_8", "last_per_second").map(|last| last / rate);
    let text = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    println!("{sessions:>8} {rate:>13.0} {:>27} {:>12}", text(mean), text(last));
    report.add("limit", name, json!({"per_second": rate, "ratio": mean, "last_ratio": last}));
}

/// A lone caller's POST by one commit of a bare row: what the service adds.
fn ratio_of_single(report: &mut Report) {
    let Some(post) = report.number("write", "batch_1_at_1", "per_second") else { return };
    let Some(commit) = report.number("limit", "commit_1", "per_second") else { return };
    println!("a single POST at a time takes {:.2} of one bare commit", commit / post.max(1.0));
    report.add("limit", "post_by_commit", json!(commit / post.max(1.0)));
}

/// Rows of `count` statements, stored one behind the other from `first` on.
fn chunks(stock: &Stock, count: usize, first: DateTime<Utc>, seed: usize) -> anyhow::Result<Arc<Vec<Chunk>>> {
    let mut rng = SmallRng::seed_from_u64(10 + seed as u64);
    let step = 100;
    let mut stored = first;
    let mut chunks = Vec::new();
    for _ in 0..count.div_ceil(CHUNK) {
        chunks.push(Chunk::new(&rows::drawn(stock, CHUNK, &mut rng)?, stored, step));
        stored += chrono::TimeDelta::microseconds(CHUNK as i64 * step);
    }
    Ok(Arc::new(chunks))
}

/// Tables like the ledger's, empty, in a schema of their own.
pub async fn make_tables(owner: &Client) -> anyhow::Result<()> {
    let mut sql =
        "SET client_min_messages = warning; DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare;".to_owned();
    for table in ["statement_ids", "statements", "relations"] {
        sql += &format!("CREATE TABLE bare.{table} (LIKE ledger.{table} INCLUDING ALL);");
    }
    owner.batch_execute(&sql).await?;
    checkpoint(owner).await
}

async fn checkpoint(owner: &Client) -> anyhow::Result<()> {
    Ok(owner.batch_execute("CHECKPOINT").await?)
}

/// Copies into the tables of a schema; answers statements a second.
async fn copy(place: &Place, schema: &'static str, chunks: Arc<Vec<Chunk>>, sessions: usize) -> anyhow::Result<f64> {
    let mut clients = Vec::new();
    for _ in 0..sessions {
        clients.push(place.superuser().await?);
    }
    let begun = Instant::now();
    let mut work = JoinSet::new();
    for (session, mut client) in clients.into_iter().enumerate() {
        let chunks = Arc::clone(&chunks);
        work.spawn(async move {
            let mut copied = 0;
            for chunk in chunks.iter().skip(session).step_by(sessions) {
                chunk.copy(&mut client, schema).await?;
                copied += chunk.statements;
            }
            anyhow::Ok(copied)
        });
    }
    let mut copied = 0;
    while let Some(done) = work.join_next().await {
        copied += done??;
    }
    Ok(copied as f64 / begun.elapsed().as_secs_f64())
}

async fn commits(place: &Place, sessions: usize, length: Duration) -> anyhow::Result<(f64, Latencies)> {
    make_tables(&place.superuser().await?).await?;
    let begun = Instant::now();
    let mut work = JoinSet::new();
    for session in 0..sessions {
        let client = place.superuser().await?;
        work.spawn(async move {
            let insert = client
                .prepare("INSERT INTO bare.statement_ids (tenant_id, id, stored, digest) VALUES ($1, $2, clock_timestamp(), $3)")
                .await?;
            let mut latencies = Latencies::default();
            let mut number = (session as u128) << 100;
            while begun.elapsed() < length {
                number += 1;
                let sent = Instant::now();
                let digest: &[u8] = &[7; 32];
                client.execute(&insert, &[&Uuid::nil(), &Uuid::from_u128(number), &digest]).await?;
                latencies.add(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = work.join_next().await {
        all.push(done??);
    }
    let took = begun.elapsed().as_secs_f64();
    let latencies = Latencies::merge(all);
    Ok((latencies.len() as f64 / took, latencies))
}
