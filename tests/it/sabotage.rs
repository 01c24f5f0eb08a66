//! Bad releases and harmless ones, carried out by plans on a service that runs: each bad one is taken back by itself, what was
//! written under it stays, and what was there before is as it was. What is real about a release is done to the real database: triggers, policies,
//! rows; requests by the thousand are counted as nodes count them, drawn by dice of fixed seeds.

mod refused;

use progress_service::{
    model::{Clock, Ids, Secret, TenantId},
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
    app::{TestApp, send},
    patience,
    pg::TestDatabase,
};

/// Requests of either group that are counted at a time.
const BATCH: i64 = 1_000;
const ROOT: &str = "/api/v1/admin/rollouts";
const SHOP: &str = "-- Description: things of a shop
-- Breaking: no
-- Manual: no
-- Lock: none

CREATE TABLE shop.things (tenant_id uuid NOT NULL, id bigint NOT NULL, colour text NOT NULL DEFAULT 'red', PRIMARY KEY (tenant_id, id));
ALTER TABLE shop.things ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.things FORCE ROW LEVEL SECURITY;
CREATE POLICY every_tenant ON shop.things TO progress_worker USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA shop TO progress_worker, progress_service;
GRANT SELECT, UPDATE ON shop.things TO progress_worker;
GRANT SELECT ON shop.things TO progress_service;
CREATE POLICY own ON shop.things TO progress_service
    USING (tenant_id = (SELECT nullif(pg_catalog.current_setting('progress.tenant_id', true), '')::uuid));
";
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
}

const NOTHING: Release = Release { name: "", does: ("", ""), new: WELL, old: WELL, late: 0 };

struct Suite {
    app: TestApp,
    store: Store,
    node: Uuid,
    pilot: TenantId,
    key: (String, String),
    _folder: tempfile::TempDir,
}

impl Suite {
    async fn set(db: TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        std::fs::create_dir(&shop).unwrap();
        std::fs::write(shop.join("001_things.sql"), SHOP).unwrap();
        let place = folder.path().to_string_lossy().into_owned();
        let app =
            TestApp::with(db, &[("PROGRESS_MIGRATIONS_PLUGIN_DIR", &place)], Clock::system(), Ids::random()).await;
        let tenant = app.post("/api/v1/admin/tenants", &json!({"name": "pilot"})).await.expect(201).json();
        let id: Uuid = tenant["id"].as_str().unwrap().parse().unwrap();
        let made = app
            .post(&format!("/api/v1/admin/credentials?tenantId={id}"), &json!({"scopes": ["all"]}))
            .await
            .expect(201)
            .json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let rows =
            "INSERT INTO shop.things (tenant_id, id) SELECT ('00000000-0000-4000-8000-00000000000' || n % 3)::uuid, n
            FROM generate_series(1, 100000) n";
        app.db.superuser().await.batch_execute(rows).await.unwrap();
        let (store, node) = (app.db.store(), Ids::random().uuid());
        Self { store, node, pilot: TenantId(id), key: (text("apiKey"), text("secret")), app, _folder: folder }
    }

    async fn sql(&self, sql: &str) {
        self.app.db.superuser().await.batch_execute(sql).await.unwrap();
    }

    async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Every object of every schema, and a digest of the rows of the shop.
    async fn whole(&self) -> (Vec<String>, String) {
        let owner = Endpoint { url: Secret::new(self.app.db.owner_url()), ca_file: None };
        let session = Session::connect(&owner).await.unwrap();
        let schemas = ["platform", "ledger", "progress", "shop"].map(str::to_owned);
        let digest = self.one("SELECT sum(hashtextextended(t::text, 0))::text FROM shop.things t").await;
        (catalog::listing(&session, &schemas).await.unwrap().objects, digest)
    }

