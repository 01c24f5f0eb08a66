//! Backups by their page where nothing can be made: whoever looks is told. Making and verifying them is in `backups/by_page`.

use progress_service::model::{Clock, Ids, TenantId};

use super::{Browser, credential, signed_in};
use crate::support::app::TestApp;

const HERE: &str = "/admin/backups";

on_each_server! {
    async fn a_place_that_is_not_there_is_told_and_who_may_not_sees_nothing(db: TestDatabase) {
        let app = TestApp::with(db, &[("PROGRESS_BACKUP_URL", "file:///proc/nowhere/backups")], Clock::system(), Ids::random()).await;
        let browser = Browser::operator(&app).await;
        let page = browser.get(HERE).await.expect(200).text();
        assert!(page.contains("What there is cannot be seen"), "{page}");
        let refused = browser.get(&format!("{HERE}/make")).await.expect(503);
        assert!(!refused.header("retry-after").is_empty());
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        for (of, scopes) in [(acme, "admin:*"), (TenantId::DEFAULT, "audit:read")] {
            let other = signed_in(&app, &credential(&app, of, scopes).await).await;
            other.get(HERE).await.expect(403);
            other.get(&format!("{HERE}/x/verify")).await.expect(403);
            other.post(&format!("{HERE}/make"), &[]).await.expect(403);
        }
    }
}
