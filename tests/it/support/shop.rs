//! A service with a plug-in, a shop, whose changes are rolled out by plans.

use progress_service::model::{Clock, Ids};
use serde_json::{Value, json};

use super::{app::TestApp, patience, pg::TestDatabase};

pub const ROOT: &str = "/api/v1/admin/rollouts";
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

/// The service and its shop of 100,000 things, all red; `pilot` is a tenant.
pub struct Shop {
    pub app: TestApp,
    /// The tenant's id.
    pub pilot: String,
    _folder: tempfile::TempDir,
}

impl Shop {
    /// With more files of the plug-in than the one that makes it.
    pub async fn open(db: TestDatabase, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        std::fs::create_dir(&shop).unwrap();
        for (name, text) in [("001_things.sql", SHOP)].iter().chain(files) {
            std::fs::write(shop.join(name), text).unwrap();
        }
        let place = folder.path().to_string_lossy().into_owned();
        let app =
            TestApp::with(db, &[("PROGRESS_MIGRATIONS_PLUGIN_DIR", &place)], Clock::system(), Ids::random()).await;
        let made = app.post("/api/v1/admin/tenants", &json!({"name": "pilot"})).await.expect(201).json();
        let pilot = made["id"].as_str().unwrap().to_owned();
        let shop = Self { app, pilot, _folder: folder };
        let things = "INSERT INTO shop.things (tenant_id, id)
            SELECT ('00000000-0000-4000-8000-00000000000' || n % 3)::uuid, n FROM generate_series(1, 100000) n";
        shop.sql(things).await;
        shop
    }

    pub async fn sql(&self, sql: &str) {
        self.app.db.superuser().await.batch_execute(sql).await.unwrap();
    }

    pub async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// A release in these steps, and its contract.
    pub fn plan(steps: &str) -> String {
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

    /// A flag for the pilots and then for everybody, each baked for so long.
    pub fn switched(bake: &str) -> String {
        let step = |name: &str, pilots: &str| {
            format!(
                "[[steps]]\nname = \"{name}\"\nkind = \"switch\"\nflag = \"xapi.page_default\"\nvalue = \"50\"\nbake = \"{bake}\"\n{pilots}\n"
            )
        };
        Self::plan(&(step("pilots", "pilots = [\"pilot\"]") + &step("everybody", "")))
    }

    pub async fn begin(&self, plan: &str) {
        self.app.post(ROOT, &json!({"plan": plan})).await.expect(201);
    }

    pub async fn told(&self) -> Value {
        self.app.get(&format!("{ROOT}/a-release")).await.expect(200).json()
    }

    /// Waits until it is in this state.
    pub async fn until(&self, state: &str, what: &str) -> Value {
        patience::until(what, async || match self.told().await {
            told if told["state"] == state => Ok(told),
            told => Err(told),
        })
        .await
    }

    /// Waits until the pilots have it.
    pub async fn is_switched(&self) {
        patience::until("the switch", async || match self.told().await {
            told if told["events"].to_string().contains("\"set\"") => Ok(()),
            told => Err(told),
        })
        .await;
    }

    /// The flag is for nobody what the release made it.
    pub async fn is_as_before(&self, what: &str) {
        let sql = "SELECT count(*) FROM (SELECT DISTINCT ON (tenant_id) value FROM platform.flags WHERE name = 'xapi.page_default'
            ORDER BY tenant_id, number DESC) now WHERE value IS NOT NULL";
        assert_eq!(self.one::<i64>(sql).await, 0, "{what}");
    }
}
