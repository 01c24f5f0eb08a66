//! Rows that are made up, written, read back and asked for; over a store in memory.

mod foreign;

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use object_store::memory::InMemory;
use proptest::{collection::vec, option, prelude::*};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::*;
use crate::{model::TenantId, objects::Objects, telemetry::Aside};

const TENANT: TenantId = TenantId(Uuid::from_u128(7));
const OWNER: Owner = Owner { installation: Uuid::from_u128(9), epoch: 3 };

/// Small enough that a few hundred rows make several parts, row groups and pages.
const SMALL: Sizes =
    Sizes { part_bytes: 24 << 10, group_rows: 64, group_bytes: 1 << 20, page_bytes: 2 << 10, page_rows: 8 };

fn place() -> Place {
    Place { tenant: TENANT, month: "2026-03".parse().unwrap(), revision: 0 }
}

fn writing() -> Writing {
    Writing {
        place: place(),
        owner: OWNER,
        id: Uuid::from_u128(1),
        retention_class: "standard".to_owned(),
        erasure_stamp: 4,
        written_at: DateTime::UNIX_EPOCH,
    }
}

fn objects() -> Objects {
    Objects::over(Arc::new(InMemory::new()))
}

/// Of few keys, so that many statements share them.
fn key() -> impl Strategy<Value = Uuid> {
    (0_u128..6).prop_map(|n| Uuid::from_u128((n << 100) | 1))
}

prop_compose! {
    fn row()(
        gap in 1_i64..200_000_000,
        id in any::<u128>(),
        occurred in option::of(-4_000_000_000_000_i64..4_000_000_000_000_000),
        keys in (key(), option::of(key()), option::of(key()), option::of(key()), option::of(key())),
        flags in (any::<bool>(), any::<bool>()),
        voids in (option::of(key()), option::of(key())),
        mut relations in vec(key(), 0..4),
        words in "[ -~äß水\u{1F600}\\n]{0,40}",
    ) -> (i64, Row) {
        relations.sort();
        let verb = format!("http://v.example/{}", keys.0.as_u128() >> 100);
        let payload = json!({"actor": {"mbox": "mailto:a@x.example"}, "verb": {"id": verb}, "object": {"id": "a:1"}, "words": words});
        (gap, Row {
            tenant: TENANT,
            id: Uuid::from_u128(id),
            stored: DateTime::UNIX_EPOCH,
            occurred: occurred.and_then(DateTime::from_timestamp_micros),
            verb_key: keys.0,
            agent_key: keys.1,
            activity_key: keys.2,
            registration_key: keys.3,
            refers_to: keys.4,
            voiding: flags.0,
            voids_only_of: voids.0,
            voided_by: voids.1,
            converts: flags.1,
            relations,
            payload: payload.to_string(),
        })
    }
}

/// Rows of one month in their order.
fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    vec(row(), 1..most).prop_map(|rows| {
        let mut stored = place().month.begin();
        let timed = rows.into_iter().map(|(gap, row)| {
            stored += Duration::microseconds(gap);
            Row { stored, ..row }
        });
        timed.collect()
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let column = prop::sample::select(vec![Key::Verb, Key::Agent, Key::Activity, Key::Registration, Key::RefersTo]);
    (column, vec(key(), 0..3), vec(key(), 0..3)).prop_map(|(column, keys, relations)| Condition {
        column,
        keys,
        relations,
    })
}

async fn write(objects: &Objects, rows: &[Row], sizes: Sizes) -> Result<Staged, SegmentError> {
    let mut writer = Writer::new(objects, writing(), sizes);
    for row in rows {
        writer.push(row.clone()).await?;
    }
    writer.finish().await
}

async fn published(objects: &Objects, rows: &[Row], sizes: Sizes) -> Segment {
    let staged = write(objects, rows, sizes).await.unwrap();
    let published = publish(objects, verify(objects, staged, &Aside::default()).await.unwrap()).await.unwrap();
    Segment::open(objects, published.manifest().clone(), None).unwrap()
}

async fn everything(segment: &Segment) -> Vec<Row> {
    let (mut scan, mut all) = (segment.scan(), Vec::new());
    while let Some(rows) = scan.next().await.unwrap() {
        all.extend(rows);
    }
    all
}

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story)
}

