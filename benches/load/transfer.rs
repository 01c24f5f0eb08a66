//! A tenant's data out and in, and backups: how fast each is beside COPY, ingest, and reading the same files, and what ingest
//! notices of it meanwhile.

use std::{
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use serde_json::json;
use tokio::process::Command;

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

    heading(&format!("A tenant of {statements} statements, and the whole"), "                    seconds  beside");
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

    let (read, megabytes) = read_all(data).await?;
    for (name, arguments) in [("backed up", ["backup", "make"]), ("verified", ["backup", "verify"])] {
        let (took, _) = timed(command(&place, &arguments)).await?;
        let beside = read.as_secs_f64() / took.as_secs_f64();
        tell(report, name, took, beside, &format!("of reading its {megabytes:.0} MB with tar"));
    }

    heading("POST /statements meanwhile", COLUMNS);
    for (name, arguments) in [
        ("export", vec!["data", "export", "--tenant", TENANT, "--output"]),
        ("backup", vec!["backup", "make"]),
        ("verification", vec!["backup", "verify"]),
    ] {
        let measured = AtomicBool::new(false);
        let measuring = async {
            let found = write::measure(&place, stock, &BESIDE, options.seconds).await;
            measured.store(true, Ordering::Relaxed);
            found
        };
        // Again and again, as long as is measured.
        let working = async {
            let mut rounds = 0;
            while !measured.load(Ordering::Relaxed) {
                let folder = data.join(format!("exported-{rounds}")).to_string_lossy().into_owned();
                let own = name == "export";
                let all: Vec<&str> = arguments.iter().copied().chain(own.then_some(folder.as_str())).collect();
                command(&place, &all).await?;
                rounds += 1;
            }
            anyhow::Ok(rounds)
        };
        let (meanwhile, rounds) = tokio::join!(measuring, working);
        let (meanwhile, rounds) = (meanwhile?, rounds?);
        let ratio = number(&meanwhile, "/per_second") / ingest.max(1.0);
        let longer = number(&meanwhile, "/latency/p99_ms") - number(&alone, "/latency/p99_ms");
        println!(
            "{rounds} of {name} meanwhile: ingest reached {ratio:.2} of what it reaches alone; its p99 was {longer:.0} ms longer"
        );
        let figures = json!({"meanwhile": meanwhile, "rounds": rounds, "ratio": ratio, "p99_longer_ms": longer});
        report.add("transfer", &format!("beside_{name}"), figures);
    }
    drop(owner);
    place.stop().await
}

fn tell(report: &mut Report, name: &str, took: Duration, beside: f64, of: &str) {
    println!("{name:<17} {:>9.1}  {beside:.2} {of}", took.as_secs_f64());
    report.add("transfer", name, json!({"seconds": took.as_secs_f64(), "ratio": beside}));
}

/// How long it takes to read the database's files one after the other, and how much they are.
async fn read_all(data: &Path) -> anyhow::Result<(Duration, f64)> {
    let shell = format!("tar -cf - -C '{}' cluster 2>/dev/null | wc -c", data.display());
    let counting = async { Ok(Command::new("sh").args(["-c", &shell]).stderr(Stdio::null()).output().await?) };
    let (took, counted) = timed(counting).await?;
    let bytes: f64 = String::from_utf8(counted.stdout)?.trim().parse().context("tar did not read the files")?;
    Ok((took, bytes / 1e6))
}
