//! A hold that comes in the middle: at every step of an erasure, and against it a thousand times. Whatever the order, what stands
//! under a hold when it is placed is still there, and once it ends nothing that was learned before is missing.

use progress_service::{
    erasure::{Subject, request::Request},
    model::TenantId,
    store::{
        As, Store, StoreError,
        ledger::{
            erasing::{self, Sought},
            holds::{self, Scope},
            tables::Tables,
        },
    },
    xapi::keys::{self, Ifi},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ANN, OF_ANN, disks, erasures, kills, law, places};
use crate::{
    archived::history::settle,
    support::{app::TestApp, background, pg::TestDatabase},
    xapi::{id, identified},
};

const TENANT: TenantId = TenantId::DEFAULT;

/// Writes down whatever goes, or is published in another's place, while a hold stands.
async fn watch(db: &TestDatabase) {
    let sql = "
        CREATE TABLE public.went (what text);
        CREATE FUNCTION public.note_what_goes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN
                IF EXISTS (SELECT FROM ledger.holds WHERE released_at IS NULL) THEN
                    INSERT INTO public.went VALUES (TG_TABLE_NAME || ' ' || OLD::text);
                END IF;
                RETURN NULL;
            END $$;
        DO $$
            DECLARE one text;
            BEGIN
                FOR one IN SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname IN ('ledger', 'progress') AND c.relkind = 'r' AND NOT c.relispartition
                      -- What is known of the erased, and what is hidden, is the erasure's own.
                      AND c.relname NOT IN ('hidden', 'hidden_persons', 'erased_identifiers', 'links_due') LOOP
                    EXECUTE format('CREATE TRIGGER watched AFTER DELETE ON %s FOR EACH ROW EXECUTE FUNCTION public.note_what_goes()', one);
                END LOOP;
            END $$;
        CREATE TRIGGER watched_too AFTER UPDATE ON ledger.segments FOR EACH ROW
            WHEN (NEW.state IN ('published', 'marked') AND OLD.state <> NEW.state) EXECUTE FUNCTION public.note_what_goes()";
    db.superuser().await.batch_execute(sql).await.unwrap();
}

async fn look_around(app: &TestApp) -> usize {
    let erasures = erasures(app);
    background::runtime().spawn(async move { erasures.look_around().await }).await.unwrap().unwrap()
}

