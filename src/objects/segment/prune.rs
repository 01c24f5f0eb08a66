//! What of a part need not be read: row groups by their statistics and bloom filters, pages by the page index.

use std::ops::Range;

use chrono::{DateTime, Utc};
use parquet::{
    bloom_filter::Sbbf,
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData},
        page_index::column_index::ColumnIndexMetaData,
        statistics::Statistics,
    },
};

use super::{
    SegmentError,
    filter::{Plan, Test},
    part::OpenPart,
    schema::RELATIONS,
};

/// The rows of a row group that can answer by the time they were stored at: none, some pages of it, or all.
pub(super) fn rows_in_time(metadata: &ParquetMetaData, group: usize, plan: &Plan) -> Vec<Range<usize>> {
    let rows = metadata.row_group(group).num_rows() as usize;
    let all = || std::iter::once(0..rows).collect();
    let Some(column) = column_of(metadata, group, "stored") else { return all() };
    if let Some(Statistics::Int64(stored)) = metadata.row_group(group).column(column).statistics()
        && let (Some(first), Some(last)) = (stored.min_opt(), stored.max_opt())
        && !touches(plan, *first, *last)
    {
        return Vec::new();
    }
    pages(metadata, group, column, plan).unwrap_or_else(all)
}

fn pages(metadata: &ParquetMetaData, group: usize, column: usize, plan: &Plan) -> Option<Vec<Range<usize>>> {
    let ColumnIndexMetaData::INT64(index) = metadata.column_index()?.get(group)?.get(column)? else { return None };
    let pages = metadata.offset_index()?.get(group)?.get(column)?.page_locations();
    let rows = metadata.row_group(group).num_rows();
    let ends = pages.iter().skip(1).map(|page| page.first_row_index).chain([rows]);
    let mut wanted: Vec<Range<usize>> = Vec::new();
    for (at, (page, end)) in pages.iter().zip(ends).enumerate() {
        let touched = match (index.min_value(at), index.max_value(at)) {
            (Some(first), Some(last)) => touches(plan, *first, *last),
            _ => true,
        };
        let rows = page.first_row_index as usize..end as usize;
        match wanted.last_mut() {
            Some(last) if touched && last.end == rows.start => last.end = rows.end,
            _ if touched => wanted.push(rows),
            _ => {}
        }
    }
    Some(wanted)
}

fn touches(plan: &Plan, first: i64, last: i64) -> bool {
    let moment = |micros| DateTime::<Utc>::from_timestamp_micros(micros);
    moment(first).zip(moment(last)).is_none_or(|(first, last)| plan.touches(first, last))
}

/// Whether each condition can hold for some row of the group.
pub(super) async fn may_hold(part: &OpenPart, group: usize, plan: &Plan) -> Result<bool, SegmentError> {
    let metadata = part.metadata().await?;
    for test in &plan.conditions {
        let own = if test.keys.is_empty() { false } else { in_column(part, metadata, group, test).await? };
        if !own && !is_related(part, metadata, group, test).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn in_column(
    part: &OpenPart,
    metadata: &ParquetMetaData,
    group: usize,
    test: &Test,
) -> Result<bool, SegmentError> {
    let Some(column) = column_of(metadata, group, test.column) else { return Ok(true) };
    let chunk = metadata.row_group(group).column(column);
    let candidates: Vec<&String> = test.keys.iter().filter(|key| in_bounds(chunk, key)).collect();
    if candidates.is_empty() {
        return Ok(false);
    }
    let bloom = bloom(part, chunk).await?;
    Ok(bloom.is_none_or(|bloom| candidates.iter().any(|key| bloom.check(key.as_str()))))
}

async fn is_related(
    part: &OpenPart,
    metadata: &ParquetMetaData,
    group: usize,
    test: &Test,
) -> Result<bool, SegmentError> {
    if test.relations.is_empty() {
        return Ok(false);
    }
    let Some(column) = column_of(metadata, group, RELATIONS) else { return Ok(true) };
    let bloom = bloom(part, metadata.row_group(group).column(column)).await?;
    Ok(bloom.is_none_or(|bloom| test.relations.iter().any(|key| bloom.check(key.as_str()))))
}

/// The leaf of the column of this name.
fn column_of(metadata: &ParquetMetaData, group: usize, name: &str) -> Option<usize> {
    let chunks = metadata.row_group(group).columns();
    chunks.iter().position(|chunk| chunk.column_path().parts().first().is_some_and(|root| root == name))
}

/// Keys are shorter than what statistics are cut at.
fn in_bounds(chunk: &ColumnChunkMetaData, key: &str) -> bool {
    let Some(statistics) = chunk.statistics() else { return true };
    statistics.min_bytes_opt().is_none_or(|least| least <= key.as_bytes())
        && statistics.max_bytes_opt().is_none_or(|most| key.as_bytes() <= most)
}

async fn bloom(part: &OpenPart, chunk: &ColumnChunkMetaData) -> Result<Option<Sbbf>, SegmentError> {
    let (Some(offset), Some(length)) = (chunk.bloom_filter_offset(), chunk.bloom_filter_length()) else {
        return Ok(None);
    };
    let range = offset.unsigned_abs()..offset.unsigned_abs() + u64::from(length.unsigned_abs());
    let bytes = part.source.ranges(&[range]).await?;
    let bytes = bytes.first().map_or(&[][..], |bytes| bytes);
    Sbbf::from_bytes(bytes).map(Some).map_err(|e| SegmentError::damaged(part.key(), e))
}
