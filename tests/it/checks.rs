//! The checks before and after a migration, against servers in and out of order.

use progress_service::{
    migrate::{
        Runner, Settings,
        checks::{Check, Host, Status, gather_after, gather_before, gather_rights},
        modules, silent,
    },
    model::Clock,
};

use crate::support::pg::{Server, TestDatabase};

fn runner(db: &TestDatabase) -> Runner {
    Runner::new(modules::internal().unwrap(), db.store_settings().owner, Settings::default())
}

/// The names of the lines that do not pass; what cannot be known here is left out.
fn spoiled(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| check.status > Status::Unknown).map(|check| check.name).collect()
}

async fn migrated(server: &'static Server) -> TestDatabase {
    let db = TestDatabase::empty(server).await;
    runner(&db).startup("test", &silent).await.unwrap();
    db
}

async fn before(db: &TestDatabase) -> Vec<Check> {
    gather_before(&runner(db), &Host::default(), &Clock::system()).await.unwrap()
}

async fn after(db: &TestDatabase) -> Vec<Check> {
    gather_after(&runner(db), &Clock::system()).await.unwrap()
}

on_each_server! {
    async fn a_fresh_schema_passes_both(db: TestDatabase) {
        let fresh = migrated(db.server()).await;
        fresh.owner().await.batch_execute("SELECT ledger.ensure_month(now()), ledger.ensure_month(now() + interval '2 months')")
            .await.unwrap();
        assert_eq!(spoiled(&before(&fresh).await), [""; 0]);
        let after = after(&fresh).await;
        assert_eq!(spoiled(&after), [""; 0], "{after:?}");
        assert_eq!(after.len(), 9);
        let service = fresh.store_settings().service;
        let rights = gather_rights(&runner(&fresh), &service).await.unwrap();
        assert_eq!(spoiled(&rights), [""; 0], "{rights:?}");
    }

    async fn a_read_only_database_is_seen(db: TestDatabase) {
        let fresh = migrated(db.server()).await;
        let admin = fresh.superuser().await;
        admin.batch_execute(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", fresh.name())).await.unwrap();
        assert_eq!(spoiled(&before(&fresh).await), ["writable"]);
    }

    async fn an_old_transaction_is_seen(db: TestDatabase) {
        let fresh = migrated(db.server()).await;
        let other = fresh.owner().await;
        other.batch_execute("BEGIN; SELECT 1").await.unwrap();
        // Old enough to be listed; a minute, from which on it is a warning, is for the unit test.
        other.batch_execute("SELECT pg_sleep(1.1)").await.unwrap();
        let session = fresh.store().ddl().await.unwrap();
        let facts = progress_service::store::schema::checks::before(&session, &[], &[]).await.unwrap();
        assert_eq!(facts.old_transactions.len(), 1, "{facts:?}");
        assert!(facts.old_transactions[0].seconds >= 1);
        assert_eq!(facts.version / 10_000, i32::try_from(fresh.server().major).unwrap());
    }

    async fn what_a_migration_left_in_disorder_is_named(db: TestDatabase) {
        let fresh = migrated(db.server()).await;
        let owner = fresh.owner().await;
        owner.batch_execute(
            "SELECT ledger.ensure_month(now() + interval '2 months');
             CREATE TABLE ledger.open (tenant_id uuid, a int);
             ALTER TABLE ledger.documents ADD CONSTRAINT later CHECK (etag <> '') NOT VALID;
             INSERT INTO ledger.open SELECT NULL, 1 FROM generate_series(1, 2)").await.unwrap();
        owner.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON ledger.open (a)").await.unwrap_err();
        let checks = after(&fresh).await;
        assert_eq!(spoiled(&checks), ["indexes", "constraints", "row-level-security"]);
        let line = |name| checks.iter().find(|c| c.name == name).unwrap().to_string();
        assert!(line("indexes").contains("ledger.broken"), "{}", line("indexes"));
        assert!(line("constraints").contains("ledger.documents.later"));
        assert!(line("row-level-security").contains("ledger.open"));
    }

    async fn a_parent_index_without_one_on_a_foreign_partition_is_sound(db: TestDatabase) {
        let fresh = migrated(db.server()).await;
        fresh.owner().await.batch_execute("SELECT ledger.ensure_month(now()), ledger.ensure_month(now() + interval '2 months')")
            .await.unwrap();
        fresh.superuser().await.batch_execute(
            "CREATE EXTENSION postgres_fdw; CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw;
             CREATE FOREIGN TABLE ledger.statements_2019_01 PARTITION OF ledger.statements
                 FOR VALUES FROM ('2019-01-01Z') TO ('2019-02-01Z') SERVER archive;
             CREATE INDEX later ON ONLY ledger.statements (voiding)").await.unwrap();
        assert_eq!(spoiled(&after(&fresh).await), ["indexes"], "a local partition still lacks its index");
        let attach = "DO $$ DECLARE part regclass; BEGIN
            FOR part IN SELECT inhrelid FROM pg_inherits JOIN pg_class ON oid = inhrelid
                WHERE inhparent = 'ledger.statements'::regclass AND relkind = 'r' LOOP
                EXECUTE format('CREATE INDEX %I ON %s (voiding)', 'later_' || part::oid, part);
                EXECUTE format('ALTER INDEX ledger.later ATTACH PARTITION ledger.%I', 'later_' || part::oid);
            END LOOP; END $$";
        fresh.superuser().await.batch_execute(attach).await.unwrap();
        assert_eq!(spoiled(&after(&fresh).await), [""; 0]);
    }

    async fn a_service_that_may_delete_statements_is_found(db: TestDatabase) {
        let fresh = migrated(db.server()).await;
        fresh.owner().await.batch_execute("GRANT DELETE ON ledger.statements TO progress_worker").await.unwrap();
        let rights = gather_rights(&runner(&fresh), &fresh.store_settings().service).await.unwrap();
        assert_eq!(spoiled(&rights), ["append-only"]);
        let owner = gather_rights(&runner(&fresh), &fresh.store_settings().owner).await.unwrap();
        assert_eq!(spoiled(&owner), ["ownership"]);
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_line() {
    let db = TestDatabase::empty(Server::newest().await).await;
    let mut endpoint = db.store_settings().owner;
    endpoint.url = progress_service::model::Secret::new("postgres://nobody@127.0.0.1:1/none");
    let runner = Runner::new(modules::internal().unwrap(), endpoint, Settings::default());
    let checks = gather_before(&runner, &Host::default(), &Clock::system()).await.unwrap();
    assert_eq!(spoiled(&checks), ["connection"]);
}
