//! Credentials, tenants and the trail by their pages: a secret once, a word for what cannot be taken back, nobody else's.

use progress_service::model::TenantId;

use super::{Browser, credential, field, signed_in, try_to_sign_in};
use crate::support::app::TestApp;

/// What stands between two texts of a page.
fn between<'p>(page: &'p str, before: &str, after: &str) -> &'p str {
    let rest = page.split_once(before).unwrap_or_else(|| panic!("no {before} in {page}")).1;
    rest.split_once(after).unwrap().0
}

on_each_server! {
    async fn a_credential_is_made_renewed_and_revoked(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        let tenant = field(&browser.get("/admin/access").await.expect(200).text(), "tenant");
        let make = "/admin/access/credentials";
        browser.post(&format!("{make}/plan"), &[("tenant", &tenant), ("label", "x")]).await.expect(400);
        let wish = [("tenant", tenant.as_str()), ("label", "LMS <b>"), ("scope", "statements/write"), ("scope", "statements/read")];
        let plan = browser.post(&format!("{make}/plan"), &wish).await.expect(200).text();
        assert!(plan.contains("statements/write, statements/read") && !plan.contains("<b>"), "{plan}");
        browser.post(make, &wish).await.expect(409);
        browser.confirm(make, &plan, &[("scope", "all")]).await.expect(409);
        let made = browser.confirm(make, &plan, &[]).await.expect(200).text();
        let (key, secret) = (between(&made, "<dt>Key</dt><dd><code>", "</code>"), between(&made, "<code id=\"secret\">", "</code>"));
        try_to_sign_in(&app, key, secret).await.expect(303);
        let list = browser.get("/admin/access").await.expect(200).text();
        assert!(list.contains(key) && !list.contains(secret) && !list.contains("LMS <b>"), "{list}");
        let id = between(&list[list.find(key).unwrap()..], "/admin/access/credentials/", "/");
        let place = format!("/admin/access/credentials/{id}/rotate");
        let plan = browser.get(&format!("{place}?tenant={tenant}")).await.expect(200).text();
        assert!(plan.contains("works for a day more"), "{plan}");
        browser.post(&place, &[("tenant", &tenant)]).await.expect(409);
        let renewed = browser.confirm(&place, &plan, &[]).await.expect(200).text();
        browser.confirm(&place, &plan, &[]).await.expect(409);
        assert_ne!(between(&renewed, "<code id=\"secret\">", "</code>"), secret);

        let place = format!("/admin/access/credentials/{id}/revoke");
        let plan = browser.get(&format!("{place}?tenant={tenant}")).await.expect(200).text();
        assert!(plan.contains("It cannot be brought back."), "{plan}");
        browser.confirm(&place, &plan, &[]).await.expect(400);
        browser.post(&place, &[("tenant", &tenant), ("confirm", key)]).await.expect(409);
        browser.confirm(&place, &plan, &[("confirm", key)]).await.expect(303);
        try_to_sign_in(&app, key, secret).await.expect(401);
        let trail = browser.get("/admin/audit?action=credential.revoke").await.expect(200).text();
        assert!(trail.contains(id) && trail.contains("key:test-key"), "{trail}");
        let entry = between(&trail, "<th scope=\"row\"><a href=\"/admin/audit/", "\"");
        let shown = browser.get(&format!("/admin/audit/{entry}")).await.expect(200).text();
        assert!(shown.contains("receipt"), "{shown}");
        browser.get("/admin/audit/999999").await.expect(404);
        let pdf = browser.get(&format!("/admin/audit/{entry}/receipt.pdf")).await.expect(200);
        assert!(pdf.body.starts_with(b"%PDF"));
    }

    async fn the_log_is_verified_by_who_sees_all_of_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let browser = Browser::operator(&app).await;
        let plan = browser.get("/admin/audit/verify").await.expect(200).text();
        browser.post("/admin/audit/verify", &[]).await.expect(409);
        let report = browser.confirm("/admin/audit/verify", &plan, &[]).await.expect(200).text();
        assert!(report.contains("The log is as it was signed"), "{report}");
        // What somebody changed behind its back is found.
        app.service().rooms.audit.settle().await.unwrap();
        app.db.superuser().await.batch_execute(
            "ALTER TABLE platform.audit DISABLE TRIGGER USER;
             UPDATE platform.audit SET actor = 'nobody <b>' WHERE action = 'tenant.create';
             ALTER TABLE platform.audit ENABLE TRIGGER USER",
        ).await.unwrap();
        let report = browser.confirm("/admin/audit/verify", &plan, &[]).await.expect(200).text();
        assert!(report.contains("Something is not as it was signed.") && !report.contains("<b>"), "{report}");
        let auditor = signed_in(&app, &credential(&app, acme, "audit:read").await).await;
        assert!(!auditor.get("/admin/audit").await.expect(200).text().contains("Verify the log"));
        auditor.get("/admin/audit/verify").await.expect(403);
        auditor.post("/admin/audit/verify", &[]).await.expect(403);
    }

    async fn tenants_are_made_set_suspended_and_resumed_by_operators(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        let make = "/admin/access/tenants";
        let plan = browser.post(&format!("{make}/plan"), &[("name", "acme")]).await.expect(200).text();
        browser.post(make, &[("name", "acme")]).await.expect(409);
        let made = browser.confirm(make, &plan, &[]).await.expect(303);
        let id = made.header("location").split_once("tenant=").unwrap().1.to_owned();
        let set = "/admin/access/settings";
        let plan = browser.post(&format!("{set}/plan"), &[("tenant", &id), ("strict", "yes")]).await.expect(200).text();
        assert!(plan.contains("no, and from now on yes") && plan.contains("no, as it is"), "{plan}");
        browser.post(set, &[("tenant", &id), ("strict", "yes")]).await.expect(409);
        browser.confirm(set, &plan, &[]).await.expect(303);
        browser.confirm(set, &plan, &[]).await.expect(409);
        let page = browser.get(&format!("/admin/access?tenant={id}")).await.expect(200).text();
        assert!(page.contains("name=\"strict\" value=\"yes\" checked") && page.contains("acme"), "{page}");
        let place = format!("/admin/access/tenants/{id}/suspend");
        let plan = browser.get(&place).await.expect(200).text();
        browser.confirm(&place, &plan, &[("confirm", "another")]).await.expect(400);
        browser.confirm(&place, &plan, &[("confirm", "acme")]).await.expect(303);
        assert!(browser.get("/admin/access").await.text().contains("state suspended"));
        browser.confirm(&place, &plan, &[("confirm", "acme")]).await.expect(409);
        let resume = format!("/admin/access/tenants/{id}/resume");
        let plan = browser.get(&resume).await.expect(200).text();
        browser.confirm(&resume, &plan, &[("confirm", "acme")]).await.expect(303);
        let place = format!("/admin/access/tenants/{}/suspend", TenantId::DEFAULT.0);
        let plan = browser.get(&place).await.expect(200).text();
        browser.confirm(&place, &plan, &[("confirm", "default")]).await.expect(409);
    }

    async fn an_administrator_reaches_no_other_tenant(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let theirs = credential(&app, TenantId::DEFAULT, "statements/read").await;
        let browser = signed_in(&app, &credential(&app, acme, "admin:*").await).await;
        let own = browser.get("/admin/access").await.expect(200).text();
        assert!(own.contains("acme") && !own.contains("A new tenant") && !own.contains(&theirs.credential.api_key), "{own}");
        let (default, id) = (TenantId::DEFAULT.0.to_string(), theirs.credential.id);
        browser.get(&format!("/admin/access?tenant={default}")).await.expect(403);
        browser.get(&format!("/admin/access/credentials/{id}/revoke?tenant={default}")).await.expect(403);
        // Named without its tenant it is not there.
        browser.get(&format!("/admin/access/credentials/{id}/revoke")).await.expect(404);
        for (path, status) in [
            (format!("/admin/access/credentials/{id}/rotate"), 404),
            (format!("/admin/access/credentials/{id}/revoke"), 404),
            ("/admin/access/tenants".to_owned(), 403),
            (format!("/admin/access/tenants/{}/suspend", acme.0), 403),
        ] {
            browser.post(&path, &[("confirm", &theirs.credential.api_key), ("name", "x")]).await.expect(status);
            let elsewhere = browser.post(&path, &[("tenant", &default), ("confirm", &theirs.credential.api_key), ("name", "x")]).await;
            assert_eq!(elsewhere.status, 403, "{path}");
        }
        let reader = signed_in(&app, &theirs).await;
        reader.get("/admin/access").await.expect(403);
        reader.get("/admin/audit").await.expect(403);
        let auditor = signed_in(&app, &credential(&app, acme, "audit:read").await).await;
        let trail = auditor.get("/admin/audit").await.expect(200).text();
        assert!(trail.contains("tenant.create") && !trail.contains(&theirs.credential.id.to_string()), "{trail}");
    }
}
