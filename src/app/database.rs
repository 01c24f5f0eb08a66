//! The database behind the service: the configured one, or one that the service starts itself.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::settings;
use crate::{
    config::Config,
    embedded::{self, Embedded, EmbeddedError},
    identity::{Identity, IdentityError},
    migrate::{self, MigrateError, Module, Runner, checks::Host},
    model::{Clock, Ids, Secret},
    store::{Endpoint, Store, StoreError, StoreSettings, door::pooler},
};

/// How long a command waits for a service beside it that starts or stops just now.
const PATIENCE: Duration = Duration::from_secs(20);
/// Connections to the database of another cell, for each kind of work.
const CELL_CONNECTIONS: usize = 4;
const AGAIN: Duration = Duration::from_millis(250);

/// How to reach the database, and the server itself when it is ours to stop.
pub struct Database {
    pub settings: StoreSettings,
    embedded: Option<Embedded>,
    /// Whether its files lie in our data folder, whoever started it.
    is_local: bool,
}

impl Database {
    /// Takes the configured database without connecting, or starts the embedded one and waits for it.
    pub async fn open(config: &Config, clock: &Clock, ids: &Ids) -> Result<Self, EmbeddedError> {
        if let Some(url) = &config.database.url {
            let owner = config.database.migration_url.as_ref().unwrap_or(url);
            return Ok(Self { settings: logins(config, url, owner), embedded: None, is_local: false });
        }
        let embedded = embedded::start(settings::embedded(config), clock, ids).await?;
        let settings = logins(config, embedded.service_url(), embedded.owner_url());
        Ok(Self { settings, embedded: Some(embedded), is_local: true })
    }

    /// Fails where a pooler stands between that gives each transaction another session. A database that does not answer
    /// is for whoever needs it to tell.
    pub async fn own_sessions(&self) -> Result<(), StoreError> {
        if self.is_local {
            return Ok(());
        }
        match pooler::own_sessions([&self.settings.service, &self.settings.owner]).await {
            Err(StoreError::MixedSessions) => Err(StoreError::MixedSessions),
            _ => Ok(()),
        }
    }

    /// The same for a command that may run beside a service: an embedded server that already runs is joined. One that
    /// is about to is waited for.
    pub async fn join(config: &Config, clock: &Clock, ids: &Ids) -> Result<Self, EmbeddedError> {
        if config.database.url.is_some() {
            return Self::open(config, clock, ids).await;
        }
        let began = Instant::now();
        loop {
            if let Some(logins) = embedded::attach(&config.service.data_dir).await? {
                let settings = self::logins(config, &logins.service, &logins.owner);
                return Ok(Self { settings, embedded: None, is_local: true });
            }
            match Self::open(config, clock, ids).await {
                Err(EmbeddedError::InUse { .. }) if began.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
                Err(EmbeddedError::InUse { folder, holder }) => return Err(EmbeddedError::Silent { folder, holder }),
                opened => return opened,
            }
        }
    }

    /// A server over a copy, which is somebody else's to stop.
    pub fn over_a_copy(settings: StoreSettings) -> Self {
        Self::beside(settings, true)
    }

    /// A server that somebody else holds.
    pub(super) fn beside(settings: StoreSettings, is_local: bool) -> Self {
        Self { settings, embedded: None, is_local }
    }

    /// Whether its files lie in our own folder.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Where to look for what the database does not tell: the data of an embedded server lie under our own folder,
    /// another server's disk cannot be seen from here.
    pub fn host(&self, config: &Config) -> Host {
        let data_directory = self.is_local.then(|| config.service.data_dir.clone());
        Host { data_directory, backup_marker: self.backup_marker(config) }
    }

    /// The file whose age is that of the last backup: the one that is named, or one of our own where the backups are.
    pub fn backup_marker(&self, config: &Config) -> Option<PathBuf> {
        let own = || self.is_local.then(|| config.service.data_dir.join("last-backup"));
        config.database.backup_marker.clone().or_else(own)
    }

    /// The migration runner for this database, with the plug-in modules the configuration names.
    pub fn runner(&self, config: &Config) -> Result<Runner, MigrateError> {
        let modules = migrate::modules::all(&config.migrations.plugin_dir.0)?;
        Ok(self.runner_of(modules, config))
    }

    /// The migration runner for this database and these modules.
    pub fn runner_of(&self, modules: Vec<Module>, config: &Config) -> Runner {
        Runner::new(modules, self.settings.owner.clone(), settings::migrations(config))
    }

    /// Who may do what over this database, for commands without a listener.
    pub fn identity(&self, config: &Config, clock: Clock, ids: Ids) -> Result<Identity, IdentityError> {
        Identity::new(Store::open(&self.settings)?, clock, ids, settings::identity(config))
    }

    /// Stops the embedded server; a configured one is somebody else's.
    pub async fn close(self) {
        if let Some(embedded) = self.embedded
            && let Err(error) = embedded.stop().await
        {
            tracing::warn!(%error, "the embedded database did not stop cleanly; it recovers at the next start");
        }
    }
}

/// How to reach the database of another cell, which is not ours to change.
pub fn cell(config: &Config, url: &Secret) -> StoreSettings {
    let settings = logins(config, url, url);
    StoreSettings { worker_connections: settings.worker_connections.min(CELL_CONNECTIONS), ..settings }
}

fn logins(config: &Config, service: &Secret, owner: &Secret) -> StoreSettings {
    let endpoint = |url: &Secret| Endpoint { url: url.clone(), ca_file: config.database.ca_file.clone() };
    settings::store(config, endpoint(service), endpoint(owner))
}
