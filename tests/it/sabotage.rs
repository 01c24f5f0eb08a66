//! Bad releases and harmless ones, carried out by plans on a service that runs: each bad one is taken back by itself, what was
//! written under it stays, and what was there before is as it was. What is real about a release is done to the real database: triggers, policies,
//! rows; requests by the thousand are counted as nodes count them, drawn by dice of fixed seeds.

mod refused;

use progress_service::{
    model::{Ids, Secret, TenantId},
    store::{
        Endpoint, Store,
        door::ddl::Session,
        platform::rollouts::{Sample, Watched},
        schema::catalog,
    },
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::send,
    patience,
    pg::TestDatabase,
    shop::{ROOT, Shop},
};

/// Requests of either group that are counted at a time.
const BATCH: i64 = 1_000;
/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn falls(&mut self, part: f64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::from(((self.0 >> 11) as f64 / (1_u64 << 53) as f64) < part)
    }
}

/// How requests go: the parts that fail and that are slow.
#[derive(Clone, Copy)]
struct Goes {
    errors: f64,
    slow: f64,
}

const WELL: Goes = Goes { errors: 0.0, slow: 0.01 };

/// A release: what it does to the database once it is switched, and how requests go meanwhile.
#[derive(Clone, Copy)]
struct Release {
    name: &'static str,
    /// SQL at the moment at which the pilots have it, and SQL that mends it.
    does: (&'static str, &'static str),
    new: Goes,
    old: Goes,
    /// Batches that go as the old ones do, before it shows.
    late: u64,
    bake: &'static str,
}

const NOTHING: Release = Release { name: "", does: ("", ""), new: WELL, old: WELL, late: 0, bake: "1s" };

struct Suite {
    shop: Shop,
    store: Store,
    node: Uuid,
    pilot: TenantId,
    key: (String, String),
}

impl Suite {
    async fn set(db: TestDatabase) -> Self {
        let shop = Shop::open(db, &[]).await;
        let path = format!("/api/v1/admin/credentials?tenantId={}", shop.pilot);
        let made = shop.app.post(&path, &json!({"scopes": ["all"]})).await.expect(201).json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let (store, node) = (shop.app.db.store(), Ids::random().uuid());
        Self { store, node, pilot: TenantId(shop.pilot.parse().unwrap()), key: (text("apiKey"), text("secret")), shop }
    }

    /// Every object of every schema, and a digest of the rows of the shop.
    async fn whole(&self) -> (Vec<String>, String) {
        let owner = Endpoint { url: Secret::new(self.shop.app.db.owner_url()), ca_file: None };
        let session = Session::connect(&owner).await.unwrap();
        let schemas = ["platform", "ledger", "progress", "shop"].map(str::to_owned);
        let digest = self.shop.one("SELECT sum(hashtextextended(t::text, 0))::text FROM shop.things t").await;
        (catalog::listing(&session, &schemas).await.unwrap().objects, digest)
    }

