//! Looking costs next to nothing: with a past, thousands of jobs and a long trail, no question that a page or a loop asks the database
//! touches more than a thousand blocks, and no page is longer than 100 KB.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::Browser;
use crate::support::{
    patience,
    pgproc::PgServer,
    process::{Service, command},
};

const STATEMENTS: &str = "60000";
const MOST_BLOCKS: u64 = 1_000;
const LONGEST: usize = 100 << 10;
/// As many as somebody leaves behind in years.
const LEFT_BEHIND: &str = "
    INSERT INTO platform.jobs (job_id, kind, state, requested_by, request, created_at, finished_at)
        SELECT gen_random_uuid(), 'archive.verify', 'succeeded', 'ann', '{}', at, at
        FROM generate_series(1, 10000) n, LATERAL (SELECT now() - n * interval '1 minute') AS moments (at);
    INSERT INTO platform.audit (tenant_id, actor, action, subject, detail)
        SELECT t.tenant_id, 'ann', 'read.document', 'a document', '{}' FROM platform.tenants t, generate_series(1, 10000);
    VACUUM ANALYZE";

const OF_THE_INSTALLATION: [&str; 18] = [
    "",
    "/access",
    "/activity.csv",
    "/audit",
    "/audit?action=read.document",
    "/backups",
    "/flags",
    "/jobs",
    "/jobs?state=succeeded",
    "/migrations",
    "/migrations/backfills",
    "/migrations/rollouts",
    "/months",
    "/people/erasures",
    "/people/holds",
    "/people/retention",
    "/people/residency",
    "/exports",
];

const OF_A_TENANT: [&str; 10] = [
    "",
    "/audit",
    "/documents",
    "/exports",
    "/learners",
    "/statements",
    "/statements?verb=http://adlnet.gov/expapi/verbs/passed",
    "/statements?verb=http://example.com/never",
    "/statements?activity=http://example.com/none",
    "/people/retention",
];

/// A server that tells of every question, and a service with a past over it.
struct Ground {
    server: PgServer,
    service: Service,
    variables: BTreeMap<String, String>,
}

impl Ground {
    async fn new() -> Self {
        let server = PgServer::start().await;
        for setting in [
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_analyze = on",
            "auto_explain.log_timing = off",
            "auto_explain.log_format = 'json'",
        ] {
            let client = server.client().await;
            client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
            client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        }
        let url = server.url();
        let variables = [("PROGRESS_DATABASE_URL", url.as_str()), ("PROGRESS_DATABASE_MIGRATION_URL", url.as_str())];
        let service =
            Service::start(&[variables[0], variables[1], ("PROGRESS_BOOTSTRAP_CREDENTIAL", "key:a-secret")]).await;
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ground = Self { server, service, variables };
        ground.run(&["demo", "seed", "--tenants", "2", "--statements", STATEMENTS, "--months", "6", "--apply"]);
        for statement in LEFT_BEHIND.split(';') {
            ground.server.client().await.batch_execute(statement).await.unwrap();
        }
        ground
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = command(arguments, &self.variables).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn listens(&self) {
        let client = self.server.client().await;
        client.batch_execute("ALTER SYSTEM SET auto_explain.log_min_duration = 0").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// The label of each question that was asked so far, with the blocks that it touched at most.
    fn asked(&self) -> BTreeMap<String, u64> {
        let (log, mut asked) = (self.server.log(), BTreeMap::new());
        let mut lines = log.lines().peekable();
        while let Some(line) = lines.next() {
            if !line.ends_with(" plan:") {
                continue;
            }
            let mut plan = String::new();
            while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
                plan.push_str(more);
            }
            // The last one may not be written to its end yet.
            let Ok(plan) = serde_json::from_str::<Value>(&plan.replace('\t', " ")) else { continue };
            let text = plan["Query Text"].as_str().unwrap().trim_start().trim_start_matches("/*").trim_start();
            let label = text.split_whitespace().next().unwrap_or_default().to_owned();
            let of = |name: &str| plan["Plan"][name].as_u64().unwrap_or(0);
            let blocks = asked.entry(label).or_default();
            *blocks = of("Shared Hit Blocks").saturating_add(of("Shared Read Blocks")).max(*blocks);
        }
        asked
    }
}

async fn look(browser: &Browser<'_>, pages: &[&str]) {
    for page in pages {
        let answer = browser.get(&format!("/admin{page}")).await.expect(200);
        assert!(answer.body.len() <= LONGEST, "{page}: {} bytes", answer.body.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_and_no_loop_beside_it_asks_much_of_the_database() {
    let ground = Ground::new().await;
    let key = ground.run(&["credentials", "create", "--tenant", "demo-1", "--label", "t", "--scopes", "all admin:*"]);
    let word = |name: &str| {
        let line = key.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_else(|| panic!("{key}"));
        line.trim().to_owned()
    };
    let operator = Browser::at(&ground.service.url, "key", "a-secret").await;
    let administrator = Browser::at(&ground.service.url, &word("key"), &word("secret")).await;
    // Once before anybody listens: what a connection learns of its tables it learns once.
    look(&operator, &OF_THE_INSTALLATION).await;
    look(&administrator, &OF_A_TENANT).await;
    ground.listens().await;
    for _ in 0..3 {
        look(&operator, &OF_THE_INSTALLATION).await;
        look(&administrator, &OF_A_TENANT).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let asked = patience::until("what the pages ask", async || {
        let asked = ground.asked();
        let wanted = ["jobs::list", "partitions::weights", "sessions::find"];
        if wanted.iter().all(|label| asked.contains_key(*label)) { Ok(asked) } else { Err(format!("{asked:?}")) }
    })
    .await;
    assert!(asked.len() > 30, "{asked:?}");
    let much: Vec<_> = asked.iter().filter(|(_, blocks)| **blocks > MOST_BLOCKS).collect();
    assert!(much.is_empty(), "{much:?}");
}
