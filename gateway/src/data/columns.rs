//! The columns that the tables have, whatever format a segment is of: a column that came later is filled where it is missing.
//! A migration that adds a column to the ledger's statements adds it here, in the same release.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};

use crate::fault::Fault;

/// What a value is, as far as comparing and printing go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Uuid,
    Moment,
    Text,
    Bool,
    Number,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Moment => "timestamp with time zone",
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Number => "bigint",
        }
    }

    /// The object id of PostgreSQL's type.
    pub fn oid(self) -> u32 {
        match self {
            Self::Uuid => 2950,
            Self::Moment => 1184,
            Self::Text => 25,
            Self::Bool => 16,
            Self::Number => 20,
        }
    }

    /// UUIDs are texts here, in lower case, which have the same order.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Uuid | Self::Text => DataType::Utf8,
            Self::Moment => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Bool => DataType::Boolean,
            Self::Number => DataType::Int64,
        }
    }
}

/// Name, kind, and whether it may be null: the ledger's in their order, then what is said in words.
pub const COLUMNS: [(&str, Kind, bool); 17] = [
    ("tenant_id", Kind::Uuid, false),
    ("id", Kind::Uuid, false),
    ("stored", Kind::Moment, false),
    ("occurred", Kind::Moment, true),
    ("verb_key", Kind::Uuid, false),
    ("agent_key", Kind::Uuid, true),
    ("activity_key", Kind::Uuid, true),
    ("registration_key", Kind::Uuid, true),
    ("refers_to", Kind::Uuid, true),
    ("voiding", Kind::Bool, false),
    ("converts", Kind::Bool, false),
    ("payload", Kind::Text, false),
    ("verb", Kind::Text, false),
    ("actor", Kind::Text, true),
    ("object_type", Kind::Text, false),
    ("object_id", Kind::Text, true),
    ("registration", Kind::Uuid, true),
];

pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let field = |(name, kind, nullable): &(&str, Kind, bool)| Field::new(*name, kind.arrow(), *nullable);
        Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

/// The columns of `wanted` out of a batch that may have been written before some of them were there: null, and false where
/// a flag may not be null.
pub fn fill(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, Fault> {
    let rows = batch.num_rows();
    let column = |field: &Arc<Field>| -> Result<ArrayRef, Fault> {
        match (batch.column_by_name(field.name()), field.is_nullable(), field.data_type()) {
            (Some(column), _, _) => Ok(Arc::clone(column)),
            (None, true, kind) => Ok(new_null_array(kind, rows)),
            (None, false, DataType::Boolean) => Ok(Arc::new(BooleanArray::from(vec![false; rows]))),
            (None, false, _) => Err(Fault::new("XX001", format!("column {} is missing in a segment", field.name()))),
        }
    };
    let columns = wanted.fields().iter().map(column).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)
        .map_err(|error| Fault::new("XX001", error.to_string()))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, StringArray};

    use super::*;

    #[test]
    fn a_column_that_came_later_is_filled() {
        let old = Schema::new(vec![Field::new("verb", DataType::Utf8, false)]);
        let batch = RecordBatch::try_new(Arc::new(old), vec![Arc::new(StringArray::from(vec!["a", "b"]))]).unwrap();
        let later = Schema::new(vec![
            Field::new("score", DataType::Int64, true),
            Field::new("flag", DataType::Boolean, false),
            Field::new("verb", DataType::Utf8, false),
        ]);
        let filled = fill(&batch, &Arc::new(later)).unwrap();
        assert_eq!((filled.num_rows(), filled.column(0).null_count(), filled.column(1).null_count()), (2, 2, 0));
        let needed = Schema::new(vec![Field::new("text", DataType::Utf8, false)]);
        assert_eq!(fill(&batch, &Arc::new(needed)).unwrap_err().code, "XX001");
        let nothing = fill(&batch, &Arc::new(Schema::empty())).unwrap();
        assert_eq!((nothing.num_rows(), nothing.num_columns()), (2, 0));
    }
}
