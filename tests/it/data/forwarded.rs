//! Statements that go on to another LRS: in order, filtered, all of them and none twice, whatever happens to the other side or to us.

use progress_service::{
    model::{Clock, Ids},
    store::progress::relay::Share,
};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{
    Desk, count,
    gate::{Gate, Mode},
};
use crate::support::{
    app::{KEY, SECRET, TestApp, send},
    http, patience,
    pg::{Server, TestDatabase},
    process::Service,
};

/// Two services, and what stands between them.
struct Pair {
    source: TestApp,
    target: TestApp,
    gate: Gate,
    desk: Desk,
}

fn id(n: u32) -> String {
    format!("55550000-0000-4000-8000-{n:012}")
}

/// Of three verbs and four activities.
fn of(n: u32) -> Value {
    json!({"id": id(n), "actor": {"mbox": format!("mailto:l{}@x.example", n % 5)}, "verb": {"id": format!("http://x.example/verb{}", n % 3)},
        "object": {"id": format!("http://x.example/activity{}", n % 4)}})
}

fn voiding(n: u32, target: u32) -> Value {
    json!({"id": id(n), "actor": {"mbox": "mailto:admin@x.example"}, "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": id(target)}})
}

async fn ids(client: &Client) -> Vec<String> {
    let sql = "SELECT id::text FROM ledger.statements ORDER BY stored";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn named(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(id).collect()
}

impl Pair {
    async fn start(db: TestDatabase) -> Self {
        let target = TestApp::start(TestDatabase::new(db.server()).await).await;
        let gate = Gate::before(&target.url).await;
        let targets = format!("partner {}/xapi {KEY}:{SECRET}", gate.url);
        let variables = [("PROGRESS_FORWARD_TARGETS", targets.as_str()), ("PROGRESS_FORWARD_BATCH_SIZE", "40")];
        let source = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        Self { source, target, gate, desk: Desk::new() }
    }

    /// Without loops: what is sent is sent by [`Pair::step`].
    async fn by_hand(db: TestDatabase) -> Self {
        let pair = Self::start(db).await;
        pair.source.stop_loops().await;
        pair
    }

    fn run(&self, line: &str) -> (bool, Value, String) {
        let mut command = self.desk.command(&self.source.db, &format!("forward {line} --json"));
        let targets = format!("partner {}/xapi {KEY}:{SECRET}", self.gate.url);
        let output = command.env("PROGRESS_FORWARD_TARGETS", targets).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let first = said.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        (output.status.success(), first, said + &String::from_utf8_lossy(&output.stderr))
    }

    #[track_caller]
    fn done(&self, line: &str) -> Value {
        let (is_done, first, all) = self.run(line);
        assert!(is_done, "{line}: {all}");
        first
    }

    #[track_caller]
    fn refused(&self, line: &str) -> String {
        let (is_done, _, all) = self.run(line);
        assert!(!is_done, "{line}: {all}");
        all
    }

    async fn post(&self, numbers: impl IntoIterator<Item = u32>) {
        let all: Vec<Value> = numbers.into_iter().map(of).collect();
        self.source.post_statements(&json!(all)).await.expect(200);
    }

    /// Sends until nothing more can be.
    async fn step(&self) {
        let forwarder = self.source.service().rooms.forwarder.clone();
        let stepping = crate::support::background::runtime()
            .spawn(async move { while forwarder.step(Share::WHOLE).await.unwrap() {} });
        stepping.await.unwrap();
    }

    fn status(&self) -> Value {
        self.done("status partner --tenant default")
    }

    async fn arrived(&self) -> Vec<String> {
        ids(&self.target.db.superuser().await).await
    }

    async fn source_sql(&self, sql: &str) {
        self.source.db.superuser().await.batch_execute(sql).await.unwrap();
    }
}

const ADD: &str = "add partner --tenant default --to partner --all --apply";

/// Of the content that is attached.
const SHA2: &str = "8cd3c5234d834b7dfe992760e4993ed372a5ca97def0057d4d42c0a9b87e3575";

on_each_server! {
    async fn what_is_meant_to_go_arrives_in_order_with_its_attachments_and_voidings(db: TestDatabase) {
        let pair = Pair::start(db).await;
        let add = "add partner --tenant default --to partner --verb http://x.example/verb1 --verb http://x.example/verb2 --activity http://x.example/activity1 --all";
        assert!(pair.refused(&add.replace("--to partner", "--to nobody")).contains("names no nobody: it has partner"));
        assert!(pair.refused("status partner --tenant default").contains("has no forward partner"));
        pair.post(0..300).await;
        assert_eq!(pair.done(add)["applied"], false);
        assert_eq!(count(&pair.source.db.superuser().await, "progress.forwards").await, 0);
        assert_eq!(pair.done(&format!("{add} --apply"))["position"], "1970-01-01T00:00:00.000000Z");
        assert!(pair.refused(&format!("{add} --apply")).contains("already"));

        // With its bytes, and listed in a context; one voiding of what went and one of what did not.
        let content = "bytes of a certificate";
        let mut signed = of(300);
        signed["verb"]["id"] = json!("http://x.example/verb1");
        signed["context"] = json!({"contextActivities": {"parent": [{"id": "http://x.example/activity1"}]}});
        signed["attachments"] = json!([{"usageType": "http://x.example/certificate", "display": {"en": "C"}, "contentType": "text/plain",
            "length": content.len(), "sha2": SHA2}]);
        let body = format!("--b\r\nContent-Type: application/json\r\n\r\n{signed}\r\n--b\r\nContent-Type: text/plain\r\n\
            Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {SHA2}\r\n\r\n{content}\r\n--b--\r\n");
        let request = pair.source.xapi(reqwest::Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=b");
        send(request.body(body)).await.expect(200);
        pair.source.post_statements(&json!([voiding(400, 0), voiding(401, 1)])).await.expect(200);
        pair.post(301..320).await;

        let is_meant = |n: &u32| !n.is_multiple_of(3) && n % 4 == 1;
        let expected: Vec<String> =
            named((0..300).filter(is_meant).chain([300, 401]).chain((301..320).filter(is_meant)));
        patience::until("the statements", async || match pair.arrived().await {
            all if all.len() >= expected.len() => Ok(()),
            all => Err(format!("{} of {}", all.len(), expected.len())),
        })
        .await;
        assert_eq!(pair.arrived().await, expected);
        let there = pair.target.db.superuser().await;
        assert_eq!(count(&there, "ledger.attachment_pieces").await, 1);
        // What the reader sees as its timestamp is the same on both sides.
        let timestamp = async |app: &TestApp| {
            app.get_statements(&[("statementId", &id(5))]).await.expect(200).json()["timestamp"].clone()
        };
        assert_eq!(timestamp(&pair.target).await, timestamp(&pair.source).await);
        let lag = patience::until("no lag", async || {
            let page = send(pair.source.anonymous(reqwest::Method::GET, "/metrics")).await.text();
            let is_out = page.contains(r#"progress_forward_lag_seconds{forward="partner",tenant="default"} 0"#);
            let is_counted = page.contains(&format!(r#"progress_forward_sent_total{{forward="partner",tenant="default"}} {}"#, expected.len()));
            if is_out && is_counted { Ok(page) } else { Err(page.lines().filter(|line| line.contains("_forward_")).collect::<String>()) }
        })
        .await;
        assert!(!lag.contains(SECRET));
        let status = pair.status();
        assert_eq!((&status["sent"], &status["refused"], &status["state"]), (&json!(expected.len()), &json!(0), &json!("running")), "{status}");
        assert_eq!(count(&pair.source.db.superuser().await, "platform.audit WHERE action = 'forward.add' AND subject = 'partner'").await, 1);
        assert!(!status.to_string().contains(SECRET));
    }

    async fn nothing_is_lost_while_the_other_side_is_away_or_busy(db: TestDatabase) {
        let pair = Pair::by_hand(db).await;
        pair.done(ADD);
        pair.post(0..100).await;
        pair.step().await;
        assert_eq!(pair.arrived().await, named(0..100));

        pair.gate.is(Mode::Shut);
        pair.post(100..200).await;
        pair.step().await;
        let status = pair.status();
        assert_eq!((&status["state"], &status["failures"], &status["sent"]), (&json!("waiting"), &json!(1), &json!(100)), "{status}");
        pair.gate.is(Mode::Busy);
        pair.done("resume partner --tenant default");
        pair.step().await;
        let status = pair.status();
        assert!(status["lastError"].as_str().unwrap().contains("503"), "{status}");
        let is_honoured = "progress.forwards WHERE retry_at BETWEEN now() + interval '5 minutes' AND now() + interval '11 minutes'";
        assert_eq!(count(&pair.source.db.superuser().await, is_honoured).await, 1, "{status}");
        // It is not asked before that.
        pair.gate.is(Mode::Open);
        pair.step().await;
        assert_eq!(pair.arrived().await.len(), 100);

        pair.post(200..250).await;
        pair.done("resume partner --tenant default");
        pair.step().await;
        assert_eq!(pair.arrived().await, named(0..250));
        let status = pair.status();
        assert_eq!((&status["failures"], &status["lastError"], &status["sent"]), (&json!(0), &Value::Null, &json!(250)), "{status}");
    }

    async fn what_is_refused_does_not_stop_the_rest(db: TestDatabase) {
        let pair = Pair::by_hand(db).await;
        let mut other = of(7);
        other["verb"]["id"] = json!("http://x.example/other");
        // Another under the same id, and one that is the same.
        pair.target.post_statements(&json!([other, of(9)])).await.expect(200);
        pair.post(0..60).await;
        pair.source_sql("ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only;
            UPDATE ledger.statements SET payload = replace(payload, 'http://x.example/verb0', 'no iri')
            WHERE id = '55550000-0000-4000-8000-000000000033'").await;
        pair.done(ADD);
        pair.step().await;
        let expected = [7, 9].into_iter().chain((0..60).filter(|n| ![7, 9, 33].contains(n)));
        assert_eq!(pair.arrived().await, named(expected));
        let status = pair.status();
        assert_eq!((&status["sent"], &status["refused"], &status["failures"]), (&json!(58), &json!(2), &json!(0)), "{status}");
        let (_, _, all) = pair.run("status partner --tenant default");
        assert!(all.contains(&id(7)) && all.contains("another statement has this id there"), "{all}");
        assert!(all.contains(&id(33)) && all.contains("not valid") && !all.contains("no iri"), "{all}");

        // Once it is mended it is sent again, by itself; what still is refused stays so.
        pair.source_sql("UPDATE ledger.statements SET payload = replace(payload, 'no iri', 'http://x.example/verb0')
            WHERE id = '55550000-0000-4000-8000-000000000033'").await;
        let again = "retry partner --tenant default";
        assert!(pair.refused(&format!("{again} --id {}", id(8))).contains("is not among what was refused"));
        let (_, first, all) = pair.run(again);
        assert!(first["outcome"] == "planned" && all.contains(&id(7)) && all.contains(&id(33)) && all.contains("\"applied\":false"), "{all}");
        assert_eq!(pair.arrived().await.len(), 59);
        pair.gate.is(Mode::Shut);
        pair.refused(&format!("{again} --apply"));
        assert_eq!(pair.status()["refused"], json!(2), "nothing was said of them");
        pair.source_sql("INSERT INTO platform.residences (tenant_id, standing, cell, endpoint, move_id)
            SELECT tenant_id, 'away', 'eu', 'x', gen_random_uuid() FROM progress.forwards").await;
        assert!(pair.refused(&format!("{again} --apply")).contains("at home in another cell"));
        pair.source_sql("DELETE FROM platform.residences").await;
        pair.gate.is(Mode::Open);
        let all = pair.refused(&format!("{again} --apply"));
        assert!(all.contains("1 of 2 are still refused") && all.contains(r#""outcome":"taken""#), "{all}");
        assert_eq!(pair.arrived().await.last(), Some(&id(33)));
        let status = pair.status();
        assert_eq!((&status["sent"], &status["refused"]), (&json!(59), &json!(1)), "{status}");
        pair.source_sql("ALTER TABLE ledger.statements DISABLE TRIGGER USER;
            DELETE FROM ledger.statements WHERE id = '55550000-0000-4000-8000-000000000007'").await;
        assert_eq!(pair.done(&format!("{again} --id {} --apply", id(7)))["outcome"], "gone");
        let status = pair.status();
        assert_eq!((&status["sent"], &status["refused"]), (&json!(59), &json!(0)), "{status}");
        let retried = "platform.audit WHERE action = 'forward.retry' AND detail::text LIKE '%000000000033%'";
        assert_eq!(count(&pair.source.db.superuser().await, retried).await, 2);
    }

    async fn a_forward_stops_where_it_is_told_and_with_its_tenant(db: TestDatabase) {
        let pair = Pair::by_hand(db).await;
        pair.post(0..10).await;
        pair.done(&ADD.replace(" --all", ""));
        pair.step().await;
        assert_eq!(pair.arrived().await, [] as [String; 0], "from now on");
        pair.post(10..20).await;
        pair.done("pause partner --tenant default");
        pair.step().await;
        assert_eq!((pair.arrived().await.len(), &pair.status()["state"]), (0, &json!("paused")));
        pair.done("resume partner --tenant default");
        let leaves = |standing: &str| format!("INSERT INTO platform.residences (tenant_id, standing, cell, endpoint, move_id)
            SELECT tenant_id, '{standing}', 'eu', 'x', gen_random_uuid() FROM progress.forwards
            ON CONFLICT (tenant_id) DO UPDATE SET standing = excluded.standing");
        pair.source_sql(&leaves("away")).await;
        pair.step().await;
        assert_eq!((pair.arrived().await.len(), &pair.status()["state"]), (0, &json!("resting")));
        pair.source_sql(&leaves("home")).await;
        pair.step().await;
        assert_eq!(pair.arrived().await, named(10..20));

        pair.post(20..30).await;
        let plan = pair.done("remove partner --tenant default");
        assert_eq!((&plan["applied"], &plan["sent"]), (&json!(false), &json!(10)));
        pair.done("remove partner --tenant default --apply");
        pair.step().await;
        assert_eq!(pair.arrived().await.len(), 10);
        assert!(pair.refused("resume partner --tenant default").contains("has no forward"));
        let trail = "platform.audit WHERE action IN ('forward.add', 'forward.pause', 'forward.resume', 'forward.remove')";
        assert_eq!(count(&pair.source.db.superuser().await, trail).await, 4);
    }

    async fn what_is_erased_is_not_sent_and_what_is_being_removed_is_waited_for(db: TestDatabase) {
        let pair = Pair::by_hand(db).await;
        pair.post(0..30).await;
        let hide = |n: u32, state: &str| format!("WITH e AS (INSERT INTO ledger.erasures (tenant_id, id, state, requested_by, mentions, arrivals, on_hold)
            SELECT tenant_id, gen_random_uuid(), '{state}', 'x', 'redact', 'erase', 'queue' FROM ledger.statement_ids WHERE id = '{0}' RETURNING id)
            INSERT INTO ledger.hidden (tenant_id, stored, id, erasure_id) SELECT s.tenant_id, s.stored, s.id, e.id FROM ledger.statement_ids s, e
            WHERE s.id = '{0}'", id(n));
        pair.source_sql(&hide(3, "queued")).await;
        pair.source_sql(&hide(20, "hidden")).await;
        pair.done(ADD);
        pair.step().await;
        assert_eq!(pair.arrived().await, named((0..20).filter(|n| *n != 3)), "a law keeps one, another is being removed");
        pair.source_sql(&format!("DELETE FROM ledger.hidden WHERE id = '{}'", id(20))).await;
        pair.step().await;
        assert_eq!(pair.arrived().await, named((0..30).filter(|n| *n != 3)));
    }
}

/// Whoever moves a forward on waits for the holder of this lock.
const HOLD: &str = "
    CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(4712); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE UPDATE ON progress.forwards FOR EACH ROW EXECUTE FUNCTION public.hold();
    SELECT pg_advisory_lock(4712)";

#[tokio::test]
async fn a_service_killed_between_sending_and_moving_on_loses_and_doubles_nothing() {
    let db = TestDatabase::new(Server::newest().await).await;
    let target = TestApp::start(TestDatabase::new(db.server()).await).await;
    let targets = format!("partner {}/xapi {KEY}:{SECRET}", target.url);
    let (database, owner, login) = (db.service_url(), db.owner_url(), format!("{KEY}:{SECRET}"));
    let mut service = Service::start(&[
        ("PROGRESS_DATABASE_URL", &database),
        ("PROGRESS_DATABASE_MIGRATION_URL", &owner),
        ("PROGRESS_FORWARD_TARGETS", &targets),
        ("PROGRESS_BOOTSTRAP_CREDENTIAL", &login),
    ])
    .await;
    let post = async |url: &str, numbers: std::ops::Range<u32>| {
        let all: Vec<Value> = numbers.map(of).collect();
        let request = http::client().post(format!("{url}/xapi/statements")).basic_auth(KEY, Some(SECRET));
        send(request.header("X-Experience-API-Version", "1.0.3").json(&all)).await.expect(200);
    };
    post(&service.url, 0..50).await;
    let desk = Desk::new();
    let output =
        desk.command(&db, &format!("forward {ADD}")).env("PROGRESS_FORWARD_TARGETS", &targets).output().unwrap();
    // The loops have found it, or will, when moving on is held.
    assert!(output.status.success(), "{output:?}");
    let holder = db.superuser().await;
    holder.batch_execute(HOLD).await.unwrap();
    post(&service.url, 50..80).await;
    let there = target.db.superuser().await;
    let all_there = async |wanted: usize| {
        patience::until("the statements", async || match ids(&there).await.len() {
            all if all >= wanted => Ok(()),
            all => Err(format!("{all} of {wanted}")),
        })
        .await;
    };
    all_there(80).await;
    service.process.kill();
    let sent = "SELECT sent FROM progress.forwards";
    assert!(holder.query_one(sent, &[]).await.unwrap().get::<_, i64>(0) < 80, "it died before it could move on");
    let go_on = "SELECT pg_advisory_unlock(4712); UPDATE platform.leases SET expires_at = '-infinity'";
    holder.batch_execute(go_on).await.unwrap();

    let service = service.again().await;
    post(&service.url, 80..90).await;
    all_there(90).await;
    patience::until("the end", async || match holder.query_one(sent, &[]).await.unwrap().get::<_, i64>(0) {
        90 => Ok(()),
        sent => Err(sent.to_string()),
    })
    .await;
    assert_eq!(ids(&there).await, named(0..90));
}