on_the_newest_server! {
    async fn a_hold_at_any_step_stops_it_and_when_it_ends_nothing_is_left_behind(db: TestDatabase) {
        let mut db = db;
        // References are followed by a loop, and none runs here.
        db.leaves("ledger.links_due");
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        watch(&app.db).await;
        let client = app.db.superuser().await;
        let (mut stopped, mut late) = (0, 0);
        for (number, waits) in (0..).zip((0..).step_by(19)) {
            kills::here_and_in_the_archive(&app, number).await;
            if kills::once(&app, waits).await {
                break;
            }
            let hold = law::hold(&app, u128::from(number) + 1, law::somebody(ANN)).await;
            assert!(kills::once(&app, usize::MAX).await, "{waits} waits");
            let went: Vec<String> = client.query("SELECT what FROM public.went", &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
            assert_eq!(went, Vec::<String>::new(), "it went under a hold, after {waits} waits");
            let last = "SELECT state, reason FROM ledger.erasures ORDER BY stamp DESC LIMIT 1";
            let last = client.query_one(last, &[]).await.unwrap();
            law::release(&app, hold).await;
            match last.get::<_, &str>(0) {
                "queued" => {
                    assert_eq!(last.get::<_, Option<&str>>(1), Some("court order 7: a lawsuit"), "{waits} waits");
                    assert_eq!(look_around(&app).await, 1, "{waits} waits");
                    assert!(kills::once(&app, usize::MAX).await, "{waits} waits");
                    stopped += 1;
                }
                "erased" => late += 1,
                state => panic!("it is {state} after {waits} waits"),
            }
            for needle in ["ann@example.com", "ann-canary"] {
                assert_eq!(places(&app.db, needle).await, Vec::<String>::new(), "{needle} after {waits} waits");
            }
            let everything = disks::objects_with_any(&app.data().join("archive"), &OF_ANN);
            assert_eq!(everything, Vec::<String>::new(), "after {waits} waits");
        }
        assert!(stopped > 10, "{stopped} were stopped, {late} came too late");
    }

    async fn a_hold_that_races_an_erasure_wins_a_thousand_times(db: TestDatabase) {
        let mut db = db;
        db.leaves("ledger.links_due");
        db.leaves("platform.jobs");
        let app = TestApp::start(db).await;
        for chunk in (1..=RACES).collect::<Vec<_>>().chunks(500) {
            let some: Vec<Value> = chunk.iter().map(|n| identified(&id(*n), &format!("l{n}"), &format!("c{n}"))).collect();
            app.post_statements(&json!(some)).await.expect(200);
        }
        settle(&app).await;
        app.stop_loops().await;
        let (store, eyes) = (app.db.store(), app.db.superuser().await);
        let erasure = a_request(&app).await;
        let (mut won, mut late) = (0, 0);
        for n in 1..=RACES {
            let (person, named) = (mbox(n), format!("http://example.com/activities/c{n}"));
            let scope = match n % 2 {
                0 => Scope::Person(vec![person]),
                _ => Scope::Course { key: keys::activity(TENANT.0, &named), named },
            };
            let went = match n % 3 {
                // The hold comes first, and the removal was decided before.
                0 => {
                    law::hold(&app, n, scope).await;
                    remove(&store, erasure, person).await
                }
                // Both at once, each in its own session.
                1 => tokio::join!(law::hold(&app, n, scope), remove(&store, erasure, person)).1,
                _ => tokio::join!(remove(&store, erasure, person), law::hold(&app, n, scope)).0,
            };
            let there = "SELECT count(*) FROM ledger.statements WHERE id = $1::text::uuid";
            let there: i64 = eyes.query_one(there, &[&id(n)]).await.unwrap().get(0);
            assert_eq!(there == 0, went, "race {n}");
            assert!(n % 3 != 0 || there == 1, "race {n}: the hold was there before");
            if there == 1 {
                assert!(!remove(&store, erasure, person).await, "race {n}: it went under a hold");
                won += 1;
            } else {
                late += 1;
            }
            law::release(&app, Uuid::from_u128(n)).await;
        }
        assert!(won > 334 && late > 0, "{won} won, {late} came after the removal had ended: the races were none");
    }
}

const RACES: u128 = 1_002;

fn mbox(n: u128) -> Uuid {
    keys::agent(TENANT.0, &Ifi::Mbox(format!("mailto:l{n}@example.com")))
}

/// A request of which nothing is done.
async fn a_request(app: &TestApp) -> Uuid {
    let erasures = erasures(app);
    let asking = async move {
        let subject = Subject::read(&json!({"agents": [{"mbox": ANN}]})).unwrap();
        let (tenant, subject) = (TENANT, &subject);
        let request = Request { tenant, subject, policy: None, by: "a test", saga_request: None, seen: None };
        erasures.request(&request).await.unwrap().id
    };
    background::runtime().spawn(asking).await.unwrap()
}

/// Removes what somebody did, as a batch of an erasure does; whether it went.
async fn remove(store: &Store, erasure: Uuid, person: Uuid) -> bool {
    let sought = &Sought { keys: vec![person] };
    let removing: Result<u64, StoreError> = store
        .run_tx("race", As::Worker, |tx| {
            Box::pin(async move {
                let holds = holds::standing(tx, TENANT).await?;
                let going = erasing::of_actor(tx, TENANT, Tables::Hot, sought, 10).await?;
                if going.is_empty() || holds.iter().any(|hold| hold.concerns([&person])) {
                    return Ok(0);
                }
                erasing::delete(tx, (TENANT, erasure), Tables::Hot, &going).await
            })
        })
        .await;
    match removing {
        Ok(gone) => gone > 0,
        // By the table's own guard.
        Err(error) if error.code() == Some("55006") => false,
        Err(error) => panic!("{error}"),
    }
}
