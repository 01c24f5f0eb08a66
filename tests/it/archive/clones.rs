//! A copy of the database with the same bucket tries everything: the objects are untouched until a person says whose they are.

use progress_service::{
    archive::{Archive, ArchiveError, jobs},
    model::partition::{Change, State},
};

use super::{archive_over, published, sealed_march, state, work};
use crate::{
    lifecycle::{MARCH, make},
    support::segments::{RealStore, keys},
};

/// Every object with its bytes.
async fn objects(archive: &Archive, real: &RealStore) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for key in keys(&real.store()).await {
        let bytes = archive.objects.get(&key).await.unwrap().to_vec();
        all.push((key, bytes));
    }
    all
}

/// Tries what publishes, deletes or drops, and is refused each time; nothing in the archive changes.
async fn is_refused(copy: &Archive, real: &RealStore, why: fn(&ArchiveError) -> bool) {
    let before = objects(copy, real).await;
    for kind in [jobs::DROP, jobs::GC] {
        let error = work(copy, kind).await.unwrap_err();
        assert!(why(&error) && error.to_string().contains("archive adopt"), "{kind}: {error}");
    }
    // Brought back and written once more, as if it had never been.
    make(&copy.store, MARCH, Change::Attach).await.unwrap();
    let error = work(copy, jobs::RUN).await.unwrap_err();
    assert!(why(&error), "{error}");
    assert_eq!(objects(copy, real).await, before);
    assert_eq!(work(copy, jobs::VERIFY).await.unwrap()["segments"], 2, "reading is free");
}

on_each_server! {
    async fn a_copy_of_the_database_changes_nothing_until_a_person_adopts(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        work(&archive, jobs::RUN).await.unwrap();

        let copy_of_it = app.db.copy().await;
        let copy = archive_over(&copy_of_it, real.store());
        is_refused(&copy, &real, |error| matches!(error, ArchiveError::NotHere { .. })).await;
        assert_eq!(published(&copy).await.len(), 2);

        // The original goes on all the while.
        assert_eq!(work(&archive, jobs::GC).await.unwrap()["objects"], 0);

        let adoption = copy.adoption().await.unwrap();
        assert!(adoption.begins && adoption.segments.len() == 2);
        assert_eq!(work(&copy, jobs::ADOPT).await.unwrap()["segments"], 2);
        let again = copy.adoption().await.unwrap();
        assert!(!again.begins && again.segments.is_empty(), "{again:?}");
        work(&copy, jobs::RUN).await.unwrap();
        work(&copy, jobs::DROP).await.unwrap();
        // And whose the archive was has lost it.
        is_refused(&archive, &real, |error| matches!(error, ArchiveError::OtherEpoch { .. })).await;
    }

    async fn a_copy_of_the_servers_files_is_told_by_what_it_has_not_heard(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        work(&archive, jobs::RUN).await.unwrap();
        let superuser = app.db.superuser().await;
        let words = "SELECT word::text, word_before::text FROM platform.installation";
        let row = superuser.query_one(words, &[]).await.unwrap();
        let (word, before): (String, Option<String>) = (row.get(0), row.get(1));
        // A word that got no further than the database: the next one finds the one before.
        superuser.batch_execute("UPDATE platform.installation SET word_before = word, word = gen_random_uuid()").await.unwrap();
        work(&archive, jobs::GC).await.unwrap();
        work(&archive, jobs::GC).await.unwrap();
        // As the files were when they were copied.
        let back = format!("UPDATE platform.installation SET word = '{word}', word_before = {}",
            before.map_or("NULL".to_owned(), |before| format!("'{before}'")));
        superuser.batch_execute(&back).await.unwrap();
        is_refused(&archive, &real, |error| matches!(error, ArchiveError::Stale { .. })).await;
        work(&archive, jobs::ADOPT).await.unwrap();
        work(&archive, jobs::RUN).await.unwrap();
        assert_eq!(state(&app.db).await, State::Archived);
    }

    async fn what_was_adopted_half_is_adopted_to_the_end(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        work(&archive, jobs::RUN).await.unwrap();
        let copy_of_it = app.db.copy().await;
        // The epoch has begun, and the process was gone.
        copy_of_it.superuser().await.batch_execute("SELECT platform.begin_epoch()").await.unwrap();
        let copy = archive_over(&copy_of_it, real.store());
        let epoch = copy.installation().await.unwrap().epoch;
        assert_eq!(work(&copy, jobs::ADOPT).await.unwrap()["segments"], 2);
        assert_eq!(copy.installation().await.unwrap().epoch, epoch, "no third one begins");
        work(&copy, jobs::DROP).await.unwrap();
    }
}
