//! `partitions`: list, plan, ensure, seal, detach, attach.

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use serde_json::json;

use super::{access::BY, archive::print_plan, beside::with_database, rescheme};
use crate::{
    app,
    config::Config,
    model::{
        Clock, Ids,
        partition::{Bounds, Change, Month, Partition, Weight},
        scheme::{self, Scheme},
    },
    partitions::{
        change::{self, Wish},
        plan,
    },
    store::{As, Store},
    telemetry::Metrics,
};

/// How long a change by hand waits for its moment.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(clap::Args)]
pub struct Args {
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the partitions of the ledger, oldest first: state, bounds, estimated rows, bytes on disk
    List,
    /// Print what the schedule does next to each month, and when
    Plan,
    /// Show which partitions should be there ahead of time and are not; make them with --apply
    #[command(
        after_help = "A serving node makes them by itself, every hour. By hand it is for a ledger that is about to \
                            be served again after a long time, or when its alarm says that nobody makes them."
    )]
    Ensure {
        /// Make them
        #[arg(long)]
        apply: bool,
    },
    /// Seal a month that is over: nothing is stored in it any more, and everybody who reads the ledger is past it
    Seal(OfMonth),
    /// Move a sealed month out of the queries' way; statements in it are found as before
    Detach(OfMonth),
    /// Bring a detached month, or an archived one whose table is still here, back; the schedule leaves it there
    Attach(OfMonth),
    /// Divide months that nobody writes to any more into weeks, days or groups of tenants, or put them together again
    Rescheme(rescheme::Wanted),
}

#[derive(clap::Args)]
struct OfMonth {
    /// Such as 2026-03
    #[arg(long)]
    month: Month,
    /// Do it; without this it is only told whether it could be done
    #[arg(long)]
    apply: bool,
}

/// A month may be copied here.
const LONGEST: Duration = Duration::from_hours(12);

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = super::begin()?;
    super::runtime()?.block_on(with_database(&loaded.config, async |database| {
        let store = Store::open(&database.settings)?;
        match &args.command {
            Command::Rescheme(wanted) => return rescheme::run(&store.patient(LONGEST), wanted, args.json).await,
            Command::List => {
                let weights = store.partition_weights().await?;
                let divided = store.divided_months().await?;
                for (partition, weight) in weights {
                    let scheme = divided.iter().find(|one| partition.bounds == one.month.into()).map(|one| one.scheme);
                    print(&partition, &weight, scheme.unwrap_or_default(), args.json);
                }
            }
            Command::Plan => {
                let (clock, ids) = (Clock::system(), Ids::random());
                let archive = app::archive(&loaded.config, &store, &clock, &ids, &Metrics::new()?)?;
                return print_plan(&loaded.config, &archive, args.json).await;
            }
            Command::Ensure { apply } => {
                let missing = plan::missing(Clock::system().now(), &store.partition_bounds().await?);
                for partition in &missing {
                    let made = *apply && store.ensure_divided(partition.lower, loaded.config.partitions.scheme).await?;
                    print_missing(*partition, made, args.json);
                }
                if missing.is_empty() && !args.json {
                    say!("nothing is missing");
                } else if !missing.is_empty() && !*apply && !args.json {
                    say!("nothing was done; --apply makes them");
                }
            }
            Command::Seal(which) => change(&store, &loaded.config, which, Change::Seal, args.json).await?,
            Command::Detach(which) => change(&store, &loaded.config, which, Change::Detach, args.json).await?,
            Command::Attach(which) => change(&store, &loaded.config, which, Change::Attach, args.json).await?,
        }
        Ok(ExitCode::SUCCESS)
    }))
}

async fn change(store: &Store, config: &Config, which: &OfMonth, change: Change, json: bool) -> anyhow::Result<()> {
    let (month, has_brokers) = (which.month, !config.kafka.brokers.is_empty());
    let wish = Wish { month, change, has_brokers, by: BY, patience: PATIENCE };
    let looked = store.run_tx("look_at_partition", As::Worker, |tx| Box::pin(change::look(tx, &wish))).await?;
    let (was, is) = (looked.partition.state.name(), change.to().name());
    let made = which.apply && change::make(store, &wish).await?;
    if json {
        let would = !made && looked.partition.state != change.to();
        say!(
            "{}",
            json!({ "name": month, "was": was, "state": if would { was } else { is }, "wanted": is, "made": made })
        );
    } else if looked.partition.state == change.to() {
        say!("{month}  is {is} already");
    } else if made {
        say!("{month}  {was} -> {is}");
    } else {
        say!("{month}  {was} -> {is}\nnothing was done; --apply does it");
    }
    Ok(())
}

fn print(partition: &Partition, weight: &Weight, scheme: Scheme, json: bool) {
    let Partition { bounds, state } = partition;
    if json {
        let parts: Vec<String> = scheme.parts(Month::of(bounds.lower)).into_iter().map(scheme::name).collect();
        let line = json!({ "name": bounds.to_string(), "state": state.name(), "lower": bounds.lower, "upper": bounds.upper,
                           "scheme": scheme.to_string(), "parts": parts,
                           "estimatedRows": weight.rows, "bytes": weight.bytes });
        say!("{line}");
    } else {
        let (rows, bytes) = (weight.rows, indicatif::BinaryBytes(u64::try_from(weight.bytes).unwrap_or(0)));
        say!("{bounds}  {:<8}  {rows:>12} rows  {bytes:>12}  {scheme}", state.name());
    }
}

fn print_missing(partition: Bounds, made: bool, json: bool) {
    if json {
        say!("{}", json!({ "name": partition.to_string(), "made": made }));
    } else {
        say!("{partition}  {}", if made { "made" } else { "missing" });
    }
}
