//! The manifest of an export: what is in it, for whom it was made, and how to tell that nothing was changed. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{BundleError, tally::MonthTally};

/// The newest format that is known: the second has statements as Parquet. Older ones are read; what a newer one means nobody can know.
pub const FORMAT: u64 = 2;
/// What tells this file from others.
const KIND: &str = "progress-service.export";
/// Where it stands in an export.
pub const NAME: &str = "manifest.json";

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    pub id: Uuid,
    pub name: String,
}

/// What of a tenant was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// One learner, as attempts know them; everybody without it.
    pub learner: Option<String>,
    pub kinds: Vec<String>,
    /// Statements that were stored after this.
    pub since: Option<DateTime<Utc>>,
    /// And not after this.
    pub until: Option<DateTime<Utc>>,
}

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    pub bytes: u64,
    pub lines: u64,
    pub sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u64,
    pub kind: String,
    pub made_by: String,
    pub made_at: DateTime<Utc>,
    pub installation: Uuid,
    pub tenant: Whose,
    pub selection: Selection,
    /// All statements that were stored up to here were looked at.
    pub through: DateTime<Utc>,
    pub months: Vec<MonthTally>,
    /// By the kind, how many there are of it.
    pub counts: BTreeMap<String, u64>,
    pub files: Vec<FileEntry>,
}

/// What is said at the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    pub installation: Uuid,
    pub tenant: Whose,
    pub selection: Selection,
    pub through: DateTime<Utc>,
}

impl Manifest {
    pub fn new(head: Head, made_at: DateTime<Utc>) -> Self {
        let Head { installation, tenant, selection, through } = head;
        let made_by = concat!("progress-service ", env!("CARGO_PKG_VERSION")).to_owned();
        let (months, counts, files) = (Vec::new(), BTreeMap::new(), Vec::new());
        let kind = KIND.to_owned();
        Self { format: 1, kind, made_by, made_at, installation, tenant, selection, through, months, counts, files }
    }

    /// Its text, with a digest of itself.
    pub fn seal(&self) -> Result<String, BundleError> {
        let shape = |error: serde_json::Error| BundleError::Manifest(error.to_string());
        let mut value = serde_json::to_value(self).map_err(shape)?;
        value["digest"] = digest(&value).into();
        let mut text = serde_json::to_string_pretty(&value).map_err(shape)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads one: whether it is one, of a format that is known, and unchanged.
    pub fn read(text: &str) -> Result<Self, BundleError> {
        let wrong = |what: String| BundleError::Manifest(what);
        let mut value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
        if value["kind"] != KIND {
            return Err(wrong(format!("`kind` is {}, and {KIND:?} was expected", value["kind"])));
        }
        match value["format"].as_u64() {
            Some(1..=FORMAT) => {}
            Some(is) if is > FORMAT => return Err(BundleError::Newer { is, known: FORMAT }),
            _ => return Err(wrong(format!("`format` is {}, which is no number of a format", value["format"]))),
        }
        let said = value.as_object_mut().and_then(|object| object.shift_remove("digest"));
        let is = digest(&value);
        if said.as_ref().and_then(Value::as_str) != Some(&is) {
            return Err(wrong(format!("its digest is {is}, and it says {}: it was changed", said.unwrap_or_default())));
        }
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
    }

    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }

    pub fn statements(&self) -> u64 {
        self.months.iter().map(|month| month.statements).sum()
    }
}

fn digest(value: &Value) -> String {
    hex::encode(Sha256::digest(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let head = Head {
            installation: Uuid::from_u128(1),
            tenant: Whose { id: Uuid::from_u128(2), name: "acme".into() },
            selection: Selection::default(),
            through: DateTime::UNIX_EPOCH,
        };
        Manifest::new(head, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn what_was_sealed_is_read() {
        let sealed = manifest().seal().unwrap();
        assert_eq!(Manifest::read(&sealed).unwrap(), manifest());
    }

    #[test]
    fn a_change_a_newer_format_and_another_file_are_told() {
        let sealed = manifest().seal().unwrap();
        let why = |text: &str| Manifest::read(text).unwrap_err().to_string();
        assert!(why(&sealed.replace("acme", "acmf")).contains("it was changed"));
        assert!(why(&sealed.replace("\"format\": 1", "\"format\": 3")).contains("format 3 is newer"));
        assert!(why(&sealed.replace("\"format\": 1", "\"format\": 0")).contains("no number of a format"));
        assert!(why("{\"kind\": \"other\"}").contains("was expected"));
        assert!(why("{").contains("no JSON"));
    }
}
