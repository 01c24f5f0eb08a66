//! The shares of the tenants: every tenant is in one of them, and one share sends nothing of another's.

use std::collections::BTreeMap;

use progress_service::relay::{SHARES, STATEMENT_STORED, Share};

use super::by_hand;
use crate::support::{
    app::TestApp,
    kafka::{Topic, brokers, unique},
};

/// A statement in the ledger of a tenant whose id ends like this.
const TENANT: &str = "
    WITH t AS (INSERT INTO platform.tenants (tenant_id, name)
               VALUES (('00000000-0000-4000-8000-0000000001' || lpad(to_hex($1::int), 2, '0'))::uuid,
                   'tenant ' || $1) RETURNING tenant_id)
    INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, voiding, converts, payload)
    SELECT tenant_id, gen_random_uuid(), ledger.moment(ledger.reserve(1)), gen_random_uuid(), false, false, '{}' FROM t";

on_each_server! {
    async fn every_tenant_is_in_one_share(db: TestDatabase) {
        let prefix = unique("relay");
        let topic = Topic::named(format!("{prefix}{STATEMENT_STORED}"), 1).await;
        let app = TestApp::start(db).await;
        for n in 0..12_i32 {
            app.db.superuser().await.execute(TENANT, &[&n]).await.unwrap();
        }
        let relay = by_hand(&app, &prefix, &brokers());
        let mut sent: BTreeMap<String, i32> = BTreeMap::new();
        for index in 0..SHARES {
            relay.step_of(Share { index, of: SHARES }).await.unwrap();
            let all = topic.read_all().await;
            assert_eq!(all.len(), 3 * (usize::try_from(index).unwrap() + 1), "share {index}");
            for message in all {
                sent.entry(message.json()["tenantid"].as_str().unwrap().to_owned()).or_insert(index);
            }
        }
        assert_eq!(sent.len(), 12);
        for (tenant, index) in sent {
            assert_eq!(i32::from_str_radix(&tenant[34..], 16).unwrap() % SHARES, index, "{tenant}");
        }
        relay.drain().await;
        assert_eq!(topic.count().await, 12, "each once");
    }
}
