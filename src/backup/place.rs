//! Where backups lie, and what lies beside them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    BackupError, Key,
    plan::{FORMAT, Kept, Manifest, Verified},
};
use crate::objects::{Objects, ObjectsError};

const MANIFEST: &str = "manifest.json";
const VERIFIED: &str = "verified.json";
/// A volume that began so long ago and has no manifest yet is nobody's any more.
const ABANDONED: i64 = 2 * 86_400;

/// A folder or a bucket with backups, and the key to them; clones share the count of what was moved.
#[derive(Clone)]
pub struct Place {
    pub objects: Objects,
    pub key: Option<Key>,
    moved: Arc<AtomicU64>,
}

/// A document with its own digest: a changed byte is told.
#[derive(serde::Serialize, serde::Deserialize)]
struct Sheet {
    kind: String,
    sha256: String,
    text: String,
}

const KIND: &str = "progress-service backup";

impl Place {
    pub fn new(objects: Objects, key: Option<Key>) -> Self {
        Self { objects, key, moved: Arc::default() }
    }

    /// How many bytes went there or came from there by this process.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.moved)
    }

    /// Every backup, the oldest first.
    pub async fn list(&self) -> Result<Vec<Kept>, BackupError> {
        let mut kept = Vec::new();
        for id in self.ids().await? {
            match self.sheet::<Manifest>(&format!("{id}/{MANIFEST}")).await {
                Ok(Some(manifest)) => {
                    let verified = self.sheet(&format!("{id}/{VERIFIED}")).await?;
                    kept.push(Kept { manifest, verified });
                }
                // What a crash left.
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        kept.sort_by_key(|one| one.manifest.ended_at);
        Ok(kept)
    }

    /// The folders of backups, whole or not.
    async fn ids(&self) -> Result<Vec<String>, BackupError> {
        let listed = self.objects.list("").await.map_err(|source| self.failed("backups", "listed", source))?;
        let folder = |(key, _): &(String, u64)| key.split_once('/').map(|(folder, _)| folder.to_owned());
        let mut ids: Vec<String> = listed.iter().filter_map(folder).filter(|id| is_id(id)).collect();
        ids.dedup();
        Ok(ids)
    }

    async fn sheet<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, BackupError> {
        let bytes = match self.objects.get(key).await {
            Err(ObjectsError::NotFound(_)) => return Ok(None),
            bytes => bytes.map_err(|source| self.failed(key, "read", source))?,
        };
        let damaged = |rule: String| BackupError::Damaged { what: key.to_owned(), rule };
        let sheet: Sheet = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        if sheet.kind != KIND {
            return Err(damaged(format!("it is no {KIND}")));
        }
        if hex::encode(Sha256::digest(&sheet.text)) != sheet.sha256 {
            return Err(damaged("its text has another SHA-256 than it says".to_owned()));
        }
        let format: serde_json::Value = serde_json::from_str(&sheet.text).map_err(|e| damaged(e.to_string()))?;
        if let Some(newer) = format["format"].as_u64().filter(|format| *format > FORMAT.into()) {
            let release = format["release"].as_str().unwrap_or("of an unknown name").to_owned();
            let id = key.split('/').next().unwrap_or(key).to_owned();
            return Err(BackupError::Newer { id, release, what: format!("format {newer}, and this one {FORMAT}") });
        }
        serde_json::from_value(format).map(Some).map_err(|e| damaged(e.to_string()))
    }

    async fn put_sheet(&self, key: &str, document: &impl Serialize) -> Result<(), BackupError> {
        let damaged = |e: serde_json::Error| BackupError::Damaged { what: key.to_owned(), rule: e.to_string() };
        let text = serde_json::to_string(document).map_err(damaged)?;
        let sheet = Sheet { kind: KIND.to_owned(), sha256: hex::encode(Sha256::digest(&text)), text };
        let bytes = serde_json::to_vec(&sheet).map_err(damaged)?;
        self.objects.put(key, Bytes::from(bytes)).await.map_err(|source| self.failed(key, "written", source))
    }

    pub(super) async fn finish(&self, manifest: &Manifest) -> Result<(), BackupError> {
        self.put_sheet(&format!("{}/{MANIFEST}", manifest.id), manifest).await
    }

    pub(super) async fn note(&self, id: &str, verified: &Verified) -> Result<(), BackupError> {
        self.put_sheet(&format!("{id}/{VERIFIED}"), verified).await
    }

    /// Removes a backup: its manifest first, so that no half of one is ever taken for a backup.
    pub async fn remove(&self, id: &str) -> Result<(), BackupError> {
        let manifest = format!("{id}/{MANIFEST}");
        self.objects.delete(&manifest).await.map_err(|source| self.failed(&manifest, "removed", source))?;
        let rest = self.objects.list(id).await.map_err(|source| self.failed(id, "listed", source))?;
        for (key, _) in rest {
            self.objects.delete(&key).await.map_err(|source| self.failed(&key, "removed", source))?;
        }
        Ok(())
    }

    /// What crashes left: folders without a manifest, by their names begun long ago.
    pub async fn leftovers(&self, now: DateTime<Utc>) -> Result<Vec<String>, BackupError> {
        let whole: Vec<String> = self.list().await?.into_iter().map(|one| one.manifest.id).collect();
        let is_old = |id: &str| begun(id).is_some_and(|at| (now - at).num_seconds() > ABANDONED);
        Ok(self.ids().await?.into_iter().filter(|id| !whole.contains(id) && is_old(id)).collect())
    }

    pub(super) fn failed(&self, what: &str, doing: &'static str, source: ObjectsError) -> BackupError {
        BackupError::Objects { what: what.to_owned(), doing, source }
    }
}

/// A name for a backup that begins now: names are in the order of time.
pub(super) fn name(now: DateTime<Utc>, random: [u8; 4]) -> String {
    format!("{}-{}", now.format("%Y%m%d-%H%M%S"), hex::encode(random))
}

fn begun(id: &str) -> Option<DateTime<Utc>> {
    let text = id.get(..15)?;
    chrono::NaiveDateTime::parse_from_str(text, "%Y%m%d-%H%M%S").ok().map(|at| at.and_utc())
}

fn is_id(folder: &str) -> bool {
    folder.len() == 24 && begun(folder).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_when_it_began() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let name = name(now, [1, 2, 3, 4]);
        assert_eq!((name.as_str(), begun(&name)), ("20270115-080000-01020304", Some(now)));
        assert!(is_id(&name) && !is_id("log") && !is_id("tenant=00000000-0000-000"));
    }
}
