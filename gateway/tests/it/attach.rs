//! `archive attach` and `archive detach`: a dropped month behind a foreign table of the ledger, and back.

use progress_service::{
    archive::{
        Archive,
        foreign::{self, ForeignError},
    },
    model::{Clock, Ids, Secret, partition::State},
    objects::segment::Manifest,
    store::ledger::foreign::Remote,
    telemetry::Metrics,
};
use tokio_postgres::Client;

use crate::support::{
    Gateway, ONE, OTHER, OWNER, PASSWORD, SMALL, archive, ask, month, pg::TestDatabase, refusal, rows,
};

/// The month as it is once it was archived and dropped.
async fn dropped(db: &TestDatabase, manifests: &[Manifest]) -> Client {
    let client = db.superuser().await;
    client
        .batch_execute(
            "INSERT INTO ledger.partitions (month, lower_bound, upper_bound, state)
                        VALUES ('2026-03-01', '2026-03-01 00:00:00+00', '2026-04-01 00:00:00+00', 'dropped')",
        )
        .await
        .unwrap();
    for manifest in manifests {
        let summary = &manifest.summary;
        let row = "INSERT INTO ledger.segments (tenant_id, month, revision, state, installation_id, epoch, retention_class, rows, bytes,
                       first_stored, last_stored, digest, verbs)
                   VALUES ($1, '2026-03-01', 0, 'published', $2, 1, 'standard', $3, 1, $4, $5, $6, '{}')";
        let (tenant, rows) = (manifest.place.tenant.0, i64::try_from(summary.rows).unwrap());
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&tenant, &OWNER.installation, &rows, &summary.first_stored, &summary.last_stored, &summary.digest];
        client.execute(row, &values).await.unwrap();
    }
    client
}

async fn month_of_two(gateway: &Gateway) -> [Manifest; 2] {
    let one = archive(&gateway.objects, &rows(ONE, month(), 900), 0, SMALL).await;
    let other = archive(&gateway.objects, &rows(OTHER, month(), 300), 0, SMALL).await;
    [one, other]
}

fn archive_of(db: &TestDatabase, gateway: &Gateway) -> Archive {
    let metrics = Metrics::new().unwrap();
    Archive::new(&db.store(), &gateway.objects, &Clock::system(), &Ids::random(), &metrics)
}

fn remote(gateway: &Gateway) -> Remote {
    Remote {
        host: "127.0.0.1".to_owned(),
        port: gateway.address.port(),
        user: "archive".to_owned(),
        password: Secret::new(PASSWORD),
        sslmode: "disable".to_owned(),
    }
}

async fn ready(client: &Client) {
    let owner = ask(client, "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'ledger'").await.unwrap();
    let owner = owner[0][0].trim_start_matches('=').to_owned();
    client
        .batch_execute(&format!(
            "CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {owner}"
        ))
        .await
        .unwrap();
}

