//! Months that leave and come back: what writing one down and bringing it back takes beside COPY of the same rows, what
//! ingest notices of it meanwhile, and pages of a ledger whose past lies in the archive: cold, cached, and with the archive away.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::TryStreamExt;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio_postgres::Client;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use super::{
    http::{Connection, Target},
    options::Options,
    place::Place,
    process,
    report::{Latencies, Report, heading},
    statements::Stock,
    write::{self, COLUMNS, Scenario},
};

/// Months of the past, of which the newest stay hot.
const MONTHS: usize = 20;
const HOT: usize = 2;
/// Answers of each kind of page that are measured.
const ASKED: usize = 200;
/// What is voided is not answered by its id.
const IS_THERE: &str = "NOT EXISTS (SELECT FROM ledger.refs v WHERE v.tenant_id = s.tenant_id AND v.target_id = s.id)";
/// How often the memory of a command is looked at.
const LOOK: Duration = Duration::from_millis(20);

const BESIDE: Scenario = Scenario { batch: 100, concurrency: 8, long: false };

pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::start(data).await?;
    let owner = place.superuser().await?;
    let statements = options.statements.to_string();
    let months = MONTHS.to_string();
    let seeded = Instant::now();
    command(&place, &["demo", "seed", "--statements", &statements, "--months", &months, "--apply"]).await?;
    let rate = options.statements as f64 / seeded.elapsed().as_secs_f64();
    println!("\n{statements} statements over {MONTHS} months were made at {rate:.0}/s, with their projections");
    report.add("archive", "seeded_per_second", json!(rate));
    let months = months_of(&owner).await?;
    anyhow::ensure!(months.len() == MONTHS, "there are {} months with statements", months.len());
    let (cold, hot) = months.split_at(MONTHS - HOT);
    let scene = scene(&place, &owner, (cold, hot)).await?;
    let before = ask(&scene, Page::Hot).await?;

    one_month(&place, &owner, &cold[cold.len() - 1], report).await?;
    beside(&place, stock, options, &cold[..cold.len() - 1], report).await?;
    pages(&scene, before, data, report).await?;
    drop(owner);
    place.stop().await
}

/// One command of the service's program; fails with what it says.
pub async fn command(place: &Place, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
    weighed(place, arguments).await.map(|(said, _)| said)
}

