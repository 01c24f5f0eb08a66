//! Columns of a segment, a batch at a time and in order, for an engine that computes over them. Passes over what cannot
//! answer, as a page does; whether every row it gives answers, the engine looks itself.

use std::{ops::Range, sync::Arc};

use arrow_array::RecordBatch;

use super::{
    Filter, Segment, SegmentError, Span,
    filter::Plan,
    part::{Batches, OpenPart, Wanted},
    prune, read,
};

/// What a batch takes, about, and how many rows it has at most.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_ROWS: usize = 8_192;

/// A reading of some columns.
pub struct Columns {
    segment: Segment,
    names: Vec<String>,
    plan: Arc<Plan>,
    selective: bool,
    part: usize,
    group: usize,
    batches: Option<Batches>,
}

impl Columns {
    /// The columns of these names, as many of them as the format has; of the statements within the span that the filter keeps.
    /// The span's order and limits do not count.
    pub fn of(segment: &Segment, names: Vec<String>, filter: &Filter, span: &Span) -> Self {
        Self {
            segment: segment.clone(),
            names,
            plan: Arc::new(Plan::new(filter, span)),
            selective: !filter.conditions.is_empty(),
            part: 0,
            group: 0,
            batches: None,
        }
    }

    /// The next rows; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, SegmentError> {
        loop {
            if let Some(batches) = &mut self.batches {
                if let Some(batch) = batches.next(Ok).await? {
                    return Ok(Some(batch));
                }
                self.batches = None;
            }
            let segment = self.segment.clone();
            let Some(part) = segment.parts().get(self.part) else { return Ok(None) };
            let outside = !self.plan.touches(part.summary.first_stored, part.summary.last_stored);
            if outside || self.group >= part.metadata().await?.num_row_groups() {
                (self.part, self.group) = (self.part + 1, 0);
                continue;
            }
            let group = self.group;
            self.group += 1;
            let rows = rows(part, group, &self.plan, self.selective).await?;
            if !rows.is_empty() {
                self.batches = Some(open(part, group, &self.names, &rows).await?);
            }
        }
    }
}

/// Which rows of a group are read.
async fn rows(
    part: &OpenPart,
    group: usize,
    plan: &Arc<Plan>,
    selective: bool,
) -> Result<Vec<Range<usize>>, SegmentError> {
    if selective {
        return Ok(read::together(&read::hits(part, group, plan).await?));
    }
    Ok(prune::rows_in_time(part.metadata().await?, group, plan))
}

async fn open(part: &OpenPart, group: usize, names: &[String], rows: &[Range<usize>]) -> Result<Batches, SegmentError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let metadata = part.metadata().await?.row_group(group);
    let wanted = metadata
        .columns()
        .iter()
        .filter(|column| column.column_path().parts().first().is_some_and(|name| names.contains(&name.as_str())));
    let bytes: i64 = wanted.map(parquet::file::metadata::ColumnChunkMetaData::uncompressed_size).sum();
    let each = bytes.unsigned_abs() / metadata.num_rows().unsigned_abs().max(1);
    let batch_rows = (BATCH_BYTES / (each as usize).max(1)).clamp(1, BATCH_ROWS);
    part.group(Wanted { group, columns: &names, rows: Some(rows), batch_rows }).await
}
