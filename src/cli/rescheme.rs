//! `partitions rescheme`: the plan, then month by month what is done, until each is divided as it should be.

use std::process::ExitCode;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::access::BY;
use crate::{
    model::{
        partition::{Bounds, Month},
        scheme::{self, Scheme},
    },
    partitions::rescheme::{Step, abort, fitting, rescheme},
    store::{Store, ledger::schemes::Divided},
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
    for month in &wanted.month {
        explain(*month, to, &all)?;
    }
    let months = fitting(&all, to, &wanted.month);
    for one in &months {
        print(one, to, json);
    }
    if months.is_empty() && !json {
        say!("no month is to be divided anew");
    } else if !wanted.apply && !json {
        say!(
            "nothing was done; --apply does it. Each month is copied beside itself first and needs as much room again"
        );
    }
    for one in months.iter().filter(|_| wanted.apply) {
        divide(store, one.month, to, json).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails for a month that was asked for by name and cannot be divided.
fn explain(month: Month, to: Scheme, all: &[Divided]) -> anyhow::Result<()> {
    match all.iter().find(|one| one.month == month) {
        None => bail!("there is no month {month}"),
        Some(one) if one.scheme != to && fitting(std::slice::from_ref(one), to, &[]).is_empty() => {
            bail!(
                "{month} is {}: one is divided anew that is sealed, detached, or archived with its table here",
                one.state
            )
        }
        Some(_) => Ok(()),
    }
}

fn print(one: &Divided, to: Scheme, json: bool) {
    let parts: Vec<String> = to.parts(one.month).into_iter().map(scheme::name).collect();
    if json {
        let line = json!({ "name": one.month, "state": one.state, "from": one.scheme.to_string(), "to": to.to_string(), "parts": parts });
        say!("{line}");
    } else {
        say!("{}  {:<9} {} → {to}: {}", one.month, one.state, one.scheme, parts.join(" "));
    }
}

async fn divide(store: &Store, month: Month, to: Scheme, json: bool) -> anyhow::Result<()> {
    let steps = 2 * Scheme::Daily.parts(month).len() as u64 + 3;
    let bar = ProgressBar::new(steps)
        .with_style(ProgressStyle::with_template("{prefix} {msg} {wide_bar} {pos}/{len} ({eta})")?);
    bar.set_prefix(month.to_string());
    let tell = |step: Step| {
        let (name, part) = words(step);
        bar.inc(1);
        bar.set_message(name);
        if json {
            bar.suspend(|| say_step(month, to, name, part, true));
        }
        true
    };
    let done = rescheme(store, month, to, BY, &tell).await;
    bar.finish_and_clear();
    done?;
    if !json {
        say!("{month}  {to}");
    }
    Ok(())
}

fn words(step: Step) -> (&'static str, Option<Bounds>) {
    match step {
        Step::Begun => ("begun", None),
        Step::Copied(part) => ("copied", Some(part)),
        Step::Indexed => ("indexed", None),
        Step::Compared(part) => ("compared", Some(part)),
        Step::Swapped => ("swapped", None),
    }
}

fn say_step(month: Month, to: Scheme, step: &str, part: Option<Bounds>, json: bool) {
    if json {
        say!("{}", json!({ "name": month, "to": to.to_string(), "step": step, "part": part.map(scheme::name) }));
    } else {
        say!("{month}  {step}");
    }
}
