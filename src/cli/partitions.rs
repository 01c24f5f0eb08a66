//! `partitions`: list, ensure.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::beside::with_database;
use crate::{
    model::{
        Clock,
        partition::{Bounds, Partition, Weight},
    },
    partitions::plan,
    store::Store,
};

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
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let loaded = super::begin()?;
    super::runtime()?.block_on(with_database(&loaded.config, async |database| {
        let store = Store::open(&database.settings)?;
        match args.command {
            Command::List => {
                for (partition, weight) in store.partition_weights().await? {
                    print(&partition, &weight, args.json);
                }
            }
            Command::Ensure { apply } => {
                let missing = plan::missing(Clock::system().now(), &store.partition_bounds().await?);
                for partition in &missing {
                    let made = apply && store.ensure_partition(partition.lower).await?;
                    print_missing(*partition, made, args.json);
                }
                if missing.is_empty() && !args.json {
                    say!("nothing is missing");
                } else if !missing.is_empty() && !apply && !args.json {
                    say!("nothing was done; --apply makes them");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }))
}

fn print(partition: &Partition, weight: &Weight, json: bool) {
    let Partition { bounds, state } = partition;
    if json {
        let line = json!({ "name": bounds.to_string(), "state": state.name(), "lower": bounds.lower,
                           "upper": bounds.upper, "estimatedRows": weight.rows, "bytes": weight.bytes });
        say!("{line}");
    } else {
        let (rows, bytes) = (weight.rows, indicatif::BinaryBytes(u64::try_from(weight.bytes).unwrap_or(0)));
        say!("{bounds}  {:<8}  {rows:>12} rows  {bytes:>12}", state.name());
    }
}

fn print_missing(partition: Bounds, made: bool, json: bool) {
    if json {
        say!("{}", json!({ "name": partition.to_string(), "made": made }));
    } else {
        say!("{partition}  {}", if made { "made" } else { "missing" });
    }
}
