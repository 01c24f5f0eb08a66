//! Backups of the whole database: made by PostgreSQL's own means, sealed, kept in a folder or a bucket, verified on a server of their
//! own, and brought back.
//!
//! Everything there is to know of a backup lies beside it, so that it outlives the database: `<id>/volume-…` is the stream,
//! `<id>/manifest.json` makes a backup of it, `<id>/verified.json` says what its verification found. `log/<server>/…` are files of the
//! server's log. What has no manifest is what a crash left, and `prune` takes it.

pub mod ask;
mod error;
mod log;
mod make;
mod place;
pub mod plan;
mod restore;
mod seal;
mod stream;
mod tools;
pub mod upgrade;
mod verify;
mod volumes;

use std::path::PathBuf;

pub use self::{
    error::BackupError,
    make::{Live, Order},
    place::Place,
    restore::Recovered,
    seal::Key,
    tools::Tools,
};
use crate::{
    embedded::Options,
    model::{Clock, Ids},
    objects::Objects,
    store::StoreSettings,
};

/// What backups are made, verified and restored with.
pub struct Backups {
    pub place: Place,
    pub tools: Tools,
    /// How servers are started over what comes back, and where.
    pub embedded: Options,
    /// Where copies are unpacked to be looked at.
    pub scratch: PathBuf,
    /// Where the segments lie that a backup names.
    pub archive: Objects,
    /// How stores over a copy are opened; the logins are others.
    pub doors: StoreSettings,
    /// The schemas of this binary, and its migrations as `schema/file`.
    pub schemas: Vec<String>,
    pub known: Vec<String>,
    pub clock: Clock,
    pub ids: Ids,
}