/// The same, with the most memory that it was seen to take, in MiB.
async fn weighed(place: &Place, arguments: &[&str]) -> anyhow::Result<(Vec<Value>, f64)> {
    let child = place.program().args(arguments).stderr(Stdio::piped()).spawn()?;
    let id = child.id().unwrap_or_default();
    let mut done = std::pin::pin!(child.wait_with_output());
    let mut most: f64 = 0.0;
    let done = loop {
        tokio::select! {
            done = &mut done => break done?,
            () = tokio::time::sleep(LOOK) => most = most.max(process::memory_mib(id).1),
        }
    };
    if !done.status.success() {
        bail!("{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let lines = String::from_utf8_lossy(&done.stdout);
    Ok((lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), most))
}

/// The months that hold statements, the oldest first, such as `2026-03`.
pub async fn months_of(owner: &Client) -> anyhow::Result<Vec<String>> {
    let sql = "SELECT to_char(month, 'YYYY-MM') FROM ledger.partitions p
        WHERE EXISTS (SELECT FROM ledger.statements s WHERE s.stored >= p.lower_bound AND s.stored < p.upper_bound)
        ORDER BY month";
    Ok(owner.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

fn table(month: &str) -> String {
    format!("ledger.statements_{}", month.replace('-', "_"))
}

/// Writes one month down, drops it and brings it back, each compared with COPY of the same rows.
async fn one_month(place: &Place, owner: &Client, month: &str, report: &mut Report) -> anyhow::Result<()> {
    let (statements, relations) = (table(month), table(month).replace("statements", "relations"));
    let sql = format!("SELECT count(*) FROM {statements}");
    let rows: i64 = owner.query_one(&sql, &[]).await?.get(0);
    let sql = format!("SELECT pg_total_relation_size('{statements}') + pg_total_relation_size('{relations}')");
    let heap: i64 = owner.query_one(&sql, &[]).await?.get(0);
    let (copied_out, _) = timed(copy_out(owner, &[&statements, &relations])).await?;
    command(place, &["partitions", "seal", "--month", month, "--apply"]).await?;
    let (archived, (_, written)) =
        timed(weighed(place, &["archive", "run", "--month", month, "--apply", "--json"])).await?;
    let sql = "SELECT sum(bytes)::bigint FROM ledger.segments WHERE state = 'published'";
    let size: i64 = owner.query_one(sql, &[]).await?.get(0);
    // Beside the table that is still here, into a copy of it with the same indexes.
    let copied_in = copy_in(owner, &[&statements, &relations]).await?;
    command(place, &["archive", "drop", "--month", month, "--apply", "--json"]).await?;
    let (restored, (_, read)) =
        timed(weighed(place, &["archive", "restore", "--month", month, "--apply", "--json"])).await?;
    command(place, &["archive", "drop", "--month", month, "--apply", "--json"]).await?;
    heading(&format!("A month of {rows} statements"), "                 seconds  of COPY's speed  memory MiB");
    println!("written down  {:>9.1} {:>16.2} {written:>11.0}", archived.as_secs_f64(), ratio(copied_out, archived));
    println!("brought back  {:>9.1} {:>16.2} {read:>11.0}", restored.as_secs_f64(), ratio(copied_in, restored));
    println!("its size: 1/{:.1} of table and indexes", heap as f64 / size.max(1) as f64);
    report.add(
        "archive",
        "month",
        json!({"statements": rows, "table_bytes": heap, "segment_bytes": size,
            "archive_s": archived.as_secs_f64(), "archive_of_copy": ratio(copied_out, archived),
            "archive_mib": written,
            "restore_s": restored.as_secs_f64(), "restore_of_copy": ratio(copied_in, restored), "restore_mib": read}),
    );
    Ok(())
}

fn ratio(copy: Duration, own: Duration) -> f64 {
    copy.as_secs_f64() / own.as_secs_f64()
}

pub async fn timed<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(Duration, T)> {
    let begun = Instant::now();
    let result = work.await?;
    Ok((begun.elapsed(), result))
}

pub async fn copy_out(owner: &Client, tables: &[&str]) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for table in tables {
        let rows = owner.copy_out(&format!("COPY (SELECT * FROM {table} ORDER BY stored) TO STDOUT")).await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(piece) = rows.try_next().await? {
            bytes += piece.len() as u64;
        }
    }
    Ok(bytes)
}

/// Into empty tables with the same indexes, by the server itself: from a file of its own, as fast as it can read one.
async fn copy_in(owner: &Client, tables: &[&str]) -> anyhow::Result<Duration> {
    let mut took = Duration::ZERO;
    owner.batch_execute("DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare").await?;
    let folder: String = owner.query_one("SHOW data_directory", &[]).await?.get(0);
    for (at, table) in tables.iter().enumerate() {
        let file = format!("{folder}/bare-{at}");
        owner
            .batch_execute(&format!(
                "COPY {table} TO '{file}'; CREATE TABLE bare.t{at} (LIKE {table} INCLUDING ALL); CHECKPOINT"
            ))
            .await?;
        let copy = format!("COPY bare.t{at} FROM '{file}'");
        took += timed(async { Ok(owner.batch_execute(&copy).await?) }).await?.0;
        std::fs::remove_file(file)?;
    }
    Ok(took)
}

/// What is done to months while others write.
#[derive(Clone, Copy)]
enum Work {
    WriteDown,
    BringBack,
    Divide,
}

impl Work {
    const ALL: [Self; 3] = [Self::WriteDown, Self::BringBack, Self::Divide];

    fn name(self) -> &'static str {
        match self {
            Self::WriteDown => "written down",
            Self::BringBack => "brought back",
            Self::Divide => "divided into days",
        }
    }

    /// One month after the other, each left as an archived one; answers how many there were until nobody measured any more.
    async fn go_on(self, place: &Place, months: &[String], measured: &AtomicBool) -> anyhow::Result<usize> {
        let archive = async |what: &str, month: &str| {
            command(place, &["archive", what, "--month", month, "--apply", "--json"]).await.map(drop)
        };
        let divide = async |to: &str, month: &str| {
            command(place, &["partitions", "rescheme", "--to", to, "--month", month, "--apply"]).await.map(drop)
        };
        let mut count = 0;
        for month in months {
            match self {
                // All of them: the pages that are asked for later lie in the archive.
                Self::WriteDown => {
                    command(place, &["partitions", "seal", "--month", month, "--apply"]).await?;
                    archive("run", month).await?;
                    archive("drop", month).await?;
                }
                _ if measured.load(Ordering::Relaxed) => break,
                Self::BringBack => {
                    archive("restore", month).await?;
                    archive("drop", month).await?;
                }
                Self::Divide => {
                    archive("restore", month).await?;
                    divide("daily", month).await?;
                    divide("monthly", month).await?;
                    archive("drop", month).await?;
                }
            }
            count += usize::from(!measured.load(Ordering::Relaxed));
        }
        Ok(count)
    }
}

/// What ingest reaches and how long its requests wait, alone, and while months of the past are worked on beside it.
async fn beside(
    place: &Place,
    stock: &Arc<Stock>,
    options: &Options,
    months: &[String],
    report: &mut Report,
) -> anyhow::Result<()> {
    write::warm_up(place, stock).await?;
    heading("POST /statements, alone, and while months of the past are worked on", COLUMNS);
    let alone = write::measure(place, stock, &BESIDE, options.seconds).await?;
    report.add("archive", "alone", alone.clone());
    for work in Work::ALL {
        let measured = AtomicBool::new(false);
        let measuring = async {
            let found = write::measure(place, stock, &BESIDE, options.seconds).await;
            measured.store(true, Ordering::Relaxed);
            found
        };
        let (meanwhile, worked) = tokio::join!(measuring, work.go_on(place, months, &measured));
        let (meanwhile, worked) = (meanwhile?, worked?);
        let reached = number(&meanwhile, "/per_second") / number(&alone, "/per_second").max(1.0);
        let longer = number(&meanwhile, "/latency/p99_ms") - number(&alone, "/latency/p99_ms");
        println!(
            "{worked} months were {} meanwhile: ingest reached {reached:.2} of what it reaches alone; its p99 was {longer:.0} ms longer",
            work.name()
        );
        let figures = json!({"meanwhile": meanwhile, "months": worked, "ratio": reached, "p99_longer_ms": longer});
        report.add("archive", work.name(), figures);
    }
    Ok(())
}

/// A number among figures.
pub fn number(figures: &Value, pointer: &str) -> f64 {
    figures.pointer(pointer).and_then(Value::as_f64).unwrap_or_default()
}

/// What is asked for.
struct Scene {
    target: Target,
    /// Of months that leave.
    ids: Vec<Uuid>,
    agents: Vec<Value>,
    /// The end of the months that leave.
    until: String,
    hot_ids: Vec<Uuid>,
}

#[derive(Clone, Copy)]
enum Page {
    Hot,
    ById,
    ByAgent,
}

async fn scene(place: &Place, owner: &Client, (cold, hot): (&[String], &[String])) -> anyhow::Result<Scene> {
    let issued =
        command(place, &["credentials", "create", "--tenant", "demo-1", "--scopes", "all/read", "--json"]).await?;
    let issued = issued.first().context("no credential")?;
    let (key, secret) = (issued["apiKey"].as_str().context("no key")?, issued["secret"].as_str().context("no secret")?);
    let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:{secret}"))).parse()?;
    let mut rows = Vec::new();
    for month in cold {
        let sql = format!(
            "SELECT id, payload FROM {} s TABLESAMPLE BERNOULLI (20)
            WHERE {IS_THERE} LIMIT 40",
            table(month)
        );
        rows.extend(owner.query(&sql, &[]).await?);
    }
    let payload = |row: &tokio_postgres::Row| serde_json::from_str::<Value>(row.get(1)).ok();
    let mut agents: Vec<Value> = rows
        .iter()
        .filter_map(payload)
        .map(|it| it["actor"].clone())
        .filter(|who| who["account"].is_object())
        .collect();
    agents.dedup();
    let sql = format!("SELECT id FROM {} s WHERE {IS_THERE} LIMIT 1000", table(&hot[hot.len() - 1]));
    let hot_ids = owner.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    let until = format!("{}-01T00:00:00Z", hot[0]);
    let target = Target { address: place.target.address, authorization };
    Ok(Scene { target, ids: rows.iter().map(|row| row.get(0)).collect(), agents, until, hot_ids })
}

/// One caller, [`ASKED`] pages, the same ones each time.
async fn ask(scene: &Scene, page: Page) -> anyhow::Result<Latencies> {
    let mut connection = Connection::open(&scene.target).await?;
    let mut rng = SmallRng::seed_from_u64(7);
    let mut latencies = Latencies::default();
    for _ in 0..ASKED {
        let mut query = Serializer::new("/xapi/statements?".to_owned());
        match page {
            Page::Hot => {
                query.append_pair("statementId", &scene.hot_ids[rng.random_range(0..scene.hot_ids.len())].to_string())
            }
            Page::ById => {
                query.append_pair("statementId", &scene.ids[rng.random_range(0..scene.ids.len())].to_string())
            }
            Page::ByAgent => query
                .append_pair("agent", &scene.agents[rng.random_range(0..scene.agents.len())].to_string())
                .append_pair("until", &scene.until)
                .append_pair("limit", "25"),
        };
        let path = query.finish();
        let sent = Instant::now();
        connection.get(&path).await?;
        latencies.add(sent.elapsed());
    }
    Ok(Latencies::merge([latencies]))
}

/// Pages of the past, the first time and again, and of the present before, after, and with the archive away.
async fn pages(scene: &Scene, before: Latencies, data: &Path, report: &mut Report) -> anyhow::Result<()> {
    heading(
        &format!("GET /statements, {} months archived, one caller", MONTHS - HOT),
        "                              p50 ms    p95 ms    p99 ms",
    );
    let mut say = |name: &str, found: &Latencies| {
        println!("{name:<26} {}", found.columns());
        report.add("archive pages", name, found.json());
    };
    say("by id, cold", &ask(scene, Page::ById).await?);
    say("by id, cached", &ask(scene, Page::ById).await?);
    say("by agent, cold", &ask(scene, Page::ByAgent).await?);
    say("by agent, cached", &ask(scene, Page::ByAgent).await?);
    say("hot, before", &before);
    say("hot, now", &ask(scene, Page::Hot).await?);
    let (archive, away): (PathBuf, PathBuf) = (data.join("archive"), data.join("archive-away"));
    std::fs::rename(&archive, &away)?;
    let found = ask(scene, Page::Hot).await;
    std::fs::rename(&away, &archive)?;
    say("hot, the archive away", &found?);
    Ok(())
}
