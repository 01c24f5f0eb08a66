//! Events: how fast they go out, how late they come, and what they cost the ingest.

mod backlog;
mod outbox;
mod paced;

use std::{path::Path, sync::Arc};

use serde_json::json;

use super::{
    broker::Broker,
    options::Options,
    place::Place,
    report::{Report, heading},
    standing::{self, until},
    statements::Stock,
    write::{self, Scenario},
};

pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let broker = Broker::start(&data.with_file_name("kafka")).await?;
    let mut place = Place::start(data).await?;
    report.add("run", "postgresql", json!(place.database_version()));
    backlog::run(&mut place, &broker, stock, options, report).await?;
    paced::run(&place, &broker, options, report).await?;
    cost(&mut place, &broker, stock, options, report).await?;
    place.stop_service().await?;
    outbox::run(&place, stock, options, report).await?;
    place.stop().await?;
    broker.stop().await?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

/// Batches of 100 by 8 without brokers and with them, in turns, for the ledger grows.
async fn cost(
    place: &mut Place,
    broker: &Broker,
    stock: &Arc<Stock>,
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    heading("POST /statements without brokers and with them", &format!("brokers  {}", write::COLUMNS));
    let scenario = Scenario { batch: 100, concurrency: 8, long: false };
    let mut rates = [0.0, 0.0];
    for round in 0..2 {
        for (with, rate) in rates.iter_mut().enumerate() {
            place.serve((with == 1).then_some(&broker.address)).await?;
            let owner = place.superuser().await?;
            until(&owner, |standing| if with == 1 { standing.is_all_out() } else { standing.is_projected() }).await?;
            print!("{:<8} ", ["no", "yes"][with]);
            let mut figures = write::measure(place, stock, &scenario, options.seconds).await?;
            if place.sends {
                figures["unsent"] = standing::unsent(&owner).await?;
            }
            *rate += figures["per_second"].as_f64().unwrap_or_default() / 2.0;
            report.add("events", &format!("write_{}_{round}", ["without", "with"][with]), figures);
        }
    }
    println!(
        "{:.0} statements/s without brokers, {:.0} with: {:.1} % less",
        rates[0],
        rates[1],
        lost(rates[0], rates[1])
    );
    report.add(
        "events",
        "write",
        json!({"without": rates[0], "with": rates[1], "lost_percent": lost(rates[0], rates[1])}),
    );
    Ok(())
}

fn lost(before: f64, after: f64) -> f64 {
    (1.0 - after / before.max(1.0)) * 100.0
}
