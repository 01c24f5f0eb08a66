//! A hold against a removal, a thousand times: whatever the order, what a hold stands over when it is there is still there at the end.

use progress_service::{
    store::{
        As, Store, StoreError,
        ledger::{
            holds::{self, Scope},
            removals::{self, Rows},
            tables::Tables,
        },
    },
    xapi::keys,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{TENANT, hold, learner};
use crate::{
    lifecycle::{MARCH, month, settled},
    support::{app::TestApp, past},
    xapi::{id, identified},
};

const RACES: u128 = 1_002;

/// Removes what was stored then, as a batch does; whether it went.
async fn remove(store: &Store, stored: chrono::DateTime<chrono::Utc>) -> bool {
    let removed: Result<i64, StoreError> = store
        .run_tx("race", As::Retention(TENANT), |tx| {
            Box::pin(async move {
                let holds = holds::standing(tx, TENANT).await?;
                let but: Vec<Uuid> = holds.iter().flat_map(|hold| hold.keys.iter().copied()).collect();
                let rows =
                    &Rows { tenant: TENANT, tables: Tables::Hot, from: stored, until: stored, only: &[], but: &but };
                removals::remove_some(tx, rows, 10).await
            })
        })
        .await;
    removed.unwrap() > 0
}

on_the_newest_server! {
    async fn a_hold_that_races_a_removal_wins_a_thousand_times(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for chunk in (1..=RACES).collect::<Vec<_>>().chunks(500) {
            let some: Vec<Value> = chunk.iter().map(|n| identified(&id(*n), &format!("l{n}"), &format!("c{n}"))).collect();
            app.post_statements(&json!(some)).await.expect(200);
        }
        settled(&app).await;
        past::move_into(&app.db, month(MARCH)).await;
        app.stop_loops().await;
        let eyes = app.db.superuser().await;
        let moments = eyes.query("SELECT id, stored FROM ledger.statements", &[]).await.unwrap();
        let moments: std::collections::HashMap<Uuid, chrono::DateTime<chrono::Utc>> =
            moments.iter().map(|row| (row.get(0), row.get(1))).collect();
        let store = app.db.store();
        let (mut won, mut late) = (0, 0);
        for n in 1..=RACES {
            let (statement, stored) = (id(n), moments[&id(n).parse::<Uuid>().unwrap()]);
            let named = format!("http://example.com/activities/c{n}");
            let scope = match n % 2 {
                0 => Scope::Person(vec![learner(&format!("l{n}"))]),
                _ => Scope::Course { key: keys::activity(TENANT.0, &named), named },
            };
            let went = match n % 3 {
                // The hold comes first, and the removal was decided before.
                0 => {
                    hold(&store, &scope).await;
                    remove(&store, stored).await
                }
                // Both at once, each in its own session.
                1 => tokio::join!(hold(&store, &scope), remove(&store, stored)).1,
                _ => tokio::join!(biased_removal(&store, stored), hold(&store, &scope)).0,
            };
            let there: i64 = eyes
                .query_one("SELECT count(*) FROM ledger.statements WHERE id = $1::text::uuid", &[&statement])
                .await
                .unwrap()
                .get(0);
            assert_eq!(there == 0, went, "race {n}");
            assert!(n % 3 != 0 || there == 1, "race {n}: the hold was there before");
            // Once the hold stands, nothing that is there goes, whoever tries.
            if there == 1 {
                assert!(!remove(&store, stored).await, "race {n}: it went under a hold");
                won += 1;
            } else {
                late += 1;
            }
        }
        assert!(won > 334 && late > 0, "{won} won, {late} came after the removal had ended: the races were none");
    }
}

/// Gives the hold a head start or none, in turns.
async fn biased_removal(store: &Store, stored: chrono::DateTime<chrono::Utc>) -> bool {
    tokio::task::yield_now().await;
    remove(store, stored).await
}
