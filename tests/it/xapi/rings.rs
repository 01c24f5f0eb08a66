//! Many references at once: rings, long chains, a statement that thousands refer to. They are followed right, in pieces, and
//! nobody else waits for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use progress_service::{ingest::settle::References, model::TenantId};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{about, id, identified, ids};
use crate::support::{
    app::{TestApp, send},
    background, patience,
};

const COMMENTED: &str = "http://adlnet.gov/expapi/verbs/commented";
const STEPS: usize = 64;

/// One turn of the background work; how much there was to do.
async fn step(references: &std::sync::Arc<References>) -> usize {
    let references = std::sync::Arc::clone(references);
    background::runtime().spawn(async move { references.step().await }).await.unwrap().unwrap()
}

fn references(app: &TestApp) -> std::sync::Arc<References> {
    let rooms = &app.service().rooms;
    std::sync::Arc::new(References::new(rooms.cold.clone(), rooms.edge.metrics.clone()))
}

/// Does all background work of references there is; answers in how many turns.
pub async fn settle(app: &TestApp) -> usize {
    let references = references(app);
    let mut turns = 0;
    while step(&references).await > 0 || left(&app.db.superuser().await).await > 0 {
        turns += 1;
        assert!(turns < 2_000, "it does not end");
    }
    turns
}

/// References that are not settled and discoveries that are not followed.
async fn left(client: &Client) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM ledger.refs WHERE NOT settled) + (SELECT count(*) FROM ledger.links_due)";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

type Pairs = BTreeSet<(Uuid, Uuid)>;

