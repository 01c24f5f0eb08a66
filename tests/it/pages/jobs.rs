//! What is asked of a job or of the migration runner by its page: shown first, confirmed, done once.

use progress_service::{model::Ids, store::platform::jobs::NewJob};
use serde_json::json;

use super::{Browser, field};
use crate::{
    jobs::put_job,
    support::{app::TestApp, patience},
};

on_each_server! {
    async fn a_job_is_steered_after_its_plan_was_seen(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let id = Ids::random().uuid();
        let new = NewJob { id, kind: "of.no.node", tenant: None, by: "test", approved_by: None, parameters: json!({ "to": 3 }), plan_digest: None };
        put_job(&app.service().rooms.store, &new).await;
        let browser = Browser::operator(&app).await;
        let list = browser.get("/admin/jobs?state=queued").await.expect(200).text();
        assert!(list.contains("of.no.node") && list.contains(&format!("/admin/jobs/{id}")), "{list}");
        assert!(!browser.get("/admin/jobs?state=failed").await.expect(200).text().contains(&id.to_string()));

        let place = format!("/admin/jobs/{id}");
        let plan = browser.get(&format!("{place}/pause")).await.expect(200).text();
        let seen = field(&plan, "digest");
        browser.post(&format!("{place}/pause"), &[("digest", "another")]).await.expect(409);
        browser.post(&format!("{place}/pause"), &[]).await.expect(409);
        let done = browser.post(&format!("{place}/pause"), &[("digest", &seen)]).await.expect(303);
        assert_eq!(done.header("location"), format!("{place}?done=pause"));
        let page = browser.get(done.header("location")).await.expect(200).text();
        assert!(page.contains("It pauses once its step has ended.") && page.contains(">paused<"), "{page}");
        // What was seen is not what is there any more.
        browser.post(&format!("{place}/pause"), &[("digest", &seen)]).await.expect(409);

        let plan = browser.get(&format!("{place}/cancel")).await.expect(200).text();
        assert!(plan.contains("to confirm"), "{plan}");
        let digest = field(&plan, "digest");
        browser.post(&format!("{place}/cancel"), &[("digest", &digest)]).await.expect(400);
        browser.post(&format!("{place}/cancel"), &[("digest", &digest), ("confirm", "yes")]).await.expect(400);
        browser.post(&format!("{place}/cancel"), &[("digest", &digest), ("confirm", "cancel")]).await.expect(303);
        assert!(browser.get(&place).await.expect(200).text().contains(">cancelled<"));
        browser.get(&format!("{place}/pause")).await.expect(409);
        browser.get(&format!("{place}/explode")).await.expect(404);
        browser.get("/admin/jobs/nothing").await.expect(404);
        let sql = "SELECT count(*) FROM platform.audit WHERE action IN ('jobs.pause', 'jobs.cancel') AND actor = 'key:test-key'";
        assert_eq!(app.db.superuser().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 2);
    }

    async fn what_was_tried_and_who_waits_is_shown(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        let tried = "/admin/migrations/tried";
        let page = browser.get(tried).await.expect(200).text();
        assert!(page.contains(".sql") && page.contains("There are none."), "attempts, and nobody waits: {page}");
        let (holder, victim) = (app.db.superuser().await, app.db.superuser().await);
        holder.batch_execute("CREATE TABLE public.parked ()").await.unwrap();
        holder.batch_execute("BEGIN; LOCK TABLE public.parked").await.unwrap();
        let pid: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let holding: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let waits = tokio::spawn(async move { victim.batch_execute("SELECT FROM public.parked").await });
        patience::until("the one who waits", async || {
            let page = browser.get(tried).await.expect(200).text();
            let parts = [format!("process {pid} ("), format!("process {holding} ("), "AccessShareLock".into(), "parked".into()];
            if parts.iter().all(|part| page.contains(part)) { Ok(()) } else { Err(page) }
        })
        .await;
        holder.batch_execute("COMMIT").await.unwrap();
        waits.await.unwrap().unwrap();
        assert!(browser.get(tried).await.expect(200).text().contains("There are none."));
    }

    async fn migrations_are_shown_verified_tried_and_run(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        let page = browser.get("/admin/migrations").await.expect(200).text();
        for part in ["platform", "061_sessions.sql", "Nothing waits", "Try it dry"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let verified = browser.get("/admin/migrations/verify").await.expect(200).text();
        assert!(verified.contains("row-level") || verified.contains("fine"), "{verified}");
        let digest = field(&page, "digest");
        let run = "/admin/migrations/run";
        browser.post(run, &[("mode", "run"), ("digest", &digest)]).await.expect(400);
        browser.post(run, &[("mode", "run"), ("digest", "another"), ("confirm", "migrate")]).await.expect(409);
        browser.post(run, &[("mode", "dry"), ("category", "nonsense")]).await.expect(400);
        for fields in [&[("mode", "dry")][..], &[("mode", "run"), ("digest", &digest), ("confirm", "migrate")]] {
            let asked = browser.post(run, fields).await.expect(303);
            let place = asked.header("location").to_owned();
            patience::until("the run", async || {
                let page = browser.get(&place).await.text();
                if page.contains(">succeeded<") && page.contains("This page is its receipt") { Ok(()) } else { Err(page) }
            })
            .await;
        }
    }
}
