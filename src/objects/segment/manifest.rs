//! The sidecar of a segment: what it holds, whose it is, and which objects it is made of. A segment is published when its
//! manifest is there.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Place, Row, SegmentError,
    digest::{BLOCK, CHECK, Content},
    schema::FORMAT,
};
use crate::{
    model::TenantId,
    objects::{Objects, ObjectsError},
};

const KIND: &str = "progress-service segment manifest";
/// The form of the manifest itself.
const VERSION: u32 = 1;
/// Longer is none: of a part of 256 MiB come 44 KB.
const LONGEST: u64 = 64 << 20;
/// Of so many different verbs each has its own count; the statements with others are counted together, under no name.
const MOST_VERBS: usize = 10_000;

/// Whose a segment is. A clone of a database has another epoch than its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub installation: Uuid,
    pub epoch: u64,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "installation {} in epoch {}", self.installation, self.epoch)
    }
}

/// What a segment or one of its parts holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub rows: u64,
    pub first_stored: DateTime<Utc>,
    pub last_stored: DateTime<Utc>,
    /// The content digest: of the rows in their order.
    pub digest: String,
}

/// A summary in the making.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    rows: u64,
    span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    content: Content,
}

impl Tally {
    pub fn of(tenant: TenantId) -> Self {
        Self { rows: 0, span: None, content: Content::of(tenant) }
    }

    pub fn add(&mut self, row: &Row, digest: &[u8; 32]) {
        self.rows += 1;
        self.span = Some((self.span.map_or(row.stored, |(first, _)| first), row.stored));
        self.content.add(digest);
    }

    /// `None` of nothing.
    pub fn summary(&self) -> Option<Summary> {
        let (first_stored, last_stored) = self.span?;
        Some(Summary { rows: self.rows, first_stored, last_stored, digest: self.content.text() })
    }
}

/// How many statements have each verb.
pub type Verbs = BTreeMap<String, u64>;

pub(super) fn count_verb(verbs: &mut Verbs, verb: &str) {
    let has_room = verbs.len() < MOST_VERBS;
    match verbs.get_mut(verb) {
        Some(count) => *count += 1,
        None => *verbs.entry(if has_room { verb.to_owned() } else { String::new() }).or_default() += 1,
    }
}

/// One object of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub key: String,
    pub bytes: u64,
    /// Of the whole object, as other tools compute it.
    pub sha256: String,
    /// Of each block of 128 KiB the first 16 bytes of its SHA-256, in base64: what lets a reader check what it reads of it.
    pub blocks: String,
    #[serde(flatten)]
    pub summary: Summary,
}

impl Part {
    /// The checks of its blocks.
    pub(super) fn checks(&self) -> Result<Vec<u8>, SegmentError> {
        let checks = BASE64_STANDARD.decode(&self.blocks).ok();
        let wanted = self.bytes.div_ceil(BLOCK) as usize * CHECK;
        checks
            .filter(|checks| checks.len() == wanted)
            .ok_or_else(|| SegmentError::damaged(&self.key, "its manifest has not one check for each block of it"))
    }

    pub(super) fn encode_checks(checks: &[u8]) -> String {
        BASE64_STANDARD.encode(checks)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the parts.
    pub format: u32,
    #[serde(flatten)]
    pub place: Place,
    pub owner: Owner,
    pub retention_class: String,
    /// It is clean of all erasures up to this one.
    pub erasure_stamp: i64,
    pub written_at: DateTime<Utc>,
    #[serde(flatten)]
    pub summary: Summary,
    pub verbs: Verbs,
    pub parts: Vec<Part>,
}

/// How a manifest lies in the storage.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    kind: &'a str,
    version: u32,
    /// Of the text of the manifest.
    sha256: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// As much of an envelope as every version has.
#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    version: u32,
}

