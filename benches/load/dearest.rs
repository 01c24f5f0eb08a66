//! Where the database's time went, by `pg_stat_statements`; nothing is said where the database keeps no count.

use tokio_postgres::Client;

use super::report::heading;

/// Forgets what was counted so far.
pub async fn reset(owner: &Client) -> anyhow::Result<()> {
    if keeps_count(owner).await {
        owner.batch_execute("SELECT pg_stat_statements_reset()").await?;
    }
    Ok(())
}

/// The dearest statements since the last reset, then another reset.
pub async fn print(owner: &Client, during: &str) -> anyhow::Result<()> {
    if !keeps_count(owner).await {
        return Ok(());
    }
    let rows = owner
        .query(
            r"SELECT calls, total_exec_time / greatest(sum(total_exec_time) OVER (), 1e-9) * 100 AS share,
                     total_exec_time * 1000 / calls AS us_each, rows::float8 / calls AS rows_each,
                     left(regexp_replace(query, '\s+', ' ', 'g'), 70) AS query
              FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 15",
            &[],
        )
        .await?;
    let title = format!("Where the database's time went during {during}");
    heading(&title, "share %     calls    us each  rows each  statement");
    for row in &rows {
        let (calls, query): (i64, String) = (row.get("calls"), row.get("query"));
        let (share, each, lines): (f64, f64, f64) = (row.get("share"), row.get("us_each"), row.get("rows_each"));
        println!("{share:>7.1} {calls:>9} {each:>10.1} {lines:>10.1}  {query}");
    }
    reset(owner).await
}

async fn keeps_count(owner: &Client) -> bool {
    owner.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.is_ok()
}
