//! Writing a month down: rows come in order, parts go out under staged keys. Memory holds a row group and two pieces of an
//! upload, however large the month is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Owner, Part, Place, Row, SegmentError, Sizes, blocking,
    encode::{PartEncoder, must_fit},
    manifest::{Manifest, Tally, Verbs},
    schema::FORMAT,
};
use crate::objects::{Objects, Upload};

/// So many rows, or so many bytes of them, are encoded at once.
const BATCH_ROWS: usize = 1_024;
const BATCH_BYTES: usize = 4 << 20;

/// What is written, by whom, and what its manifest says of it.
#[derive(Clone, Debug)]
pub struct Writing {
    pub place: Place,
    pub owner: Owner,
    /// Of this attempt alone: its staged objects are named by it.
    pub id: Uuid,
    pub retention_class: String,
    /// The rows are clean of all erasures up to this one.
    pub erasure_stamp: i64,
    pub written_at: DateTime<Utc>,
}

/// What was put down and nobody has verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    pub(super) manifest: Manifest,
    pub(super) writing: Uuid,
}

impl Staged {
    /// What the manifest will say.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the parts lie now.
    pub fn keys(&self) -> Vec<String> {
        let numbers = 0..self.manifest.parts.len() as u32;
        numbers.map(|number| self.manifest.place.staged(self.writing, number)).collect()
    }
}

/// Takes the statements of one tenant and month.
pub struct Writer {
    objects: Objects,
    writing: Writing,
    sizes: Sizes,
    rows: Vec<Row>,
    bytes: usize,
    /// The last row of what was encoded, without its payload.
    last: Option<Row>,
    month: Tally,
    open: Option<(PartEncoder, Upload)>,
    parts: Vec<Part>,
    verbs: Verbs,
}

impl Writer {
    pub fn new(objects: &Objects, writing: Writing, sizes: Sizes) -> Self {
        let month = Tally::of(writing.place.tenant);
        Self {
            objects: objects.clone(),
            writing,
            sizes,
            rows: Vec::new(),
            bytes: 0,
            last: None,
            month,
            open: None,
            parts: Vec::new(),
            verbs: Verbs::new(),
        }
    }

    /// Takes the next row. After an error the writer is of no more use, and what it staged is for [`super::clear`].
    pub async fn push(&mut self, row: Row) -> Result<(), SegmentError> {
        must_fit(&row, &self.writing.place, self.rows.last().or(self.last.as_ref()))?;
        self.bytes += row.payload.len();
        self.rows.push(row);
        if self.rows.len() >= self.sizes.group_rows.min(BATCH_ROWS) || self.bytes >= BATCH_BYTES {
            self.encode().await?;
        }
        Ok(())
    }

    /// The end of the month.
    pub async fn finish(mut self) -> Result<Staged, SegmentError> {
        self.encode().await?;
        self.close_part().await?;
        let place = self.writing.place;
        let summary = self.month.summary().ok_or(SegmentError::Empty(place))?;
        let manifest = Manifest {
            format: FORMAT,
            place,
            owner: self.writing.owner,
            retention_class: self.writing.retention_class,
            erasure_stamp: self.writing.erasure_stamp,
            written_at: self.writing.written_at,
            summary,
            verbs: self.verbs,
            parts: self.parts,
        };
        Ok(Staged { manifest, writing: self.writing.id })
    }

    /// Gives it up. What it has staged so far is for [`super::clear`].
    pub async fn abandon(self) {
        if let Some((_, upload)) = self.open {
            upload.abort().await;
        }
    }

    async fn encode(&mut self) -> Result<(), SegmentError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let Some(last) = rows.last() else { return Ok(()) };
        self.last = Some(Row { payload: String::new(), relations: Vec::new(), ..last.clone() });
        let (mut encoder, mut upload) = match self.open.take() {
            Some(open) => open,
            None => self.open_part().await?,
        };
        let (key, mut month) = (self.staged_key(), self.month.clone());
        let (encoder, month, bytes) = blocking(&key, move || {
            let bytes = encoder.add(&rows, &mut month);
            (encoder, month, bytes)
        })
        .await?;
        let written = match bytes {
            Ok(bytes) => upload.write(&bytes).await.map_err(|source| SegmentError::writing(&key, source)),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            upload.abort().await;
            return Err(error);
        }
        let is_full = encoder.bytes() >= self.sizes.part_bytes;
        self.month = month;
        self.open = Some((encoder, upload));
        if is_full { self.close_part().await } else { Ok(()) }
    }

    fn staged_key(&self) -> String {
        self.writing.place.staged(self.writing.id, self.parts.len() as u32)
    }

    async fn open_part(&mut self) -> Result<(PartEncoder, Upload), SegmentError> {
        let (place, key) = (self.writing.place, self.staged_key());
        let encoder = PartEncoder::new(place, self.writing.owner, self.parts.len() as u32, &self.sizes)?;
        let upload = self.objects.upload(&key).await.map_err(|source| SegmentError::writing(&key, source))?;
        Ok((encoder, upload))
    }

    async fn close_part(&mut self) -> Result<(), SegmentError> {
        let Some((encoder, mut upload)) = self.open.take() else { return Ok(()) };
        let key = self.staged_key();
        let Some((bytes, part, verbs)) = blocking(&key, move || encoder.finish()).await?? else { return Ok(()) };
        if let Err(source) = upload.write(&bytes).await {
            upload.abort().await;
            return Err(SegmentError::writing(&key, source));
        }
        upload.finish().await.map_err(|source| SegmentError::writing(&key, source))?;
        for (verb, count) in verbs {
            *self.verbs.entry(verb).or_default() += count;
        }
        self.parts.push(part);
        Ok(())
    }
}
