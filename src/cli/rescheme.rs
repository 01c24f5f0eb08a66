//! `partitions rescheme`: the plan, then month by month what is done, until each is divided as it should be.

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::access::BY;
use crate::{
    model::{
        partition::{Bounds, Month},
        plan::{digest, must_be_the_one},
        scheme::{self, Scheme},
    },
    partitions::rescheme::{Step, abort, line, plan, rescheme},
    store::{Store, ledger::schemes::Divided},
    telemetry::Aside,
};

#[derive(clap::Args)]
pub struct Wanted {
    /// How: monthly, weekly, daily, or tenants-N for N parts by tenant
    #[arg(long, required_unless_present = "abort")]
    to: Option<Scheme>,
    /// Only these months, such as 2026-03; may be given several times
    #[arg(long)]
    month: Vec<Month>,
    /// Print the plan, as is done without --apply
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Do it; broken off, the same command goes on
    #[arg(long)]
    apply: bool,
    /// Only if the plan still has this digest
    #[arg(long, requires = "apply")]
    plan: Option<String>,
    /// Remove what was copied of the months given; they stay as they are
    #[arg(long, conflicts_with_all = ["to", "apply"], requires = "month")]
    abort: bool,
}

/// Runs over a store that is patient.
pub async fn run(store: &Store, wanted: &Wanted, json: bool) -> anyhow::Result<ExitCode> {
    if wanted.abort {
        for month in &wanted.month {
            let division = abort(store, *month).await?;
            say_step(*month, division.scheme, "aborted", None, json);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(to) = wanted.to else { return Ok(ExitCode::SUCCESS) };
    let all = store.divided_months().await?;
    let months = plan(&all, to, &wanted.month)?;
    for one in &months {
        print(one, to, json);
    }
    let digest = digest(&months.iter().map(|one| line(one, to)).collect::<Vec<_>>());
    must_be_the_one(wanted.plan.as_deref(), &digest).map_err(anyhow::Error::msg)?;
    if json && !wanted.apply {
        say!("{}", json!({ "plan": digest, "months": months.len(), "applied": false }));
    } else if months.is_empty() && !json {
        say!("no month is to be divided anew");
    } else if !wanted.apply {
        say!("plan {digest}");
        say!(
            "nothing was done; --apply does it. Each month is copied beside itself first and needs as much room again"
        );
    }
    for one in months.iter().filter(|_| wanted.apply) {
        divide(store, one.month, to, json).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(one: &Divided, to: Scheme, json: bool) {
    if json {
        say!("{}", line(one, to));
    } else {
        let parts: Vec<String> = to.parts(one.month).into_iter().map(scheme::name).collect();
        say!("{}  {:<9} {} → {to}: {}", one.month, one.state, one.scheme, parts.join(" "));
    }
}

async fn divide(store: &Store, month: Month, to: Scheme, json: bool) -> anyhow::Result<()> {
    let steps = 2 * Scheme::Daily.parts(month).len() as u64 + 3;
    let bar = ProgressBar::new(steps)
        .with_style(ProgressStyle::with_template("{prefix} {msg} {wide_bar} {pos}/{len} ({eta})")?);
    bar.set_prefix(month.to_string());
    let tell = |step: Step| {
        bar.inc(1);
        bar.set_message(step.name());
        if json {
            bar.suspend(|| say_step(month, to, step.name(), step.part(), true));
        }
        true
    };
    let done = rescheme(store, month, to, BY, &Aside::default(), &tell).await;
    bar.finish_and_clear();
    done?;
    if !json {
        say!("{month}  {to}");
    }
    Ok(())
}

fn say_step(month: Month, to: Scheme, step: &str, part: Option<Bounds>, json: bool) {
    if json {
        say!("{}", json!({ "name": month, "to": to.to_string(), "step": step, "part": part.map(scheme::name) }));
    } else {
        say!("{month}  {step}");
    }
}
