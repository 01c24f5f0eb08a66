//! From the migration runner's verdict to the phase of the service.

use std::time::Duration;

use crate::{
    http::{Lifecycle, Phase},
    migrate::{MigrateError, Runner, Verdict, checked},
    telemetry::Metrics,
};

/// How long to wait before the database is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// Who the history says applied the files of a start.
pub const APPLIED_BY: &str = concat!("progress-service ", env!("CARGO_PKG_VERSION"));

/// Applies what a start may and enters the phase that follows. Waits for a database that is not there yet; an error
/// means that this binary must not serve this database.
pub async fn settle(runner: &Runner, lifecycle: &Lifecycle, metrics: &Metrics) -> anyhow::Result<()> {
    loop {
        match runner.startup(APPLIED_BY, &|event| checked::observe(metrics, &event)).await {
            Ok(Verdict::Ready { applied }) => {
                tracing::info!(applied, "the schema is up to date");
                lifecycle.enter(Phase::Serving);
                return Ok(());
            }
            Ok(Verdict::Maintenance { pending, failed }) => {
                if let Some(failure) = failed {
                    tracing::error!(file = failure.file, error = failure.error, "a migration failed");
                }
                tracing::warn!(?pending, "migrations wait: see `progress-service migrations status`");
                lifecycle.enter(Phase::Maintenance { pending: pending.into() });
                return Ok(());
            }
            Ok(Verdict::Refuse { why }) => {
                anyhow::bail!("the schema does not fit this binary: {}", why.join("; "));
            }
            Err(MigrateError::Store(error)) if error.is_temporary() => {
                tracing::warn!(%error, "the database is not there yet; trying again");
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Looks again while migrations wait, so that the data plane opens when somebody has run them. Answers whether it
/// was this that opened it.
pub async fn watch(runner: Runner, lifecycle: Lifecycle, metrics: &Metrics) -> bool {
    let waited = matches!(lifecycle.phase(), Phase::Maintenance { .. });
    while matches!(lifecycle.phase(), Phase::Maintenance { .. }) {
        tokio::time::sleep(AGAIN).await;
        if let Err(error) = settle(&runner, &lifecycle, metrics).await {
            tracing::error!(%error, "still in maintenance");
        }
    }
    waited && lifecycle.phase() == Phase::Serving
}
