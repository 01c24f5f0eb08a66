//! The one way to the database for commands, all of which may run beside a service that has it open.

use crate::{
    app::Database,
    cold::Cold,
    config::Config,
    model::{Clock, Ids},
    objects::shelf::{Shelf, ShelfSettings},
    store::Store,
    telemetry::Metrics,
};

/// Runs `work` over the configured database. An embedded server that runs already is joined; only one that was started
/// here is stopped again.
pub async fn with_database<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let database = Database::join(config, &Clock::system(), &Ids::random()).await?;
    database.own_sessions().await?;
    let done = work(&database).await;
    database.close().await;
    done
}

/// The way to archived months for a command: without a cache on disk, which belongs to the service.
pub fn cold(store: Store, config: &Config) -> anyhow::Result<Cold> {
    let settings = ShelfSettings::of(&config.archive, None);
    Ok(Cold::new(store, Shelf::new(&config.archive, &config.service.data_dir, settings, Metrics::new()?)))
}
