//! A session begins with a key and its secret, and ends by signing out, by time, and with its secret.

use std::time::Duration;

use chrono::TimeDelta;
use progress_service::{
    model::{Clock, Ids},
    store::platform::tenants::TenantStatus,
};
use reqwest::Method;

use super::{Browser, cookie, credential, form, signed_in, try_to_sign_in};
use crate::{
    identity::setup,
    support::{
        app::{KEY, SECRET, TestApp, send},
        proxy::Proxy,
    },
};

async fn is_in(browser: &Browser<'_>) -> bool {
    let answer = browser.get("/admin").await;
    match answer.status.as_u16() {
        200 => true,
        303 if answer.header("location") == "/admin/sign-in?next=/admin" => false,
        _ => panic!("{} {}", answer.status, answer.text()),
    }
}

on_each_server! {
    async fn who_signs_in_sees_the_pages_and_who_does_not_is_asked_to(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let stranger = send(app.anonymous(Method::GET, "/admin/jobs")).await.expect(303);
        assert_eq!(stranger.header("location"), "/admin/sign-in?next=/admin/jobs");
        send(app.anonymous(Method::GET, "/admin/sign-in")).await.expect(200);
        let wrong = try_to_sign_in(&app, KEY, "guessed").await.expect(401);
        assert!(wrong.text().contains("the key or the secret is wrong") && wrong.header("set-cookie").is_empty());

        let answer = try_to_sign_in(&app, KEY, SECRET).await.expect(303);
        let set = answer.header("set-cookie");
        for part in ["progress_session=", "; Path=/admin", "; HttpOnly", "; SameSite=Lax"] {
            assert!(set.contains(part), "{set}");
        }
        assert!(!set.contains("Secure"), "a browser would not send it over plain HTTP");
        let browser = Browser::operator(&app).await;
        let page = browser.get("/admin").await.expect(200).text();
        assert!(page.contains("Nothing to do. The service is serving."), "{page}");
        assert!(page.contains("operator of <bdi>default</bdi>") && page.contains("The ledger by months"), "{page}");

        // Kept is a hash, and what was done stands in the trail.
        let token = browser.cookie.split_once('=').unwrap().1.to_owned();
        let client = app.db.superuser().await;
        let kept: bool = client.query_one("SELECT bool_or(s::text LIKE '%' || $1 || '%') FROM platform.sessions s", &[&token])
            .await.unwrap().get(0);
        assert!(!kept);
        let sql = "SELECT count(*) FROM platform.audit WHERE action = 'session.begin' AND actor = 'key:test-key'";
        assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 2);

        let out = browser.post("/admin/sign-out", &[]).await.expect(303);
        assert!(out.header("set-cookie").contains("Max-Age=0"));
        assert!(!is_in(&browser).await, "the token is worth nothing any more, wherever it was copied to");
    }

    async fn a_session_ends_when_nobody_uses_it_and_in_any_case_after_half_a_day(db: TestDatabase) {
        let clock = setup::clock();
        let app = TestApp::with(db, &[], clock.clone(), Ids::random()).await;
        let browser = Browser::operator(&app).await;
        // Half an hour, again and again: it is in use.
        for _ in 0..24 {
            assert!(is_in(&browser).await);
            clock.advance(TimeDelta::minutes(29));
        }
        assert!(is_in(&browser).await);
        clock.advance(TimeDelta::minutes(25));
        assert!(!is_in(&browser).await, "twelve hours are over");
        let idle = Browser::operator(&app).await;
        clock.advance(TimeDelta::minutes(31));
        assert!(!is_in(&idle).await);
        let left: i64 = app.db.superuser().await.query_one("SELECT count(*) FROM platform.sessions", &[]).await.unwrap().get(0);
        assert_eq!(left, 1, "what is over goes when the next one begins");
    }

    async fn a_session_ends_with_its_secret_its_credential_and_its_tenant(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let identity = &app.service().rooms.identity;
        let tenant = identity.create_tenant("test", "acme").await.unwrap().id;
        let (revoked, rotated) = (credential(&app, tenant, "admin:*").await, credential(&app, tenant, "admin:*").await);
        let (one, two) = (signed_in(&app, &revoked).await, signed_in(&app, &rotated).await);
        assert!(is_in(&one).await && is_in(&two).await);
        identity.revoke_credential("test", tenant, revoked.credential.id).await.unwrap();
        assert!(!is_in(&one).await);

        let again = identity.rotate_credential("test", tenant, rotated.credential.id, Duration::from_secs(600)).await.unwrap();
        assert!(is_in(&two).await, "the old secret still works");
        identity.rotate_credential("test", tenant, rotated.credential.id, Duration::ZERO).await.unwrap();
        assert!(!is_in(&two).await, "it works no longer, and nor does what it opened");
        assert!(try_to_sign_in(&app, &again.credential.api_key, rotated.secret.expose()).await.status == 401);

        let third = credential(&app, tenant, "admin:*").await;
        let third = signed_in(&app, &third).await;
        identity.set_tenant_status("test", tenant, TenantStatus::Suspended).await.unwrap();
        let refused = third.get("/admin").await.expect(403);
        assert!(refused.text().contains("the tenant is suspended"), "{}", refused.text());
    }

    async fn what_a_browser_held_before_is_never_what_it_holds_after(db: TestDatabase) {
        let app = TestApp::start(db).await;
        // Planted by somebody else: it is no session, and does not become one.
        let planted = format!("progress_session={}", "ab".repeat(32));
        let ask = form(&app, "/admin/sign-in", &[("key", KEY), ("secret", SECRET)]).header("Cookie", &planted);
        let first = cookie(&send(ask).await.expect(303));
        assert_ne!(first, planted);
        send(app.anonymous(Method::GET, "/admin").header("Cookie", &planted)).await.expect(303);
        // Whoever signs in again ends the session before.
        let ask = form(&app, "/admin/sign-in", &[("key", KEY), ("secret", SECRET)]).header("Cookie", &first);
        let second = cookie(&send(ask).await.expect(303));
        assert_ne!(first, second);
        send(app.anonymous(Method::GET, "/admin").header("Cookie", &first)).await.expect(303);
        send(app.anonymous(Method::GET, "/admin").header("Cookie", &second)).await.expect(200);
    }

    async fn tries_are_counted(db: TestDatabase) {
        let app = TestApp::start(db).await;
        for _ in 0..10 {
            try_to_sign_in(&app, "some-key", "guess").await.expect(401);
        }
        let refused = try_to_sign_in(&app, "some-key", "guess").await.expect(503);
        assert!(!refused.header("retry-after").is_empty());
        try_to_sign_in(&app, KEY, SECRET).await.expect(303);
    }

    async fn while_the_database_is_away_the_pages_say_so_and_show_what_is_known(db: TestDatabase) {
        let direct = db.service_url();
        let proxy = Proxy::before(&direct).await;
        let url = proxy.url(&direct);
        let variables = [("PROGRESS_DATABASE_URL", url.as_str()), ("PROGRESS_DATABASE_ACQUIRE_TIMEOUT", "1s")];
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        let browser = Browser::operator(&app).await;
        browser.get("/admin").await.expect(200);
        app.stop_loops().await;
        drop(proxy);
        let page = browser.get("/admin").await.expect(200).text();
        assert!(page.contains("The database does not answer."), "{page}");
        assert!(page.contains("The check &#34;database&#34; fails") || page.contains("The check &quot;database&quot; fails"), "{page}");
        assert!(page.contains("Requests answered") && page.contains("Not known while the database does not answer."), "{page}");
        let jobs = browser.get("/admin/jobs").await.expect(503);
        assert!(jobs.header("content-type").starts_with("text/html") && !jobs.header("retry-after").is_empty());
        send(app.anonymous(Method::GET, "/admin").header("Cookie", format!("progress_session={}", "ab".repeat(32))))
            .await.expect(503);
    }
}
