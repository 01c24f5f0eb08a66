//! Whoever moves a tenant is gone at one place after the other: wherever that was, one cell serves it, and the same act ends the move.

use std::sync::Arc;

use object_store::memory::InMemory;
use progress_service::{
    model::{Clock, Ids, TenantId},
    objects::Objects,
    projections::effects::EFFECTS,
    residency::{Act, Here, KIND, Other, Residency, Stepped},
    store::{Store, platform::jobs::Context},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    cells::{Cells, SAME, statement},
    same_on_both,
    trouble::homes,
};
use crate::{archive, support::cut::cut_off};

/// Every so manyth place is tried: all of them take an hour.
const EVERY: usize = 97;
const STATEMENTS: u32 = 20;

pub struct Mover {
    residency: Residency,
    store: Store,
    tenant: TenantId,
}

impl Mover {
    fn of(cells: &Cells) -> Self {
        Self::over(cells, &Objects::over(Arc::new(InMemory::new())))
    }

    /// One that finds what the first cell has archived there.
    pub fn over(cells: &Cells, objects: &Objects) -> Self {
        let store = cells.one.db.store();
        let here = Here { name: "one".to_owned(), endpoint: "http://one.example".to_owned() };
        let two = Other { name: "two".to_owned(), endpoint: cells.two.url.clone(), store: cells.two.db.store() };
        let times = (&Clock::system(), &Ids::random());
        let residency = Residency::new((&store, objects), here, vec![two], times, EFFECTS.version);
        Self { residency, store, tenant: TenantId(cells.tenant) }
    }

    pub async fn noted(&self) -> Uuid {
        self.residency.begin((self.tenant, "two"), None, ("a test", "to be cut off")).await.unwrap().id
    }

    fn job(&self, act: Act, id: Uuid) -> Context {
        let mut job = archive::job(&self.store, KIND, None);
        job.job.parameters = json!({ "move": id, "act": act.name() });
        job
    }

    /// The act, gone after so many waits; whether it came to its end before.
    pub async fn cut(&self, act: Act, id: Uuid, waits: usize) -> bool {
        cut_off(self.residency.step(&self.job(act, id)), waits).await.is_some()
    }

    pub async fn done(&self, act: Act, id: Uuid) {
        match self.residency.step(&self.job(act, id)).await.unwrap() {
            Stepped::Done(_) => {}
            other => panic!("{}: {other:?}", act.name()),
        }
    }
}

on_the_newest_server! {
    async fn wherever_a_move_is_cut_off_one_cell_serves_and_the_same_act_ends_it(db: TestDatabase) {
        let cells = Cells::start(db).await;
        for n in 0..STATEMENTS {
            cells.post(&cells.one, &json!([statement(n)])).await.expect(200);
        }
        cells.settled(&cells.one).await;
        cells.one.stop_loops().await;
        cells.two.stop_loops().await;
        let mover = Mover::of(&cells);
        let mut cuts = [0; 3];
        for waits in (0..).step_by(EVERY) {
            let id = mover.noted().await;
            let mut whole = true;
            for (at, act) in [Act::Start, Act::Switch, Act::Reverse].into_iter().enumerate() {
                let ended = mover.cut(act, id, waits).await;
                (cuts[at], whole) = (cuts[at] + usize::from(!ended), whole && ended);
                let (serving, what) = (homes(&cells).await, format!("{} cut off after {waits} waits", act.name()));
                assert!(serving <= 1, "{what}: two cells serve it");
                mover.done(act, id).await;
                assert_eq!(homes(&cells).await, 1, "{what}, and done again");
                if act == Act::Switch {
                    same_on_both(&cells, &SAME).await;
                }
            }
            let there = cells.rows(&cells.one, "ledger.statements").await;
            assert_eq!(there.len(), STATEMENTS as usize, "back after {waits} waits each");
            if whole {
                break;
            }
        }
        assert!(cuts.iter().all(|cuts| *cuts > 3), "{cuts:?} cuts");
        for cell in [&cells.one, &cells.two] {
            let sql = "SELECT count(*), count(DISTINCT detail -> 'movedFrom' ->> 'entry'),
                    count(*) FILTER (WHERE detail -> 'detail' ? 'movedFrom')
                FROM platform.audit WHERE tenant_id = $1 AND detail ? 'movedFrom'";
            let told = cell.db.superuser().await.query_one(sql, &[&cells.tenant]).await.unwrap();
            let [all, once, echoes]: [i64; 3] = std::array::from_fn(|at| told.get(at));
            assert!(all > 3 && (all, echoes) == (once, 0), "of {all} entries told again {once} are others, {echoes} came from here");
        }
    }
}
