//! Pages: stable under inserts, sealed, bound to their tenant, complete for those who read forward.

use progress_service::model::{Clock, Ids};
use reqwest::Method;
use serde_json::{Value, json};

use super::{id, identified, ids, statement};
use crate::support::{
    app::{TestApp, send},
    patience,
};

async fn post(app: &TestApp, range: std::ops::Range<u128>) {
    let batch: Vec<Value> = range.map(|n| identified(&id(n), "ann", "a")).collect();
    app.post_statements(&json!(batch)).await.expect(200);
}

/// The ids of all pages, of which none is empty before the end.
async fn walk(app: &TestApp, parameters: &[(&str, &str)]) -> Vec<String> {
    let mut page = app.get_statements(parameters).await.expect(200).json();
    let mut seen = ids(&page);
    while let Some(more) = page["more"].as_str().filter(|more| !more.is_empty()) {
        page = app.get_more(more).await.expect(200).json();
        assert!(!ids(&page).is_empty(), "no empty page before the end");
        seen.extend(ids(&page));
    }
    seen
}

on_each_server! {
    async fn pages_are_complete_and_disjoint_while_others_write(db: TestDatabase) {
        let app = TestApp::start(db).await;
        post(&app, 0..25).await;
        for ascending in ["false", "true"] {
            let mut page = app
                .get_statements(&[
                    ("limit", "10"),
                    ("ascending", ascending),
                    ("verb", "http://adlnet.gov/expapi/verbs/experienced"),
                ])
                .await
                .expect(200)
                .json();
            let mut seen = ids(&page);
            let base = if ascending == "true" { 2_000 } else { 1_000 };
            let mut round = 0;
            while let Some(more) = page["more"].as_str().filter(|more| !more.is_empty()) {
                assert!(more.starts_with("/xapi/statements?more="), "relative to the server: {more}");
                if round < 2 {
                    app.post_statements(&identified(&id(base + round), "bob", "b")).await.expect(200);
                }
                round += 1;
                page = app.get_more(more).await.expect(200).json();
                seen.extend(ids(&page));
            }
            let old: Vec<&String> = seen.iter().filter(|seen| (0..25).any(|n| id(n) == **seen)).collect();
            assert_eq!(old.len(), 25, "each once, none missing: {seen:?}");
        }
    }

    async fn links_are_not_lost_when_statements_of_one_page_match_twice(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // Every statement matches by its actor, its object and as a relation.
        let doubled = |n: u128| {
            let mut statement = statement("ann", "a");
            statement["id"] = json!(id(n));
            statement["object"] = json!({"objectType": "Agent", "mbox": "mailto:ann@example.com"});
            statement["context"] = json!({"instructor": {"mbox": "mailto:ann@example.com"}});
            statement
        };
        app.post_statements(&json!((0..7).map(doubled).collect::<Vec<_>>())).await.expect(200);
        let agent = r#"{"mbox":"mailto:ann@example.com"}"#;
        let seen = walk(&app, &[("agent", agent), ("related_agents", "true"), ("limit", "2")]).await;
        assert_eq!(seen, (0..7).rev().map(id).collect::<Vec<_>>());
    }

    async fn who_refers_to_several_that_match_takes_one_place_on_a_page(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let says = |actor: &str, n: u128, of: Option<u128>| {
            let mut statement = identified(&id(n), actor, "a");
            if let Some(of) = of {
                statement["object"] = json!({"objectType": "StatementRef", "id": id(of)});
            }
            statement
        };
        // Each of Bob's reaches all three of Ann's.
        let anns = [says("ann", 0, None), says("ann", 1, Some(0)), says("ann", 2, Some(1))];
        let bobs = (3..6).map(|n| says("bob", n, Some(2)));
        for statement in anns.into_iter().chain(bobs) {
            app.post_statements(&statement).await.expect(200);
        }
        let agent = ("agent", r#"{"mbox":"mailto:ann@example.com"}"#);
        let mut all: Vec<String> = (0..6).map(id).collect();
        assert_eq!(walk(&app, &[agent, ("limit", "2"), ("ascending", "true")]).await, all);
        all.reverse();
        assert_eq!(walk(&app, &[agent, ("limit", "2")]).await, all);
    }

    async fn a_page_ends_before_it_is_too_large(db: TestDatabase) {
        let app = TestApp::with(db, &[("PROGRESS_XAPI_PAGE_BYTES", "64KiB")], Clock::system(), Ids::random()).await;
        let sized = |n: u128, kib: usize| {
            let mut statement = identified(&id(n), "ann", "a");
            statement["result"] = json!({"response": "x".repeat(kib << 10)});
            statement
        };
        let batch = (0..20).map(|n| sized(n, if n == 10 { 100 } else { 10 }));
        app.post_statements(&json!(batch.collect::<Vec<_>>())).await.expect(200);
        assert_eq!(ids(&app.get_statements(&[("limit", "0")]).await.expect(200).json()).len(), 6);
        let mut all: Vec<String> = (0..20).map(id).collect();
        assert_eq!(walk(&app, &[("ascending", "true")]).await, all);
        all.reverse();
        assert_eq!(walk(&app, &[]).await, all);
    }

    async fn a_more_link_is_refused_when_changed_or_in_other_hands(db: TestDatabase) {
        let app = TestApp::start(db).await;
        post(&app, 0..3).await;
        let more = app.get_statements(&[("limit", "1")]).await.expect(200).json()["more"].as_str().unwrap().to_owned();
        let mut changed = more.clone();
        changed.insert(more.len() - 3, 'A');
        app.get_more(&changed).await.expect(400);

        let identity = app.service().rooms.identity.clone();
        let tenant = identity.create_tenant("test", "other").await.unwrap();
        let issued = crate::identity::setup::credential(&identity, tenant.id, "all").await;
        let foreign = app
            .anonymous(Method::GET, &more)
            .basic_auth(&issued.credential.api_key, Some(issued.secret.expose()))
            .header("X-Experience-API-Version", "1.0.3");
        let refusal = send(foreign).await.expect(400);
        assert!(refusal.text().contains("more link"), "{}", refusal.text());
    }

    async fn a_client_may_append_to_a_link_what_the_link_says(db: TestDatabase) {
        let app = TestApp::start(db).await;
        post(&app, 0..5).await;
        let agent = r#"{"mbox": "mailto:ann@example.com", "objectType": "Agent"}"#;
        let query = [("agent", agent), ("limit", "2"), ("since", "2020-01-01T00:00:00Z"), ("format", "ids")];
        let first = app.get_statements(&query).await.expect(200).json();
        let more = first["more"].as_str().unwrap().to_owned();
        let with = async |appended: &[(&str, &str)]| {
            let request = app.request(Method::GET, &more).query(appended);
            send(request.header("X-Experience-API-Version", "1.0.3")).await
        };
        let alone = with(&[]).await.expect(200).json();
        let spelt = [
            ("agent", r#"{"objectType":"Agent","mbox":"mailto:ann@example.com","name":"Ann"}"#),
            ("since", "2020-01-01T01:00:00+01:00"),
        ];
        for appended in [&query[..], &query[1..2], &spelt, &[("ascending", "false"), ("attachments", "false")]] {
            assert_eq!(with(appended).await.expect(200).json()["statements"], alone["statements"], "{appended:?}");
        }
        // In front of the link's own, too, and on the page after.
        let turned = more.replace("?more=", "?limit=2&more=");
        let second = app.get_more(&turned).await.expect(200).json();
        assert_eq!(second["statements"], alone["statements"]);
        let last = app.get_more(&format!("{}&limit=2", second["more"].as_str().unwrap())).await.expect(200).json();
        assert_eq!((ids(&last), &last["more"]), (vec![id(0)], &json!("")));

        for (appended, told) in [
            (vec![("limit", "3")], "limit says something else"),
            (vec![("limit", "2"), ("verb", "http://example.com/v"), ("format", "exact")], "verb, format says something else"),
            (vec![("ascending", "true")], "ascending says something else"),
            (vec![("agent", r#"{"mbox":"mailto:bob@example.com"}"#)], "agent says something else"),
            (vec![("statementId", "ec531277-b57b-4c15-8d91-d292c5b2b8f7")], "statementId says something else"),
            (vec![("limit", "x")], "query.limit"),
            (vec![("limit", "2"), ("limit", "2")], "query.twice"),
            (vec![("colour", "red")], "query.unknown"),
            (vec![("more", "x")], "query.twice"),
        ] {
            let refusal = with(&appended).await.expect(400);
            assert!(refusal.text().contains(told), "{appended:?}: {}", refusal.text());
        }
        // Without a limit of its own a link keeps the usual one.
        let usual = app.get_statements(&[("limit", "2")]).await.expect(200).json();
        let message = app.get_more(&format!("{}&limit=0", usual["more"].as_str().unwrap())).await.expect(400);
        assert!(message.text().contains("query.more"), "{}", message.text());
    }

    async fn who_reads_forward_is_not_led_past_a_statement_still_being_written(db: TestDatabase) {
        let app = TestApp::start(db).await;
        post(&app, 0..2).await;
        let slow = app.db.superuser().await;
        slow.batch_execute("BEGIN; SELECT ledger.reserve(1)").await.unwrap();
        post(&app, 2..3).await;
        let page = app.get_statements(&[("ascending", "true")]).await.expect(200);
        let through = page.header("x-experience-api-consistent-through").to_owned();
        assert_eq!(ids(&page.json()), [id(0), id(1)], "what comes after an open transaction waits for it");
        let newest = app.get_statements(&[]).await.expect(200).json();
        assert_eq!(ids(&newest), [id(2), id(1), id(0)], "its sender sees it at once");
        let last = newest["statements"][0]["stored"].as_str().unwrap();
        assert!(through.as_str() <= last);
        for (parameter, value, status) in [("statementId", id(9), 404), ("limit", "x".to_owned(), 400)] {
            let refusal = app.get_statements(&[(parameter, &value)]).await.expect(status);
            let through = refusal.header("x-experience-api-consistent-through");
            assert!(through <= last, "a refusal with {status} says no more: {through}");
        }
        let stranger = send(app.anonymous(Method::GET, "/xapi/statements").header("X-Experience-API-Version", "1.0.3")).await;
        assert!(stranger.header("x-experience-api-consistent-through") <= last);
        slow.batch_execute("COMMIT").await.unwrap();
        // Who polls with a query that is refused gets on all the same.
        patience::until("the bound of refusals to move", async || {
            let refusal = app.get_statements(&[("limit", "x")]).await.expect(400);
            let through = refusal.header("x-experience-api-consistent-through").to_owned();
            if through.as_str() > last { Ok(()) } else { Err(through) }
        })
        .await;
        let page = app.get_statements(&[("ascending", "true")]).await.expect(200).json();
        assert_eq!(ids(&page), [id(0), id(1), id(2)]);
    }

    async fn limit_zero_is_the_servers_maximum(db: TestDatabase) {
        let app = TestApp::with(
            db,
            &[("PROGRESS_XAPI_PAGE", "5"), ("PROGRESS_XAPI_PAGE_DEFAULT", "3")],
            Clock::system(),
            Ids::random(),
        )
        .await;
        post(&app, 0..8).await;
        for (limit, expected) in [(None, 3), (Some("0"), 5), (Some("2"), 2), (Some("100"), 5)] {
            let parameters: Vec<(&str, &str)> = limit.iter().map(|limit| ("limit", *limit)).collect();
            let page = app.get_statements(&parameters).await.expect(200).json();
            assert_eq!(ids(&page).len(), expected, "{limit:?}");
        }
    }
}
