//! The cache on disk: it answers with the store away, stays under its budget, and gives nothing that is not right.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use progress_service::objects::{
    Objects,
    segment::{Cache, Filter, Manifest, Row, Segment},
};

use crate::support::{
    faulty::{Fault, Faulty},
    segments::{SMALL, archive, everything, place, rows, scan, stores, writing},
};

/// Every file in the folder of a cache, with its size.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let objects = fs::read_dir(folder).unwrap().flatten();
    let blocks = objects.flat_map(|object| fs::read_dir(object.path()).unwrap().flatten());
    blocks.map(|block| (block.path(), block.metadata().unwrap().len())).collect()
}

async fn published(objects: &Objects, count: u32) -> (Manifest, Vec<Row>) {
    let place = place("2026-03");
    let rows = rows(place, count);
    let done = archive(objects, writing(place, 1), &rows, SMALL).await.unwrap();
    (done.manifest().clone(), rows)
}

#[tokio::test]
async fn what_was_read_once_is_read_with_the_store_away_also_by_the_next_process() {
    for real in stores().await {
        let folder = tempfile::tempdir().unwrap();
        let (manifest, rows) = published(&real.objects(), 900).await;
        let cache = Cache::open(folder.path(), 64 << 20).unwrap();
        let segment = Segment::open(&real.objects(), manifest.clone(), Some(&cache)).unwrap();
        assert_eq!(scan(&segment).await.unwrap(), rows);
        assert!(segment.reads().fetched() > 0);

        let away = Objects::over(Arc::new(Faulty::new(real.store(), Fault::From(0))));
        for cache in [cache, Cache::open(folder.path(), 64 << 20).unwrap()] {
            let segment = Segment::open(&away, manifest.clone(), Some(&cache)).unwrap();
            assert_eq!(scan(&segment).await.unwrap(), rows);
            assert_eq!(segment.reads().fetched(), 0);
            assert!(segment.reads().cached() > 0);
        }
    }
}

#[tokio::test]
async fn what_is_spoilt_on_disk_is_fetched_anew() {
    let real = stores().await.pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (manifest, rows) = published(&real.objects(), 900).await;
    let cache = Cache::open(folder.path(), 64 << 20).unwrap();
    let read = async || {
        let segment = Segment::open(&real.objects(), manifest.clone(), Some(&cache)).unwrap();
        assert_eq!(scan(&segment).await.unwrap(), rows);
        segment.reads().fetched()
    };
    read().await;
    for (n, (file, length)) in files(folder.path()).into_iter().enumerate() {
        let mut bytes = fs::read(&file).unwrap();
        match n % 3 {
            0 => bytes[length as usize / 2] ^= 1,
            1 => bytes.truncate(length as usize / 2),
            _ => bytes = vec![0; length as usize],
        }
        fs::write(&file, bytes).unwrap();
    }
    assert!(read().await > 0);
    for (file, _) in files(folder.path()) {
        fs::remove_file(file).unwrap();
    }
    assert!(read().await > 0);
    assert_eq!(read().await, 0);
}

#[tokio::test]
async fn it_stays_under_its_budget_and_forgets_what_it_is_told_to() {
    let real = stores().await.pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (manifest, rows) = published(&real.objects(), 4_000).await;
    let all: u64 = manifest.parts.iter().map(|part| part.bytes).sum();
    let budget = all / 2;
    let cache = Cache::open(folder.path(), budget).unwrap();
    for _ in 0..3 {
        let segment = Segment::open(&real.objects(), manifest.clone(), Some(&cache)).unwrap();
        assert_eq!(scan(&segment).await.unwrap(), rows);
        segment.select(&Filter::default(), &everything()).await.unwrap();
        let on_disk: u64 = files(folder.path()).iter().map(|(_, length)| length).sum();
        assert!(on_disk <= budget, "{on_disk} of {budget}");
        assert_eq!(on_disk, cache.bytes());
    }
    assert!(cache.bytes() > 0);
    // A smaller budget holds from the start on.
    drop(cache);
    let cache = Cache::open(folder.path(), budget / 2).unwrap();
    let on_disk: u64 = files(folder.path()).iter().map(|(_, length)| length).sum();
    assert!(on_disk <= budget / 2, "{on_disk} of {}", budget / 2);
    for part in &manifest.parts {
        cache.forget(part).unwrap();
    }
    assert_eq!((cache.bytes(), files(folder.path()).len()), (0, 0));
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_only_costs_time() {
    let real = stores().await.pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (manifest, rows) = published(&real.objects(), 900).await;
    let cache = Cache::open(folder.path(), 64 << 20).unwrap();
    // Where the folders of objects would be, there are files.
    for part in &manifest.parts {
        fs::write(folder.path().join(&part.sha256), b"in the way").unwrap();
    }
    let segment = Segment::open(&real.objects(), manifest, Some(&cache)).unwrap();
    assert_eq!(scan(&segment).await.unwrap(), rows);
}
