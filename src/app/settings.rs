//! The configuration in the words of each room, so that no room needs to know the configuration of another.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    archive::plan::Schedule,
    config::Config,
    embedded,
    http::pages,
    identity::{self, ClientSettings, IdentitySettings, IssuerSettings},
    ingest::IngestSettings,
    migrate,
    objects::shelf::ShelfSettings,
    projections::silence::Patience,
    store::{Endpoint, PoolSettings, StoreSettings, schema::migrations::Budget},
};

/// The doors' settings for these two logins.
pub fn store(config: &Config, service: Endpoint, owner: Endpoint) -> StoreSettings {
    let database = &config.database;
    StoreSettings {
        service,
        owner,
        pool: PoolSettings {
            connections: database.pool_size,
            wait: database.acquire_timeout,
            connect_timeout: database.connect_timeout,
            statement_timeout: database.statement_timeout,
            lock_timeout: database.lock_timeout,
            ..PoolSettings::default()
        },
        worker_connections: database.worker_pool_size,
    }
}

/// Where the database lives when none is configured. The programs stay beside it, fetched once.
pub fn embedded(config: &Config) -> embedded::Options {
    let data_dir = config.service.data_dir.clone();
    let (cache_dir, keeps_log) = (data_dir.join("programs"), config.backup.log);
    embedded::Options { data_dir, programs: config.service.pg_bin.clone(), cache_dir, port: None, keeps_log }
}

pub fn identity(config: &Config) -> IdentitySettings {
    let auth = &config.auth;
    let issuer = auth.issuer.as_ref().zip(auth.audience.as_ref()).map(|(issuer, audience)| IssuerSettings {
        issuer: issuer.clone(),
        audience: audience.clone(),
        jwks_url: auth.jwks_url.clone(),
        cache: auth.jwks_cache,
        pause: auth.jwks_pause,
        ca_file: auth.ca_file.clone(),
        allow_http: auth.allow_http,
        client: client(config),
    });
    IdentitySettings {
        account_home_page: auth.account_home_page.clone(),
        credential_cache: auth.credential_cache,
        issuer,
    }
}

/// As which client people sign in to the pages.
fn client(config: &Config) -> Option<ClientSettings> {
    let (pages, url) = (&config.pages, config.service.public_url.as_ref()?.trim_end_matches('/'));
    Some(ClientSettings {
        id: pages.oidc_client_id.clone()?,
        secret: pages.oidc_client_secret.clone(),
        scopes: pages.oidc_scopes.clone(),
        redirect: format!("{url}{}", pages::CALLBACK),
        signed_out: format!("{url}{}", pages::SIGN_IN),
    })
}

/// When months leave.
pub fn schedule(config: &Config) -> Schedule {
    let archive = &config.archive;
    Schedule { hot_months: archive.hot_months, seal_after: archive.seal_after, drop_after: archive.drop_after }
}

pub fn ingest(config: &Config) -> IngestSettings {
    IngestSettings {
        queue_kib: u32::try_from(config.ingest.queue.0 >> 10).unwrap_or(u32::MAX),
        group_statements: config.ingest.group_size,
        writers: config.ingest.writers,
        group_delay: config.ingest.group_delay,
        longest_wait: match config.database.statement_timeout {
            Duration::ZERO => Duration::MAX,
            bounded => bounded,
        },
    }
}

/// How archived months are read by a service; another process has no cache.
pub fn shelf(config: &Config) -> ShelfSettings {
    ShelfSettings::of(&config.archive, Some(&config.service.data_dir.join("cache").join("segments")))
}

/// The same for another process, which has no cache.
pub fn shelf_of_command(config: &Config) -> ShelfSettings {
    ShelfSettings::of(&config.archive, None)
}

/// The Agent that says what the service says by itself.
pub fn own_authority(config: &Config) -> Map<String, Value> {
    identity::account(&config.auth.account_home_page, "progress-service")
}

/// When a registration counts as silent.
pub fn silence(config: &Config) -> Patience {
    Patience { met: config.cmi5.met_after, unmet: config.cmi5.silent_after }
}

/// The migration runner's patience.
pub fn migrations(config: &Config) -> migrate::Settings {
    let keys = &config.migrations;
    migrate::Settings {
        budget: Budget {
            lock_timeout: keys.lock_timeout,
            lock_tries: keys.lock_tries,
            wait_limit: keys.wait_limit,
            statement_timeout: keys.statement_timeout,
            autocommit_timeout: keys.autocommit_timeout,
        },
        patience: keys.wait,
    }
}
