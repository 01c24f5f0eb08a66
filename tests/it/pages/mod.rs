//! The pages under `/admin`, as a browser asks for them: sessions, forms, roles, and what is shown while something is away.
//! What a browser makes of them is in `tests/pages`.

mod access;
mod attacks;
mod backups;
mod cost;
mod documents;
mod exports;
mod flags;
mod jobs;
mod launches;
mod learners;
mod months;
mod oidc;
mod people;
mod residency;
mod sessions;
mod statements;

use std::sync::OnceLock;

use progress_service::{
    identity::{Issued, NewCredential},
    model::{Scopes, TenantId},
};
use reqwest::RequestBuilder;

use crate::support::{
    app::{Answer, KEY, SECRET, TestApp, send},
    http, patience,
};

/// Somebody who signed in.
pub struct Browser<'a> {
    url: &'a str,
    pub cookie: String,
    csrf: OnceLock<String>,
}

/// A form as a page of this service sends it.
pub fn form(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    form_at(&app.url, path, fields)
}

fn form_at(url: &str, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(fields);
    let request =
        http::client().post(format!("{url}{path}")).header("Origin", url).header("Sec-Fetch-Site", "same-origin");
    request.header("Content-Type", "application/x-www-form-urlencoded").body(text.finish())
}

pub async fn try_to_sign_in(app: &TestApp, key: &str, secret: &str) -> Answer {
    try_at(&app.url, key, secret).await
}

async fn try_at(url: &str, key: &str, secret: &str) -> Answer {
    send(form_at(url, "/admin/sign-in", &[("key", key), ("secret", secret), ("next", "/admin")])).await
}

/// The cookie that an answer gives, as it is sent back.
pub fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

impl<'a> Browser<'a> {
    pub async fn of(app: &'a TestApp, key: &str, secret: &str) -> Self {
        Self::at(&app.url, key, secret).await
    }

    /// The same at a service wherever it is.
    pub async fn at(url: &'a str, key: &str, secret: &str) -> Self {
        let answer = try_at(url, key, secret).await.expect(303);
        Self { url, cookie: cookie(&answer), csrf: OnceLock::new() }
    }

    pub async fn operator(app: &'a TestApp) -> Self {
        Self::of(app, KEY, SECRET).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(http::client().get(format!("{}{path}", self.url)).header("Cookie", &self.cookie)).await
    }

    /// What every form of this session carries.
    pub async fn csrf(&self) -> String {
        if let Some(csrf) = self.csrf.get() {
            return csrf.clone();
        }
        let page = self.get("/admin").await.expect(200).text();
        self.csrf.get_or_init(|| field(&page, "csrf")).clone()
    }

    /// Sends a form of one of the pages.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf().await;
        let fields = [&[("csrf", csrf.as_str())], fields].concat();
        send(form_at(self.url, path, &fields).header("Cookie", &self.cookie)).await
    }
}

/// What a plan sends back when it is confirmed: its hidden fields, but for the session's.
pub fn hidden(page: &str) -> Vec<(String, String)> {
    let main = page.split_once("<main").expect("a page").1;
    let fields = main.split("<input type=\"hidden\" name=\"").skip(1).map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"").unwrap();
        let value = rest.split('"').next().unwrap_or_default();
        (
            name.to_owned(),
            ["&#60; <", "&#62; >", "&#34; \"", "&#39; '", "&#38; &"].iter().fold(value.to_owned(), |text, pair| {
                let (code, sign) = pair.split_once(' ').unwrap();
                text.replace(code, sign)
            }),
        )
    });
    fields.filter(|(name, _)| name != "csrf").collect()
}

impl Browser<'_> {
    /// The page of a job once it has ended.
    pub async fn ended(&self, job: &str) -> String {
        let (path, mut last) = (job.split('?').next().unwrap_or_default(), String::new());
        patience::until("the job", async || {
            last = self.get(path).await.expect(200).text();
            let is_over = ["succeeded", "failed"].iter().any(|state| last.contains(&format!("state {state}")));
            if is_over { Ok(()) } else { Err(last.clone()) }
        })
        .await;
        last
    }

    /// Confirms a plan that was shown, with what else it asks for.
    pub async fn confirm(&self, path: &str, plan: &str, typed: &[(&str, &str)]) -> Answer {
        let hidden = hidden(plan);
        let fields: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(path, &[fields.as_slice(), typed].concat()).await
    }
}

/// The value of a hidden field.
pub fn field(page: &str, name: &str) -> String {
    let after =
        page.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name} in {page}")).1;
    after.split('"').next().unwrap_or_default().to_owned()
}

pub async fn credential(app: &TestApp, tenant: TenantId, scopes: &str) -> Issued {
    let new = NewCredential { scopes: Scopes::parse(scopes).unwrap(), ..NewCredential::default() };
    app.service().rooms.identity.create_credential("test", tenant, new).await.unwrap()
}

pub async fn signed_in<'a>(app: &'a TestApp, issued: &Issued) -> Browser<'a> {
    Browser::of(app, &issued.credential.api_key, issued.secret.expose()).await
}
