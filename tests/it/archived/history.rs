//! A ledger over five months and a bit, with everything in it that a query can ask for: several tenants, credentials, people and
//! groups, sub-statements, references and voidings over the borders of months and in either direction, attachments.

use progress_service::{ingest::settle::References, model::partition::Month, projections::run};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    api::{ADA, Api},
    support::{
        app::{TestApp, send},
        background, months,
        pg::TestDatabase,
    },
    xapi::{
        attachments::{multipart, with_attachment},
        id,
    },
};

pub const MONTHS: [&str; 5] = ["2026-03", "2026-04", "2026-05", "2026-06", "2026-07"];
/// Statements of the default tenant in a month.
pub const EACH: u128 = 120;
pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

pub fn month(name: &str) -> Month {
    name.parse().unwrap()
}

/// Pseudo-random numbers, the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A credential: its key and secret.
pub type Credential = (String, String);

pub struct History {
    pub api: Api,
    /// May read and void only what it stored itself.
    pub mine: Credential,
    /// Another tenant's.
    pub other: Credential,
    /// Every id that was sent, and some that were not.
    pub ids: Vec<String>,
}

pub fn person(n: u64) -> Value {
    match n {
        0 => json!({"account": {"homePage": "http://h.example", "name": ADA}, "name": "Ada"}),
        1..=2 => json!({"account": {"homePage": "http://h.example", "name": format!("person-{n}")}}),
        3 => json!({"openid": "http://p3.example/"}),
        _ => json!({"mbox": format!("mailto:p{n}@example.com")}),
    }
}

pub const PEOPLE: u64 = 9;

pub fn activity(n: u64) -> Value {
    json!({"id": format!("http://example.com/activities/{n}"), "definition": {"name": {"en": format!("Course {n}"), "de": "Kurs"}}})
}

pub const ACTIVITIES: u64 = 14;

pub fn verb(n: u64) -> String {
    let known = ["experienced", "completed", "passed", "failed", "commented", "initialized"];
    match known.get(usize::try_from(n).unwrap()) {
        Some(name) => format!("http://adlnet.gov/expapi/verbs/{name}"),
        None => format!("http://example.com/verbs/{n}"),
    }
}

pub const VERBS: u64 = 8;

pub fn registration(n: u64) -> String {
    id(9_000_000 + u128::from(n))
}

pub const REGISTRATIONS: u64 = 8;

/// Statement `n`. `last` is the highest number that there will ever be: some refer to what comes later, or never.
fn statement(n: u128, last: u128, dice: &mut Dice) -> Value {
    let mut it = json!({"id": id(n), "actor": person(dice.below(PEOPLE)), "verb": {"id": verb(dice.below(VERBS)), "display": {"en": "did"}},
        "object": activity(dice.below(ACTIVITIES))});
    if dice.once_in(9) {
        it["actor"] =
            json!({"objectType": "Group", "member": [person(dice.below(PEOPLE)), person(dice.below(PEOPLE))]});
    } else if dice.once_in(12) {
        it["actor"] =
            json!({"objectType": "Group", "mbox": "mailto:team@example.com", "member": [person(dice.below(PEOPLE))]});
    }
    match dice.below(12) {
        0 => {
            it["object"] = person(dice.below(PEOPLE));
            it["object"]["objectType"] = json!("Agent");
        }
        1 => {
            it["object"] = json!({"objectType": "SubStatement", "actor": person(dice.below(PEOPLE)), "verb": {"id": verb(dice.below(VERBS))},
                "object": activity(dice.below(ACTIVITIES))});
        }
        // Somewhere near, long ago, or not there yet.
        2 | 3 => {
            let near = n.saturating_sub(u128::from(dice.below(6)));
            let (ago, ahead) = (u128::from(dice.below(u64::try_from(last).unwrap())), n + u128::from(dice.below(90)));
            let target = *dice.one_of(&[near, ago, ahead]);
            it["object"] = json!({"objectType": "StatementRef", "id": id(target)});
            if target != n && dice.once_in(3) {
                it["verb"] = json!({"id": VOIDED});
            }
        }
        _ => {}
    }
    if it["verb"]["id"] == VOIDED {
        return it;
    }
    let mut context = json!({});
    if dice.once_in(2) {
        context["registration"] = json!(registration(dice.below(REGISTRATIONS)));
    }
    if dice.once_in(4) {
        context["instructor"] = person(dice.below(PEOPLE));
    }
    if dice.once_in(3) {
        context["contextActivities"] =
            json!({"parent": [activity(dice.below(ACTIVITIES))], "grouping": [activity(dice.below(ACTIVITIES))]});
    }
    if context != json!({}) {
        it["context"] = context;
    }
    if dice.once_in(2) {
        it["timestamp"] = json!(format!("2026-01-{:02}T10:00:{:02}Z", 1 + dice.below(28), dice.below(60)));
    }
    it
}

