//! A segment, open for reading: selectively in pages, or from end to end.

use std::{ops::Range, sync::Arc};

use super::{
    Cache, Filter, Manifest, Row, SegmentError, Span, Staged, batch,
    filter::Plan,
    part::{Batches, OpenPart, Wanted},
    prune,
    source::{Reads, Source},
};
use crate::objects::Objects;

/// So many statements' payloads are fetched and decoded together at most.
const AT_ONCE: usize = 64;
/// Rows of the deciding columns that are decoded together.
const KEYS_AT_ONCE: usize = 4_096;
/// What a batch of a scan takes, about.
const SCAN_BYTES: usize = 8 << 20;

/// Cheap to clone. Footers are read when they are first needed and kept; whoever reads a segment often keeps it open.
#[derive(Clone)]
pub struct Segment {
    manifest: Arc<Manifest>,
    parts: Arc<[OpenPart]>,
    reads: Arc<Reads>,
}

impl Segment {
    /// Opens what a manifest names. Nothing is read before something is asked.
    pub fn open(objects: &Objects, manifest: Manifest, cache: Option<&Cache>) -> Result<Self, SegmentError> {
        let keys: Vec<String> = manifest.parts.iter().map(|part| part.key.clone()).collect();
        Self::of_keys(objects, manifest, &keys, cache)
    }

    pub(super) fn staged(objects: &Objects, staged: &Staged) -> Result<Self, SegmentError> {
        Self::of_keys(objects, staged.manifest.clone(), &staged.keys(), None)
    }

    fn of_keys(
        objects: &Objects,
        manifest: Manifest,
        keys: &[String],
        cache: Option<&Cache>,
    ) -> Result<Self, SegmentError> {
        let reads = Arc::new(Reads::default());
        let open = |(number, (part, key)): (usize, (&super::Part, &String))| {
            let source = Source::new(objects, key, part, cache.cloned(), Arc::clone(&reads))?;
            Ok(OpenPart::new(source, manifest.place, number as u32, part.summary.clone()))
        };
        let parts = manifest.parts.iter().zip(keys).enumerate().map(open).collect::<Result<_, SegmentError>>()?;
        Ok(Self { manifest: Arc::new(manifest), parts, reads })
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What was read of it so far.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    pub(super) fn parts(&self) -> &[OpenPart] {
        &self.parts
    }

    /// A page: the statements that answer, in the order of the span, as many as fit.
    pub async fn select(&self, filter: &Filter, span: &Span) -> Result<Vec<Row>, SegmentError> {
        let plan = Arc::new(Plan::new(filter, span));
        let mut page = Page { rows: Vec::new(), bytes: 0, span: *span };
        for part in in_order(&self.parts, span.ascending) {
            if page.is_full() || !plan.touches(part.summary.first_stored, part.summary.last_stored) {
                continue;
            }
            let groups: Vec<usize> = (0..part.metadata().await?.num_row_groups()).collect();
            for &group in in_order(&groups, span.ascending) {
                if page.is_full() {
                    break;
                }
                let hits = hits(part, group, &plan).await?;
                page.take(part, group, hits).await?;
            }
        }
        Ok(page.rows)
    }

    /// All statements, from the first to the last.
    pub fn scan(&self) -> Scan {
        Scan { parts: Arc::clone(&self.parts), part: 0, group: 0, batches: None, until: self.parts.len() }
    }

    pub(super) fn scan_part(&self, number: usize) -> Scan {
        Scan { parts: Arc::clone(&self.parts), part: number, group: 0, batches: None, until: number + 1 }
    }
}

fn in_order<T>(all: &[T], ascending: bool) -> impl Iterator<Item = &T> {
    let last = all.len();
    (0..last).map(move |at| if ascending { &all[at] } else { &all[last - 1 - at] })
}

/// The rows of a group that answer, by their number in it.
pub(super) async fn hits(part: &OpenPart, group: usize, plan: &Arc<Plan>) -> Result<Vec<usize>, SegmentError> {
    let candidates = prune::rows_in_time(part.metadata().await?, group, plan);
    if candidates.is_empty() || !prune::may_hold(part, group, plan).await? {
        return Ok(Vec::new());
    }
    let columns = plan.columns();
    let wanted = Wanted { group, columns: &columns, rows: Some(&candidates), batch_rows: KEYS_AT_ONCE };
    let mut batches = part.group(wanted).await?;
    let mut numbers = candidates.into_iter().flatten();
    let mut hits = Vec::new();
    loop {
        let plan = Arc::clone(plan);
        let Some(kept) = batches.next(move |batch| plan.keeps(&batch)).await? else { return Ok(hits) };
        hits.extend(kept.into_iter().zip(&mut numbers).filter_map(|(kept, number)| kept.then_some(number)));
    }
}

/// A page that fills up.
struct Page {
    rows: Vec<Row>,
    bytes: usize,
    span: Span,
}

impl Page {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.span.limit || self.bytes >= self.span.bytes
    }

