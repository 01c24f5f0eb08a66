//! Whose a segment is: a clone reads, and neither deletes nor writes over anything until a person has decided.

use progress_service::{
    objects::segment::{Manifest, Owner, Place, SegmentError, Writing, adopt, clear, publish, remove, verify},
    telemetry::Aside,
};
use uuid::Uuid;

use crate::support::segments::{OWNER, SMALL, all_of, archive, keys, place, rows, stage, stores, writing};

#[tokio::test]
async fn a_clone_reads_and_changes_nothing() {
    let place = place("2026-03");
    let rows = rows(place, 400);
    let clone = Owner { epoch: OWNER.epoch + 1, ..OWNER };
    for real in stores().await {
        let objects = real.objects();
        let done = archive(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
        let before = keys(&real.store()).await;
        assert_eq!(all_of(&objects, &place).await.unwrap(), rows);
        let refused = remove(&objects, &place, &clone).await.unwrap_err();
        assert!(matches!(refused, SegmentError::NotOwner { .. }) && refused.to_string().contains("archive adopt"));
        // The same month again, and in a later revision.
        for place in [place, Place { revision: 1, ..place }] {
            let by_clone = Writing { owner: clone, ..writing(place, 2) };
            let staged = stage(&objects, by_clone, &rows[..200], SMALL).await.unwrap();
            let verified = verify(&objects, staged, &Aside::default()).await.unwrap();
            let refused = publish(&objects, verified).await.unwrap_err();
            assert!(matches!(refused, SegmentError::NotOwner { .. } | SegmentError::Occupied { .. }), "{refused}");
            clear(&objects, &place, Uuid::from_u128(2)).await.unwrap();
        }
        assert_eq!(keys(&real.store()).await, before);
        assert_eq!(all_of(&objects, &place).await.unwrap(), rows);
        assert_eq!(&Manifest::load(&objects, &place, OWNER.installation).await.unwrap(), done.manifest());

        adopt(&objects, &place, clone).await.unwrap();
        assert!(matches!(remove(&objects, &place, &OWNER).await, Err(SegmentError::NotOwner { .. })));
        remove(&objects, &place, &clone).await.unwrap();
        assert!(matches!(all_of(&objects, &place).await, Err(SegmentError::NotPublished(_))));
    }
}

#[tokio::test]
async fn another_installation_does_not_even_read() {
    let place = place("2026-03");
    for real in stores().await {
        let objects = real.objects();
        archive(&objects, writing(place, 1), &rows(place, 10), SMALL).await.unwrap();
        let refused = Manifest::load(&objects, &place, Uuid::from_u128(404)).await.unwrap_err();
        assert!(matches!(refused, SegmentError::NotOwner { .. }), "{refused}");
    }
}

#[tokio::test]
async fn what_is_published_is_never_written_over() {
    let place = place("2026-03");
    let rows = rows(place, 400);
    for real in stores().await {
        let objects = real.objects();
        archive(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
        let other = stage(&objects, writing(place, 2), &rows[1..], SMALL).await.unwrap();
        let refused = publish(&objects, verify(&objects, other, &Aside::default()).await.unwrap()).await.unwrap_err();
        assert!(matches!(refused, SegmentError::Occupied { .. }), "{refused}");
        // The same again is fine: that is how a run that did not hear of its success goes on.
        let again = archive(&objects, writing(place, 3), &rows, SMALL).await.unwrap();
        assert_eq!(again.manifest().summary.rows, 400);
        assert_eq!(all_of(&objects, &place).await.unwrap(), rows);
    }
}

#[tokio::test]
async fn what_changes_between_proof_and_publishing_is_not_published() {
    let place = place("2026-03");
    let rows = rows(place, 400);
    for real in stores().await {
        let objects = real.objects();
        let staged = stage(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
        let key = staged.keys()[0].clone();
        let verified = verify(&objects, staged, &Aside::default()).await.unwrap();
        let mut bytes = objects.get(&key).await.unwrap().to_vec();
        bytes[2_000] ^= 1;
        objects.put(&key, bytes.into()).await.unwrap();
        let refused = publish(&objects, verified).await.unwrap_err();
        assert!(matches!(refused, SegmentError::Damaged { .. }), "{refused}");
        assert!(matches!(all_of(&objects, &place).await, Err(SegmentError::NotPublished(_))));
        assert_eq!(keys(&real.store()).await, [key], "the spoilt copy is gone");
    }
}

#[tokio::test]
async fn what_does_not_read_back_is_not_proven() {
    let place = place("2026-03");
    for real in stores().await {
        let objects = real.objects();
        let staged = stage(&objects, writing(place, 1), &rows(place, 400), SMALL).await.unwrap();
        let key = staged.keys()[0].clone();
        let bytes = objects.get(&key).await.unwrap();
        objects.put(&key, bytes.slice(..bytes.len() / 2)).await.unwrap();
        let refused = verify(&objects, staged, &Aside::default()).await.unwrap_err();
        assert!(refused.to_string().starts_with(&key), "{refused}");
    }
}
