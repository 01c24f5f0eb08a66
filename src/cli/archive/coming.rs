//! `archive plan`: what the schedule does next. `partitions plan` prints the same.

use std::process::ExitCode;

use serde_json::json;

use super::Desk;
use crate::{
    app,
    archive::{
        Archive,
        plan::{Coming, coming},
    },
    config::Config,
    model::Clock,
};

pub async fn run(desk: &Desk<'_>) -> anyhow::Result<ExitCode> {
    print(desk.config, &desk.archive, desk.json).await
}

pub(in crate::cli) async fn print(config: &Config, archive: &Archive, json: bool) -> anyhow::Result<ExitCode> {
    let schedule = app::schedule(config);
    let (plan, now) = (coming(&schedule, &archive.standings().await?), Clock::system().now());
    for one in &plan {
        let Coming { month, state, act, at } = one;
        if json {
            say!("{}", json!({ "name": month, "state": state.name(), "act": act.name(), "at": at, "due": *at <= now }));
        } else {
            let due = if *at <= now { "due" } else { "" };
            say!("{month}  {:<8}  {:<7}  {}  {due}", state.name(), act.name(), at.format("%Y-%m-%d %H:%M"));
        }
    }
    if schedule.hot_months.is_none() && !json {
        say!("there is no schedule: archive.hot_months is not set, and months leave by hand alone");
    } else if plan.is_empty() && !json {
        say!("nothing comes");
    }
    Ok(ExitCode::SUCCESS)
}
