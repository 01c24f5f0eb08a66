//! Statements of several tenants in one transaction: kept apart by the database, and no tenant in another's trouble.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta};
use futures_util::future::{join, join_all};
use progress_service::{
    cold::Cold,
    ingest::{Ingest, IngestError, IngestSettings, Submission},
    migrate::{Runner, Settings, modules, silent},
    model::{Clock, Secret, TenantId},
    objects::{
        Objects,
        shelf::{Shelf, ShelfSettings},
    },
    store::{
        As, Endpoint, PoolSettings, Store, StoreError, StoreSettings,
        ledger::statements::{self, NewStatement},
    },
    telemetry::{Metrics, Span},
    xapi::{Author, Limits, Prepared, Version, prepare, read},
};
use serde_json::{Value, json};
use tokio_postgres::{Client, error::SqlState};
use uuid::Uuid;

use crate::{
    support::{patience, pgproc::PgServer},
    xapi::{id, identified},
};

const WAIT: Duration = Duration::from_millis(500);

fn tenant(n: u128) -> TenantId {
    TenantId(Uuid::from_u128(0x5555_0000_0000_4000_8000_0000_0000_0000 | n))
}

fn prepared(tenant: TenantId, statement: &Value) -> Prepared {
    let authority = json!({"mbox": "mailto:lrs@example.com"});
    let author = Author::new(tenant.0, authority.as_object().unwrap(), Version::V1_0_3);
    let mut batch = read::statements(statement.to_string().as_bytes(), Version::V1_0_3, &Limits::default()).unwrap();
    prepare(batch.statements.remove(0), &author, Uuid::nil, DateTime::UNIX_EPOCH)
}

fn timed(id: &str, activity: &str) -> Value {
    let mut statement = identified(id, "ann", activity);
    statement["timestamp"] = json!("2026-01-02T03:04:05Z");
    statement
}

fn submission(tenant: TenantId, statements: &[Value]) -> Submission {
    let statements = statements.iter().map(|one| prepared(tenant, one)).collect();
    Submission { tenant, statements, said: Vec::new(), attachments: Vec::new(), span: Span::none() }
}

/// One writer, so that whatever comes while it writes goes together.
async fn ingest(store: &Store) -> Ingest {
    store.ensure_partition(Clock::system().now()).await.unwrap();
    let settings = ShelfSettings { cache: None, reads: 1, wait: Duration::ZERO, timeout: Duration::ZERO };
    let objects = Objects::over(Arc::new(object_store::memory::InMemory::new()));
    let cold = Cold::new(store.clone(), Shelf::over(objects, settings, Metrics::new().unwrap()));
    Ingest::start(cold, IngestSettings { writers: 1, ..IngestSettings::default() }, &Metrics::new().unwrap())
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {sql}"), &[]).await.unwrap().get(0)
}

/// A transaction of the role that writes for several tenants, for these.
async fn begin(client: &Client, tenants: &[TenantId]) {
    let names: Vec<String> = tenants.iter().map(TenantId::to_string).collect();
    let names = names.join(",");
    let begin = format!("BEGIN; SET LOCAL ROLE progress_ingest; SET LOCAL app.tenant_ids = '{{{names}}}'");
    client.batch_execute(&begin).await.unwrap();
}

/// How a statement of such a transaction ends, which is undone.
async fn tried(client: &Client, tenants: &[TenantId], sql: &str) -> Result<(), SqlState> {
    begin(client, tenants).await;
    let result = client.batch_execute(sql).await.map_err(|error| error.code().unwrap().clone());
    client.batch_execute("ROLLBACK").await.unwrap();
    result
}

