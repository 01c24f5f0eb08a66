//! Who may remove: two roles, one tenant at a time, and nobody else by whatever SQL.

use serde_json::json;
use tokio_postgres::error::SqlState;

use super::TENANT;
use crate::{
    support::{app::TestApp, past},
    xapi::{id, identified},
};

on_each_server! {
    async fn the_services_own_roles_can_neither_remove_nor_end_a_hold(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let client = app.db.service().await;
        for role in ["progress_service", "progress_worker"] {
            client.batch_execute(&format!("SET ROLE {role}; SET app.tenant_id = '{TENANT}'")).await.unwrap();
            for refused in [
                "DELETE FROM ledger.statements",
                "DELETE FROM ledger.detached_statements",
                "DELETE FROM ledger.relations",
                "DELETE FROM ledger.refs",
                "DELETE FROM ledger.attachments",
                "UPDATE ledger.statement_ids SET erased = true",
                "INSERT INTO ledger.holds (tenant_id, hold_id, scope, keys, marks, reason, law, placed_by)
                     VALUES ('00000000-0000-4000-8000-000000000001', gen_random_uuid(), 'tenant', '{}', '{}', 'r', 'l', 'b')",
                "UPDATE ledger.holds SET released_at = now(), released_by = 'x', release_reason = 'x'",
                "DELETE FROM ledger.holds",
                "SELECT ledger.own_holds('00000000-0000-4000-8000-000000000001')",
                "SELECT ledger.hold_marks('{}')",
            ] {
                let error = client.batch_execute(refused).await.expect_err(refused);
                assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {refused}: {error:?}");
            }
        }
        app.get_statements(&[("statementId", &id(1))]).await.expect(200);
    }

    async fn who_removes_sees_one_tenant_and_rewrites_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "b")])).await.expect(200);
        let now = progress_service::model::Clock::system().now();
        past::double(&app.db, progress_service::model::partition::Month::of(now)).await;
        let count = async || -> i64 {
            app.db.superuser().await.query_one("SELECT count(*) FROM ledger.statements", &[]).await.unwrap().get(0)
        };
        let before = count().await;
        let client = app.db.service().await;
        for role in ["progress_eraser", "progress_retention"] {
            client.batch_execute(&format!("SET ROLE {role}; RESET app.tenant_id")).await.unwrap();
            assert_eq!(client.execute("DELETE FROM ledger.statements", &[]).await.unwrap(), 0, "{role}: no tenant, no row");
            client.batch_execute(&format!("SET app.tenant_id = '{TENANT}'")).await.unwrap();
            for refused in [
                "UPDATE ledger.statements SET payload = '{}'",
                "TRUNCATE ledger.statements",
                "DELETE FROM ledger.statement_ids",
                "UPDATE platform.audit SET actor = 'x'",
                "DELETE FROM platform.audit",
                "DELETE FROM platform.tenants",
                "DELETE FROM ledger.partitions",
                "DELETE FROM ledger.segments",
                "UPDATE platform.credentials SET scopes = '{all}'",
            ] {
                let error = client.batch_execute(refused).await.expect_err(refused);
                assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {refused}: {error:?}");
            }
        }
        assert_eq!(count().await, before);
        let gone = client.execute("DELETE FROM ledger.statements", &[]).await.unwrap();
        assert_eq!((gone, count().await), (2, before - 2), "the other tenant's are where they were");
    }
}
