//! Documents beside the statements: where learners are, what courses and people are like.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    chance::Chance,
    course::{COURSES, Course},
    outline::Outline,
    people::{HOME, Person},
};
use crate::xapi::{keys::Ifi, query::DocumentScope};

/// A document and when it was written.
#[derive(Clone, Debug)]
pub struct Document {
    pub scope: DocumentScope,
    pub id: String,
    pub content_type: &'static str,
    pub content: Vec<u8>,
    pub updated_at: DateTime<Utc>,
}

/// All of a tenant: a profile of each course, one of every tenth learner, and where every fourth is on some course.
pub fn documents(outline: &Outline, tenant: u32) -> impl Iterator<Item = Document> + use<> {
    let outline = *outline;
    let profiles = (0..COURSES).map(move |number| profile(&outline, tenant, number));
    let people = (0..outline.learners()).step_by(10).map(move |learner| person(&outline, tenant, learner));
    let states = (0..outline.learners()).step_by(4).map(move |learner| state(&outline, tenant, learner));
    profiles.chain(people).chain(states)
}

fn profile(outline: &Outline, tenant: u32, number: u64) -> Document {
    let course = Course::of(outline.seed, number);
    let content = format!(r#"{{"title":"{}","parts":{},"passMark":60}}"#, course.title, course.parts);
    let scope = DocumentScope::ActivityProfile { activity: course.iri() };
    document(outline, tenant, scope, "settings", content, number)
}

fn person(outline: &Outline, tenant: u32, learner: u64) -> Document {
    let content = r#"{"languagePreference":"en","audioPreference":"on"}"#.to_owned();
    let scope = DocumentScope::AgentProfile { agent: account(outline, tenant, learner) };
    document(outline, tenant, scope, "cmi5LearnerPreferences", content, learner)
}

fn state(outline: &Outline, tenant: u32, learner: u64) -> Document {
    let mut chance = Chance::of(&[outline.seed, u64::from(tenant), 7, learner]);
    let course = Course::of(outline.seed, chance.below(COURSES));
    let content = format!(r#"{{"bookmark":"{}","seen":{}}}"#, course.part(chance.below(9)), chance.below(100));
    let agent = account(outline, tenant, learner);
    let scope = DocumentScope::State { activity: course.iri(), agent, registration: None };
    document(outline, tenant, scope, "bookmark", content, learner)
}

fn account(outline: &Outline, tenant: u32, learner: u64) -> Ifi {
    let name = Person::learner(outline.seed, tenant, learner).id.to_string();
    Ifi::Account { home_page: HOME.to_owned(), name }
}

fn document(outline: &Outline, tenant: u32, scope: DocumentScope, id: &str, content: String, number: u64) -> Document {
    let within = (outline.until.end() - outline.until.begin()).num_seconds().unsigned_abs();
    let at = Chance::of(&[outline.seed, u64::from(tenant), 8, number]).below(within.max(1));
    let updated_at = outline.until.begin() + TimeDelta::seconds(at.cast_signed());
    Document { scope, id: id.to_owned(), content_type: "application/json", content: content.into_bytes(), updated_at }
}
