//! Questions in every combination of what a query may ask, by everybody who may ask, and their answers to the last page.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::history::{
    ACTIVITIES, Dice, History, MONTHS, PEOPLE, REGISTRATIONS, VERBS, VOIDED, activity, month, person, registration,
    verb,
};
use crate::support::app::{Answer, send};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Main,
    Mine,
    Other,
    Person,
}

#[derive(Clone, Debug)]
pub struct Question {
    pub who: Who,
    pub path: String,
    pub parameters: Vec<(&'static str, String)>,
}

pub struct Questions {
    pub all: Vec<Question>,
}

/// One page of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub body: Vec<u8>,
    pub archived: usize,
}

impl Answered {
    pub fn of(answer: Answer) -> Self {
        // A boundary is made anew for each answer.
        let kind = answer.header("content-type").to_owned();
        let text = match kind.split_once("boundary=") {
            Some((_, boundary)) => {
                String::from_utf8_lossy(&answer.body).replace(boundary.trim_matches('"'), "boundary").into_bytes()
            }
            None => answer.body.clone(),
        };
        Self {
            status: answer.status.as_u16(),
            archived: answer.header("x-progress-archived").parse().unwrap_or(0),
            body: text,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The address of the next page.
    pub fn next(&self) -> Option<String> {
        let text = self.text();
        let json = text.split("\r\n\r\n").find(|part| part.starts_with('{')).unwrap_or(&text);
        let page: Value = serde_json::from_str(json.split("\r\n--").next()?).ok()?;
        let next = page["more"].as_str().or(page["links"]["next"].as_str())?;
        (!next.is_empty()).then(|| next.to_owned())
    }
}

impl Questions {
    pub async fn about(history: &History) -> Self {
        let mut dice = Dice(2_026);
        let mut all = Vec::new();
        for who in [Who::Main, Who::Mine, Who::Other, Who::Person] {
            for parameters in [vec![], vec![("ascending", "true".to_owned())], vec![("limit", "0".to_owned())]] {
                all.push(statements(who, parameters));
            }
        }
        for name in ["statementId", "voidedStatementId"] {
            for id in history.ids.iter().step_by(7) {
                let who = *dice.one_of(&[Who::Main, Who::Mine, Who::Other, Who::Person]);
                let mut parameters = vec![(name, id.clone())];
                if dice.once_in(3) {
                    parameters.push(("format", (*dice.one_of(&["ids", "canonical"])).to_owned()));
                }
                if dice.once_in(4) {
                    parameters.push(("attachments", "true".to_owned()));
                }
                all.push(statements(who, parameters));
            }
        }
        let times = times(history).await;
        while all.len() < 520 {
            let who = *dice.one_of(&[Who::Main, Who::Main, Who::Main, Who::Mine, Who::Other, Who::Person]);
            all.push(statements(who, parameters(&mut dice, &times)));
        }
        let client = history.api.app.db.superuser().await;
        let users = client.query("SELECT DISTINCT user_id FROM progress.attempts ORDER BY 1", &[]).await;
        for row in users.unwrap() {
            for size in ["3", "50"] {
                let path = format!("/api/v1/users/{}/statements", row.get::<_, String>(0));
                all.push(Question { who: Who::Main, path, parameters: vec![("page[size]", size.to_owned())] });
            }
        }
        let path = "/api/v1/verbs".to_owned();
        all.push(Question { who: Who::Main, path, parameters: Vec::new() });
        Self { all }
    }

    /// Every question, each to its last page.
    pub async fn ask_all(&self, history: &History) -> Vec<Vec<Answered>> {
        let asking: Vec<_> = self.all.iter().map(|question| ask(history, question)).collect();
        stream::iter(asking).buffered(3).collect().await
    }
}

async fn ask(history: &History, question: &Question) -> Vec<Answered> {
    let first = request(history, question.who, &question.path).query(&question.parameters);
    let mut pages = vec![Answered::of(send(first).await)];
    while let Some(next) = pages.last().and_then(Answered::next) {
        assert!(pages.len() < 1_000, "{question:?} does not end");
        pages.push(Answered::of(send(request(history, question.who, &next)).await));
    }
    pages
}

fn request(history: &History, who: Who, path: &str) -> RequestBuilder {
    let get = Method::GET;
    match who {
        Who::Main => history.api.app.request(get, path).header("X-Experience-API-Version", "1.0.3"),
        Who::Mine => history.as_mine(get, path),
        Who::Other => history.as_other(get, path),
        Who::Person => history.as_person(get, path),
    }
}

fn statements(who: Who, parameters: Vec<(&'static str, String)>) -> Question {
    Question { who, path: "/xapi/statements".to_owned(), parameters }
}

/// Moments at which something was stored, and just beside, and the borders of months.
async fn times(history: &History) -> Vec<DateTime<Utc>> {
    let sql = "SELECT stored FROM ledger.statements ORDER BY stored";
    let rows = history.api.app.db.superuser().await.query(sql, &[]).await.unwrap();
    let mut times: Vec<DateTime<Utc>> = rows.iter().map(|row| row.get(0)).step_by(5).collect();
    times.extend(MONTHS.iter().flat_map(|name| [month(name).begin(), month(name).end()]));
    let beside: Vec<_> = times.iter().map(|time| *time + TimeDelta::microseconds(1)).step_by(3).collect();
    times.extend(beside);
    times
}

fn parameters(dice: &mut Dice, times: &[DateTime<Utc>]) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    if dice.once_in(2) {
        let mut agent = person(dice.below(PEOPLE));
        agent.as_object_mut().unwrap().remove("name");
        let agent = if dice.once_in(8) { serde_json::json!({"mbox": "mailto:team@example.com"}) } else { agent };
        all.push(("agent", agent.to_string()));
        if dice.once_in(2) {
            all.push(("related_agents", "true".to_owned()));
        }
    }
    if dice.once_in(3) {
        all.push(("verb", if dice.once_in(6) { VOIDED.to_owned() } else { verb(dice.below(VERBS)) }));
    }
    if dice.once_in(3) {
        all.push(("activity", activity(dice.below(ACTIVITIES + 1))["id"].as_str().unwrap().to_owned()));
        if dice.once_in(2) {
            all.push(("related_activities", "true".to_owned()));
        }
    }
    if dice.once_in(5) {
        all.push(("registration", registration(dice.below(REGISTRATIONS))));
    }
    let moment = |dice: &mut Dice| dice.one_of(times).to_rfc3339_opts(SecondsFormat::Micros, true);
    if dice.once_in(3) {
        all.push(("since", moment(dice)));
    }
    if dice.once_in(3) {
        all.push(("until", moment(dice)));
    }
    if dice.once_in(2) {
        all.push(("ascending", "true".to_owned()));
    }
    if dice.once_in(5) {
        all.push(("format", (*dice.one_of(&["ids", "canonical", "exact"])).to_owned()));
    }
    if dice.once_in(8) {
        all.push(("attachments", "true".to_owned()));
    }
    let limit = *dice.one_of(&["", "23", "40", "70", "0", "100"]);
    if !limit.is_empty() {
        all.push(("limit", limit.to_owned()));
    }
    all
}
