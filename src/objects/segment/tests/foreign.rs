//! Parquet that others could have put into a segment's place.

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use parquet::{arrow::ArrowWriter, file::metadata::KeyValue};

use super::{
    super::{Part, Segment, SegmentError, digest, footer, schema},
    SMALL, objects, plain, run, write,
};

/// A Parquet object that somebody else could have put there, and a manifest that names it.
async fn planted(schema: SchemaRef, footer: Option<&str>) -> SegmentError {
    let objects = objects();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
    writer.write(&RecordBatch::new_empty(schema)).unwrap();
    if let Some(text) = footer {
        writer.append_key_value_metadata(KeyValue::new("progress-service.segment".to_owned(), text.to_owned()));
    }
    let bytes = writer.into_inner().unwrap();
    let mut manifest = write(&objects, &plain(3), SMALL).await.unwrap().manifest().clone();
    let mut sealer = digest::Sealer::default();
    sealer.add(&bytes);
    let part = &mut manifest.parts[0];
    part.bytes = bytes.len() as u64;
    part.blocks = Part::encode_checks(&sealer.finish().1);
    objects.put(&part.key, bytes.into()).await.unwrap();
    Segment::open(&objects, manifest, None).unwrap().scan().next().await.unwrap_err()
}

#[test]
fn parquet_of_others_and_of_later_releases_is_told_apart() {
    run(async {
        let foreign = planted(schema::arrow(), None).await;
        assert!(
            matches!(&foreign, SegmentError::Foreign { rule, .. } if rule.contains("no entry of ours")),
            "{foreign}"
        );
        let later = planted(schema::arrow(), Some(r#"{"format": 2, "shape": "unknown"}"#)).await;
        assert!(matches!(later, SegmentError::Newer { found: 2, known: 1, .. }), "{later}");
        let odd = planted(schema::arrow(), Some(r#"{"format": 1}"#)).await;
        assert!(matches!(odd, SegmentError::Damaged { .. }), "{odd}");
    });
}

#[test]
fn a_part_that_lacks_a_column_is_refused() {
    let fields: Vec<_> = schema::arrow().fields().iter().filter(|field| field.name() != "payload").cloned().collect();
    let refused = footer::columns("k", &Schema::new(fields)).unwrap_err();
    assert!(refused.to_string().contains("column payload of type Utf8 is missing"), "{refused}");
    footer::columns("k", &schema::arrow()).unwrap();
}
