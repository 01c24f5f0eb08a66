//! A node that was paused in the middle of a step, of whatever kind, until another had its lease: on waking it changes nothing, and the
//! other one does what is to be done.

use std::path::PathBuf;

use progress_service::{
    migrate::{
        backfill::{Backfills, DeskError},
        modules,
    },
    model::{Clock, Ids},
    rollout::{self, Looked, Stepped},
    store::Store,
    telemetry::Metrics,
};
use serde_json::json;

use crate::support::{app::TestApp, pg::TestDatabase};

const LEASE: &str = "rollouts";
const TERM: std::time::Duration = std::time::Duration::from_secs(30);
/// Every kind of step.
const PLAN: &str = r#"
format = 1
name = "every-kind"
about = "a step of every kind"
[[steps]]
name = "expand"
kind = "expand"
files = ["shop/101_paint.sql"]
[[steps]]
name = "fill"
kind = "backfill"
backfill = "shop/DM001_paint"
[[steps]]
name = "both"
kind = "dual-write"
flag = "xapi.page_default"
value = "60"
pilots = ["pilot"]
bake = "1ms"
[[steps]]
name = "same"
kind = "compare"
compare = "shop/DM002_same"
[[steps]]
name = "pilots"
kind = "switch"
flag = "xapi.page_default"
value = "50"
pilots = ["pilot"]
bake = "1ms"
[[steps]]
name = "everybody"
kind = "switch"
flag = "xapi.page_default"
value = "50"
bake = "1ms"
[[steps]]
name = "contract"
kind = "contract"
files = ["shop/102_no_colour.sql"]
"#;
/// The places of a plan, and whether its flag is set and baked there.
const MOMENTS: [(i32, bool); 10] = [
    (0, false),
    (1, false),
    (2, false),
    (2, true),
    (3, false),
    (4, false),
    (4, true),
    (5, false),
    (5, true),
    (6, false),
];

struct Stage {
    app: TestApp,
    backfills: Backfills,
}

impl Stage {
    /// The plan is begun, and nobody does anything of it.
    async fn set(db: TestDatabase) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/patterns/dual-write");
        let variables = [("PROGRESS_MIGRATIONS_PLUGIN_DIR", folder.to_str().unwrap())];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        app.stop_loops().await;
        app.post("/api/v1/admin/tenants", &json!({"name": "pilot"})).await.expect(201);
        app.post("/api/v1/admin/rollouts", &json!({"plan": PLAN})).await.expect(201);
        let files = modules::all(std::slice::from_ref(&folder)).unwrap();
        let backfills = Backfills::new(&app.db.store(), &files, &Ids::random(), &Metrics::new().unwrap(), None);
        Self { app, backfills }
    }

    async fn sql(&self, sql: &str) {
        self.app.db.superuser().await.batch_execute(sql).await.unwrap();
    }

    /// A node that has the lease from now on; whoever had it has lost it.
    async fn node(&self, holder: &str) -> Store {
        self.sql("UPDATE platform.leases SET expires_at = '-infinity'").await;
        let store = self.app.db.store();
        let lease = store.acquire_lease(LEASE, holder, TERM).await.unwrap().expect("it ran out");
        store.under(&lease)
    }

    /// Everything that a step changes.
    async fn whole(&self) -> String {
        let sql = "SELECT (SELECT string_agg(r::text, ' ') FROM platform.rollouts r) || ' ' || (SELECT count(*) FROM platform.rollout_events)
            || ' ' || (SELECT count(*) FROM platform.flags) || ' ' || (SELECT count(*) FROM platform.jobs)
            || ' ' || (SELECT count(*) FROM platform.audit WHERE action <> 'rollout.start')";
        self.app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// A step as a node does it that has found nothing wrong; what is to begin is begun.
    async fn step(&self, node: &Store, looked: Option<&Looked>) -> Result<Stepped, String> {
        let stepped = rollout::step(node, looked).await.map_err(|error| error.to_string())?;
        if let Stepped::Begin { name, again } = &stepped {
            self.begin(node, name, *again).await.map_err(|error| error.to_string())?;
        }
        Ok(stepped)
    }

    async fn begin(&self, node: &Store, name: &str, again: bool) -> Result<(), DeskError> {
        self.backfills.through(node).start(name, again, "rollout").await.map(drop)
    }
}

async fn looked(node: &Store) -> Option<Looked> {
    rollout::moment(node).await.unwrap().map(|at| Looked { at, wrong: Vec::new() })
}

const LOST: &str = "the lease rollouts went to another node: nothing was changed";

on_the_newest_server! {
    async fn a_node_that_wakes_up_in_any_kind_of_step_does_nothing_of_it(db: TestDatabase) {
        let mut db = db;
        db.leaves("platform.jobs");
        let stage = Stage::set(db).await;
        for (place, is_baked) in MOMENTS {
            let acted = if is_baked { "clock_timestamp() - interval '1 minute'" } else { "NULL" };
            stage.sql(&format!("UPDATE platform.rollouts SET step = {place}, state = 'running', why = NULL, acted_at = {acted}")).await;
            stage.sql("UPDATE platform.jobs SET state = 'failed' WHERE state <> 'failed'").await;
            let case = format!("step {place}, baked: {is_baked}");
            // It has looked, and is paused before it acts.
            let paused = stage.node("one").await;
            let seen = looked(&paused).await;
            let other = stage.node("other").await;
            let before = stage.whole().await;
            assert_eq!(stage.step(&paused, seen.as_ref()).await, Err(LOST.to_owned()), "{case}");
            assert_eq!(stage.whole().await, before, "{case}");
            // Paused a moment later, between what the step says and its beginning, it begins nothing either.
            let found = looked(&other).await;
            let stepped = rollout::step(&other, found.as_ref()).await.unwrap();
            let between = stage.whole().await;
            if let Stepped::Begin { name, again } = &stepped {
                let refused = stage.begin(&paused, name, *again).await.unwrap_err().to_string();
                assert_eq!((refused.as_str(), stage.whole().await), (LOST, between.clone()), "{case}");
                stage.begin(&other, name, *again).await.unwrap();
            }
            assert_ne!(stage.whole().await, before, "{case}: whoever has the lease does it");
        }
    }
}
