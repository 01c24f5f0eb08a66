//! Rows in PostgreSQL's binary COPY format, written into one buffer: the cheapest way of many rows into a table.

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use uuid::Uuid;

const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
const NULL: i32 = -1;

/// PostgreSQL counts its microseconds from the beginning of 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Rows to copy. What is put into each are its columns, in the order that the statement names them.
pub(in crate::store) struct Rows {
    buffer: BytesMut,
    columns: i16,
}

impl Rows {
    pub fn of(columns: i16) -> Self {
        let mut buffer = BytesMut::with_capacity(1 << 20);
        buffer.put_slice(HEAD);
        Self { buffer, columns }
    }

    pub fn begin(&mut self) -> &mut Self {
        self.buffer.put_i16(self.columns);
        self
    }

    pub fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub fn uuid_or_null(&mut self, value: Option<Uuid>) -> &mut Self {
        match value {
            Some(value) => self.uuid(value),
            None => self.null(),
        }
    }

    pub fn time(&mut self, value: DateTime<Utc>) -> &mut Self {
        let micros = value.timestamp_micros().saturating_sub(EPOCH_MICROS);
        self.bytes(&micros.to_be_bytes())
    }

    pub fn time_or_null(&mut self, value: Option<DateTime<Utc>>) -> &mut Self {
        match value {
            Some(value) => self.time(value),
            None => self.null(),
        }
    }

    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.bytes(&[u8::from(value)])
    }

    /// A text or a bytea, of less than 2 GiB.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.buffer.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.buffer.put_slice(value);
        self
    }

    fn null(&mut self) -> &mut Self {
        self.buffer.put_i32(NULL);
        self
    }

    pub fn finish(mut self) -> Bytes {
        self.buffer.put_i16(END);
        self.buffer.freeze()
    }
}
