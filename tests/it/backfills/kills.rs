//! A table is filled while nodes and the server of the database are killed over and over: every row exactly once, by digest. With
//! `TEST_SOAK_ROWS` as large as one wants it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{COLOUR, NAME, TABLE, plugins};
use crate::support::{
    pgproc::PgServer,
    process::{Service, command},
    settings,
};

/// Rows where nobody says how many, and how many parts of a hundred of the time it may work then.
const ROWS: (i64, &str) = (60_000, "10");

struct Ground {
    server: PgServer,
    variables: BTreeMap<String, String>,
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

    async fn number(&self, sql: &str) -> i64 {
        self.server.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn node(&self) -> Service {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Service::start(&variables).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_the_database_are_killed_in_the_middle_and_every_row_is_done_once() {
    let rows = settings::optional("TEST_SOAK_ROWS").map(|rows| (rows.parse().unwrap(), "100"));
    let (rows, speed) = rows.unwrap_or(ROWS);
    let (server, folder) = (PgServer::start().await, plugins(TABLE, COLOUR));
    let variables = [
        ("PROGRESS_DATABASE_URL", server.url()),
        ("PROGRESS_DATABASE_MIGRATION_URL", server.url()),
        ("PROGRESS_MIGRATIONS_PLUGIN_DIR", folder.path().to_string_lossy().into_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let mut ground = Ground { server, variables };
    drop(ground.node().await);
    let fill = format!(
        "INSERT INTO shop.things (tenant_id, id) SELECT ('00000000-0000-4000-8000-00000000000' || n % 3)::uuid, n
         FROM generate_series(1, {rows}) n; ANALYZE shop.things"
    );
    ground.server.client().await.batch_execute(&fill).await.unwrap();
    ground.run(&["speed", NAME, speed]);
    ground.run(&["run", NAME]);
    let (mut kills, mut in_the_middle) = ([0, 0], 0);
    while ground.standing()["state"] != "verified" {
        let mut node = ground.node().await;
        // Later from life to life, so that there is an end on a slow machine too.
        let life = kills[0] + kills[1];
        tokio::time::sleep(Duration::from_millis(400 + 150 * life)).await;
        let kills_the_server = life % 3 == 2;
        if kills_the_server {
            ground.server.kill();
        }
        node.process.kill();
        if kills_the_server {
            ground.server.resume().await;
        }
        kills[usize::from(kills_the_server)] += 1;
        // Nobody waits for the lease of a node that is dead.
        let client = ground.server.client().await;
        client.batch_execute("UPDATE platform.leases SET expires_at = '-infinity'").await.unwrap();
        assert_eq!(ground.number("SELECT count(*) FROM shop.things WHERE times > 1").await, 0, "after {kills:?}");
        let done = ground.number("SELECT count(*) FROM shop.things WHERE times = 1").await;
        in_the_middle += u32::from(done > 0 && done < rows);
    }
    assert!(in_the_middle > 2 && kills[1] > 0, "{kills:?} kills, {in_the_middle} of them in the middle");
    assert_eq!(ground.number("SELECT count(*) FROM shop.things WHERE times = 1 AND colour = 'red'").await, rows);
    let digest = "SELECT sum(hashtextextended(t::text, 0))::text FROM shop.things t";
    let digest: String = ground.server.client().await.query_one(digest, &[]).await.unwrap().get(0);
    let verified = ground.standing();
    assert_eq!((&verified["digest"], &verified["changed"]), (&digest.into(), &rows.into()));
    println!(
        "{rows} rows, each once: {} nodes and {} servers were killed, {in_the_middle} times in the middle",
        kills[0], kills[1]
    );
}
