//! A storage that refuses, is full, or is away: what is said names the object and the reason.

use std::path::Path;

use progress_service::{
    config::{Environment, read},
    objects::{Objects, segment::SegmentError},
};

use crate::support::{
    pgproc::{SmallDisk, free_port},
    s3::Bucket,
    segments::{SMALL, all_of, archive, folder_store, noise, place, rows, writing},
};

fn open(bucket: &Bucket, endpoint: &str, secret: &str) -> Objects {
    let url = bucket.url();
    let variables = [
        ("PROGRESS_ARCHIVE_URL", url.as_str()),
        ("PROGRESS_ARCHIVE_S3_ENDPOINT", endpoint),
        ("PROGRESS_ARCHIVE_S3_REGION", &bucket.access.region),
        ("PROGRESS_ARCHIVE_S3_ACCESS_KEY", &bucket.access.key),
        ("PROGRESS_ARCHIVE_S3_SECRET_KEY", secret),
        ("PROGRESS_ARCHIVE_S3_ALLOW_HTTP", "true"),
    ];
    let config = read(&Environment::of(variables), Path::new("/nowhere")).unwrap().config;
    Objects::open(&config.archive, Path::new("/nowhere")).unwrap()
}

async fn said(objects: &Objects) -> [String; 2] {
    let place = place("2026-03");
    let wrote = archive(objects, writing(place, 1), &rows(place, 50), SMALL).await.unwrap_err();
    let read = all_of(objects, &place).await.unwrap_err();
    [wrote.to_string(), read.to_string()]
}

#[tokio::test]
async fn the_service_s_own_door_archives_into_a_bucket() {
    let (bucket, place) = (Bucket::new().await, place("2026-03"));
    let objects = open(&bucket, &bucket.access.endpoint, &bucket.access.secret);
    let rows = rows(place, 300);
    archive(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
    assert_eq!(all_of(&objects, &place).await.unwrap(), rows);
}

#[tokio::test]
async fn a_key_without_rights_is_refused_and_said_to_be() {
    let bucket = Bucket::new().await;
    for text in said(&open(&bucket, &bucket.access.endpoint, "wrong")).await {
        assert!(text.contains("tenant=") && text.contains("because the storage refuses it"), "{text}");
        assert!(!text.contains(&bucket.access.secret), "{text}");
    }
}

#[tokio::test]
async fn a_storage_that_is_away_is_said_to_be() {
    let bucket = Bucket::new().await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let objects = open(&bucket, &nobody, &bucket.access.secret);
    let text = all_of(&objects, &place("2026-03")).await.unwrap_err().to_string();
    assert!(text.contains("_manifest.json") && text.contains("because the storage cannot be reached"), "{text}");
}

#[tokio::test]
async fn a_full_storage_is_said_to_be_and_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _disk = SmallDisk::mount(folder.path(), 1);
    let objects = Objects::over(folder_store(folder.path()));
    let place = place("2026-03");
    let mut rows = rows(place, 2_000);
    for (n, row) in rows.iter_mut().enumerate() {
        // What does not compress.
        row.payload = row.payload.replacen('{', &format!("{{\"noise\":\"{}\",", noise(n as u32, 40)), 1);
    }
    let refused = archive(&objects, writing(place, 1), &rows, SMALL).await.unwrap_err();
    assert!(matches!(refused, SegmentError::Storage { .. }), "{refused}");
    assert!(refused.to_string().contains("because the storage is full"), "{refused}");
    assert!(matches!(all_of(&objects, &place).await, Err(SegmentError::NotPublished(_))));
}
