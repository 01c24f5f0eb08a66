//! Objects that are not what they were, and stores that do not do what they are asked: each a clear error that names the object and the
//! rule; the table is not dropped, and nobody who posts or reads notices.

use std::{path::PathBuf, sync::Arc};

use progress_service::{archive::jobs, model::partition::State};
use serde_json::json;

use super::{archive_over, sealed_march, state, work};
use crate::{
    lifecycle::{MARCH, month},
    support::{
        faulty::{Fault, Faulty},
        past,
        segments::RealStore,
    },
    xapi::{id, identified},
};

on_the_newest_server! {
    async fn a_damaged_object_keeps_its_table_and_is_written_anew(db: TestDatabase) {
        let app = sealed_march(db, 30).await;
        let folder = tempfile::tempdir().unwrap();
        let path = |tenant: &str, file: &str| -> PathBuf {
            folder.path().join(format!("tenant={tenant}/month=2026-03/{file}"))
        };
        let store = crate::support::segments::folder_store(folder.path());
        let archive = archive_over(&app.db, store);
        work(&archive, jobs::RUN).await.unwrap();
        let rows = past::contents(&app.db, month(MARCH)).await;
        let first = "00000000-0000-4000-8000-000000000001";
        let part = path(first, "part-0000.parquet");
        let manifest = path(first, "_manifest.json");
        let (whole, named) = (std::fs::read(&part).unwrap(), std::fs::read(&manifest).unwrap());
        let others = std::fs::read(path(past::SECOND, "part-0000.parquet")).unwrap();
        let others_manifest = std::fs::read(path(past::SECOND, "_manifest.json")).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let cases: [(&str, &PathBuf, Option<Vec<u8>>, &str); 8] = [
            ("truncated", &part, Some(whole[..whole.len() - 7].to_vec()), "is damaged: it has"),
            ("a flipped bit", &part, Some(flipped), "is damaged: block"),
            ("swapped", &part, Some(others), "is damaged"),
            ("gone", &part, None, "is missing, though its manifest names it"),
            ("foreign", &part, Some(b"hello".to_vec()), "is damaged: it has"),
            ("another's manifest", &manifest, Some(others_manifest), "is another object than its name says"),
            ("no manifest of ours", &manifest, Some(b"{}".to_vec()), "was not written by this service"),
            ("manifest gone", &manifest, None, "has no manifest: nothing is published there"),
        ];
        for (what, file, bytes, rule) in cases {
            match bytes {
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
                None => std::fs::remove_file(file).unwrap(),
            }
            let refused = work(&archive, jobs::DROP).await.unwrap_err();
            let text = refused.to_string();
            assert!(text.contains(rule) && text.contains(first) && !refused.is_passing(), "{what}: {text}");
            assert_eq!((state(&app.db).await, past::contents(&app.db, month(MARCH)).await), (State::Archived, rows.clone()), "{what}");
            match jobs::step(&archive, &super::job(&archive.store, jobs::VERIFY, None)).await.unwrap() {
                jobs::Stepped::Found { why, outcome } => {
                    assert!(why.contains("1 of 2 segments") && outcome["problems"][0]["problem"].as_str().unwrap().contains(rule), "{what}: {why}");
                }
                other => panic!("{what}: {other:?}"),
            }
            std::fs::write(&part, &whole).unwrap();
            std::fs::write(&manifest, &named).unwrap();
        }
        app.post_statements(&identified(&id(700), "ann", "a")).await.expect(200);

        // For good: the month comes back, and is written once more beside what is damaged.
        std::fs::write(&part, b"gone bad").unwrap();
        crate::lifecycle::make(&archive.store, MARCH, progress_service::model::partition::Change::Attach).await.unwrap();
        work(&archive, jobs::RUN).await.unwrap();
        let revisions: Vec<u32> = super::published(&archive).await.iter().map(|one| one.name.revision).collect();
        assert_eq!(revisions, [1, 0], "the damaged one has a successor, and the sound one none");
        work(&archive, jobs::DROP).await.unwrap();
        work(&archive, jobs::RESTORE).await.unwrap();
        assert_eq!(past::contents(&app.db, month(MARCH)).await, rows);
    }

    async fn a_table_that_is_not_what_was_written_is_not_dropped(db: TestDatabase) {
        let app = sealed_march(db, 30).await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        work(&archive, jobs::RUN).await.unwrap();
        let superuser = app.db.superuser().await;
        for (change, rule) in [
            ("UPDATE ledger.detached_statements SET payload = payload || ' ' WHERE id = (SELECT id FROM ledger.detached_statements ORDER BY stored LIMIT 1 OFFSET 5)", "is another there"),
            ("DELETE FROM ledger.detached_relations WHERE ctid IN (SELECT ctid FROM ledger.detached_relations LIMIT 1)", "is another there"),
        ] {
            superuser.batch_execute(&format!("ALTER TABLE ledger.detached_statements DISABLE TRIGGER statements_are_append_only; {change};
                ALTER TABLE ledger.detached_statements ENABLE ALWAYS TRIGGER statements_are_append_only")).await.unwrap();
            let refused = work(&archive, jobs::DROP).await.unwrap_err().to_string();
            assert!(refused.contains(rule) && refused.contains("Nothing was dropped"), "{refused}");
            assert_eq!(state(&app.db).await, State::Archived);
        }
        // Nor by whoever has the worker's login and asks the ledger itself, where there is no segment.
        superuser.batch_execute("UPDATE ledger.segments SET state = 'marked' WHERE tenant_id = '00000000-0000-4000-8000-0000000000aa'").await.unwrap();
        let refused = crate::lifecycle::make(&archive.store, MARCH, progress_service::model::partition::Change::Drop).await.unwrap_err();
        assert!(refused.to_string().contains("not all of its statements are in segments"), "{refused}");
    }

    async fn a_store_that_is_away_is_said_and_passes(db: TestDatabase) {
        let app = sealed_march(db, 10).await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let away = archive_over(&app.db, Arc::new(Faulty::new(real.store(), Fault::From(0))));
        let refused = work(&away, jobs::RUN).await.unwrap_err();
        assert!(refused.is_passing() && refused.to_string().contains("_owners/"), "{refused}");
        assert_eq!(state(&app.db).await, State::Sealed, "it has not been moved anywhere");
        app.post_statements(&identified(&id(701), "ann", "a")).await.expect(200);
        assert_eq!(app.get_statements(&[("statementId", &id(3))]).await.expect(200).json()["id"], json!(id(3)));

        // A folder that may not be written to.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("_owners"), b"in the way").unwrap();
        let refusing = archive_over(&app.db, crate::support::segments::folder_store(folder.path()));
        let refused = work(&refusing, jobs::RUN).await.unwrap_err().to_string();
        assert!(refused.contains("_owners/"), "{refused}");
        let archive = archive_over(&app.db, real.store());
        work(&archive, jobs::RUN).await.unwrap();
    }
}
