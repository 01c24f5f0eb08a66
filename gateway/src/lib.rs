//! progress-gateway: archived months of progress-service as tables that PostgreSQL's own foreign tables read, and people at `psql`.
//!
//! A program of its own, because its engine is as large as the whole service. Of the service it uses the reader of segments, the
//! door to the objects, the model and the configuration; `tests/it/house.rs` holds it to that. It never writes to the archive.

pub mod data;
pub mod engine;
pub mod fault;
pub mod sql;
pub mod wire;

use std::sync::Arc;

use anyhow::Context;
use progress_service::{
    config::Config,
    objects::{Objects, segment::Cache},
};

use crate::{
    data::shelf::Shelf,
    engine::Engine,
    wire::{
        cancel::Cancels,
        listen::{Gateway, Listening},
        login::Desk,
        logins::Logins,
        socket::Tls,
    },
};

/// Opens everything that the configuration names, and listens.
pub async fn open(config: &Config) -> anyhow::Result<Listening> {
    let gateway = &config.gateway;
    let file = gateway.logins_file.as_deref();
    let file = file.context("gateway.logins_file is not set: `progress-gateway login` prints what belongs into it")?;
    let logins = Logins::open(file)?;
    let tls = Tls::open(gateway).context("gateway.tls_cert_file and gateway.tls_key_file cannot be used")?;
    let folder = config.service.data_dir.join("gateway");
    let objects = Objects::open(&config.archive, &config.service.data_dir)?;
    let cache = match gateway.cache.0 {
        0 => None,
        bytes => Some(Cache::open(&folder.join("cache"), bytes as u64)?),
    };
    let engine = Engine::new(gateway, &folder.join("spill"))?;
    let desk = Desk { logins, cancels: Cancels::default(), encrypted: tls.is_some(), secret: rand::random() };
    let max_connections = gateway.max_connections;
    let gateway_here =
        Gateway { desk: Arc::new(desk), tls, shelf: Shelf::new(objects, cache), engine, max_connections };
    let address = gateway.listen;
    gateway_here.listen(address).await.with_context(|| format!("gateway.listen: {address} cannot be listened on"))
}
