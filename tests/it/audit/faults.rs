//! The process is gone wherever anchoring waits, and the store fails at every call: the next one comes to the same end.

use progress_service::{audit::Audit, objects::Objects};

use super::{act, folder, is_clean, over, verify};
use crate::support::{
    cut::cut_off,
    faulty::{Fault, Faulty},
};

async fn whole(audit: &Audit) -> Result<(), progress_service::audit::AuditError> {
    audit.settle().await?;
    audit.anchor().await
}

on_the_newest_server! {
    async fn wherever_a_process_dies_the_log_goes_on(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let mut cuts = 0;
        let mut entries = 0;
        for waits in 0.. {
            act(&store, 3).await;
            entries += 3;
            // A process that was not there before.
            let dying = over(&db.store(), real.store());
            let done = cut_off(whole(&dying), waits).await;
            drop(dying);
            let next = over(&db.store(), real.store());
            if waits % 3 == 0 {
                // Whatever it left is not wrong; it is only not done.
                is_clean(&verify(&next).await);
            }
            whole(&next).await.unwrap();
            let report = verify(&next).await;
            is_clean(&report);
            assert_eq!(report.size, entries, "{waits} waits");
            if let Some(done) = done {
                done.unwrap();
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 10, "{cuts} cuts");
    }

    async fn a_store_that_fails_at_any_call_loses_no_anchor(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        for fault in (0..3).flat_map(|k| [Fault::At(k), Fault::AnswerOf(k), Fault::From(k)]) {
            act(&store, 2).await;
            let faulty = over(&db.store(), std::sync::Arc::new(Faulty::new(real.store(), fault)));
            faulty.settle().await.unwrap();
            let failed = faulty.anchor().await;
            assert!(failed.is_err() || !matches!(fault, Fault::At(0) | Fault::AnswerOf(0) | Fault::From(0)), "{fault:?}");
            let next = over(&db.store(), real.store());
            next.anchor().await.unwrap();
            is_clean(&verify(&next).await);
        }
    }

    async fn another_checkpoint_at_the_same_place_is_no_anchor(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let audit = over(&store, real.store());
        act(&store, 2).await;
        audit.settle().await.unwrap();
        let row = db.superuser().await.query_one("SELECT installation_id, epoch FROM platform.installation", &[]).await.unwrap();
        let key = format!("_audit/{}/{:020}-{}", row.get::<_, uuid::Uuid>(0), 2, row.get::<_, i64>(1));
        Objects::over(real.store()).put(&key, bytes::Bytes::from_static(b"another")).await.unwrap();
        let error = audit.anchor().await.unwrap_err().to_string();
        assert!(error.contains("two databases write one log") && error.contains("archive adopt"), "{error}");
        let report = verify(&audit).await;
        assert!(super::said(&report).contains("holds no checkpoint"), "{}", super::said(&report));
    }
}
