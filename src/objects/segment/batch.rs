//! Between rows and the columns of a record batch. Pure.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{ArrowError, DataType};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Row,
    said::Said,
    schema::{self, RELATIONS},
};
use crate::model::TenantId;

/// The columns that a row is read back from.
pub(super) const COLUMNS: [&str; 15] = [
    "tenant_id",
    "id",
    "stored",
    "occurred",
    "verb_key",
    "agent_key",
    "activity_key",
    "registration_key",
    "refers_to",
    "voiding",
    "voids_only_of",
    "voided_by",
    "converts",
    RELATIONS,
    "payload",
];

pub(super) fn of_rows(rows: &[Row], said: &[Said]) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = vec![
        ids(rows, |row| row.tenant.0),
        ids(rows, |row| row.id),
        moments(rows, |row| Some(row.stored)),
        moments(rows, |row| row.occurred),
        ids(rows, |row| row.verb_key),
        ids(rows, |row| row.agent_key),
        ids(rows, |row| row.activity_key),
        ids(rows, |row| row.registration_key),
        ids(rows, |row| row.refers_to),
        Arc::new(rows.iter().map(|row| Some(row.voiding)).collect::<BooleanArray>()),
        ids(rows, |row| row.voids_only_of),
        ids(rows, |row| row.voided_by),
        Arc::new(rows.iter().map(|row| Some(row.converts)).collect::<BooleanArray>()),
        relations(rows),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.payload.as_str()))),
        Arc::new(StringArray::from_iter_values(said.iter().map(|said| said.verb.as_str()))),
        Arc::new(said.iter().map(|said| said.actor.as_deref()).collect::<StringArray>()),
        Arc::new(StringArray::from_iter_values(said.iter().map(|said| said.object_type.as_str()))),
        Arc::new(said.iter().map(|said| said.object_id.as_deref()).collect::<StringArray>()),
        Arc::new(said.iter().map(|said| said.registration.as_deref()).collect::<StringArray>()),
    ];
    RecordBatch::try_new(schema::arrow(), columns)
}

/// How a key stands in a column: in lower case with hyphens, so that texts have the order of the keys.
pub(super) fn text_of(key: Uuid) -> String {
    key.hyphenated().to_string()
}

fn ids<T: Into<Option<Uuid>>>(rows: &[Row], of: impl Fn(&Row) -> T) -> ArrayRef {
    let mut column = StringBuilder::with_capacity(rows.len(), rows.len() * 36);
    let mut buffer = Uuid::encode_buffer();
    for row in rows {
        column.append_option(of(row).into().map(|key| &*key.hyphenated().encode_lower(&mut buffer)));
    }
    Arc::new(column.finish())
}

fn moments(rows: &[Row], of: impl Fn(&Row) -> Option<DateTime<Utc>>) -> ArrayRef {
    let micros = rows.iter().map(|row| of(row).map(|moment| moment.timestamp_micros()));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn relations(rows: &[Row]) -> ArrayRef {
    let mut column = ListBuilder::new(StringBuilder::new());
    if let Ok(DataType::List(element)) =
        schema::arrow().field_with_name(RELATIONS).map(|field| field.data_type().clone())
    {
        column = column.with_field(element);
    }
    let mut buffer = Uuid::encode_buffer();
    for row in rows {
        for key in &row.relations {
            column.values().append_value(key.hyphenated().encode_lower(&mut buffer));
        }
        column.append(true);
    }
    Arc::new(column.finish())
}

/// The rows of a batch that has all their columns; otherwise what is wrong with it.
pub(super) fn to_rows(batch: &RecordBatch) -> Result<Vec<Row>, String> {
    let (tenants, ids) = (texts(batch, "tenant_id")?, texts(batch, "id")?);
    let (stored, occurred) = (times(batch, "stored")?, times(batch, "occurred")?);
    let [verbs, agents, activities] =
        [texts(batch, "verb_key")?, texts(batch, "agent_key")?, texts(batch, "activity_key")?];
    let (registrations, refers_to) = (texts(batch, "registration_key")?, texts(batch, "refers_to")?);
    let (voiding, converts) = (flags(batch, "voiding")?, flags(batch, "converts")?);
    let (voids_only_of, voided_by) = (texts(batch, "voids_only_of")?, texts(batch, "voided_by")?);
    let (relations, payloads) = (lists(batch)?, texts(batch, "payload")?);
    let row = |at: usize| {
        Ok(Row {
            tenant: TenantId(needed(key(tenants, at)?, "tenant_id")?),
            id: needed(key(ids, at)?, "id")?,
            stored: needed(moment(stored, at)?, "stored")?,
            occurred: moment(occurred, at)?,
            verb_key: needed(key(verbs, at)?, "verb_key")?,
            agent_key: key(agents, at)?,
            activity_key: key(activities, at)?,
            registration_key: key(registrations, at)?,
            refers_to: key(refers_to, at)?,
            voiding: voiding.value(at),
            voids_only_of: key(voids_only_of, at)?,
            voided_by: key(voided_by, at)?,
            converts: converts.value(at),
            relations: keys(&relations.value(at))?,
            payload: payloads.value(at).to_owned(),
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T, String> {
    let column = batch.column_by_name(name).ok_or_else(|| format!("column {name} is missing"))?;
    column.as_any().downcast_ref().ok_or_else(|| format!("column {name} is of type {}", column.data_type()))
}

pub(super) fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, String> {
    column(batch, name)
}

pub(super) fn times<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a TimestampMicrosecondArray, String> {
    column(batch, name)
}

pub(super) fn lists(batch: &RecordBatch) -> Result<&ListArray, String> {
    column(batch, RELATIONS)
}

fn flags<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a BooleanArray, String> {
    column(batch, name)
}

fn key(column: &StringArray, at: usize) -> Result<Option<Uuid>, String> {
    if column.is_null(at) {
        return Ok(None);
    }
    Uuid::try_parse(column.value(at)).map(Some).map_err(|e| format!("{:?} is no key: {e}", column.value(at)))
}

fn keys(list: &ArrayRef) -> Result<Vec<Uuid>, String> {
    let texts: &StringArray = list.as_any().downcast_ref().ok_or("the elements of relations are no texts")?;
    (0..texts.len()).map(|at| needed(key(texts, at)?, RELATIONS)).collect()
}

fn moment(column: &TimestampMicrosecondArray, at: usize) -> Result<Option<DateTime<Utc>>, String> {
    if column.is_null(at) {
        return Ok(None);
    }
    let micros = column.value(at);
    DateTime::from_timestamp_micros(micros).map(Some).ok_or_else(|| format!("{micros} is no time"))
}

fn needed<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("column {name} is empty in a row"))
}
