//! A pooler between service and database: in session mode it is fine, in transaction mode it is refused with the reason,
//! and even then no transaction has another one's role.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use progress_service::{
    model::TenantId,
    store::{As, Store, StoreError},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    support::{
        app::{KEY, SECRET, ready, send},
        http,
        pg::TestDatabase,
        pgbouncer::PgBouncer,
        process::{Process, Service, command},
    },
    xapi::{id, identified},
};

const REASON: &str = "pool_mode = transaction";
const COMMANDS: [&[&str]; 6] = [
    &["serve"],
    &["tenants", "list"],
    &["migrations", "status"],
    &["projections", "status"],
    &["db", "check"],
    &["config", "validate", "--connect"],
];

fn variables(db: &TestDatabase, bouncer: &PgBouncer) -> BTreeMap<String, String> {
    let variables = [
        ("PROGRESS_LISTEN", "127.0.0.1:0".to_owned()),
        ("PROGRESS_DATABASE_URL", bouncer.before(&db.service_url())),
        ("PROGRESS_DATABASE_MIGRATION_URL", bouncer.before(&db.owner_url())),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", format!("{KEY}:{SECRET}")),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn own_sessions(db: &TestDatabase, bouncer: &PgBouncer) -> Result<(), StoreError> {
    let store = Store::open(&bouncer.store_settings(db)).unwrap();
    let found = store.own_sessions().await;
    store.close();
    found
}

/// Who a transaction is, and whose rows it sees.
async fn who(store: &Store, whom: As) -> Result<(String, String), StoreError> {
    let sql = "SELECT current_user::text, coalesce(current_setting('app.tenant_id', true), '')";
    store
        .run_tx("who", whom, |tx| {
            Box::pin(async move {
                let row = tx.query_one(sql, &[]).await?;
                Ok((row.get(0), row.get(1)))
            })
        })
        .await
}

on_each_server! {
    async fn sessions_that_change_with_each_transaction_are_refused_with_the_reason(db: TestDatabase) {
        let bouncer = PgBouncer::start(&db, "transaction", "").await;
        for arguments in COMMANDS {
            let mut process = Process::start(command(arguments, &variables(&db, &bouncer)));
            process.says(REASON).await;
            assert!(!process.ended().await.success(), "{arguments:?}");
        }
    }

    async fn they_are_found_out_however_the_pooler_is_set(db: TestDatabase) {
        for more in ["default_pool_size = 1", "server_round_robin = 1", "server_reset_query_always = 1"] {
            let bouncer = PgBouncer::start(&db, "transaction", more).await;
            assert!(matches!(own_sessions(&db, &bouncer).await, Err(StoreError::MixedSessions)), "{more}");
        }
    }

    async fn a_pooler_in_session_mode_is_as_good_as_none(db: TestDatabase) {
        db.store().own_sessions().await.unwrap();
        let bouncer = PgBouncer::start(&db, "session", "default_pool_size = 50").await;
        for more in ["default_pool_size = 1", "server_reset_query_always = 1"] {
            own_sessions(&db, &PgBouncer::start(&db, "session", more).await).await.unwrap();
        }
        let all = variables(&db, &bouncer);
        let service = Service::start(&all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>()).await;
        ready(&service.url).await;
        let request = |method| {
            let request = http::client().request(method, format!("{}/xapi/statements", service.url));
            request.basic_auth(KEY, Some(SECRET)).header("X-Experience-API-Version", "1.0.3")
        };
        send(request(Method::POST).json(&json!([identified(&id(1), "ann", "a")]))).await.expect(200);
        let page = send(request(Method::GET)).await.expect(200).json();
        assert_eq!(page["statements"][0]["id"], id(1));
    }

    async fn no_transaction_has_the_role_or_the_tenant_of_another(db: TestDatabase) {
        let bouncer = PgBouncer::start(&db, "transaction", "default_pool_size = 3").await;
        let store = Store::open(&bouncer.store_settings(&db)).unwrap();
        let other = TenantId(uuid::Uuid::from_u128(7));
        let whoms = [As::Worker, As::Tenant(TenantId::DEFAULT), As::Nobody, As::Group, As::Tenant(other), As::Eraser(other),
            As::Retention(TenantId::DEFAULT)];
        let clients = whoms.iter().cycle().take(14).map(async |whom| {
            let mut seen = Vec::new();
            for _ in 0..40 {
                // A prepared statement may be gone: that is why such poolers are refused.
                seen.extend(who(&store, *whom).await.ok());
            }
            (*whom, seen)
        });
        for (whom, seen) in join_all(clients).await {
            assert!(!seen.is_empty(), "{whom:?} was never answered");
            let wanted = match whom {
                As::Worker => ("progress_worker".to_owned(), String::new()),
                As::Nobody => ("progress_service".to_owned(), String::new()),
                As::Eraser(tenant) => ("progress_eraser".to_owned(), tenant.to_string()),
                As::Retention(tenant) => ("progress_retention".to_owned(), tenant.to_string()),
                As::Group => ("progress_ingest".to_owned(), String::new()),
                As::Tenant(tenant) => ("progress_service".to_owned(), tenant.to_string()),
            };
            let wrong: Vec<_> = seen.iter().filter(|seen| **seen != wanted).collect();
            assert!(wrong.is_empty(), "{whom:?} was {} times somebody else: {:?}", wrong.len(), wrong.first());
        }
        store.close();
    }
}