    /// A statement under the new version.
    async fn pilot_writes(&self) -> u16 {
        let statement = json!({"actor": {"mbox": "mailto:ada@example.com"}, "object": {"id": "http://example.com/a"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"}});
        let request =
            self.shop.app.anonymous(Method::POST, "/xapi/statements").basic_auth(&self.key.0, Some(&self.key.1));
        send(request.header("X-Experience-API-Version", "1.0.3").json(&statement)).await.status.as_u16()
    }

    /// Counts a batch of requests of both groups, as a node does.
    async fn count(&self, watched: &Watched, dice: &mut Dice, new: Goes, old: Goes) {
        let counted = [(self.pilot, new), (TenantId::DEFAULT, old)].map(|(tenant, goes)| {
            let draw = |part, dice: &mut Dice| (0..BATCH).map(|_| dice.falls(part)).sum::<i64>();
            (tenant, Sample { requests: BATCH, errors: draw(goes.errors, dice), slow: draw(goes.slow, dice) })
        });
        self.store.count_for_rollout(watched, self.node, &counted).await.unwrap();
    }

    /// Carries a release out; how it ended.
    async fn carry_out(&self, release: &Release) -> Value {
        self.shop.begin(&Shop::switched(release.bake)).await;
        self.shop.is_switched().await;
        assert_eq!(self.pilot_writes().await, 200, "{}", release.name);
        if !release.does.0.is_empty() {
            self.shop.sql(release.does.0).await;
        }
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ release.name.len() as u64);
        let mut batches = 0;
        patience::until(release.name, async || {
            if let Some(watched) = self.store.watched_rollout().await.unwrap() {
                for _ in 0..4 {
                    let new = if batches < release.late { release.old } else { release.new };
                    self.count(&watched, &mut dice, new, release.old).await;
                    batches += 1;
                }
            }
            let told = self.shop.told().await;
            let holds = told["why"].as_str().is_some_and(|why| why.contains("somebody else approves"));
            if told["state"] == "rolled_back" || holds { Ok(told) } else { Err(told) }
        })
        .await
    }
}

on_the_newest_server! {
    async fn every_bad_release_is_taken_back_by_itself_and_what_was_written_stays(db: TestDatabase) {
        let suite = Suite::set(db).await;
        let before = suite.whole().await;
        let bad = |name, errors, slow| Release { name, new: Goes { errors, slow }, ..NOTHING };
        // What nobody counts is found in its own time, however slow the machine is.
        let does = |name, harm, mend| Release { name, does: (harm, mend), bake: "1h", ..NOTHING };
        let releases = [
            bad("errors: 1 of 100", 0.01, 0.01),
            bad("errors: of one tenant in twenty", 0.05, 0.01),
            // The same latencies, each by 30 % longer: 1 of 100 beyond what was the p99 become 3.
            bad("slow: p99 by 30 % longer", 0.0, 0.033),
            bad("slow: a lock that everybody waits for", 0.0, 0.5),
            bad("slow: an index that is gone", 0.0, 0.2),
            Release { late: 40, ..bad("errors: only after an hour", 0.03, 0.01) },
            Release { old: Goes { errors: 0.02, slow: 0.05 }, ..bad("errors: more than there were", 0.05, 0.05) },
            does("integrity: a leak",
                 "CREATE POLICY leak ON progress.scores FOR SELECT TO progress_service USING (true)", "DROP POLICY leak ON progress.scores"),
            does("integrity: a function that runs what its caller made",
                 "CREATE FUNCTION ledger.bad() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION ledger.bad()"),
            does("integrity: one row in 100,000",
                 "UPDATE shop.things SET colour = 'rde' WHERE id = 77777", "UPDATE shop.things SET colour = 'red' WHERE id = 77777"),
            does("integrity: told twice",
                 "INSERT INTO shop.things (tenant_id, id) SELECT '00000000-0000-4000-8000-000000000009', 5", "DELETE FROM shop.things WHERE tenant_id::text LIKE '%9'"),
            does("integrity: another default",
                 "ALTER TABLE shop.things ALTER colour SET DEFAULT 'blue'", "ALTER TABLE shop.things ALTER colour SET DEFAULT 'red'"),
        ];
        for release in &releases {
            let ended = suite.carry_out(release).await;
            let why = ended["why"].as_str().unwrap_or_default();
            let kind = release.name.split(':').next().unwrap().replace("slow", "slow answers");
            assert!(ended["state"] == "rolled_back" && why.starts_with(&kind), "{}: {why}", release.name);
            assert!(!ended["events"].to_string().contains("everybody"), "{}: only pilots ever had it", release.name);
            suite.shop.is_as_before(release.name).await;
            if !release.does.1.is_empty() {
                suite.shop.sql(release.does.1).await;
            }
        }
        assert_eq!(suite.whole().await, before);
        let stayed: i64 = suite.shop.one(&format!("SELECT count(*) FROM ledger.statements WHERE tenant_id = '{}'", suite.pilot.0)).await;
        assert_eq!(stayed, i64::try_from(releases.len()).unwrap());
    }

    async fn of_harmless_releases_at_most_one_is_taken_back(db: TestDatabase) {
        let suite = Suite::set(db).await;
        let before = suite.whole().await;
        let same = |name, errors, slow| Release { name, new: Goes { errors, slow }, old: Goes { errors, slow }, ..NOTHING };
        let releases = [
            same("nothing fails", 0.0, 0.0),
            same("now and then one fails", 0.001, 0.01),
            same("one of a hundred fails, as before", 0.01, 0.01),
            same("one of twenty fails, as before", 0.05, 0.02),
            same("one of ten is slow, as before", 0.0, 0.1),
            same("half are slow, as before", 0.0, 0.5),
            Release { new: Goes { errors: 0.0, slow: 0.0 }, ..same("fewer fail", 0.02, 0.05) },
            Release { new: Goes { errors: 0.0, slow: 0.002 }, ..same("faster", 0.0, 0.05) },
            Release { name: "an index more", does: ("CREATE INDEX more ON shop.things (colour)", "DROP INDEX shop.more"), ..NOTHING },
            Release { name: "a column more", does: ("ALTER TABLE shop.things ADD COLUMN more text", "ALTER TABLE shop.things DROP COLUMN more"), ..NOTHING },
            Release { name: "a table more", does: ("CREATE TABLE shop.more (a int)", "DROP TABLE shop.more"), ..NOTHING },
            Release { name: "every row written anew", does: ("UPDATE shop.things SET colour = colour", ""), ..NOTHING },
        ];
        let mut taken_back = Vec::new();
        for release in &releases {
            let ended = suite.carry_out(release).await;
            if ended["state"] == "rolled_back" {
                taken_back.push(format!("{}: {}", release.name, ended["why"]));
            } else {
                suite.shop.app.post(&format!("{ROOT}/a-release/abort"), &json!({"reason": "the next one"})).await.expect(200);
            }
            suite.shop.is_as_before(release.name).await;
            if !release.does.1.is_empty() {
                suite.shop.sql(release.does.1).await;
            }
        }
        assert!(taken_back.len() <= 1, "{taken_back:?}");
        let after = suite.whole().await;
        assert_eq!((&after.0, &after.1), (&before.0, &before.1));
    }
}
