//! `archive verify`: published segments, read again.

use std::process::ExitCode;

use super::{Desk, exit};
use crate::{
    archive::jobs,
    model::{job::State, partition::Month, plan::digest},
};

pub async fn run(desk: &Desk<'_>, month: Option<Month>) -> anyhow::Result<ExitCode> {
    let job = desk.follow(jobs::VERIFY, month, &digest(&month)).await?;
    let problems = job.outcome.as_ref().and_then(|outcome| outcome["problems"].as_array()).map_or(0, Vec::len);
    Ok(match job.state {
        State::Succeeded => ExitCode::SUCCESS,
        _ if problems > 0 => ExitCode::from(exit::FOUND),
        _ => ExitCode::from(exit::FAILED),
    })
}
