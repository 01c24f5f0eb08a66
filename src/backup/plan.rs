//! What is known of a backup, and what follows from it: which one is meant, which is due, which may go, whether what came back is
//! what went in. Pure.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The form of manifests that this release writes; it reads this one and every earlier.
pub const FORMAT: u32 = 1;

/// How a backup was made, and so how it is brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The embedded server's whole folder.
    Embedded,
    /// The whole cluster of a configured server, by `pg_basebackup`.
    Cluster,
    /// The database as `pg_dump` writes it, for another server or version.
    Dump,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Cluster => "cluster",
            Self::Dump => "dump",
        }
    }
}

/// One object of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub key: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The statements of one tenant in one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub tenant: Uuid,
    pub month: String,
    pub rows: i64,
    /// Of the rows in any order.
    pub digest: String,
}

/// A segment of the archive that the database names. Its objects are not in the backup: they lie in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub tenant: Uuid,
    pub month: String,
    pub revision: u32,
    pub rows: i64,
    pub digest: String,
}

/// The server that was backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Its own number, which a copy of its files shares.
    pub system: String,
    pub major: u32,
    pub database: String,
    pub owner: String,
    pub service: String,
    pub superuser: String,
}

/// What lies beside the volumes of a backup, and is written last: without it there is no backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    pub id: String,
    pub kind: Kind,
    pub reason: String,
    /// The release of the service that made it.
    pub release: String,
    pub began_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    pub server: Server,
    pub installation: Uuid,
    pub epoch: i64,
    /// Whether the whole was dumped, or only this schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The migrations that were applied.
    pub migrations: Vec<String>,
    /// Under which key it is sealed; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub volumes: Vec<Volume>,
    /// Up to when statements count.
    pub bound: DateTime<Utc>,
    /// The statements there were when it began.
    pub before: Vec<Cell>,
    /// The same when it ended, where something was removed meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Cell>,
    pub segments: Vec<Segment>,
    /// The first file of the server's log that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_log: Option<String>,
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.bytes).sum()
    }

    pub fn statements(&self) -> i64 {
        self.before.iter().map(|cell| cell.rows).sum()
    }

    /// What this binary cannot know of it: it was made by a newer release.
    pub fn unknown_to<'m>(&'m self, known: &[String]) -> Vec<&'m str> {
        self.migrations.iter().filter(|file| !known.contains(file)).map(String::as_str).collect()
    }
}

/// What a verification found. It stands beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    pub at: DateTime<Utc>,
    /// Empty where the backup is good.
    pub faults: Vec<String>,
    pub statements: i64,
    pub tables: usize,
    pub rows: i64,
}

impl Verified {
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A backup as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub manifest: Manifest,
    pub verified: Option<Verified>,
}

impl Kept {
    pub fn is_good(&self) -> bool {
        self.verified.as_ref().is_some_and(Verified::is_good)
    }
}

/// The one that is meant: by its id or how it begins, `latest`, or `verified` for the latest that was found good.
pub fn named<'k>(kept: &'k [Kept], name: &str) -> Result<&'k Kept, String> {
    let mut fits: Vec<&Kept> = match name {
        "latest" => kept.iter().collect(),
        "verified" => kept.iter().filter(|one| one.is_good()).collect(),
        id => kept.iter().filter(|one| one.manifest.id.starts_with(id)).collect(),
    };
    fits.sort_by_key(|one| one.manifest.ended_at);
    match (fits.as_slice(), name) {
        ([], "latest") => Err("there is no backup yet: `progress-service backup make` makes one".to_owned()),
        ([], "verified") => Err("no backup was verified and found good: `progress-service backup verify`".to_owned()),
        ([], id) => Err(format!("there is no backup {id:?}: `progress-service backup list` prints them")),
        ([one], _) | ([.., one], "latest" | "verified") => Ok(one),
        (more, id) => Err(format!("{} backups begin with {id:?}: give more of the id", more.len())),
    }
}

