//! Shapes of SQL over a month behind the gateway, against the same month as a local table, in one run:
//! `scripts/with-services cargo bench --locked --package progress-gateway`.

#[macro_use]
#[path = "../tests/it/support.rs"]
mod support;

use std::time::Instant;

use progress_service::objects::segment::Sizes;
use support::{Gateway, ONE, archive, ask, both_sides, month, pg, rows};
use tokio_postgres::Client;

const ROWS: u32 = 200_000;
const TURNS: usize = 7;

/// What it is, and the query over `{t}`.
const SHAPES: [(&str, &str); 7] = [
    ("how many", "SELECT count(*) FROM {t}"),
    ("how many of each verb", "SELECT verb_key, count(*) FROM {t} GROUP BY verb_key"),
    ("how many learners, first and last", "SELECT count(DISTINCT agent_key), min(stored), max(stored) FROM {t}"),
    ("one by id", "SELECT payload FROM {t} WHERE id = '{a}'"),
    (
        "a verb on a day",
        "SELECT id, stored FROM {t} WHERE verb_key = '{v}' AND stored >= '2026-03-10' AND stored < '2026-03-11'",
    ),
    ("a day, whole", "SELECT * FROM {t} WHERE stored >= '2026-03-10' AND stored < '2026-03-11'"),
    ("a search through what is said", "SELECT count(*) FROM {t} WHERE payload LIKE '%learner1_@x%'"),
];

async fn median(client: &Client, query: &str) -> f64 {
    let mut took = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        let began = Instant::now();
        ask(client, query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    took[TURNS / 2]
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let db = pg::TestDatabase::new(pg::Server::newest().await).await;
        let gateway = Gateway::start().await;
        let statements = rows(ONE, month(), ROWS);
        let manifest = archive(&gateway.objects, &statements, 0, Sizes::default()).await;
        let client = both_sides(&db, &gateway, &statements).await;
        client
            .batch_execute(
                "CREATE INDEX ON local.statements (tenant_id, stored); CREATE INDEX ON local.statements (verb_key, stored);
                 CREATE INDEX ON local.statements (agent_key, stored); CREATE UNIQUE INDEX ON local.statements (id);
                 ANALYZE local.statements; ALTER SERVER archive OPTIONS (SET fetch_size '10000');",
            )
            .await
            .unwrap();
        let size = "SELECT pg_total_relation_size('local.statements')::text";
        let local: f64 = ask(&client, size).await.unwrap()[0][0][1..].parse().unwrap();
        let parts: u64 = manifest.parts.iter().map(|part| part.bytes).sum();
        println!("{ROWS} statements: {:.0} MB as a table with its indexes, {:.0} MB as a segment\n", local / 1e6, parts as f64 / 1e6);
        println!("| shape | local, ms | foreign table, ms | through the parent, ms |\n|---|---|---|---|");
        for (what, shape) in SHAPES {
            let shape = shape.replace("{a}", &statements[1_234].id.to_string());
            let shape = shape.replace("{v}", &statements[1_234].verb_key.to_string());
            let mut took = Vec::new();
            for table in ["local.statements", "far.month", "far.statements"] {
                took.push(format!("{:.1}", median(&client, &shape.replace("{t}", table)).await));
            }
            println!("| {what} | {} |", took.join(" | "));
        }
    });
}
