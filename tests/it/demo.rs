//! `demo seed` and `demo clear`: a past that is whole, the same for the same seed, and gone without a trace of it elsewhere.

use std::collections::BTreeMap;

use progress_service::{
    model::{TenantId, partition::Month},
    store::ledger::fills::Parents,
};
use serde_json::Value;
use tokio_postgres::Client;

use crate::support::{
    patience,
    pg::TestDatabase,
    process::{Process, command},
};

fn variables(db: &TestDatabase) -> BTreeMap<String, String> {
    [("PROGRESS_DATABASE_URL", db.service_url()), ("PROGRESS_DATABASE_MIGRATION_URL", db.owner_url())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// What a command says on its last line; it has to succeed.
fn done(db: &TestDatabase, arguments: &[&str]) -> Value {
    let output = command(arguments, &variables(db)).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap_or_default()
}

/// Why a command fails.
fn refused(db: &TestDatabase, arguments: &[&str]) -> String {
    let output = command(arguments, &variables(db)).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

const SEED: [&str; 11] =
    ["demo", "seed", "--tenants", "2", "--statements", "2500", "--months", "3", "--until", "2026-03", "--json"];

fn seed(more: &[&'static str]) -> Vec<&'static str> {
    SEED.iter().chain(more).copied().collect()
}

async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

/// Everything that a seeding makes, without what is another one each time: who it is for, and when it was done.
async fn made(client: &Client) -> String {
    let sql = "SELECT md5(string_agg(line, '|' ORDER BY line)) FROM (
        SELECT t.name || s.id || s.stored || s.payload || s.voiding AS line FROM ledger.statements s JOIN platform.tenants t USING (tenant_id)
        UNION ALL SELECT t.name || i.id || encode(i.digest, 'hex') FROM ledger.statement_ids i JOIN platform.tenants t USING (tenant_id)
        UNION ALL SELECT t.name || r.target_id || r.referrer_id || r.voids FROM ledger.refs r JOIN platform.tenants t USING (tenant_id)
        UNION ALL SELECT t.name || r.referrer_id || r.reached_id FROM ledger.reaches r JOIN platform.tenants t USING (tenant_id)
        UNION ALL SELECT t.name || count(*) || r.stored FROM ledger.relations r JOIN platform.tenants t USING (tenant_id) GROUP BY t.name, r.stored
        UNION ALL SELECT t.name || d.document_id || encode(d.content, 'hex') || d.updated_at FROM ledger.documents d JOIN platform.tenants t USING (tenant_id)
        UNION ALL SELECT t.name || encode(a.sha2, 'hex') FROM ledger.attachments a JOIN platform.tenants t USING (tenant_id)
        UNION ALL SELECT t.name || a.iri || coalesce(a.definition, '') FROM ledger.activities a JOIN platform.tenants t USING (tenant_id)
        UNION ALL SELECT t.name || a.state || a.started_at FROM progress.attempts a JOIN platform.tenants t USING (tenant_id)) made";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

const TABLES: [&str; 16] = [
    "ledger.statements",
    "ledger.relations",
    "ledger.statement_ids",
    "ledger.refs",
    "ledger.reaches",
    "ledger.agents",
    "ledger.activities",
    "ledger.verbs_seen",
    "ledger.documents",
    "ledger.attachments",
    "ledger.attachment_pieces",
    "ledger.attachment_bringers",
    "progress.attempts",
    "progress.attempt_statements",
    "progress.completion_records",
    "progress.scores",
];

/// A statement of the default tenant, in this month.
async fn real(client: &Client, month: &str) {
    let sql = format!("SELECT ledger.ensure_month('{month}-01Z');
        INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, voiding, converts, payload)
        VALUES ('00000000-0000-4000-8000-000000000001', gen_random_uuid(), '{month}-09Z', gen_random_uuid(), false, false, '{{}}')");
    client.batch_execute(&sql).await.unwrap();
}

on_each_server! {
    async fn a_past_is_planned_made_whole_and_cleared(db: TestDatabase) {
        let eyes = db.superuser().await;
        let plan = done(&db, &SEED);
        assert_eq!((&plan["statements"], &plan["from"]), (&2_500.into(), &"2026-01".into()));
        assert!(plan["estimatedBytes"].as_u64() > Some(1_000_000));
        assert_eq!(count(&eyes, "platform.tenants").await, 1, "a plan makes nothing");

        assert_eq!(done(&db, &seed(&["--apply"]))["new"], 2_500);
        for table in TABLES {
            assert!(count(&eyes, table).await > 0, "{table}");
        }
        assert_eq!(count(&eyes, "ledger.partitions").await, 3);
        assert_eq!(count(&eyes, "ledger.refs WHERE NOT settled").await, 0);
        assert_eq!(count(&eyes, "progress.outbox").await, 0, "nobody is told");
        assert_eq!(count(&eyes, "(SELECT DISTINCT tenant_id, stored FROM ledger.statements) s").await, 2_500);
        let verified = command(&["projections", "verify", "--json"], &variables(&db)).output().unwrap();
        assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));

        let first = made(&eyes).await;
        let again = done(&db, &seed(&["--apply"]));
        assert_eq!((&again["new"], &again["same"]), (&0.into(), &2_500.into()));
        assert_eq!(made(&eyes).await, first);

        let planned = done(&db, &["demo", "clear", "--json"]);
        assert_eq!((&planned["statements"], &planned["cleared"]), (&2_500.into(), &false.into()));
        assert_eq!(count(&eyes, "ledger.statements").await, 2_500);
        done(&db, &["demo", "clear", "--apply", "--json"]);
        for table in TABLES.iter().chain(&["ledger.partitions", "ledger.links_due", "progress.attempt_names"]) {
            assert_eq!(count(&eyes, table).await, 0, "{table}");
        }
        assert_eq!(count(&eyes, "platform.audit WHERE action IN ('demo.seed', 'demo.clear')").await, 3);
        assert_eq!(count(&eyes, "pg_class WHERE relname ~ '_2026_0[123]$' AND relkind = 'r'").await, 0);

        assert_eq!(done(&db, &seed(&["--apply"]))["new"], 2_500, "and it is made again");
        assert_eq!(made(&eyes).await, first);
    }

    async fn what_is_somebody_elses_is_left_alone(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        real(&eyes, "2026-02").await;
        let why = refused(&db, &seed(&["--apply"]));
        assert!(why.contains("2026-02") && why.contains("--until"), "{why}");
        let why = refused(&db, &["demo", "seed", "--until", "2999-01"]);
        assert!(why.contains("not over"), "{why}");
        assert_eq!(count(&eyes, "platform.tenants").await, 1);

        // A tenant of that name that was made by hand.
        eyes.batch_execute("INSERT INTO platform.tenants (tenant_id, name) VALUES ('00000000-0000-4000-8000-0000000000d1', 'demo-1')").await.unwrap();
        let earlier = ["demo", "seed", "--statements", "500", "--months", "2", "--until", "2025-12", "--apply", "--json"];
        assert!(refused(&db, &earlier).contains("left alone"));
        for call in ["ledger.mark_demo_tenant('00000000-0000-4000-8000-0000000000d1')", "ledger.mark_demo_tenant('00000000-0000-4000-8000-000000000001')",
                     "ledger.clear_demo_tenant('00000000-0000-4000-8000-000000000001', 100)", "ledger.drop_demo_month('2026-02-01Z')"] {
            let refused = eyes.batch_execute(&format!("BEGIN; SET LOCAL ROLE progress_worker; SELECT {call}")).await;
            assert!(refused.is_err(), "{call}");
            eyes.batch_execute("ROLLBACK").await.unwrap();
        }
        // Nor does the owner come by rows of those who are no demo.
        let owner = db.owner().await;
        for table in ["statement_ids", "agents", "refs"] {
            let gone = owner.execute(&format!("DELETE FROM ledger.{table}"), &[]).await.unwrap();
            assert_eq!(gone, 0, "{table}");
        }
        eyes.batch_execute("UPDATE platform.tenants SET name = 'mine' WHERE name = 'demo-1'").await.unwrap();

        // A month of the demo that somebody has put something into.
        done(&db, &earlier);
        let month: Month = "2025-12".parse().unwrap();
        real(&eyes, "2025-12").await;
        let why = refused(&db, &["demo", "clear", "--apply"]);
        assert!(why.contains("2025-12") && why.contains("nothing was done"), "{why}");
        assert_eq!(store.drop_demo_month(month).await.unwrap_err().code(), Some("55006"));
        assert_eq!(count(&eyes, "ledger.statement_ids").await, 500);
        assert_eq!(store.other_in_month(month).await.unwrap(), Some(TenantId::DEFAULT));
        assert_eq!(count(&eyes, "ledger.statements").await, 502);
    }

    async fn what_went_to_the_archive_is_not_cleared(db: TestDatabase) {
        let (eyes, folder) = (db.superuser().await, tempfile::tempdir().unwrap());
        done(&db, &seed(&["--apply"]));
        let mut variables = variables(&db);
        variables.insert("PROGRESS_ARCHIVE_URL".to_owned(), format!("file://{}", folder.path().display()));
        for verb in ["partitions seal", "archive run"] {
            let arguments: Vec<&str> = verb.split(' ').chain(["--month", "2026-02", "--apply"]).collect();
            let output = command(&arguments, &variables).output().unwrap();
            assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
        }
        for arguments in [&["demo", "clear", "--apply"][..], &["demo", "clear"]] {
            let why = refused(&db, arguments);
            assert!(why.contains("2026-02 went to the archive") && why.contains("nothing is cleared"), "{why}");
        }
        assert_eq!(count(&eyes, "ledger.statement_ids").await, 2_500);
    }

    async fn who_is_killed_on_the_way_goes_on(db: TestDatabase) {
        let eyes = db.superuser().await;
        let arguments = seed(&["--apply"]);
        for wanted in [1_i64, 900, 1_700] {
            let mut process = Process::start(command(&arguments, &variables(&db)));
            patience::until("some of it is copied", async || {
                let ids = count(&eyes, "ledger.statement_ids").await;
                if ids >= wanted || !process.is_running() { Ok(()) } else { Err(ids) }
            }).await;
            process.kill();
        }
        done(&db, &arguments);
        assert_eq!(count(&eyes, "ledger.statements").await, 2_500);
        let whole = TestDatabase::new(db.server()).await;
        done(&whole, &arguments);
        assert_eq!(made(&eyes).await, made(&whole.superuser().await).await, "as if nobody had been killed");
        done(&db, &["demo", "clear", "--apply", "--json"]);
        assert_eq!(count(&eyes, "ledger.statement_ids").await, 0);
    }

    async fn what_was_broken_off_is_cleared_too(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        let mut process = Process::start(command(&seed(&["--apply"]), &variables(&db)));
        patience::until("some of it is copied", async || {
            let ids = count(&eyes, "ledger.statement_ids").await;
            if ids > 0 || !process.is_running() { Ok(()) } else { Err(ids) }
        }).await;
        process.kill();
        // A month that somebody else fills stays as it is.
        let fill = store.begin_month("2025-05".parse().unwrap(), Parents::Hot).await.unwrap();
        eyes.batch_execute("INSERT INTO ledger.filling_statements_2025_05 (tenant_id, id, stored, verb_key, voiding, converts, payload)
            VALUES ('00000000-0000-4000-8000-000000000001', gen_random_uuid(), '2025-05-09Z', gen_random_uuid(), false, false, '{}')").await.unwrap();
        done(&db, &["demo", "clear", "--apply", "--json"]);
        assert_eq!((count(&eyes, "ledger.statements").await, count(&eyes, "ledger.statement_ids").await), (0, 0));
        assert_eq!(store.months_begun().await.unwrap().len(), 1);
        store.abandon_month(&fill).await.unwrap();
    }
}
