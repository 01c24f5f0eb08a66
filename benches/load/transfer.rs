//! A tenant's data out and in: how fast each is beside COPY and ingest, and what ingest notices of it meanwhile.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use super::{
    archive::{command, copy_out, number, timed},
    options::Options,
    place::Place,
    report::{Report, heading},
    statements::Stock,
    write::{self, COLUMNS, Scenario},
};

/// Of the demonstration.
const TENANT: &str = "demo-1";
/// Into which it is brought.
const COPY: &str = "copied";
const BESIDE: Scenario = Scenario { batch: 100, concurrency: 8, long: false };

pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::start(data).await?;
    let owner = place.superuser().await?;
    let statements = options.moved.to_string();
    command(&place, &["demo", "seed", "--statements", &statements, "--months", "6", "--apply"]).await?;
    write::warm_up(&place, stock).await?;
    heading("POST /statements, alone", COLUMNS);
    let alone = write::measure(&place, stock, &BESIDE, options.seconds).await?;
    report.add("transfer", "alone", alone.clone());
    let ingest = number(&alone, "/per_second");

    heading(&format!("A tenant of {statements} statements"), "                    seconds  beside");
    let of_tenant =
        "(SELECT s.* FROM ledger.statements s JOIN platform.tenants t USING (tenant_id) WHERE t.name = 'demo-1')";
    let (copied, _) = timed(copy_out(&owner, &[of_tenant])).await?;
    let folder = data.join("exported").to_string_lossy().into_owned();
    let (exported, _) = timed(command(&place, &["data", "export", "--tenant", TENANT, "--output", &folder])).await?;
    tell(report, "exported", exported, copied.as_secs_f64() / exported.as_secs_f64(), "of COPY TO's speed");

    command(&place, &["tenants", "create", COPY, "--json"]).await?;
    let import = ["data", "import", "--file", &folder, "--tenant", COPY, "--apply"];
    let (imported, _) = timed(command(&place, &import)).await?;
    let rate = options.moved as f64 / imported.as_secs_f64();
    tell(report, "imported", imported, rate / ingest.max(1.0), "of ingest's rate in batches of 100");

    heading("POST /statements meanwhile", COLUMNS);
    let measured = AtomicBool::new(false);
    let measuring = async {
        let found = write::measure(&place, stock, &BESIDE, options.seconds).await;
        measured.store(true, Ordering::Relaxed);
        found
    };
    // Again and again, as long as is measured.
    let exporting = async {
        let mut rounds = 0;
        while !measured.load(Ordering::Relaxed) {
            let folder = data.join(format!("exported-{rounds}")).to_string_lossy().into_owned();
            command(&place, &["data", "export", "--tenant", TENANT, "--output", &folder]).await?;
            rounds += 1;
        }
        anyhow::Ok(rounds)
    };
    let (meanwhile, rounds) = tokio::join!(measuring, exporting);
    let (meanwhile, rounds) = (meanwhile?, rounds?);
    let ratio = number(&meanwhile, "/per_second") / ingest.max(1.0);
    let longer = number(&meanwhile, "/latency/p99_ms") - number(&alone, "/latency/p99_ms");
    println!(
        "{rounds} exports meanwhile: ingest reached {ratio:.2} of what it reaches alone; its p99 was {longer:.0} ms longer"
    );
    let figures = json!({"meanwhile": meanwhile, "exports": rounds, "ratio": ratio, "p99_longer_ms": longer});
    report.add("transfer", "beside_export", figures);
    drop(owner);
    place.stop().await
}

fn tell(report: &mut Report, name: &str, took: Duration, beside: f64, of: &str) {
    println!("{name:<17} {:>9.1}  {beside:.2} {of}", took.as_secs_f64());
    report.add("transfer", name, json!({"seconds": took.as_secs_f64(), "ratio": beside}));
}
