//! Months that a tenant has in the archive or detached where it leaves: they arrive in place, whatever comes between.

use std::sync::Arc;

use object_store::{ObjectStoreExt, path::Path};
use progress_service::{archive::jobs, model::partition::Change, objects::Objects};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    cells::{Cells, SAME, statement},
    trouble::{freezes, state},
};
use crate::{
    archive,
    lifecycle::{make, month, settled},
    support::{app::send, months, past, patience, pg::TestDatabase, s3::Bucket},
    xapi::{
        attachments::{multipart, with_attachment},
        id,
    },
};

pub const JANUARY: &str = "2026-01";
pub const FEBRUARY: &str = "2026-02";
const OLD: [&str; 2] = [JANUARY, FEBRUARY];
/// Statements of the tenant in an old month, and one more with an attachment.
pub const EACH: u32 = 60;
const REPORT: &[u8] = b"a report, as it was sent";

/// Two cells, each with a bucket of its own.
pub struct Shelved {
    pub cells: Cells,
    buckets: [Bucket; 2],
}

impl Shelved {
    pub async fn start(db: TestDatabase) -> Self {
        let buckets = [Bucket::new().await, Bucket::new().await];
        let urls = [buckets[0].url(), buckets[1].url()];
        let more = [0, 1].map(|at| {
            let access = &buckets[at].access;
            vec![
                ("PROGRESS_ARCHIVE_URL", urls[at].as_str()),
                ("PROGRESS_ARCHIVE_S3_ENDPOINT", access.endpoint.as_str()),
                ("PROGRESS_ARCHIVE_S3_REGION", access.region.as_str()),
                ("PROGRESS_ARCHIVE_S3_ACCESS_KEY", access.key.as_str()),
                ("PROGRESS_ARCHIVE_S3_SECRET_KEY", access.secret.as_str()),
                ("PROGRESS_ARCHIVE_S3_ALLOW_HTTP", "true"),
            ]
        });
        let cells = Cells::with(db, more).await;
        Self { cells, buckets }
    }

    pub fn objects(&self, at: usize) -> Objects {
        Objects::over(Arc::new(self.buckets[at].store_with_conditions()))
    }

