//! Rows as the protocol carries them: every value as PostgreSQL prints it, in text.

use bytes::{BufMut, BytesMut};
use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type},
};
use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};

use crate::{
    fault::Fault,
    sql::{literal::print_moment, scope::Outputs},
};

/// What comes: the names and types of the columns.
pub fn description(outputs: &Outputs) -> RowDescription {
    let size = |kind: crate::data::columns::Kind| match kind.oid() {
        16 => 1,
        20 | 1184 => 8,
        2950 => 16,
        _ => -1,
    };
    let field = |(name, kind): &(String, crate::data::columns::Kind)| {
        FieldDescription::new(name.clone(), 0, 0, kind.oid(), size(*kind), -1, 0)
    };
    RowDescription::new(outputs.iter().map(field).collect())
}

/// One row of a batch.
pub fn row(batch: &RecordBatch, at: usize) -> Result<DataRow, Fault> {
    let mut data = BytesMut::new();
    for column in batch.columns() {
        value(column, at, &mut data)?;
    }
    Ok(DataRow::new(data, i16::try_from(batch.num_columns()).unwrap_or(i16::MAX)))
}

/// A row of texts.
pub fn texts(values: &[&str]) -> DataRow {
    let mut data = BytesMut::new();
    values.iter().for_each(|value| put(&mut data, value));
    DataRow::new(data, i16::try_from(values.len()).unwrap_or(i16::MAX))
}

fn put(data: &mut BytesMut, text: &str) {
    data.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
    data.put_slice(text.as_bytes());
}

fn value(column: &ArrayRef, at: usize, data: &mut BytesMut) -> Result<(), Fault> {
    if column.is_null(at) || column.data_type() == &DataType::Null {
        data.put_i32(-1);
        return Ok(());
    }
    match column.data_type() {
        DataType::Utf8 => put(data, column.as_string::<i32>().value(at)),
        DataType::LargeUtf8 => put(data, column.as_string::<i64>().value(at)),
        DataType::Utf8View => put(data, column.as_string_view().value(at)),
        DataType::Boolean => put(data, if column.as_boolean().value(at) { "t" } else { "f" }),
        DataType::Int64 => put(data, &column.as_primitive::<Int64Type>().value(at).to_string()),
        DataType::UInt64 => put(data, &column.as_primitive::<UInt64Type>().value(at).to_string()),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            put(data, &print_moment(column.as_primitive::<TimestampMicrosecondType>().value(at))?);
        }
        other => return Err(Fault::unsupported(format!("values of type {other}"))),
    }
    Ok(())
}
