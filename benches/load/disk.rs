//! What a statement takes on the disk: in the ledger, and in what the projections make of it.

use serde_json::json;
use tokio_postgres::Client;

use super::report::{Report, heading};

const SCHEMAS: [(&str, &str); 2] = [("ledger", "of the ledger"), ("progress", "of the projections")];

/// Bytes of each table, index and TOAST table for one statement; the months of a table are taken together.
pub async fn run(owner: &Client, report: &mut Report) -> anyhow::Result<()> {
    let statements: i64 = owner.query_one("SELECT count(*) FROM ledger.statement_ids", &[]).await?.get(0);
    report.add("disk", "statements", json!(statements));
    heading(&format!("On the disk after {statements} statements"), "bytes/statement  kind         name");
    for (schema, whose) in SCHEMAS {
        let mut total = 0.0;
        for (kind, name, bytes) in relations(owner, schema).await? {
            let each = bytes / statements.max(1) as f64;
            total += each;
            if each >= 0.5 {
                println!("{each:>15.0}  {kind:<11}  {name}");
                report.add("disk", &format!("{kind} {schema}.{name}"), json!(each));
            }
        }
        println!("{total:>15.0}  total {whose}");
        report.add("disk", &format!("total {whose}"), json!(total));
    }
    Ok(())
}

/// Kind, name and bytes of all that lies in a schema, the largest first.
async fn relations(owner: &Client, schema: &str) -> anyhow::Result<Vec<(String, String, f64)>> {
    let rows = owner
        .query(
            r"WITH own AS (
                  SELECT oid, relname::text AS name, relkind, reltoastrelid
                  FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)),
              part AS (
                  SELECT oid, name, CASE relkind WHEN 'i' THEN 'index' ELSE 'table' END AS kind
                  FROM own WHERE relkind IN ('r', 'i')
                  UNION ALL SELECT reltoastrelid, name, 'toast' FROM own WHERE reltoastrelid <> 0
                  UNION ALL SELECT indexrelid, name, 'toast index' FROM own JOIN pg_index ON indrelid = reltoastrelid)
              SELECT kind, regexp_replace(name, '_\d{4}_\d\d', '') AS name, sum(pg_relation_size(oid))::float8 AS bytes
              FROM part GROUP BY 1, 2 HAVING sum(pg_relation_size(oid)) > 0 ORDER BY 3 DESC",
            &[&schema],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}
