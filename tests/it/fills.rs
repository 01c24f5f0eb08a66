//! Months that are filled whole: they become partitions like every other, or they are removed, whoever dies in between.

use progress_service::{
    model::TenantId,
    objects::segment::Row,
    store::{
        As, Store, StoreError,
        ledger::fills::{Fill, FullRow, Parents},
    },
};
use tokio_postgres::Client;

use crate::support::segments::{TENANT, place, rows};

pub fn full(row: &Row) -> FullRow<'_> {
    FullRow {
        tenant: row.tenant,
        id: row.id,
        stored: row.stored,
        occurred: row.occurred,
        verb_key: row.verb_key,
        agent_key: row.agent_key,
        activity_key: row.activity_key,
        registration_key: row.registration_key,
        refers_to: row.refers_to,
        voiding: row.voiding,
        converts: row.converts,
        payload: &row.payload,
        relations: &row.relations,
    }
}

pub async fn copy(store: &Store, fill: &Fill, rows: &[Row]) -> Result<(), StoreError> {
    let rows: Vec<FullRow<'_>> = rows.iter().map(full).collect();
    store.copy_into_month(fill, &rows).await
}

/// What the ledger has, as text of its rows.
pub async fn ledger(client: &Client, table: &str) -> Vec<String> {
    let sql = format!("SELECT r::text FROM ledger.{table} r ORDER BY r.stored, r::text");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// What a partition is beside its rows: indexes, triggers, constraints, row security and rights, without its own name.
pub async fn shape(client: &Client, table: &str) -> Vec<String> {
    let sql = "
        SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING', 'index') || ' of ' || coalesce(p.relname, 'none')
        FROM pg_index i LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid LEFT JOIN pg_class p ON p.oid = h.inhparent
        WHERE i.indrelid = to_regclass('ledger.' || $1)
        UNION ALL
        SELECT 'trigger ' || tgname || ' ' || tgenabled::text || ' ' || tgtype FROM pg_trigger WHERE tgrelid = to_regclass('ledger.' || $1)
        UNION ALL
        SELECT 'constraint ' || conname || ' ' || regexp_replace(pg_get_constraintdef(oid), '\\d{4}-\\d\\d', '', 'g')
        FROM pg_constraint WHERE conrelid = to_regclass('ledger.' || $1)
        UNION ALL
        SELECT 'class ' || relrowsecurity || relforcerowsecurity || relispartition
               || (SELECT count(*) FROM aclexplode(relacl) a WHERE a.grantee <> relowner)
        FROM pg_class WHERE oid = to_regclass('ledger.' || $1)
        UNION ALL
        SELECT 'column ' || attname || ' ' || atttypid::regtype || attnotnull || attnum
        FROM pg_attribute WHERE attrelid = to_regclass('ledger.' || $1) AND attnum > 0
        ORDER BY 1";
    let shape: Vec<String> = client.query(sql, &[&table]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(shape.len() > 5, "{table}: {shape:?}");
    shape
}

pub async fn tables(client: &Client) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relname LIKE 'filling%' AND relkind IN ('r', 'p') ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn refusal(result: Result<impl Sized, StoreError>) -> String {
    result.map(drop).unwrap_err().to_string()
}

on_each_server! {
    async fn a_filled_month_is_a_partition_like_every_other(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        let place = place("2026-03");
        let all = rows(place, 600);
        let fill = store.begin_month(place.month, Parents::Hot).await.unwrap();
        copy(&store, &fill, &all[..400]).await.unwrap();
        copy(&store, &fill, &all[400..]).await.unwrap();
        assert!(ledger(&eyes, "statements").await.is_empty(), "nobody sees a month that is not finished");
        store.index_month(&fill).await.unwrap();
        store.index_month(&fill).await.unwrap();
        store.finish_month(&fill).await.unwrap();

        // The same rows, put in one by one.
        eyes.batch_execute("SELECT ledger.ensure_month('2026-04-15Z');
            CREATE TABLE public.one (LIKE ledger.statements); CREATE TABLE public.related (LIKE ledger.relations)").await.unwrap();
        for row in &all {
            eyes.execute("INSERT INTO public.one VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)",
                &[&row.tenant.0, &row.id, &row.stored, &row.occurred, &row.verb_key, &row.agent_key, &row.activity_key,
                  &row.registration_key, &row.refers_to, &row.voiding, &row.converts, &row.payload]).await.unwrap();
            for key in &row.relations {
                eyes.execute("INSERT INTO public.related VALUES ($1, $2, $3)", &[&row.tenant.0, key, &row.stored]).await.unwrap();
            }
        }
        for (table, same) in [("statements", "one"), ("relations", "related")] {
            let wanted: Vec<String> = eyes.query(&format!("SELECT r::text FROM public.{same} r ORDER BY r.stored, r::text"), &[])
                .await.unwrap().iter().map(|row| row.get(0)).collect();
            assert_eq!(ledger(&eyes, table).await, wanted, "{table}");
            assert_eq!(shape(&eyes, &format!("{table}_2026_03")).await, shape(&eyes, &format!("{table}_2026_04")).await);
        }
        let partitions = store.partitions().await.unwrap();
        assert!(partitions.iter().any(|one| one.bounds.to_string() == "2026-03" && one.state.name() == "open"));
        assert!(tables(&eyes).await.is_empty() && store.months_begun().await.unwrap().is_empty());

        let seen = async |tenant: TenantId| -> i64 {
            let count = store.run_tx("count", As::Tenant(tenant), |tx| Box::pin(async move {
                tx.query_one("SELECT count(*) FROM ledger.statements", &[]).await
            })).await;
            count.unwrap().get(0)
        };
        assert_eq!(seen(TENANT).await, 600);
        assert_eq!(seen(TenantId(uuid::Uuid::from_u128(5))).await, 0, "another tenant sees none of it");
        for change in ["DELETE FROM ledger.statements", "TRUNCATE ledger.statements_2026_03", "TRUNCATE ledger.relations_2026_03",
                       "UPDATE ledger.statements_2026_03 SET payload = ''"] {
            assert!(eyes.batch_execute(change).await.is_err(), "{change}");
        }
    }

    async fn who_was_overtaken_can_neither_copy_nor_finish(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        let place = place("2026-03");
        let all = rows(place, 100);
        let dead = store.begin_month(place.month, Parents::Hot).await.unwrap();
        copy(&store, &dead, &all[..40]).await.unwrap();
        let next = store.begin_month(place.month, Parents::Hot).await.unwrap();
        assert_eq!((dead.statements, next.statements), (0, 40), "what the dead one copied is taken over");
        assert!(refusal(copy(&store, &dead, &all[40..]).await).contains("not being filled"));
        for result in [store.index_month(&dead).await, store.abandon_month(&dead).await] {
            assert!(refusal(result).contains("not being filled"));
        }
        assert!(store.finish_month(&dead).await.is_err());
        copy(&store, &next, &all[40..]).await.unwrap();
        store.finish_month(&next).await.unwrap();
        assert_eq!(ledger(&eyes, "statements").await.len(), 100);
        assert!(store.finish_month(&next).await.is_err(), "once is enough");
        assert!(refusal(copy(&store, &next, &all).await).contains("not being filled"));
    }

    async fn an_abandoned_month_leaves_nothing(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        let place = place("2026-03");
        let fill = store.begin_month(place.month, Parents::Hot).await.unwrap();
        copy(&store, &fill, &rows(place, 10)).await.unwrap();
        assert_eq!(tables(&eyes).await, ["filling_relations_2026_03", "filling_statements_2026_03"]);
        let again = store.begin_month(place.month, Parents::Hot).await.unwrap();
        store.abandon_month(&again).await.unwrap();
        assert!(tables(&eyes).await.is_empty() && store.months_begun().await.unwrap().is_empty());
        let fresh = store.begin_month(place.month, Parents::Hot).await.unwrap();
        assert_eq!(fresh.statements, 0);
        store.abandon_month(&fresh).await.unwrap();
    }

    async fn only_a_month_that_is_over_and_nowhere_is_filled(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        let now = progress_service::model::partition::Month::of(progress_service::model::Clock::system().now());
        assert!(refusal(store.begin_month(now, Parents::Hot).await).contains("is not over"));
        eyes.batch_execute("SELECT ledger.ensure_month('2026-04-15Z')").await.unwrap();
        let there = "2026-04".parse().unwrap();
        assert!(refusal(store.begin_month(there, Parents::Hot).await).contains("2026-04 is there already (open)"));
        assert!(refusal(store.begin_month(there, Parents::Detached).await).contains("2026-04 is open"));
        let never = "2026-02".parse().unwrap();
        assert!(refusal(store.begin_month(never, Parents::Detached).await).contains("2026-02 is unknown"));

        // A month that somebody makes meanwhile stands; what was copied waits for a decision.
        let place = place("2026-03");
        let fill = store.begin_month(place.month, Parents::Hot).await.unwrap();
        copy(&store, &fill, &rows(place, 10)).await.unwrap();
        eyes.batch_execute("SELECT ledger.ensure_month('2026-03-15Z')").await.unwrap();
        assert!(refusal(store.finish_month(&fill).await).contains("2026-03 is there already"));
        assert!(ledger(&eyes, "statements").await.is_empty());
        assert!(store.begin_month(place.month, Parents::Hot).await.is_err());
        store.abandon_month(&fill).await.unwrap();
    }

    async fn what_does_not_belong_into_the_month_is_refused_whole(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        let march = place("2026-03");
        let mut all = rows(march, 10);
        all.push(rows(place("2026-05"), 1).remove(0));
        let fill = store.begin_month(march.month, Parents::Hot).await.unwrap();
        let error = copy(&store, &fill, &all).await.unwrap_err();
        assert_eq!(error.code(), Some("23514"), "{error}");
        assert_eq!(store.begin_month(march.month, Parents::Hot).await.unwrap().statements, 0);
        // Whoever serves a tenant has no way to the tables: they have no policies yet.
        for sql in ["SELECT FROM ledger.filling_statements_2026_03", "SELECT ledger.begin_month('2026-01-01Z', 'hot')",
                    "SELECT ledger.finish_month('2026-03-01Z', 2)", "SELECT ledger.abandon_month('2026-03-01Z', 2)"] {
            let tried = eyes.batch_execute(&format!("BEGIN; SET LOCAL ROLE progress_service; {sql}")).await;
            assert_eq!(tried.unwrap_err().code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{sql}");
            eyes.batch_execute("ROLLBACK").await.unwrap();
        }
        let fill = store.months_begun().await.unwrap()[0];
        store.abandon_month(&fill).await.unwrap();
    }
}
