//! Statements as a course platform sends them, about 1.2 KB each, made before the clock runs.
//!
//! Their ids stand at a known place in the text, so that sending one again under a new id costs a copy.

use std::fmt::Write as _;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use uuid::Uuid;

pub const LEARNERS: u32 = 10_000;
pub const ACTIVITIES: u32 = 2_000;
pub const COURSES: u32 = 100;
pub const VERBS: [&str; 12] = [
    "completed",
    "passed",
    "failed",
    "answered",
    "experienced",
    "attempted",
    "initialized",
    "terminated",
    "progressed",
    "scored",
    "interacted",
    "launched",
];
const HOME: &str = "https://idp.example.com/realms/learning";
/// Where the id begins in each text: after `{"id":"`.
const ID_AT: usize = 7;
const ID_LENGTH: usize = 36;

pub fn verb_iri(verb: &str) -> String {
    format!("http://adlnet.gov/expapi/verbs/{verb}")
}

pub fn activity_iri(n: u32) -> String {
    format!("https://courses.example.com/course-{}/lessons/{n}", n % COURSES)
}

pub fn course_iri(n: u32) -> String {
    format!("https://courses.example.com/course-{}", n % COURSES)
}

pub fn learner_name(n: u32) -> String {
    format!("5f3c2f4e-user-{n:05}")
}

pub fn agent_json(n: u32) -> String {
    format!(r#"{{"account":{{"homePage":"{HOME}","name":"{}"}}}}"#, learner_name(n))
}

/// One learner in one course.
pub fn registration(learner: u32, course: u32) -> Uuid {
    let seed = (u128::from(learner) << 64) | (u128::from(course) << 32) | 0x5eed;
    uuid::Builder::from_random_bytes(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes())
        .into_uuid()
}

fn text(id: Uuid, rng: &mut SmallRng) -> String {
    let (learner, activity) = (rng.random_range(0..LEARNERS), rng.random_range(0..ACTIVITIES));
    let verb = VERBS[rng.random_range(0..VERBS.len())];
    let score: u32 = rng.random_range(0..=100);
    let mut text = String::with_capacity(1_400);
    let _ = write!(
        text,
        r#"{{"id":"{id}","actor":{{"objectType":"Agent","name":"Ada Learner {learner}","account":{{"homePage":"{HOME}","name":"{name}"}}}},"verb":{{"id":"{verb_iri}","display":{{"en-US":"{verb}"}}}},"object":{{"objectType":"Activity","id":"{object}","definition":{{"type":"http://adlnet.gov/expapi/activities/lesson","name":{{"en-US":"Lesson {activity}: Fire exits","de-DE":"Lektion {activity}: Notausgänge"}},"description":{{"en-US":"Where the exits are and how to reach them when the alarm sounds."}}}}}},"result":{{"completion":true,"success":{success},"duration":"PT{minutes}M35.21S","score":{{"scaled":0.{score:02},"raw":{score},"min":0,"max":100}}}},"context":{{"registration":"{registration}","language":"en-US","platform":"Example LMS","contextActivities":{{"parent":[{{"id":"{parent}"}}],"grouping":[{{"id":"https://courses.example.com/catalog/2026"}}],"category":[{{"id":"https://w3id.org/xapi/cmi5/context/categories/cmi5"}}]}},"extensions":{{"https://w3id.org/xapi/cmi5/context/extensions/sessionid":"{session:016x}"}}}},"timestamp":"2026-11-20T10:{minutes:02}:30.{millis:03}Z"}}"#,
        name = learner_name(learner),
        verb_iri = verb_iri(verb),
        object = activity_iri(activity),
        success = score >= 50,
        minutes = score % 60,
        registration = registration(learner, activity % COURSES),
        parent = course_iri(activity),
        session = rng.random::<u64>(),
        millis = rng.random_range(0..1_000),
    );
    text
}

/// The part of the stock that one of so many callers draws from: together they speak of the same learners as one who has it all.
#[derive(Clone, Copy)]
pub struct Part {
    pub index: usize,
    pub of: usize,
}

impl Part {
    pub const WHOLE: Self = Self { index: 0, of: 1 };
}

/// A stock of different statements, from which requests are put together.
pub struct Stock {
    texts: Vec<String>,
}

impl Stock {
    pub fn new(size: usize) -> Self {
        let mut rng = SmallRng::seed_from_u64(7);
        Self { texts: (0..size).map(|_| text(Uuid::nil(), &mut rng)).collect() }
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn mean_bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum::<usize>() / self.texts.len().max(1)
    }

    /// Adds a statement of that part of the stock under a new id.
    fn one(&self, part: Part, body: &mut Vec<u8>, rng: &mut SmallRng) {
        let start = body.len();
        let chosen = rng.random_range(0..self.texts.len() / part.of) * part.of + part.index;
        body.extend_from_slice(self.texts[chosen].as_bytes());
        let id = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
        id.hyphenated().encode_lower(&mut body[start + ID_AT..start + ID_AT + ID_LENGTH]);
    }

    /// A body of one statement, or an array of more.
    pub fn body(&self, statements: usize, rng: &mut SmallRng) -> Vec<u8> {
        self.body_of(Part::WHOLE, statements, rng)
    }

    /// The same, of that part of the stock.
    pub fn body_of(&self, part: Part, statements: usize, rng: &mut SmallRng) -> Vec<u8> {
        let mut body = Vec::with_capacity(statements * 1_400 + 2);
        if statements == 1 {
            self.one(part, &mut body, rng);
            return body;
        }
        for n in 0..statements {
            body.push(if n == 0 { b'[' } else { b',' });
            self.one(part, &mut body, rng);
        }
        body.push(b']');
        body
    }
}
