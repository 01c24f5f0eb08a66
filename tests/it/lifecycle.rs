//! A month leaves the ledger's queries and comes back: at no moment nowhere, in nobody's way, and never half.

mod swaps;

use progress_service::{
    model::partition::{Change, Month, State},
    partitions::change::{self, ChangeError, Wish},
    store::{As, Store, ledger::partitions},
};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    support::{app::TestApp, past, patience, pg::TestDatabase},
    xapi::{about, id, identified},
};

pub const MARCH: &str = "2026-03";

pub fn month(name: &str) -> Month {
    name.parse().unwrap()
}

/// Makes a change by hand, without patience.
pub async fn make(store: &Store, name: &str, change: Change) -> Result<bool, ChangeError> {
    let patience = Duration::ZERO;
    change::make(store, &Wish { month: month(name), change, has_brokers: false, by: "a test", patience }).await
}

async fn count(db: &TestDatabase, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM ledger.{table} WHERE stored < '2026-04-01'");
    db.superuser().await.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn state(store: &Store, name: &str) -> State {
    let all = store.partitions().await.unwrap();
    all.iter().find(|one| one.bounds.lower == month(name).begin()).expect("a partition").state
}

/// Posts so many statements and lets them have been stored in a month of the past, read by everybody.
pub async fn fill(app: &TestApp, name: &str, first: u128, statements: u128) {
    let some: Vec<Value> = (first..first + statements)
        .map(|n| identified(&id(n), &format!("learner{}", n % 7), &format!("course{}", n % 5)))
        .collect();
    app.post_statements(&json!(some)).await.expect(200);
    settled(app).await;
    past::move_into(&app.db, month(name)).await;
}

/// Waits until attempts and references are past all that was posted.
pub async fn settled(app: &TestApp) {
    settled_by(&app.db.superuser().await).await;
}

/// The same by a superuser's session.
pub async fn settled_by(client: &tokio_postgres::Client) {
    let sql = "SELECT NOT EXISTS (SELECT FROM ledger.refs WHERE NOT settled) AND NOT EXISTS (SELECT FROM ledger.links_due)
        AND coalesce((SELECT min(position) FROM progress.projection_cursors), 'epoch') >= (SELECT max(stored) FROM ledger.statements)";
    patience::until("everybody has read it", async || {
        if client.query_one(sql, &[]).await.unwrap().get(0) { Ok(()) } else { Err("not yet") }
    })
    .await;
}

/// What is said of two tables, but for their names.
async fn described(db: &TestDatabase, table: &str) -> Vec<String> {
    let sql = "SELECT format('column %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull)
               FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
               UNION ALL SELECT 'index ' || regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '')
               FROM pg_index WHERE indrelid = $1::text::regclass
               UNION ALL SELECT format('secured %s %s', relrowsecurity, relforcerowsecurity)
               FROM pg_class WHERE oid = $1::text::regclass
               UNION ALL SELECT format('reads %s %s', rolname, pg_get_expr(polqual, polrelid))
               FROM pg_policy JOIN pg_roles r ON r.oid = ANY (polroles)
               WHERE polrelid = $1::text::regclass AND polcmd <> 'a' AND rolname LIKE 'progress!_%' ESCAPE '!' AND rolname NOT LIKE '%owner'
               UNION ALL SELECT format('guarded %s', pg_get_triggerdef(t.oid) ~ 'TRUNCATE')
               FROM pg_trigger t WHERE tgrelid = $1::text::regclass AND NOT tgisinternal ORDER BY 1";
    let rows = db.superuser().await.query(sql, &[&table]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

on_each_server! {
    async fn both_pairs_of_parents_are_alike_so_that_a_month_can_change_them(db: TestDatabase) {
        for table in ["statements", "relations"] {
            let (hot, away) = (described(&db, &format!("ledger.{table}")).await, described(&db, &format!("ledger.detached_{table}")).await);
            assert!(hot.len() > 7 && hot == away, "{table}: {hot:#?} {away:#?}");
        }
    }

    async fn a_month_leaves_and_comes_back_with_everything_and_its_guards(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 40).await;
        let store = app.db.store();
        let relations = count(&app.db, "relations").await;
        assert_eq!(count(&app.db, "statements").await, 40);
        assert!(relations >= 40, "{relations} relations");
        assert!(make(&store, MARCH, Change::Detach).await.unwrap_err().to_string().contains("is open, and only one that is sealed"));
        assert!(make(&store, MARCH, Change::Seal).await.unwrap());
        assert!(!make(&store, MARCH, Change::Seal).await.unwrap(), "it is sealed already");
        let superuser = app.db.superuser().await;
        let indexes = "SELECT string_agg(indexrelid::text, ' ' ORDER BY indexrelid) FROM pg_index
                       WHERE indrelid = 'ledger.statements_2026_03'::regclass";
        let before: String = superuser.query_one(indexes, &[]).await.unwrap().get(0);

        assert!(make(&store, MARCH, Change::Detach).await.unwrap());
        assert!(!make(&store, MARCH, Change::Detach).await.unwrap());
        assert_eq!((count(&app.db, "statements").await, count(&app.db, "relations").await), (0, 0));
        let away = (count(&app.db, "detached_statements").await, count(&app.db, "detached_relations").await);
        assert_eq!(away, (40, relations));
        let after: String = superuser.query_one(indexes, &[]).await.unwrap().get(0);
        assert_eq!(before, after, "no index was built while others waited");
        let weighed = store.partition_weights().await.unwrap();
        assert!(weighed.iter().any(|(one, weight)| one.state == State::Detached && weight.bytes > 0));

        let service = app.db.service().await;
        for (tenant, seen) in [("00000000-0000-4000-8000-000000000001", 40_i64), ("00000000-0000-4000-8000-0000000000ff", 0)] {
            service.batch_execute(&format!("SET ROLE progress_service; SET app.tenant_id = '{tenant}'")).await.unwrap();
            let row = service.query_one("SELECT count(*) FROM ledger.detached_statements", &[]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), seen, "{tenant}");
        }
        for refused in ["SELECT 1 FROM ledger.statements_2026_03", "INSERT INTO ledger.detached_statements SELECT * FROM ledger.statements",
                        "DELETE FROM ledger.detached_statements", "SELECT ledger.detach_month(now())", "SELECT ledger.drop_month(now())"] {
            assert!(service.batch_execute(refused).await.is_err(), "{refused}");
        }
        for refused in ["DELETE FROM ledger.detached_statements", "TRUNCATE ledger.detached_statements", "TRUNCATE ledger.statements_2026_03",
                        "UPDATE ledger.detached_statements SET payload = '{}'", "SET session_replication_role = replica; DELETE FROM ledger.detached_statements"] {
            assert!(superuser.batch_execute(&format!("BEGIN; {refused}")).await.is_err(), "{refused}");
            superuser.batch_execute("ROLLBACK").await.unwrap();
        }

        assert!(matches!(make(&store, MARCH, Change::Archive).await, Err(ChangeError::NotPublished { .. })), "there are no segments");
        assert!(matches!(make(&store, MARCH, Change::Drop).await, Err(ChangeError::Wrong { state: State::Detached, .. })));
        assert!(make(&store, MARCH, Change::Attach).await.unwrap());
        assert_eq!((count(&app.db, "statements").await, count(&app.db, "relations").await), (40, relations));
        assert_eq!(state(&store, MARCH).await, State::Sealed);
        let found = app.get_statements(&[("statementId", &id(7))]).await.expect(200);
        assert_eq!(found.json()["id"], json!(id(7)));
        let audited: i64 = superuser
            .query_one("SELECT count(*) FROM platform.audit WHERE action LIKE 'partitions.%' AND actor = 'a test' AND subject = '2026-03'", &[])
            .await.unwrap().get(0);
        assert_eq!(audited, 3, "one for each change that was made");
        assert!(matches!(make(&store, "2025-01", Change::Seal).await, Err(ChangeError::Unknown(_))));
        let standings = store.run_tx("t", As::Worker, |tx| Box::pin(partitions::standings(tx))).await.unwrap();
        assert!(standings[0].is_held && standings[0].since.is_some(), "the schedule leaves what a person brought back");
    }

    async fn a_month_is_not_sealed_before_everybody_has_read_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 5).await;
        let store = app.db.store();
        app.stop_loops().await;
        let client = app.db.superuser().await;
        let current = app.clock.now().format("%Y-%m").to_string();
        let refused = make(&store, &current, Change::Seal).await.unwrap_err().to_string();
        assert!(refused.contains("statements may still be written"), "{refused}");

        let hindrances = [
            ("UPDATE progress.projection_cursors SET position = '2026-03-01'", "attempts, completions and scores are at 2026-03-11",
             "UPDATE progress.projection_cursors SET position = now()"),
            ("INSERT INTO ledger.refs (tenant_id, target_id, referrer_id, stored, voids)
              SELECT tenant_id, gen_random_uuid(), id, stored, false FROM ledger.statements LIMIT 1", "a reference waits",
             "UPDATE ledger.refs SET settled = true"),
            ("INSERT INTO ledger.links_due (tenant_id, statement_id) SELECT tenant_id, id FROM ledger.statements LIMIT 1",
             "a chain of references waits", "DELETE FROM ledger.links_due"),
            ("INSERT INTO progress.relay_cursors (tenant_id, position) SELECT DISTINCT tenant_id, '2026-03-01'::timestamptz FROM ledger.statements",
             "the events' relay is at 2026-03-11", "UPDATE progress.relay_cursors SET position = now()"),
        ];
        for (hindrance, who, past) in hindrances {
            client.batch_execute(hindrance).await.unwrap();
            let refused = make(&store, MARCH, Change::Seal).await.unwrap_err().to_string();
            assert!(refused.contains(who), "{refused}");
            assert_eq!(state(&store, MARCH).await, State::Open);
            client.batch_execute(past).await.unwrap();
        }
        // A transaction that began in that month and has not ended.
        client.batch_execute("BEGIN; SELECT pg_advisory_xact_lock_shared(1773273600000000)").await.unwrap();
        let refused = make(&store, MARCH, Change::Seal).await.unwrap_err().to_string();
        assert!(refused.contains("statements may still be written at 2026-03-12"), "{refused}");
        client.batch_execute("ROLLBACK").await.unwrap();
        assert!(make(&store, MARCH, Change::Seal).await.unwrap());
    }

    async fn references_into_a_month_that_left_are_still_written(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 5).await;
        let store = app.db.store();
        make(&store, MARCH, Change::Seal).await.unwrap();
        make(&store, MARCH, Change::Detach).await.unwrap();
        app.post_statements(&about(&id(70), "http://v.example/commented", &id(3))).await.expect(200);
        app.post_statements(&identified(&id(3), "learner3", "course3")).await.expect(200);
        let twice: i64 = app.db.superuser().await.query_one("SELECT count(*) FROM ledger.statement_ids WHERE id = $1::text::uuid", &[&id(3)])
            .await.unwrap().get(0);
        assert_eq!(twice, 1, "its id is known, wherever it is");
    }
}
