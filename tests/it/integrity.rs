//! What a rollout looks at besides requests: the whole, before a step switches and while it is baked, and whether its backfill came to an end.

use progress_service::model::{Clock, Ids};
use serde_json::{Value, json};

use crate::support::{app::TestApp, patience, pg::TestDatabase};

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
/// A backfill that leaves out what it should do.
const STOPS_EARLY: &str = "-- Description: green things
-- Breaking: no
-- Manual: yes
-- Lock: none
-- Backfill: shop.things by tenant_id, id
-- Remains: colour = 'red'

UPDATE shop.things t SET colour = 'green' FROM batch b WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id) AND t.id < 500;
";

struct Suite {
    app: TestApp,
    _folder: tempfile::TempDir,
}

impl Suite {
    async fn set(db: TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        std::fs::create_dir(&shop).unwrap();
        std::fs::write(shop.join("001_things.sql"), SHOP).unwrap();
        std::fs::write(shop.join("DM001_green.sql"), STOPS_EARLY).unwrap();
        let place = folder.path().to_string_lossy().into_owned();
        let app =
            TestApp::with(db, &[("PROGRESS_MIGRATIONS_PLUGIN_DIR", &place)], Clock::system(), Ids::random()).await;
        app.post("/api/v1/admin/tenants", &json!({"name": "pilot"})).await.expect(201);
        let suite = Self { app, _folder: folder };
        suite
            .sql(
                "INSERT INTO shop.things (tenant_id, id) SELECT ('00000000-0000-4000-8000-00000000000' || n % 3)::uuid, n
                 FROM generate_series(1, 100000) n",
            )
            .await;
        suite
    }

    async fn sql(&self, sql: &str) {
        self.app.db.superuser().await.batch_execute(sql).await.unwrap();
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
                "[[steps]]\nname = \"{name}\"\nkind = \"switch\"\nflag = \"xapi.page_default\"\nvalue = \"50\"\nbake = \"1h\"\n{pilots}\n"
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

    /// The flag is for nobody what the release made it.
    async fn is_as_before(&self) {
        let sql = "SELECT count(*) FROM (SELECT DISTINCT ON (tenant_id) value FROM platform.flags WHERE name = 'xapi.page_default'
            ORDER BY tenant_id, number DESC) now WHERE value IS NOT NULL";
        let left: i64 = self.app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(left, 0);
    }
}

on_the_newest_server! {
    async fn what_goes_wrong_while_it_is_baked_takes_everything_back(db: TestDatabase) {
        let suite = Suite::set(db).await;
        for (harm, mend, word) in [
            ("CREATE POLICY leak ON progress.scores FOR SELECT TO progress_service USING (true)", "DROP POLICY leak ON progress.scores",
             "tenant-isolation"),
            ("CREATE FUNCTION ledger.bad() RETURNS integer LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION ledger.bad()", "functions"),
            ("UPDATE shop.things SET colour = 'rde' WHERE id = 77777", "UPDATE shop.things SET colour = 'red' WHERE id = 77777",
             "every-thing-is-red: 1 rows"),
            ("INSERT INTO shop.things (tenant_id, id) SELECT '00000000-0000-4000-8000-000000000009', 5",
             "DELETE FROM shop.things WHERE tenant_id::text LIKE '%9'", "no-thing-twice: 1 rows"),
            ("ALTER TABLE shop.things ALTER colour SET DEFAULT 'blue'", "ALTER TABLE shop.things ALTER colour SET DEFAULT 'red'",
             "red-by-itself: 1 rows"),
        ] {
            suite.begin(&Suite::switched()).await;
            suite.is_switched().await;
            suite.sql(harm).await;
            let ended = patience::until(word, async || match suite.told().await {
                told if told["state"] == "rolled_back" => Ok(told),
                told => Err(told),
            })
            .await;
            let why = ended["why"].as_str().unwrap();
            assert!(why.starts_with("integrity: ") && why.contains(word), "{word}: {why}");
            suite.is_as_before().await;
            suite.sql(mend).await;
        }
    }

    async fn a_backfill_that_stops_early_ends_its_rollout_before_anybody_has_it(db: TestDatabase) {
        let suite = Suite::set(db).await;
        let steps = "[[steps]]\nname = \"fill\"\nkind = \"backfill\"\nbackfill = \"shop/DM001_green\"\n";
        suite.begin(&Suite::plan(steps).replace("[[checks]]\nname = \"every-thing-is-red\"\nsql = \"SELECT id FROM shop.things WHERE colour <> 'red'\"\n", "")).await;
        let ended = patience::until("the end", async || match suite.told().await {
            told if told["state"] == "rolled_back" => Ok(told),
            told => Err(told),
        })
        .await;
        assert!(ended["why"].as_str().unwrap().starts_with("the backfill shop/DM001_green failed: "), "{ended}");
        assert!(!ended["events"].to_string().contains("\"set\""), "{ended}");
    }

    async fn what_is_wrong_beforehand_is_no_beginning(db: TestDatabase) {
        let suite = Suite::set(db).await;
        suite.sql("UPDATE shop.things SET colour = 'rde' WHERE id = 77777").await;
        suite.begin(&Suite::switched()).await;
        let held = patience::until("it holds", async || match suite.told().await {
            told if told["state"] == "holding" => Ok(told),
            told => Err(told),
        })
        .await;
        assert_eq!(held["why"], "something is wrong before it begins: every-thing-is-red: 1 rows");
        let refused = suite.app.post(&format!("{ROOT}/a-release/advance"), &json!({})).await.expect(409);
        assert!(refused.text().contains("nothing was switched yet"), "{}", refused.text());
        suite.sql("UPDATE shop.things SET colour = 'red' WHERE id = 77777").await;
        suite.is_switched().await;
        suite.app.post(&format!("{ROOT}/a-release/abort"), &json!({"reason": "seen"})).await.expect(200);
        suite.is_as_before().await;
    }
}