    /// The tenant and a neighbour in two old months and the present; one of the old is voided in the present.
    pub async fn said(&self) {
        let cells = &self.cells;
        for (at, name) in (0..).zip(OLD) {
            let first = at * 1_000;
            let all: Vec<Value> = (first..first + EACH).map(statement).collect();
            cells.post(&cells.one, &json!(all)).await.expect(200);
            let number = u128::from(70_000 + at);
            let body = multipart(&with_attachment(number, REPORT), &[REPORT]);
            let request = cells.ask(&cells.one, Method::POST, "/xapi/statements");
            send(request.header("Content-Type", "multipart/mixed; boundary=limit").body(body)).await.expect(200);
            cells.one.post_statements(&json!([statement(first), statement(first + 1)])).await.expect(200);
            self.settled().await;
            past::move_into(&cells.one.db, month(name)).await;
        }
        let void = json!({"id": "77770000-0000-4000-8000-000000000001", "actor": {"mbox": "mailto:teacher@x.example"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
            "object": {"objectType": "StatementRef", "id": "55550000-0000-4000-8000-000000000005"}});
        cells.post(&cells.one, &void).await.expect(200);
        let all: Vec<Value> = (5_000..5_020).map(statement).collect();
        cells.post(&cells.one, &json!(all)).await.expect(200);
        self.settled().await;
    }

    async fn settled(&self) {
        let client = self.cells.one.db.superuser().await;
        let sql = "SELECT EXISTS (SELECT FROM ledger.refs WHERE NOT settled) OR EXISTS (SELECT FROM ledger.links_due)
            OR EXISTS (SELECT FROM ledger.statements s WHERE s.stored >
                coalesce((SELECT position FROM progress.projection_cursors c WHERE c.tenant_id = s.tenant_id), 'epoch'))";
        patience::until("everybody has read it", async || {
            if client.query_one(sql, &[]).await.unwrap().get(0) { Err("not yet") } else { Ok(()) }
        })
        .await;
    }

    pub async fn archived(&self) {
        for name in OLD {
            self.away(0, name).await;
        }
    }

    /// A month of a cell goes to its archive as the service does it, and its table is dropped.
    async fn away(&self, at: usize, name: &str) {
        let db = &[&self.cells.one, &self.cells.two][at].db;
        months::seal(db, month(name)).await;
        self.archive(at, name).await;
    }

    async fn archive(&self, at: usize, name: &str) {
        let db = &[&self.cells.one, &self.cells.two][at].db;
        let archive = archive::archive_over(db, Arc::new(self.buckets[at].store_with_conditions()));
        for kind in [jobs::RUN, jobs::DROP] {
            match jobs::step(&archive, &archive::job(&archive.store, kind, Some(name))).await.unwrap() {
                jobs::Stepped::Done(_) => {}
                other => panic!("{kind}: {other:?}"),
            }
        }
    }

    /// What a cell answers the tenant of its old months, byte for byte, by id and by filter, and the attachment.
    pub async fn answers(&self, at: usize) -> Vec<Vec<u8>> {
        let cell = [&self.cells.one, &self.cells.two][at];
        let mut paths: Vec<String> = [0, 7, 59, 1_000, 1_031]
            .map(|n| format!("/xapi/statements?statementId=55550000-0000-4000-8000-{n:012}"))
            .into();
        paths.push("/xapi/statements?voidedStatementId=55550000-0000-4000-8000-000000000005".to_owned());
        paths.push("/xapi/statements?ascending=true&limit=400&until=2026-03-01T00:00:00Z".to_owned());
        paths.push("/xapi/statements?limit=400&since=2026-01-20T00:00:00Z&verb=http%3A%2F%2Fadlnet.gov%2Fexpapi%2Fverbs%2Fpassed".to_owned());
        paths.push(
            "/xapi/statements?limit=400&registration=66660000-0000-4000-8000-000000000010&until=2026-03-01T00:00:00Z"
                .to_owned(),
        );
        let mut answers = Vec::new();
        for path in &paths {
            // A node knows a tenant at home within a moment of its arrival.
            self.cells.page(cell, path).await;
            answers.push(send(self.cells.ask(cell, Method::GET, path)).await.expect(200).body);
        }
        for number in [70_000, 70_001] {
            let path = format!("/xapi/statements?attachments=true&statementId={}", id(number));
            let whole = send(self.cells.ask(cell, Method::GET, &path)).await.expect(200).body;
            assert!(whole.windows(REPORT.len()).any(|some| some == REPORT), "{}", String::from_utf8_lossy(&whole));
        }
        answers
    }

    /// What the neighbour has of the old months, and the names of its objects.
    pub async fn neighbour(&self) -> (Vec<u8>, Vec<String>) {
        let asked = [("until", "2026-03-01T00:00:00Z"), ("limit", "400")];
        let body = self.cells.one.get_statements(&asked).await.expect(200).body;
        (body, self.keys(0, false).await)
    }

    /// The objects of segments in the first cell's bucket: the tenant's, or everybody else's.
    pub async fn keys(&self, at: usize, of_tenant: bool) -> Vec<String> {
        let own = format!("tenant={}/", self.cells.tenant);
        let mut keys = self.buckets[at].keys().await;
        keys.retain(|key| key.contains("tenant=") && key.contains(&own) == of_tenant);
        keys
    }

    pub async fn in_month(&self, at: usize, name: &str) -> i64 {
        let cell = [&self.cells.one, &self.cells.two][at];
        let sql = "SELECT count(*) FROM ledger.statements WHERE tenant_id = $1 AND stored >= $2 AND stored < $3";
        let (begin, end) = (month(name).begin(), month(name).end());
        cell.db.superuser().await.query_one(sql, &[&self.cells.tenant, &begin, &end]).await.unwrap().get(0)
    }

    async fn part(&self, name: &str) -> Path {
        let keys = self.keys(0, true).await;
        keys.into_iter().find(|key| key.contains(name) && key.ends_with(".parquet")).unwrap().into()
    }
}

/// What is the same on both sides, but for where the statements lie.
pub async fn the_rest_is_the_same(cells: &Cells) {
    for table in SAME.iter().filter(|table| !matches!(**table, "ledger.statements" | "ledger.relations")) {
        assert_eq!(cells.rows(&cells.one, table).await, cells.rows(&cells.two, table).await, "{table}");
    }
}

fn purge(cells: &Cells, id: &str) {
    cells.done(&format!("residency purge {id} --apply --by ann"));
    let purged = cells.done(&format!("residency purge {id} --apply --by bob"));
    assert_eq!(purged["outcome"]["state"], json!("purged"), "{purged}");
    assert_eq!(cells.done(&format!("residency status {id}"))["rowsHere"], json!(0));
}

on_each_server! {
    async fn archived_months_go_along_and_their_objects_go_with_the_purge(db: TestDatabase) {
        let shelved = Shelved::start(db).await;
        let cells = &shelved.cells;
        shelved.said().await;
        let in_place = shelved.answers(0).await;
        shelved.archived().await;
        let (before, neighbour) = (shelved.answers(0).await, shelved.neighbour().await);
        assert_eq!(before, in_place);
        let plan = cells.done("residency plan --tenant acme --to two");
        let old = |name: &str| json!({"month": name, "statements": EACH + 1, "is": "archived"});
        assert_eq!((&plan["plan"]["oldMonths"], &plan["plan"]["blockers"]), (&json!([old(JANUARY), old(FEBRUARY)]), &json!([])));
        assert_eq!(plan["plan"]["statements"], json!(2 * (EACH + 1) + 21));

        let noted = cells.noted();
        cells.act("start", &noted);
        assert_eq!(freezes(cells).await, 0);
        assert_eq!([shelved.in_month(1, JANUARY).await, shelved.in_month(1, FEBRUARY).await], [i64::from(EACH) + 1; 2]);
        // What comes meanwhile, and a second look, bring no old month again and find the same.
        cells.post(&cells.one, &json!([statement(6_000)])).await.expect(200);
        cells.act("verify", &noted);
        cells.act("switch", &noted);
        the_rest_is_the_same(cells).await;
        assert_eq!(shelved.answers(1).await, before);
        let shown = cells.one.get(&format!("/api/v1/admin/residency/moves/{noted}")).await.expect(200).json();
        let absent = shown["proof"]["absent"].as_array().unwrap();
        let told: Vec<(&Value, &Value, &Value)> =
            absent.iter().map(|one| (&one["month"], &one["statements"], &one["verbs"][0]["verb"])).collect();
        let verb = json!("http://adlnet.gov/expapi/verbs/completed");
        assert_eq!(told, [(&json!(JANUARY), &json!(EACH + 1), &verb), (&json!(FEBRUARY), &json!(EACH + 1), &verb)]);
        assert_eq!(shown["proof"]["forth"]["statements"], json!(22), "what was in place is proven by itself");

        // Back: nothing of the old months comes, for it is there.
        cells.post(&cells.two, &json!([statement(7_000)])).await.expect(200);
        let back = cells.act("reverse", &noted);
        assert_eq!(back["outcome"]["state"], json!("returned"), "{back}");
        assert_eq!([shelved.in_month(0, JANUARY).await, shelved.in_month(0, FEBRUARY).await], [0, 0]);
        assert_eq!(shelved.answers(0).await, before);
        send(cells.ask(&cells.one, Method::GET, "/xapi/statements?statementId=55550000-0000-4000-8000-000000007000")).await.expect(200);

        // Again, for good.
        let again = cells.noted();
        cells.act("start", &again);
        cells.act("switch", &again);
        assert_eq!(shelved.answers(1).await, before);
        assert!(!shelved.keys(0, true).await.is_empty());
        purge(cells, &again);
        assert_eq!(shelved.keys(0, true).await, Vec::<String>::new());
        let sql = "SELECT count(*) FROM ledger.segments WHERE tenant_id = $1 AND state <> 'removed'";
        assert_eq!(cells.one.db.superuser().await.query_one(sql, &[&cells.tenant]).await.unwrap().get::<_, i64>(0), 0);
        for table in SAME {
            assert_eq!(cells.rows(&cells.one, table).await, Vec::<String>::new(), "{table}");
        }
        assert_eq!(shelved.neighbour().await, neighbour);
        assert_eq!(shelved.answers(1).await, before);
    }

    async fn detached_months_go_along_and_a_cancel_takes_them_away_there(db: TestDatabase) {
        let shelved = Shelved::start(db).await;
        let cells = &shelved.cells;
        shelved.said().await;
        let before = shelved.answers(0).await;
        months::seal(&cells.one.db, month(JANUARY)).await;
        months::detach(&cells.one.db, month(JANUARY)).await;
        shelved.away(0, FEBRUARY).await;
        let plan = cells.done("residency plan --tenant acme --to two");
        let is = |at: usize| &plan["plan"]["oldMonths"][at]["is"];
        assert_eq!((is(0), is(1)), (&json!("detached"), &json!("archived")));
        let noted = cells.noted();
        cells.act("start", &noted);
        // Nothing leaves the tables there while the tenant arrives.
        make(&cells.two.db.store(), JANUARY, Change::Seal).await.unwrap();
        let refused = make(&cells.two.db.store(), JANUARY, Change::Detach).await.unwrap_err().to_string();
        assert!(refused.contains("while a tenant arrives from another cell"), "{refused}");
        cells.act("cancel", &noted);
        for table in SAME {
            assert_eq!(cells.rows(&cells.two, table).await, Vec::<String>::new(), "{table}");
        }
        assert_eq!(shelved.answers(0).await, before);
        let noted = cells.noted();
        cells.act("start", &noted);
        cells.act("switch", &noted);
        the_rest_is_the_same(cells).await;
        assert_eq!(shelved.answers(1).await, before);
        purge(cells, &noted);
        for table in ["ledger.detached_statements", "ledger.detached_relations"] {
            assert_eq!(cells.rows(&cells.one, table).await, Vec::<String>::new(), "{table}");
        }
        let left = "SELECT count(*) FROM ledger.detached_statements";
        assert_eq!(cells.one.db.superuser().await.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 2, "the neighbour's");
    }

    async fn a_month_that_leaves_the_tables_on_the_way_goes_over_whole(db: TestDatabase) {
        let shelved = Shelved::start(db).await;
        let cells = &shelved.cells;
        shelved.said().await;
        let before = shelved.answers(0).await;
        let noted = cells.noted();
        cells.act("start", &noted);
        shelved.archived().await;
        cells.act("switch", &noted);
        the_rest_is_the_same(cells).await;
        assert_eq!(shelved.answers(1).await, before);
        let shown = cells.one.get(&format!("/api/v1/admin/residency/moves/{noted}")).await.expect(200).json();
        assert_eq!((&shown["proof"]["absent"][1]["statements"], &shown["proof"]["forth"]["statements"]), (&json!(EACH + 1), &json!(21)));
    }
}

on_the_newest_server! {
    async fn a_damaged_segment_stops_the_move_before_anybody_waits(db: TestDatabase) {
        let shelved = Shelved::start(db).await;
        let cells = &shelved.cells;
        shelved.said().await;
        shelved.archived().await;
        let (store, part) = (shelved.buckets[0].store(), shelved.part(FEBRUARY).await);
        let whole = store.get(&part).await.unwrap().bytes().await.unwrap();
        let mut flipped = whole.to_vec();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        store.put(&part, flipped.into()).await.unwrap();
        let noted = cells.noted();
        let why = cells.refused(&format!("residency start {noted} --apply"));
        assert!(why.contains(part.as_ref()) && why.contains("is damaged"), "{why}");
        assert_eq!((freezes(cells).await, state(cells).await.as_str()), (0, "copying"));
        assert_eq!([shelved.in_month(1, JANUARY).await, shelved.in_month(1, FEBRUARY).await], [i64::from(EACH) + 1, 0]);
        cells.post(&cells.one, &json!([statement(8_000)])).await.expect(200);
        store.put(&part, whole.into()).await.unwrap();
        cells.act("start", &noted);

        // A segment that gave way since, as retention lets it: what went over is more than there is.
        let eyes = cells.one.db.superuser().await;
        let shift = |state: &str| format!("UPDATE ledger.segments SET state = '{state}' WHERE tenant_id = '{}' AND month = '2026-02-01'", cells.tenant);
        eyes.batch_execute(&shift("marked")).await.unwrap();
        let why = cells.refused(&format!("residency switch {noted} --apply"));
        assert!(why.contains("2026-02 went over out of segment 0") && why.contains("residency cancel"), "{why}");
        assert_eq!((freezes(cells).await, state(cells).await.as_str()), (0, "copying"));
        // Then more statements are known by their ids than are kept.
        let plan = cells.refused("residency plan --tenant acme --to two");
        assert!(plan.contains("2026-02 is dropped, and of 61 statements 0 are kept there"), "{plan}");
        eyes.batch_execute(&shift("published")).await.unwrap();
        cells.act("start", &noted);
        cells.act("switch", &noted);
        the_rest_is_the_same(cells).await;

        // Nor does it come back over what has become another there.
        let there = cells.two.db.superuser().await;
        there.batch_execute("ALTER TABLE ledger.statements DISABLE TRIGGER statements_are_append_only").await.unwrap();
        let sql = "DELETE FROM ledger.statements WHERE id = '55550000-0000-4000-8000-000000001007'";
        assert_eq!(there.execute(sql, &[]).await.unwrap(), 1);
        let why = cells.refused(&format!("residency reverse {noted} --apply"));
        assert!(why.contains("2026-02 has 61 statements here and 60 there") && state(cells).await == "switched", "{why}");
    }

    async fn a_month_that_is_archived_there_is_in_the_way_until_it_is_in_place(db: TestDatabase) {
        let shelved = Shelved::start(db).await;
        let cells = &shelved.cells;
        shelved.said().await;
        shelved.archived().await;
        cells.two.post_statements(&json!([statement(1)])).await.expect(200);
        settled(&cells.two).await;
        past::move_into(&cells.two.db, month(JANUARY)).await;
        shelved.away(1, JANUARY).await;
        let why = cells.refused("residency plan --tenant acme --to two");
        let todo = "2026-01 is dropped in two: there `archive restore --month 2026-01` and `partitions attach --month 2026-01` first";
        assert!(why.contains(todo) && !why.contains("2026-02 is"), "{why}");
        months::restore(&cells.two.db, &shelved.objects(1), month(JANUARY), 0).await;
        assert!(cells.refused("residency plan --tenant acme --to two").contains("2026-01 is archived in two: there `partitions attach"));
        months::attach(&cells.two.db, month(JANUARY)).await;
        let before = shelved.answers(0).await;
        let noted = cells.noted();
        cells.act("start", &noted);
        cells.act("switch", &noted);
        assert_eq!(shelved.answers(1).await, before);
        // There it is archived with the rest of that cell, in segments of its own.
        shelved.archive(1, JANUARY).await;
        assert_eq!(shelved.answers(1).await, before);
        assert!(!shelved.keys(1, true).await.is_empty());
        // And from there nothing has to come back.
        cells.act("reverse", &noted);
        assert_eq!(shelved.answers(0).await, before);
    }
}
