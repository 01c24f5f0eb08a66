//! `serve`: the service itself, in the foreground.

use std::process::ExitCode;

use crate::app;

pub fn run() -> anyhow::Result<ExitCode> {
    let loaded = super::begin()?;
    let runtime = super::runtime()?;
    runtime.block_on(app::serve(&loaded.config))?;
    // A loop that does not stop must not hold the process: its work is safe to cut by design.
    runtime.shutdown_timeout(loaded.config.shutdown.hard);
    Ok(ExitCode::SUCCESS)
}