async fn written(app: &TestApp) -> Pairs {
    let rows = app.db.superuser().await.query("SELECT referrer_id, reached_id FROM ledger.reaches", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// What has to be written when these statements are all there: each one's target, if it has one.
fn expected(targets: &BTreeMap<u128, Option<u128>>) -> Pairs {
    let mut pairs = Pairs::new();
    for referrer in targets.keys() {
        let mut at = *referrer;
        for _ in 0..STEPS {
            let Some(Some(next)) = targets.get(&at).copied() else { break };
            if targets.contains_key(&next) && next != *referrer {
                pairs.insert((uuid(*referrer), uuid(next)));
            }
            at = next;
        }
    }
    pairs
}

fn uuid(n: u128) -> Uuid {
    id(n).parse().unwrap()
}

fn of(n: u128, target: Option<u128>) -> Value {
    match target {
        Some(target) => about(&id(n), COMMENTED, &id(target)),
        None => identified(&id(n), "ann", "a"),
    }
}

fn ring(first: u128, length: u128) -> BTreeMap<u128, Option<u128>> {
    (0..length).map(|n| (first + n, Some(first + (n + 1) % length))).collect()
}

fn batch(targets: &BTreeMap<u128, Option<u128>>) -> Value {
    targets.iter().map(|(n, target)| of(*n, *target)).collect()
}

/// Another tenant's way in.
struct Neighbour {
    id: TenantId,
    key: String,
    secret: String,
}

impl Neighbour {
    async fn new(app: &TestApp) -> Self {
        let tenant = app.post("/api/v1/admin/tenants", &json!({"name": "neighbour"})).await.expect(201).json();
        let id: TenantId = serde_json::from_value(tenant["id"].clone()).unwrap();
        let path = format!("/api/v1/admin/credentials?tenantId={id}");
        let issued = app.post(&path, &json!({"scopes": ["all"]})).await.expect(201).json();
        let text = |name: &str| issued[name].as_str().unwrap().to_owned();
        Self { id, key: text("apiKey"), secret: text("secret") }
    }

    async fn post(&self, app: &TestApp, statement: &Value) -> Duration {
        let request = app.anonymous(Method::POST, "/xapi/statements").basic_auth(&self.key, Some(&self.secret));
        let begun = Instant::now();
        send(request.header("X-Experience-API-Version", "1.0.3").json(statement)).await.expect(200);
        begun.elapsed()
    }

    /// How long a lone statement takes: the median of some.
    async fn waits(&self, app: &TestApp) -> Duration {
        let mut all = Vec::new();
        for _ in 0..15 {
            all.push(self.post(app, &super::statement("neighbour", "n")).await);
        }
        all.sort_unstable();
        all[all.len() / 2]
    }
}

on_each_server! {
    async fn a_ring_is_stored_at_once_and_linked_in_the_background(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let ring = ring(1, 50);
        app.post_statements(&batch(&ring)).await.expect(200);
        assert!(written(&app).await.is_empty(), "so many are not for the request");
        settle(&app).await;
        assert_eq!(written(&app).await, expected(&ring));
        let found = app.get_statements(&[("verb", COMMENTED), ("limit", "100")]).await.expect(200).json();
        assert_eq!(ids(&found).len(), 50);
    }

    async fn whatever_the_order_and_the_pieces_all_that_is_reached_is_written(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        // Three rings with tails, a long chain, trees, plain statements and targets that never come.
        let mut targets: BTreeMap<u128, Option<u128>> = BTreeMap::new();
        for first in [1_000, 1_100, 1_200] {
            targets.extend(ring(first, 3 + first % 7));
        }
        let mut random = 7_u128;
        let mut next = |below: u128| {
            random = random * 6_364_136_223_846_793_005 % (1 << 61) + 1_442_695_040_888_963_407;
            (random >> 20) % below
        };
        for n in 1..400_u128 {
            let target = match n {
                1..=150 => Some(n - 1),
                _ => [None, Some(next(400)), Some(150 + next(10)), Some(1_000 + next(3)), Some(9_000 + n)][next(5) as usize],
            };
            targets.insert(n, target.filter(|target| *target != n));
        }
        targets.insert(0, None);
        let mut order: Vec<u128> = targets.keys().copied().collect();
        for n in (1..order.len()).rev() {
            order.swap(n, next(n as u128 + 1) as usize);
        }
        let references = references(&app);
        let mut rest = &order[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at((1 + next(40) as usize).min(rest.len()));
            app.post_statements(&some.iter().map(|n| of(*n, targets[n])).collect()).await.expect(200);
            if next(3) == 0 {
                step(&references).await;
            }
            rest = others;
        }
        settle(&app).await;
        let (written, expected) = (written(&app).await, expected(&targets));
        assert_eq!(written.difference(&expected).count(), 0, "too much");
        assert_eq!(expected.difference(&written).count(), 0, "too little");
    }

    async fn whoever_thousands_wait_for_is_stored_at_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let referrers: BTreeMap<u128, Option<u128>> = (1..=1_500).map(|n| (n, Some(0))).collect();
        app.post_statements(&batch(&referrers)).await.expect(200);
        settle(&app).await;
        assert!(written(&app).await.is_empty());
        app.post_statements(&of(0, None)).await.expect(200);
        assert!(written(&app).await.is_empty());
        let turns = settle(&app).await;
        assert!(turns >= 1_500 / 64, "in pieces, not in {turns}");
        assert_eq!(written(&app).await.len(), 1_500);
        let agent = [("agent", r#"{"mbox":"mailto:ann@example.com"}"#), ("limit", "0")];
        assert!(!ids(&app.get_statements(&agent).await.expect(200).json()).is_empty());
    }

    async fn a_long_chain_costs_each_the_same(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let chain: BTreeMap<u128, Option<u128>> = (0..1_500).map(|n: u128| (n, n.checked_sub(1))).collect();
        let all: Vec<_> = chain.iter().collect();
        for part in all.chunks(500) {
            app.post_statements(&part.iter().map(|(n, target)| of(**n, **target)).collect()).await.expect(200);
        }
        let turns = settle(&app).await;
        assert!(turns <= 2 * 1_500 / 64 + 10, "{turns} turns");
        assert_eq!(written(&app).await.len(), expected(&chain).len());
    }

    async fn a_tenants_rings_keep_no_other_tenants_reference_waiting(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let neighbour = Neighbour::new(&app).await;
        for first in 0..6 {
            app.post_statements(&batch(&ring(first * 1_000 + 1, 100))).await.expect(200);
        }
        neighbour.post(&app, &json!([of(90_001, None), of(90_002, Some(90_001))])).await;
        let references = references(&app);
        let unsettled = "SELECT count(*) FILTER (WHERE tenant_id = $1), count(*) FROM ledger.refs WHERE NOT settled";
        let client = app.db.superuser().await;
        // Before a turn is sure that nobody writes beside it there may be more than one.
        let all: i64 = client.query_one(unsettled, &[&neighbour.id.0]).await.unwrap().get(1);
        let row = loop {
            step(&references).await;
            let row = client.query_one(unsettled, &[&neighbour.id.0]).await.unwrap();
            if row.get::<_, i64>(1) < all {
                break row;
            }
        };
        assert_eq!(row.get::<_, i64>(0), 0, "the neighbour's is among the first");
        assert!(row.get::<_, i64>(1) >= 500, "and the others' are not done yet");
        settle(&app).await;
        let rings: BTreeMap<_, _> = (0..6).flat_map(|first| ring(first * 1_000 + 1, 100)).collect();
        let mut all = expected(&rings);
        all.insert((uuid(90_002), uuid(90_001)));
        assert_eq!(written(&app).await, all);
    }

    async fn other_tenants_write_as_before_while_rings_are_linked(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let neighbour = Neighbour::new(&app).await;
        neighbour.waits(&app).await;
        let quiet = neighbour.waits(&app).await;
        let rings: Vec<Value> = (0..6).map(|first| batch(&ring(first * 1_000 + 1, 100))).collect();
        for ring in &rings {
            app.post_statements(ring).await.expect(200);
        }
        let busy = neighbour.waits(&app).await;
        assert!(busy < 12 * quiet, "{busy:?} instead of {quiet:?}");
        let client = app.db.superuser().await;
        patience::until("the end of the rings", async || match left(&client).await {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        })
        .await;
        assert_eq!(written(&app).await.len(), 6 * 100 * STEPS);
    }

    async fn a_reference_that_cannot_be_followed_is_given_up_and_no_other(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let targets: BTreeMap<u128, Option<u128>> = (1..=80).map(|n| (n, Some(0))).chain([(0, None)]).collect();
        app.post_statements(&batch(&targets)).await.expect(200);
        let superuser = app.db.superuser().await;
        superuser
            .batch_execute(&format!(
                "CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
                 CREATE TRIGGER stop BEFORE INSERT ON ledger.reaches FOR EACH ROW WHEN (NEW.referrer_id = '{}')
                     EXECUTE FUNCTION public.stop()",
                id(40)
            ))
            .await
            .unwrap();
        settle(&app).await;
        let mut wanted = expected(&targets);
        wanted.remove(&(uuid(40), uuid(0)));
        assert_eq!(written(&app).await, wanted);
        assert_eq!(app.service().rooms.edge.metrics.ingest.references_given_up.get(), 1);
    }

    async fn a_reference_waits_for_whoever_began_before_it_was_visible(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        app.post_statements(&identified(&id(9), "ann", "month")).await.expect(200);
        let begin = async |n: u128, target: Option<u128>| {
            let client = app.db.superuser().await;
            client.batch_execute("BEGIN").await.unwrap();
            let micros: i64 = client.query_one("SELECT ledger.reserve(1)", &[]).await.unwrap().get(0);
            let (tenant, statement, target) = (TenantId::DEFAULT.0, uuid(n), target.map(uuid));
            let write = "WITH own AS (INSERT INTO ledger.statement_ids (tenant_id, id, stored, digest)
                                      VALUES ($1, $2, ledger.moment($3), ''))
                         INSERT INTO ledger.statements (tenant_id, id, stored, verb_key, refers_to, voiding, converts, payload)
                         VALUES ($1, $2, ledger.moment($3), $2, $4, false, false, '{\"authority\": {}}')";
            client.execute(write, &[&tenant, &statement, &micros, &target]).await.unwrap();
            if let Some(target) = target {
                let refer = "INSERT INTO ledger.refs (tenant_id, target_id, referrer_id, stored, voids)
                             VALUES ($1, $2, $3, ledger.moment($4), false)";
                client.execute(refer, &[&tenant, &target, &statement, &micros]).await.unwrap();
            }
            client
        };
        // The target begins after the referrer, does not see it, and ends after it.
        let referrer = begin(1, Some(2)).await;
        let target = begin(2, None).await;
        referrer.batch_execute("COMMIT").await.unwrap();
        let references = references(&app);
        for _ in 0..3 {
            step(&references).await;
        }
        target.batch_execute("COMMIT").await.unwrap();
        settle(&app).await;
        assert_eq!(written(&app).await, Pairs::from([(uuid(1), uuid(2))]));
    }
}
