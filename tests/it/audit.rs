//! The audit trail as a log: places, proofs, receipts, anchors, and what a look at it finds.

mod api;
mod command;
mod faults;
mod mutations;
mod outside;

use std::sync::Arc;

use object_store::ObjectStore;
use progress_service::{
    audit::{Audit, Finding, Look, Report},
    model::{Clock, TenantId},
    objects::Objects,
    store::{
        As, Store, StoreError,
        platform::audit::{self, Entry, EntryId},
    },
    telemetry::Metrics,
};
use serde_json::json;
use uuid::Uuid;

use crate::support::segments::RealStore;

const OTHER: TenantId = TenantId(Uuid::from_u128(0x07e4));

fn folder() -> RealStore {
    RealStore::Folder(tempfile::tempdir().unwrap())
}

fn over(store: &Store, objects: Arc<dyn ObjectStore>) -> Audit {
    Audit::new(store, &Objects::over(objects), None, &Clock::system(), &Metrics::new().unwrap())
}

/// One act after the other, of two tenants and of the whole installation.
pub async fn act(store: &Store, count: i64) -> Vec<EntryId> {
    let mut ids = Vec::new();
    for n in 0..count {
        let tenant = [Some(TenantId::DEFAULT), None, Some(OTHER)][usize::try_from(n % 3).unwrap()];
        let detail = json!({ "n": n, "b": { "z": 1.50, "a": [null, true] } });
        let entry = Entry { tenant, actor: "a test", action: "test.act", subject: format!("subject {n}"), detail };
        let entry = &entry;
        let id = store.run_once("act", As::Worker, |tx| Box::pin(audit::append(tx, entry))).await.unwrap();
        ids.push(id);
    }
    ids
}

async fn verify(audit: &Audit) -> Report {
    audit.verify(&Look::default()).await.unwrap()
}

#[track_caller]
fn is_clean(report: &Report) {
    assert!(report.findings.is_empty(), "{}", said(report));
}

fn said(report: &Report) -> String {
    report.findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}

