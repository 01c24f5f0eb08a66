//! Statements that come with their past: kept as they were, once, silently, or refused by name.

use std::{sync::Arc, time::Duration};

use progress_service::{
    cold::Cold,
    ingest::settle::References,
    model::TenantId,
    objects::{
        Objects,
        shelf::{Shelf, ShelfSettings},
    },
    projections::{effects::EFFECTS, rebuild::Rebuild},
    store::{Store, ledger::fills::Parents, progress::relay::Share},
    telemetry::Metrics,
    transfer::{Arrival, Load, LoadError, Loaded, PastDocument, Reader},
    xapi::query::DocumentScope,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{app::TestApp, pg::TestDatabase};

const TENANT: TenantId = TenantId::DEFAULT;

fn id(n: u32) -> String {
    Uuid::from_u128(0x1111_0000_0000_4000_8000_0000_0000_0000 | u128::from(n)).to_string()
}

/// The `n`th statement, stored at this moment by an authority from elsewhere.
fn past(n: u32, stored: &str) -> Value {
    json!({"id": id(n), "actor": {"mbox": format!("mailto:learner{}@x.example", n % 3)},
           "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
           "object": {"id": format!("http://x.example/course/{}", n % 2), "definition": {"name": {"en": "A course"}}},
           "context": {"registration": Uuid::from_u128(0x2222_0000_0000_4000_8000_0000_0000_0000 | u128::from(n % 5))},
           "result": {"completion": true, "score": {"scaled": 0.5}},
           "timestamp": stored, "stored": stored, "version": "1.0.0",
           "authority": {"objectType": "Agent", "account": {"homePage": "http://elsewhere.example", "name": "other"}}})
}

fn referring(n: u32, stored: &str, target: u32, verb: &str) -> Value {
    let mut statement = past(n, stored);
    statement["verb"] = json!({"id": verb});
    statement["object"] = json!({"objectType": "StatementRef", "id": id(target)});
    statement.as_object_mut().unwrap().remove("result");
    statement
}

fn read(statements: &[Value]) -> Vec<Arrival> {
    let mut reader = Reader::of(TENANT);
    statements.iter().map(|one| reader.read(one.to_string().as_bytes()).unwrap()).collect()
}

fn begin(store: &Store) -> Load {
    Load::begin(store.clone(), EFFECTS.version)
}

async fn load(store: &Store, statements: &[Value]) -> Result<Loaded, LoadError> {
    let mut load = begin(store);
    let loaded = load.take(TENANT, &read(statements)).await?;
    load.finish(None).await?;
    Ok(loaded)
}

async fn count(db: &TestDatabase, what: &str) -> i64 {
    db.superuser().await.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

/// No month of these tests is archived.
fn cold(store: &Store) -> Cold {
    let settings = ShelfSettings { cache: None, reads: 1, wait: Duration::ZERO, timeout: Duration::ZERO };
    let objects = Objects::over(Arc::new(object_store::memory::InMemory::new()));
    Cold::new(store.clone(), Shelf::over(objects, settings, Metrics::new().unwrap()))
}

async fn settle(store: &Store) {
    let references = References::new(cold(store), Metrics::new().unwrap());
    while references.step().await.unwrap() > 0 {}
}

on_each_server! {
    async fn what_is_loaded_is_found_as_it_was(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let store = app.db.store();
        let all = [past(1, "2026-02-03T10:00:00.000001Z"), past(2, "2026-02-03T10:00:00.000002Z"), past(3, "2026-03-01T00:00:00Z"),
                   referring(4, "2026-03-05T09:00:00.123456Z", 1, "http://adlnet.gov/expapi/verbs/commented"),
                   referring(5, "2026-03-05T09:01:00Z", 2, "http://adlnet.gov/expapi/verbs/voided")];
        assert_eq!(load(&store, &all).await.unwrap(), Loaded { new: 5, same: 0 });
        settle(&store).await;

        let found = app.get_statements(&[("statementId", &id(1))]).await.expect(200).json();
        assert_eq!(found["stored"], "2026-02-03T10:00:00.000001Z");
        assert_eq!(found["authority"]["account"]["name"], "other");
        assert_eq!(found["timestamp"], "2026-02-03T10:00:00.000001Z");
        let ids = async |parameters: &[(&str, &str)]| -> Vec<String> {
            let page = app.get_statements(parameters).await.expect(200).json();
            page["statements"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&[("ascending", "true")]).await, [id(1), id(3), id(4), id(5)], "the second is voided");
        app.get_statements(&[("voidedStatementId", &id(2))]).await.expect(200);
        assert_eq!(ids(&[("activity", "http://x.example/course/1"), ("ascending", "true")]).await, [id(1), id(3), id(4)],
            "the comment is found by what it is about");
        let other = r#"{"account":{"homePage":"http://elsewhere.example","name":"other"}}"#;
        assert_eq!(ids(&[("agent", other), ("related_agents", "true")]).await.len(), 4);
        assert_eq!(ids(&[("since", "2026-02-15T00:00:00Z"), ("until", "2026-03-05T09:00:00.123456Z")]).await, [id(4), id(3)]);

        // Silence: neither the relay nor an event hears of it; the attempts come with a rebuild.
        assert!(store.relay_positions(Share::WHOLE, None).await.unwrap().0.is_empty());
        let rebuild = Rebuild::begin(&cold(&store), Some(TENANT)).await.unwrap();
        rebuild.build(&|_| ()).await.unwrap();
        assert!(!rebuild.compare(TENANT).await.unwrap().is_empty());
        rebuild.apply(TENANT, "a test").await.unwrap();
        rebuild.end().await.unwrap();
        assert_eq!((count(&app.db, "progress.attempts").await > 0, count(&app.db, "progress.outbox").await), (true, 0));

        // What comes over xAPI has another moment and its own authority, whatever it says.
        let stored = past(6, "2026-03-07T00:00:00Z");
        app.post_statements(&json!([stored])).await.expect(200);
        let found = app.get_statements(&[("statementId", &id(6))]).await.expect(200).json();
        assert!(found["stored"] != stored["stored"] && found["authority"] != stored["authority"]);
    }

    async fn the_same_again_changes_nothing_and_another_is_refused(db: TestDatabase) {
        let store = db.store();
        let mut all: Vec<Value> = (0..50).map(|n| past(n, &format!("2026-02-03T10:00:{n:02}Z"))).collect();
        load(&store, &all).await.unwrap();
        assert_eq!(load(&store, &all).await.unwrap(), Loaded { new: 0, same: 50 });
        all.push(past(60, "2026-02-04T10:00:00Z"));
        assert_eq!(load(&store, &all).await.unwrap(), Loaded { new: 1, same: 50 }, "a month that is open is added to");

        let mut other = past(7, "2026-02-03T10:00:07Z");
        other["result"]["score"]["scaled"] = json!(0.9);
        let error = load(&store, &[past(61, "2026-02-05T10:00:00Z"), other]).await.unwrap_err();
        assert!(error.to_string().contains(&id(7)) && matches!(error, LoadError::Conflict { .. }), "{error}");
        let mut later = past(7, "2026-02-03T10:00:07Z");
        later["timestamp"] = json!("2026-02-03T09:00:00Z");
        assert!(matches!(load(&store, &[later]).await, Err(LoadError::Conflict { .. })), "another timestamp is another statement");
        db.superuser().await.batch_execute(&format!("UPDATE ledger.statement_ids SET erased = true WHERE id = '{}'", id(8))).await.unwrap();
        let error = load(&store, &[past(8, "2026-02-03T10:00:08Z")]).await.unwrap_err();
        assert!(matches!(error, LoadError::Erased(_)), "{error}");
        assert_eq!(count(&db, "ledger.statements").await, 51, "what was refused left nothing");
        assert_eq!(count(&db, "ledger.statement_ids").await, 51);
    }

    async fn one_batch_may_say_the_same_twice_and_not_two_things_of_one_id(db: TestDatabase) {
        let store = db.store();
        let one = past(1, "2026-02-03T10:00:00Z");
        assert_eq!(load(&store, &[one.clone(), one.clone()]).await.unwrap(), Loaded { new: 1, same: 1 });
        let (two, mut other) = (past(2, "2026-02-03T11:00:00Z"), past(2, "2026-02-03T12:00:00Z"));
        assert!(matches!(load(&store, &[two.clone(), other.clone()]).await, Err(LoadError::Conflict { .. })));
        other["timestamp"] = two["timestamp"].clone();
        other["result"]["score"]["scaled"] = json!(0.25);
        assert!(matches!(load(&store, &[two, other]).await, Err(LoadError::Conflict { .. })));
        assert_eq!(count(&db, "ledger.statement_ids").await, 1);
    }

    async fn what_another_load_has_begun_is_finished_with_its_references(db: TestDatabase) {
        let store = db.store();
        let commented = "http://adlnet.gov/expapi/verbs/commented";
        let mut dead = begin(&store);
        let referring = referring(2, "2026-02-05T09:00:00Z", 1, commented);
        dead.take(TENANT, &read(&[past(1, "2026-02-03T10:00:00Z"), referring])).await.unwrap();
        drop(dead);
        // Somebody else loads another tenant into the same month.
        let other = TenantId(Uuid::from_u128(0x0777));
        let mut reader = Reader::of(other);
        let arrival = reader.read(past(3, "2026-02-04T10:00:00Z").to_string().as_bytes()).unwrap();
        let mut load = begin(&store);
        load.take(other, &[arrival]).await.unwrap();
        assert_eq!(load.finish(None).await.unwrap().len(), 1);
        settle(&store).await;
        assert_eq!((count(&db, "ledger.statements").await, count(&db, "ledger.reaches").await), (3, 1));
    }

    async fn a_moment_belongs_to_one_statement(db: TestDatabase) {
        let store = db.store();
        let twice = [past(1, "2026-02-03T10:00:00Z"), past(2, "2026-02-03T10:00:00Z")];
        assert!(matches!(load(&store, &twice).await, Err(LoadError::SameMoment { .. })), "in one batch");
        let mut two = begin(&store);
        two.take(TENANT, &read(&twice[..1])).await.unwrap();
        two.take(TENANT, &read(&twice[1..])).await.unwrap();
        assert!(matches!(two.finish(None).await, Err(LoadError::SameMoment { .. })), "in a month that is filled");
        let fill = store.begin_month("2026-02".parse().unwrap(), Parents::Hot).await.unwrap();
        store.abandon_month(&fill).await.unwrap();
        load(&store, &[past(11, "2026-03-03T10:00:00Z")]).await.unwrap();
        let error = load(&store, &[past(12, "2026-03-03T10:00:00Z")]).await.unwrap_err();
        assert!(error.to_string().contains("2026-03-03T10:00:00.000000Z"), "in a month that is there: {error}");
    }

    async fn only_what_nobody_will_be_told_of_is_taken(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let store = app.db.store();
        app.post_statements(&json!([{"actor": {"mbox": "mailto:a@x.example"}, "verb": {"id": "http://x.example/did"},
                                     "object": {"id": "http://x.example/it"}}])).await.expect(200);
        let error = load(&store, &[past(1, "2026-02-03T10:00:00Z")]).await.unwrap_err();
        assert!(matches!(error, LoadError::Told { .. }) && error.to_string().contains("catch up"), "{error}");
        assert_eq!(count(&app.db, "ledger.statements").await, 1);

        let future = (progress_service::model::Clock::system().now() + chrono::TimeDelta::hours(1)).to_rfc3339();
        app.db.superuser().await.batch_execute("
            INSERT INTO progress.relay_cursors (tenant_id, position) SELECT tenant_id, max(stored) FROM ledger.statements GROUP BY 1;
            INSERT INTO progress.projection_cursors (tenant_id, position, effects_version)
                SELECT tenant_id, max(stored), 2 FROM ledger.statements GROUP BY 1
                ON CONFLICT (tenant_id) DO UPDATE SET position = excluded.position").await.unwrap();
        load(&store, &[past(1, "2026-02-03T10:00:00Z")]).await.unwrap();
        let error = load(&store, &[past(2, &future)]).await.unwrap_err();
        assert!(matches!(error, LoadError::Told { .. }), "nobody stores in the future: {error}");
    }

    async fn a_month_that_is_closed_takes_nothing(db: TestDatabase) {
        let (store, eyes) = (db.store(), db.superuser().await);
        load(&store, &[past(1, "2026-02-03T10:00:00Z")]).await.unwrap();
        eyes.batch_execute("UPDATE ledger.partitions SET state = 'sealed'").await.unwrap();
        let error = load(&store, &[past(2, "2026-02-03T11:00:00Z")]).await.unwrap_err();
        assert!(error.to_string().contains("2026-02 is sealed"), "{error}");
        // Sealed between two batches.
        eyes.batch_execute("UPDATE ledger.partitions SET state = 'open'").await.unwrap();
        let mut load = begin(&store);
        load.take(TENANT, &read(&[past(3, "2026-02-03T12:00:00Z")])).await.unwrap();
        eyes.batch_execute("UPDATE ledger.partitions SET state = 'sealed'").await.unwrap();
        assert!(matches!(load.take(TENANT, &read(&[past(4, "2026-02-03T13:00:00Z")])).await, Err(LoadError::Closed(..))));
        assert_eq!(count(&db, "ledger.statement_ids").await, 2, "no id is claimed for what was refused");
    }

    async fn who_was_interrupted_loads_the_same_again(db: TestDatabase) {
        let store = db.store();
        let all: Vec<Value> = (0..60).map(|n| {
            let month = 1 + n / 20;
            let stored = format!("2026-0{month}-11T10:00:{:02}Z", n % 20);
            if n % 10 == 9 { referring(n, &stored, n - 9, "http://adlnet.gov/expapi/verbs/commented") } else { past(n, &stored) }
        }).collect();
        // It dies with one month done, one half filled, and one not begun.
        let mut dead = begin(&store);
        dead.take(TENANT, &read(&all[..30])).await.unwrap();
        dead.finish(Some("2026-02".parse().unwrap())).await.unwrap();
        drop(dead);
        assert_eq!((count(&db, "ledger.statements").await, count(&db, "ledger.statement_ids").await), (20, 30));
        assert_eq!(load(&store, &all).await.unwrap(), Loaded { new: 30, same: 30 });
        assert_eq!((count(&db, "ledger.statements").await, count(&db, "ledger.statement_ids").await), (60, 60));
        settle(&store).await;
        assert_eq!((count(&db, "ledger.refs").await, count(&db, "ledger.reaches").await), (6, 6));
        assert!(store.months_begun().await.unwrap().is_empty());
    }

    async fn a_reference_is_followed_whatever_comes_first(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let store = app.db.store();
        // The referrer is there, and looked at, before what it refers to.
        load(&store, &[referring(2, "2026-03-05T09:00:00Z", 1, "http://adlnet.gov/expapi/verbs/commented")]).await.unwrap();
        settle(&store).await;
        load(&store, &[past(1, "2026-02-03T10:00:00Z")]).await.unwrap();
        settle(&store).await;
        let page = app.get_statements(&[("activity", "http://x.example/course/1")]).await.expect(200).json();
        assert_eq!(page["statements"].as_array().unwrap().len(), 2);
    }

    async fn documents_come_with_their_moment_and_a_newer_one_stays(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let store = app.db.store();
        let document = |content: &str, at: &str| PastDocument {
            scope: DocumentScope::ActivityProfile { activity: "http://x.example/course".into() }, id: "settings".into(),
            content_type: "text/plain".into(), content: content.into(), updated_at: at.parse().unwrap() };
        let mut load = begin(&store);
        assert_eq!(load.documents(TENANT, &[document("old", "2026-02-03T10:00:00Z")]).await.unwrap(), 1);
        assert_eq!(load.documents(TENANT, &[document("older", "2026-01-03T10:00:00Z")]).await.unwrap(), 0);
        let path = "/activities/profile?activityId=http%3A%2F%2Fx.example%2Fcourse&profileId=settings";
        let answer = crate::support::app::send(app.xapi(reqwest::Method::GET, path)).await.expect(200);
        assert_eq!(answer.text(), "old");
        assert_eq!(answer.header("last-modified"), "Tue, 03 Feb 2026 10:00:00 GMT");
        assert_eq!(answer.header("etag"), "\"c00dbbc9dadfbe1e232e93a729dd4752fade0abf\"");
    }
}
