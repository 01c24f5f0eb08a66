//! Archived months as objects: written, proven, published, read and refused, in a bucket of the S3 server and in a folder.

mod cache;
mod damage;
mod engines;
mod faults;
mod memory;
mod owners;
mod troubles;

use progress_service::{
    objects::segment::{
        Filter, Key, Manifest, Place, Segment, SegmentError, Span, audit, clear, publish, published, remove, verify,
    },
    telemetry::Aside,
};
use uuid::Uuid;

use crate::support::segments::{
    OWNER, SMALL, TENANT, agent, all_of, archive, brute_force, everything, keys, place, rows, scan, stage, stores,
    writing,
};

#[tokio::test]
async fn a_month_is_written_proven_published_and_read_back() {
    let place = place("2026-03");
    let rows = rows(place, 2_000);
    for real in stores().await {
        let objects = real.objects();
        let staged = stage(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
        assert!(staged.keys().len() > 2, "{} parts", staged.keys().len());
        assert_eq!(keys(&real.store()).await, staged.keys(), "nothing is where a reader looks");
        assert!(matches!(all_of(&objects, &place).await, Err(SegmentError::NotPublished(_))));
        let verified = verify(&objects, staged, &Aside::default()).await.unwrap();
        let done = publish(&objects, verified).await.unwrap();
        clear(&objects, &place, Uuid::from_u128(1)).await.unwrap();

        let manifest = done.manifest();
        let mut wanted: Vec<String> = manifest.parts.iter().map(|part| part.key.clone()).collect();
        let folder = format!("tenant={TENANT}/month=2026-03");
        assert_eq!(wanted[1], format!("{folder}/part-0001.parquet"));
        wanted.insert(0, format!("{folder}/_manifest.json"));
        assert_eq!(keys(&real.store()).await, wanted);

        assert_eq!(all_of(&objects, &place).await.unwrap(), rows);
        assert_eq!(published(&objects, TENANT, place.month).await.unwrap(), [place]);
        audit(&objects, Manifest::load(&objects, &place, OWNER.installation).await.unwrap(), &Aside::default())
            .await
            .unwrap();
        let summary = &manifest.summary;
        assert_eq!((summary.rows, summary.first_stored), (2_000, rows[0].stored));
        assert_eq!(
            manifest.verbs["http://v.example/passed"],
            rows.iter().filter(|row| row.payload.contains("/passed")).count() as u64
        );
        assert_eq!(manifest.verbs.values().sum::<u64>(), 2_000);
    }
}

#[tokio::test]
async fn every_filter_of_xapi_finds_what_brute_force_finds() {
    let place = place("2026-03");
    let rows = rows(place, 2_000);
    for real in stores().await {
        let objects = real.objects();
        let done = archive(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
        let segment = Segment::open(&objects, done.manifest().clone(), None).unwrap();
        let sample = &rows[777];
        let all = Filter::default;
        let filters = [
            all(),
            all().and(Key::Id, sample.id, &[]),
            all().at([sample.stored]),
            all().and(Key::Verb, sample.verb_key, &[]),
            all().and(Key::Agent, agent(5).1, &[]),
            all().and(Key::Agent, agent(5).1, &[Uuid::from_u128(3 << 96 | 0x4e1)]),
            all().and(Key::Activity, sample.activity_key.unwrap(), &[]),
            all().and(Key::Registration, sample.registration_key.unwrap(), &[]),
            all().and(Key::RefersTo, rows[79].refers_to.unwrap(), &[]),
            all().and_related(Uuid::from_u128(7 << 96 | 0x4e1)),
            all().and_one_of(Key::Agent, &[agent(1).1, agent(2).1]).and(Key::Verb, sample.verb_key, &[]),
            all().and(Key::Verb, Uuid::from_u128(404), &[]),
        ];
        for filter in filters {
            for ascending in [true, false] {
                // Page by page, the cursor where the page before has ended.
                let whole = Span { ascending, ..everything() };
                let (mut span, mut found) = (Span { limit: 70, ..whole }, Vec::new());
                loop {
                    let page = segment.select(&filter, &span).await.unwrap();
                    let Some(last) = page.last() else { break };
                    if ascending {
                        span.since = Some(last.stored);
                    } else {
                        span.until = Some(last.stored - chrono::Duration::microseconds(1));
                    }
                    found.extend(page);
                }
                let wanted = brute_force(&rows, &filter, &Span { limit: usize::MAX, ..whole });
                assert_eq!(found.len(), wanted.len(), "{filter:?}");
                assert_eq!(found, wanted, "{filter:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_month_written_anew_lies_beside_the_old_one() {
    let place = place("2026-03");
    let later = Place { revision: 1, ..place };
    let rows = rows(place, 500);
    for real in stores().await {
        let objects = real.objects();
        archive(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
        // As an erasure does it.
        let kept: Vec<_> = rows.iter().filter(|row| row.agent_key != Some(agent(3).1)).cloned().collect();
        let done = archive(&objects, writing(later, 2), &kept, SMALL).await.unwrap();
        assert_eq!(published(&objects, TENANT, place.month).await.unwrap(), [place, later]);
        assert_eq!(all_of(&objects, &place).await.unwrap(), rows);
        assert_eq!(scan(&Segment::open(&objects, done.manifest().clone(), None).unwrap()).await.unwrap(), kept);
        remove(&objects, &place, &OWNER).await.unwrap();
        assert_eq!(published(&objects, TENANT, place.month).await.unwrap(), [later]);
        assert_eq!(all_of(&objects, &later).await.unwrap(), kept);
    }
}
