//! What a reader of a standby can still see keeps a rewrite waiting, as a reader of the server itself does.

use std::time::Duration;

use progress_service::{
    model::Secret,
    store::{Endpoint, door::ddl::Session},
};

use crate::support::{
    patience::{self, PATIENCE},
    pgproc::PgServer,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_can_still_see_is_waited_for_and_named() {
    let mut server = PgServer::start().await;
    let secret = "CREATE TABLE secrets AS SELECT 'ann@example.com' AS mail FROM generate_series(1, 10)";
    server.client().await.batch_execute(secret).await.unwrap();
    for (slot, named) in [(Some("beside"), "the replication slot beside"), (None, "the replica ")] {
        let standby = server.standby(slot).await;
        let client = server.client().await;
        let session = Session::connect(&Endpoint { url: Secret::new(server.url()), ca_file: None }).await.unwrap();
        let reader = standby.client().await;
        reader.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM secrets").await.unwrap();
        client.batch_execute("UPDATE secrets SET mail = 'bea@example.com'; SELECT pg_current_xact_id()").await.unwrap();
        // The standby tells of its reader every second.
        let holds = "SELECT coalesce(max(age(xmin)), 0) > 0 FROM (SELECT xmin FROM pg_replication_slots
            UNION ALL SELECT backend_xmin FROM pg_stat_replication) held";
        patience::until("the feedback", async || {
            client.query_one(holds, &[]).await.unwrap().get::<_, bool>(0).then_some(()).ok_or("not yet")
        })
        .await;
        let refused = session.until_unseen(Duration::from_secs(2)).await.unwrap_err().to_string();
        assert!(refused.contains(named) && refused.contains("repeat this"), "{slot:?}: {refused}");
        reader.batch_execute("COMMIT").await.unwrap();
        session.until_unseen(PATIENCE).await.unwrap();
        drop(standby);
        if slot.is_some() {
            let sql = "SELECT pg_drop_replication_slot('beside')";
            patience::until("the end of the slot", async || {
                client.batch_execute(sql).await.map_err(|error| format!("{error:?}"))
            })
            .await;
        }
    }
}
