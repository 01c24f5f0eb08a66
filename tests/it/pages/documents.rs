//! Documents on their pages: found by whose, activity and kind; what they hold is text; and shown to who reads everybody's.

use progress_service::model::TenantId;
use reqwest::Method;
use serde_json::json;

use super::{Browser, credential, signed_in};
use crate::support::{
    app::{TestApp, send},
    patience,
};

const HERE: &str = "/admin/documents";
const EVIL: &str = "\"><script>alert(1)</script>";

/// Puts a document of somebody, or of the activity itself.
async fn put(app: &TestApp, activity: &str, who: Option<&str>, id: &str, content: &str) {
    let agent = |who: &str| json!({ "mbox": format!("mailto:{who}@example.org") }).to_string();
    let mut given = vec![("activityId", format!("http://example.org/{activity}"))];
    given.push((if who.is_some() { "stateId" } else { "profileId" }, id.to_owned()));
    given.extend(who.map(|who| ("agent", agent(who))));
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&given).finish();
    let resource = if who.is_some() { "state" } else { "profile" };
    let request = app.xapi(Method::PUT, &format!("/activities/{resource}?{query}"));
    send(request.header("If-None-Match", "*").header("Content-Type", "application/json").body(content.to_owned()))
        .await
        .expect(204);
}

fn rows(page: &str) -> usize {
    page.matches("<th scope=\"row\"").count()
}

/// Where the first link of the list goes.
fn first(page: &str) -> String {
    page.split_once("<tbody>").expect("rows").1.split_once("href=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

/// The address behind "More".
fn more(page: &str) -> Option<String> {
    let (before, _) = page.rsplit_once("\" aria-label=\"More: Documents\"")?;
    Some(before.rsplit("href=\"").next()?.replace("&#38;", "&"))
}

on_each_server! {
    async fn documents_are_found_and_read_with_a_trail(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for n in 0..60 {
            put(&app, "course", Some(if n == 7 { "ada" } else { "ben" }), &format!("s{n}"), "{\"place\":3}").await;
        }
        put(&app, "other", None, "words", "{\"a\":1}").await;
        let browser = Browser::operator(&app).await;
        let page = browser.get(HERE).await.expect(200).text();
        assert_eq!(rows(&page), 50, "{page}");
        let rest = browser.get(&more(&page).expect("more")).await.expect(200).text();
        assert_eq!((rows(&rest), more(&rest)), (11, None), "{rest}");
        for (query, count) in [
            ("agent=ada%40example.org", 1),
            ("activity=http://example.org/other", 1),
            ("kind=activity_profile", 1),
            ("kind=agent_profile", 0),
            ("agent=ada%40example.org&activity=http://example.org/other", 0),
            ("kind=state&activity=http://example.org/course", 50),
        ] {
            let found = browser.get(&format!("{HERE}?{query}")).await.expect(200).text();
            assert_eq!(rows(&found), count, "{query}: {found}");
        }
        let wrong = browser.get(&format!("{HERE}?agent=nobody")).await.expect(200).text();
        assert!(wrong.contains("role=\"alert\"") && wrong.contains("agent"), "{wrong}");

        let list = browser.get(&format!("{HERE}?agent=ada%40example.org")).await.expect(200).text();
        let shown = browser.get(&first(&list)).await.expect(200).text();
        for part in ["mailto:ada@example.org", "&#34;place&#34;: 3", "curl --get --user KEY", "stateId=s7"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        browser.get(&format!("{HERE}/00000000-0000-4000-8000-000000000000")).await.expect(404);
        browser.get(&format!("{HERE}/nonsense")).await.expect(404);
        let sql = "SELECT count(*) FILTER (WHERE action = 'query.documents'), count(*) FILTER (WHERE action = 'read.document')
                   FROM platform.audit";
        patience::until("the entries of what was read", async || {
            let row = app.db.superuser().await.query_one(sql, &[]).await.unwrap();
            let noted: (i64, i64) = (row.get(0), row.get(1));
            if noted == (3, 1) { Ok(()) } else { Err(format!("{noted:?}")) }
        })
        .await;
    }

    async fn what_a_document_holds_is_text_and_only_its_readers_see_it(db: TestDatabase) {
        let app = TestApp::start(db).await;
        put(&app, "course", Some("ada"), EVIL, &json!({ "words": EVIL }).to_string()).await;
        put(&app, "course", Some("ada"), "large", &json!({ "words": "x".repeat(40_000) }).to_string()).await;
        let acme = app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        let list = Browser::operator(&app).await.get(HERE).await.expect(200).text();
        let places: Vec<&str> = list.split(&format!("href=\"{HERE}/")).skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(places.len(), 2, "{list}");
        let mut large = 0;
        for place in places {
            for (of, scopes, all, one) in [
                (TenantId::DEFAULT, "all/read,admin:*", 200, 200),
                (TenantId::DEFAULT, "admin:*", 403, 403),
                (TenantId::DEFAULT, "statements/read,state", 403, 403),
                (acme, "all/read,admin:*", 200, 404),
            ] {
                let browser = signed_in(&app, &credential(&app, of, scopes).await).await;
                let text = browser.get(HERE).await.expect(all).text();
                assert_eq!(rows(&text), if all == 200 && of == TenantId::DEFAULT { 2 } else { 0 }, "{scopes}");
                let shown = browser.get(&format!("{HERE}/{place}")).await.expect(one).text();
                assert!(!text.contains("<script>") && !shown.contains("<script>"), "{shown}");
                large += usize::from(shown.contains("too large to be shown"));
            }
        }
        assert_eq!(large, 1, "one of the two is more than a page shows");
    }
}
