//! Segments that are damaged, gone, replaced or of a later release.

use progress_service::objects::segment::Place;

use crate::support::{Gateway, ONE, SMALL, archive, ask, both_sides, month, refusal, rows};

fn place(revision: u32) -> Place {
    Place { tenant: ONE, month: month(), revision }
}

#[tokio::test]
async fn a_flipped_bit_is_found_and_named() {
    let (gateway, _) = Gateway::filled().await;
    let client = gateway.login("one").await.unwrap();
    let key = place(0).part(0);
    let mut bytes = gateway.objects.get(&key).await.unwrap().to_vec();
    bytes[2_000] ^= 1;
    gateway.objects.put(&key, bytes.into()).await.unwrap();
    let (code, said) = refusal(ask(&client, "SELECT payload FROM archive.statements").await);
    assert!(code == "XX001" && said.contains(&key) && said.contains("block 0"), "{code} {said}");
    assert_eq!(ask(&client, "SELECT 1").await.unwrap(), [["=1"]], "the connection goes on");
}

#[tokio::test]
async fn a_missing_part_and_a_broken_manifest_are_named() {
    let (gateway, _) = Gateway::filled().await;
    let key = place(0).part(1);
    gateway.objects.delete(&key).await.unwrap();
    let client = gateway.login("one").await.unwrap();
    let (code, said) = refusal(ask(&client, "SELECT payload FROM archive.statements").await);
    assert!(code == "58P01" && said.contains(&key), "{code} {said}");

    let (gateway, _) = Gateway::filled().await;
    let key = place(0).manifest();
    gateway.objects.put(&key, bytes::Bytes::from_static(b"{}")).await.unwrap();
    let client = gateway.login("one").await.unwrap();
    let (code, said) = refusal(ask(&client, "SELECT count(*) FROM archive.statements").await);
    assert!(code == "XX001" && said.contains(&key), "{code} {said}");
    let other = gateway.login("other").await.unwrap();
    assert_eq!(
        ask(&other, "SELECT count(*) FROM archive.statements").await.unwrap(),
        [["=500"]],
        "another tenant's is sound"
    );
}

#[tokio::test]
async fn the_last_revision_is_the_one_that_counts() {
    let gateway = Gateway::start().await;
    let all = rows(ONE, month(), 400);
    archive(&gateway.objects, &all, 0, SMALL).await;
    archive(&gateway.objects, &all[..399], 1, SMALL).await;
    let client = gateway.login("one").await.unwrap();
    assert_eq!(ask(&client, "SELECT count(*) FROM archive.statements_2026_03").await.unwrap(), [["=399"]]);
}

on_each_server! {
    async fn errors_arrive_in_postgres_and_the_next_query_goes(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows).await;
        client.batch_execute("BEGIN; SAVEPOINT before").await.unwrap();
        let (code, said) = refusal(ask(&client, "SELECT array_agg(id) FROM far.month").await);
        assert!(code == "0A000" && said.contains("array_agg"), "{code} {said}");
        client.batch_execute("ROLLBACK TO before").await.unwrap();
        assert_eq!(ask(&client, "SELECT count(*) FROM far.month").await.unwrap(), [["=2000"]]);
        client.batch_execute("COMMIT").await.unwrap();
        for (statement, code) in [
            ("DELETE FROM far.month", "55000"),
            ("UPDATE far.month SET voiding = false", "55000"),
            ("INSERT INTO far.month SELECT * FROM local.statements LIMIT 1", "55000"),
            ("TRUNCATE far.statements", "55000"),
            ("SELECT id FROM far.month FOR UPDATE", "25006"),
        ] {
            assert_eq!(refusal(ask(&client, statement).await).0, code, "{statement}");
        }
        client.batch_execute("ALTER TABLE far.statements ADD COLUMN extra text").await.unwrap();
        let (code, said) = refusal(ask(&client, "SELECT extra FROM far.statements").await);
        assert!(code == "42703" && said.contains("older than the service"), "{code} {said}");
        assert_eq!(ask(&client, "SELECT count(*) FROM far.statements").await.unwrap(), [["=2000"]]);
    }

    async fn with_the_gateway_away_only_its_own_months_are(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows[..100]).await;
        client
            .batch_execute("CREATE TABLE far.hot PARTITION OF far.statements FOR VALUES FROM ('2026-04-01 00:00:00+00') TO ('2026-05-01 00:00:00+00')")
            .await
            .unwrap();
        drop(gateway);
        let (code, _) = refusal(ask(&client, "SELECT count(*) FROM far.statements").await);
        assert_eq!(code, "08001");
        for within in [
            "SELECT count(*) FROM far.statements WHERE stored >= '2026-04-01 00:00:00+00'",
            "INSERT INTO far.statements SELECT tenant_id, id, stored + interval '1 month', occurred, verb_key, agent_key, activity_key, registration_key, refers_to, voiding, converts, payload FROM local.statements LIMIT 1",
        ] {
            ask(&client, within).await.unwrap_or_else(|error| panic!("{within}: {error:?}"));
        }
    }
}
