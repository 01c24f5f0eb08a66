//! The ledger as its own outbox against a plain outbox table, in SQL alone: the same rows copied, each time with a
//! reader behind that takes what is to go out and remembers that it is out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    super::{
        limit,
        options::Options,
        place::Place,
        report::{Report, heading},
        rows::{self, Chunk},
        statements::{Stock, activity_iri, verb_iri},
        write::wal_bytes,
    },
    lost,
};

/// Statements in one transaction, as ingest groups them.
const CHUNK: usize = 500;
const SESSIONS: usize = 2;
/// Rows the reader takes at once.
const BATCH: i64 = 5_000;
const ROUNDS: u32 = 2;
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing goes out.
    Bare,
    /// The reader follows the ledger with a cursor.
    Ledger,
    /// Each statement has a row in the outbox, by the same transaction; the reader deletes it.
    Outbox,
}

const WAYS: [(Way, &str); 3] =
    [(Way::Bare, "nothing"), (Way::Ledger, "ledger and cursor"), (Way::Outbox, "outbox table")];

/// What one transaction writes.
struct Part {
    chunk: Chunk,
    ids: Vec<Uuid>,
    data: Vec<String>,
}

#[derive(Clone, Copy, Default)]
struct Found {
    rate: f64,
    wal: f64,
    /// Seconds until the reader had the rest.
    behind: f64,
}

pub async fn run(place: &Place, stock: &Stock, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let parts = Arc::new(parts(stock, options.copied)?);
    heading(
        "PostgreSQL alone: what goes out, from the ledger itself or from an outbox",
        "                    statements/s  less %  WAL B  behind s",
    );
    let mut found = [Found::default(); WAYS.len()];
    for _ in 0..ROUNDS {
        for ((way, _), sum) in WAYS.iter().zip(&mut found) {
            let one = measure(place, &parts, *way).await?;
            sum.rate += one.rate / f64::from(ROUNDS);
            sum.wal += one.wal / f64::from(ROUNDS);
            sum.behind += one.behind / f64::from(ROUNDS);
        }
    }
    for ((_, name), Found { rate, wal, behind }) in WAYS.iter().zip(found) {
        let less = lost(found[0].rate, rate);
        println!("{name:<19} {rate:>13.0} {less:>7.1} {wal:>6.0} {behind:>9.2}");
        let figures =
            json!({"per_second": rate, "lost_percent": less, "wal_bytes_each": wal, "behind_seconds": behind});
        report.add("outbox", name, figures);
    }
    Ok(())
}

fn parts(stock: &Stock, count: usize) -> anyhow::Result<Vec<Part>> {
    let mut rng = SmallRng::seed_from_u64(31);
    let begin = DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap_or_default();
    let part = |number: usize| {
        let statements = rows::drawn(stock, CHUNK, &mut rng)?;
        let first = begin + TimeDelta::microseconds(i64::try_from(number * CHUNK)?);
        let ids: Vec<Uuid> = statements.iter().map(|statement| statement.id).collect();
        let data = ids.iter().map(|id| event(*id)).collect();
        Ok(Part { chunk: Chunk::new(&statements, first, 1), ids, data })
    };
    (0..count.div_ceil(CHUNK)).map(part).collect()
}

/// As much as an event says.
fn event(id: Uuid) -> String {
    let moment = "2026-11-20T10:15:30.250000Z";
    json!({"statementId": id, "verbId": verb_iri("completed"), "timestamp": moment, "stored": moment,
        "actorKey": id.simple().to_string(), "activityId": activity_iri(1_234), "registration": id})
    .to_string()
}

async fn make_tables(owner: &Client) -> anyhow::Result<()> {
    limit::make_tables(owner).await?;
    owner
        .batch_execute(
            "CREATE TABLE bare.cursor (position timestamptz NOT NULL);
             INSERT INTO bare.cursor VALUES ('epoch');
             CREATE TABLE bare.outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL,
                 type text NOT NULL, key text NOT NULL, data text NOT NULL,
                 created_at timestamptz NOT NULL DEFAULT clock_timestamp())",
        )
        .await?;
    Ok(())
}

