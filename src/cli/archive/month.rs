//! `archive run`, `archive drop`, `archive restore`: what is done to one month.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use super::{Apply, Desk, bytes};
use crate::{
    archive::jobs,
    model::partition::{Month, State},
    store::ledger::segments,
};

#[derive(clap::Args)]
pub struct Args {
    /// Such as 2026-03
    #[arg(long)]
    month: Month,
    #[command(flatten)]
    apply: Apply,
}

/// What would be done to a month.
#[derive(Serialize)]
struct Plan {
    act: &'static str,
    month: Month,
    state: &'static str,
    becomes: &'static str,
    /// By the database's estimate.
    statements: i64,
    /// Of its tables.
    bytes: i64,
    /// Published segments of it.
    segments: usize,
    archived_statements: i64,
    archived_bytes: i64,
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    perform(desk, args, (jobs::RUN, &[State::Sealed, State::Detached], State::Archived)).await
}

pub async fn drop(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    perform(desk, args, (jobs::DROP, &[State::Archived], State::Dropped)).await
}

pub async fn restore(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    perform(desk, args, (jobs::RESTORE, &[State::Dropped], State::Archived)).await
}

async fn perform(
    desk: &Desk<'_>,
    args: &Args,
    (kind, from, to): (&'static str, &[State], State),
) -> anyhow::Result<ExitCode> {
    let month = args.month;
    let weights = desk.store.partition_weights().await?;
    let found = weights.iter().find(|(one, _)| one.bounds.lower == month.begin());
    let (partition, weight) = found
        .with_context(|| format!("there is no partition {month}; `progress-service partitions list` prints them"))?;
    if partition.state != to && !from.contains(&partition.state) {
        let names: Vec<&str> = from.iter().map(|state| state.name()).collect();
        let state = partition.state.name();
        anyhow::bail!("the partition {month} is {state}, and this is for one that is {}", names.join(" or "));
    }
    let mut segments = desk.archive.segments(Some(month)).await?;
    segments.retain(|one| one.state == segments::State::Published);
    let sum =
        |of: fn(&segments::Contents) -> i64| segments.iter().filter_map(|one| one.contents.as_ref()).map(of).sum();
    let plan = Plan {
        act: kind,
        month,
        state: partition.state.name(),
        becomes: to.name(),
        statements: weight.rows,
        bytes: weight.bytes,
        segments: segments.len(),
        archived_statements: sum(|contents| contents.rows),
        archived_bytes: sum(|contents| contents.bytes),
    };
    if !desk.json {
        let (table, archived) = (bytes(plan.bytes.unsigned_abs()), bytes(plan.archived_bytes.unsigned_abs()));
        say!("{month}  {} -> {}", plan.state, plan.becomes);
        say!("  in tables    about {} statements, {table}", plan.statements);
        say!("  in {} segments  {} statements, {archived}", plan.segments, plan.archived_statements);
    }
    if partition.state == to {
        if desk.json {
            say!("{}", serde_json::json!({ "plan": plan, "applied": false, "already": true }));
        } else {
            say!("it is {} already", to.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    desk.perform(kind, Some(month), &plan, &args.apply).await
}
