//! The database keeps tenants apart by itself: asked with the service's own login, without our code's help.

use progress_service::{identity::IdentityError, model::TenantId};
use tokio_postgres::error::SqlState;

use super::setup::{clock, credential, node};

/// What the service's login sees of a table as the data plane, with the tenant set to `tenant`.
async fn seen(client: &tokio_postgres::Client, tenant: Option<TenantId>, table: &str) -> Vec<String> {
    client.batch_execute("BEGIN; SET LOCAL ROLE progress_service").await.unwrap();
    if let Some(tenant) = tenant {
        client.batch_execute(&format!("SET LOCAL app.tenant_id = '{tenant}'")).await.unwrap();
    }
    let rows = client.query(&format!("SELECT DISTINCT tenant_id::text FROM {table}"), &[]).await.unwrap();
    client.batch_execute("ROLLBACK").await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

on_each_server! {
    async fn without_a_tenant_nothing_is_seen_and_with_one_only_its_own(db: TestDatabase) {
        let identity = node(&db, &clock());
        let tenant = identity.create_tenant("test", "acme").await.unwrap();
        credential(&identity, TenantId::DEFAULT, "all").await;
        credential(&identity, tenant.id, "all").await;
        let client = db.service().await;
        for table in ["platform.tenants", "platform.credentials", "platform.audit"] {
            assert!(seen(&client, None, table).await.is_empty(), "{table} is open without a tenant");
            for owner in [tenant.id, TenantId::DEFAULT] {
                assert_eq!(seen(&client, Some(owner), table).await, [owner.to_string()], "{table}");
            }
        }
    }

    async fn one_tenant_cannot_touch_the_credentials_of_another(db: TestDatabase) {
        let identity = node(&db, &clock());
        let tenant = identity.create_tenant("test", "acme").await.unwrap();
        let issued = credential(&identity, TenantId::DEFAULT, "all").await;
        let revoked = identity.revoke_credential("test", tenant.id, issued.credential.id).await;
        assert!(matches!(revoked, Err(IdentityError::NotFound("credential"))));

        let client = db.service().await;
        let set = format!("SET LOCAL ROLE progress_service; SET LOCAL app.tenant_id = '{}'", tenant.id);
        client.batch_execute(&format!("BEGIN; {set}")).await.unwrap();
        let update = client.execute("UPDATE platform.credentials SET scopes = '{admin:*}'", &[]).await.unwrap();
        assert_eq!(update, 0, "another tenant's row must not exist here");
        let moved = "INSERT INTO platform.credentials (credential_id, tenant_id, api_key, secret_hash, scopes)
                     VALUES (gen_random_uuid(), $1, 'k', 'h', '{all}')";
        let error = client.execute(moved, &[&TenantId::DEFAULT.0]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
        client.batch_execute("ROLLBACK").await.unwrap();
    }

    async fn the_login_itself_sees_nothing_before_it_takes_a_role_with_a_tenant(db: TestDatabase) {
        let identity = node(&db, &clock());
        credential(&identity, TenantId::DEFAULT, "all").await;
        let client = db.service().await;
        client.batch_execute("SET ROLE progress_service").await.unwrap();
        let forged = "SELECT count(*) FROM platform.credentials";
        assert_eq!(client.query_one(forged, &[]).await.unwrap().get::<_, i64>(0), 0);
        for statement in [
            "ALTER TABLE platform.credentials DISABLE ROW LEVEL SECURITY",
            "DROP POLICY own_tenant ON platform.credentials",
            "INSERT INTO platform.tenants (tenant_id, name) VALUES (gen_random_uuid(), 'mine')",
            "UPDATE platform.tenants SET status = 'active'",
        ] {
            let error = client.batch_execute(statement).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
        }
    }

    async fn a_lasting_credential_cannot_be_deleted_and_the_trail_not_rewritten(db: TestDatabase) {
        let identity = node(&db, &clock());
        credential(&identity, TenantId::DEFAULT, "all").await;
        let client = db.service().await;
        for role in ["progress_service", "progress_worker"] {
            client.batch_execute(&format!("SET ROLE {role}; SET app.tenant_id = '{}'", TenantId::DEFAULT)).await.unwrap();
            assert_eq!(client.execute("DELETE FROM platform.credentials", &[]).await.unwrap(), 0, "{role}");
            for statement in ["UPDATE platform.audit SET actor = 'x'", "DELETE FROM platform.audit"] {
                let error = client.batch_execute(statement).await.unwrap_err();
                assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}: {statement}");
            }
        }
    }
}
