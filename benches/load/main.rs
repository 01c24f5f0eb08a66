//! The load driver: starts a database with its default durability and the service as a process of its own, measures
//! writes, reads, PostgreSQL's own limit and events in one run, and prints tables and then JSON. See `docs/performance.md`.
#![allow(clippy::large_futures, reason = "the driver awaits one story from its beginning to its end")]

mod append;
mod archive;
mod broker;
mod cases;
mod dearest;
mod disk;
mod erasure;
mod events;
mod fill;
mod http;
mod limit;
mod moving;
mod options;
mod place;
mod process;
mod read;
mod report;
mod rows;
mod sessions;
mod standing;
mod statements;
mod stock;
mod tenants;
mod traced;
mod transfer;
mod write;

use std::{path::Path, sync::Arc};

use serde_json::json;

use options::{Options, Part};
use place::Place;
use read::When;
use report::Report;
use statements::Stock;

/// Different statements kept in memory; each goes out many times, under new ids.
const STOCK: usize = 20_000;

// One thread: the client must not take more of the machine than it needs.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::read();
    std::fs::create_dir_all(&options.data)?;
    let data = tempfile::Builder::new().prefix("run-").tempdir_in(&options.data)?;
    let mut report = Report::default();
    let machine = process::machine(data.path());
    println!("{machine:#}");
    report.add("run", "machine", machine);
    report.add("run", "seconds", json!(options.seconds));
    let stock = Arc::new(Stock::new(STOCK));
    if options.wants(Part::Write) || options.wants(Part::Limit) {
        writes(&data.path().join("write"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Stock) {
        stock::run(&data.path().join("stock"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Traced) {
        traced::run(&data.path().join("traced"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Tenants) {
        tenants::run(&data.path().join("tenants"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Read) {
        reads(&data.path().join("read"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Events) {
        events::run(&data.path().join("events"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Archive) {
        archive::run(&data.path().join("archive"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Erasure) {
        erasure::run(&data.path().join("erasure"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Moving) {
        moving::run(&data.path().join("moving"), &stock, &options, &mut report).await?;
    }
    if options.wants(Part::Transfer) {
        transfer::run(&data.path().join("transfer"), &stock, &options, &mut report).await?;
    }
    report.print_json();
    Ok(())
}

async fn writes(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut place = Place::start(data).await?;
    report.add("run", "postgresql", json!(place.database_version()));
    if options.wants(Part::Write) {
        write::run(&place, stock, options, report).await?;
    }
    if options.wants(Part::Limit) {
        // Its projections and its relay would read what is written, on the same cores.
        place.stop_service().await?;
        limit::run(&place, stock, options, report).await?;
    }
    place.stop().await?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

async fn reads(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::start(data).await?;
    report.add("run", "postgresql", json!(place.database_version()));
    fill::leave_to_others(&place).await?;
    let filled = fill::run(&place, stock, options.statements).await?;
    read::run(&place, filled, options, When::Warm, report).await?;
    place.stop().await?;
    let place = Place::start(data).await?;
    read::run(&place, filled, options, When::AfterRestart, report).await?;
    write::into_filled(&place, stock, options, report).await?;
    place.stop().await
}
