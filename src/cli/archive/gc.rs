//! `archive gc`: what nobody needs any more.

use std::process::ExitCode;

use serde_json::Value;

use super::{Apply, Desk, bytes};
use crate::archive::{gc::Leftover, jobs};

pub async fn run(desk: &Desk<'_>, apply: &Apply) -> anyhow::Result<ExitCode> {
    let leftovers = desk.archive.leftovers().await?;
    if !desk.json {
        for leftover in &leftovers {
            let (why, objects, size) = (leftover.why(), leftover.keys.len(), bytes(leftover.bytes()));
            let named = leftover.name.map(|name| format!("{}  {}  r{}  ", name.month, name.tenant, name.revision));
            say!("{}{why}: {objects} objects, {size}", named.unwrap_or_default());
            leftover.keys.iter().for_each(|(key, _)| say!("  {key}"));
        }
        if leftovers.is_empty() {
            say!("there is nothing to remove");
            return Ok(ExitCode::SUCCESS);
        }
    }
    let plan: Vec<Value> = leftovers.iter().map(Leftover::to_json).collect();
    desk.perform(jobs::GC, None, &plan, apply).await
}
