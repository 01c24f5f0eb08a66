//! What may come between: somebody is erased, the other cell goes away while writers wait, and whoever moves the tenant is killed.

use std::{process::Stdio, time::Duration};

use reqwest::Method;
use serde_json::json;

use super::cells::{Cells, SAME, said_by, statement};
use crate::support::{app::send, patience, process::command};

/// Kills come so many milliseconds after a command began.
const CUTS: [u64; 6] = [40, 120, 250, 400, 700, 1_100];

pub async fn state(cells: &Cells) -> String {
    let sql = "SELECT state FROM platform.moves ORDER BY created_at DESC LIMIT 1";
    cells.one.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// How often its writers had to wait.
pub async fn freezes(cells: &Cells) -> i64 {
    let sql =
        "SELECT count(*) FROM platform.audit WHERE action = 'residency.step' AND detail ->> 'standing' = 'frozen'";
    cells.one.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
}

on_each_server! {
    async fn what_became_another_there_is_mended_or_stops_the_move_before_anybody_waits(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let silent = |last_word: &str| format!("INSERT INTO progress.silences
            SELECT tenant_id, id, gen_random_uuid(), 'epoch', '{last_word}' FROM progress.attempts");
        cells.one.db.superuser().await.execute(&silent("epoch"), &[]).await.unwrap();
        let id = cells.noted();
        cells.act("start", &id);
        let there = cells.two.db.superuser().await;
        let damage = async |sql: &str| assert!(there.execute(sql, &[]).await.unwrap() > 0, "{sql}");
        // Nobody may change this, and so the move cannot.
        damage("UPDATE progress.silences SET stored = '2000-01-01'").await;
        let why = cells.refused(&format!("residency switch {id} --apply"));
        assert!(why.contains("a row of progress.silences is not the same there: {"), "{why}");
        assert_eq!((freezes(&cells).await, state(&cells).await.as_str()), (0, "copying"));
        cells.post(&cells.one, &json!([statement(400)])).await.expect(200);

        damage("UPDATE progress.silences SET stored = 'epoch'").await;
        cells.act("start", &id);
        let one = "(SELECT min(id) FROM progress.attempts)";
        damage(&format!("UPDATE progress.attempts SET started_at = 'epoch' WHERE id = {one}")).await;
        damage(&format!("DELETE FROM progress.attempt_statements WHERE attempt_id = {one}")).await;
        damage(&silent("2000-01-01")).await;
        cells.act("switch", &id);
        for table in SAME.iter().chain(&["progress.silences"]) {
            assert_eq!(cells.rows(&cells.one, table).await, cells.rows(&cells.two, table).await, "{table}");
        }
    }

    async fn what_comes_with_the_last_writer_is_compared_too(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let (there, eyes) = (cells.two.db.superuser().await, cells.one.db.superuser().await);
        // Nobody but who moves the tenant puts rows there; these triggers make other rows of them, and more.
        let falsifies = |what: &str| format!("CREATE OR REPLACE FUNCTION public.falsify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF pg_trigger_depth() = 1 THEN {what} END IF; RETURN NEW; END $$");
        for what in [
            "NEW.stored := NEW.stored + interval '1 day';",
            "INSERT INTO progress.silences VALUES (NEW.tenant_id, NEW.attempt_id, gen_random_uuid(), NEW.stored, '2001-01-01');",
        ] {
            there.batch_execute(&falsifies(what)).await.unwrap();
            there.batch_execute("DROP TRIGGER IF EXISTS falsify ON progress.silences;
                CREATE TRIGGER falsify BEFORE INSERT ON progress.silences FOR EACH ROW EXECUTE FUNCTION public.falsify()").await.unwrap();
            let id = cells.noted();
            cells.act("start", &id);
            let writer = cells.one.db.superuser().await;
            let writes = "BEGIN; INSERT INTO progress.silences SELECT tenant_id, id, gen_random_uuid(), 'epoch', clock_timestamp()
                FROM progress.attempts ORDER BY id LIMIT 1";
            writer.batch_execute(writes).await.unwrap();
            let switching = tokio::task::spawn_blocking({
                let (variables, line) = (cells.variables.clone(), format!("residency switch {id} --apply --json"));
                move || command(&line.split(' ').collect::<Vec<_>>(), &variables).output().unwrap()
            });
            patience::until("the freeze", async || match state(&cells).await {
                frozen if frozen == "frozen" => Ok(()),
                other => Err(other),
            })
            .await;
            writer.batch_execute("COMMIT").await.unwrap();
            let done = switching.await.unwrap();
            let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
            if what.starts_with("NEW") {
                assert!(!done.status.success() && said.contains("a row of progress.silences is not the same there"), "{said}");
                assert_eq!(state(&cells).await, "copying");
                // A node may remember for a moment that the tenant was frozen.
                patience::until("it is served where it was", async || {
                    match cells.post(&cells.one, &json!([statement(400)])).await {
                        served if served.status == 200 => Ok(()),
                        other => Err(other.text()),
                    }
                })
                .await;
                cells.act("cancel", &id);
                eyes.batch_execute("DELETE FROM progress.silences").await.unwrap();
            } else {
                assert!(done.status.success(), "{said}");
                for table in SAME.iter().chain(&["progress.silences"]) {
                    assert_eq!(cells.rows(&cells.one, table).await, cells.rows(&cells.two, table).await, "{table}");
                }
            }
        }
    }

    async fn who_is_erased_meanwhile_never_arrives(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let id = cells.noted();
        cells.act("start", &id);
        cells.done("erasure request --tenant acme --account https://lms.example|learner-3 --apply");
        let why = cells.refused(&format!("residency switch {id} --apply"));
        assert!(why.contains("somebody was erased"), "{why}");
        assert_eq!(freezes(&cells).await, 0, "nobody waits for what cannot be");
        cells.post(&cells.one, &json!([statement(400)])).await.expect(200);
        assert_eq!(state(&cells).await, "copying", "it is served where it was");
        cells.act("cancel", &id);
        let id = cells.noted();
        cells.act("start", &id);
        cells.act("switch", &id);
        let there = cells.statements(&cells.two).await;
        assert!(there.len() > 200 && !json!(there).to_string().contains("learner-3"));
    }

    async fn a_cell_that_goes_away_lets_nobody_wait(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let id = cells.noted();
        cells.act("start", &id);
        // Somebody who is let in keeps the freeze waiting until the other cell is gone.
        let writer = cells.one.db.service().await;
        let begin = format!("BEGIN; SET LOCAL ROLE progress_service; SET LOCAL app.tenant_id = '{}'", cells.tenant);
        writer.batch_execute(&format!("{begin}; DELETE FROM ledger.documents WHERE document_id = 'nothing'")).await.unwrap();
        let (variables, line) = (cells.variables.clone(), format!("residency switch {id} --apply --json"));
        let switching = tokio::task::spawn_blocking(move || {
            command(&line.split(' ').collect::<Vec<_>>(), &variables).output().unwrap()
        });
        patience::until("the freeze", async || {
            let state = state(&cells).await;
            if state == "frozen" { Ok(()) } else { Err(state) }
        })
        .await;
        send(cells.ask(&cells.one, Method::GET, "/xapi/statements")).await.expect(200);
        let postgres = cells.one.db.superuser().await;
        let (name, gates) = (cells.two.db.name().to_owned(), ["false", "true"]);
        let gate = async |open: &str| {
            let sql = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {open}");
            postgres.batch_execute(&sql).await.unwrap();
        };
        gate(gates[0]).await;
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        postgres.query(sql, &[&name]).await.unwrap();
        writer.batch_execute("COMMIT").await.unwrap();
        patience::until("a write", async || {
            let answer = cells.post(&cells.one, &json!([statement(500)])).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        })
        .await;
        let done = switching.await.unwrap();
        assert!(!done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        gate(gates[1]).await;
        // Once it is back the move goes on from where it was.
        cells.act("start", &id);
        cells.act("switch", &id);
        assert_eq!(cells.statements(&cells.two).await.len(), 301);
    }
}

on_the_newest_server! {
    async fn whoever_moves_it_is_killed_again_and_again(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        // From here on commands do the work: there is no service whose job it is.
        cells.one.stop_loops().await;
        let id = cells.noted();
        for act in ["start", "switch"] {
            for after in CUTS {
                let words = format!("residency {act} {id} --apply --json");
                let mut child = command(&words.split(' ').collect::<Vec<_>>(), &cells.variables)
                    .stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                tokio::time::sleep(Duration::from_millis(after)).await;
                child.kill().unwrap();
                child.wait().unwrap();
                assert!(homes(&cells).await <= 1, "two cells serve it after {after} ms of {act}");
                forget_leases(&cells).await;
            }
            if act == "start" || state(&cells).await != "switched" {
                cells.act(act, &id);
            }
        }
        assert_eq!((state(&cells).await.as_str(), homes(&cells).await), ("switched", 1));
        for table in SAME {
            assert_eq!(cells.rows(&cells.one, table).await, cells.rows(&cells.two, table).await, "{table}");
        }
    }
}

/// In how many cells the tenant is served.
pub async fn homes(cells: &Cells) -> usize {
    let mut homes = 0;
    for cell in [&cells.one, &cells.two] {
        let sql =
            "SELECT t.tenant_id IS NOT NULL AND coalesce(r.standing, 'home') = 'home' FROM (SELECT $1::uuid AS id) x
            LEFT JOIN platform.tenants t ON t.tenant_id = x.id LEFT JOIN platform.residences r ON r.tenant_id = x.id";
        homes +=
            usize::from(cell.db.superuser().await.query_one(sql, &[&cells.tenant]).await.unwrap().get::<_, bool>(0));
    }
    homes
}

/// As if the time of a dead process's lease had run out.
async fn forget_leases(cells: &Cells) {
    let sql = "UPDATE platform.leases SET expires_at = '-infinity'";
    cells.one.db.superuser().await.batch_execute(sql).await.unwrap();
}
