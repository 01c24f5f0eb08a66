//! The columns of a segment and how each is laid down. Adding a column is a new format: raise [`FORMAT`], and let `read` go
//! on reading the ones before.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{BloomFilterPosition, EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

/// The form that this release writes; it reads this one and those before.
pub const FORMAT: u32 = 1;

/// The column of `relations`, a list.
pub(super) const RELATIONS: &str = "relations";

/// What each row group holds at most, and how the bytes of an object are cut.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A new part begins once one has so many bytes.
    pub part_bytes: u64,
    pub group_rows: usize,
    /// Of the encoded row group, which is held in memory until it is whole.
    pub group_bytes: usize,
    /// Of a page before it is compressed: the least that a read has to unpack.
    pub page_bytes: usize,
    /// Rows of a page of the narrow columns.
    pub page_rows: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            part_bytes: 256 << 20,
            group_rows: 32_768,
            group_bytes: 32 << 20,
            page_bytes: 256 << 10,
            page_rows: 2_048,
        }
    }
}

/// The columns in their order: those of the ledger as they are there, then what is said in words for people's queries.
pub(super) fn arrow() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let moment = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let element = Field::new("element", DataType::Utf8, false);
        Arc::new(Schema::new(vec![
            Field::new("tenant_id", DataType::Utf8, false),
            Field::new("id", DataType::Utf8, false),
            Field::new("stored", moment(), false),
            Field::new("occurred", moment(), true),
            Field::new("verb_key", DataType::Utf8, false),
            Field::new("agent_key", DataType::Utf8, true),
            Field::new("activity_key", DataType::Utf8, true),
            Field::new("registration_key", DataType::Utf8, true),
            Field::new("refers_to", DataType::Utf8, true),
            Field::new("voiding", DataType::Boolean, false),
            Field::new("voids_only_of", DataType::Utf8, true),
            Field::new("voided_by", DataType::Utf8, true),
            Field::new("converts", DataType::Boolean, false),
            Field::new(RELATIONS, DataType::List(Arc::new(element)), false),
            Field::new("payload", DataType::Utf8, false),
            Field::new("verb", DataType::Utf8, false),
            Field::new("actor", DataType::Utf8, true),
            Field::new("object_type", DataType::Utf8, false),
            Field::new("object_id", DataType::Utf8, true),
            Field::new("registration", DataType::Utf8, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// The columns a filter asks by, each of which has a bloom filter.
const ASKED_FOR: [&str; 6] = ["id", "verb_key", "agent_key", "activity_key", "registration_key", "refers_to"];

pub(super) fn properties(sizes: &Sizes) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    let element = ColumnPath::from(vec![RELATIONS.to_owned(), "list".to_owned(), "element".to_owned()]);
    let order = ["stored", "id"].into_iter().filter_map(|name| arrow().index_of(name).ok());
    let order = order.map(|at| SortingColumn { column_idx: at as i32, descending: false, nulls_first: false });
    let groups = sizes.group_rows as u64;
    let mut properties = WriterProperties::builder()
        .set_created_by("progress-service".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(sizes.group_rows.max(1)))
        .set_max_row_group_bytes(Some(sizes.group_bytes.max(1)))
        .set_data_page_size_limit(sizes.page_bytes)
        .set_data_page_row_count_limit(sizes.page_rows)
        // Limits are looked at between batches, and a payload may be large.
        .set_write_batch_size(64)
        .set_sorting_columns(Some(order.collect()))
        // Together with the footer, which is read first.
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_column_dictionary_enabled(column("id"), false)
        .set_column_dictionary_enabled(column("stored"), false)
        .set_column_encoding(column("stored"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(column("payload"), false)
        // The least and the greatest of statements are no use to anybody, and personal data.
        .set_column_statistics_enabled(column("payload"), EnabledStatistics::None)
        .set_column_bloom_filter_max_ndv(element.clone(), groups * 8)
        .set_column_bloom_filter_fpp(element, 0.01);
    for name in ASKED_FOR {
        properties = properties
            .set_column_bloom_filter_max_ndv(column(name), groups)
            .set_column_bloom_filter_fpp(column(name), 0.01);
    }
    properties.build()
}
