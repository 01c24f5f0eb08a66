//! One person with a long past leaves a ledger most of which is archived: how long that takes, how many bytes are written anew, what
//! ingest notices meanwhile; and the trail: how many acts a second it takes, and how long a proof does.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use progress_service::{
    audit::Audit,
    config::{Environment, read},
    model::Clock,
    objects::Objects,
    store::{
        As, Store,
        platform::audit::{self, Entry, EntryId},
    },
    telemetry::Metrics,
    xapi::keys::{self, Ifi},
};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{
    archive::{command, months_of, number},
    options::Options,
    place::Place,
    report::{Latencies, Report, heading},
    statements::Stock,
    write::{self, COLUMNS, Scenario},
};

/// Months of the past, of which the newest stay hot.
const MONTHS: usize = 24;
const HOT: usize = 6;
/// Of so many statements one is the person's.
const SHARE: usize = 1_000;
const WHO: &str = "mailto:who.leaves@load.example";
const TENANT: &str = "demo-1";
/// Sessions that act at once.
const ACTORS: usize = 8;
/// Proofs that are measured.
const PROOFS: usize = 200;

const BESIDE: Scenario = Scenario { batch: 100, concurrency: 8, long: false };

pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::start(data).await?;
    let owner = place.superuser().await?;
    let (statements, months) = (options.statements.to_string(), MONTHS.to_string());
    command(&place, &["demo", "seed", "--tenants", "1", "--statements", &statements, "--months", &months, "--apply"])
        .await?;
    let theirs = become_somebody(&owner, options.statements).await?;
    let months = months_of(&owner).await?;
    for month in &months[..months.len().saturating_sub(HOT)] {
        command(&place, &["partitions", "seal", "--month", month, "--apply"]).await?;
        for verb in ["run", "drop"] {
            command(&place, &["archive", verb, "--month", month, "--apply", "--json"]).await?;
        }
    }
    leaving(&place, stock, options, theirs, report).await?;
    trail(&place, data, options, report).await?;
    drop(owner);
    place.stop().await
}

/// Lets one person have said every so manyth statement, over all months; answers how many that are.
async fn become_somebody(owner: &Client, all: usize) -> anyhow::Result<u64> {
    let tenant = "SELECT tenant_id FROM platform.tenants WHERE name = $1";
    let tenant: Uuid = owner.query_one(tenant, &[&TENANT]).await?.get(0);
    let key = keys::agent(tenant, &Ifi::Mbox(WHO.to_owned()));
    let every = i64::try_from(SHARE.min(all))?;
    owner.batch_execute("ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only").await?;
    let sql = "UPDATE ledger.statements s SET agent_key = $2,
            payload = jsonb_set(s.payload::jsonb, '{actor}', jsonb_build_object('mbox', $3::text))::text
        FROM (SELECT stored, row_number() OVER (ORDER BY stored) AS n FROM ledger.statements WHERE tenant_id = $1) each
        WHERE s.tenant_id = $1 AND s.stored = each.stored AND each.n % $4 = 0";
    let theirs = owner.execute(sql, &[&tenant, &key, &WHO, &every]).await?;
    owner.batch_execute("ALTER TABLE ledger.statements ENABLE ALWAYS TRIGGER statements_are_append_only").await?;
    Ok(theirs)
}

/// Erases them while others post as fast as they can.
async fn leaving(
    place: &Place,
    stock: &Arc<Stock>,
    options: &Options,
    theirs: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    write::warm_up(place, stock).await?;
    heading("POST /statements, alone, and while a person is erased", COLUMNS);
    let alone = write::measure(place, stock, &BESIDE, options.seconds).await?;
    let erasing = async {
        let begun = Instant::now();
        command(place, &["erasure", "request", "--tenant", TENANT, "--mbox", WHO, "--apply"]).await?;
        anyhow::Ok(begun.elapsed())
    };
    let (meanwhile, took) = tokio::join!(write::measure(place, stock, &BESIDE, options.seconds), erasing);
    let (meanwhile, took) = (meanwhile?, took?);
    let status = command(place, &["erasure", "status", "--tenant", TENANT, "--json"]).await?;
    let done = status.first().context("no erasure")?;
    anyhow::ensure!(done["state"] == "erased", "{done}");
    let reached = number(&meanwhile, "/per_second") / number(&alone, "/per_second").max(1.0);
    let longer = number(&meanwhile, "/latency/p99_ms") - number(&alone, "/latency/p99_ms");
    let (removed, written) = (number(done, "/counts/bytesRemoved"), number(done, "/counts/bytesWritten"));
    println!(
        "{theirs} statements of one person went in {:.1} s; {:.1} MB of segments gave way to {:.1} MB",
        took.as_secs_f64(),
        removed / 1e6,
        written / 1e6
    );
    println!("ingest reached {reached:.2} of what it reaches alone; its p99 was {longer:.0} ms longer");
    report.add(
        "erasure",
        "person",
        json!({"statements": theirs, "seconds": took.as_secs_f64(), "counts": done["counts"], "alone": alone,
            "meanwhile": meanwhile, "ratio": reached, "p99_longer_ms": longer}),
    );
    Ok(())
}

/// Acts as fast as they come, each with its entry in a transaction of its own; then their places, and proofs of some.
async fn trail(place: &Place, data: &Path, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let store = place.store()?;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(options.seconds);
    let acting = (0..ACTORS).map(|_| act(&store, until));
    let entries: Vec<EntryId> = futures_util::future::try_join_all(acting).await?.into_iter().flatten().collect();
    let appended = entries.len() as f64 / begun.elapsed().as_secs_f64();
    let config = read(&Environment::of([("PROGRESS_LISTEN", "127.0.0.1:0")]), Path::new("/nowhere"))?.config;
    let objects = Objects::open(&config.archive, &data.join("anchors"))?;
    let audit = Audit::new(&store, &objects, None, &Clock::system(), &Metrics::new()?);
    let begun = Instant::now();
    audit.settle().await?;
    let settled = begun.elapsed();
    let mut latencies = Latencies::default();
    for entry in entries.iter().step_by((entries.len() / PROOFS).max(1)) {
        let asked = Instant::now();
        audit.proof(*entry).await?;
        latencies.add(asked.elapsed());
    }
    let proofs = Latencies::merge([latencies]);
    heading("The trail", "                              p50 ms    p95 ms    p99 ms");
    println!("{:<26} {}", "a proof", proofs.columns());
    println!(
        "{appended:.0} acts a second left their entries; the last {} got their places in {:.1} s",
        entries.len(),
        settled.as_secs_f64()
    );
    let figures: Value = json!({"appended_per_second": appended, "entries": entries.len(), "settled_s": settled.as_secs_f64(), "proof": proofs.json()});
    report.add("erasure", "trail", figures);
    store.close();
    Ok(())
}

async fn act(store: &Store, until: Instant) -> anyhow::Result<Vec<EntryId>> {
    let mut made = Vec::new();
    while Instant::now() < until {
        let detail = json!({ "n": made.len() });
        let entry = &Entry { tenant: None, actor: "load", action: "load.act", subject: "load".to_owned(), detail };
        made.push(store.run_once("act", As::Worker, |tx| Box::pin(audit::append(tx, entry))).await?);
    }
    Ok(made)
}
