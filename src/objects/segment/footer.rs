//! What a part says of itself in its own footer, so that it can be told apart without any manifest.

use parquet::file::metadata::{KeyValue, ParquetMetaData};
use serde::{Deserialize, Serialize};

use super::{
    Owner, Place, SegmentError,
    manifest::{Summary, Verbs, newer, same},
    schema::{self, FORMAT},
};

/// Under which name it stands among the footer's key-value metadata.
const NAME: &str = "progress-service.segment";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footer {
    pub format: u32,
    #[serde(flatten)]
    pub place: Place,
    pub part: u32,
    pub owner: Owner,
    #[serde(flatten)]
    pub summary: Summary,
    pub verbs: Verbs,
}

#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

impl Footer {
    pub fn write(&self, key: &str) -> Result<KeyValue, SegmentError> {
        let text = serde_json::to_string(self).map_err(|e| SegmentError::encoding(key, e))?;
        Ok(KeyValue::new(NAME.to_owned(), text))
    }

    pub fn read(key: &str, metadata: &ParquetMetaData) -> Result<Self, SegmentError> {
        let foreign = |rule: &str| SegmentError::Foreign { key: key.to_owned(), rule: rule.to_owned() };
        let all = metadata.file_metadata().key_value_metadata().into_iter().flatten();
        let text = all.filter(|entry| entry.key == NAME).find_map(|entry| entry.value.as_deref());
        let text = text.ok_or_else(|| foreign("its footer has no entry of ours"))?;
        let versioned: Versioned = serde_json::from_str(text).map_err(|_| foreign("its footer names no format"))?;
        newer(key, versioned.format, FORMAT)?;
        serde_json::from_str(text).map_err(|e| SegmentError::damaged(key, format!("its footer does not read: {e}")))
    }

    /// Refuses the part of another segment, and the wrong part of this one.
    pub fn must_be(&self, key: &str, place: &Place, part: u32, summary: &Summary) -> Result<(), SegmentError> {
        same(key, "the tenant", self.place.tenant, place.tenant)?;
        same(key, "the month", self.place.month, place.month)?;
        same(key, "the revision", self.place.revision, place.revision)?;
        same(key, "the part", self.part, part)?;
        same(key, "the number of rows", self.summary.rows, summary.rows)?;
        same(key, "the content digest", self.summary.digest.as_str(), summary.digest.as_str())
    }
}

/// Refuses a part that has not the columns of its format.
pub(super) fn columns(key: &str, found: &arrow_schema::Schema) -> Result<(), SegmentError> {
    for wanted in schema::arrow().fields() {
        let fits = found.field_with_name(wanted.name()).is_ok_and(|field| field.data_type() == wanted.data_type());
        if !fits {
            let rule = format!("column {} of type {} is missing", wanted.name(), wanted.data_type());
            return Err(SegmentError::Foreign { key: key.to_owned(), rule });
        }
    }
    Ok(())
}
