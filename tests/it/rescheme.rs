//! Months that are divided anew: the same to every reader before, while and after it happens, whoever is stopped in between.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use progress_service::{
    model::{Clock, Ids, TenantId, partition::Month, scheme::Scheme},
    partitions::rescheme::{ReschemeError, Step, abort, rescheme},
    store::{As, Store, ledger::fills::Parents},
    telemetry::Aside,
};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    fills::{copy, ledger, tables},
    support::{
        app::TestApp,
        cut::cut_off,
        patience,
        pg::TestDatabase,
        process::{Process, command},
        segments::{TENANT, place, rows},
    },
};

fn month() -> Month {
    "2026-02".parse().unwrap()
}

/// A month of two tenants that nobody writes to any more.
async fn sealed(db: &TestDatabase) -> Store {
    let store = db.store();
    let fill = store.begin_month(month(), Parents::Hot).await.unwrap();
    let mut all = rows(place("2026-02"), 300);
    for row in all.iter_mut().step_by(3) {
        row.tenant = TenantId(Uuid::from_u128(0x7e9b));
    }
    copy(&store, &fill, &all).await.unwrap();
    store.finish_month(&fill).await.unwrap();
    db.superuser().await.batch_execute("UPDATE ledger.partitions SET state = 'sealed'").await.unwrap();
    store
}

