//! What a tenant takes along, at the page: chosen, shown as a plan, and made as it was shown.

use serde_json::json;

use super::{Browser, credential, hidden, signed_in};
use crate::{
    lifecycle::{MARCH, fill},
    support::app::TestApp,
};
use progress_service::{bundle::Source, model::TenantId};

const EXPORTS: &str = "/admin/exports";
const PLAN: &str = "/admin/exports/plan";

fn source(zip: &[u8]) -> Source {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), zip).unwrap();
    Source::open(file.path()).unwrap()
}

on_each_server! {
    async fn an_export_is_chosen_shown_and_made(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app, MARCH, 1, 40).await;
        let browser = Browser::operator(&app).await;
        let page = browser.get(EXPORTS).await.expect(200).text();
        assert!(page.contains("value=\"credentials\" checked") && page.contains("aria-current=\"page\">Exports"), "{page}");
        let plan = browser.get(&format!("{PLAN}?kind=statements&kind=documents&since=2026-03-01T00:00:00Z")).await.expect(200).text();
        assert!(plan.contains("statements, documents") && plan.contains("2026-03-01 00:00:00 UTC"), "{plan}");
        let made = browser.confirm(EXPORTS, &plan, &[]).await.expect(200);
        assert_eq!(made.header("content-type"), "application/zip");
        let manifest = source(&made.body).manifest;
        assert_eq!((manifest.statements(), manifest.selection.kinds), (40, vec!["documents".to_owned(), "statements".to_owned()]));

        browser.post(EXPORTS, &[("kind", "statements")]).await.expect(409);
        let trail = browser.get("/admin/audit?action=data.export").await.expect(200).text();
        assert_eq!(trail.matches("<td>data.export</td>").count(), 1, "{trail}");
        for (status, query) in [
            (400, ""), (400, "kind=passwords"), (400, "kind=statements&since=yesterday"), (400, "kind=statements&until=%00"),
            (400, "kind=statements&since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z"),
            (404, "kind=statements&tenant=00000000-0000-4000-8000-00000000dead"), (404, "kind=statements&tenant=acme"),
        ] {
            browser.get(&format!("{PLAN}?{query}")).await.expect(status);
        }
        let places = [app.service().rooms.api.exports.place().unwrap(), app.service().rooms.api.exports.place().unwrap()];
        let refused = browser.confirm(EXPORTS, &plan, &[]).await.expect(503);
        assert!(refused.header("retry-after") == "60" && refused.text().contains("come again when one of them has ended"));
        drop(places);
        browser.confirm(EXPORTS, &plan, &[]).await.expect(200);
    }

    async fn each_tenant_takes_its_own_and_who_only_looks_takes_nothing(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([crate::xapi::statement("ann", "course")])).await.expect(200);
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let (operator, default) = (Browser::operator(&app).await, TenantId::DEFAULT.0.to_string());
        let theirs = signed_in(&app, &credential(&app, acme, "admin:*").await).await;
        for path in [EXPORTS.to_owned(), format!("{PLAN}?kind=statements")] {
            let of = |tenant: &str| format!("{path}{}tenant={tenant}", if path.contains('?') { '&' } else { '?' });
            theirs.get(&path).await.expect(200);
            theirs.get(&of(&default)).await.expect(403);
            operator.get(&of(&acme.to_string())).await.expect(200);
        }
        let plan = theirs.get(&format!("{PLAN}?kind=statements")).await.expect(200).text();
        let made = theirs.confirm(EXPORTS, &plan, &[]).await.expect(200);
        let manifest = source(&made.body).manifest;
        assert_eq!((manifest.tenant.name.as_str(), manifest.statements()), ("acme", 0));
        // The plan of one tenant, sent back for another.
        let others: Vec<(String, String)> = hidden(&plan).into_iter().filter(|(name, _)| name != "tenant").collect();
        let mut others: Vec<(&str, &str)> = others.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        others.push(("tenant", &default));
        theirs.post(EXPORTS, &others).await.expect(403);
        operator.post(EXPORTS, &others).await.expect(409);
        for (of, scopes) in [(acme, "audit:read"), (TenantId::DEFAULT, "statements/read"), (TenantId::DEFAULT, "audit:read statement:read transcript:read")] {
            let reader = signed_in(&app, &credential(&app, of, scopes).await).await;
            reader.get(EXPORTS).await.expect(403);
            reader.get(&format!("{PLAN}?kind=statements")).await.expect(403);
            reader.post(EXPORTS, &[("kind", "statements")]).await.expect(403);
        }
    }
}
