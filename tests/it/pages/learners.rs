//! Attempts, progress and transcripts by their pages: what a credential reads, with the trail, and nobody else's.

use progress_service::model::TenantId;
use serde_json::json;

use super::{Browser, credential, signed_in};
use crate::{
    api::statement,
    lifecycle::settled,
    support::{app::TestApp, patience},
};

const HERE: &str = "/admin/learners";
const ADA: &str = "00000000-0000-4000-8000-0000000000ad";

on_each_server! {
    async fn a_learner_is_found_and_the_transcript_read_and_printed(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let mut all = vec![
            statement(1, ADA, "initialized", "enrollment 1", "attempt 1"),
            statement(2, ADA, "passed", "enrollment 1", "attempt 1"),
        ];
        all.extend((10..65).map(|n| statement(n, ADA, "initialized", &format!("e{n}"), &format!("try{n}"))));
        app.post_statements(&json!(all)).await.expect(200);
        settled(&app).await;
        let browser = Browser::operator(&app).await;
        let list = browser.get(HERE).await.expect(200).text();
        assert_eq!(list.matches("<th scope=\"row\"").count(), 50, "{list}");
        let next = list.rsplit("<p><a href=\"").next().unwrap().split('"').next().unwrap().replace("&#38;", "&");
        let rest = browser.get(&next).await.expect(200).text();
        assert_eq!(rest.matches("<th scope=\"row\"").count(), 6, "{next}: {rest}");
        let passed = browser.get(&format!("{HERE}?outcome=passed&user={ADA}")).await.expect(200).text();
        assert_eq!(passed.matches("<th scope=\"row\"").count(), 1, "{passed}");
        assert!(browser.get(&format!("{HERE}?user=nobody")).await.expect(200).text().contains("There are none."));
        browser.get(&format!("{HERE}?user=%00")).await.expect(400);

        let page = format!("{HERE}/enrollments/enrollment%201");
        let shown = browser.get(&page).await.expect(200).text();
        assert!(shown.contains("<span class=\"state\">completed</span>") && shown.contains(ADA), "{shown}");
        let transcript = browser.get(&format!("{page}/transcript")).await.expect(200).text();
        assert!(transcript.contains("Ada Lovelace") && transcript.contains("Engines"), "{transcript}");
        let pdf = browser.get(&format!("{page}/transcript.pdf")).await.expect(200);
        assert!(pdf.header("content-type") == "application/pdf" && pdf.body.starts_with(b"%PDF"));
        for path in ["enrollments/nothing", "enrollments/nothing/transcript", "enrollments/nothing/transcript.pdf"] {
            browser.get(&format!("{HERE}/{path}")).await.expect(404);
        }
        let sql = "SELECT count(*) FROM platform.audit WHERE action = 'read.transcript'";
        patience::until("two entries of the reads", async || {
            let noted: i64 = app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0);
            if noted == 2 { Ok(()) } else { Err(noted.to_string()) }
        }).await;
    }

    async fn scopes_decide_and_tenants_are_apart(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let evil = "<script>alert(1)</script>";
        app.post_statements(&json!([statement(1, ADA, "passed", evil, evil)])).await.expect(200);
        settled(&app).await;
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let page = format!("{HERE}/enrollments/{}", url::form_urlencoded::byte_serialize(evil.as_bytes()).collect::<String>());
        for (of, scopes, list, one, transcript) in [
            (TenantId::DEFAULT, "admin:*", 200, 200, 200),
            (TenantId::DEFAULT, "statement:read", 200, 200, 403),
            (TenantId::DEFAULT, "transcript:read", 200, 200, 200),
            (TenantId::DEFAULT, "statements/read", 403, 403, 403),
            (TenantId::DEFAULT, "audit:read", 403, 403, 403),
            (acme, "admin:*", 200, 404, 404),
        ] {
            let browser = signed_in(&app, &credential(&app, of, scopes).await).await;
            let text = browser.get(HERE).await.expect(list).text();
            assert_eq!(text.contains("alert(1)"), list == 200 && of == TenantId::DEFAULT, "{scopes}");
            assert!(!text.contains("<script>"), "{text}");
            assert!(!browser.get(&page).await.expect(one).text().contains("<script>"));
            let text = browser.get(&format!("{page}/transcript")).await.expect(transcript).text();
            assert!(!text.contains("<script>"), "{text}");
        }
    }
}
