//! The ledger is append-only by the database's own will, and apart for each tenant: asked with the service's own login.

use progress_service::{model::scheme::Scheme, partitions};
use tokio_postgres::error::SqlState;

use super::{id, identified};
use crate::support::app::{TestApp, ready};

const TENANT: &str = "SET ROLE progress_service; SET app.tenant_id = '00000000-0000-4000-8000-000000000001'";

on_each_server! {
    async fn the_service_can_neither_change_nor_delete_a_statement(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let client = app.db.service().await;
        for role in ["progress_service", "progress_worker"] {
            client
                .batch_execute(&format!("SET ROLE {role}; SET app.tenant_id = '00000000-0000-4000-8000-000000000001'"))
                .await
                .unwrap();
            for refused in [
                "UPDATE ledger.statements SET payload = '{}'",
                "DELETE FROM ledger.statements",
                "TRUNCATE ledger.statements",
                "DELETE FROM ledger.statement_ids",
                "ALTER TABLE ledger.statements DISABLE TRIGGER ALL",
            ] {
                let error = client.batch_execute(refused).await.unwrap_err();
                assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {refused}");
            }
        }
        app.get_statements(&[("statementId", &id(1))]).await.expect(200);
    }

    async fn even_the_owner_is_stopped_by_the_ledger_itself(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let owner = app.db.superuser().await;
        for refused in [
            "UPDATE ledger.statements SET payload = '{}'",
            "DELETE FROM ledger.statements",
            "SET session_replication_role = replica; DELETE FROM ledger.statements",
            "TRUNCATE ledger.statements",
        ] {
            let error = owner.batch_execute(refused).await.expect_err(refused);
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
        }
    }

    async fn no_table_of_the_ledger_shows_anything_without_a_tenant_or_another_tenants(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let client = app.db.service().await;
        let tables = client
            .query("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                    WHERE n.nspname = 'ledger' AND c.relkind IN ('r', 'p') AND NOT c.relispartition", &[])
            .await
            .unwrap();
        assert!(tables.len() >= 9, "the ledger's tables were not found");
        for row in tables {
            let table: String = row.get(0);
            // What no tenant has, such as the rules for everybody, is nobody's secret.
            let count = format!("SELECT count(tenant_id) FROM ledger.{table}");
            for (setting, expected_none) in [
                ("SET ROLE progress_service; RESET app.tenant_id", true),
                ("SET ROLE progress_service; SET app.tenant_id = '00000000-0000-4000-8000-0000000000ff'", true),
                (TENANT, false),
            ] {
                client.batch_execute(setting).await.unwrap();
                let seen: i64 = match client.query_one(&count, &[]).await {
                    Ok(row) => row.get(0),
                    // What the request path has no business with.
                    Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => 0,
                    Err(error) => panic!("{table}: {error}"),
                };
                assert!(!expected_none || seen == 0, "{table} shows {seen} rows after {setting}");
            }
        }
        client.batch_execute(TENANT).await.unwrap();
        let months = client.query("SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' AND relname \
            LIKE 'statements_%'", &[]).await.unwrap();
        assert!(!months.is_empty());
        for month in months {
            let direct = format!("SELECT 1 FROM ledger.{}", month.get::<_, String>(0));
            let error = client.query(&direct, &[]).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "a month read directly passes by the policy");
        }
    }

    async fn a_missing_month_is_made_when_a_statement_needs_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // The first turn of the service's own loop might make again what is dropped here.
        app.stop_loops().await;
        let owner = app.db.superuser().await;
        owner.batch_execute("DO $$ DECLARE child regclass; BEGIN
            FOR child IN SELECT inhrelid::regclass FROM pg_inherits
                WHERE inhparent IN ('ledger.statements'::regclass, 'ledger.relations'::regclass)
            LOOP EXECUTE format('DROP TABLE %s', child); END LOOP; END $$; DELETE FROM ledger.partitions").await.unwrap();
        let metrics = &app.service().rooms.edge.metrics;
        assert!(months_of(&app).await.starts_with("the current month is missing"));
        assert_eq!(metrics.ledger.ends_at.get(), 0.0);
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        app.get_statements(&[("statementId", &id(1))]).await.expect(200);
        assert_eq!(metrics.ledger.months_on_demand.get(), 1);
        assert!(months_of(&app).await.starts_with("0 months ahead"));
        let alone = metrics.ledger.ends_at.get();
        assert!(alone > app.clock.now().timestamp() as f64);

        let store = &app.service().rooms.store;
        partitions::run::make_ahead(store, app.clock.now(), Scheme::Monthly, metrics).await.unwrap();
        app.post_statements(&identified(&id(2), "ann", "a")).await.expect(200);
        assert!(months_of(&app).await.starts_with("3 months ahead"));
        assert!(metrics.ledger.ends_at.get() >= alone + 89.0 * 86_400.0);
        assert_eq!(metrics.ledger.months_on_demand.get(), 1, "months made ahead are no alarm");
    }
}

/// What `/readyz` says of the months.
async fn months_of(app: &TestApp) -> String {
    let readiness = ready(&app.url).await;
    let check =
        readiness["checks"].as_array().unwrap().iter().find(|check| check["name"] == "months").cloned().unwrap();
    check["detail"].as_str().unwrap().to_owned()
}
