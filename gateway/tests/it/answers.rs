//! ANALYZE of a foreign table, in the words of each release of PostgreSQL.

use crate::support::{Gateway, ask, both_sides};

on_each_server! {
    async fn analyze_is_answered(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = both_sides(&db, &gateway, &rows).await;
        client.batch_execute("SET default_statistics_target = 1; ANALYZE far.month").await.unwrap();
        let known = ask(&client, "SELECT reltuples, relpages > 0, (SELECT count(*) FROM pg_stats WHERE tablename = 'month') FROM pg_class WHERE relname = 'month'").await.unwrap();
        assert_eq!(known[0][0], "=2000");
        assert_eq!((known[0][1].as_str(), known[0][2].as_str()), ("=t", "=12"));
        client.batch_execute("ANALYZE far.statements").await.unwrap();
    }
}

#[tokio::test]
async fn a_sample_is_about_as_large_as_it_was_asked_for() {
    let (gateway, _) = Gateway::filled().await;
    let client = gateway.login("archive").await.unwrap();
    for sampled in [
        "SELECT count(*) FROM archive.statements_2026_03 TABLESAMPLE BERNOULLI(25.0)",
        "SELECT count(*) FROM archive.statements_2026_03 WHERE pg_catalog.random() < 0.25",
    ] {
        let rows = ask(&client, sampled).await.unwrap()[0][0].trim_start_matches('=').parse::<u32>().unwrap();
        assert!((400..600).contains(&rows), "{sampled}: {rows}");
    }
}
