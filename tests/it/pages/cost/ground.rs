//! What is looked at: a server that tells of every question, and a service over a past of as many statements as one wants.

use std::{collections::BTreeMap, time::Instant};

use serde_json::Value;

use crate::support::{
    pgproc::PgServer,
    process::{Service, command},
    settings,
};

/// Statements there are at least; a longer proof names more in `TEST_SOAK_STATEMENTS`.
const STATEMENTS: u64 = 1_000_000;
/// Of them those that are told one by one; the others are copies of them, made by the database.
const TOLD: u64 = 5_000;

/// As many as somebody leaves behind in years.
const LEFT_BEHIND: &str = "
    INSERT INTO platform.jobs (job_id, kind, state, requested_by, request, created_at, finished_at)
        SELECT gen_random_uuid(), 'archive.verify', 'succeeded', 'ann', '{}', at, at
        FROM generate_series(1, 10000) n, LATERAL (SELECT now() - n * interval '1 minute') AS moments (at);
    INSERT INTO platform.audit (tenant_id, actor, action, subject, detail)
        SELECT t.tenant_id, 'ann', 'read.document', 'a document', '{}' FROM platform.tenants t, generate_series(1, 10000);
    INSERT INTO platform.credentials (credential_id, tenant_id, api_key, secret_hash, scopes, label, registration, launch_actor, created_at, expires_at)
        SELECT gen_random_uuid(), t.tenant_id, md5(t.tenant_id::text || n), 'x', '{state}', '', gen_random_uuid(),
               '{\"mbox\": \"mailto:ann@example.org\"}', now() - n * interval '1 second', now() + interval '4 hours'
        FROM platform.tenants t, generate_series(1, 10000) n;
    VACUUM ANALYZE";

/// Settings of a server that is filled in a hurry and forgotten, and that can tell what each question cost.
const SETTINGS: [&str; 9] = [
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "max_wal_size = '4GB'",
    "maintenance_work_mem = '512MB'",
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_analyze = on",
    "auto_explain.log_timing = off",
    "auto_explain.log_format = 'json'",
];

pub struct Ground {
    pub server: PgServer,
    pub service: Service,
    variables: BTreeMap<String, String>,
}

impl Ground {
    pub async fn new() -> Self {
        let server = PgServer::start().await;
        let client = server.client().await;
        for setting in SETTINGS {
            client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
        }
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let url = server.url();
        let variables = [("PROGRESS_DATABASE_URL", url.as_str()), ("PROGRESS_DATABASE_MIGRATION_URL", url.as_str())];
        let service =
            Service::start(&[variables[0], variables[1], ("PROGRESS_BOOTSTRAP_CREDENTIAL", "key:a-secret")]).await;
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ground = Self { server, service, variables };
        ground.fill().await;
        ground
    }

    async fn fill(&self) {
        let wanted = settings::optional("TEST_SOAK_STATEMENTS").map_or(STATEMENTS, |count| count.parse().unwrap());
        let (told, began) = (wanted.min(TOLD), Instant::now());
        self.run(&["demo", "seed", "--tenants", "2", "--statements", &told.to_string(), "--months", "6", "--apply"]);
        let client = self.server.client().await;
        if let Some(copies) = wanted.div_ceil(told).checked_sub(1).filter(|copies| *copies > 0) {
            client.batch_execute(&include_str!("copies.sql").replace("{copies}", &copies.to_string())).await.unwrap();
        }
        for statement in LEFT_BEHIND.split(';') {
            client.batch_execute(statement).await.unwrap();
        }
        let count: i64 = client.query_one("SELECT count(*) FROM ledger.statements", &[]).await.unwrap().get(0);
        assert!(u64::try_from(count).unwrap() >= wanted / 100 * 99, "{count} of {wanted}");
        println!("{count} statements after {:.0} s", began.elapsed().as_secs_f64());
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        let output = command(arguments, &self.variables).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub async fn listens(&self) {
        let client = self.server.client().await;
        client.batch_execute("ALTER SYSTEM SET auto_explain.log_min_duration = 0").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    }

    /// The label of each question that was asked so far, with the blocks that it touched at most.
    pub fn asked(&self) -> BTreeMap<String, u64> {
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
