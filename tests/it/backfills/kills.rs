//! A table is filled while nodes and the server of the database are killed over and over, at every place of a step: every row exactly
//! once, by digest. With `TEST_SOAK_ROWS` as large as one wants it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{COLOUR, NAME, TABLE, plugins};
use crate::support::{
    app::{KEY, SECRET, send},
    http, patience,
    pgproc::PgServer,
    process::{Service, command},
    settings,
};

/// Rows where nobody says how many, and how many parts of a hundred of the time it may work then.
const ROWS: (i64, &str) = (60_000, "10");
/// What a step asks of the database, in its order: the last one was committed, a batch begins, its rows are in work, and its place is
/// written with them and not committed yet.
const PLACES: [&[&str]; 4] =
    [&["backfills::health"], &["backfills::next"], &["backfills::fill", "backfills::look"], &["jobs::save"]];
/// How long it is waited for a place.
const BREATH: Duration = Duration::from_secs(2);

struct Ground {
    server: PgServer,
    variables: BTreeMap<String, String>,
}

/// What was killed so far.
#[derive(Debug, Default)]
struct Kills {
    nodes: u64,
    servers: u64,
    in_the_middle: u64,
    /// Where each of both was, of the places that a step has.
    at: BTreeSet<(&'static str, String)>,
}

impl Ground {
    fn run(&self, arguments: &[&str]) -> Vec<Value> {
        let output = command(&[&["backfill"], arguments, &["--json"]].concat(), &self.variables).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn standing(&self) -> Value {
        let all = self.run(&["list"]);
        all.into_iter().find(|one| one["name"] == format!("{NAME}.sql")).unwrap()
    }

    /// Rows that were done, and rows that were done more than once.
    async fn counted(&self) -> (i64, i64) {
        let sql = "SELECT count(*) FILTER (WHERE times = 1 AND colour = 'red'), count(*) FILTER (WHERE times > 1) FROM shop.things";
        let row = self.server.client().await.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }

    async fn node(&self) -> Service {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Service::start(&variables).await
    }

    /// Asked to pause in the middle, it stands still when its batch is over; how long that took, and how many rows it did meanwhile.
    async fn pauses(&self) -> (Duration, i64) {
        let (node, client) = (self.node().await, self.server.client().await);
        let rows =
            patience::until("it begins", async || rows(&client).await.filter(|rows| *rows > 0).ok_or("not yet")).await;
        let id = self.standing()["jobId"].as_str().unwrap().to_owned();
        let ask = |method, path: &str| {
            http::client()
                .request(method, format!("{}/api/v1/admin/jobs/{id}{path}", node.url))
                .basic_auth(KEY, Some(SECRET))
        };
        let (before, began) = (self::rows(&client).await.unwrap_or(rows), Instant::now());
        send(ask(Method::POST, "/pause").json(&json!({}))).await.expect(200);
        let paused = patience::until("it stands still", async || {
            let job = send(ask(Method::GET, "")).await.expect(200).json();
            if job["state"] == "paused" { Ok(job) } else { Err(job) }
        });
        let (job, took) = (paused.await, began.elapsed());
        let done = self::rows(&client).await.unwrap() - before;
        let batch = job["progress"]["batch"].as_i64().unwrap();
        // The one that was under way, and one that had begun before it heard.
        assert!(done <= 4 * batch, "{done} rows after it was asked, in batches of {batch}");
        send(ask(Method::POST, "/resume").json(&json!({}))).await.expect(200);
        (took, done)
    }

    /// A node is killed at a place, or the server beneath it.
    async fn life(&mut self, kills: &mut Kills, rows: i64) {
        let life = kills.nodes + kills.servers;
        let mut node = self.node().await;
        // Later from life to life, so that there is an end on a slow machine too.
        tokio::time::sleep(Duration::from_millis(400 + 150 * life)).await;
        let (is_server, place) = (life % 3 == 2, PLACES[usize::try_from(life / 3).unwrap() % PLACES.len()]);
        let found = tokio::time::timeout(BREATH, comes_to(&self.server.client().await, place)).await;
        if is_server {
            self.server.kill();
        }
        node.process.kill();
        if is_server {
            self.server.resume().await;
        }
        *(if is_server { &mut kills.servers } else { &mut kills.nodes }) += 1;
        kills.at.extend(found.ok().map(|place| (if is_server { "server" } else { "node" }, place)));
        // Nobody waits for the lease of a node that is dead.
        let client = self.server.client().await;
        client.batch_execute("UPDATE platform.leases SET expires_at = '-infinity'").await.unwrap();
        let (done, twice) = self.counted().await;
        assert_eq!(twice, 0, "after {kills:?}");
        kills.in_the_middle += u64::from(done > 0 && done < rows);
    }
}

/// Rows that were walked through, as the place of the backfill says it.
async fn rows(client: &Client) -> Option<i64> {
    let sql = "SELECT (checkpoint->>'rows')::bigint FROM platform.jobs WHERE kind = 'backfill.run'";
    client.query_opt(sql, &[]).await.unwrap().and_then(|row| row.get(0))
}

/// Waits until a session of the service is at one of the places; answers at which.
async fn comes_to(client: &Client, places: &[&str]) -> String {
    let sql = "SELECT place FROM unnest($1::text[]) place
        WHERE EXISTS (SELECT FROM pg_stat_activity a WHERE a.state <> 'idle' AND starts_with(a.query, '/* ' || place || ' */'))";
    loop {
        if let Some(found) = client.query_opt(sql, &[&places]).await.unwrap() {
            return found.get(0);
        }
    }
}

/// A server with a table of so many rows, and a backfill that is asked for.
async fn ground(rows: i64, speed: &str, plugins: &std::path::Path) -> Ground {
    let server = PgServer::start().await;
    let variables = [
        ("PROGRESS_DATABASE_URL", server.url()),
        ("PROGRESS_DATABASE_MIGRATION_URL", server.url()),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", format!("{KEY}:{SECRET}")),
        ("PROGRESS_MIGRATIONS_PLUGIN_DIR", plugins.to_string_lossy().into_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let ground = Ground { server, variables };
    drop(ground.node().await);
    let fill = format!(
        "INSERT INTO shop.things (tenant_id, id) SELECT ('00000000-0000-4000-8000-00000000000' || n % 3)::uuid, n
         FROM generate_series(1, {rows}) n; ANALYZE shop.things"
    );
    ground.server.client().await.batch_execute(&fill).await.unwrap();
    ground.run(&["speed", NAME, speed]);
    ground.run(&["run", NAME]);
    ground
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_the_database_are_killed_in_the_middle_and_every_row_is_done_once() {
    let soak = settings::optional("TEST_SOAK_ROWS").map(|rows| (rows.parse().unwrap(), "100"));
    let ((rows, speed), folder) = (soak.unwrap_or(ROWS), plugins(TABLE, COLOUR));
    let mut ground = ground(rows, speed, folder.path()).await;
    let (began, (heard, meanwhile)) = (Instant::now(), ground.pauses().await);
    println!("asked to pause it stood still {} ms later, {meanwhile} rows on", heard.as_millis());
    let mut kills = Kills::default();
    while ground.standing()["state"] != "verified" {
        ground.life(&mut kills, rows).await;
    }
    assert!(kills.in_the_middle > 2 && kills.servers > 0, "{kills:?}");
    if soak.is_some() {
        let places = PLACES.len() * 2;
        assert!(kills.at.len() >= places, "{} of at least {places} places: {kills:?}", kills.at.len());
    }
    assert_eq!(ground.counted().await, (rows, 0));
    let digest = "SELECT sum(hashtextextended(t::text, 0))::text FROM shop.things t";
    let digest: String = ground.server.client().await.query_one(digest, &[]).await.unwrap().get(0);
    let verified = ground.standing();
    assert_eq!((&verified["digest"], &verified["changed"]), (&digest.into(), &rows.into()));
    let Kills { nodes, servers, in_the_middle, at } = kills;
    println!(
        "{rows} rows, each once, in {} s: {nodes} nodes and {servers} servers were killed, {in_the_middle} times in the middle",
        began.elapsed().as_secs()
    );
    println!("killed at {}", at.iter().map(|(who, place)| format!("{place} ({who})")).collect::<Vec<_>>().join(", "));
}
