//! Many tenants at work, beside one alone; and what thousands cost that say nothing.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::header::HeaderValue;
use progress_service::{
    identity::{Identity, IdentitySettings, NewCredential},
    model::{Clock, Ids, Scopes},
};
use rand::{SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{
    dearest,
    http::Connection,
    options::Options,
    place::Place,
    report::{Report, heading},
    statements::{Part, Stock},
    write::{self, COLUMNS, Scenario},
};

const SCENARIOS: [Scenario; 3] = [
    Scenario { batch: 1, concurrency: 16, long: false },
    Scenario { batch: 1, concurrency: 64, long: false },
    Scenario { batch: 100, concurrency: 8, long: false },
];
/// One tenant and many, each so often, in turns.
const TURNS: usize = 2;
/// The projections of all have to be there within it.
const PATIENCE: Duration = Duration::from_mins(5);

pub async fn run(data: &Path, stock: &Arc<Stock>, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let place = Place::start(data).await?;
    report.add("run", "postgresql", json!(place.database_version()));
    let owner = place.superuser().await?;
    let many = tenants(&place, stock, options.tenants).await?;
    acquaint(&mut Connection::open(&place.target).await?, stock, Part::WHOLE).await?;
    let one = [place.target.authorization.clone()];
    for scenario in &SCENARIOS {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            for (voices, all) in [(&one[..], &mut alone), (&many[..], &mut together)] {
                heading(&format!("POST /statements, {} tenants", voices.len()), COLUMNS);
                all.push(turn(&place, &owner, voices, stock, scenario, options.seconds).await?);
            }
        }
        let name = scenario.name();
        let ratio = mean(&together, "per_second") / mean(&alone, "per_second").max(1.0);
        println!("{name}: {} tenants reach {ratio:.2} of one", many.len());
        report.add("tenants", &name, json!({"one": alone, "many": together, "tenants": many.len(), "ratio": ratio}));
    }
    quiet(&place, &owner, options, report).await?;
    place.stop().await?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

/// Makes tenants, each with a credential, which are checked once (that takes long, as it should), and with learners.
async fn tenants(place: &Place, stock: &Stock, count: usize) -> anyhow::Result<Vec<HeaderValue>> {
    let settings = IdentitySettings {
        account_home_page: "https://lrs.example/credentials".to_owned(),
        credential_cache: Duration::from_secs(30),
        issuer: None,
    };
    let identity = Identity::new(place.store()?, Clock::system(), Ids::random(), settings)?;
    let mut connection = Connection::open(&place.target).await?;
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        let tenant = identity.create_tenant("load", &format!("load-{index}")).await?;
        let new = NewCredential { scopes: Scopes::parse("all")?, ..NewCredential::default() };
        let issued = identity.create_credential("load", tenant.id, new).await?;
        let pair = format!("{}:{}", issued.credential.api_key, issued.secret.expose());
        let voice: HeaderValue = format!("Basic {}", BASE64_STANDARD.encode(pair)).parse()?;
        connection.speak_as(&voice);
        acquaint(&mut connection, stock, Part { index, of: count }).await?;
        all.push(voice);
    }
    Ok(all)
}

/// Sends as many statements as there are in the part, so that one tenant and many know the same share of their learners when
/// the clock runs.
async fn acquaint(connection: &mut Connection, stock: &Stock, part: Part) -> anyhow::Result<()> {
    let mut rng = SmallRng::seed_from_u64(rand::random());
    let mut left = stock.len() / part.of;
    while left > 0 {
        let some = left.min(100);
        connection.post("/xapi/statements", stock.body_of(part, some, &mut rng)).await?;
        left -= some;
    }
    Ok(())
}

/// One measurement, with statements for each transaction, and how long projections then need for what is left.
async fn turn(
    place: &Place,
    owner: &Client,
    voices: &[HeaderValue],
    stock: &Arc<Stock>,
    scenario: &Scenario,
    seconds: u64,
) -> anyhow::Result<Value> {
    dearest::reset(owner).await?;
    let mut figures = write::measure_as(voices, place, stock, scenario, seconds).await?;
    let begun = Instant::now();
    // The server keeps no comment that stands before a statement.
    let sql = "SELECT sum(rows)::float8 / greatest(sum(calls), 1)::float8 FROM pg_stat_statements
               WHERE query LIKE '%INSERT INTO ledger.statements%'";
    let together: Option<f64> = owner.query_one(sql, &[]).await?.get(0);
    let together = together.context("the server has seen no insert")?;
    while behind(owner).await? > 0 {
        if begun.elapsed() > PATIENCE {
            bail!("projections do not come after");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lag = begun.elapsed().as_secs_f64();
    println!("statements a transaction {together:.1}, projections of all there after {lag:.1} s");
    dearest::print(owner, &format!("{} by {} tenants", scenario.name(), voices.len())).await?;
    figures["statements_each_transaction"] = json!(together);
    figures["projections_after_seconds"] = json!(lag);
    Ok(figures)
}

/// Tenants whose projections have not read all there is.
async fn behind(owner: &Client) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) FROM platform.tenants t LEFT JOIN progress.projection_cursors c USING (tenant_id)
        CROSS JOIN LATERAL (SELECT stored FROM ledger.statements s WHERE s.tenant_id = t.tenant_id
                            ORDER BY stored DESC LIMIT 1) newest
        WHERE newest.stored > coalesce(c.position, 'epoch')";
    Ok(owner.query_one(sql, &[]).await?.get(0))
}

/// What it costs that tenants are there: nobody writes, first with those at work until now, then with thousands more.
async fn quiet(place: &Place, owner: &Client, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    heading("CPU while nobody writes, % of a core", "tenants  service database");
    let mut all = Vec::new();
    for more in [0, options.quiet] {
        let sql = "INSERT INTO platform.tenants (tenant_id, name)
                   SELECT gen_random_uuid(), 'quiet-' || n FROM generate_series(1, $1::int8) AS n";
        owner.execute(sql, &[&i64::try_from(more)?]).await?;
        // What the server still has to do for what was written is not what tenants cost.
        owner.batch_execute("VACUUM (ANALYZE)").await?;
        owner.batch_execute("CHECKPOINT").await?;
        // Whoever had something lately is forgotten by then.
        tokio::time::sleep(Duration::from_secs(options.seconds.min(12))).await;
        let (cpu, begun) = (place.cpu(), Instant::now());
        tokio::time::sleep(Duration::from_secs(options.seconds.max(10))).await;
        let (cpu, took) = (place.cpu().since(cpu), begun.elapsed().as_secs_f64());
        let (service, database) = (cpu.service / took * 100.0, cpu.database / took * 100.0);
        let tenants: i64 = owner.query_one("SELECT count(*) FROM platform.tenants", &[]).await?.get(0);
        println!("{tenants:>7} {service:>8.2} {database:>8.2}");
        all.push(json!({"tenants": tenants, "service_percent": service, "database_percent": database}));
    }
    report.add("tenants", "quiet", json!(all));
    Ok(())
}

fn mean(all: &[Value], key: &str) -> f64 {
    all.iter().filter_map(|figures| figures[key].as_f64()).sum::<f64>() / all.len().max(1) as f64
}
