//! Pages of a large ledger by every filter, through the service, warm and after a restart of service and database; the
//! warm ones as bare SQL too.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use progress_service::{
    model::TenantId,
    store::{door::pool::PLANNER, ledger::pages},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    cases::{CASES, Case, Scene},
    fill::Filled,
    http::Connection,
    options::Options,
    place::Place,
    report::{Latencies, Report, cpu_each, heading},
};

const CONCURRENCY: usize = 4;
/// Pages that are walked before the deep one.
const DEEP: usize = 40;

/// What of the ledger the database has in its own memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Warm,
    AfterRestart,
}

impl When {
    fn text(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::AfterRestart => "after a restart",
        }
    }
}

pub async fn run(
    place: &Place,
    filled: Filled,
    options: &Options,
    when: When,
    report: &mut Report,
) -> anyhow::Result<()> {
    let scene = Arc::new(scene(place, filled).await?);
    let length = Duration::from_secs(options.seconds.div_ceil(4));
    let when_text = when.text();
    let mut columns =
        "filter             pages/s   p50 ms    p95 ms    p99 ms | CPU us/page: service database client".to_owned();
    if when == When::Warm {
        columns += " | bare SQL: p50       p95       p99 | p95 ratio";
    }
    heading(
        &format!("GET /statements, {} statements, {CONCURRENCY} callers, {when_text}", options.statements),
        &columns,
    );
    for case in CASES {
        let before = place.cpu();
        let (http, took) = ask_service(place, &scene, case, length).await?;
        let (cpu_text, cpu_json) = cpu_each(place.cpu().since(before), http.len() as u64);
        let rate = http.len() as f64 / took;
        print!("{:<16} {rate:>9.0} {} | {cpu_text:>36}", case.name(), http.columns());
        let mut figures = json!({"per_second": rate, "latency": http.json(), "cpu_each": cpu_json});
        // After a restart it would find in memory what the service has just read from the disk.
        if when == When::Warm {
            let bare = ask_database(place, &scene, case, length / 2).await?;
            let ratio = http.percentile(95) / bare.percentile(95).max(0.001);
            print!(" |    {} | {ratio:>9.2}", bare.columns());
            figures["bare_sql"] = bare.json();
        }
        println!();
        report.add(&format!("read {when_text}"), case.name(), figures);
    }
    Ok(())
}

/// Ids that are there, and the link to a page far behind the first.
async fn scene(place: &Place, filled: Filled) -> anyhow::Result<Scene> {
    let owner = place.superuser().await?;
    let rows = owner.query("SELECT id FROM ledger.statement_ids TABLESAMPLE BERNOULLI (10) LIMIT 2000", &[]).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    anyhow::ensure!(!ids.is_empty(), "the ledger is empty");
    let mut connection = Connection::open(&place.target).await?;
    let mut deep = "/xapi/statements?limit=50".to_owned();
    let mut deep_until = filled.last;
    for _ in 0..DEEP {
        let page: Value = serde_json::from_slice(&connection.get(&deep).await?)?;
        let last = page["statements"].as_array().and_then(|all| all.last()).and_then(|last| last["stored"].as_str());
        deep_until = last.context("a page without statements")?.parse()?;
        deep =
            page["more"].as_str().filter(|more| !more.is_empty()).context("the ledger has too few pages")?.to_owned();
    }
    Ok(Scene { filled, ids, deep, deep_until })
}

async fn ask_service(
    place: &Place,
    scene: &Arc<Scene>,
    case: Case,
    length: Duration,
) -> anyhow::Result<(Latencies, f64)> {
    let begun = Instant::now();
    let mut work = JoinSet::new();
    for seed in 0..CONCURRENCY as u64 {
        let mut connection = Connection::open(&place.target).await?;
        let scene = Arc::clone(scene);
        work.spawn(async move {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut latencies = Latencies::default();
            while begun.elapsed() < length {
                let path = case.path(&scene, &mut rng);
                let sent = Instant::now();
                connection.get(&path).await?;
                latencies.add(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let latencies = gathered(work).await?;
    Ok((latencies, begun.elapsed().as_secs_f64()))
}

/// The same pages, asked for by as many sessions with the rights of the service.
async fn ask_database(place: &Place, scene: &Arc<Scene>, case: Case, length: Duration) -> anyhow::Result<Latencies> {
    let begun = Instant::now();
    let mut work = JoinSet::new();
    for seed in 0..CONCURRENCY as u64 {
        let client = place.login().await?;
        let scene = Arc::clone(scene);
        work.spawn(async move {
            let tenant = TenantId::DEFAULT;
            client
                .batch_execute(&format!(
                    "SET ROLE progress_service; SET app.tenant_id = '{tenant}'; SET search_path = pg_catalog; \
                     {PLANNER}"
                ))
                .await?;
            let mut rng = SmallRng::seed_from_u64(seed);
            let by_id = client.prepare(&pages::by_id_sql(&pages::Sight::Everything)).await?;
            let page = client.prepare(&case.query(&scene, &mut rng).sql).await?;
            let mut latencies = Latencies::default();
            while begun.elapsed() < length {
                let query = case.query(&scene, &mut rng);
                let id = scene.ids[rng.random_range(0..scene.ids.len())];
                let sent = Instant::now();
                match case {
                    Case::Id => client.query(&by_id, &[&tenant.0, &id]).await?,
                    _ => client.query(&page, &query.params()).await?,
                };
                latencies.add(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    gathered(work).await
}

async fn gathered(mut work: JoinSet<anyhow::Result<Latencies>>) -> anyhow::Result<Latencies> {
    let mut all = Vec::new();
    while let Some(done) = work.join_next().await {
        all.push(done??);
    }
    Ok(Latencies::merge(all))
}