/// What is to be done now by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Make,
    /// The newest was made and not verified yet.
    Verify,
    Nothing,
}

/// The schedule counts whole backups alone: a dump of one schema is none.
pub fn due(kept: &[Kept], every: Duration, now: DateTime<Utc>) -> Due {
    let whole = kept.iter().filter(|one| one.manifest.schema.is_none());
    let Some(newest) = whole.max_by_key(|one| one.manifest.ended_at) else { return Due::Make };
    match age(newest.manifest.ended_at, now) {
        old if old >= every => Due::Make,
        _ if newest.verified.is_none() => Due::Verify,
        _ => Due::Nothing,
    }
}

/// When the newest was made whose verification found it good.
pub fn last_good(kept: &[Kept]) -> Option<DateTime<Utc>> {
    let good = kept.iter().filter(|one| one.is_good() && one.manifest.schema.is_none());
    good.map(|one| one.manifest.ended_at).max()
}

/// Whether somebody should be woken: the newest good one is older than two rounds of the schedule.
pub fn is_overdue(kept: &[Kept], every: Duration, now: DateTime<Utc>) -> bool {
    last_good(kept).is_none_or(|at| age(at, now) > every * 2)
}

fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - at).to_std().unwrap_or_default()
}

/// Those that may go: older than `keep_for`, and not among the `keep` newest. The newest good one always stays.
pub fn superfluous(kept: &[Kept], keep: usize, keep_for: Duration, now: DateTime<Utc>) -> Vec<&Kept> {
    let mut all: Vec<&Kept> = kept.iter().collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.manifest.ended_at));
    let good = last_good(kept);
    let is_old = |one: &&Kept| age(one.manifest.ended_at, now) > keep_for && Some(one.manifest.ended_at) != good;
    all.into_iter().skip(keep.max(1)).filter(is_old).collect()
}

/// Files of the log that no backup needs any more: those before the first that the oldest of them needs. Names begin with the
/// timeline, which says nothing of the order.
pub fn superfluous_log<'n>(names: &'n [String], kept: &[Kept]) -> Vec<&'n str> {
    let files = kept.iter().filter(|one| one.manifest.kind != Kind::Dump);
    // One that does not say where it begins may need all there is.
    let begins: Option<Vec<&str>> = files.map(|one| one.manifest.first_log.as_deref()?.get(8..)).collect();
    let needed = begins.and_then(|begins| begins.into_iter().min());
    let Some(needed) = needed else { return Vec::new() };
    names.iter().map(String::as_str).filter(|name| is_log(name) && name.get(8..) < Some(needed)).collect()
}

/// Whether this is the name of a file of the server's log, and not of something that lies beside.
pub fn is_log(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What did not come back as it went in. Where something was removed while the backup was made, it may come back as it was before
/// or after, or in between.
pub fn differences(before: &[Cell], after: &[Cell], found: &[Cell]) -> Vec<String> {
    let by_place = |cells: &'_ [Cell]| -> BTreeMap<(Uuid, String), (i64, String)> {
        cells.iter().map(|c| ((c.tenant, c.month.clone()), (c.rows, c.digest.clone()))).collect()
    };
    let (before, ended, found) = (by_place(before), by_place(after), by_place(found));
    let after = if after.is_empty() { &before } else { &ended };
    let nothing = (0, String::new());
    let places: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).chain(found.keys()).collect();
    let mut faults = Vec::new();
    for place @ (tenant, month) in places {
        let of = |cells: &BTreeMap<(Uuid, String), (i64, String)>| cells.get(place).unwrap_or(&nothing).clone();
        let ((b_rows, b_digest), (a_rows, a_digest), (rows, digest)) = (of(&before), of(after), of(&found));
        if rows < b_rows.min(a_rows) || rows > b_rows.max(a_rows) {
            faults.push(format!("{month} of tenant {tenant} had {b_rows} statements, and {rows} came back"));
        } else if b_digest == a_digest && digest != b_digest {
            faults.push(format!("{month} of tenant {tenant} came back with other statements: their digest differs"));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
