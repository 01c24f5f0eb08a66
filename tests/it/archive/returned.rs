//! A database that was brought back from before learns what became of its archive since: without changing an object.

use progress_service::{
    archive::{Archive, catch_up::CaughtUp, jobs, rewrite::Rewriting},
    objects::segment::Row,
    store::ledger::segments::State,
};
use uuid::Uuid;

use super::{archive_over, published, sealed_march, work};
use crate::{
    lifecycle::{MARCH, month},
    support::segments::{RealStore, keys},
};

/// Writes March of a tenant anew with every so-manieth statement left out, as an erasure does it; with 1 nothing is left.
async fn thin_out(archive: &Archive, tenant: progress_service::model::TenantId, every: u32) {
    let seen = std::sync::atomic::AtomicU32::new(0);
    let change = |row: Row| {
        let n = seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok((!n.is_multiple_of(every)).then_some(row))
    };
    let rewriting = Rewriting { erasure: Uuid::nil(), change: &change, holds: &[] };
    archive.rewrite((tenant, month(MARCH)), &rewriting).await.unwrap();
}

on_each_server! {
    async fn what_was_written_anew_or_has_gone_since_is_found_by_a_copy_from_before(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        let (none_yet, both) = (app.db.copy().await, { work(&archive, jobs::RUN).await.unwrap(); app.db.copy().await });
        let tenants: Vec<_> = published(&archive).await.iter().map(|one| one.name.tenant).collect();
        thin_out(&archive, tenants[0], 2).await;
        thin_out(&archive, tenants[0], 5).await;
        let one_left = archive_over(&both, real.store());
        let before = keys(&real.store()).await;

        let learned = one_left.catch_up().await.unwrap();
        assert_eq!(learned, CaughtUp { replaced: 1, found: 1, ..CaughtUp::default() });
        assert_eq!(keys(&real.store()).await, before, "no object is changed");
        assert!(one_left.catch_up().await.unwrap().is_nothing());
        let (ours, theirs) = (published(&one_left).await, published(&archive).await);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!((ours.name, &ours.contents), (theirs.name, &theirs.contents));
        }
        assert_eq!(work(&one_left, jobs::VERIFY).await.unwrap()["statements"], 20 + 8);

        // Of the other one nothing is left, and of the first an object was lost.
        thin_out(&archive, tenants[1], 1).await;
        assert!(keys(&real.store()).await.iter().any(|key| key == &format!("_gone/tenant={}/month={MARCH}.json", tenants[1])));
        let lost = ours.iter().find(|one| one.name.tenant == tenants[0]).unwrap();
        let at = progress_service::objects::segment::Place { tenant: tenants[0], month: month(MARCH), revision: lost.name.revision };
        one_left.objects.delete(&at.manifest()).await.unwrap();
        let learned = one_left.catch_up().await.unwrap();
        assert_eq!(learned, CaughtUp { gone: 1, lost: vec![at.to_string()], ..CaughtUp::default() });
        assert_eq!(published(&one_left).await.len(), 1, "what is lost stays what it is, and is told");
        let states: Vec<State> = one_left.segments(None).await.unwrap().iter().filter(|one| one.name.tenant == tenants[1]).map(|one| one.state).collect();
        assert_eq!(states, [State::Removed]);

        // One from before the month was written down has its table still: what lies there it names, adopts, and writes beside.
        let from_before = archive_over(&none_yet, real.store());
        let outcome = work(&from_before, jobs::ADOPT).await.unwrap();
        assert_eq!(outcome["caughtUp"], serde_json::json!({"replaced": 0, "gone": 0, "found": 0, "lost": []}));
        work(&from_before, jobs::RUN).await.unwrap();
        assert_eq!(work(&from_before, jobs::VERIFY).await.unwrap()["statements"], 40);
    }

    async fn what_was_only_written_down_since_is_taken_over_where_it_is_what_the_table_holds(db: TestDatabase) {
        let app = sealed_march(db, 20).await;
        app.stop_loops().await;
        let real = RealStore::Folder(tempfile::tempdir().unwrap());
        let archive = archive_over(&app.db, real.store());
        let before = app.db.copy().await;
        work(&archive, jobs::RUN).await.unwrap();
        let tenants: Vec<_> = published(&archive).await.iter().map(|one| one.name.tenant).collect();
        thin_out(&archive, tenants[1], 2).await;
        let objects = keys(&real.store()).await;

        let returned = archive_over(&before, real.store());
        let outcome = work(&returned, jobs::ADOPT).await.unwrap();
        assert_eq!((&outcome["caughtUp"]["found"], &outcome["segments"]), (&2.into(), &2.into()));
        work(&returned, jobs::RUN).await.unwrap();
        let revisions: Vec<u32> = published(&returned).await.iter().map(|one| one.name.revision).collect();
        assert_eq!(revisions, [0, 2], "the first is what the table holds, the other lacks something");
        assert!(keys(&real.store()).await.len() > objects.len());
        // What lay there of the other has a name, and goes.
        work(&returned, jobs::GC).await.unwrap();
        let there = keys(&real.store()).await;
        assert!(!there.iter().any(|key| key.contains(&tenants[1].to_string()) && key.contains("-r1")), "{there:?}");
        assert_eq!(work(&returned, jobs::VERIFY).await.unwrap()["statements"], 40);
    }
}
