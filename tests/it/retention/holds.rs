//! Holds: what stands under one stays, whoever removes by whatever SQL, also when the hold comes in the middle.

use progress_service::{
    store::{
        As, StoreError,
        ledger::holds::{self, Scope},
    },
    xapi::keys,
};
use serde_json::json;
use tokio_postgres::error::SqlState;

use super::{TENANT, hold, learner, release};
use crate::{
    support::{app::TestApp, pg::TestDatabase},
    xapi::{id, identified},
};

/// Removes a statement as retention would; `None`: it went, else the reason.
async fn remove(db: &TestDatabase, statement: &str) -> Option<String> {
    let client = db.service().await;
    client.batch_execute(&format!("SET ROLE progress_retention; SET app.tenant_id = '{TENANT}'")).await.unwrap();
    match client.execute(&format!("DELETE FROM ledger.statements WHERE id = '{statement}'"), &[]).await {
        Ok(1) => None,
        Ok(count) => panic!("{count} statements went"),
        Err(error) => {
            assert_eq!(error.code(), Some(&SqlState::OBJECT_IN_USE), "{error:?}");
            Some(error.as_db_error().unwrap().message().to_owned())
        }
    }
}

on_each_server! {
    async fn what_stands_under_a_hold_is_not_removed_until_it_ends(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let store = app.db.store();
        let registration = uuid::Uuid::from_u128(77);
        let mut registered = identified(&id(3), "cem", "c");
        registered["context"] = json!({"registration": registration});
        let mut mentioned = identified(&id(4), "dan", "d");
        mentioned["context"] = json!({"instructor": {"mbox": "mailto:eva@example.com"},
            "contextActivities": {"grouping": [{"id": "http://example.com/activities/whole"}]}});
        let all = [identified(&id(1), "ann", "a"), identified(&id(2), "bob", "b"), registered, mentioned];
        app.post_statements(&json!(all)).await.expect(200);
        let course = |name: &str| {
            let named = format!("http://example.com/activities/{name}");
            Scope::Course { key: keys::activity(TENANT.0, &named), named }
        };
        let cases = [
            (id(1), Scope::Person(vec![learner("ann")])),
            (id(2), course("b")),
            (id(3), Scope::Registration { named: registration.to_string(), key: keys::registration(TENANT.0, registration) }),
            (id(4), Scope::Person(vec![learner("eva")])),
            (id(4), course("whole")),
            (id(4), Scope::Tenant),
        ];
        for (statement, scope) in &cases {
            let placed = hold(&store, scope).await;
            let why = remove(&app.db, statement).await.unwrap_or_else(|| panic!("{scope:?} did not hold"));
            assert!(why.contains(&placed.id.to_string()), "{why}");
            let ended = release(&store, placed.id).await.expect("it stood");
            assert!(ended.released.is_some() && (ended.scope != "person" || ended.keys.is_empty()), "{ended:?}");
            assert!(release(&store, placed.id).await.is_none(), "it ends once");
        }
        for statement in [1, 2, 3, 4].map(id) {
            assert_eq!(remove(&app.db, &statement).await, None, "nothing stands any more");
        }
        let client = app.db.superuser().await;
        let marks = "SELECT count(DISTINCT marks) FROM ledger.holds WHERE scope = 'person' AND cardinality(marks) = 1 AND keys = '{}'";
        assert_eq!(client.query_one(marks, &[]).await.unwrap().get::<_, i64>(0), 2, "whom they were about can be told by who has the key");
        for refused in ["UPDATE ledger.holds SET reason = 'x'", "DELETE FROM ledger.holds", "UPDATE ledger.holds SET released_at = NULL"] {
            assert!(client.batch_execute(refused).await.is_err(), "{refused}");
        }
    }

    async fn whoever_removes_is_told_of_the_holds_that_concern_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let store = app.db.store();
        let (ann, bob) = (learner("ann"), learner("bob"));
        hold(&store, &Scope::Person(vec![ann])).await;
        let stopping = async |keys: Vec<uuid::Uuid>| -> usize {
            let found: Result<_, StoreError> =
                store.run_tx("stopping", As::Eraser(TENANT), |tx| Box::pin(holds::standing(tx, TENANT))).await;
            found.unwrap().iter().filter(|hold| hold.concerns(&keys)).count()
        };
        assert_eq!((stopping(vec![ann]).await, stopping(vec![bob]).await, stopping(vec![bob, ann]).await), (1, 0, 1));
        hold(&store, &Scope::Tenant).await;
        assert_eq!((stopping(vec![ann]).await, stopping(vec![bob]).await), (2, 1));
    }

    /// The hold waits for the removal that asked before it; whoever asks after it is told.
    async fn a_hold_is_placed_before_the_question_or_after_the_removal(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "b")])).await.expect(200);
        let store = app.db.store();
        let remover = app.db.service().await;
        let begin = format!("BEGIN; SET LOCAL ROLE progress_retention; SET LOCAL app.tenant_id = '{TENANT}';
            SELECT ledger.share_holds('{TENANT}')");
        remover.batch_execute(&begin).await.unwrap();
        let placing = tokio::spawn({
            let store = store.clone();
            async move { hold(&store, &Scope::Tenant).await }
        });
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 76302 AND NOT granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let eyes = app.db.superuser().await;
        crate::support::patience::until("the hold waits", async || {
            let count: i64 = eyes.query_one(waits, &[]).await.unwrap().get(0);
            if count == 1 { Ok(()) } else { Err(count) }
        })
        .await;
        let gone = remover.execute(&format!("DELETE FROM ledger.statements WHERE id = '{}'", id(1)), &[]).await.unwrap();
        assert_eq!(gone, 1);
        remover.batch_execute("COMMIT").await.unwrap();
        let placed = placing.await.unwrap();
        assert!(remove(&app.db, &id(2)).await.is_some_and(|why| why.contains(&placed.id.to_string())));
    }
}
