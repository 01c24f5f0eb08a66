//! Signing in through the issuer: who is let in and as what, and everything that lets nobody in. The provider of these tests
//! says whatever a test wants it to; a real one is in `tests/pages`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use progress_service::{
    model::{Clock, Ids, TenantId},
    store::platform::tenants::TenantStatus,
};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Browser, cookie, field, form, try_to_sign_in};
use crate::{
    identity::{
        issuer::{Signer, TestIssuer, http, with_status},
        setup,
    },
    support::{
        app::{Answer, KEY, SECRET, TestApp, send},
        pg::TestDatabase,
    },
};

const CLIENT: &str = "pages of the lrs";
const PLACE: &str = "/admin/sign-in/oidc";
const CALLBACK: &str = "/admin/sign-in/oidc/callback";
/// Where browsers find the service; nobody listens there.
const PUBLIC: &str = "https://lrs.example";

/// A service that lets people in through an issuer.
struct House {
    app: TestApp,
    issuer: TestIssuer,
    signer: Signer,
}

/// Somebody on the way to the provider.
struct Traveller {
    held: String,
    asked: Url,
}

impl Traveller {
    fn asked(&self, name: &str) -> String {
        self.asked.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }
}

impl House {
    async fn open(db: TestDatabase, clock: Clock, more: &[(&str, &str)]) -> Self {
        let signer = Signer::elliptic("a", Algorithm::ES256);
        let issuer = TestIssuer::start(&[&signer]).await;
        let own = [
            ("PROGRESS_AUTH_ISSUER", issuer.url.as_str()),
            ("PROGRESS_AUTH_AUDIENCE", "progress"),
            ("PROGRESS_PUBLIC_URL", PUBLIC),
            ("PROGRESS_PAGES_OIDC_CLIENT_ID", CLIENT),
        ];
        let app = TestApp::with(db, &[&own, more].concat(), clock, Ids::random()).await;
        Self { app, issuer, signer }
    }

    async fn depart(&self, next: &str) -> Traveller {
        let ask = self.app.anonymous(Method::GET, &format!("{PLACE}?next={next}")).header("Host", "evil.example");
        let answer = send(ask).await.expect(303);
        Traveller { held: cookie(&answer), asked: answer.header("location").parse().unwrap() }
    }

    /// The claims of an ID token for this sign-in.
    fn claims(&self, traveller: &Traveller, tenant: TenantId, scopes: &str) -> Value {
        let now = self.app.clock.now().timestamp();
        json!({ "iss": self.issuer.url, "aud": CLIENT, "sub": "ada@staff.example", "iat": now, "exp": now + 300,
                "nonce": traveller.asked("nonce"), "tid": tenant, "scope": scopes })
    }

    fn gives(&self, claims: &Value) {
        let token = self.signer.sign(claims);
        self.issuer.redeem_for(Some(http(&json!({ "access_token": "x", "token_type": "Bearer", "id_token": token }))));
    }

    /// Comes back with these fields, and what the browser holds.
    async fn back(&self, held: &str, fields: &[(&str, &str)]) -> Answer {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(fields);
        let ask = self.app.anonymous(Method::GET, &format!("{CALLBACK}?{}", text.finish()));
        // As a browser that another site sends here.
        let ask = ask.header("Sec-Fetch-Site", "cross-site").header("Sec-Fetch-Mode", "navigate");
        send(ask.header("Cookie", held)).await
    }

    async fn arrive(&self, traveller: &Traveller) -> Answer {
        self.back(&traveller.held, &[("code", "a code"), ("state", &traveller.asked("state"))]).await
    }

    async fn sign_in(&self, tenant: TenantId, scopes: &str) -> Browser<'_> {
        let traveller = self.depart("/admin").await;
        self.gives(&self.claims(&traveller, tenant, scopes));
        let answer = self.arrive(&traveller).await.expect(303);
        Browser { url: &self.app.url, cookie: cookie(&answer), csrf: Default::default() }
    }

    async fn count(&self, what: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM platform.{what}");
        self.app.db.superuser().await.query_one(&sql, &[]).await.unwrap().get(0)
    }

    async fn sessions(&self) -> i64 {
        self.count("person_sessions").await
    }
}

