//! Objects that are not what they were: each is refused by name and rule, and nothing of it is served.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use progress_service::{
    objects::{
        Objects,
        segment::{Filter, Manifest, Segment, SegmentError, audit},
    },
    telemetry::Aside,
};

use crate::support::segments::{OWNER, RealStore, SMALL, archive, everything, place, rows, scan, stores, writing};

/// A published month, its objects at hand to be spoilt and mended.
struct Month {
    store: Arc<dyn ObjectStore>,
    objects: Objects,
    manifest: Manifest,
}

impl Month {
    async fn read(&self, key: &str) -> Bytes {
        self.store.get(&Path::from(key)).await.unwrap().bytes().await.unwrap()
    }

    async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.store.put(&Path::from(key), PutPayload::from_bytes(bytes.into())).await.unwrap();
    }

    /// What each way of reading says.
    async fn refusals(&self) -> [Option<SegmentError>; 3] {
        let segment = Segment::open(&self.objects, self.manifest.clone(), None).unwrap();
        let audited = audit(&self.objects, self.manifest.clone(), &Aside::default()).await.err();
        [segment.select(&Filter::default(), &everything()).await.err(), scan(&segment).await.err(), audited]
    }

    async fn refusal(&self) -> SegmentError {
        let [selected, scanned, audited] = self.refusals().await;
        assert!(selected.is_some() && scanned.is_some(), "{selected:?} {scanned:?}");
        audited.expect("an audit reads everything")
    }
}

async fn months() -> Vec<(RealStore, Month)> {
    let place = place("2026-03");
    let mut all = Vec::new();
    for real in stores().await {
        let done = archive(&real.objects(), writing(place, 1), &rows(place, 900), SMALL).await.unwrap();
        let month = Month { store: real.store(), objects: real.objects(), manifest: done.manifest().clone() };
        all.push((real, month));
    }
    all
}

#[tokio::test]
async fn a_truncated_a_longer_and_a_missing_part() {
    for (_real, month) in months().await {
        let part = month.manifest.parts[0].clone();
        let good = month.read(&part.key).await;
        for length in [0, 3, 8, good.len() / 2, good.len() - 1] {
            month.put(&part.key, good.slice(..length)).await;
            let said = month.refusal().await.to_string();
            let (has, should) = (format!("has {length} bytes"), format!("says {}", good.len()));
            assert!(said.contains(&part.key) && said.contains(&has) && said.contains(&should), "{length}: {said}");
        }
        month.put(&part.key, [good.as_ref(), b"and more"].concat()).await;
        let [.., audited] = month.refusals().await;
        assert!(audited.unwrap().to_string().contains(&format!("has {} bytes", good.len() + 8)));
        month.store.delete(&Path::from(part.key.as_str())).await.unwrap();
        assert!(matches!(month.refusal().await, SegmentError::Missing { key } if key == part.key));
        month.put(&part.key, good).await;
        assert!(month.refusals().await.iter().all(Option::is_none));
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_never_served() {
    let (_real, month) = months().await.pop().unwrap();
    let part = month.manifest.parts[1].clone();
    let good = month.read(&part.key).await;
    for at in (0..good.len()).step_by(good.len() / 60).chain([good.len() - 1, good.len() - 6]) {
        let mut bad = good.to_vec();
        bad[at] ^= 0x10;
        month.put(&part.key, bad).await;
        let audited = audit(&month.objects, month.manifest.clone(), &Aside::default()).await.unwrap_err();
        assert!(matches!(&audited, SegmentError::Damaged { key, .. } if *key == part.key), "byte {at}: {audited}");
        assert!(audited.to_string().contains("block"), "byte {at}: {audited}");
        let segment = Segment::open(&month.objects, month.manifest.clone(), None).unwrap();
        // What is read of it is right or refused.
        if let Ok(found) = segment.select(&Filter::default(), &everything()).await {
            assert_eq!(found, rows(place("2026-03"), 900), "byte {at}");
        }
    }
}

#[tokio::test]
async fn a_swapped_a_renamed_and_a_foreign_object() {
    for (_real, month) in months().await {
        let [first, second] = [&month.manifest.parts[0], &month.manifest.parts[1]];
        let good = month.read(&first.key).await;
        month.put(&first.key, month.read(&second.key).await).await;
        let said = month.refusal().await.to_string();
        assert!(said.contains(&first.key) && said.contains("manifest says"), "{said}");
        month.put(&first.key, vec![b'x'; good.len()]).await;
        let said = month.refusal().await.to_string();
        assert!(said.contains("does not begin as a Parquet file does"), "{said}");
        month.put(&first.key, good).await;

        // A manifest that names the parts in another order: each part knows which one it is.
        let mut swapped = month.manifest.clone();
        let (key, other) = (swapped.parts[0].clone(), swapped.parts[1].clone());
        (swapped.parts[0], swapped.parts[1]) = (other, key);
        let segment = Segment::open(&month.objects, swapped, None).unwrap();
        let said = scan(&segment).await.unwrap_err();
        assert!(matches!(said, SegmentError::Misplaced { what: "the part", .. }), "{said}");

        // A manifest under another month's name.
        let (march, april) = (place("2026-03"), place("2026-04"));
        month.put(&april.manifest(), month.read(&march.manifest()).await).await;
        let said = Manifest::load(&month.objects, &april, OWNER.installation).await.unwrap_err();
        assert!(matches!(said, SegmentError::Misplaced { what: "the month", .. }), "{said}");
        assert!(said.to_string().contains("2026-03") && said.to_string().contains("2026-04"), "{said}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_spoilt_foreign_or_of_a_later_release() {
    let (_real, month) = months().await.pop().unwrap();
    let place = place("2026-03");
    let good = String::from_utf8(month.read(&place.manifest()).await.to_vec()).unwrap();
    let said = async |text: String| {
        month.put(&place.manifest(), text).await;
        Manifest::load(&month.objects, &place, OWNER.installation).await.unwrap_err()
    };
    assert!(matches!(said(good.replace("\"rows\":900", "\"rows\":901")).await, SegmentError::Damaged { .. }));
    assert!(matches!(said(good[..good.len() - 9].to_owned()).await, SegmentError::Damaged { .. }));
    assert!(matches!(said("{\"a\": 1}".to_owned()).await, SegmentError::Foreign { .. }));
    let newer = said(good.replace("\"version\":1", "\"version\":2")).await;
    assert!(matches!(newer, SegmentError::Newer { found: 2, known: 1, .. }), "{newer}");
    assert!(newer.to_string().contains(&place.manifest()), "{newer}");
}
