//! Work a test started and never finished is a test that proved less than it says.

use super::server::{Server, connect};

/// Every queue there is, and the rows in it that still wait for somebody.
const QUEUES: &[(&str, &str)] = &[
    ("platform.jobs", "state IN ('pending', 'running')"),
    ("ledger.links_due", "true"),
    ("progress.satisfied_due", "true"),
];

/// One line per queue of the database that still holds work, but for those the test declared.
pub async fn find(server: &Server, database: &str, expected: &[&str]) -> Vec<String> {
    let client = connect(server.config(None, database)).await;
    let mut found = Vec::new();
    for (table, waiting) in QUEUES.iter().filter(|(table, _)| !expected.contains(table)) {
        let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[table]).await.unwrap();
        if there.get(0) {
            let count = client.query_one(&format!("SELECT count(*) FROM {table} WHERE {waiting}"), &[]).await.unwrap();
            match count.get(0) {
                0_i64 => {}
                rows => found.push(format!("{table}: {rows}")),
            }
        }
    }
    found
}
