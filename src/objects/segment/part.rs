//! One part, open for reading: its footer, and the rows of its row groups.

use std::{ops::Range, sync::Arc};

use arrow_array::RecordBatch;
use parquet::{
    DecodeResult,
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, RowSelection, RowSelectionPolicy,
        },
        push_decoder::ParquetPushDecoderBuilder,
    },
    errors::ParquetError,
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder},
};
use tokio::sync::OnceCell;

use super::{
    Place, SegmentError, blocking,
    footer::{self, Footer},
    manifest::Summary,
    source::Source,
};

pub(super) struct OpenPart {
    pub source: Source,
    pub place: Place,
    pub number: u32,
    pub summary: Summary,
    /// Read when it is first needed.
    footer: OnceCell<ArrowReaderMetadata>,
}

impl OpenPart {
    pub fn new(source: Source, place: Place, number: u32, summary: Summary) -> Self {
        Self { source, place, number, summary, footer: OnceCell::new() }
    }

    pub fn key(&self) -> &str {
        self.source.key()
    }

    /// The footer, which says that it is the part that was asked for.
    pub async fn footer(&self) -> Result<&ArrowReaderMetadata, SegmentError> {
        self.footer.get_or_try_init(|| self.read_footer()).await
    }

    async fn read_footer(&self) -> Result<ArrowReaderMetadata, SegmentError> {
        let foreign = |e: ParquetError| SegmentError::Foreign { key: self.key().to_owned(), rule: e.to_string() };
        let mut decoder = ParquetMetaDataPushDecoder::try_new(self.source.len())
            .map_err(foreign)?
            .with_page_index_policy(PageIndexPolicy::Required);
        let metadata = loop {
            match decoder.try_decode().map_err(foreign)? {
                DecodeResult::NeedsData(ranges) => {
                    let bytes = self.source.ranges(&ranges).await?;
                    decoder.push_ranges(ranges, bytes).map_err(foreign)?;
                }
                DecodeResult::Data(metadata) => break metadata,
                DecodeResult::Finished => return Err(SegmentError::damaged(self.key(), "it has no footer")),
            }
        };
        Footer::read(self.key(), &metadata)?.must_be(self.key(), &self.place, self.number, &self.summary)?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let read = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(foreign)?;
        footer::columns(self.key(), read.schema())?;
        Ok(read)
    }

    /// Fetches what the columns of some rows of a row group take (of all, where none are named), for batches to be decoded.
    pub async fn group(&self, wanted: Wanted<'_>) -> Result<Batches, SegmentError> {
        let failed = |e: ParquetError| SegmentError::damaged(self.key(), e);
        let footer = self.footer().await?;
        let roots = wanted.columns.iter().filter_map(|name| footer.schema().index_of(name).ok());
        let mut builder = ParquetPushDecoderBuilder::new_with_metadata(footer.clone())
            .with_row_groups(vec![wanted.group])
            .with_batch_size(wanted.batch_rows)
            .with_projection(ProjectionMask::roots(footer.parquet_schema(), roots))
            .with_row_selection_policy(RowSelectionPolicy::Selectors);
        if let Some(rows) = wanted.rows {
            let all = footer.metadata().row_group(wanted.group).num_rows() as usize;
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(rows.iter().cloned(), all));
        }
        let mut decoder = builder.build().map_err(failed)?;
        loop {
            match decoder.try_next_reader().map_err(failed)? {
                DecodeResult::NeedsData(ranges) => {
                    let bytes = self.source.ranges(&ranges).await?;
                    decoder.push_ranges(ranges, bytes).map_err(failed)?;
                }
                DecodeResult::Data(reader) => return Ok(Batches { key: self.key().to_owned(), reader: Some(reader) }),
                DecodeResult::Finished => return Ok(Batches { key: self.key().to_owned(), reader: None }),
            }
        }
    }

    pub async fn metadata(&self) -> Result<&Arc<ParquetMetaData>, SegmentError> {
        Ok(self.footer().await?.metadata())
    }
}

/// What of a row group is read.
pub(super) struct Wanted<'a> {
    pub group: usize,
    pub columns: &'a [&'a str],
    pub rows: Option<&'a [Range<usize>]>,
    pub batch_rows: usize,
}

/// Batches of one row group, decoded one after the other.
pub(super) struct Batches {
    key: String,
    reader: Option<ParquetRecordBatchReader>,
}

impl Batches {
    /// Decodes the next batch and makes something of it, on a thread that may be busy for a while.
    pub async fn next<T: Send + 'static>(
        &mut self,
        mut made_of: impl FnMut(RecordBatch) -> Result<T, String> + Send + 'static,
    ) -> Result<Option<T>, SegmentError> {
        let Some(mut reader) = self.reader.take() else { return Ok(None) };
        let (reader, made) = blocking(&self.key, move || {
            let made = reader.next().map(|batch| batch.map_err(|e| e.to_string()).and_then(&mut made_of));
            (reader, made)
        })
        .await?;
        let made = made.transpose().map_err(|rule| SegmentError::damaged(&self.key, rule))?;
        self.reader = made.is_some().then_some(reader);
        Ok(made)
    }
}
