//! Segments for tests: rows that look like statements, and stores to put them into.

use std::{path::Path, sync::Arc};

use chrono::{DateTime, Duration};
use object_store::{ObjectStore, local::LocalFileSystem};
use progress_service::{
    model::TenantId,
    objects::{
        Objects,
        segment::{
            Filter, Manifest, Owner, Place, Published, Row, Segment, SegmentError, Sizes, Span, Staged, Writer,
            Writing, publish, verify,
        },
    },
    telemetry::Aside,
    xapi::{
        keys::{self, Ifi},
        prepare::VOIDED,
    },
};
use serde_json::json;
use uuid::Uuid;

use super::s3::Bucket;

pub const TENANT: TenantId = TenantId(Uuid::from_u128(0x7e9a));
pub const OWNER: Owner = Owner { installation: Uuid::from_u128(0x1757), epoch: 1 };

/// Several parts, row groups and pages of a few thousand rows.
pub const SMALL: Sizes =
    Sizes { part_bytes: 150 << 10, group_rows: 300, group_bytes: 8 << 20, page_bytes: 4 << 10, page_rows: 50 };

pub fn place(month: &str) -> Place {
    Place { tenant: TENANT, month: month.parse().unwrap(), revision: 0 }
}

pub fn writing(place: Place, id: u128) -> Writing {
    Writing {
        place,
        owner: OWNER,
        id: Uuid::from_u128(id),
        retention_class: "standard".to_owned(),
        erasure_stamp: 0,
        written_at: DateTime::UNIX_EPOCH,
    }
}

pub fn agent(n: u32) -> (Ifi, Uuid) {
    let ifi = Ifi::Mbox(format!("mailto:learner{n}@x.example"));
    let key = keys::agent(TENANT.0, &ifi);
    (ifi, key)
}

/// Statements of a month, evenly over it: learners on courses, each with a registration, some voidings among them.
pub fn rows(place: Place, count: u32) -> Vec<Row> {
    let length = (place.month.end() - place.month.begin()).num_microseconds().unwrap();
    let step = Duration::microseconds(length / i64::from(count + 1));
    (0..count).map(|n| row(place, n, place.month.begin() + step * i32::try_from(n).unwrap())).collect()
}