impl Manifest {
    /// Reads what is published at a place by this installation, be it in another epoch: a clone may read.
    pub async fn load(objects: &Objects, place: &Place, installation: Uuid) -> Result<Self, SegmentError> {
        let manifest = Self::read(objects, place).await?;
        if manifest.owner.installation != installation {
            let wanted = Owner { installation, epoch: manifest.owner.epoch };
            return Err(SegmentError::NotOwner { key: place.manifest(), found: manifest.owner, wanted });
        }
        Ok(manifest)
    }

    /// The same, whosever it is.
    pub async fn read(objects: &Objects, place: &Place) -> Result<Self, SegmentError> {
        let key = place.manifest();
        let bytes = objects.get_range(&key, 0..LONGEST + 1).await.map_err(|source| match source {
            ObjectsError::NotFound(_) => SegmentError::NotPublished(*place),
            source => SegmentError::reading(&key, source),
        })?;
        let manifest = Self::parse(&key, &bytes)?;
        manifest.must_be_at(&key, place)?;
        Ok(manifest)
    }

    /// Refuses whoever is not the owner, epoch and all.
    pub fn must_belong_to(&self, owner: &Owner) -> Result<(), SegmentError> {
        if self.owner == *owner {
            return Ok(());
        }
        Err(SegmentError::NotOwner { key: self.place.manifest(), found: self.owner, wanted: *owner })
    }

    pub(super) fn parse(key: &str, bytes: &[u8]) -> Result<Self, SegmentError> {
        let foreign = |rule: &str| SegmentError::Foreign { key: key.to_owned(), rule: rule.to_owned() };
        if bytes.len() as u64 > LONGEST {
            return Err(foreign("a manifest has at most 64 MiB"));
        }
        let versioned: Versioned =
            serde_json::from_slice(bytes).map_err(|e| SegmentError::damaged(key, format!("it is no JSON: {e}")))?;
        if versioned.kind != KIND {
            return Err(foreign("its kind is not that of a manifest"));
        }
        newer(key, versioned.version, VERSION)?;
        let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|e| SegmentError::damaged(key, e))?;
        let text = envelope.manifest.get();
        if hex::encode(Sha256::digest(text)) != envelope.sha256 {
            return Err(SegmentError::damaged(key, "its text has not the SHA-256 that stands beside it"));
        }
        let manifest: Self = serde_json::from_str(text).map_err(|e| SegmentError::damaged(key, e))?;
        newer(key, manifest.format, FORMAT)?;
        Ok(manifest)
    }

    pub(super) fn write(&self) -> Result<Bytes, SegmentError> {
        let failed = |e| SegmentError::encoding(&self.place.manifest(), e);
        let manifest = serde_json::value::to_raw_value(self).map_err(failed)?;
        let sha256 = hex::encode(Sha256::digest(manifest.get()));
        let envelope = Envelope { kind: KIND, version: VERSION, sha256, manifest: &manifest };
        serde_json::to_vec(&envelope).map(Bytes::from).map_err(failed)
    }

    fn must_be_at(&self, key: &str, place: &Place) -> Result<(), SegmentError> {
        same(key, "the tenant", self.place.tenant, place.tenant)?;
        same(key, "the month", self.place.month, place.month)?;
        same(key, "the revision", self.place.revision, place.revision)
    }
}

/// Refuses a format that is not known yet.
pub(super) fn newer(key: &str, found: u32, known: u32) -> Result<(), SegmentError> {
    if found <= known { Ok(()) } else { Err(SegmentError::Newer { key: key.to_owned(), found, known }) }
}

/// Refuses an object that says of itself something else than the name under which it was found.
pub(super) fn same<T: PartialEq + fmt::Display>(
    key: &str,
    what: &'static str,
    found: T,
    wanted: T,
) -> Result<(), SegmentError> {
    if found == wanted {
        return Ok(());
    }
    let (found, wanted) = (found.to_string(), wanted.to_string());
    Err(SegmentError::Misplaced { key: key.to_owned(), what, found, wanted })
}
