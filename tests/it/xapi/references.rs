//! Voiding and StatementRefs, in whatever order the statements arrive.

use serde_json::json;

use super::{about, id, identified, ids, rings::settle, voiding};
use crate::support::app::TestApp;

const COMMENTED: &str = "http://adlnet.gov/expapi/verbs/commented";

on_each_server! {
    async fn voiding_takes_effect_whether_the_target_comes_before_or_after(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        app.post_statements(&voiding(&id(11), &id(1))).await.expect(200);
        app.post_statements(&voiding(&id(12), &id(2))).await.expect(200);
        app.post_statements(&identified(&id(2), "ann", "a")).await.expect(200);
        for target in [id(1), id(2)] {
            app.get_statements(&[("statementId", &target)]).await.expect(404);
            app.get_statements(&[("voidedStatementId", &target)]).await.expect(200);
        }
        let all = app.get_statements(&[]).await.expect(200).json();
        assert_eq!(ids(&all), [id(12), id(11)]);
    }

    async fn a_voiding_statement_cannot_be_voided(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let batch = json!([identified(&id(1), "ann", "a"), voiding(&id(11), &id(1)), voiding(&id(12), &id(11))]);
        app.post_statements(&batch).await.expect(200);
        app.get_statements(&[("statementId", &id(11))]).await.expect(200);
        app.get_statements(&[("statementId", &id(1))]).await.expect(404);
    }

    async fn a_filter_follows_chains_in_any_order_of_arrival(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // 3 → 2 → 1, sent backwards; and 4 → 1, sent in order.
        app.post_statements(&about(&id(3), COMMENTED, &id(2))).await.expect(200);
        app.post_statements(&about(&id(2), COMMENTED, &id(1))).await.expect(200);
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        app.post_statements(&about(&id(4), COMMENTED, &id(1))).await.expect(200);
        let activity = [("activity", "http://example.com/activities/a")];
        let page = app.get_statements(&activity).await.expect(200).json();
        assert_eq!(ids(&page), [id(4), id(1), id(2), id(3)]);
        let agent = [("agent", r#"{"mbox":"mailto:ann@example.com"}"#), activity[0]];
        assert_eq!(ids(&app.get_statements(&agent).await.expect(200).json()).len(), 4);
        // 2 and 4 have the verb, 1 has the activity; only what reaches one statement with both would answer.
        let both = [("verb", COMMENTED), activity[0]];
        assert!(ids(&app.get_statements(&both).await.expect(200).json()).is_empty());
    }

    async fn a_chain_is_followed_as_far_as_its_limit(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let chain = (1..70).map(|n| about(&id(n), COMMENTED, &id(n - 1)));
        let batch: Vec<_> = std::iter::once(identified(&id(0), "ann", "a")).chain(chain).collect();
        app.post_statements(&json!(batch)).await.expect(200);
        settle(&app).await;
        let found = app.get_statements(&[("agent", r#"{"mbox":"mailto:ann@example.com"}"#), ("limit", "0")]).await;
        let within: Vec<String> = (0..=64).rev().map(id).collect();
        assert_eq!(ids(&found.expect(200).json()), within);
    }

    async fn a_cycle_of_references_ends(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&about(&id(1), COMMENTED, &id(2))).await.expect(200);
        app.post_statements(&about(&id(2), COMMENTED, &id(1))).await.expect(200);
        let page = app.get_statements(&[("verb", COMMENTED)]).await.expect(200).json();
        assert_eq!(ids(&page), [id(2), id(1)]);
    }

    async fn what_was_written_side_by_side_is_linked_once_it_is_settled(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // The service's own loop might link them again before they are read.
        app.stop_loops().await;
        app.post_statements(&about(&id(2), COMMENTED, &id(1))).await.expect(200);
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        // As if neither transaction had seen the other.
        app.db.superuser().await.execute("DELETE FROM ledger.reaches", &[]).await.unwrap();
        let activity = [("activity", "http://example.com/activities/a")];
        assert_eq!(ids(&app.get_statements(&activity).await.expect(200).json()), [id(1)]);
        app.db.superuser().await.execute("UPDATE ledger.refs SET settled = false", &[]).await.unwrap();
        settle(&app).await;
        assert_eq!(ids(&app.get_statements(&activity).await.expect(200).json()), [id(1), id(2)]);
    }
}
