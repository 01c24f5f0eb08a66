//! One server, two versions: negotiation, paths, and that a statement keeps the version it was accepted with.

use progress_service::{
    model::{Clock, Ids},
    xapi::{Version, schema},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{form, id, identified, ids};
use crate::support::app::{Answer, TestApp, send};

async fn get(app: &TestApp, path: &str, version: Option<&str>) -> Answer {
    let request = app.request(Method::GET, path);
    send(match version {
        Some(version) => request.header("X-Experience-API-Version", version),
        None => request,
    })
    .await
}

on_each_server! {
    async fn the_path_or_the_header_decides_the_version(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (path, header, status, answered) in [
            ("/xapi/statements", Some("1.0.3"), 200, "1.0.3"),
            ("/xapi/statements", Some("1.0"), 200, "1.0.3"),
            ("/xapi/statements", Some("2.0.0"), 200, "2.0.0"),
            ("/xapi/v2/statements", Some("2.0.0"), 200, "2.0.0"),
            ("/xapi/v2/statements", Some("1.0.3"), 400, "2.0.0"),
            ("/xapi/statements", None, 400, "1.0.3"),
            ("/xapi/v2/statements", None, 400, "2.0.0"),
            ("/xapi/statements", Some("0.95"), 400, "1.0.3"),
            ("/xAPI/statements", Some("1.0.3"), 200, "1.0.3"),
            ("/data/xAPI/statements/", Some("1.0.3"), 200, "1.0.3"),
            ("/xapi/about", None, 200, "1.0.3"),
        ] {
            let answer = get(&app, path, header).await.expect(status);
            assert_eq!(answer.header("x-experience-api-version"), answered, "{path} {header:?}");
        }
        let about = get(&app, "/xapi/about", None).await.json();
        assert_eq!(about["version"], json!(["1.0.3", "2.0.0"]));
    }

    async fn the_paths_are_the_operators_choice(db: TestDatabase) {
        let variables = [("PROGRESS_XAPI_PATHS", "/lrs,/old/lrs")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        for (path, status) in [
            ("/lrs/statements", 200), ("/lrs/statements/", 200), ("/old/lrs/statements", 200),
            ("/xapi/statements", 404), ("/data/xAPI/statements", 404),
        ] {
            get(&app, path, Some("1.0.3")).await.expect(status);
        }
        get(&app, "/lrs/v2/statements", Some("2.0.0")).await.expect(200);
        get(&app, "/api/v1/verbs", None).await.expect(200);
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(404);
        let posted = app.request(Method::POST, "/lrs/statements").header("X-Experience-API-Version", "1.0.3");
        send(posted.json(&json!((1..4).map(|n| identified(&id(n), "ann", "a")).collect::<Vec<_>>()))).await.expect(200);
        let page = get(&app, "/old/lrs/statements?limit=2", Some("1.0.3")).await.expect(200).json();
        assert!(page["more"].as_str().unwrap().starts_with("/old/lrs/statements?"), "{page}");
    }

    async fn a_path_without_a_resource_and_a_method_without_an_answer_say_so_in_their_version(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for (path, header, version) in [
            ("/xapi/statement", Some("1.0.3"), "1.0.3"), ("/xapi/", Some("2.0.0"), "2.0.0"),
            ("/xapi/activities/states", None, "1.0.3"), ("/xapi/v2/nothing/at/all", Some("2.0.0"), "2.0.0"),
            ("/data/xAPI/v2/x", Some("1.0.3"), "2.0.0"),
        ] {
            let answer = get(&app, path, header).await.expect(404);
            assert_eq!(answer.header("x-experience-api-version"), version, "{path}");
            assert_eq!(answer.json()["type"], "urn:progress:problem:not-found");
        }
        for (method, resource, allow) in [
            (Method::DELETE, "/statements", "GET, HEAD, PUT, POST"),
            (Method::PATCH, "/agents/profile", "GET, HEAD, PUT, POST, DELETE"),
            (Method::POST, "/agents", "GET, HEAD"),
            (Method::PUT, "/about", "GET, HEAD"),
        ] {
            let answer = send(app.xapi(method, resource)).await.expect(405);
            assert_eq!(answer.header("allow"), allow, "{resource}");
            // Not a preflight: no page of another origin asks here.
            let answer = send(app.anonymous(Method::OPTIONS, &format!("/xapi{resource}"))).await.expect(204);
            assert_eq!((answer.header("allow"), answer.header("x-experience-api-version")), (allow, "1.0.3"));
        }
    }

    async fn about_tells_versions_limits_and_build(db: TestDatabase) {
        let variables = [("PROGRESS_XAPI_PAGE", "7"), ("PROGRESS_XAPI_PAGE_DEFAULT", "3"), ("PROGRESS_XAPI_VALUES", "1234")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let about = send(app.anonymous(Method::GET, "/xapi/about")).await.expect(200).json();
        assert_eq!(about["version"], json!(["1.0.3", "2.0.0"]));
        let limits = &about["extensions"]["http://ghasi.io/xapi/extensions/limits"];
        assert_eq!((&limits["page"], &limits["pageDefault"], &limits["values"]), (&json!(7), &json!(3), &json!(1234)));
        let build = &about["extensions"]["http://ghasi.io/xapi/extensions/build"];
        assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
        // Whatever the operator chose, `limit` left out asks for no more than `limit=0` does.
        let page = app.get_statements(&[]).await.expect(200).json();
        assert_eq!(page["statements"], json!([]));
    }

    async fn a_statement_of_two_point_oh_is_one_for_every_reader(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mentor = json!({"objectType": "Agent", "name": "A mentor", "mbox": "mailto:mentor@example.com"});
        let crew = json!({"objectType": "Group", "member": [{"name": "A mate", "mbox": "mailto:mate@example.com"}]});
        let context = json!({
            "contextAgents": [{"objectType": "contextAgent", "agent": mentor, "relevantTypes": ["http://example.com/mentor"]}],
            "contextGroups": [{"objectType": "contextGroup", "group": crew}],
        });
        let mut statement = identified(&id(1), "ann", "a");
        statement["context"] = context.clone();
        app.post_statements(&statement).await.expect(400);
        let post = async |statement: &Value| {
            let request = app.request(Method::POST, "/xapi/v2/statements").header("X-Experience-API-Version", "2.0.0");
            send(request.json(statement)).await
        };
        post(&statement).await.expect(200);
        for format in ["exact", "ids", "canonical"] {
            let path = |version: &str| format!("{version}/statements?statementId={}&format={format}", id(1));
            let new = get(&app, &path("/xapi/v2"), Some("2.0.0")).await.expect(200).json();
            let old = get(&app, &path("/xapi"), Some("1.0.3")).await.expect(200).json();
            assert_eq!(old, new, "{format}");
            assert_eq!(new["version"], "2.0.0");
            assert!(schema::accepts(Version::V2_0_0, &new) && !schema::accepts(Version::V1_0_3, &new), "plainly one of 2.0");
            if format == "ids" {
                let names = new.to_string();
                assert!(
                    !names.contains("A mentor") && !names.contains("A mate") && names.contains("mate@example.com"),
                    "{names}"
                );
            } else {
                assert_eq!(new["context"], context);
            }
        }
        let agent = r#"{"mbox":"mailto:mentor@example.com"}"#;
        let related = app.get_statements(&[("agent", agent), ("related_agents", "true")]).await.expect(200).json();
        assert_eq!(ids(&related), [id(1)]);
        // What a reader of 1.0.3 got goes back where it belongs, and is the same.
        let mut back = related["statements"][0].clone();
        let refusal = app.post_statements(&back).await.expect(400);
        assert!(refusal.text().contains("statement.version"), "{}", refusal.text());
        post(&back).await.expect(200);
        back["id"] = json!(id(2));
        post(&back).await.expect(200);
        let copy = app.get_statements(&[("statementId", &id(2))]).await.expect(200).json();
        assert_eq!((&copy["context"], &copy["version"]), (&context, &json!("2.0.0")), "nothing is lost on the way back");
    }

    async fn an_extension_stays_one_whatever_it_imitates(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let agent = json!({"objectType": "Agent", "name": "A mentor", "mbox": "mailto:mentor@example.com"});
        let carried = json!([{"objectType": "contextAgent", "agent": agent, "relevantTypes": ["http://example.com/mentor"]}]);
        let close = json!([{"objectType": "contextAgent", "agent": {"mbox": "no mailbox"}, "relevantTypes": ["no: iri"]}]);
        for (n, items) in [(1, carried), (2, close)] {
            let context = json!({"extensions": {"http://ghasi.io/xapi/extensions/context-agents": items}});
            let mut statement = identified(&id(n), "ann", "a");
            statement["context"] = context.clone();
            app.post_statements(&statement).await.expect(200);
            for (path, version) in [("/xapi", "1.0.3"), ("/xapi", "2.0.0"), ("/xapi/v2", "2.0.0")] {
                for format in ["exact", "ids", "canonical"] {
                    let path = format!("{path}/statements?statementId={}&format={format}", id(n));
                    let read = get(&app, &path, Some(version)).await.expect(200).json();
                    assert_eq!((&read["context"], &read["version"]), (&context, &json!("1.0.0")), "{path}");
                    assert!(schema::accepts(Version::V1_0_3, &read), "{path}");
                }
            }
        }
    }

    async fn the_alternate_syntax_is_the_request_it_stands_for(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let form = |fields: &[(&str, &str)], method: &str| {
            form(app.anonymous(Method::POST, &format!("/xapi/statements?method={method}")), fields)
        };
        let credential = "Basic dGVzdC1rZXk6dGVzdC1zZWNyZXQ=";
        let content = identified(&id(1), "ann", "a").to_string();
        let put = [
            ("Authorization", credential),
            ("X-Experience-API-Version", "1.0.3"),
            ("statementId", &id(1)),
            ("content", &content),
        ];
        send(form(&put, "PUT")).await.expect(204);
        let got = [("Authorization", credential), ("X-Experience-API-Version", "1.0.3"), ("statementId", &id(1))];
        assert_eq!(send(form(&got, "GET")).await.expect(200).json()["id"], json!(id(1)));
        send(form(&got[1..], "GET")).await.expect(401);
    }

    async fn the_alternate_syntax_is_not_one_of_two_point_oh_wherever_it_says_its_version(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        let statement_id = id(1);
        for (path, header, field, status) in [
            ("/xapi", None, Some("1.0.3"), 200),
            ("/xapi", Some("1.0.3"), None, 200),
            ("/xapi", None, Some("2.0.0"), 400),
            ("/xapi", None, Some("2.0"), 400),
            ("/xapi", Some("2.0.0"), None, 400),
            ("/xapi", Some("1.0.3"), Some("2.0.0"), 400),
            ("/xapi/v2", Some("2.0.0"), None, 400),
            ("/xapi/v2", None, Some("2.0.0"), 400),
        ] {
            let mut fields = vec![("statementId", statement_id.as_str())];
            fields.extend(field.map(|version| ("X-Experience-API-Version", version)));
            let mut request = app.request(Method::POST, &format!("{path}/statements?method=GET"));
            if let Some(version) = header {
                request = request.header("X-Experience-API-Version", version);
            }
            let answer = send(form(request, &fields)).await.expect(status);
            assert!(
                status == 200 || answer.text().contains("alternate.syntax"),
                "{path} {header:?} {field:?}: {}",
                answer.text()
            );
        }
    }
}
