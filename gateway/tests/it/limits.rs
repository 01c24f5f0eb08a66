//! Bounds: clients, open queries, memory, and whoever cancels or goes.

use std::time::Duration;

use tokio_postgres::NoTls;

use crate::support::{Gateway, ONE, SMALL, archive, ask, both_sides, month, patience, refusal, rows};

#[tokio::test]
async fn more_clients_than_allowed_are_told_so() {
    let gateway = Gateway::with(&[("PROGRESS_GATEWAY_MAX_CONNECTIONS", "2")]).await;
    let first = gateway.login("one").await.unwrap();
    let second = gateway.login("one").await.unwrap();
    let (code, said) = refusal(gateway.login("one").await.map(drop));
    assert!(code == "53300" && said.contains("gateway.max_connections"), "{code} {said}");
    drop(first);
    patience::until("a place comes free", async || gateway.login("one").await).await;
    assert_eq!(ask(&second, "SELECT 1").await.unwrap(), [["=1"]]);
}

#[tokio::test]
async fn more_open_queries_than_allowed_are_told_so() {
    let gateway = Gateway::with(&[("PROGRESS_GATEWAY_MAX_QUERIES", "1")]).await;
    archive(&gateway.objects, &rows(ONE, month(), 600), 0, SMALL).await;
    let (one, other) = (gateway.login("one").await.unwrap(), gateway.login("one").await.unwrap());
    one.simple_query("BEGIN; DECLARE c CURSOR FOR SELECT payload FROM archive.statements; FETCH 1 FROM c")
        .await
        .unwrap();
    let (code, said) = refusal(ask(&other, "SELECT count(*) FROM archive.statements").await);
    assert!(code == "53400" && said.contains("gateway.max_queries"), "{code} {said}");
    one.simple_query("COMMIT").await.unwrap();
    assert_eq!(ask(&other, "SELECT count(*) FROM archive.statements").await.unwrap(), [["=600"]]);
}

#[tokio::test]
async fn what_a_sort_needs_beyond_its_memory_goes_to_disk_and_no_further() {
    let statements = rows(ONE, month(), 6_000);
    let sort = "SELECT payload FROM archive.statements ORDER BY payload";
    let tight = [("PROGRESS_GATEWAY_MEMORY", "4MiB")];
    let spilling = Gateway::with(&tight).await;
    archive(&spilling.objects, &statements, 0, SMALL).await;
    let client = spilling.login("one").await.unwrap();
    let sorted = ask(&client, sort).await.unwrap();
    let mut wanted: Vec<String> = statements.iter().map(|row| format!("={}", row.payload)).collect();
    wanted.sort();
    assert!(sorted.concat() == wanted, "sorted on disk");

    let full = Gateway::with(&[tight[0], ("PROGRESS_GATEWAY_SPILL", "64KiB")]).await;
    archive(&full.objects, &statements, 0, SMALL).await;
    let client = full.login("one").await.unwrap();
    let (code, said) = refusal(ask(&client, sort).await);
    assert!(code == "53200" && said.contains("gateway.memory"), "{code} {said}");
    assert_eq!(ask(&client, "SELECT count(*) FROM archive.statements").await.unwrap(), [["=6000"]]);
}

#[tokio::test]
async fn a_query_is_cancelled_and_the_next_one_goes() {
    let (gateway, _) = Gateway::filled().await;
    let client = gateway.login("archive").await.unwrap();
    let token = client.cancel_token();
    // Every statement with every other: nothing that comes to an end here.
    let endless = "SELECT count(*) FROM archive.statements a, archive.statements b, archive.statements c WHERE a.payload <> b.payload AND b.payload <> c.payload";
    let asked = ask(&client, endless);
    tokio::pin!(asked);
    let (code, _) = loop {
        tokio::select! {
            outcome = &mut asked => break refusal(outcome),
            () = tokio::time::sleep(Duration::from_millis(50)) => token.cancel_query(NoTls).await.unwrap(),
        }
    };
    assert_eq!(code, "57014");
    assert_eq!(ask(&client, "SELECT 1").await.unwrap(), [["=1"]]);
}

#[tokio::test]
async fn a_client_that_goes_takes_its_query_along() {
    let gateway = Gateway::with(&[("PROGRESS_GATEWAY_MAX_QUERIES", "1")]).await;
    archive(&gateway.objects, &rows(ONE, month(), 2_000), 0, SMALL).await;
    let client = gateway.login("one").await.unwrap();
    let endless = "SELECT count(*) FROM archive.statements a, archive.statements b, archive.statements c WHERE a.payload <> b.payload AND b.payload <> c.payload";
    let asked = tokio::spawn(async move { ask(&client, endless).await });
    let other = gateway.login("one").await.unwrap();
    patience::until("the query runs", async || match ask(&other, "SELECT count(*) FROM archive.statements").await {
        Err(error) if error.code().is_some_and(|code| code.code() == "53400") => Ok(()),
        outcome => Err(format!("{outcome:?}")),
    })
    .await;
    asked.abort();
    patience::until("its turn is free", async || ask(&other, "SELECT count(*) FROM archive.statements").await).await;
}

on_each_server! {
    async fn a_statement_timeout_of_postgres_ends_the_query_here(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows).await;
        client.batch_execute("SET statement_timeout = '500ms'").await.unwrap();
        let endless = "SELECT count(*) FROM far.month a JOIN far.month b ON a.id <> b.id JOIN far.month c ON c.id <> a.id";
        assert_eq!(refusal(ask(&client, endless).await).0, "57014");
        client.batch_execute("SET statement_timeout = 0").await.unwrap();
        assert_eq!(ask(&client, "SELECT count(*) FROM far.month").await.unwrap(), [["=2000"]]);
    }
}