/// As the service asks, for one tenant.
async fn of_tenant(db: &TestDatabase, tenant: impl std::fmt::Display, query: &str) -> Vec<Vec<String>> {
    let client = db.service().await;
    client.batch_execute(&format!("SET ROLE progress_service; SET app.tenant_id = '{tenant}'")).await.unwrap();
    ask(&client, query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"))
}

on_each_server! {
    async fn a_month_is_attached_read_and_detached(db: TestDatabase) {
        let gateway = Gateway::start().await;
        let manifests = month_of_two(&gateway).await;
        let client = dropped(&db, &manifests).await;
        let (desk, remote) = (archive_of(&db, &gateway), remote(&gateway));

        let lacks = foreign::look(&desk, month()).await.unwrap_err().to_string();
        assert!(lacks.contains("CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER"), "{lacks}");
        client.batch_execute("CREATE EXTENSION postgres_fdw").await.unwrap();
        let lacks = foreign::look(&desk, month()).await.unwrap_err().to_string();
        assert!(lacks.contains("once: GRANT USAGE"), "{lacks}");
        client.batch_execute("DROP EXTENSION postgres_fdw").await.unwrap();
        ready(&client).await;

        let (state, segments) = foreign::look(&desk, month()).await.unwrap();
        assert_eq!((state, segments.len()), (State::Dropped, 2));
        assert!(foreign::attach(&desk, month(), &remote, "test").await.unwrap());
        assert!(!foreign::attach(&desk, month(), &remote, "test").await.unwrap(), "done already");
        assert_eq!(foreign::look(&desk, month()).await.unwrap().0, State::Attached);

        let everything = "SELECT id, stored, payload FROM ledger.all_statements ORDER BY stored";
        let wanted: Vec<Vec<String>> = rows(ONE, month(), 900)
            .iter()
            .map(|row| vec![format!("={}", row.id), format!("={}", row.payload)])
            .collect();
        let seen = of_tenant(&db, ONE, everything).await;
        assert_eq!(seen.into_iter().map(|row| vec![row[0].clone(), row[2].clone()]).collect::<Vec<_>>(), wanted);
        assert_eq!(of_tenant(&db, OTHER, "SELECT count(*) FROM ledger.archived_statements").await, [["=300"]]);
        let plan = of_tenant(&db, ONE, "EXPLAIN (VERBOSE) SELECT id FROM ledger.archived_statements").await.concat().join("\n");
        assert!(plan.contains("tenant_id = $1::uuid"), "only this tenant's rows cross the wire: {plan}");
        let hidden = db.service().await;
        assert_eq!(refusal(ask(&hidden, "SELECT count(*) FROM ledger.archived_statements_2026_03").await).0, "42501");
        let seen = ask(&hidden, "SELECT umoptions FROM pg_user_mappings WHERE srvname = 'progress_archive'").await.unwrap();
        assert_eq!(seen, [["NULL"]], "nobody but the owner sees the password");

        assert!(foreign::detach(&desk, month(), "test").await.unwrap());
        assert!(!foreign::detach(&desk, month(), "test").await.unwrap());
        assert_eq!(foreign::look_attached(&desk, month()).await.unwrap(), State::Dropped);
        let left = "SELECT (SELECT count(*) FROM pg_foreign_server), (SELECT count(*) FROM pg_foreign_table)";
        assert_eq!(ask(&client, left).await.unwrap(), [["=0", "=0"]]);
        let trail = "SELECT action FROM platform.audit WHERE subject = '2026-03' ORDER BY action";
        assert_eq!(ask(&client, trail).await.unwrap(), [["=archive.attach"], ["=archive.detach"]]);
    }

    async fn nothing_is_attached_that_is_not_what_was_archived(db: TestDatabase) {
        let gateway = Gateway::start().await;
        let manifests = month_of_two(&gateway).await;
        let client = dropped(&db, &manifests).await;
        ready(&client).await;
        let (desk, there) = (archive_of(&db, &gateway), remote(&gateway));

        client.batch_execute("UPDATE ledger.segments SET digest = 'another' WHERE rows = 300").await.unwrap();
        let other = foreign::look(&desk, month()).await.unwrap_err().to_string();
        assert!(other.contains("is not the one that was published"), "{other}");
        client.batch_execute("UPDATE ledger.segments SET rows = 301 WHERE rows = 300").await.unwrap();
        let fewer = foreign::attach(&desk, month(), &there, "test").await.unwrap_err().to_string();
        assert!(fewer.contains("the gateway gives 1200 statements") && fewer.contains("1201"), "{fewer}");

        let wrong = Remote { password: Secret::new("guess"), ..there.clone() };
        let refused = foreign::attach(&desk, month(), &wrong, "test").await.unwrap_err();
        assert!(matches!(&refused, ForeignError::Unreachable { address, .. } if address.ends_with(&there.port.to_string())), "{refused}");
        assert!(!refused.to_string().contains("guess"));
        let nobody = Remote { port: 1, ..there.clone() };
        assert!(matches!(foreign::attach(&desk, month(), &nobody, "test").await, Err(ForeignError::Unreachable { .. })));
        let left = "SELECT (SELECT count(*) FROM pg_foreign_server), (SELECT count(*) FROM pg_foreign_table), (SELECT state FROM ledger.partitions WHERE month = '2026-03-01')";
        assert_eq!(ask(&client, left).await.unwrap(), [["=0", "=0", "=dropped"]]);

        for (state, said) in [("sealed", "is sealed"), ("archived", "is archived")] {
            client.batch_execute(&format!("UPDATE ledger.partitions SET state = '{state}' WHERE month = '2026-03-01'")).await.unwrap();
            let refused = foreign::attach(&desk, month(), &there, "test").await.unwrap_err().to_string();
            assert!(refused.contains(said) && refused.contains("nothing but segments"), "{refused}");
            assert!(foreign::detach(&desk, month(), "test").await.is_err());
        }
        let unknown = foreign::look(&desk, "2020-01".parse().unwrap()).await.unwrap_err().to_string();
        assert!(unknown.contains("there is no partition 2020-01"), "{unknown}");
    }

    async fn with_the_gateway_away_the_ledger_goes_on(db: TestDatabase) {
        let gateway = Gateway::start().await;
        let manifests = month_of_two(&gateway).await;
        let client = dropped(&db, &manifests).await;
        ready(&client).await;
        assert!(foreign::attach(&archive_of(&db, &gateway), month(), &remote(&gateway), "test").await.unwrap());
        let desk = archive_of(&db, &gateway);
        drop(gateway);

        let tenant = "00000000-0000-0000-0000-0000000000a1";
        client.batch_execute("SELECT ledger.ensure_month('2026-06-15 00:00:00+00')").await.unwrap();
        client
            .batch_execute(&format!(
                "INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, voiding, converts, payload)
                 VALUES ('{tenant}', gen_random_uuid(), '2026-06-15 00:00:00+00', gen_random_uuid(), false, false, '{{}}')"
            ))
            .await
            .unwrap();
        assert_eq!(of_tenant(&db, tenant, "SELECT count(*) FROM ledger.statements").await, [["=1"]], "no bound, and no gateway");
        assert_eq!(of_tenant(&db, tenant, "SELECT count(*) FROM ledger.detached_statements").await, [["=0"]]);
        let bounded = "SELECT count(*) FROM ledger.all_statements WHERE stored >= '2026-06-01 00:00:00+00'";
        assert_eq!(of_tenant(&db, tenant, bounded).await, [["=1"]]);
        let (code, _) = refusal(ask(&client, "SELECT count(*) FROM ledger.all_statements").await);
        assert_eq!(code, "08001");
        assert!(foreign::detach(&desk, month(), "test").await.unwrap(), "a month is detached without it");
        assert_eq!(ask(&client, "SELECT count(*) FROM ledger.all_statements").await.unwrap(), [["=1"]]);
    }
}