    /// Takes as many of the hits as fit, in the order of the span.
    async fn take(&mut self, part: &OpenPart, group: usize, mut hits: Vec<usize>) -> Result<(), SegmentError> {
        while !self.is_full() && !hits.is_empty() {
            let size = hits.len().min(AT_ONCE).min(self.span.limit - self.rows.len());
            let some: Vec<usize> =
                if self.span.ascending { hits.drain(..size).collect() } else { hits.split_off(hits.len() - size) };
            let mut rows = rows_of(part, group, &some).await?;
            if !self.span.ascending {
                rows.reverse();
            }
            for row in rows {
                if self.is_full() {
                    return Ok(());
                }
                self.bytes += row.payload.len();
                self.rows.push(row);
            }
        }
        Ok(())
    }
}

/// Neighbours together.
pub(super) fn together(numbers: &[usize]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some(range) if range.end == number => range.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

/// These rows of a group, which are few.
async fn rows_of(part: &OpenPart, group: usize, numbers: &[usize]) -> Result<Vec<Row>, SegmentError> {
    let ranges = together(numbers);
    let mut batches =
        part.group(Wanted { group, columns: &batch::COLUMNS, rows: Some(&ranges), batch_rows: AT_ONCE }).await?;
    let mut rows = Vec::new();
    while let Some(some) = batches.next(|batch| batch::to_rows(&batch)).await? {
        rows.extend(some);
    }
    if rows.len() != numbers.len() {
        let rule = format!("{} rows were asked for, and {} came", numbers.len(), rows.len());
        return Err(SegmentError::damaged(part.key(), rule));
    }
    Ok(rows)
}

/// Statements in their order, a few at a time, for restoring and for folding anew.
pub struct Scan {
    parts: Arc<[OpenPart]>,
    part: usize,
    group: usize,
    batches: Option<Batches>,
    until: usize,
}

impl Scan {
    /// The next statements; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, SegmentError> {
        loop {
            if let Some(batches) = &mut self.batches {
                if let Some(rows) = batches.next(|batch| batch::to_rows(&batch)).await? {
                    return Ok(Some(rows));
                }
                self.batches = None;
            }
            let Some(part) = self.parts.get(self.part).filter(|_| self.part < self.until) else { return Ok(None) };
            let metadata = part.metadata().await?;
            if self.group >= metadata.num_row_groups() {
                (self.part, self.group) = (self.part + 1, 0);
                continue;
            }
            let group = metadata.row_group(self.group);
            let each =
                group.total_byte_size().unsigned_abs() as usize / (group.num_rows().unsigned_abs() as usize).max(1);
            let batch_rows = (SCAN_BYTES / each.max(1)).clamp(1, 1_024);
            let wanted = Wanted { group: self.group, columns: &batch::COLUMNS, rows: None, batch_rows };
            self.batches = Some(part.group(wanted).await?);
            self.group += 1;
        }
    }
}
