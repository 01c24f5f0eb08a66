//! `erasure scrub`: what was removed leaves the free space of table pages too.

use std::{process::ExitCode, time::Duration};

use super::Desk;
use crate::store::ledger::scrub;

/// How long one table may take.
const LONGEST: Duration = Duration::from_hours(12);

/// How long transactions that began before are waited for.
const PATIENCE: Duration = Duration::from_mins(5);

pub async fn run(desk: &Desk<'_>, apply: bool) -> anyhow::Result<ExitCode> {
    let tables = scrub::tables(&desk.store).await?;
    if apply {
        scrub::until_unseen(&desk.store, PATIENCE).await?;
    }
    for (table, bytes) in &tables {
        let size = indicatif::BinaryBytes(bytes.unsigned_abs());
        if apply {
            scrub::rewrite(&desk.store, table, LONGEST).await?;
            say!("{table}  {size}  rewritten");
        } else {
            say!("{table}  {size}");
        }
    }
    if apply {
        scrub::samples(&desk.store, LONGEST).await?;
        scrub::checkpoint(&desk.store).await?;
    } else {
        say!("nothing was done; --apply rewrites them one by one, each locked meanwhile");
    }
    Ok(ExitCode::SUCCESS)
}