on_each_server! {
    async fn every_entry_gets_a_place_and_a_receipt_that_holds_without_us(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let audit = over(&store, real.store());
        let ids = act(&store, 600).await;
        let mut last = None;
        for (at, id) in ids.iter().enumerate().filter(|(at, _)| [0, 1, 255, 256, 511, 599].contains(at)) {
            let receipt = audit.receipt(*id).await.unwrap();
            let trusted = audit.verifier().await.unwrap();
            assert_eq!(receipt.check(&trusted), Ok(()), "entry {id}");
            let entry = receipt.entry();
            assert_eq!((&entry["id"], &entry["subject"]), (&json!(id), &json!(format!("subject {at}"))));
            assert!(receipt.anchors.iter().any(|anchor| anchor.place == "objects"), "{receipt:?}");
            // Nothing of it can be another.
            let mut forged = receipt.clone();
            forged.entry = forged.entry.replace("subject", "object");
            assert!(forged.check(&trusted).is_err());
            let mut moved = receipt.clone();
            moved.leaf_index += 1;
            assert!(moved.check(&trusted).is_err());
            let mut resigned = receipt.clone();
            resigned.checkpoint = resigned.checkpoint.replacen("600", "601", 1);
            assert!(resigned.check(&trusted).is_err());
            last = Some(receipt);
        }
        assert_eq!(last.unwrap().tree_size, 600);
        let report = verify(&audit).await;
        is_clean(&report);
        assert_eq!((report.size, report.entries, report.outside["objects"]), (600, 600, 1));
    }

    async fn entries_of_the_release_before_are_taken_over_and_what_it_still_writes_too(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let superuser = db.superuser().await;
        let old = "INSERT INTO platform.audit (actor, action, subject) SELECT 'old', 'old.act', n::text FROM generate_series(1, 700) n";
        superuser.batch_execute(&format!(
            "ALTER TABLE platform.audit DISABLE TRIGGER audit_awaits_its_place; {old};
             ALTER TABLE platform.audit ENABLE ALWAYS TRIGGER audit_awaits_its_place;
             UPDATE platform.audit_log SET taken_over = 0, take_over_to = (SELECT max(audit_id) FROM platform.audit)"
        )).await.unwrap();
        let before: i64 = superuser.query_one("SELECT count(*) FROM platform.audit", &[]).await.unwrap().get(0);
        // As its binary does: a plain row, by the request path's own role.
        let service = db.service().await;
        service.batch_execute(
            "BEGIN; SET LOCAL ROLE progress_service; SET LOCAL app.tenant_id = '00000000-0000-4000-8000-000000000001';
             INSERT INTO platform.audit (tenant_id, actor, action, subject)
                 VALUES ('00000000-0000-4000-8000-000000000001', 'plain', 'plain.act', 'x'); COMMIT").await.unwrap();
        let audit = over(&store, real.store());
        audit.settle().await.unwrap();
        let report = verify(&audit).await;
        is_clean(&report);
        assert_eq!(report.size, before + 1);
        let order = "SELECT bool_and(leaf_index = n - 1) FROM (SELECT l.leaf_index, row_number() OVER (ORDER BY l.audit_id) AS n
                     FROM platform.audit_leaves l) placed";
        assert!(superuser.query_one(order, &[]).await.unwrap().get::<_, bool>(0), "the old ones by their numbers, first");
    }

    async fn an_act_that_did_not_happen_has_no_place_and_nobody_waits_for_a_slow_one(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let audit = over(&store, real.store());
        let slow = db.service().await;
        slow.batch_execute("BEGIN; SET LOCAL ROLE progress_worker;
            INSERT INTO platform.audit (actor, action, subject) VALUES ('slow', 'slow.act', 'x')").await.unwrap();
        let refused: Result<(), StoreError> = store.run_tx("refused", As::Worker, |tx| Box::pin(async move {
            let entry = Entry { tenant: None, actor: "a", action: "test.never", subject: String::new(), detail: json!({}) };
            audit::append(tx, &entry).await?;
            tx.execute("SELECT 1/0", &[]).await.map(drop)
        })).await;
        assert!(refused.is_err());
        let quick = act(&store, 3).await;
        audit.settle().await.unwrap();
        assert_eq!(verify(&audit).await.size, 3, "the slow one holds nobody up");
        slow.batch_execute("COMMIT").await.unwrap();
        audit.settle().await.unwrap();
        let (report, entries) = (verify(&audit).await, audit.entries(None, None, None, 10).await.unwrap());
        is_clean(&report);
        assert_eq!(report.size, 4);
        let slow = entries.iter().find(|(entry, _)| entry.action == "slow.act").unwrap();
        assert!(slow.1 == Some(3) && slow.0.id < quick[0], "places are in the order of commits: {slow:?}");
        assert!(entries.iter().all(|(entry, _)| entry.action != "test.never"));
    }

    async fn two_nodes_give_each_entry_one_place(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let nodes = [over(&db.store(), real.store()), over(&db.store(), real.store())];
        let work = async |audit: &Audit| {
            for _ in 0..30 {
                audit.settle().await.unwrap();
                audit.anchor().await.unwrap();
            }
        };
        let ((), (), ids, more) = tokio::join!(work(&nodes[0]), work(&nodes[1]), act(&store, 150), act(&store, 150));
        for audit in &nodes {
            audit.settle().await.unwrap();
        }
        let report = verify(&nodes[1]).await;
        is_clean(&report);
        assert_eq!(report.size as usize, ids.len() + more.len());
        nodes[0].receipt(ids[7]).await.unwrap();
    }

    async fn a_key_that_is_destroyed_leaves_the_tree_whole_and_must_be_told_of(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let audit = over(&store, real.store());
        let ids = act(&store, 30).await;
        audit.settle().await.unwrap();
        audit.anchor().await.unwrap();
        for role in ["progress_service", "progress_worker"] {
            let service = db.service().await;
            service.batch_execute(&format!("BEGIN; SET LOCAL ROLE {role}")).await.unwrap();
            let denied = service.execute("SELECT platform.destroy_audit_key($1)", &[&OTHER.0]).await.unwrap_err();
            assert_eq!(denied.code().unwrap().code(), "42501", "{role}");
        }
        let owner = db.owner().await;
        let key: i64 = owner.query_one("SELECT platform.destroy_audit_key($1)", &[&OTHER.0]).await.unwrap().get(0);
        let report = verify(&audit).await;
        assert_eq!((report.sealed, report.entries), (10, 20));
        assert!(said(&report).contains(&format!("key {key} was destroyed, and no entry")), "{}", said(&report));
        assert!(audit.receipt(ids[2]).await.unwrap_err().to_string().contains("its commitment alone is left"));
        let entry = Entry { tenant: Some(OTHER), actor: "a person", action: "audit.key.destroy", subject: key.to_string(), detail: json!({}) };
        let entry = &entry;
        store.run_once("said", As::Worker, |tx| Box::pin(audit::append(tx, entry))).await.unwrap();
        audit.settle().await.unwrap();
        let report = verify(&audit).await;
        is_clean(&report);
        assert_eq!((report.sealed, report.size), (10, 31), "what comes afterwards has a key of its own");
        audit.receipt(ids[0]).await.unwrap();
    }

    async fn a_look_goes_on_from_the_last_one(db: TestDatabase) {
        let (store, real) = (db.store(), folder());
        let audit = over(&store, real.store());
        act(&store, 300).await;
        audit.settle().await.unwrap();
        let known = verify(&audit).await.known.unwrap();
        act(&store, 5).await;
        audit.settle().await.unwrap();
        audit.anchor().await.unwrap();
        let look = Look { since: Some(known.clone()), ..Look::default() };
        let report = audit.verify(&look).await.unwrap();
        is_clean(&report);
        assert_eq!((report.from, report.size, report.entries), (300, 305, 5));
        // What is known binds: a log that begins with others is another log.
        let mut forged = known;
        forged.edge.swap(0, 1);
        let report = audit.verify(&Look { since: Some(forged), ..Look::default() }).await.unwrap();
        assert!(said(&report).contains("does not begin with the 300 entries"), "{}", said(&report));
    }
}
