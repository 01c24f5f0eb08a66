//! What the metrics learn of migrations: read from the attempts, so that a command's run counts like one of this process.

use std::{collections::BTreeMap, sync::Weak, time::Duration};

use tokio::{sync::Mutex, time::timeout};

use super::modules::Module;
use crate::{
    store::{
        As, Store, StoreError,
        schema::migrations::told::{self, Told},
    },
    telemetry::Metrics,
};

/// How long a database that says nothing may hold up who wants the metrics.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a process looks for what others did.
const PAUSE: Duration = Duration::from_secs(5);

/// Looks again and again, as long as anybody else has the tally.
pub async fn keep(tally: Weak<Tally>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        match tally.upgrade() {
            Some(tally) => tally.update().await,
            None => return,
        }
    }
}

/// Counts every attempt that ends while this process lives, whoever made it.
pub struct Tally {
    store: Store,
    metrics: Metrics,
    schemas: Vec<String>,
    /// The last attempt that was counted, by schema; absent before the first look.
    seen: Mutex<Option<BTreeMap<String, i64>>>,
}

impl Tally {
    pub fn new(store: Store, metrics: Metrics, modules: &[Module]) -> Self {
        let schemas = modules.iter().map(|module| module.schema.clone()).collect();
        Self { store, metrics, schemas, seen: Mutex::default() }
    }

    /// Counts what ended since the last look. The first look counts nothing: what was done before this process began is
    /// not its to tell. A database that cannot be read now is read the next time.
    pub async fn update(&self) {
        match timeout(PATIENCE, self.look()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the attempts of migrations cannot be read"),
            Err(_) => tracing::debug!("the attempts of migrations cannot be read in time"),
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let mut seen = self.seen.lock().await;
        let Some(seen) = seen.as_mut() else {
            *seen = Some(self.last().await?);
            return Ok(());
        };
        for schema in &self.schemas {
            let from = seen.get(schema).copied().unwrap_or(0);
            let look = self.store.run_tx("migration_told", As::Nobody, |tx| Box::pin(told::after(tx, schema, from)));
            for one in look.await? {
                self.count(&one);
                seen.insert(schema.clone(), one.id);
            }
        }
        Ok(())
    }

    async fn last(&self) -> Result<BTreeMap<String, i64>, StoreError> {
        let mut last = BTreeMap::new();
        for schema in &self.schemas {
            let look = self.store.run_tx("migration_told_last", As::Nobody, |tx| Box::pin(told::last(tx, schema)));
            last.insert(schema.clone(), look.await?);
        }
        Ok(last)
    }

    fn count(&self, told: &Told) {
        let metrics = &self.metrics.migrations;
        let Told { action, outcome, seconds, rows, caused_wait_seconds, .. } = told;
        caused_wait_seconds.iter().for_each(|seconds| metrics.caused_wait_seconds.observe(*seconds));
        match (action.as_str(), outcome.as_str()) {
            ("run", outcome) => metrics.runs.with_label_values(&[outcome]).inc(),
            ("up" | "down" | "baseline", outcome @ ("applied" | "undone" | "recorded")) => {
                metrics.files.with_label_values(&[outcome]).inc();
                metrics.file_seconds.observe(seconds.max(0.0));
                metrics.rows.inc_by(rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0));
            }
            ("up" | "down" | "baseline", _) => metrics.files.with_label_values(&["failed"]).inc(),
            _ => {}
        }
    }
}
