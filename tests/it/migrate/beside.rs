//! Indexes that are built beside the work: on partitioned tables, on tables of other modules, and after a crash.

use progress_service::migrate::{
    Runner, Verdict,
    approve::{Force, Word},
    down::DownRequest,
    silent,
};
use tokio_postgres::Client;

use super::fixture::{count, everything, headed, history, module, run_all, runner, sql};
use crate::support::pg::TestDatabase;

const HEAD: &str = "-- progress: no-transaction";

/// A module with one index, and the way back beside it.
fn with_index(db: &TestDatabase, on: &str) -> Runner {
    let excuse = "-- progress: allow other-module because the ledger is where the partitions are";
    let up =
        headed(&format!("{HEAD}\n{excuse}"), &format!("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_voiding ON {on};"));
    let schema = on.split('.').next().unwrap();
    let down = format!("{HEAD}\nDROP INDEX CONCURRENTLY IF EXISTS {schema}.by_voiding;");
    runner(db, vec![module("alpha", &[("100_index.sql", up), ("100_index.down.sql", down)])])
}

/// The partitions of the ledger, and how many of them have a valid index attached to the parent's.
async fn indexed(client: &Client) -> (i64, i64) {
    let partitions = count(client, "pg_inherits WHERE inhparent = 'ledger.statements'::regclass").await;
    let attached = "pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid
        WHERE h.inhparent = to_regclass('ledger.by_voiding') AND i.indisvalid";
    (partitions, count(client, attached).await)
}

async fn is_valid(client: &Client, index: &str) -> bool {
    count(client, &format!("pg_index WHERE indexrelid = to_regclass('{index}') AND indisvalid")).await == 1
}

