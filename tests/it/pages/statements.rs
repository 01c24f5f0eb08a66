//! Statements on a page and as CSV: who sees which, by which filter, and none of their texts is code.

use progress_service::model::TenantId;
use serde_json::{Value, json};

use super::{Browser, credential, signed_in};
use crate::support::app::TestApp;

const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";

fn statement(id: &str, who: &str, verb: &str) -> Value {
    json!({ "id": id, "actor": { "mbox": format!("mailto:{who}@example.org"), "name": who },
            "verb": { "id": format!("http://example.org/{verb}") }, "object": { "id": "http://example.org/course" } })
}

fn id(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

on_each_server! {
    async fn statements_are_found_shown_and_exported(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let all: Vec<Value> = (1..=30).map(|n| statement(&id(n), if n == 7 { "ada" } else { "ben" }, "read")).collect();
        app.post_statements(&json!(all)).await.expect(200);
        let browser = Browser::operator(&app).await;
        let page = browser.get("/admin/statements").await.expect(200).text();
        assert_eq!(page.matches("<th scope=\"row\">").count(), 25, "{page}");
        let next = page.split_once("<p><a href=\"").unwrap().1.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
        let rest = browser.get(&next).await.expect(200).text();
        assert_eq!(rest.matches("<th scope=\"row\">").count(), 5, "{next}: {rest}");

        let ada = browser.get("/admin/statements?agent=ada%40example.org").await.expect(200).text();
        assert_eq!(ada.matches("<th scope=\"row\">").count(), 1, "{ada}");
        let none = browser.get("/admin/statements?verb=http://example.org/wrote").await.expect(200).text();
        assert!(none.contains("Nothing is found."), "{none}");
        let wrong = browser.get("/admin/statements?since=yesterday&registration=x").await.expect(200).text();
        assert!(wrong.contains("role=\"alert\"") && wrong.contains("since"), "{wrong}");
        let sql = "SELECT count(*) FROM platform.audit WHERE action = 'query.statements'";
        crate::support::patience::until("the entry of the query", async || {
            let noted: i64 = app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0);
            if noted == 1 { Ok(()) } else { Err(noted.to_string()) }
        }).await;

        // Followed, but not of a person: each look would stand in the trail.
        assert!(page.contains("Follow what comes") && !page.contains("data-again"), "{page}");
        let followed = browser.get("/admin/statements?verb=http://example.org/read&follow=true").await.expect(200).text();
        assert!(followed.contains("data-again=\"5000\"") && followed.contains("Stand still"), "{followed}");
        for one in ["agent=ada%40example.org", "until=2999-01-01T00:00:00Z", "ascending=true"] {
            let still = browser.get(&format!("/admin/statements?{one}&follow=true")).await.expect(200).text();
            assert!(!still.contains("data-again") && !still.contains("Follow what comes"), "{one}: {still}");
        }
        let one = browser.get(&format!("/admin/statements/{}", id(7))).await.expect(200).text();
        assert!(one.contains("mailto:ada@example.org") && one.contains("curl --get --user KEY"), "{one}");
        browser.get(&format!("/admin/statements/{}", id(99))).await.expect(404);

        let csv = browser.get("/admin/statements.csv?columns=id,actor.name,result.success").await.expect(200);
        assert!(csv.header("content-disposition").contains("statements.csv"));
        let text = csv.text();
        assert_eq!(text.lines().count(), 31, "{text}");
        assert!(text.starts_with("id,actor.name,result.success\r\n") && text.contains(&format!("{},ada,\r\n", id(7))), "{text}");
        browser.get(&format!("/admin/statements.csv?columns={}", "a,".repeat(51))).await.expect(400);
    }

    async fn every_field_of_a_statement_is_text(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let evil = json!({ "id": id(1), "actor": { "mbox": "mailto:evil@example.org", "name": EVIL },
            "verb": { "id": "http://example.org/did", "display": { "en": EVIL } },
            "object": { "id": "http://example.org/thing", "definition": { "name": { "en": EVIL }, "description": { "en": EVIL },
                        "extensions": { "http://example.org/x": EVIL } } },
            "result": { "response": EVIL, "extensions": { "http://example.org/y": { EVIL: EVIL } } },
            "context": { "platform": EVIL, "instructor": { "mbox": "mailto:i@example.org", "name": EVIL } },
            "attachments": [{ "usageType": "http://example.org/u", "display": { "en": EVIL }, "contentType": "text/plain",
                              "length": 1, "sha2": "ab".repeat(32), "fileUrl": "http://example.org/f" }] });
        app.post_statements(&json!([evil])).await.expect(200);
        let browser = Browser::operator(&app).await;
        for path in ["/admin/statements".to_owned(), format!("/admin/statements/{}", id(1)),
                     format!("/admin/statements?verb={}", url::form_urlencoded::byte_serialize(EVIL.as_bytes()).collect::<String>())] {
            let page = browser.get(&path).await.expect(200).text();
            assert!(!page.contains("<script>") && !page.contains("<img src=x") && page.contains("alert(1)"), "{path}: {page}");
        }
        let formula = json!([{ "actor": { "mbox": "mailto:f@example.org", "name": "=HYPERLINK(\"http://evil\")" },
            "verb": { "id": "http://example.org/did" }, "object": { "id": "http://example.org/thing" } }]);
        app.post_statements(&formula).await.expect(200);
        let text = browser.get("/admin/statements.csv?columns=actor.name").await.expect(200).text();
        assert!(text.contains("\"'=HYPERLINK(\"\"http://evil\"\")\""), "{text}");
    }

    async fn what_a_statement_breaks_of_cmi5_stands_beside_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut broken = statement(&id(1), "ada", "read");
        broken["context"] = json!({ "contextActivities": { "category": [{ "id": "https://w3id.org/xapi/cmi5/context/categories/cmi5" }] } });
        app.post_statements(&json!([broken, statement(&id(2), "ada", "read")])).await.expect(200);
        let browser = Browser::operator(&app).await;
        let page = browser.get(&format!("/admin/statements/{}", id(1))).await.expect(200).text();
        for found in ["cmi5.session.missing", "/context/extensions", "the extension sessionid is missing", "cmi5.timestamp", "cmi5.actor"] {
            assert!(page.contains(found), "{found}: {page}");
        }
        let plain = browser.get(&format!("/admin/statements/{}", id(2))).await.expect(200).text();
        assert!(!plain.contains("By the rules of cmi5"), "it is none of cmi5's: {plain}");
    }

    async fn a_tenant_sees_its_own_statements_and_a_reader_what_its_scope_reads(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([statement(&id(1), "ada", "read")])).await.expect(200);
        let tenant = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        for (of, scopes, status, seen) in [
            (TenantId::DEFAULT, "statements/read", 200, true),
            (TenantId::DEFAULT, "statements/read/mine admin:*", 200, false),
            (TenantId::DEFAULT, "admin:*", 403, false),
            (TenantId::DEFAULT, "audit:read", 403, false),
            (tenant, "all admin:*", 200, false),
        ] {
            let browser = signed_in(&app, &credential(&app, of, scopes).await).await;
            let page = browser.get("/admin/statements").await.expect(status).text();
            assert_eq!(page.contains(&id(1)), seen, "{scopes}");
            browser.get(&format!("/admin/statements/{}", id(1))).await.expect(if seen { 200 } else if status == 200 { 404 } else { 403 });
            let csv = browser.get("/admin/statements.csv").await.expect(status).text();
            assert_eq!(csv.contains(&id(1)), seen, "{scopes}");
        }
    }
}