on_each_server! {
    async fn the_issuer_lets_in_whoever_its_claims_name_a_role_for(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[("PROGRESS_PAGES_OIDC_CLIENT_SECRET", "a&b c")]).await;
        let page = send(house.app.anonymous(Method::GET, "/admin/sign-in?next=/admin/jobs")).await.expect(200).text();
        let name = house.issuer.url.trim_start_matches("http://");
        assert!(page.contains(&format!("href=\"{PLACE}?next=/admin/jobs\"")) && page.contains(&format!("Sign in with {name}")), "{page}");

        let traveller = house.depart("/admin/jobs").await;
        assert_eq!(traveller.asked.as_str().split('&').next(), Some(format!("{}/enter?realm=staff", house.issuer.url).as_str()));
        for (field, value) in [("response_type", "code"), ("client_id", CLIENT), ("scope", "openid"), ("code_challenge_method", "S256")] {
            assert_eq!(traveller.asked(field), value);
        }
        assert_eq!(traveller.asked("redirect_uri"), format!("{PUBLIC}{CALLBACK}"), "the Host header names nothing");
        house.gives(&house.claims(&traveller, TenantId::DEFAULT, "openid admin:*"));
        let answer = house.arrive(&traveller).await.expect(303);
        assert_eq!(answer.header("location"), "/admin/jobs");
        let set: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(set[0].starts_with("progress_session=person-") && set[0].ends_with("; Path=/admin; HttpOnly; SameSite=Lax; Secure"), "{set:?}");
        assert_eq!(set[1], format!("progress_sign_in=; Path={PLACE}; HttpOnly; SameSite=Lax; Secure; Max-Age=0"));

        // What was told proves both who the client is and that it began this.
        let told = house.issuer.redemptions().remove(0);
        let (head, form) = told.split_once("\r\n\r\n").unwrap();
        let login = base64::engine::general_purpose::STANDARD.encode("pages+of+the+lrs:a%26b+c");
        assert!(head.contains(&format!("authorization: Basic {login}")), "{head}");
        let field = |name: &str| url::form_urlencoded::parse(form.as_bytes()).find(|(key, _)| key == name).unwrap().1.into_owned();
        assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))), traveller.asked("code_challenge"));
        assert_eq!((field("code").as_str(), field("redirect_uri")), ("a code", format!("{PUBLIC}{CALLBACK}")));
        assert!(!form.contains("client_secret"));
    }

    async fn what_somebody_is_follows_from_the_claims(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        let tenant = house.app.service().rooms.identity.create_tenant("test", "acme").await.unwrap().id;
        for (whose, scopes, role) in [
            (TenantId::DEFAULT, "admin:*", "operator of <bdi>default</bdi>"),
            (tenant, "openid admin:*", "administrator of <bdi>acme</bdi>"),
            (tenant, "audit:read", "auditor of <bdi>acme</bdi>"),
            (tenant, "statements/read", "read only of <bdi>acme</bdi>"),
        ] {
            let browser = house.sign_in(whose, scopes).await;
            let page = browser.get("/admin").await.expect(200).text();
            assert!(page.contains(role), "{role}: {page}");
            browser.get("/admin/jobs").await.expect(if whose == TenantId::DEFAULT { 200 } else { 403 });
        }
        let told = house.issuer.redemptions().remove(0);
        assert!(told.contains("client_id=pages+of+the+lrs") && !told.to_ascii_lowercase().contains("authorization:"), "{told}");

        // In the trail stands the name that a bearer token of the same person has; what the browser holds is kept nowhere.
        let browser = house.sign_in(TenantId::DEFAULT, "admin:*").await;
        let name = format!("token:{}", hex::encode(&Sha256::digest(format!("{}\0ada@staff.example", house.issuer.url))[..12]));
        assert_eq!(house.count(&format!("audit WHERE action = 'session.begin' AND actor = '{name}' AND subject = actor")).await, 5);
        assert_eq!(house.count("audit a WHERE a::text LIKE '%staff.example%'").await, 0);
        let token = browser.cookie.split_once('=').unwrap().1;
        assert_eq!(house.count(&format!("person_sessions s WHERE s::text LIKE '%{token}%'")).await, 0);

        browser.post("/admin/sign-out", &[]).await.expect(303);
        browser.get("/admin").await.expect(303);
        assert_eq!(house.count(&format!("audit WHERE action = 'session.end' AND actor = '{name}'")).await, 1);
    }

    async fn who_signs_out_is_led_on_to_sign_out_there(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        house.issuer.lets_leave();
        let traveller = house.depart("/admin").await;
        house.gives(&house.claims(&traveller, TenantId::DEFAULT, "admin:*"));
        let answer = house.arrive(&traveller).await.expect(303);
        let set: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        let kept = set.iter().find(|text| text.starts_with("progress_id_token=")).unwrap();
        assert!(kept.ends_with("; Path=/admin/sign-out; HttpOnly; SameSite=Lax; Secure"), "{kept}");
        let id_token = kept.split_once('=').unwrap().1.split(';').next().unwrap();
        let person = Browser { url: &house.app.url, cookie: cookie(&answer), csrf: Default::default() };
        let csrf = person.csrf().await;
        let held = format!("{}; progress_id_token={id_token}", person.cookie);
        let left = send(form(&house.app, "/admin/sign-out", &[("csrf", &csrf)]).header("Cookie", held)).await.expect(200);
        let gone: Vec<&str> = left.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(gone.len() == 2 && gone.iter().all(|text| text.contains("=; ") && text.ends_with("Max-Age=0")), "{gone:?}");
        let page = left.text();
        let onward = page.split_once("content=\"0; url=").unwrap().1.split('"').next().unwrap().replace("&#38;", "&");
        let onward: Url = onward.parse().unwrap();
        assert!(onward.as_str().starts_with(&format!("{}/leave?realm=staff&", house.issuer.url)), "{onward}");
        let asked = |name: &str| onward.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        assert_eq!(asked("id_token_hint").as_deref(), Some(id_token));
        assert_eq!(asked("post_logout_redirect_uri"), Some(format!("{PUBLIC}/admin/sign-in")));
        assert_eq!(asked("client_id").as_deref(), Some(CLIENT));
        person.get("/admin").await.expect(303);
        assert_eq!(house.count("audit WHERE action = 'session.end'").await, 1);

        // Who came with a key has nothing to do with the provider, and one that is away keeps nobody signed in.
        let key = Browser::operator(&house.app).await;
        assert_eq!(key.post("/admin/sign-out", &[]).await.expect(303).header("location"), "/admin/sign-in");
        let person = house.sign_in(TenantId::DEFAULT, "admin:*").await;
        person.csrf().await;
        house.issuer.is_away(true);
        house.app.clock.advance(TimeDelta::minutes(20));
        person.post("/admin/sign-out", &[]).await;
        person.get("/admin").await.expect(303);
    }

    async fn an_id_token_that_is_not_for_this_sign_in_lets_nobody_in(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        let now = house.app.clock.now().timestamp();
        let stranger = json!("00000000-0000-4000-8000-0000000000ff");
        for (claim, value, status, why) in [
            ("nonce", json!("of another"), 401, "its nonce is another"),
            ("nonce", Value::Null, 401, "its nonce is another"),
            ("aud", json!("progress"), 401, "it is meant for another audience"),
            ("aud", json!([CLIENT, "other"]), 401, "it was issued to another application"),
            ("azp", json!("other"), 401, "it was issued to another application"),
            ("iss", json!("https://issuer.example"), 401, "it is not from the configured issuer"),
            ("exp", json!(now - 60), 401, "it has expired"),
            ("iat", Value::Null, 401, "it does not say when it was issued"),
            ("tid", Value::Null, 401, "its claim tid names no tenant"),
            ("tid", stranger, 403, "is not known here"),
            ("sub", Value::Null, 401, "its claim sub names nobody"),
            ("scope", json!("openid state"), 403, "the claims scope and scp of your ID token name nothing that opens these pages"),
            ("scope", Value::Null, 403, "the claims scope and scp of your ID token name nothing that opens these pages"),
        ] {
            let traveller = house.depart("/admin").await;
            let mut claims = house.claims(&traveller, TenantId::DEFAULT, "admin:*");
            claims[claim] = value;
            house.gives(&claims);
            let page = house.arrive(&traveller).await;
            assert!(page.status == status && page.text().contains(why), "{claim}: {} {}", page.status, page.text());
            assert_eq!(cookie(&page), "progress_sign_in=", "{claim}");
        }
        let traveller = house.depart("/admin").await;
        let thief = Signer::elliptic("a", Algorithm::ES256);
        let token = thief.sign(&house.claims(&traveller, TenantId::DEFAULT, "admin:*"));
        house.issuer.redeem_for(Some(http(&json!({ "id_token": token }))));
        let page = house.arrive(&traveller).await.expect(401).text();
        assert!(page.contains("its signature does not verify"), "{page}");
        assert_eq!(house.sessions().await, 0);
    }

    async fn only_the_browser_that_began_a_sign_in_ends_it_and_once(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        let (one, other) = (house.depart("/admin").await, house.depart("/admin").await);
        house.gives(&house.claims(&one, TenantId::DEFAULT, "admin:*"));
        let (state, another) = (one.asked("state"), other.asked("state"));
        let elsewhere = one.held.replace("./admin", "./admin/jobs");
        for (held, fields) in [
            ("", &[("code", "c"), ("state", state.as_str())][..]),
            (other.held.as_str(), &[("code", "c"), ("state", &state)]),
            (&one.held, &[("code", "c"), ("state", &another)]),
            (&one.held, &[("code", "c")]),
            (&elsewhere, &[("code", "c"), ("state", &state)]),
            (&one.held, &[("code", "c"), ("state", &state), ("iss", "https://issuer.example")]),
        ] {
            let page = house.back(held, fields).await.expect(400).text();
            assert!(page.contains("this sign-in was not begun in this browser"), "{page}");
        }
        assert!(house.issuer.redemptions().is_empty(), "the provider hears of none of them");
        house.arrive(&one).await.expect(303);
        house.arrive(&one).await.expect(400);
        assert_eq!((house.sessions().await, house.issuer.redemptions().len()), (1, 1), "a copy of all of it is worth nothing");

        house.gives(&house.claims(&other, TenantId::DEFAULT, "admin:*"));
        house.app.clock.advance(TimeDelta::minutes(10));
        house.arrive(&other).await.expect(400);
        assert_eq!(house.sessions().await, 1, "ten minutes are over");
    }

    async fn nobody_is_led_elsewhere_nor_shown_what_others_wrote(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        for next in ["https://evil.example", "//evil.example", "/admin/../api", "%0d%0aX:y"] {
            let traveller = house.depart(next).await;
            house.gives(&house.claims(&traveller, TenantId::DEFAULT, "admin:*"));
            assert_eq!(house.arrive(&traveller).await.expect(303).header("location"), "/admin", "{next}");
        }
        let evil = "<script>alert(1)</script>";
        for (error, status, why) in [
            ("access_denied", 403, "the provider did not let you in, or you did not agree to it"),
            ("temporarily_unavailable", 503, "the provider does not answer right now"),
            ("invalid_scope", 502, "the provider and this service do not fit together"),
            (evil, 502, "the provider and this service do not fit together"),
        ] {
            let traveller = house.depart("/admin").await;
            let fields = [("error", error), ("error_description", evil), ("state", &traveller.asked("state"))];
            let page = house.back(&traveller.held, &fields).await.expect(status).text();
            assert!(page.contains(why) && !page.contains("alert(1)"), "{page}");
            house.back(&traveller.held, &[("code", "c"), ("state", &traveller.asked("state"))]).await.expect(400);
        }
    }

    async fn what_the_provider_says_instead_of_an_id_token(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        let redirect = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec();
        let large = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), vec![b' '; 300 << 10], b"{}".to_vec()].concat();
        for (answer, status) in [
            (with_status("400 Bad Request", &json!({ "error": "invalid_grant" })), 400),
            (with_status("401 Unauthorized", &json!({ "error": "invalid_client" })), 502),
            (with_status("500 Oops", &json!({ "error": "server_error" })), 503),
            (with_status("429 Later", &json!({})), 503),
            (http(&json!({ "access_token": "no ID token" })), 502),
            (http(&json!("nonsense")), 502),
            (http(&json!({ "id_token": "a.b.c" })), 401),
            (redirect, 502),
            (large, 503),
        ] {
            let traveller = house.depart("/admin").await;
            let told = String::from_utf8_lossy(&answer).chars().take(120).collect::<String>();
            house.issuer.redeem_for(Some(answer));
            let page = house.arrive(&traveller).await;
            assert_eq!(page.status, status, "{told}: {}", page.text());
            assert_eq!(page.header("retry-after").is_empty(), status != 503, "{told}");
        }
        assert_eq!(house.sessions().await, 0);
    }

    async fn while_the_provider_is_away_keys_sign_in(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        house.issuer.is_away(true);
        let page = send(house.app.anonymous(Method::GET, &format!("{PLACE}?next=/admin/jobs"))).await.expect(503);
        assert!(page.text().contains("the provider does not answer right now") && !page.header("retry-after").is_empty());
        assert_eq!(field(&page.text(), "next"), "/admin/jobs");
        try_to_sign_in(&house.app, KEY, SECRET).await.expect(303);
        house.issuer.is_away(false);
        send(house.app.anonymous(Method::GET, PLACE)).await.expect(503);
        house.app.clock.advance(TimeDelta::seconds(10));
        let traveller = house.depart("/admin").await;

        // It says where people sign in, and then nothing: whoever comes back waits, but no crowd does.
        house.issuer.redeem_for(None);
        let mut crowd = vec![traveller];
        for _ in 0..16 {
            crowd.push(house.depart("/admin").await);
        }
        let answers = futures_util::future::join_all(crowd.iter().map(|traveller| house.arrive(traveller))).await;
        let texts: Vec<String> = answers.into_iter().map(|answer| answer.expect(503).text()).collect();
        let of = |why: &str| texts.iter().filter(|text| text.contains(why)).count();
        assert_eq!((of("does not answer right now"), of("too many secrets are being checked")), (16, 1));
        assert_eq!(house.issuer.redemptions().len(), 16);
    }

    async fn a_persons_session_ends_as_others_do(db: TestDatabase) {
        let house = House::open(db, setup::clock(), &[]).await;
        let identity = &house.app.service().rooms.identity;
        let tenant = identity.create_tenant("test", "acme").await.unwrap().id;
        let is_in = async |browser: &Browser<'_>| browser.get("/admin").await.status == 200;
        let (idle, used) = (house.sign_in(tenant, "admin:*").await, house.sign_in(tenant, "admin:*").await);
        for _ in 0..24 {
            assert!(is_in(&used).await);
            house.app.clock.advance(TimeDelta::minutes(29));
        }
        assert!(is_in(&used).await && !is_in(&idle).await);
        house.app.clock.advance(TimeDelta::minutes(25));
        assert!(!is_in(&used).await, "twelve hours are over");

        // What the browser held before ends, whoever opened it, and never is what it holds after.
        let key = Browser::operator(&house.app).await;
        let traveller = house.depart("/admin").await;
        house.gives(&house.claims(&traveller, tenant, "admin:*"));
        let answer = house.back(&format!("{}; {}", key.cookie, traveller.held), &[("code", "c"), ("state", &traveller.asked("state"))]).await;
        let person = Browser { url: &house.app.url, cookie: cookie(&answer.expect(303)), csrf: Default::default() };
        assert!(is_in(&person).await && !is_in(&key).await);
        assert_eq!(house.sessions().await, 1, "what is over goes when the next one begins");

        // A session is worth what its issuer is worth.
        let client = house.app.db.superuser().await;
        client.execute("UPDATE platform.person_sessions SET issuer = 'https://former.example'", &[]).await.unwrap();
        assert!(!is_in(&person).await);
        let person = house.sign_in(tenant, "admin:*").await;
        identity.set_tenant_status("test", tenant, TenantStatus::Suspended).await.unwrap();
        assert!(person.get("/admin").await.expect(403).text().contains("the tenant is suspended"));
        let traveller = house.depart("/admin").await;
        house.gives(&house.claims(&traveller, tenant, "admin:*"));
        assert!(house.arrive(&traveller).await.expect(403).text().contains("the tenant is suspended"));
    }

    async fn where_it_is_not_configured_there_is_no_second_way(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let page = send(app.anonymous(Method::GET, "/admin/sign-in")).await.expect(200).text();
        assert!(!page.contains("Sign in with") && !page.contains(PLACE));
        send(app.anonymous(Method::GET, PLACE)).await.expect(404);
        send(app.anonymous(Method::GET, CALLBACK)).await.expect(404);
        let planted = format!("progress_session=person-{}", "ab".repeat(32));
        send(app.anonymous(Method::GET, "/admin").header("Cookie", planted)).await.expect(303);
    }
}
