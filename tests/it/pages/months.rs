//! Months by their page: what can be done with one is offered, planned, typed where it destroys, and done by a job.

use progress_service::model::TenantId;

use super::{Browser, credential, signed_in};
use crate::{
    lifecycle::{MARCH, fill},
    support::app::TestApp,
};

/// Plans an act, confirms it, and waits until its job has ended well.
async fn act(browser: &Browser<'_>, path: &str, word: &str) {
    let plan = browser.get(path).await.expect(200).text();
    if !word.is_empty() {
        browser.confirm(path, &plan, &[("confirm", "yes")]).await.expect(400);
    }
    let asked = browser.confirm(path, &plan, &[("confirm", word)]).await.expect(303);
    let job = asked.header("location");
    assert!(job.starts_with("/admin/jobs/"), "{job}");
    let ended = browser.ended(job).await;
    assert!(ended.contains("state succeeded"), "{path}: {ended}");
}

/// What the list offers for the month of March.
async fn offered(browser: &Browser<'_>) -> Vec<String> {
    let page = browser.get("/admin/months").await.expect(200).text();
    let links =
        page.split("href=\"/admin/months/2026-03/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    links.collect()
}

on_each_server! {
    async fn a_month_goes_to_the_archive_and_comes_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 12).await;
        let browser = Browser::operator(&app).await;
        assert_eq!(offered(&browser).await, ["seal"]);
        let of = |act: &str| format!("/admin/months/2026-03/{act}");
        act(&browser, &of("seal"), "seal").await;
        assert_eq!(offered(&browser).await, ["detach", "archive"]);
        let again = browser.get(&of("seal")).await.expect(200).text();
        assert!(again.contains("There is nothing to do.") && !again.contains("name=\"digest\""), "{again}");
        let detach = browser.get(&of("detach")).await.expect(200).text();
        act(&browser, &of("detach"), "").await;
        // What was planned of a sealed month counts for no detached one.
        browser.confirm(&of("detach"), &detach, &[]).await.expect(409);
        act(&browser, &of("archive"), "").await;
        act(&browser, &of("verify"), "").await;
        act(&browser, &of("drop"), "drop").await;
        assert_eq!(offered(&browser).await, ["restore", "verify"]);
        act(&browser, &of("restore"), "").await;
        act(&browser, &of("attach"), "").await;
        assert_eq!(offered(&browser).await, ["detach", "archive"]);
        act(&browser, "/admin/months/all/verify", "").await;
        let trail = browser.get("/admin/audit?action=partitions.drop").await.expect(200).text();
        assert!(trail.contains("2026-03") && trail.contains("key:test-key"), "{trail}");
    }

    async fn what_cannot_be_done_says_why_and_who_may_not_sees_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        let now = progress_service::model::Clock::system().now().format("%Y-%m");
        let refused = browser.get(&format!("/admin/months/{now}/seal")).await.expect(409).text();
        assert!(refused.contains("cannot be sealed yet"), "{refused}");
        for (path, status) in [("2026-13/seal", 404), ("0000-01/seal", 404), ("1999-01/seal", 404), ("all/seal", 404), ("2026-03/gc", 404),
                               ("all/destroy", 404), ("2026-03/%00", 400), ("all/ensure", 200), ("all/gc", 200)] {
            browser.get(&format!("/admin/months/{path}")).await.expect(status);
        }
        for scopes in ["admin:*", "audit:read"] {
            let acme = app.service().rooms.identity.create_tenant("test", &format!("acme-{}", scopes.len())).await.unwrap().id;
            let other = signed_in(&app, &credential(&app, acme, scopes).await).await;
            other.get("/admin/months").await.expect(403);
            other.get("/admin/months/all/verify").await.expect(403);
            other.post("/admin/months/all/ensure", &[]).await.expect(403);
            other.post(&format!("/admin/months/{now}/seal"), &[("confirm", "seal")]).await.expect(403);
        }
        let reader = signed_in(&app, &credential(&app, TenantId::DEFAULT, "statements/read").await).await;
        reader.get("/admin/months").await.expect(403);
    }
}
