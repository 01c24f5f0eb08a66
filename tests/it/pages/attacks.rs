//! Other sites, other tenants, other roles, and texts that would like to be code.

use progress_service::model::TenantId;
use reqwest::Method;
use serde_json::json;

use super::{Browser, credential, field, form, signed_in, try_to_sign_in};
use crate::support::app::{KEY, SECRET, TestApp, send};

const EVIL: &str = "https://evil.example";

on_each_server! {
    async fn every_answer_is_shielded(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        for path in ["/admin", "/admin/jobs", "/admin/migrations", "/admin/sign-in", "/admin/nothing", "/admin/assets/style.css"] {
            let answer = browser.get(path).await;
            let policy = answer.header("content-security-policy");
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
            assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
            assert_eq!(answer.header("cache-control"), "private, no-store", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            let text = answer.text();
            if !path.contains("assets") {
                assert!(!text.contains("<script>") && !text.contains(" style=") && !text.contains(" onclick="), "{path}");
                assert!(!text.contains("http://") && !text.contains("https://"), "{path}: everything is of this service");
            }
        }
    }

    async fn a_form_acts_only_from_a_page_of_the_session(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let (browser, other) = (Browser::operator(&app).await, Browser::operator(&app).await);
        let (own, foreign) = (browser.csrf().await, other.csrf().await);
        let sent = |csrf: &str| form(&app, "/admin/sign-out", &[("csrf", csrf)]).header("Cookie", &browser.cookie);
        for csrf in ["", "guessed", foreign.as_str()] {
            send(sent(csrf)).await.expect(403);
        }
        // The right token does not help a page of another site.
        let body = format!("csrf={own}");
        let plain = || {
            let request = app.anonymous(Method::POST, "/admin/sign-out").header("Cookie", &browser.cookie).body(body.clone());
            request.header("Content-Type", "application/x-www-form-urlencoded")
        };
        for (name, value) in [("Origin", EVIL), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")] {
            send(plain().header(name, value)).await.expect(403);
        }
        // Nor is a page shown to one.
        let read = app.anonymous(Method::GET, "/admin").header("Cookie", &browser.cookie).header("Origin", EVIL);
        send(read).await.expect(403);
        let other = app.anonymous(Method::POST, "/admin/sign-out").header("Cookie", &browser.cookie).json(&json!({ "csrf": own }));
        send(other).await.expect(415);
        browser.get("/admin").await.expect(200);
        send(sent(&own)).await.expect(303);
        // To sign somebody in from elsewhere is an attack, too.
        let elsewhere = app.anonymous(Method::POST, "/admin/sign-in").header("Sec-Fetch-Site", "cross-site");
        let elsewhere = elsewhere.header("Content-Type", "application/x-www-form-urlencoded");
        send(elsewhere.body(format!("key={KEY}&secret={SECRET}"))).await.expect(403);
    }

    async fn each_role_sees_its_own_and_no_other(db: TestDatabase) {
        let mut db = db;
        db.leaves("platform.jobs");
        let app = TestApp::start(db).await;
        let tenant = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        for (of, scopes, role, jobs) in [
            (TenantId::DEFAULT, "admin:*", "operator", 200),
            (tenant, "admin:*", "administrator", 403),
            (tenant, "audit:read", "auditor", 403),
            (TenantId::DEFAULT, "statements/read", "read only", 403),
        ] {
            let browser = signed_in(&app, &credential(&app, of, scopes).await).await;
            let page = browser.get("/admin").await.expect(200).text();
            assert!(page.contains(&format!("<small>{role} of")), "{scopes}: {page}");
            assert_eq!(page.contains("The ledger by months"), jobs == 200, "{scopes}: what is the whole installation's");
            assert_eq!(page.contains("href=\"/admin/jobs\""), jobs == 200, "{scopes}");
            for path in ["/admin/jobs", "/admin/migrations", "/admin/migrations/verify", "/admin/migrations/tried"] {
                browser.get(path).await.expect(jobs);
            }
            let asked = browser.post("/admin/migrations/run", &[("mode", "dry")]).await;
            assert_eq!(asked.status == 403, jobs == 403, "{scopes}: {}", asked.status);
        }
        let writer = credential(&app, tenant, "statements/write").await;
        let refused = try_to_sign_in(&app, &writer.credential.api_key, writer.secret.expose()).await.expect(401);
        assert!(refused.text().contains("admin:*"), "{}", refused.text());
    }

    async fn texts_are_texts(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
        let id = "00000000-0000-4000-8000-00000000000e";
        app.db.superuser().await.execute(
            "INSERT INTO platform.jobs (job_id, kind, state, requested_by, request, progress, outcome, error)
             VALUES ($1::text::uuid, $2, 'failed', $2, $3, $3, $3, $2)",
            &[&id, &evil, &json!({ evil: evil, "note": evil, "unit": evil, "done": 1, "total": 2 })],
        ).await.unwrap();
        let browser = Browser::operator(&app).await;
        let query = format!("/admin/jobs?kind={}", url::form_urlencoded::byte_serialize(evil.as_bytes()).collect::<String>());
        for path in ["/admin", "/admin/jobs", &query, &format!("/admin/jobs/{id}"), &format!("/admin/jobs/{id}/retry"),
                     "/admin/sign-in?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"] {
            let page = browser.get(path).await.expect(200).text();
            assert!(!page.contains("<script>") && !page.contains("<img src=x"), "{path}: {page}");
            assert!(path.contains("sign-in") || page.contains("alert(1)"), "{path} shows it: {page}");
        }
        assert_eq!(field(&browser.get("/admin/sign-in?next=https://evil.example").await.text(), "next"), "/admin");
    }
}