async fn leaves(client: &Client) -> Vec<String> {
    let sql = "SELECT relid::regclass::text FROM pg_partition_tree('ledger.statements') WHERE isleaf
               UNION SELECT relid::regclass::text FROM pg_partition_tree('ledger.relations') WHERE isleaf ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// What everybody reads.
async fn read(client: &Client) -> (Vec<String>, Vec<String>) {
    (ledger(client, "statements").await, ledger(client, "relations").await)
}

fn go_on(_: Step) -> bool {
    true
}

const TO: [&str; 5] = ["weekly", "daily", "tenants-4", "tenants-8", "monthly"];

on_each_server! {
    async fn a_month_is_the_same_however_it_is_divided(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        for (to, parts) in TO.into_iter().zip([5, 28, 4, 8, 1]) {
            rescheme(&store, month(), to.parse().unwrap(), "a test", &Aside::default(), &go_on).await.unwrap();
            assert_eq!(read(&eyes).await, before, "{to}");
            let leaves = leaves(&eyes).await;
            assert_eq!(leaves.len(), 2 * parts, "{to}: {leaves:?}");
            assert!(tables(&eyes).await.is_empty() && store.divisions().await.unwrap().is_empty());
            let unsafe_ones = "SELECT count(*) FROM pg_class c JOIN pg_partition_tree('ledger.statements') t ON t.relid = c.oid
                WHERE level > 0 AND NOT (relrowsecurity AND relforcerowsecurity
                    AND (SELECT count(*) FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgenabled = 'A') = 2
                    AND (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid) = 5
                    AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner))";
            assert_eq!(eyes.query_one(unsafe_ones, &[]).await.unwrap().get::<_, i64>(0), 0, "{to}");
            let own: i64 = store.run_tx("count", As::Tenant(TENANT), |tx| Box::pin(async move {
                tx.query_one("SELECT count(*) FROM ledger.statements", &[]).await
            })).await.unwrap().get(0);
            assert_eq!(own, 200, "{to}");
            for change in ["DELETE FROM ledger.statements", &format!("TRUNCATE {}", leaves[0]), &format!("TRUNCATE {}", leaves[leaves.len() - 1])] {
                assert!(eyes.batch_execute(change).await.is_err(), "{to}: {change}");
            }
        }
        let divided = store.divided_months().await.unwrap();
        assert_eq!((divided.len(), divided[0].scheme, divided[0].state.as_str()), (1, Scheme::Monthly, "sealed"));
        let error = rescheme(&store, month(), Scheme::Monthly, "a test", &Aside::default(), &go_on).await.unwrap_err();
        assert!(error.to_string().contains("monthly already"), "{error}");
    }

    async fn stopped_after_any_step_it_goes_on_to_the_same_end(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        let steps = 2 * 28 + 3;
        for (turn, stop) in (1..=steps).enumerate() {
            let to: Scheme = TO[turn % 2].parse().unwrap();
            let done = AtomicUsize::new(0);
            let stopped = rescheme(&store, month(), to, "a test", &Aside::default(), &|_| done.fetch_add(1, Ordering::Relaxed) + 1 < stop).await;
            assert!(matches!(stopped, Err(ReschemeError::Stopped)), "{stop}");
            assert_eq!(read(&eyes).await, before, "after {stop} steps");
            if stop < steps {
                rescheme(&store, month(), to, "a test", &Aside::default(), &go_on).await.unwrap();
                assert_eq!(read(&eyes).await, before, "gone on after {stop} steps");
            }
            assert_eq!(store.divided_months().await.unwrap()[0].scheme, to);
            assert!(tables(&eyes).await.is_empty());
        }
    }

    async fn aborted_after_any_step_the_month_is_as_it_was(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        for stop in [1, 2, 15, 29, 30, 45, 58] {
            let done = AtomicUsize::new(0);
            rescheme(&store, month(), Scheme::Daily, "a test", &Aside::default(), &|_| done.fetch_add(1, Ordering::Relaxed) + 1 < stop).await.unwrap_err();
            abort(&store, month()).await.unwrap();
            assert!(tables(&eyes).await.is_empty() && store.divisions().await.unwrap().is_empty());
            assert_eq!((read(&eyes).await, leaves(&eyes).await.len()), (before.clone(), 2));
        }
        assert!(matches!(abort(&store, month()).await, Err(ReschemeError::Idle(_))));
    }

    async fn wherever_a_process_dies_the_month_is_whole_and_the_next_one_divides_it(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        let mut cuts = 0;
        for (turn, waits) in (0..).step_by(11).enumerate() {
            let to: Scheme = TO[turn % 2].parse().unwrap();
            let dying = db.store();
            let done = cut_off(rescheme(&dying, month(), to, "a test", &Aside::default(), &go_on), waits).await;
            drop(dying);
            assert_eq!(read(&eyes).await, before, "{waits} waits");
            if let Some(done) = done {
                done.unwrap();
                break;
            }
            // It may have been done already: only its answer was not heard.
            if let Err(error) = rescheme(&store, month(), to, "a test", &Aside::default(), &go_on).await {
                assert!(error.to_string().contains("already"), "{waits} waits: {error}");
            }
            assert_eq!(read(&eyes).await, before, "gone on after {waits} waits");
            assert_eq!(store.divided_months().await.unwrap()[0].scheme, to, "{waits} waits");
            assert!(tables(&eyes).await.is_empty(), "{waits} waits");
            cuts += 1;
        }
        assert!(cuts > 10, "{cuts} cuts");
    }

    async fn killed_on_the_way_it_goes_on(db: TestDatabase) {
        let (_, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        let variables: BTreeMap<String, String> =
            [("PROGRESS_DATABASE_URL", db.service_url()), ("PROGRESS_DATABASE_MIGRATION_URL", db.owner_url())]
                .map(|(name, value)| (name.to_owned(), value)).into();
        let arguments = ["partitions", "rescheme", "--to", "weekly", "--month", "2026-02", "--json"];
        let said = |more: &[&str]| -> Vec<Value> {
            let output = command(&[&arguments[..], more].concat(), &variables).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let plan = said(&["--dry-run"]);
        assert_eq!((&plan[0]["from"], &plan[0]["parts"][1]), (&"monthly".into(), &"2026-W06".into()));
        assert_eq!((plan.len(), &plan[1]["months"], &plan[1]["applied"]), (2, &1.into(), &false.into()));
        let other = command(&[&arguments[..], &["--apply", "--plan", "0123"]].concat(), &variables).output().unwrap();
        let why = String::from_utf8(other.stderr).unwrap();
        assert!(other.status.code() == Some(1) && why.contains(&format!("but {}", plan[1]["plan"].as_str().unwrap())), "{why}");
        assert_eq!(leaves(&eyes).await.len(), 2, "a plan divides nothing");
        for word in ["begun", "2026-02-01", "2026-02-09", "indexed", "\"compared\"", "swapped"] {
            let mut process = Process::start(command(&[&arguments[..], &["--apply"]].concat(), &variables));
            patience::until(word, async || {
                if process.log.contains(word) || !process.is_running() { Ok(()) } else { Err(process.log.lines().join("\n")) }
            }).await;
            process.kill();
            assert_eq!(read(&eyes).await, before, "killed after {word}");
        }
        assert_eq!(said(&["--apply"]).len(), 0, "it is done");
        assert_eq!((read(&eyes).await, leaves(&eyes).await.len()), (before, 10));
        let refused = command(&["partitions", "rescheme", "--to", "hourly"], &variables).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
    }

    async fn a_copy_that_is_not_the_same_never_takes_the_place(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        let tampered = [
            "DELETE FROM ledger.filling_statements_2026_02 WHERE stored = (SELECT min(stored) FROM ledger.statements)",
            "INSERT INTO ledger.filling_statements_2026_02 SELECT * FROM ledger.statements ORDER BY stored LIMIT 1",
            "UPDATE ledger.filling_statements_2026_02 SET payload = payload || ' ' WHERE stored = (SELECT max(stored) FROM ledger.statements)",
            "DELETE FROM ledger.filling_relations_2026_02 WHERE stored = (SELECT max(stored) FROM ledger.statements)",
            "UPDATE ledger.filling_statements_2026_02 f SET tenant_id = gen_random_uuid() WHERE stored = (SELECT min(stored) FROM ledger.statements)",
        ];
        for change in tampered {
            let stop = |step| step != Step::Indexed;
            assert!(matches!(rescheme(&store, month(), Scheme::Weekly, "a test", &Aside::default(), &stop).await, Err(ReschemeError::Stopped)));
            eyes.batch_execute(change).await.unwrap();
            let error = rescheme(&store, month(), Scheme::Weekly, "a test", &Aside::default(), &go_on).await.unwrap_err();
            assert!(matches!(error, ReschemeError::Differs(..)) && error.to_string().contains("2026-02"), "{change}: {error}");
            assert_eq!((read(&eyes).await, leaves(&eyes).await.len()), (before.clone(), 2), "{change}");
            abort(&store, month()).await.unwrap();
        }
    }

    async fn only_a_month_that_nobody_writes_to_is_divided_and_by_one(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        let state = async |state: &str| {
            eyes.batch_execute(&format!("UPDATE ledger.partitions SET state = '{state}'")).await.unwrap();
        };
        for wrong in ["open", "dropped", "attached", "marked"] {
            state(wrong).await;
            let error = rescheme(&store, month(), Scheme::Weekly, "a test", &Aside::default(), &go_on).await.unwrap_err();
            assert!(error.to_string().contains(&format!("2026-02 is {wrong}")), "{error}");
        }
        let error = rescheme(&store, "2025-01".parse().unwrap(), Scheme::Weekly, "a test", &Aside::default(), &go_on).await.unwrap_err();
        assert!(error.to_string().contains("unknown"), "{error}");

        state("sealed").await;
        let first = store.begin_division(month(), Scheme::Weekly).await.unwrap();
        let error = store.begin_division(month(), Scheme::Daily).await.unwrap_err();
        assert!(error.to_string().contains("abort that first"), "{error}");
        assert!(store.months_begun().await.unwrap().is_empty(), "it is no month that is filled");
        let second = store.begin_division(month(), Scheme::Weekly).await.unwrap();
        let day = Scheme::Daily.parts(month())[0];
        assert!(store.copy_division(&first, day).await.unwrap_err().to_string().contains("somebody else"));
        let second = store.copy_division(&second, day).await.unwrap();
        assert!(store.copy_division(&second, day).await.is_err(), "no day is copied twice");
        assert!(store.index_division(&first).await.is_err() && store.abort_division(&first).await.is_err());

        // Somebody opens the month in between.
        let opened = |step| step != Step::Indexed;
        rescheme(&store, month(), Scheme::Weekly, "a test", &Aside::default(), &opened).await.unwrap_err();
        state("open").await;
        assert!(rescheme(&store, month(), Scheme::Weekly, "a test", &Aside::default(), &go_on).await.is_err());
        assert_eq!((read(&eyes).await, leaves(&eyes).await.len()), (before, 2));
        abort(&store, month()).await.unwrap();
    }

    async fn a_reader_that_stays_long_is_waited_for_without_a_queue_behind_it(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let mut reader = db.superuser().await;
        let reading = reader.transaction().await.unwrap();
        reading.query_one("SELECT count(*) FROM ledger.statements", &[]).await.unwrap();
        let dividing = tokio::spawn({
            let store = store.clone();
            async move { rescheme(&store, month(), Scheme::Weekly, "a test", &Aside::default(), &go_on).await }
        });
        patience::until("it waits for its turn", async || {
            let tried = eyes.query_one("SELECT count(*) FROM ledger.month_divisions WHERE copied_until = '2026-03-01Z'
                AND (SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'ledger.statements'::regclass) > 0", &[]);
            if tried.await.unwrap().get::<_, i64>(0) > 0 || dividing.is_finished() { Ok(()) } else { Err("not yet") }
        }).await;
        for _ in 0..5 {
            assert_eq!(ledger(&eyes, "statements").await.len(), 300, "others read meanwhile");
        }
        reading.commit().await.unwrap();
        dividing.await.unwrap().unwrap();
        assert_eq!(leaves(&eyes).await.len(), 10);
    }

    async fn a_month_out_of_the_queries_way_is_divided_where_it_is(db: TestDatabase) {
        let (store, eyes) = (sealed(&db).await, db.superuser().await);
        let before = read(&eyes).await;
        let moved = eyes.query_one("SELECT ledger.detach_month('2026-02-09Z')", &[]).await.unwrap();
        assert_eq!(moved.get::<_, &str>(0), "detached");
        let away = async || (ledger(&eyes, "detached_statements").await, ledger(&eyes, "detached_relations").await);
        rescheme(&store, month(), Scheme::Weekly, "a test", &Aside::default(), &go_on).await.unwrap();
        assert_eq!((away().await, leaves(&eyes).await.len()), (before.clone(), 0));

        // It moves as one, divided as it is.
        let back = eyes.query_one("SELECT ledger.attach_month('2026-02-09Z')", &[]).await.unwrap();
        assert_eq!(back.get::<_, &str>(0), "sealed");
        assert_eq!((read(&eyes).await, leaves(&eyes).await.len()), (before.clone(), 10));
        let weight = store.partition_weights().await.unwrap().remove(0).1;
        assert!(weight.rows == 300 && weight.bytes > 100_000, "{weight:?}");

        // Moved between copy and swap: the copy is of no use to the month that is elsewhere now.
        rescheme(&store, month(), Scheme::Daily, "a test", &Aside::default(), &|step| step != Step::Indexed).await.unwrap_err();
        eyes.batch_execute("SELECT ledger.detach_month('2026-02-09Z')").await.unwrap();
        let error = rescheme(&store, month(), Scheme::Daily, "a test", &Aside::default(), &go_on).await.unwrap_err();
        assert!(error.to_string().contains("abort that first"), "{error}");
        abort(&store, month()).await.unwrap();
        rescheme(&store, month(), Scheme::Monthly, "a test", &Aside::default(), &go_on).await.unwrap();
        assert_eq!(away().await, before);
    }

    async fn months_ahead_are_divided_as_it_is_configured(db: TestDatabase) {
        let variables = [("PROGRESS_PARTITIONS_SCHEME", "tenants-3")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let (store, eyes) = (app.db.store(), app.db.superuser().await);
        let divided = store.divided_months().await.unwrap();
        assert!(divided.len() == 4 && divided.iter().all(|one| one.scheme == Scheme::Tenants(3)), "{divided:?}");
        let statement = json!({"id": Uuid::from_u128(0x1111_0000_0000_4000_8000_0000_0000_0001), "actor": {"mbox": "mailto:a@x.example"},
                               "verb": {"id": "http://x.example/did"}, "object": {"id": "http://x.example/it"}});
        app.post_statements(&json!([statement])).await.expect(200);
        let page = app.get_statements(&[("activity", "http://x.example/it")]).await.expect(200).json();
        assert_eq!(page["statements"].as_array().unwrap().len(), 1);
        assert_eq!(leaves(&eyes).await.len(), 4 * 3 * 2);
    }

    async fn months_are_made_divided(db: TestDatabase) {
        let eyes = db.superuser().await;
        let sql = "SELECT ledger.ensure_month('2031-01-09Z', 'daily'), ledger.ensure_month('2031-02-09Z', 'weekly'),
                          ledger.ensure_month('2031-03-09Z', 'tenants-3'), ledger.ensure_month('2031-01-19Z', 'weekly')";
        let made = eyes.query_one(sql, &[]).await.unwrap();
        assert_eq!([0, 1, 2, 3].map(|n| made.get::<_, bool>(n)), [true, true, true, false]);
        assert_eq!(leaves(&eyes).await.len(), 2 * (31 + 5 + 3));
        eyes.batch_execute("INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, voiding, converts, payload)
            SELECT gen_random_uuid(), gen_random_uuid(), '2031-01-01Z'::timestamptz + n * interval '1 day', gen_random_uuid(), false, false, '{}'
            FROM generate_series(0, 89) AS n").await.unwrap();
        assert!(eyes.batch_execute("SELECT ledger.ensure_month('2031-04-09Z', 'hourly')").await.is_err());
        assert_eq!(ledger(&eyes, "statements").await.len(), 90);
    }
}