/// An INSERT into each of the tables that a group adds to.
fn inserts(tenant: TenantId) -> [String; 7] {
    [
        format!(
            "INSERT INTO ledger.agents (tenant_id, key, ifi, names) VALUES ('{tenant}', gen_random_uuid(), '{{}}', '{{}}')"
        ),
        format!("INSERT INTO ledger.activities (tenant_id, key, iri) VALUES ('{tenant}', gen_random_uuid(), 'a:1')"),
        format!("INSERT INTO ledger.verbs_seen (tenant_id, key, iri) VALUES ('{tenant}', gen_random_uuid(), 'v:v')"),
        format!(
            "INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest) VALUES ('{tenant}', gen_random_uuid(), now(), '')"
        ),
        format!(
            "INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, voiding, converts, payload)
             VALUES ('{tenant}', gen_random_uuid(), now(), gen_random_uuid(), false, false, '{{}}')"
        ),
        format!("INSERT INTO ledger.relations (tenant_id, key, stored) VALUES ('{tenant}', gen_random_uuid(), now())"),
        format!(
            "INSERT INTO ledger.traces (tenant_id, statement_id, traceparent) VALUES ('{tenant}', gen_random_uuid(), 't')"
        ),
    ]
}

/// What the role may do with each table of ours, as PostgreSQL sees it.
const RIGHTS: &str = "
    SELECT format('%s.%s: %s', n.nspname, c.relname, string_agg(r.what, ' ' ORDER BY r.what))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS r (what)
    WHERE n.nspname IN ('platform', 'ledger', 'progress', 'progress_rebuild') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND CASE WHEN r.what IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege('progress_ingest', c.oid, r.what)
          ELSE has_table_privilege('progress_ingest', c.oid, r.what) END
    GROUP BY n.nspname, c.relname ORDER BY 1";

