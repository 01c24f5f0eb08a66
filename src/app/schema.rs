//! From the migration runner's verdict to whether the data plane may open.

use std::{sync::Arc, time::Duration};

use crate::{
    migrate::{MigrateError, Runner, Verdict, checked, standing},
    store::{Store, StoreError},
    telemetry::Metrics,
};

/// How long to wait before the database is asked again.
pub const AGAIN: Duration = Duration::from_secs(2);

/// Who the history says applied the files of a start.
pub const APPLIED_BY: &str = concat!("progress-service ", env!("CARGO_PKG_VERSION"));

/// How the schema stands to this binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Fits,
    /// These files wait for a person.
    Waits(Arc<[String]>),
}

/// What was said last, so that what stays as it is is said once.
#[derive(Debug, Default)]
pub struct Said(String);

impl Said {
    /// Whether this is news.
    pub fn is_news(&mut self, text: String) -> bool {
        let news = self.0 != text;
        self.0 = text;
        news
    }
}

/// Waits until the database answers, and refuses one whose sessions a pooler mixes.
pub async fn reach(store: &Store, said: &mut Said) -> anyhow::Result<()> {
    loop {
        match store.own_sessions().await {
            Err(error) if error.is_temporary() => wait(&error, said).await,
            answered => return Ok(answered?),
        }
    }
}

async fn wait(error: &StoreError, said: &mut Said) {
    if said.is_news(error.to_string()) {
        tracing::warn!(%error, "the database is not there yet; trying again");
    }
    tokio::time::sleep(AGAIN).await;
}

/// Applies what a start may and judges the schema. Waits for a database that is not there yet; an error means that this
/// binary must not serve this database.
pub async fn settle(runner: &Runner, metrics: &Metrics, said: &mut Said) -> anyhow::Result<Standing> {
    loop {
        match runner.startup(APPLIED_BY, &|event| checked::observe(metrics, &event)).await {
            Ok(Verdict::Ready { applied }) => {
                tracing::info!(applied, "the schema is up to date");
                return Ok(Standing::Fits);
            }
            Ok(Verdict::Maintenance { pending, failed }) => {
                if said.is_news(format!("{pending:?} {failed:?}")) {
                    if let Some(failure) = failed {
                        tracing::error!(file = failure.file, error = failure.error, "a migration failed");
                    }
                    tracing::warn!(?pending, "migrations wait: see `progress-service migrations status`");
                }
                return Ok(Standing::Waits(pending.into()));
            }
            Ok(Verdict::Refuse { why }) => {
                anyhow::bail!("the schema does not fit this binary: {}", why.join("; "));
            }
            Err(MigrateError::Store(error)) if error.is_temporary() => wait(&error, said).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether this node may serve on; nothing is changed. `None` where the service's own login may not look.
pub async fn look(runner: &Runner, store: &Store) -> Result<Option<Standing>, StoreError> {
    let Some(waits) = standing::look(runner, store).await? else { return Ok(None) };
    Ok(Some(if waits.is_empty() { Standing::Fits } else { Standing::Waits(waits.into()) }))
}