impl History {
    pub async fn write(db: TestDatabase) -> Self {
        let api = Api::start(db).await;
        api.app.stop_loops().await;
        let mine = credential(&api.app, &json!({"scopes": ["statements/write", "statements/read/mine"]}), "").await;
        let tenant = api.app.post("/api/v1/admin/tenants", &json!({"name": "other"})).await.expect(201).json();
        let tenant = tenant["id"].as_str().expect("an id").to_owned();
        let other = credential(&api.app, &json!({"scopes": ["all"]}), &format!("?tenantId={tenant}")).await;
        let mut history = Self { api, mine, other, ids: Vec::new() };
        let last = EACH * (MONTHS.len() as u128) + 60;
        let mut next = 0;
        for name in MONTHS {
            history.days(&mut next, EACH, last).await;
            months::spread(&history.api.app.db, month(name)).await;
        }
        history.days(&mut next, 60, last).await;
        settle(&history.api.app).await;
        history.ids.extend((last..last + 20).map(id));
        history
    }

    /// So many statements of all who write.
    async fn days(&mut self, next: &mut u128, count: u128, last: u128) {
        let mut dice = Dice(u64::try_from(*next).unwrap() + 1);
        for _ in 0..count / 12 {
            let batch: Vec<Value> = (*next..*next + 12).map(|n| statement(n, last, &mut dice)).collect();
            self.ids.extend((*next..*next + 12).map(id));
            *next += 12;
            let (by_main, by_mine): (Vec<Value>, Vec<Value>) = batch.into_iter().partition(|_| !dice.once_in(3));
            self.api.app.post_statements(&json!(by_main)).await.expect(200);
            // What is not its own, and is there, it may not void: then that one is left out.
            for one in by_mine {
                let answer = send(self.as_mine(Method::POST, "/xapi/statements").json(&one)).await;
                assert!(matches!(answer.status.as_u16(), 200 | 403), "{}", answer.text());
            }
            let others: Vec<Value> = (0..2)
                .map(|_| statement(50_000 + *next * 2 + u128::from(dice.below(2)), last, &mut dice))
                .take(1)
                .collect();
            send(self.as_other(Method::POST, "/xapi/statements").json(&others)).await.expect(200);
        }
        let content = format!("the report of {next}").into_bytes();
        let number = 70_000 + *next;
        let body = multipart(&with_attachment(number, &content), &[&content]);
        self.ids.push(id(number));
        let request = self.api.app.xapi(Method::POST, "/statements");
        send(request.header("Content-Type", "multipart/mixed; boundary=limit").body(body)).await.expect(200);
    }

    pub fn as_mine(&self, method: Method, path: &str) -> RequestBuilder {
        as_credential(&self.api.app, &self.mine, method, path)
    }

    pub fn as_other(&self, method: Method, path: &str) -> RequestBuilder {
        as_credential(&self.api.app, &self.other, method, path)
    }

    pub fn as_person(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.api.app.anonymous(method, path);
        request.header("Authorization", self.api.token(ADA, "statements/read")).header(VERSION.0, VERSION.1)
    }
}

const VERSION: (&str, &str) = ("X-Experience-API-Version", "1.0.3");

pub fn as_credential(app: &TestApp, who: &Credential, method: Method, path: &str) -> RequestBuilder {
    app.anonymous(method, path).basic_auth(&who.0, Some(&who.1)).header(VERSION.0, VERSION.1)
}

pub async fn credential(app: &TestApp, wanted: &Value, query: &str) -> Credential {
    let made = app.post(&format!("/api/v1/admin/credentials{query}"), wanted).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("apiKey"), text("secret"))
}

/// Lets everything that reads the ledger come to its end.
pub async fn settle(app: &TestApp) {
    let rooms = &app.service().rooms;
    let (store, references) = (rooms.store.clone(), References::new(rooms.cold.clone(), rooms.edge.metrics.clone()));
    let all = async move {
        while run::step(&store).await.unwrap() > 0 {}
        while references.step().await.unwrap() > 0 {}
        while references.step().await.unwrap() > 0 {}
    };
    background::runtime().spawn(all).await.unwrap();
}
