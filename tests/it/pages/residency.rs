//! A tenant moves to another cell by the pages: planned, copied while it works, switched, and removed where it was once a second
//! person agrees.

use progress_service::model::TenantId;
use serde_json::json;

use super::{Browser, credential, signed_in};
use crate::{
    residency::cells::Cells,
    xapi::{id, identified},
};

const HERE: &str = "/admin/people/residency";

on_the_newest_server! {
    async fn a_tenant_moves_by_its_pages_and_what_is_left_goes_when_two_agree(db: TestDatabase) {
        let cells = Cells::start(db).await;
        cells.post(&cells.one, &json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "a")])).await.expect(200);
        let (browser, of) = (Browser::operator(&cells.one).await, format!("?tenant={}", cells.tenant));
        let page = browser.get(&format!("{HERE}{of}")).await.expect(200).text();
        assert!(page.contains("state home") && page.contains("There are none."), "{page}");
        assert!(page.contains(&format!("two, {}", cells.two.url)), "{page}");
        // Seen, and with a reason.
        let plan = browser.get(&format!("{HERE}/plan{of}&to=two")).await.expect(200).text();
        assert!(plan.contains("which answers at") && plan.contains("note it"), "{plan}");
        browser.get(&format!("{HERE}/plan{of}&to=nowhere")).await.expect(404);
        browser.confirm(HERE, &plan, &[("reason", "")]).await.expect(400);
        let other = plan.replace("name=\"digest\" value=\"", "name=\"digest\" value=\"0");
        browser.confirm(HERE, &other, &[("reason", "a contract")]).await.expect(409);
        let noted = browser.confirm(HERE, &plan, &[("reason", "a contract")]).await.expect(303);
        let place = noted.header("location").to_owned();
        let page = browser.get(&place).await.expect(200).text();
        assert!(page.contains("state planned") && page.contains("a contract") && page.contains("start…"), "{page}");
        let at = |act: &str| format!("{}/{act}", place.split('?').next().unwrap());
        let asked = async |act: &str| browser.get(&format!("{}{of}", at(act))).await;
        asked("switch").await.expect(409);
        asked("dance").await.expect(404);
        // Copied while it works, and the same in both cells.
        let plan = asked("start").await.expect(200).text();
        let started = browser.confirm(&at("start"), &plan, &[]).await.expect(303);
        let job = browser.ended(started.header("location")).await;
        assert!(job.contains("state succeeded"), "{job}");
        let page = browser.get(&place).await.expect(200).text();
        assert!(page.contains("state verified") && page.contains("What was the same in both cells"), "{page}");
        // What was seen before it was copied is not done any more; the word has to be typed.
        browser.confirm(&at("start"), &plan, &[]).await.expect(409);
        let plan = asked("switch").await.expect(200).text();
        browser.confirm(&at("switch"), &plan, &[("confirm", "twitch")]).await.expect(400);
        let switched = browser.confirm(&at("switch"), &plan, &[("confirm", "switch")]).await.expect(303);
        let job = browser.ended(switched.header("location")).await;
        assert!(job.contains("state succeeded"), "{job}");
        let page = browser.get(&format!("{HERE}{of}")).await.expect(200).text();
        assert!(page.contains("state away") && page.contains("state switched"), "{page}");
        assert_eq!(cells.statements(&cells.two).await.len(), 2);
        // One asks, another one agrees.
        let plan = asked("purge").await.expect(200).text();
        let first = browser.confirm(&at("purge"), &plan, &[("confirm", "purge")]).await.expect(303);
        assert_eq!(first.header("location"), place, "nothing is removed yet");
        browser.confirm(&at("purge"), &plan, &[("confirm", "purge")]).await.expect(409);
        let second = signed_in(&cells.one, &credential(&cells.one, TenantId::DEFAULT, "all admin:*").await).await;
        let plan = second.get(&format!("{}{of}", at("purge"))).await.expect(200).text();
        assert!(plan.contains("was asked for by"), "{plan}");
        let purged = second.confirm(&at("purge"), &plan, &[("confirm", "purge")]).await.expect(303);
        let job = second.ended(purged.header("location")).await;
        assert!(job.contains("state succeeded"), "{job}");
        let page = browser.get(&place).await.expect(200).text();
        assert!(page.contains("state purged") && page.contains("Its report in the trail"), "{page}");
    }

    async fn who_administers_a_tenant_sees_where_it_is_and_moves_nothing(db: TestDatabase) {
        let cells = Cells::start(db).await;
        let noted = cells.noted();
        let own = signed_in(&cells.one, &credential(&cells.one, TenantId(cells.tenant), "admin:*").await).await;
        let page = own.get(HERE).await.expect(200).text();
        assert!(page.contains("state home") && page.contains("state planned"), "{page}");
        assert!(!page.contains("start…") && !page.contains("To the cell"), "{page}");
        let page = own.get(&format!("{HERE}/{noted}")).await.expect(200).text();
        assert!(page.contains("state planned") && !page.contains("start…"), "{page}");
        let plan = format!("{HERE}/plan?to=two");
        for path in [plan.as_str(), &format!("{HERE}/{noted}/start")] {
            own.get(path).await.expect(403);
        }
        for path in [HERE, &format!("{HERE}/{noted}/start")] {
            own.post(path, &[("to", "two"), ("digest", "x"), ("reason", "x")]).await.expect(403);
        }
        // Whoever looks at another tenant finds no move of it.
        let operator = Browser::operator(&cells.one).await;
        operator.get(&format!("{HERE}/{noted}")).await.expect(404);
        own.get(&format!("{HERE}?tenant={}", TenantId::DEFAULT)).await.expect(403);
    }
}
