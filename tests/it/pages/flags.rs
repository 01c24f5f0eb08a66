//! Flags, backfills and rollouts by their pages: shown, planned, and set by operators alone.

use progress_service::{
    model::{Ids, TenantId},
    store::{As, platform::rollouts},
};
use serde_json::json;

use super::{Browser, credential, field, signed_in};
use crate::support::app::TestApp;

const FLAGS: &str = "/admin/flags";
const ROLLOUTS: &str = "/admin/migrations/rollouts";

on_each_server! {
    async fn a_flag_is_set_for_a_tenant_and_taken_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id.to_string();
        let browser = Browser::operator(&app).await;
        let wish = [("tenant", acme.as_str()), ("name", "xapi.writes"), ("value", "off"), ("for", "tenant")];
        let plan = browser.post(&format!("{FLAGS}/plan"), &wish).await.expect(200).text();
        assert!(plan.contains("<bdi>xapi.writes</bdi>") && plan.contains("<bdi>off</bdi>") && plan.contains("<bdi>acme</bdi>"), "{plan}");
        browser.post(FLAGS, &wish).await.expect(409);
        browser.confirm(FLAGS, &plan, &[]).await.expect(400);
        browser.confirm(FLAGS, &plan, &[("reason", "a <b>test</b>")]).await.expect(303);
        let page = browser.get(&format!("{FLAGS}?tenant={acme}")).await.expect(200).text();
        assert!(page.contains("<bdi>tenant</bdi>") && page.contains("a &#60;b&#62;test"), "{page}");
        // It is not as it was seen any more.
        browser.confirm(FLAGS, &plan, &[("reason", "again")]).await.expect(409);
        let back = [("tenant", acme.as_str()), ("name", "xapi.writes"), ("value", ""), ("for", "tenant")];
        let plan = browser.post(&format!("{FLAGS}/plan"), &back).await.expect(200).text();
        browser.confirm(FLAGS, &plan, &[("reason", "it is over")]).await.expect(303);
        for wrong in [("name", "no.such"), ("value", "perhaps"), ("tenant", "00000000-0000-4000-8000-00000000dead")] {
            let given: Vec<(&str, &str)> = wish.iter().map(|pair| if pair.0 == wrong.0 { wrong } else { *pair }).collect();
            let status = browser.post(&format!("{FLAGS}/plan"), &given).await.status.as_u16();
            assert_eq!(status, if wrong.0 == "value" { 400 } else { 404 }, "{wrong:?}");
        }
        let theirs = signed_in(&app, &credential(&app, acme.parse().map(TenantId).unwrap(), "admin:*").await).await;
        let own = theirs.get(FLAGS).await.expect(200).text();
        assert!(own.contains("xapi.writes") && !own.contains("Set one") && !own.contains("it is over"), "{own}");
        theirs.get(&format!("{FLAGS}?tenant={}", TenantId::DEFAULT)).await.expect(403);
        theirs.post(&format!("{FLAGS}/plan"), &wish).await.expect(403);
        theirs.post(FLAGS, &wish).await.expect(403);
        let reader = signed_in(&app, &credential(&app, TenantId::DEFAULT, "statements/read").await).await;
        reader.get(FLAGS).await.expect(403);
    }

    async fn a_rollout_is_planned_from_its_text_and_begun_as_it_was_seen(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let browser = Browser::operator(&app).await;
        let list = browser.get(ROLLOUTS).await.expect(200).text();
        assert!(list.contains("See the plan…"), "{list}");
        let text = |value: &str| format!(
            "format = 1\nname = \"a-change\"\nabout = \"<b>x</b>\"\n[[steps]]\nname = \"all\"\nkind = \"switch\"\nflag = \"xapi.writes\"\nvalue = \"{value}\"\n");
        // What is wrong is all told, and what was typed is still there.
        for (wrong, why) in [("no toml", "the plan is no TOML"), ("format = 9", "this release reads up to"), (&*text("perhaps"), "perhaps")] {
            let page = browser.post(&format!("{ROLLOUTS}/plan"), &[("plan", wrong)]).await.expect(200).text();
            assert!(page.contains("It cannot be begun") && page.contains(why) && !page.contains("Begin it"), "{page}");
            assert!(page.contains(&wrong.replace('"', "&#34;").replace('<', "&#60;").replace('>', "&#62;")), "{page}");
        }
        let page = browser.post(&format!("{ROLLOUTS}/plan"), &[("plan", &text("on"))]).await.expect(200).text();
        assert!(page.contains("sets xapi.writes to on for everybody") && page.contains("Begin it") && !page.contains("<b>"), "{page}");
        let start = format!("{ROLLOUTS}/start");
        let digest = field(&page, "digest");
        let begin = async |plan: &str, word: &str| {
            browser.post(&start, &[("digest", digest.as_str()), ("plan", plan), ("confirm", word)]).await
        };
        begin(&text("on"), "").await.expect(400);
        begin(&text("off"), "begin").await.expect(409);
        begin("no toml", "begin").await.expect(400);
        let done = begin(&text("on"), "begin").await.expect(303);
        let place = done.headers["location"].to_str().unwrap().to_owned();
        let report = browser.get(&place).await.expect(200).text();
        assert!(report.contains("state running") && report.contains("It is begun") && report.contains("started"), "{report}");
        let again = begin(&text("on"), "begin").await.expect(409).text();
        assert!(again.contains("a rollout is underway already"), "{again}");
        let trail = "SELECT count(*) FROM platform.audit WHERE action = 'rollout.start' AND subject = 'a-change'";
        assert_eq!(app.db.superuser().await.query_one(trail, &[]).await.unwrap().get::<_, i64>(0), 1);
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let theirs = signed_in(&app, &credential(&app, acme, "admin:*").await).await;
        for act in ["plan", "start"] {
            theirs.post(&format!("{ROLLOUTS}/{act}"), &[("plan", &text("on")), ("confirm", "begin")]).await.expect(403);
        }
    }

    async fn a_rollout_is_paused_resumed_and_taken_back(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.stop_loops().await;
        let (id, store) = (Ids::random().uuid(), app.db.store());
        let step = json!({ "name": "pilots", "kind": "switch", "flag": "xapi.writes", "value": "on" });
        let plan = json!({ "format": 1, "name": "a-change", "about": "<b>x</b>", "steps": [step] });
        let added = store.run_once("add", As::Worker, |tx| Box::pin(rollouts::add(tx, id, "a-change", &plan, "0123", "ann"))).await;
        assert!(added.unwrap());
        let browser = Browser::operator(&app).await;
        let list = browser.get("/admin/migrations/rollouts").await.expect(200).text();
        assert!(list.contains(&id.to_string()) && list.contains("state running") && !list.contains("<b>"), "{list}");
        let page = format!("/admin/migrations/rollouts/{id}");
        let plan = browser.get(&format!("{page}/pause")).await.expect(200).text();
        browser.post(&format!("{page}/pause"), &[]).await.expect(409);
        browser.confirm(&format!("{page}/pause"), &plan, &[]).await.expect(303);
        browser.confirm(&format!("{page}/pause"), &plan, &[]).await.expect(409);
        assert!(browser.get(&page).await.expect(200).text().contains("state paused"));
        browser.get(&format!("{page}/advance")).await.expect(409);
        let plan = browser.get(&format!("{page}/resume")).await.expect(200).text();
        browser.confirm(&format!("{page}/resume"), &plan, &[]).await.expect(303);
        let plan = browser.get(&format!("{page}/abort")).await.expect(200).text();
        browser.confirm(&format!("{page}/abort"), &plan, &[("reason", "x")]).await.expect(400);
        browser.confirm(&format!("{page}/abort"), &plan, &[("reason", "it was slow"), ("confirm", "abort")]).await.expect(303);
        let report = browser.get(&page).await.expect(200).text();
        assert!(!report.contains("<b>") && report.contains("state aborted") && report.contains("it was slow") && !report.contains("abort…"), "{report}");
        browser.get("/admin/migrations/rollouts/nothing").await.expect(404);
        browser.get(&format!("{page}/destroy")).await.expect(404);
        browser.get("/admin/migrations/backfills").await.expect(200);
        browser.get("/admin/migrations/backfills/run?name=no/such").await.expect(404);
        browser.get("/admin/migrations/backfills/destroy?name=no/such").await.expect(404);
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let theirs = signed_in(&app, &credential(&app, acme, "admin:*").await).await;
        for path in ["/admin/migrations/rollouts", "/admin/migrations/backfills", page.as_str(), &format!("{page}/abort")] {
            theirs.get(path).await.expect(403);
        }
        theirs.post(&format!("{page}/abort"), &[("confirm", "abort"), ("reason", "x")]).await.expect(403);
    }
}
