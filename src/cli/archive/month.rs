//! `archive run`, `archive drop`, `archive restore`: what is done to one month.

use std::process::ExitCode;

use super::{Apply, Desk, bytes};
use crate::{archive::jobs, model::partition::Month};

#[derive(clap::Args)]
pub struct Args {
    /// Such as 2026-03
    #[arg(long)]
    month: Month,
    #[command(flatten)]
    apply: Apply,
}

pub async fn run(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    perform(desk, args, jobs::RUN).await
}

pub async fn drop(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    perform(desk, args, jobs::DROP).await
}

pub async fn restore(desk: &Desk<'_>, args: &Args) -> anyhow::Result<ExitCode> {
    perform(desk, args, jobs::RESTORE).await
}

async fn perform(desk: &Desk<'_>, args: &Args, kind: &'static str) -> anyhow::Result<ExitCode> {
    let month = args.month;
    let plan = desk.archive.month_plan(kind, month).await?;
    if !desk.json {
        let (table, archived) = (bytes(plan.bytes.unsigned_abs()), bytes(plan.archived_bytes.unsigned_abs()));
        say!("{month}  {} -> {}", plan.state, plan.becomes);
        say!("  in tables    about {} statements, {table}", plan.statements);
        say!("  in {} segments  {} statements, {archived}", plan.segments, plan.archived_statements);
    }
    if plan.is_done() {
        if desk.json {
            say!("{}", serde_json::json!({ "plan": plan, "applied": false, "already": true }));
        } else {
            say!("it is {} already", plan.becomes);
        }
        return Ok(ExitCode::SUCCESS);
    }
    desk.perform(kind, Some(month), &plan, &args.apply).await
}