    fn plan(steps: &str) -> String {
        format!(
            r#"
format = 1
name = "a-release"
about = "a release for pilots, then for everybody"
[watch]
slow = "100ms"
tolerance = 0.02
[[checks]]
name = "every-thing-is-red"
sql = "SELECT id FROM shop.things WHERE colour <> 'red'"
[[checks]]
name = "no-thing-twice"
sql = "SELECT id FROM shop.things GROUP BY id HAVING count(*) > 1"
[[checks]]
name = "red-by-itself"
sql = "SELECT 1 FROM pg_catalog.pg_attrdef d WHERE adrelid = 'shop.things'::pg_catalog.regclass AND pg_catalog.pg_get_expr(adbin, adrelid) !~ 'red'"
{steps}
[[steps]]
name = "contract"
kind = "contract"
files = ["platform/026_tenant_settings.sql"]
"#
        )
    }

    fn switched() -> String {
        let step = |name: &str, pilots: &str| {
            format!(
                "[[steps]]\nname = \"{name}\"\nkind = \"switch\"\nflag = \"xapi.page_default\"\nvalue = \"50\"\nbake = \"1s\"\n{pilots}\n"
            )
        };
        Self::plan(&(step("pilots", "pilots = [\"pilot\"]") + &step("everybody", "")))
    }

    async fn begin(&self, plan: &str) {
        self.app.post(ROOT, &json!({"plan": plan})).await.expect(201);
    }

    async fn told(&self) -> Value {
        self.app.get(&format!("{ROOT}/a-release")).await.expect(200).json()
    }

    /// Waits until the pilots have it.
    async fn is_switched(&self) {
        patience::until("the switch", async || match self.told().await {
            told if told["events"].to_string().contains("\"set\"") => Ok(()),
            told => Err(told),
        })
        .await;
    }

    /// A statement under the new version.
    async fn pilot_writes(&self) -> u16 {
        let statement = json!({"actor": {"mbox": "mailto:ada@example.com"}, "object": {"id": "http://example.com/a"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"}});
        let request = self.app.anonymous(Method::POST, "/xapi/statements").basic_auth(&self.key.0, Some(&self.key.1));
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
        self.begin(&Self::switched()).await;
        self.is_switched().await;
        assert_eq!(self.pilot_writes().await, 200, "{}", release.name);
        if !release.does.0.is_empty() {
            self.sql(release.does.0).await;
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
            let told = self.told().await;
            let holds = told["why"].as_str().is_some_and(|why| why.contains("somebody else approves"));
            if told["state"] == "rolled_back" || holds { Ok(told) } else { Err(told) }
        })
        .await
    }

    /// The flag is for nobody what the release made it.
    async fn is_as_before(&self, release: &str) {
        let sql = "SELECT count(*) FROM (SELECT DISTINCT ON (tenant_id) value FROM platform.flags WHERE name = 'xapi.page_default'
            ORDER BY tenant_id, number DESC) now WHERE value IS NOT NULL";
        assert_eq!(self.one::<i64>(sql).await, 0, "{release}");
    }
}

on_the_newest_server! {
    async fn every_bad_release_is_taken_back_by_itself_and_what_was_written_stays(db: TestDatabase) {
        let suite = Suite::set(db).await;
        let before = suite.whole().await;
        let bad = |name, errors, slow| Release { name, new: Goes { errors, slow }, ..NOTHING };
        let does = |name, harm, mend| Release { name, does: (harm, mend), ..NOTHING };
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
            suite.is_as_before(release.name).await;
            if !release.does.1.is_empty() {
                suite.sql(release.does.1).await;
            }
        }
        assert_eq!(suite.whole().await, before);
        let stayed: i64 = suite.one(&format!("SELECT count(*) FROM ledger.statements WHERE tenant_id = '{}'", suite.pilot.0)).await;
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
                suite.app.post(&format!("{ROOT}/a-release/abort"), &json!({"reason": "the next one"})).await.expect(200);
            }
            suite.is_as_before(release.name).await;
            if !release.does.1.is_empty() {
                suite.sql(release.does.1).await;
            }
        }
        assert!(taken_back.len() <= 1, "{taken_back:?}");
        let after = suite.whole().await;
        assert_eq!((&after.0, &after.1), (&before.0, &before.1));
    }
}