async fn measure(place: &Place, parts: &Arc<Vec<Part>>, way: Way) -> anyhow::Result<Found> {
    let owner = place.superuser().await?;
    make_tables(&owner).await?;
    let (wal, begun) = (wal_bytes(&owner).await?, Instant::now());
    let done: Arc<[AtomicUsize; SESSIONS]> = Arc::new(std::array::from_fn(AtomicUsize::new));
    let mut writers = JoinSet::new();
    for session in 0..SESSIONS {
        writers.spawn(write(place.superuser().await?, Arc::clone(parts), way, session, Arc::clone(&done)));
    }
    let total = parts.iter().map(|part| part.chunk.statements).sum();
    let reader = tokio::spawn(read(place.superuser().await?, Arc::clone(parts), way, total, done));
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let took = begun.elapsed();
    reader.await??;
    let behind = (begun.elapsed() - took).as_secs_f64();
    let wal = (wal_bytes(&owner).await? - wal) / total.max(1) as f64;
    Ok(Found { rate: total as f64 / took.as_secs_f64(), wal, behind })
}

/// `next` of each session is the part it is at: all before the least of them are committed.
async fn write(
    mut client: Client,
    parts: Arc<Vec<Part>>,
    way: Way,
    session: usize,
    next: Arc<[AtomicUsize; SESSIONS]>,
) -> anyhow::Result<()> {
    for at in (session..parts.len()).step_by(SESSIONS) {
        next[session].store(at, Ordering::Release);
        let part = &parts[at];
        let transaction = client.transaction().await?;
        part.chunk.copy_within(&transaction, "bare").await?;
        if way == Way::Outbox {
            let sql = "INSERT INTO bare.outbox (id, type, key, data)
                SELECT id, 'progress.statement.stored.v1', id::text, data FROM unnest($1::uuid[], $2::text[]) AS new (id, data)";
            transaction.execute(sql, &[&part.ids, &part.data]).await?;
        }
        transaction.commit().await?;
    }
    next[session].store(parts.len(), Ordering::Release);
    Ok(())
}

/// Takes what is there in batches until it has had everything.
async fn read(
    client: Client,
    parts: Arc<Vec<Part>>,
    way: Way,
    total: usize,
    next: Arc<[AtomicUsize; SESSIONS]>,
) -> anyhow::Result<()> {
    let (mut had, mut position) = (0, DateTime::UNIX_EPOCH);
    let end = parts.last().map_or(position, |part| part.chunk.first + TimeDelta::days(1));
    while way != Way::Bare && had < total {
        let least = next.iter().map(|next| next.load(Ordering::Acquire)).min().unwrap_or_default();
        let bound = parts.get(least).map_or(end, |part| part.chunk.first);
        let taken = match way {
            Way::Ledger => from_ledger(&client, &mut position, bound).await?,
            _ => from_outbox(&client).await?,
        };
        had += taken;
        // As the relay: on at once after a full batch, else a pause.
        if i64::try_from(taken)? < BATCH {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn from_ledger(client: &Client, position: &mut DateTime<Utc>, bound: DateTime<Utc>) -> anyhow::Result<usize> {
    let sql = "SELECT id, stored, occurred, agent_key, payload FROM bare.statements
        WHERE tenant_id = $1 AND stored > $2 AND stored < $3 ORDER BY stored LIMIT $4";
    let tenant = progress_service::model::TenantId::DEFAULT.0;
    let rows = client.query(sql, &[&tenant, position, &bound, &BATCH]).await?;
    if let Some(last) = rows.last() {
        *position = last.get("stored");
        client.execute("UPDATE bare.cursor SET position = $1", &[position]).await?;
    }
    Ok(rows.len())
}

async fn from_outbox(client: &Client) -> anyhow::Result<usize> {
    let rows = client.query("SELECT * FROM bare.outbox ORDER BY position LIMIT $1", &[&BATCH]).await?;
    let positions: Vec<i64> = rows.iter().map(|row| row.get("position")).collect();
    if !positions.is_empty() {
        client.execute("DELETE FROM bare.outbox WHERE position = ANY($1)", &[&positions]).await?;
    }
    Ok(rows.len())
}