fn brute_force(rows: &[Row], filter: &Filter, span: &Span) -> Vec<Row> {
    let in_span = |row: &&Row| {
        span.since.is_none_or(|since| row.stored > since) && span.until.is_none_or(|until| row.stored <= until)
    };
    let mut found: Vec<Row> = rows.iter().filter(in_span).filter(|row| filter.matches(row)).cloned().collect();
    if !span.ascending {
        found.reverse();
    }
    let mut bytes = 0;
    let fits = |row: &Row| {
        let goes_on = bytes < span.bytes;
        bytes += row.payload.len();
        goes_on
    };
    found.into_iter().take(span.limit).take_while(fits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_what_is_read(rows in rows(400)) {
        run(async {
            let segment = published(&objects(), &rows, SMALL).await;
            assert_eq!(everything(&segment).await, rows);
            let manifest = segment.manifest();
            assert_eq!(manifest.summary.rows as usize, rows.len());
            assert_eq!(manifest.verbs.values().sum::<u64>() as usize, rows.len());
            assert_eq!(manifest.parts.iter().map(|part| part.summary.rows).sum::<u64>() as usize, rows.len());
        });
    }

    #[test]
    fn a_filter_finds_what_brute_force_finds(
        rows in rows(400),
        filters in vec((vec(condition(), 0..3), option::of((0_usize..400, 0_usize..400)), any::<bool>(),
            option::of(0_usize..400), option::of(0_usize..400), 1_usize..80, 100_usize..20_000), 12),
    ) {
        run(async {
            let segment = published(&objects(), &rows, SMALL).await;
            let at = |n: usize| rows[n % rows.len()].stored;
            for (conditions, moments, ascending, since, until, limit, bytes) in filters {
                let mut filter = Filter { conditions, moments: None };
                if let Some((one, other)) = moments {
                    filter = filter.at([at(one), at(other), at(one) + Duration::microseconds(1)]);
                }
                let span = Span { ascending, since: since.map(at), until: until.map(at), limit, bytes };
                let found = segment.select(&filter, &span).await.unwrap();
                assert_eq!(found, brute_force(&rows, &filter, &span), "{filter:?} {span:?}");
            }
        });
    }

    #[test]
    fn the_content_digest_does_not_depend_on_the_parts(rows in rows(300)) {
        run(async {
            let small = write(&objects(), &rows, SMALL).await.unwrap();
            let large = write(&objects(), &rows, Sizes::default()).await.unwrap();
            assert_eq!(small.manifest().summary, large.manifest().summary);
            assert_eq!(large.manifest().parts.len(), 1);
        });
    }
}

/// A row of each millisecond.
fn plain(count: u32) -> Vec<Row> {
    let begin = place().month.begin();
    let row = |n: u32| Row {
        tenant: TENANT,
        id: Uuid::from_u128(u128::from(n) << 64 | 5),
        stored: begin + Duration::milliseconds(i64::from(n)),
        occurred: None,
        verb_key: Uuid::from_u128(u128::from(n % 3)),
        agent_key: Some(Uuid::from_u128(u128::from(n % 50))),
        activity_key: None,
        registration_key: None,
        refers_to: None,
        voiding: false,
        voids_only_of: None,
        voided_by: None,
        converts: false,
        relations: Vec::new(),
        payload: json!({"actor": {}, "verb": {"id": format!("v:{}", n % 3)}, "object": {"id": "a:1"}, "n": n})
            .to_string(),
    };
    (0..count).map(row).collect()
}

fn refused(change: impl Fn(&mut Row)) -> SegmentError {
    let mut rows = plain(3);
    change(&mut rows[2]);
    run(async { write(&objects(), &rows, SMALL).await.unwrap_err() })
}

#[test]
fn rows_that_do_not_belong_are_refused_by_name() {
    let first = plain(1)[0].stored;
    assert!(matches!(refused(|row| row.stored = first), SegmentError::OutOfOrder { .. }));
    assert!(matches!(refused(|row| row.stored = place().month.end()), SegmentError::OutOfMonth { .. }));
    assert!(matches!(refused(|row| row.tenant = TenantId::DEFAULT), SegmentError::OtherTenant { .. }));
    assert!(matches!(refused(|row| row.stored += Duration::nanoseconds(1)), SegmentError::Inexact { .. }));
    let unsorted = refused(|row| row.relations = vec![Uuid::from_u128(2), Uuid::from_u128(1)]);
    assert!(unsorted.to_string().contains("ascending"), "{unsorted}");
    let unreadable = refused(|row| row.payload = "[]".to_owned());
    assert!(matches!(unreadable, SegmentError::Unreadable { .. }), "{unreadable}");
    assert!(matches!(run(write(&objects(), &[], SMALL)), Err(SegmentError::Empty(_))));
}

#[test]
fn a_row_out_of_order_is_found_between_batches_too() {
    let mut rows = plain(3_000);
    rows.swap(1_024, 1_023);
    let error = run(async { write(&objects(), &rows, SMALL).await.unwrap_err() });
    assert!(matches!(error, SegmentError::OutOfOrder { .. }), "{error}");
}

#[test]
fn what_cannot_answer_is_not_read() {
    run(async {
        // Of payloads that do not compress, so that there is something to save.
        let mut rows = plain(6_000);
        for (n, row) in rows.iter_mut().enumerate() {
            let noise: String = (0..24).map(|at| hex::encode(Sha256::digest(format!("{n} {at}")))).collect();
            row.payload = json!({"actor": {}, "verb": {"id": "v:v"}, "object": {"id": "a:1"}, "noise": noise, "n": n})
                .to_string();
        }
        let sizes = Sizes { group_rows: 500, page_bytes: 8 << 10, page_rows: 100, ..Sizes::default() };
        let objects = objects();
        let segment = published(&objects, &rows, sizes).await;
        let all: u64 = segment.manifest().parts.iter().map(|part| part.bytes).sum();
        let span = Span { ascending: false, since: None, until: None, limit: 10, bytes: 1 << 20 };
        let read_for = async |filter: Filter| {
            let segment = Segment::open(&objects, segment.manifest().clone(), None).unwrap();
            let found = segment.select(&filter, &span).await.unwrap();
            assert_eq!(found, brute_force(&rows, &filter, &span));
            segment.reads().fetched()
        };
        let by_moment = read_for(Filter::default().at([rows[1_777].stored])).await;
        let by_id = read_for(Filter::default().and(Key::Id, rows[1_777].id, &[])).await;
        let of_nobody = read_for(Filter::default().and(Key::Agent, Uuid::from_u128(1 << 90), &[])).await;
        for (read, name) in [(by_moment, "by moment"), (by_id, "by id"), (of_nobody, "of nobody")] {
            assert!(read * 3 < all, "{name}: {read} of {all} bytes");
        }
        assert_eq!(
            read_for(Filter::default().at([place().month.end()])).await,
            0,
            "the manifest says that it is later"
        );
    });
}

#[test]
fn a_large_payload_makes_small_batches_and_comes_back() {
    run(async {
        let mut rows = plain(40);
        for row in &mut rows {
            row.payload =
                json!({"actor": {}, "verb": {"id": "v:v"}, "object": {"id": "a:1"}, "long": "x".repeat(2 << 20)})
                    .to_string();
        }
        let segment = published(&objects(), &rows, Sizes::default()).await;
        let mut scan = segment.scan();
        let first = scan.next().await.unwrap().unwrap();
        assert!(first.len() <= 8, "{} statements of 2 MiB each at once", first.len());
        assert_eq!(everything(&segment).await, rows);
    });
}

#[test]
fn verbs_beyond_the_most_that_are_counted_apart_are_counted_together() {
    let mut verbs = Verbs::new();
    for n in 0..10_050 {
        manifest::count_verb(&mut verbs, &format!("v:{n}"));
    }
    manifest::count_verb(&mut verbs, "v:7");
    assert_eq!((verbs["v:7"], verbs[""], verbs.len()), (2, 50, 10_001));
}

#[test]
fn writing_the_same_rows_makes_the_same_bytes() {
    run(async {
        let rows = plain(500);
        let (one, other) =
            (write(&objects(), &rows, SMALL).await.unwrap(), write(&objects(), &rows, SMALL).await.unwrap());
        assert_eq!(one.manifest(), other.manifest());
    });
}

#[test]
fn every_field_is_in_the_digest() {
    let row = plain(1).remove(0);
    let key = Some(Uuid::from_u128(77));
    let changes: [fn(&mut Row, Option<Uuid>); 15] = [
        |row, _| row.tenant = TenantId::DEFAULT,
        |row, key| row.id = key.unwrap(),
        |row, _| row.stored += Duration::microseconds(1),
        |row, _| row.occurred = Some(DateTime::UNIX_EPOCH),
        |row, key| row.verb_key = key.unwrap(),
        |row, key| row.agent_key = key,
        |row, key| row.activity_key = key,
        |row, key| row.registration_key = key,
        |row, key| row.refers_to = key,
        |row, _| row.voiding = true,
        |row, key| row.voids_only_of = key,
        |row, key| row.voided_by = key,
        |row, _| row.converts = true,
        |row, key| row.relations = vec![key.unwrap()],
        |row, _| row.payload.push(' '),
    ];
    let mut digests = vec![digest::row(&row)];
    for change in changes {
        let mut changed = row.clone();
        change(&mut changed, key);
        digests.push(digest::row(&changed));
    }
    let different: std::collections::HashSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
}

#[test]
fn a_manifest_survives_its_text_and_no_change_of_it() {
    run(async {
        let staged = write(&objects(), &plain(10), SMALL).await.unwrap();
        let manifest = staged.manifest();
        let bytes = manifest.write().unwrap();
        assert_eq!(&Manifest::parse("m", &bytes).unwrap(), manifest);
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let error = |text: String| Manifest::parse("m", text.as_bytes()).unwrap_err();
        let changed = error(text.replace("standard", "forever!"));
        assert!(matches!(&changed, SegmentError::Damaged { rule, .. } if rule.contains("SHA-256")), "{changed}");
        assert!(matches!(error(text.replace("\"version\":1", "\"version\":9")), SegmentError::Newer { found: 9, .. }));
        assert!(matches!(error(text.replace("segment manifest", "other thing")), SegmentError::Foreign { .. }));
        assert!(matches!(error(text[..text.len() / 2].to_owned()), SegmentError::Damaged { .. }));
    });
}

#[test]
fn times_are_written_as_they_are_read() {
    let moment: DateTime<Utc> = "2026-03-01T00:00:00.000001Z".parse().unwrap();
    assert_eq!(serde_json::to_string(&moment).unwrap(), "\"2026-03-01T00:00:00.000001Z\"");
}

#[test]
fn a_writer_that_is_given_up_leaves_nothing_to_see() {
    run(async {
        let objects = objects();
        let mut writer = Writer::new(&objects, writing(), Sizes::default());
        for row in plain(2_000) {
            writer.push(row).await.unwrap();
        }
        writer.abandon().await;
        assert!(objects.list("_staged").await.unwrap().is_empty());
    });
}