on_each_server! {
    async fn a_row_of_a_tenant_outside_of_the_group_is_refused_by_the_database(db: TestDatabase) {
        ingest(&db.store()).await;
        let client = db.service().await;
        let (one, two, other) = (tenant(1), tenant(2), tenant(3));
        for tenant in [one, two] {
            for insert in inserts(tenant) {
                assert_eq!(tried(&client, &[one, two], &insert).await, Ok(()), "{insert}");
            }
        }
        for (tenants, insert) in inserts(other).iter().flat_map(|insert| [(vec![one, two], insert), (vec![], insert)]) {
            assert_eq!(tried(&client, &tenants, insert).await, Err(SqlState::INSUFFICIENT_PRIVILEGE), "{insert}");
        }
        // The tenant of the data plane is not one of the group's.
        let alone = format!("SET LOCAL app.tenant_id = '{other}'; {}", inserts(other)[4]);
        assert_eq!(tried(&client, &[one], &alone).await, Err(SqlState::INSUFFICIENT_PRIVILEGE));
    }

    async fn who_writes_for_several_reads_no_statement_and_changes_none(db: TestDatabase) {
        let ingest = ingest(&db.store()).await;
        let (one, other) = (tenant(1), tenant(3));
        for tenant in [one, other] {
            ingest.submit(submission(tenant, &[identified(&id(1), "ann", "a")])).await.unwrap();
        }
        let rights: Vec<String> =
            db.superuser().await.query(RIGHTS, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(rights, [
            "ledger.activities: INSERT SELECT UPDATE",
            "ledger.agents: INSERT SELECT UPDATE",
            "ledger.erased_identifiers: SELECT",
            "ledger.refs: SELECT",
            "ledger.relations: INSERT",
            "ledger.statement_ids: INSERT SELECT",
            "ledger.statements: INSERT",
            "ledger.traces: INSERT",
            "ledger.verbs_seen: INSERT SELECT UPDATE",
            "platform.tenants: SELECT",
            "progress.cmi5_marks: INSERT SELECT",
        ]);
        let client = db.service().await;
        for refused in [
            "SELECT payload FROM ledger.statements", "SELECT count(*) FROM ledger.relations", "SELECT stored FROM ledger.refs",
            "DELETE FROM ledger.statement_ids", "UPDATE ledger.statement_ids SET erased = true",
            "UPDATE ledger.statements SET payload = ''", "UPDATE ledger.agents SET ifi = ''", "SELECT * FROM platform.tenants",
            "SELECT * FROM ledger.documents", "DELETE FROM progress.cmi5_marks", "INSERT INTO ledger.refs (tenant_id) VALUES (NULL)",
        ] {
            assert_eq!(tried(&client, &[one, other], refused).await, Err(SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
        }
        // What it may look up is that of its tenants.
        for table in ["statement_ids", "agents", "activities", "verbs_seen"] {
            for (tenants, seen) in [(vec![one], vec![one]), (vec![one, other], vec![one, other]), (vec![], vec![])] {
                begin(&client, &tenants).await;
                let sql = format!("SELECT DISTINCT tenant_id FROM ledger.{table} ORDER BY 1");
                let found: Vec<Uuid> = client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
                client.batch_execute("ROLLBACK").await.unwrap();
                assert_eq!(found, seen.iter().map(|tenant| tenant.0).collect::<Vec<_>>(), "{table}");
            }
        }
        begin(&client, &[one]).await;
        let changed = client.execute("UPDATE ledger.agents SET names = '{x}'", &[]).await.unwrap();
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(changed, 2, "the learner and the authority of one tenant");
    }

    async fn a_statement_takes_its_tenant_along(db: TestDatabase) {
        let store = db.store();
        ingest(&store).await;
        let write = async |tenants: &[TenantId], statements: &[Prepared]| {
            store.run_tx("mislabelled", As::Group, |tx| {
                Box::pin(async move {
                    tx.set_tenants(tenants, WAIT).await?;
                    let ids: Vec<statements::Id> = statements.iter().map(statements::id_of).collect();
                    let first = statements::moment(statements::beforehand(tx, &ids).await?.first_micros)?;
                    let entry = |(n, statement)| NewStatement { statement, stored: first + TimeDelta::microseconds(n) };
                    let entries: Vec<NewStatement<'_>> = (0..).zip(statements).map(entry).collect();
                    statements::append_last(tx, &entries).await
                })
            }).await
        };
        let both = [prepared(tenant(1), &identified(&id(1), "ann", "a")), prepared(tenant(2), &identified(&id(2), "bob", "b"))];
        let refused: Result<(), StoreError> = write(&[tenant(1)], &both).await;
        assert_eq!(refused.unwrap_err().code(), Some("42501"), "the second is of nobody who was named");
        let superuser = db.superuser().await;
        assert_eq!(count(&superuser, "ledger.statement_ids").await, 0, "and nothing of it stands");
        write(&[tenant(1), tenant(2)], &both).await.unwrap();
        let labelled = "ledger.statements s JOIN ledger.statement_ids i USING (tenant_id, id, stored)
                        JOIN ledger.relations r USING (tenant_id, stored)";
        for n in [1, 2] {
            assert_eq!(count(&superuser, &format!("{labelled} WHERE s.tenant_id = '{}'", tenant(n))).await, 1);
        }
    }

    async fn many_tenants_share_a_transaction_and_an_id_is_each_ones_own(db: TestDatabase) {
        let ingest = ingest(&db.store()).await;
        let all = (0..120).map(|n| {
            // The same id in every tenant, each time of another statement.
            let (tenant, number) = (tenant(n % 40), n / 40);
            ingest.submit(submission(tenant, &[identified(&id(number), &format!("learner{n}"), &format!("unit{n}"))]))
        });
        for stored in join_all(all).await {
            stored.unwrap();
        }
        let superuser = db.superuser().await;
        assert_eq!(count(&superuser, "ledger.statements").await, 120);
        let transactions = count(&superuser, "(SELECT DISTINCT xmin::text FROM ledger.statements) AS t").await;
        assert!(transactions < 40, "{transactions} transactions for 40 tenants");
        let (client, mine) = (db.service().await, tenant(7));
        client.batch_execute(&format!("BEGIN; SET LOCAL ROLE progress_service; SET LOCAL app.tenant_id = '{mine}'")).await.unwrap();
        assert_eq!(count(&client, "ledger.statements").await, 3, "a reader sees one tenant");
        let words = count(&client, "ledger.agents").await + count(&client, "ledger.activities").await + count(&client, "ledger.verbs_seen").await;
        assert_eq!(words, 4 + 3 + 1, "three learners and the authority, three activities, one verb");
    }

    async fn a_conflict_of_one_tenant_is_its_own(db: TestDatabase) {
        let ingest = ingest(&db.store()).await;
        for n in 0..10 {
            ingest.submit(submission(tenant(n), &[timed(&id(1), "a")])).await.unwrap();
        }
        // Half of them send the same again, half another statement under the id, everybody something new besides.
        let again = (0..10).map(|n| ingest.submit(submission(tenant(n), &[timed(&id(1), if n % 2 == 0 { "a" } else { "other" })])));
        let new = (0..30).map(|n| ingest.submit(submission(tenant(n), &[identified(&id(2), "bob", "b"), timed(&id(3), "c")])));
        let (again, new) = join(join_all(again), join_all(new)).await;
        for (n, answer) in again.into_iter().enumerate() {
            match answer {
                Ok(_) => assert_eq!(n % 2, 0, "{n}"),
                Err(IngestError::Conflict { pointer, .. }) => assert_eq!((n % 2, pointer), (1, "its content")),
                Err(other) => panic!("{n}: {other}"),
            }
        }
        new.into_iter().for_each(|answer| drop(answer.unwrap()));
        let later = |statement: &mut Value| statement["timestamp"] = json!("2026-01-02T03:04:06Z");
        let mut another = timed(&id(1), "a");
        later(&mut another);
        let refused = ingest.submit(submission(tenant(0), &[another, identified(&id(9), "bob", "b")])).await;
        assert!(matches!(refused, Err(IngestError::Conflict { pointer: "its timestamp", .. })), "{refused:?}");
        assert_eq!(count(&db.superuser().await, "ledger.statements").await, 10 + 60, "and nothing of what was refused");
    }

    async fn a_tenant_that_waits_for_a_lock_keeps_no_other_waiting(db: TestDatabase) {
        let ingest = ingest(&db.store()).await;
        let (held, free) = (tenant(1), tenant(2));
        let holder = db.superuser().await;
        let taken = format!(
            "BEGIN; INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest) VALUES ('{held}', '{}', now(), '')", id(1)
        );
        holder.batch_execute(&taken).await.unwrap();
        let waits = ingest.submit(submission(held, &[identified(&id(1), "ann", "a")]));
        let neighbours = async {
            for n in 0..20 {
                ingest.submit(submission(free, &[identified(&id(n), "bob", "b")])).await.unwrap();
            }
            // Only now does the other get its way.
            holder.batch_execute("ROLLBACK").await.unwrap();
        };
        let (waited, ()) = join(waits, neighbours).await;
        waited.unwrap();
        assert_eq!(count(&db.superuser().await, "ledger.statements").await, 21);
    }
}

#[tokio::test]
async fn an_upgraded_server_lets_whoever_serves_write_for_several() {
    let server = PgServer::start().await;
    let superuser = server.client().await;
    superuser
        .batch_execute(
            "CREATE ROLE progress_service; CREATE ROLE progress_worker;
         CREATE ROLE old_owner LOGIN CREATEROLE; CREATE ROLE old_login LOGIN IN ROLE progress_service, progress_worker;
         GRANT progress_service, progress_worker TO old_owner WITH ADMIN OPTION",
        )
        .await
        .unwrap();
    superuser.batch_execute("CREATE DATABASE upgraded OWNER old_owner").await.unwrap();
    let url = server.url();
    let as_login = |login: &str| {
        let mut url = url::Url::parse(&url).unwrap();
        url.set_username(login).unwrap();
        url.set_path("upgraded");
        Endpoint { url: Secret::new(url.to_string()), ca_file: None }
    };
    let runner = Runner::new(modules::internal().unwrap(), as_login("old_owner"), Settings::default());
    runner.startup("test", &silent).await.unwrap();
    let store = Store::open(&StoreSettings {
        service: as_login("old_login"),
        owner: as_login("old_owner"),
        pool: PoolSettings::default(),
        worker_connections: 2,
    })
    .unwrap();
    patience::until("the store", async || store.ping().await).await;
    let named = store.run_tx("named", As::Group, |tx| Box::pin(tx.set_tenants(&[TenantId::DEFAULT], WAIT))).await;
    named.unwrap();
    store.close();
}
