//! Launches by their page: the plan, the secret once, the address that gives it once, and who may not see them.

use progress_service::model::{Ids, TenantId};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Browser, credential, field, signed_in};
use crate::support::{
    app::{TestApp, send},
    http,
};

const HERE: &str = "/admin/access/launches";
const REGISTRATION: &str = "00000000-0000-4000-8000-0000000000c1";

/// What stands between two texts of a page.
fn between<'p>(page: &'p str, before: &str, after: &str) -> &'p str {
    page.split_once(before).unwrap_or_else(|| panic!("no {before} in {page}")).1.split_once(after).unwrap().0
}

fn wish<'w>(tenant: &'w str, more: &[(&'w str, &'w str)]) -> Vec<(&'w str, &'w str)> {
    let told =
        [("tenant", tenant), ("identifiers", "ada@learners.example"), ("registration", REGISTRATION), ("hours", "2")];
    [&told[..], more].concat()
}

/// Asks for a launch, sees the plan and confirms it.
async fn made(browser: &Browser<'_>, tenant: &str, more: &[(&str, &str)]) -> String {
    let plan = browser.post(&format!("{HERE}/plan"), &wish(tenant, more)).await.expect(200).text();
    browser.confirm(HERE, &plan, &[]).await.expect(200).text()
}

/// What a unit gets that sends a statement with this key and secret.
async fn says(app: &TestApp, login: (&str, &str), registration: &str) -> u16 {
    let statement = json!({ "actor": { "mbox": "mailto:ada@learners.example" }, "verb": { "id": "http://example.org/did" },
                            "object": { "id": "http://example.org/unit" }, "context": { "registration": registration } });
    let request = app.anonymous(Method::POST, "/xapi/statements").basic_auth(login.0, Some(login.1));
    send(request.header("X-Experience-API-Version", "1.0.3").json(&statement)).await.status.as_u16()
}