fn row(place: Place, n: u32, stored: DateTime<chrono::Utc>) -> Row {
    let id = |n: u32| {
        let (year_and_month, mixed) =
            (place.month.begin().timestamp() as u128, u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Uuid::from_u128(year_and_month << 96 | mixed & (u128::MAX >> 32))
    };
    let (learner, course) = (n % 97, n % 13);
    let (ifi, agent_key) = agent(learner);
    let registration = Uuid::from_u128(u128::from(learner) << 64 | u128::from(course));
    let voiding = n % 40 == 39;
    let activity = format!("http://lms.example/course/{course}");
    let verb = if voiding {
        VOIDED.to_owned()
    } else {
        format!("http://v.example/{}", ["experienced", "passed", "failed"][n as usize % 3])
    };
    let mut actor = ifi.to_map();
    actor.insert("name".into(), json!(format!("Learner Number {learner}")));
    let object = if voiding {
        json!({"objectType": "StatementRef", "id": id(n - 1)})
    } else {
        json!({"id": activity, "definition": {"name": {"en": format!("Course {course}"), "de": "Kurs"},
            "type": "http://adlnet.gov/expapi/activities/course"}})
    };
    let payload = json!({"id": id(n), "actor": actor, "verb": {"id": verb, "display": {"en": "did"}}, "object": object,
        "result": {"score": {"scaled": f64::from(n % 100) / 100.0}, "duration": format!("PT{n}S")},
        "context": {"extensions": {"http://x.example/noise": noise(n, 20)}, "registration": registration,
            "platform": "somewhere", "language": "de-CH"},
        "authority": {"account": {"homePage": "http://lms.example", "name": "lms"}}, "version": "1.0.0"});
    let mut relations = vec![Uuid::from_u128(0xa07), Uuid::from_u128(u128::from(n % 31) << 96 | 0x4e1)];
    relations.sort();
    Row {
        tenant: place.tenant,
        id: id(n),
        stored,
        occurred: (!n.is_multiple_of(4)).then(|| stored - Duration::seconds(90)),
        verb_key: keys::verb(TENANT.0, &verb),
        agent_key: Some(agent_key),
        activity_key: (!voiding).then(|| keys::activity(TENANT.0, &activity)),
        registration_key: Some(keys::registration(TENANT.0, registration)),
        refers_to: voiding.then(|| id(n - 1)),
        voiding,
        voids_only_of: None,
        voided_by: (n % 40 == 38).then(|| id(n + 1)),
        converts: n.is_multiple_of(5),
        relations,
        payload: payload.to_string(),
    }
}

/// Digits that do not compress, sixteen for each word: other ones for each `n`.
pub fn noise(n: u32, words: u64) -> String {
    let mixed = |word: u64| {
        let mut z = (u64::from(n) << 32 | word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", z ^ (z >> 31))
    };
    (1..=words).map(mixed).collect()
}

pub async fn stage(objects: &Objects, writing: Writing, rows: &[Row], sizes: Sizes) -> Result<Staged, SegmentError> {
    let mut writer = Writer::new(objects, writing, sizes);
    for row in rows {
        writer.push(row.clone()).await?;
    }
    writer.finish().await
}

/// The whole way of a month.
pub async fn archive(
    objects: &Objects,
    writing: Writing,
    rows: &[Row],
    sizes: Sizes,
) -> Result<Published, SegmentError> {
    let staged = stage(objects, writing, rows, sizes).await?;
    publish(objects, verify(objects, staged, &Aside::default()).await?).await
}

pub async fn scan(segment: &Segment) -> Result<Vec<Row>, SegmentError> {
    let (mut scan, mut all) = (segment.scan(), Vec::new());
    while let Some(rows) = scan.next().await? {
        all.extend(rows);
    }
    Ok(all)
}

pub async fn all_of(objects: &Objects, place: &Place) -> Result<Vec<Row>, SegmentError> {
    let manifest = Manifest::load(objects, place, OWNER.installation).await?;
    scan(&Segment::open(objects, manifest, None)?).await
}

pub fn everything() -> Span {
    Span { ascending: true, since: None, until: None, limit: 1_000, bytes: 64 << 20 }
}

/// What a filter finds, by looking at every row.
pub fn brute_force(rows: &[Row], filter: &Filter, span: &Span) -> Vec<Row> {
    let in_span = |row: &&Row| {
        span.since.is_none_or(|since| row.stored > since) && span.until.is_none_or(|until| row.stored <= until)
    };
    let mut found: Vec<Row> = rows.iter().filter(in_span).filter(|row| filter.matches(row)).cloned().collect();
    if !span.ascending {
        found.reverse();
    }
    found.truncate(span.limit);
    found
}

/// A real store of one test: a bucket of the S3 server, or a folder.
pub enum RealStore {
    Bucket(Bucket),
    Folder(tempfile::TempDir),
}

/// Both kinds of real stores.
pub async fn stores() -> Vec<RealStore> {
    vec![RealStore::Bucket(Bucket::new().await), RealStore::Folder(tempfile::tempdir().unwrap())]
}

impl RealStore {
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        match self {
            Self::Bucket(bucket) => Arc::new(bucket.store_with_conditions()),
            Self::Folder(folder) => folder_store(folder.path()),
        }
    }

    pub fn objects(&self) -> Objects {
        Objects::over(self.store())
    }
}

pub fn folder_store(folder: &Path) -> Arc<dyn ObjectStore> {
    Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap())
}

/// The keys of everything there is, in order.
pub async fn keys(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    use futures_util::TryStreamExt;
    let mut keys: Vec<String> = store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    keys.sort();
    keys
}
