//! `erasure log`, `erasure replay`: what a backup that is older than an erasure has to be told.

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::json;

use super::{BY, Desk};
use crate::{
    app,
    erasure::log::{Logged, Replayed},
    model::{Clock, Ids},
    objects::Objects,
    telemetry::Metrics,
};

/// Where entries lie in the archive's storage; what begins with an underscore readers of segments pass over.
const FOLDER: &str = "_erasures";

pub async fn print(desk: &Desk<'_>) -> anyhow::Result<ExitCode> {
    for entry in desk.erasures.whole_log().await? {
        say!("{}", serde_json::to_string(&entry)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn objects(desk: &Desk<'_>) -> anyhow::Result<Objects> {
    let (clock, ids, metrics) = (Clock::system(), Ids::random(), Metrics::new()?);
    Ok(app::archive(desk.config, &desk.store, &clock, &ids, &metrics)?.objects)
}

pub async fn replay(desk: &Desk<'_>, log: Option<&Path>, apply: bool) -> anyhow::Result<ExitCode> {
    let entries = match log {
        Some(path) => of_file(path)?,
        None => of_storage(&objects(desk)?).await?,
    };
    for entry in &entries {
        if !apply {
            let is_known = desk.erasures.get(entry.id).await?.is_some_and(|known| known.state.is_over());
            say!("{}  {}  {}", entry.id, entry.tenant, if is_known { "is known" } else { "would be done again" });
            continue;
        }
        let replayed = desk.erasures.replay(entry, BY).await?;
        let what = match replayed {
            Replayed::Known => "is known",
            Replayed::GoesOn => "goes on",
            Replayed::Again => "is done again",
            Replayed::Nobody => "nothing of them is there",
        };
        if desk.json {
            say!("{}", json!({ "id": entry.id, "tenant": entry.tenant, "is": what }));
        } else {
            say!("{}  {}  {what}", entry.id, entry.tenant);
        }
        if matches!(replayed, Replayed::GoesOn | Replayed::Again) {
            Box::pin(desk.go_on(entry.id)).await?;
            if !desk.get(entry.id).await?.state.is_over() {
                anyhow::bail!(
                    "the erasure {} was not done again: `progress-service erasure status {}`",
                    entry.id,
                    entry.id
                );
            }
        }
    }
    if entries.is_empty() && !desk.json {
        say!("the log has no entries");
    } else if !apply {
        say!("nothing was done; --apply does it");
    }
    Ok(ExitCode::SUCCESS)
}

fn of_file(path: &Path) -> anyhow::Result<Vec<Logged>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let entry = |(at, line): (usize, &str)| {
        serde_json::from_str(line)
            .with_context(|| format!("line {} of {} is no entry of a log", at + 1, path.display()))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(entry).collect()
}

async fn of_storage(objects: &Objects) -> anyhow::Result<Vec<Logged>> {
    let mut entries = Vec::new();
    for (key, _) in objects.list(FOLDER).await? {
        let bytes: Bytes = objects.get(&key).await?;
        let entry: Logged = serde_json::from_slice(&bytes).with_context(|| format!("{key} is no entry of a log"))?;
        entries.push(entry);
    }
    entries.sort_by_key(|entry| entry.stamp);
    Ok(entries)
}
