//! Events: how fast they go out, how late they come, and what they cost the ingest.

mod backlog;
mod outbox;
mod paced;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::bail;
use chrono::{DateTime, Utc};
use progress_service::model::TenantId;
use serde_json::json;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::{
    broker::Broker,
    options::Options,
    place::Place,
    report::{Report, heading},
    statements::Stock,
    write::{self, Scenario},
};

/// Between two looks at how far something has come.
const LOOK: Duration = Duration::from_millis(20);
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_mins(10);

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

/// How far projections and relay have come.
struct Standing {
    newest: DateTime<Utc>,
    projected: DateTime<Utc>,
    sent: DateTime<Utc>,
    unsent: bool,
}

impl Standing {
    async fn of(owner: &Client) -> anyhow::Result<Self> {
        let sql = "SELECT coalesce((SELECT stored FROM ledger.statements WHERE tenant_id = $1 ORDER BY stored DESC LIMIT 1), 'epoch'),
                coalesce((SELECT position FROM progress.projection_cursors WHERE tenant_id = $1), 'epoch'),
                coalesce((SELECT position FROM progress.relay_cursors WHERE tenant_id = $1), 'epoch'),
                EXISTS (SELECT FROM progress.outbox WHERE published_at IS NULL)";
        let row = owner.query_one(sql, &[&TenantId::DEFAULT.0]).await?;
        Ok(Self { newest: row.get(0), projected: row.get(1), sent: row.get(2), unsent: row.get(3) })
    }

    fn is_projected(&self) -> bool {
        self.projected >= self.newest
    }

    fn is_sent(&self) -> bool {
        self.sent >= self.newest
    }

    fn is_all_out(&self) -> bool {
        self.is_projected() && self.is_sent() && !self.unsent
    }
}

/// Waits; answers how it then stood.
async fn until(owner: &Client, reached: impl Fn(&Standing) -> bool) -> anyhow::Result<Standing> {
    let begun = Instant::now();
    loop {
        let standing = Standing::of(owner).await?;
        if reached(&standing) {
            return Ok(standing);
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "newest {}, projected {}, sent {}: nothing more comes",
                standing.newest,
                standing.projected,
                standing.sent
            );
        }
        tokio::time::sleep(LOOK).await;
    }
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
            let owner = place.owner().await?;
            until(&owner, |standing| if with == 1 { standing.is_all_out() } else { standing.is_projected() }).await?;
            print!("{:<8} ", ["no", "yes"][with]);
            let figures = write::measure(place, stock, &scenario, options.seconds).await?;
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
