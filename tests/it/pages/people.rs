//! Retention, holds, erasures and subject access by their pages: a plan first, a word for what destroys, a receipt, nobody else's.

use progress_service::model::TenantId;
use serde_json::json;

use super::{Browser, credential, signed_in};
use crate::{
    lifecycle::{MARCH, fill},
    support::{app::TestApp, patience, pg::TestDatabase},
};

const RETENTION: &str = "/admin/people/retention";
const HOLDS: &str = "/admin/people/holds";
const ERASURES: &str = "/admin/people/erasures";
const EVIL: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";

async fn started(db: TestDatabase) -> TestApp {
    let app = TestApp::start(db).await;
    fill(&app, MARCH, 1, 12).await;
    app
}

on_each_server! {
    async fn a_rule_is_set_and_carried_out_by_its_plans(db: TestDatabase) {
        let app = started(db).await;
        let browser = Browser::operator(&app).await;
        assert_eq!(browser.get("/admin/people").await.expect(303).header("location"), RETENTION);
        let idle = browser.get(&format!("{RETENTION}/plan")).await.expect(200).text();
        assert!(idle.contains("Nothing goes by the rules") && !idle.contains("name=\"digest\""), "{idle}");
        let trial = browser.get(&format!("{RETENTION}/plan?older=1d")).await.expect(200).text();
        assert!(trial.contains("What if everything older than 1 days went.") && !trial.contains("name=\"digest\""), "{trial}");
        browser.get(&format!("{RETENTION}/plan?older=soon")).await.expect(400);

        let rule = [("change", "rule"), ("class", "standard"), ("covers", "statements"), ("delete", "90d")];
        let change = format!("{RETENTION}/change");
        let plan = browser.post(&format!("{change}/plan"), &rule).await.expect(200).text();
        assert!(plan.contains("statements of 2026-03") && plan.contains("state goes"), "{plan}");
        browser.confirm(&change, &plan, &[("reason", "a contract")]).await.expect(400);
        browser.post(&change, &[&rule[..], &[("reason", "x"), ("confirm", "set")]].concat()).await.expect(409);
        browser.confirm(&change, &plan, &[("reason", "a contract"), ("confirm", "set")]).await.expect(303);
        let shown = browser.get(RETENTION).await.expect(200).text();
        assert!(shown.contains("90 days") && shown.contains("a contract"), "{shown}");
        for wrong in [("delete", "soon"), ("covers", "audit"), ("course", "no iri"), ("class", "never")] {
            let mut given: Vec<_> = rule.iter().copied().filter(|(name, _)| *name != wrong.0).collect();
            given.push(wrong);
            browser.post(&format!("{change}/plan"), &given).await.expect(400);
        }

        let plan = browser.get(&format!("{RETENTION}/plan")).await.expect(200).text();
        assert!(plan.contains("<dt>Rows that go</dt><dd><bdi>12</bdi>"), "{plan}");
        let apply = format!("{RETENTION}/apply");
        browser.confirm(&apply, &plan, &[]).await.expect(400);
        browser.post(&apply, &[("digest", "0123"), ("confirm", "remove")]).await.expect(409);
        let done = browser.confirm(&apply, &plan, &[("confirm", "remove")]).await.expect(303);
        let after = browser.get(done.header("location")).await.expect(200).text();
        assert!(after.contains("It was done.") && after.contains("state marked"), "{after}");
    }

    async fn what_a_law_keeps_is_shortened_by_two_persons(db: TestDatabase) {
        let app = started(db).await;
        let (ann, bob) = (Browser::operator(&app).await, credential(&app, TenantId::DEFAULT, "admin:*").await);
        let bob = signed_in(&app, &bob).await;
        let change = format!("{RETENTION}/change");
        let class = ann.post(&format!("{change}/plan"), &[("change", "class"), ("class", "regulated")]).await.expect(200).text();
        ann.confirm(&change, &class, &[("reason", "a contract"), ("confirm", "set")]).await.expect(303);
        let shorter = [("change", "rule"), ("class", "regulated"), ("covers", "statements"), ("keep", "5y"), ("everybody", "yes")];
        let plan = ann.post(&format!("{change}/plan"), &shorter).await.expect(200).text();
        assert!(plan.contains("is shortened by two persons"), "{plan}");
        let asked = ann.confirm(&change, &plan, &[("reason", "x"), ("confirm", "set")]).await.expect(303);
        let request = asked.header("location").to_owned();
        assert!(request.starts_with(&format!("{RETENTION}/requests/")) && request.ends_with("done=asked"), "{request}");
        let path = request.split('?').next().unwrap();

        let own = ann.get(path).await.expect(200).text();
        ann.confirm(path, &own, &[("reason", "mine"), ("confirm", "sign")]).await.expect(409);
        ann.get(&format!("{RETENTION}/requests/0123")).await.expect(404);
        let seen = bob.get(path).await.expect(200).text();
        bob.confirm(path, &seen, &[("reason", "seen")]).await.expect(400);
        bob.confirm(path, &seen, &[("reason", "seen"), ("confirm", "sign")]).await.expect(303);
        assert!(bob.get(path).await.expect(200).text().contains("It was signed by"));

        let plan = ann.post(&format!("{change}/plan"), &shorter).await.expect(200).text();
        let done = ann.confirm(&change, &plan, &[("reason", "x"), ("confirm", "set")]).await.expect(303);
        assert!(done.header("location").ends_with("done=rule"), "{}", done.header("location"));
        let page = ann.get(RETENTION).await.expect(200).text();
        assert!(page.contains("1827 days"), "{page}");
    }

    async fn a_hold_is_placed_and_ended_by_its_plans(db: TestDatabase) {
        let app = started(db).await;
        let browser = Browser::operator(&app).await;
        let person = [("scope", "person"), ("identifiers", "ann@example.com\r\nhttp://x.example|ann"), ("law", "Art. 17"), ("reason", EVIL)];
        let plan = browser.post(&format!("{HOLDS}/plan"), &person).await.expect(200).text();
        assert!(plan.contains("one person, by 2 keys") && !plan.contains("<script>"), "{plan}");
        browser.post(HOLDS, &person).await.expect(409);
        browser.confirm(HOLDS, &plan, &[]).await.expect(303);
        let whole = [("scope", "tenant"), ("law", "court order 7"), ("reason", "a lawsuit")];
        let plan = browser.post(&format!("{HOLDS}/plan"), &whole).await.expect(200).text();
        browser.confirm(HOLDS, &plan, &[]).await.expect(303);
        let list = browser.get(HOLDS).await.expect(200).text();
        assert!(list.contains("court order 7") && list.contains("state stands") && !list.contains("<script>") && !list.contains("<img src=x"), "{list}");
        assert!(!list.contains("ann@example.com"), "it is known by keys alone");
        for wrong in [
            &[("scope", "person"), ("law", "y"), ("reason", "x")][..],
            &[("scope", "person"), ("identifiers", "ann"), ("law", "y"), ("reason", "x")],
            &[("scope", "course"), ("named", "seven"), ("law", "y"), ("reason", "x")],
            &[("scope", "registration"), ("law", "y"), ("reason", "x")],
            &[("scope", "tenant"), ("law", ""), ("reason", "x")],
        ] {
            let answer = browser.post(&format!("{HOLDS}/plan"), wrong).await;
            assert_eq!(answer.status, 400, "{wrong:?}");
        }

        let kept = browser.post(&format!("{RETENTION}/change/plan"), &[("change", "rule"), ("class", "standard"), ("covers", "statements"), ("delete", "90d")]).await.expect(200).text();
        assert!(!kept.contains("state goes"), "{kept}");
        let release = list.split("href=\"").find(|rest| rest.starts_with(HOLDS) && rest.contains("/release")).unwrap();
        let release = release.split('"').next().unwrap().split('?').next().unwrap();
        let plan = browser.get(release).await.expect(200).text();
        browser.confirm(release, &plan, &[("reason", "it ended")]).await.expect(400);
        browser.confirm(release, &plan, &[("reason", "it ended"), ("confirm", "release")]).await.expect(303);
        browser.get(release).await.expect(404);
        assert!(browser.get(HOLDS).await.expect(200).text().contains("it ended"));
    }

    async fn a_person_is_erased_by_a_plan_and_leaves_a_receipt(db: TestDatabase) {
        let app = started(db).await;
        let browser = Browser::operator(&app).await;
        let person = [("identifiers", "learner1@example.com"), ("mentions", "redact")];
        let plan = browser.post(&format!("{ERASURES}/plan"), &person).await.expect(200).text();
        assert!(plan.contains("statements, hot") && plan.contains("It cannot be brought back."), "{plan}");
        browser.post(&format!("{ERASURES}/plan"), &[("user", "")]).await.expect(400);
        browser.post(&format!("{ERASURES}/plan"), &[("identifiers", "nobody")]).await.expect(400);
        browser.post(&format!("{ERASURES}/plan"), &[("identifiers", "a@x.example"), ("arrivals", "burn")]).await.expect(400);
        browser.confirm(ERASURES, &plan, &[]).await.expect(400);
        let other: Vec<(&str, &str)> = person.iter().copied().chain([("confirm", "erase"), ("digest", "0123")]).collect();
        browser.post(ERASURES, &other).await.expect(409);
        let asked = browser.confirm(ERASURES, &plan, &[("confirm", "erase")]).await.expect(303);
        let page = asked.header("location").split('?').next().unwrap().to_owned();
        patience::until("the erasure", async || {
            let text = browser.get(&page).await.expect(200).text();
            if text.contains("state erased") { Ok(()) } else { Err(text) }
        }).await;
        let text = browser.get(&page).await.expect(200).text();
        assert!(!text.contains("learner1") && text.contains("What a scan of disks may still find"), "{text}");
        let receipt = browser.get(&format!("{page}/receipt.json")).await.expect(200).json();
        assert!(receipt["checkpoint"].is_string(), "{receipt}");
        let pdf = browser.get(&format!("{page}/receipt.pdf")).await.expect(200);
        assert!(pdf.header("content-type") == "application/pdf" && pdf.body.starts_with(b"%PDF"));
        let list = browser.get(ERASURES).await.expect(200).text();
        assert!(list.contains(page.rsplit('/').next().unwrap()) && !list.contains("learner1"), "{list}");
        // It is over: nothing goes on with it.
        let over = browser.get(&format!("{page}/run")).await.expect(200).text();
        assert!(!over.contains("name=\"digest\""), "{over}");

        let policy = format!("{ERASURES}/policy");
        let plan = browser.post(&format!("{policy}/plan"), &[("mentions", "keep"), ("arrivals", "accept")]).await.expect(200).text();
        assert!(plan.contains("redact → keep"), "{plan}");
        browser.confirm(&policy, &plan, &[]).await.expect(303);
        browser.confirm(&policy, &plan, &[]).await.expect(409);
    }

    async fn a_person_gets_everything_as_a_zip(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let user = "00000000-0000-4000-8000-0000000000aa";
        let actor = json!({ "account": { "homePage": "http://x.example", "name": user } });
        let one = json!([{ "actor": actor, "verb": { "id": "http://example.org/did" }, "object": { "id": "http://example.org/a" } }]);
        app.post_statements(&one).await.expect(200);
        let browser = Browser::operator(&app).await;
        browser.get("/admin/people/export").await.expect(200);
        let zip = browser.post("/admin/people/export", &[("user", user)]).await.expect(200);
        assert!(zip.header("content-type") == "application/zip" && zip.body.starts_with(b"PK"));
        browser.post("/admin/people/export", &[]).await.expect(400);
        browser.post("/admin/people/export", &[("user", "nobody")]).await.expect(404);
        let trail = browser.get("/admin/audit?action=read.export").await.expect(200).text();
        assert!(trail.contains("key:test-key"), "{trail}");
    }

    async fn each_tenant_has_its_own_and_readers_have_none(db: TestDatabase) {
        let app = started(db).await;
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let operator = Browser::operator(&app).await;
        let whole = [("scope", "tenant"), ("law", "court order 7"), ("reason", "a lawsuit")];
        let plan = operator.post(&format!("{HOLDS}/plan"), &whole).await.expect(200).text();
        operator.confirm(HOLDS, &plan, &[]).await.expect(303);
        let plan = operator.post(&format!("{ERASURES}/plan"), &[("identifiers", "learner1@example.com")]).await.expect(200).text();
        let queued = operator.confirm(ERASURES, &plan, &[("confirm", "erase")]).await.expect(303);
        let queued = queued.header("location").split('?').next().unwrap().to_owned();
        let list = operator.get(HOLDS).await.expect(200).text();
        let release = list.split("href=\"").find(|rest| rest.starts_with(HOLDS) && rest.contains("/release")).unwrap();
        let release = release.split('?').next().unwrap().to_owned();

        let default = TenantId::DEFAULT.0.to_string();
        let theirs = signed_in(&app, &credential(&app, acme, "admin:*").await).await;
        for path in [RETENTION, HOLDS, ERASURES, "/admin/people/export", "/admin/people/retention/plan"] {
            theirs.get(path).await.expect(200);
            theirs.get(&format!("{path}?tenant={default}")).await.expect(403);
            operator.get(&format!("{path}?tenant={acme}")).await.expect(200);
            operator.get(&format!("{path}?tenant=00000000-0000-4000-8000-00000000dead")).await.expect(404);
            operator.get(&format!("{path}?tenant=%00")).await.expect(400);
        }
        assert!(!theirs.get(HOLDS).await.expect(200).text().contains("court order 7"));
        theirs.get(&queued).await.expect(404);
        theirs.get(&format!("{queued}/receipt.json")).await.expect(404);
        theirs.get(&release).await.expect(404);
        let everybody = [("change", "rule"), ("class", "standard"), ("covers", "statements"), ("delete", "90d"), ("everybody", "yes")];
        theirs.post(&format!("{RETENTION}/change/plan"), &everybody).await.expect(403);
        for path in [format!("{RETENTION}/apply"), format!("{RETENTION}/change"), HOLDS.to_owned(), ERASURES.to_owned(), release.clone()] {
            let answer = theirs.post(&path, &[("tenant", &default), ("confirm", "remove"), ("law", "x"), ("reason", "x"), ("scope", "tenant")]).await;
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        }
        for (of, scopes) in [(acme, "audit:read"), (TenantId::DEFAULT, "statements/read"), (TenantId::DEFAULT, "audit:read statement:read transcript:read")] {
            let reader = signed_in(&app, &credential(&app, of, scopes).await).await;
            for path in ["/admin/people", RETENTION, HOLDS, ERASURES, "/admin/people/export", &queued, &release] {
                reader.get(path).await.expect(403);
            }
            for path in [format!("{RETENTION}/apply"), HOLDS.to_owned(), ERASURES.to_owned(), "/admin/people/export".to_owned()] {
                reader.post(&path, &[("confirm", "remove"), ("user", "x"), ("law", "x"), ("reason", "x")]).await.expect(403);
            }
        }
    }
}
