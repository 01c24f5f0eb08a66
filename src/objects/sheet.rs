//! Statements as Parquet for others to read: the line of each, and beside it what people ask for. What comes back out of one is the lines. Pure, but for the file that is read.

use std::{fs::File, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, cast::AsArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Utc};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

use super::segment::Said;

/// How the names of such files end.
pub const END: &str = ".parquet";
/// The column that has all there is of a statement.
const LINE: &str = "statement";
/// So many rows, or so many bytes of them, are encoded at once.
const BATCH: (usize, usize) = (1_024, 4 << 20);
/// What a reader has to hold at once.
const GROUP: (usize, usize) = (16_384, 16 << 20);

fn schema() -> Schema {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Schema::new(vec![
        Field::new("stored", moment, false),
        text("id", false),
        text("verb", false),
        text("actor", true),
        text("object_type", false),
        text("object_id", true),
        text("registration", true),
        text(LINE, false),
    ])
}

/// Why one is not written or not read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct SheetError {
    path: String,
    what: String,
}

fn wrong(path: &str, error: impl ToString) -> SheetError {
    SheetError { path: path.to_owned(), what: error.to_string() }
}

/// One that is being written: lines go in, bytes come out as groups of them are whole.
pub struct Sheet {
    path: String,
    writer: ArrowWriter<Vec<u8>>,
    rows: Vec<Row>,
    bytes: usize,
}

struct Row {
    stored: DateTime<Utc>,
    id: String,
    said: Said,
    line: String,
}

impl Sheet {
    pub fn begin(path: &str) -> Result<Self, SheetError> {
        let level = ZstdLevel::try_new(3).map_err(|error| wrong(path, error))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP.0))
            .set_max_row_group_bytes(Some(GROUP.1))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), Arc::new(schema()), Some(properties));
        let writer = writer.map_err(|error| wrong(path, error))?;
        Ok(Self { path: path.to_owned(), writer, rows: Vec::new(), bytes: 0 })
    }

    /// Takes the line of a statement; answers the bytes that are finished.
    pub fn line(&mut self, line: &str, id: &str, stored: DateTime<Utc>) -> Result<Vec<u8>, SheetError> {
        let said = Said::by(line).map_err(|error| wrong(&self.path, error))?;
        self.bytes += line.len();
        self.rows.push(Row { stored, id: id.to_owned(), said, line: line.to_owned() });
        if self.rows.len() >= BATCH.0 || self.bytes >= BATCH.1 {
            self.encode()?;
        }
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// The last bytes.
    pub fn finish(mut self) -> Result<Vec<u8>, SheetError> {
        self.encode()?;
        self.writer.into_inner().map_err(|error| wrong(&self.path, error))
    }

    fn encode(&mut self) -> Result<(), SheetError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        fn texts<'r>(rows: &'r [Row], of: impl Fn(&'r Row) -> Option<&'r str>) -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<StringArray>())
        }
        let stored = rows.iter().map(|row| row.stored.timestamp_micros());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(stored).with_timezone("UTC")),
            texts(&rows, |row| Some(&row.id)),
            texts(&rows, |row| Some(&row.said.verb)),
            texts(&rows, |row| row.said.actor.as_deref()),
            texts(&rows, |row| Some(&row.said.object_type)),
            texts(&rows, |row| row.said.object_id.as_deref()),
            texts(&rows, |row| row.said.registration.as_deref()),
            texts(&rows, |row| Some(&row.line)),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema()), columns).map_err(|error| wrong(&self.path, error))?;
        self.writer.write(&batch).map_err(|error| wrong(&self.path, error))
    }
}

/// The lines of one, in their order.
pub struct Lines {
    path: String,
    reader: ParquetRecordBatchReader,
    lines: Option<(StringArray, usize)>,
}

impl Lines {
    pub fn open(file: File, path: &str) -> Result<Self, SheetError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| wrong(path, error))?;
        let columns = ProjectionMask::columns(builder.parquet_schema(), [LINE]);
        let reader = builder.with_projection(columns).with_batch_size(BATCH.0).build();
        Ok(Self { path: path.to_owned(), reader: reader.map_err(|error| wrong(path, error))?, lines: None })
    }

    /// The next one; none at the end.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, SheetError> {
        loop {
            if let Some((lines, next)) = &mut self.lines
                && *next < lines.len()
            {
                *next += 1;
                return Ok(Some(lines.value(*next - 1).as_bytes().to_vec()));
            }
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let batch = batch.map_err(|error| wrong(&self.path, error))?;
            let column = batch.column_by_name(LINE).and_then(|column| column.as_string_opt::<i32>());
            let lines = column.ok_or_else(|| wrong(&self.path, "it has no column `statement` of texts"))?;
            self.lines = Some((lines.clone(), 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use arrow_array::types::TimestampMicrosecondType;

    use super::*;

    fn statement(n: usize) -> String {
        format!(
            r#"{{"id":"ec531277-b57b-4c15-8d91-{n:012}","actor":{{"mbox":"mailto:a@x.example"}},"verb":{{"id":"v:{n}"}},"object":{{"id":"x:1"}},"n":1.10}}"#
        )
    }

    fn sheet(count: usize) -> File {
        let (mut sheet, mut file) = (Sheet::begin("a.parquet").unwrap(), tempfile::tempfile().unwrap());
        for n in 0..count {
            file.write_all(&sheet.line(&statement(n), &n.to_string(), DateTime::UNIX_EPOCH).unwrap()).unwrap();
        }
        file.write_all(&sheet.finish().unwrap()).unwrap();
        file
    }

    #[test]
    fn every_line_comes_back_in_its_order() {
        // Several groups, whose bytes leave one after the other.
        let count = 2 * GROUP.0 + 2_500;
        let mut lines = Lines::open(sheet(count), "a.parquet").unwrap();
        let back: Vec<String> =
            std::iter::from_fn(|| lines.line().unwrap()).map(|line| String::from_utf8(line).unwrap()).collect();
        assert!(back == (0..count).map(statement).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_asked_for_stands_in_columns_of_its_own() {
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(sheet(1)).unwrap().build().unwrap();
        let batch = reader.next().unwrap().unwrap();
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
        assert_eq!((text("verb"), text("object_id")), ("v:0".to_owned(), "x:1".to_owned()));
        assert_eq!(text("actor"), r#"{"mbox":"mailto:a@x.example"}"#);
        assert!(batch.column_by_name("registration").unwrap().is_null(0));
        assert_eq!(batch.column_by_name("stored").unwrap().as_primitive::<TimestampMicrosecondType>().value(0), 0);
    }

    #[test]
    fn what_is_no_sheet_is_told() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"{}\n").unwrap();
        assert!(Lines::open(file, "a.parquet").err().unwrap().to_string().starts_with("a.parquet: "));
    }
}