on_each_server! {
    async fn the_partitioned_ledger_gets_its_index_month_by_month(db: TestDatabase) {
        let client = db.owner().await;
        client.batch_execute("SELECT ledger.ensure_month(now()), ledger.ensure_month(now() + interval '1 month')").await.unwrap();
        let runner = with_index(&db, "ledger.statements (tenant_id, voiding)");
        assert_eq!(run_all(&runner).await.failed, None);
        assert_eq!(indexed(&client).await, (2, 2));
        assert!(is_valid(&client, "ledger.by_voiding").await);
        client.batch_execute("SELECT ledger.ensure_month(now() + interval '2 months')").await.unwrap();
        assert_eq!(indexed(&client).await, (3, 3), "a month made later has one too");
        let back = DownRequest { module: None, steps: 1, approved_by: Some("Ada".into()), by: "test".into(), apply: true };
        let undone = runner.down(&back, &silent).await.unwrap();
        assert_eq!((undone.failed, undone.done.len()), (None, 1));
        assert_eq!(count(&client, "pg_class WHERE relname LIKE '%by_voiding'").await, 0);
        assert_eq!(run_all(&runner).await.done.len(), 1, "and up again");
    }

    async fn a_broken_off_index_of_the_ledger_goes_on_where_it_was(db: TestDatabase) {
        let client = db.owner().await;
        client.batch_execute("SELECT ledger.ensure_month(now()), ledger.ensure_month(now() + interval '1 month')").await.unwrap();
        // As a runner that was killed leaves it: the parent's is there, one partition's was not finished; and a month was
        // made since, which has its own.
        let leaf: String = client
            .query_one(
                "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'ledger.statements'::regclass",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        let leaf = leaf.trim_start_matches("ledger.");
        client.batch_execute(&format!(
            "CREATE INDEX by_voiding ON ONLY ledger.statements (tenant_id, voiding);
             CREATE INDEX {leaf}_by_voiding ON ledger.{leaf} (tenant_id, voiding);
             SELECT ledger.ensure_month(now() + interval '2 months')")).await.unwrap();
        let spoil = format!("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ledger.{leaf}_by_voiding'::regclass");
        db.superuser().await.batch_execute(&spoil).await.unwrap();
        let before = count(&client, &format!("pg_class WHERE oid = 'ledger.{leaf}_by_voiding'::regclass")).await;
        assert_eq!((before, indexed(&client).await), (1, (3, 1)));
        assert_eq!(run_all(&with_index(&db, "ledger.statements (tenant_id, voiding)")).await.failed, None);
        assert_eq!(indexed(&client).await, (3, 3));
        assert!(is_valid(&client, "ledger.by_voiding").await);
    }

    async fn partitions_of_partitions_get_theirs(db: TestDatabase) {
        let tables = ("001_tables.sql", sql(
            "CREATE TABLE alpha.t (a int, voiding boolean) PARTITION BY RANGE (a);
             CREATE TABLE alpha.hot PARTITION OF alpha.t FOR VALUES FROM (0) TO (10) PARTITION BY HASH (a);
             CREATE TABLE alpha.hot_0 PARTITION OF alpha.hot FOR VALUES WITH (MODULUS 2, REMAINDER 0);
             CREATE TABLE alpha.hot_1 PARTITION OF alpha.hot FOR VALUES WITH (MODULUS 2, REMAINDER 1);
             CREATE TABLE alpha.cold PARTITION OF alpha.t FOR VALUES FROM (10) TO (20);
             INSERT INTO alpha.t SELECT g, g % 2 = 0 FROM generate_series(0, 19) g;"),
        );
        let index = (
            "100_index.sql",
            headed(
                HEAD,
                "CREATE INDEX CONCURRENTLY IF NOT EXISTS \"By Voiding\" ON alpha.t USING btree (voiding) WHERE a > 3;",
            ),
        );
        assert_eq!(run_all(&runner(&db, vec![module("alpha", &[tables, index])])).await.failed, None);
        let client = db.owner().await;
        assert!(is_valid(&client, "alpha.\"By Voiding\"").await);
        assert_eq!(
            count(
                &client,
                "pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE '%By Voiding' AND i.indisvalid"
            )
            .await,
            5
        );
    }

    async fn an_index_on_another_modules_table_is_found_where_it_is(db: TestDatabase) {
        let client = db.owner().await;
        let runner = with_index(&db, "ledger.documents (etag)");
        assert_eq!(run_all(&runner).await.failed, None);
        assert!(is_valid(&client, "ledger.by_voiding").await);
        // What a killed build leaves in the other schema is found there, too.
        let spoil = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ledger.by_voiding'::regclass;
            DELETE FROM alpha.schema_migrations WHERE migration_name = '100_index.sql'";
        db.superuser().await.batch_execute(spoil).await.unwrap();
        assert_eq!(run_all(&runner).await.failed, None);
        assert!(is_valid(&client, "ledger.by_voiding").await);
    }

    async fn a_build_that_fails_every_time_can_be_settled_by_a_person(db: TestDatabase) {
        let table = ("001_table.sql", sql("CREATE TABLE alpha.t (a int); INSERT INTO alpha.t VALUES (1), (1);"));
        let unique = headed(HEAD, "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS once ON alpha.t (a);");
        let runner = runner(&db, vec![module("alpha", &[table, ("100_unique.sql", unique)])]);
        assert_eq!(run_all(&runner).await.failed.unwrap().code.as_deref(), Some("23505"));
        assert_eq!(runner.run(&everything(), &silent).await.unwrap().failed.unwrap().file, "100_unique.sql");
        let force = Force {
            module: "alpha".into(),
            file: "100_unique.sql".into(),
            word: Word::Applied,
            approved_by: "Ada".into(),
            by: "test".into(),
            apply: true,
        };
        runner.force(&force, &silent).await.unwrap();
        assert_eq!(history(&db.owner().await, "alpha").await, ["001_table.sql", "100_unique.sql"]);
        assert_eq!(runner.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
    }

    async fn a_name_that_another_table_has_is_no_success(db: TestDatabase) {
        let tables = (
            "001_tables.sql",
            sql("CREATE TABLE alpha.t (a int); CREATE TABLE alpha.u (a int); CREATE INDEX by_a ON alpha.u (a);"),
        );
        let index = ("100_index.sql", headed(HEAD, "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_a ON alpha.t (a);"));
        let failed = run_all(&runner(&db, vec![module("alpha", &[tables, index])])).await.failed.unwrap();
        assert!(failed.error.contains("on another table"), "{}", failed.error);
    }
}