on_each_server! {
    async fn a_launch_is_planned_made_shown_once_and_revoked(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        let tenant = field(&browser.get(HERE).await.expect(200).text(), "tenant");
        browser.post(HERE, &wish(&tenant, &[])).await.expect(409);
        let unit = [("activity", "http://example.org/unit"), ("moveOn", "Passed"), ("mastery", "0.8"), ("mode", "Normal")];
        let plan = browser.post(&format!("{HERE}/plan"), &wish(&tenant, &unit)).await.expect(200).text();
        for fact in ["mailto:ada@learners.example", REGISTRATION, "Passed", "0.8", "Normal", "2 hours"] {
            assert!(plan.contains(fact), "{fact}: {plan}");
        }
        let shown = browser.confirm(HERE, &plan, &[]).await.expect(200).text();
        let key = between(&shown, "<dt>Key</dt><dd><code>", "</code>").to_owned();
        let secret = between(&shown, "<code id=\"secret\">", "</code>").to_owned();
        assert_eq!(says(&app, (&key, &secret), REGISTRATION).await, 200);
        assert_eq!(says(&app, (&key, &secret), "00000000-0000-4000-8000-0000000000c2").await, 403, "in no other registration");

        let list = browser.get(&format!("{HERE}?registration={REGISTRATION}")).await.expect(200).text();
        assert!(list.contains(&key) && list.contains("mailto:ada@learners.example") && !list.contains(&secret), "{list}");
        let other = browser.get(&format!("{HERE}?registration={}", Ids::random().uuid())).await.expect(200).text();
        assert!(!other.contains(&key));
        assert!(!browser.get("/admin/access").await.text().contains(&key), "it is none of the lasting ones");
        let id = between(&list, &format!("{HERE}/"), "/").to_owned();
        let place = format!("{HERE}/{id}/revoke");
        let plan = browser.get(&format!("{place}?tenant={tenant}")).await.expect(200).text();
        browser.confirm(&place, &plan, &[("confirm", "yes")]).await.expect(400);
        browser.post(&place, &[("tenant", &tenant), ("confirm", "revoke")]).await.expect(409);
        let done = browser.confirm(&place, &plan, &[("confirm", "revoke")]).await.expect(303);
        let list = browser.get(done.header("location")).await.expect(200).text();
        assert!(list.contains("state revoked") && list.contains("It is revoked"), "{list}");
        browser.confirm(&place, &plan, &[("confirm", "revoke")]).await.expect(409);
        assert_eq!(says(&app, (&key, &secret), REGISTRATION).await, 401);
        let trail = browser.get("/admin/audit?action=credential.launch").await.expect(200).text();
        assert!(trail.contains(&id) && trail.contains("key:test-key"), "{trail}");
    }

    async fn a_unit_fetches_its_secret_by_the_address_that_is_shown_once(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        let shown = made(&browser, "", &[("fetch", "yes")]).await;
        let address = between(&shown, "<code id=\"secret\">", "</code>").to_owned();
        assert!(address.contains("/cmi5/fetch/") && shown.contains("To be fetched until"), "{shown}");
        let fetched: Value = send(http::client().post(&address)).await.expect(200).json();
        let token = fetched["auth-token"].as_str().unwrap();
        let request = app.anonymous(Method::GET, &format!("/xapi/statements?registration={REGISTRATION}"));
        let request = request.header("Authorization", format!("Basic {token}")).header("X-Experience-API-Version", "1.0.3");
        send(request).await.expect(200);
        let again: Value = send(http::client().post(&address)).await.expect(200).json();
        assert_eq!(again["error-code"], "1");
    }

    async fn pages_of_launches_follow_each_other(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.db.superuser().await.batch_execute(
            "INSERT INTO platform.credentials (credential_id, tenant_id, api_key, secret_hash, scopes, registration, launch_actor, created_at, expires_at)
             SELECT gen_random_uuid(), '00000000-0000-4000-8000-000000000001', 'launch-' || n || '.', 'x', '{state}', gen_random_uuid(),
                    '{\"account\": {\"homePage\": \"http://lms.example\", \"name\": \"ada\"}}', date_trunc('second', now()) - n / 10 * interval '1 minute',
                    now() + CASE WHEN n < 5 THEN interval '-1 hour' ELSE interval '1 hour' END
             FROM generate_series(0, 119) n",
        ).await.unwrap();
        let browser = Browser::operator(&app).await;
        let (mut place, mut seen) = (HERE.to_owned(), Vec::new());
        loop {
            let page = browser.get(&place).await.expect(200).text();
            assert!(page.contains("ada at http://lms.example"));
            seen.extend(page.split("launch-").skip(1).filter_map(|rest| rest.split_once('.')?.0.parse::<u32>().ok()));
            let Some((before, _)) = page.split_once("\" aria-label=\"More: Launches") else { break };
            place = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..120).collect::<Vec<_>>());
        let first = browser.get(HERE).await.text();
        assert_eq!(first.matches("state expired").count(), 5, "{first}");
    }

    async fn what_cannot_be_made_is_told_of_and_other_tenants_are_not_there(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let browser = Browser::operator(&app).await;
        for (name, value, why) in [
            ("identifiers", "nobody", "is no identifier"),
            ("registration", "x", "a registration is a UUID"),
            ("hours", "169", "at most 604800 seconds"),
            ("hours", "soon", "hours are a whole number"),
            ("activity", "no address", "absolute IRI"),
            ("moveOn", "Never", "none of the values that are known"),
            ("mastery", "1.2", "a number from 0 to 1"),
            ("mastery", "much", "a number from 0 to 1"),
        ] {
            let mut fields = wish("", &[]);
            fields.retain(|(field, _)| *field != name);
            let page = browser.post(&format!("{HERE}/plan"), &[&fields[..], &[(name, value)]].concat()).await.expect(400).text();
            assert!(page.contains(why), "{name}={value}: {page}");
        }
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        made(&browser, "", &[]).await;
        let list = browser.get(HERE).await.text();
        let (id, default) = (between(&list, &format!("{HERE}/"), "/").to_owned(), TenantId::DEFAULT.0.to_string());
        let theirs = signed_in(&app, &credential(&app, acme, "admin:*").await).await;
        assert!(!theirs.get(HERE).await.expect(200).text().contains("ada@learners.example"));
        theirs.get(&format!("{HERE}?tenant={default}")).await.expect(403);
        theirs.get(&format!("{HERE}/{id}/revoke")).await.expect(404);
        theirs.post(&format!("{HERE}/{id}/revoke"), &[("confirm", "revoke")]).await.expect(404);
        theirs.post(&format!("{HERE}/plan"), &wish(&default, &[])).await.expect(403);
        theirs.post(HERE, &wish(&default, &[])).await.expect(403);
        let reader = signed_in(&app, &credential(&app, acme, "statements/read audit:read").await).await;
        reader.get(HERE).await.expect(403);
        reader.post(HERE, &wish("", &[])).await.expect(403);
    }
}
