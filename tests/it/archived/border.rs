//! What is written after a month has gone and speaks of it: sent again, referred to, voided, folded, counted.

use progress_service::{model::partition::Month, projections::rebuild::Rebuild};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    history::{as_credential, credential, settle},
    objects,
};
use crate::{
    api::{ADA, Api, EXTENSIONS},
    support::{
        app::{TestApp, send},
        background, months,
    },
    xapi::{about, id, identified, ids, voiding},
};

const MARCH: &str = "2026-03";
const COMMENTED: &str = "http://adlnet.gov/expapi/verbs/commented";

fn march() -> Month {
    MARCH.parse().unwrap()
}

/// Everything that is stored leaves for March, and March leaves the database.
async fn archive(app: &TestApp) {
    months::spread(&app.db, march()).await;
    settle(app).await;
    months::away(&app.db, &objects(app), march()).await;
}

async fn found(app: &TestApp, parameters: &[(&str, &str)]) -> Vec<String> {
    ids(&app.get_statements(parameters).await.expect(200).json())
}

on_each_server! {
    async fn what_is_sent_again_is_compared_as_ever(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let mut timed = identified(&id(1), "ann", "a");
        timed["timestamp"] = json!("2026-03-01T10:00:00Z");
        let plain = identified(&id(2), "ann", "a");
        app.post_statements(&json!([timed, plain])).await.expect(200);
        archive(&app).await;
        let counted = "SELECT count(*) FROM ledger.statement_ids";
        for same in [&timed, &plain, &identified(&id(1), "ann", "a")] {
            app.put_statement(same["id"].as_str().unwrap(), same).await.expect(204);
        }
        // The one that came without a timestamp got the moment it was stored at: a timestamp differs from nothing.
        let mut other = plain.clone();
        other["timestamp"] = json!("2026-03-01T10:00:00Z");
        app.put_statement(&id(2), &other).await.expect(204);
        let mut later = timed.clone();
        later["timestamp"] = json!("2026-03-01T10:00:01Z");
        let refused = app.put_statement(&id(1), &later).await.expect(409).json();
        assert!(refused["detail"].as_str().unwrap().contains("its timestamp differs"), "{refused}");
        app.put_statement(&id(1), &identified(&id(1), "bob", "a")).await.expect(409);
        // In one group with others, who are not concerned.
        let (wrong, right) = (json!([later]), json!([identified(&id(3), "ann", "a"), timed]));
        let (conflict, fine) = tokio::join!(app.post_statements(&wrong), app.post_statements(&right));
        conflict.expect(409);
        fine.expect(200);
        assert_eq!(app.db.superuser().await.query_one(counted, &[]).await.unwrap().get::<_, i64>(0), 3);
        assert_eq!(found(&app, &[]).await, [id(3), id(2), id(1)]);
    }

    async fn who_refers_to_an_archived_statement_is_found_by_it_at_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        // 2 refers to 1; 5 waits for 4, which comes when both are long gone.
        let past = [identified(&id(1), "ann", "a"), about(&id(2), COMMENTED, &id(1)), about(&id(5), COMMENTED, &id(4))];
        app.post_statements(&json!(past)).await.expect(200);
        archive(&app).await;
        app.post_statements(&about(&id(3), COMMENTED, &id(2))).await.expect(200);
        app.post_statements(&about(&id(4), COMMENTED, &id(1))).await.expect(200);
        for (name, value) in [("activity", "http://example.com/activities/a"), ("agent", r#"{"mbox":"mailto:ann@example.com"}"#)] {
            assert_eq!(found(&app, &[(name, value)]).await, [id(4), id(3), id(5), id(2), id(1)], "{name}");
        }
        let related = [("agent", r#"{"mbox":"mailto:ann@example.com"}"#), ("related_agents", "true"), ("ascending", "true")];
        assert_eq!(found(&app, &related).await, [id(1), id(2), id(5), id(3), id(4)]);
        // And by the background, where the writer did not see it.
        let client = app.db.superuser().await;
        client.batch_execute("DELETE FROM ledger.reaches; UPDATE ledger.refs SET settled = false").await.unwrap();
        assert_eq!(found(&app, &[("activity", "http://example.com/activities/a")]).await, [id(1)]);
        settle(&app).await;
        assert_eq!(found(&app, &[("activity", "http://example.com/activities/a")]).await, [id(4), id(3), id(5), id(2), id(1)]);
    }

    async fn voidings_reach_over_the_border_in_both_directions(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let own = credential(&app, &json!({"scopes": ["statements/write", "statements/read/mine"]}), "").await;
        let post = async |statement: Value| {
            send(as_credential(&app, &own, Method::POST, "/xapi/statements").json(&statement)).await
        };
        // Of the main credential 1, 2, and 12, which waits for 6; of its own 3, 4, and 14 and 15, which wait for 7 and 8.
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "ann", "a"), voiding(&id(12), &id(6))]))
            .await.expect(200);
        for statement in [identified(&id(3), "ann", "a"), identified(&id(4), "ann", "a"), voiding(&id(14), &id(7)), voiding(&id(15), &id(8)), voiding(&id(16), &id(9))] {
            post(statement).await.expect(200);
        }
        // What is its own is voided by it, what is another's is not.
        post(identified(&id(9), "ann", "a")).await.expect(200);
        archive(&app).await;
        app.post_statements(&voiding(&id(11), &id(1))).await.expect(200);
        post(voiding(&id(13), &id(3))).await.expect(200);
        let refused = post(voiding(&id(17), &id(2))).await.expect(403).json();
        assert!(refused["detail"].as_str().unwrap().contains(&id(2)), "{refused}");
        app.post_statements(&json!([identified(&id(6), "ann", "a"), identified(&id(7), "ann", "a")])).await.expect(200);
        post(identified(&id(8), "ann", "a")).await.expect(200);
        for (n, is_voided) in [(1, true), (2, false), (3, true), (4, false), (6, true), (7, false), (8, true), (9, true)] {
            let (there, gone) = if is_voided { (404, 200) } else { (200, 404) };
            app.get_statements(&[("statementId", &id(n))]).await.expect(there);
            app.get_statements(&[("voidedStatementId", &id(n))]).await.expect(gone);
        }
        let ann = [("agent", r#"{"mbox":"mailto:ann@example.com"}"#), ("verb", "http://adlnet.gov/expapi/verbs/experienced")];
        let all = found(&app, &ann).await;
        let visible: Vec<String> = [7, 4, 2].into_iter().map(id).filter(|one| all.contains(one)).collect();
        assert_eq!(visible.len(), 3, "{all:?}");
        assert!([1, 3, 6, 8, 9].into_iter().map(id).all(|voided| !all.contains(&voided)), "{all:?}");
    }

    async fn a_rebuild_folds_archived_months_too_and_what_they_void(db: TestDatabase) {
        let api = Api::start(db).await;
        let app = &api.app;
        app.stop_loops().await;
        let own = credential(app, &json!({"scopes": ["statements/write"]}), "").await;
        let post = async |statement: Value| {
            send(as_credential(app, &own, Method::POST, "/xapi/statements").json(&statement)).await.expect(200)
        };
        let attempt = |n: u128, verb: &str, name: &str| {
            let mut it = crate::api::statement(n, ADA, verb, &format!("e-{name}"), name);
            it["actor"]["name"] = json!("Ada of March");
            it
        };
        // A voiding before its target: it is bound to its own authority, and holds.
        post(voiding(&id(21), &id(2))).await;
        post(attempt(2, "passed", "one")).await;
        app.post_statements(&json!([attempt(1, "initialized", "one"), attempt(3, "passed", "two"), attempt(4, "initialized", "three")])).await.expect(200);
        // Somebody known by a pseudonym only.
        let mut other = attempt(5, "initialized", "four");
        other["actor"] = json!({"mbox": "mailto:bob@example.com"});
        app.post_statements(&other).await.expect(200);
        let user = async || {
            let sql = "SELECT user_id FROM progress.attempts WHERE id = 'four'";
            app.db.superuser().await.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
        };
        months::spread(&app.db, march()).await;
        settle(app).await;
        let transcript = async || {
            let mut all = api.get("/api/v1/enrollments/e-two/transcript").await.expect(200).json();
            all.as_object_mut().unwrap().retain(|name, _| !name.contains("ener"));
            all
        };
        let of_bob = format!("/api/v1/users/{}/statements", user().await);
        let before = (transcript().await, api.get(&of_bob).await.expect(200).json());
        assert!(before.0.to_string().contains("Ada of March"), "{}", before.0);
        assert_eq!(before.1["data"].as_array().map(Vec::len), Some(1));
        months::away(&app.db, &objects(app), march()).await;
        assert_eq!((transcript().await, api.get(&of_bob).await.expect(200).json()), before);
        app.post_statements(&json!([attempt(6, "passed", "three"), voiding(&id(23), &id(3))])).await.expect(200);
        settle(app).await;
        api.get("/api/v1/attempts/two").await.expect(404);
        let three = api.get("/api/v1/attempts/three").await.expect(200).json();
        assert_eq!(three["outcome"], "passed");
        let one = api.get("/api/v1/attempts/one").await.expect(200).json();
        assert_eq!(one["state"], "open", "its passing is voided: {one}");
        let cold = app.service().rooms.cold.clone();
        let differences = background::runtime().spawn(async move {
            let rebuild = Rebuild::begin(&cold, None).await.unwrap();
            rebuild.build(&|_| ()).await.unwrap();
            let mut all = Vec::new();
            for tenant in rebuild.tenants() {
                all.extend(rebuild.compare(tenant).await.unwrap());
            }
            rebuild.end().await.unwrap();
            all
        });
        assert_eq!(differences.await.unwrap(), []);
        assert!(EXTENSIONS.starts_with("http"));
    }

    async fn verbs_that_nobody_registered_are_counted_wherever_they_are(db: TestDatabase) {
        let api = Api::start(db).await;
        let app = &api.app;
        app.stop_loops().await;
        let unknown = |n: u128| {
            let mut it = identified(&id(n), "ann", "a");
            it["verb"] = json!({"id": "http://example.com/verbs/unknown"});
            it
        };
        app.post_statements(&json!([unknown(1), unknown(2)])).await.expect(200);
        let counted = async || api.get("/api/v1/verbs").await.expect(200).json()["unregistered"][0]["statements"].clone();
        months::spread(&app.db, march()).await;
        settle(app).await;
        app.post_statements(&unknown(3)).await.expect(200);
        assert_eq!(counted().await, 3);
        months::seal(&app.db, march()).await;
        months::detach(&app.db, march()).await;
        assert_eq!(counted().await, 3);
        months::publish(&app.db, &objects(app), march(), 0).await;
        months::archived(&app.db, march()).await;
        assert_eq!(counted().await, 3);
        months::drop_table(&app.db, march()).await;
        assert_eq!(counted().await, 3);
    }
}
