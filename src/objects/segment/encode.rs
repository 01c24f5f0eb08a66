//! Rows into the bytes of one part. Pure computation: nothing here waits.

use chrono::Datelike;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    errors::ParquetError,
};

use super::{
    Owner, Part, Place, Row, SegmentError, Sizes, batch, digest,
    digest::Sealer,
    footer::Footer,
    manifest::{Tally, Verbs, count_verb},
    said::Said,
    schema::{self, FORMAT},
};

/// A part in the making: rows go in, and bytes come out as row groups are whole.
pub(super) struct PartEncoder {
    place: Place,
    owner: Owner,
    number: u32,
    writer: ArrowWriter<Vec<u8>>,
    sealer: Sealer,
    tally: Tally,
    verbs: Verbs,
}

impl PartEncoder {
    pub fn new(place: Place, owner: Owner, number: u32, sizes: &Sizes) -> Result<Self, SegmentError> {
        let options =
            ArrowWriterOptions::new().with_properties(schema::properties(sizes)).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema::arrow(), options)
            .map_err(|e| SegmentError::encoding(&place.part(number), e))?;
        let tally = Tally::of(place.tenant);
        Ok(Self { place, owner, number, writer, sealer: Sealer::default(), tally, verbs: Verbs::new() })
    }

    /// Takes rows in, and counts them for the month as well. Answers the bytes that are finished.
    pub fn add(&mut self, rows: &[Row], month: &mut Tally) -> Result<Vec<u8>, SegmentError> {
        let said = rows.iter().map(|row| {
            Said::by(&row.payload).map_err(|e| SegmentError::Unreadable { id: row.id, message: e.to_string() })
        });
        let said: Vec<Said> = said.collect::<Result<_, _>>()?;
        for (row, said) in rows.iter().zip(&said) {
            let digest = digest::row(row);
            self.tally.add(row, &digest);
            month.add(row, &digest);
            count_verb(&mut self.verbs, &said.verb);
        }
        let batch = batch::of_rows(rows, &said).map_err(|e| self.failed(e))?;
        self.writer.write(&batch).map_err(|e| self.failed(e))?;
        self.take()
    }

    /// How many bytes it has so far, with those that are not finished.
    pub fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    /// The last bytes, and what the part is. A part of nothing is none.
    pub fn finish(mut self) -> Result<Option<(Vec<u8>, Part, Verbs)>, SegmentError> {
        let Some(summary) = self.tally.summary() else { return Ok(None) };
        let (place, part, owner) = (self.place, self.number, self.owner);
        let key = place.part(part);
        let verbs = std::mem::take(&mut self.verbs);
        let footer = Footer { format: FORMAT, place, part, owner, summary, verbs };
        self.writer.append_key_value_metadata(footer.write(&key)?);
        self.writer.finish().map_err(|e| self.failed(e))?;
        let bytes = self.take()?;
        let size = self.sealer.bytes;
        let (sha256, checks) = self.sealer.finish();
        let part = Part { key, bytes: size, sha256, blocks: Part::encode_checks(&checks), summary: footer.summary };
        Ok(Some((bytes, part, footer.verbs)))
    }

    fn take(&mut self) -> Result<Vec<u8>, SegmentError> {
        // The writer keeps a buffer of its own before ours.
        self.writer.sync().map_err(|e| self.failed(ParquetError::from(e)))?;
        let bytes = std::mem::take(self.writer.inner_mut());
        self.sealer.add(&bytes);
        Ok(bytes)
    }

    fn failed(&self, error: impl ToString) -> SegmentError {
        SegmentError::encoding(&self.place.part(self.number), error)
    }
}

/// Refuses a row that does not belong here, or that would not come back as it is.
pub(super) fn must_fit(row: &Row, place: &Place, last: Option<&Row>) -> Result<(), SegmentError> {
    if row.tenant != place.tenant {
        return Err(SegmentError::OtherTenant { found: row.tenant, wanted: place.tenant });
    }
    if !place.month.holds(row.stored) {
        return Err(SegmentError::OutOfMonth { stored: row.stored, month: place.month });
    }
    if let Some(last) = last
        && (row.stored, row.id) <= (last.stored, last.id)
    {
        return Err(SegmentError::OutOfOrder { stored: row.stored, after: last.stored });
    }
    let inexact = |rule| Err(SegmentError::Inexact { id: row.id, rule });
    let times = [Some(row.stored), row.occurred];
    if times.iter().flatten().any(|time| time.timestamp_subsec_nanos() % 1_000 != 0) {
        return inexact("its times are not whole microseconds");
    }
    if row.occurred.is_some_and(|time| !(-9_999..=9_999).contains(&time.year())) {
        return inexact("its timestamp is further away than year 9999");
    }
    if !row.relations.is_sorted() {
        return inexact("its relations are not in ascending order");
    }
    Ok(())
}
