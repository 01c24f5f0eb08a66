//! Tenants that move between two cells, each a database of its own: while their clients write, back and forth, and for good.

pub mod cells;
mod cuts;
mod old_cuts;
mod old_months;
mod told;
mod trouble;

use std::{collections::BTreeSet, time::Duration};

use progress_service::store::platform::carried::{LEFT, TABLES};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use self::cells::{Cells, Client, SAME, said_by, statement};
use crate::support::{app::send, patience, process::command};

async fn same_on_both(cells: &Cells, what: &[&str]) {
    for table in what {
        assert_eq!(cells.rows(&cells.one, table).await, cells.rows(&cells.two, table).await, "{table}");
    }
}

on_each_server! {
    async fn a_tenant_moves_while_its_clients_write_and_comes_back(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let id = cells.noted();
        let client = Client::start(&cells, 1_000);
        let started = cells.act("start", &id);
        assert_eq!(started["outcome"]["state"], json!("verified"), "{started}");
        let switched = cells.act("switch", &id);
        assert_eq!(switched["outcome"]["state"], json!("switched"), "{switched}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let n = client.end().await;
        assert!(n > 1_000, "the client wrote {}", n - 1_000);

        // Nothing is lost or doubled, and in its order.
        let all = cells.statements(&cells.two).await;
        assert_eq!(all.len() as u32, 300 + (n - 1_000), "the voided one is not shown, the voiding is");
        let away = send(cells.ask(&cells.one, Method::GET, "/xapi/statements")).await.expect(421);
        assert_eq!((away.header("x-progress-cell"), away.header("x-progress-cell-endpoint")), ("two", cells.two.url.as_str()));
        assert!(away.text().contains("urn:progress:problem:tenant-moved"), "{}", away.text());
        let home = cells.one.get(&format!("/api/v1/admin/residency/homes/{}", cells.tenant)).await.expect(200).json();
        assert_eq!((&home["standing"], &home["cell"]), (&json!("away"), &json!("two")));
        // Attempts go on as what they were: one for each learner and course, on both sides the same names.
        cells.settled(&cells.two).await;
        let names = |rows: Vec<String>| -> Vec<String> { rows.iter().map(|row| row.split(',').nth(1).unwrap().to_owned()).collect() };
        let (here, there) = (cells.rows(&cells.one, "progress.attempt_names").await, cells.rows(&cells.two, "progress.attempt_names").await);
        assert_eq!(names(here), names(there));

        let report: Value = {
            let line = format!("residency report {id}");
            let words: Vec<&str> = line.split(' ').collect();
            let output = command(&words, &cells.variables).output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
        };
        let entry: Value = serde_json::from_str(report["entry"].as_str().unwrap()).unwrap();
        let text = entry.to_string();
        assert!(text.contains("residency.report") && text.contains("verbs/completed"), "{text}");

        // And back, with what the other cell took.
        let client = Client::start(&cells, n);
        let back = cells.act("reverse", &id);
        assert_eq!(back["outcome"]["state"], json!("returned"), "{back}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        let m = client.end().await;
        assert!(m > n);
        assert_eq!(cells.statements(&cells.one).await.len() as u32, 300 + (m - 1_000));
        send(cells.ask(&cells.two, Method::GET, "/xapi/statements")).await.expect(421);

        // Again, for good.
        let id = cells.noted();
        cells.act("start", &id);
        cells.act("switch", &id);
        cells.settled(&cells.two).await;
        let asked = cells.done(&format!("residency purge {id} --apply --by ann"));
        assert_eq!((&asked["purgeAskedBy"], &asked["state"]), (&json!("ann"), &json!("switched")));
        let again = cells.done(&format!("residency purge {id} --apply --by ann"));
        assert_eq!(again["state"], json!("switched"), "one person is not two");
        let purged = cells.done(&format!("residency purge {id} --apply --by bob"));
        assert_eq!(purged["outcome"]["state"], json!("purged"), "{purged}");
        for table in SAME {
            assert_eq!(cells.rows(&cells.one, table).await, Vec::<String>::new(), "{table}");
        }
        assert_eq!(cells.done(&format!("residency status {id}"))["rowsHere"], json!(0));
        assert_eq!(cells.statements(&cells.two).await.len() as u32, 300 + (m - 1_000));
        send(cells.ask(&cells.one, Method::GET, "/xapi/statements")).await.expect(421);
    }

    async fn what_moved_is_the_same_to_the_byte(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let before = cells.statements(&cells.one).await;
        let id = cells.noted();
        cells.act("start", &id);
        // What comes meanwhile, and what goes, is brought by the next round.
        let path = "/xapi/activities/state?activityId=http%3A%2F%2Flms.example%2Fcourse%2F1";
        let agent = r#"{"mbox":"mailto:ann@x.example"}"#;
        send(cells.ask(&cells.one, Method::DELETE, &format!("{path}&stateId=s1")).query(&[("agent", agent)])).await.expect(204);
        let changed = cells.ask(&cells.one, Method::PUT, &format!("{path}&stateId=s2")).query(&[("agent", agent)]);
        let etag = send(cells.ask(&cells.one, Method::GET, &format!("{path}&stateId=s2")).query(&[("agent", agent)])).await.expect(200);
        send(changed.header("If-Match", etag.header("etag")).json(&json!({"n": "changed"}))).await.expect(204);
        cells.act("verify", &id);
        cells.act("switch", &id);
        same_on_both(&cells, &SAME).await;
        assert_eq!(cells.statements(&cells.two).await, before);
        let (here, there) = (cells.rows(&cells.one, "platform.credentials").await, cells.rows(&cells.two, "platform.credentials").await);
        assert_eq!(here, there, "keys and the hashes of their secrets");
        // The trail is told again, each entry once, with where it came from.
        let client = cells.two.db.superuser().await;
        let sql = "SELECT count(*), count(DISTINCT detail -> 'movedFrom' ->> 'entry') FROM platform.audit
            WHERE tenant_id = $1 AND detail ? 'movedFrom'";
        let row = client.query_one(sql, &[&cells.tenant]).await.unwrap();
        assert!(row.get::<_, i64>(0) > 3 && row.get::<_, i64>(0) == row.get::<_, i64>(1));
        // New statements go on where the old ones ended: each is told and projected once.
        let told = cells.rows(&cells.two, "progress.attempt_statements").await.len();
        cells.statements(&cells.two).await;
        cells.post(&cells.two, &json!([statement(301)])).await.expect(200);
        cells.settled(&cells.two).await;
        assert_eq!(cells.rows(&cells.two, "progress.attempt_statements").await.len(), told + 1);
    }

    async fn a_move_that_is_cancelled_leaves_nothing_behind(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let before = cells.statements(&cells.one).await;
        let id = cells.noted();
        cells.act("start", &id);
        assert_eq!(cells.rows(&cells.two, "ledger.statements").await.len(), 301);
        let arriving = send(cells.ask(&cells.two, Method::GET, "/xapi/statements")).await.expect(503);
        assert_eq!(arriving.header("retry-after"), "1");
        let cancelled = cells.act("cancel", &id);
        assert_eq!(cancelled["outcome"]["state"], json!("cancelled"), "{cancelled}");
        for table in SAME {
            assert_eq!(cells.rows(&cells.two, table).await, Vec::<String>::new(), "{table}");
        }
        assert_eq!(cells.statements(&cells.one).await, before);
        cells.post(&cells.one, &json!([statement(400)])).await.expect(200);
        // Another one can begin.
        let id = cells.noted();
        cells.act("start", &id);
        cells.act("switch", &id);
        assert_eq!(cells.statements(&cells.two).await.len(), 301);
    }

    async fn the_database_itself_refuses_a_writer_that_slept_through_it(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let client = cells.one.db.service().await;
        let begin = format!("BEGIN; SET LOCAL ROLE progress_service; SET LOCAL app.tenant_id = '{}'", cells.tenant);
        let write = "INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest)
            VALUES (current_setting('app.tenant_id')::uuid, gen_random_uuid(), now(), sha256('x'))";
        client.batch_execute(&format!("{begin}; {write}")).await.unwrap();
        let id = cells.noted();
        cells.act("start", &id);
        // A transaction that was let in is waited for: the switch ends behind it, not before.
        let switching = tokio::task::spawn_blocking({
            let (variables, line) = (cells.variables.clone(), format!("residency switch {id} --apply --json"));
            move || command(&line.split(' ').collect::<Vec<_>>(), &variables).output().unwrap()
        });
        let eyes = cells.one.db.superuser().await;
        patience::until("the freeze", async || {
            let row = eyes.query_one("SELECT state FROM platform.moves", &[]).await.unwrap();
            let state: String = row.get(0);
            if state == "frozen" { Ok(()) } else { Err(state) }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let state: String = eyes.query_one("SELECT state FROM platform.moves", &[]).await.unwrap().get(0);
        assert_eq!(state, "frozen", "who was let in is waited for");
        client.batch_execute("ROLLBACK").await.unwrap();
        let done = switching.await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let late = client.batch_execute(&format!("{begin}; {write}")).await.unwrap_err();
        let late = late.as_db_error().unwrap();
        assert!(late.code().code() == "42501" && late.message().contains("at_home"), "{late:?}");
        client.batch_execute("ROLLBACK").await.unwrap();
    }

    async fn what_cannot_move_says_why(db: TestDatabase) {
        let cells = Cells::start(db).await;
        assert!(cells.refused("residency plan --tenant acme --to three").contains("three"));
        assert!(cells.refused("residency plan --tenant nobody --to two").contains("tenant"));
        assert!(cells.refused("residency plan --tenant default --to two").contains("operators"));
        assert!(cells.refused(&format!("residency status {}", Uuid::nil())).contains("no such move"));
        said_by(&cells).await;
        cells.two.post_statements(&json!([statement(1)])).await.expect(200);
        assert!(cells.refused("residency join --cell two --apply").contains("not new"));
        // Another tenant of the name, and one of the id.
        cells.two.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201);
        let why = cells.refused("residency plan --tenant acme --to two");
        assert!(why.contains("is another tenant's there"), "{why}");
        assert!(cells.refused("residency plan --tenant acme --to two --apply").contains("the move cannot begin"));
    }

    async fn every_table_of_a_tenant_goes_along_or_says_why_not(db: TestDatabase) {
        let sql = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('platform', 'ledger', 'progress') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') ORDER BY 1";
        let found: BTreeSet<String> =
            db.superuser().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        let statements = ["ledger.statements", "ledger.relations"];
        let known: Vec<&str> =
            TABLES.iter().map(|one| one.table).chain(LEFT.iter().map(|(table, _)| *table)).chain(statements).collect();
        let all: BTreeSet<String> = known.iter().map(|table| (*table).to_owned()).collect();
        assert_eq!((all.len(), &found), (known.len(), &all), "each once; what is new needs a line in store/platform/carried.rs");
    }

    async fn a_command_of_another_service_moves_a_tenant(db: TestDatabase) {
        let cells = Cells::start(db).await;
        said_by(&cells).await;
        let client = cells.one.db.superuser().await;
        let ask = async |request: &str, region: &str| {
            let data = json!({"changeId": request, "toRegion": region}).to_string();
            let sql = "INSERT INTO progress.saga_requests (tenant_id, kind, request_id, data, source, event_id)
                VALUES ($1, 'residency', $2, $3, '/tenants', $2)";
            client.execute(sql, &[&cells.tenant, &request, &data]).await.unwrap();
        };
        let answered = async |request: &str| -> Value {
            patience::until("an answer", async || {
                let sql = "SELECT data FROM progress.outbox WHERE tenant_id = $1 AND type = 'progress.residency.acknowledged.v1' AND key = $2";
                let row = client.query_opt(sql, &[&cells.tenant, &request]).await.unwrap();
                row.map(|row| serde_json::from_str(row.get(0)).unwrap()).ok_or("nothing yet")
            })
            .await
        };
        ask("c0", "one").await;
        assert_eq!(answered("c0").await["status"], json!("unchanged"));
        ask("c1", "nowhere").await;
        let refused = answered("c1").await;
        assert!(refused["status"] == json!("refused") && refused["reason"].as_str().unwrap().contains("nowhere"), "{refused}");
        ask("c2", "two").await;
        let moved = answered("c2").await;
        assert_eq!((&moved["status"], &moved["cell"]), (&json!("moved"), &json!("two")), "{moved}");
        assert_eq!(cells.statements(&cells.two).await.len(), 300);
    }
}
