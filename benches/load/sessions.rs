//! Learners at work: attempts of ten statements each, many at once, which end passed. About 1.2 KB a statement.
//!
//! A text has its places for the ids at its beginning, so that putting new ones in costs a copy.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use uuid::Uuid;

use super::statements::{activity_iri, agent_json, course_iri, verb_iri};

/// The verbs of an attempt in their order.
const VERBS: [&str; 10] = [
    "initialized",
    "experienced",
    "answered",
    "experienced",
    "answered",
    "progressed",
    "answered",
    "completed",
    "passed",
    "terminated",
];
const LEARNERS: u32 = 500;
const HEAD: &str = r#"{"id":""#;
const BETWEEN: &str = r#"","context":{"registration":""#;
const ID_LENGTH: usize = 36;
const REGISTRATION_AT: usize = HEAD.len() + ID_LENGTH + BETWEEN.len();

struct Attempt {
    learner: usize,
    registration: Uuid,
    next: usize,
}

/// Attempts that are under way.
pub struct Sessions {
    /// For each learner a text for each verb.
    texts: Vec<[String; VERBS.len()]>,
    open: Vec<Attempt>,
    turn: usize,
    rng: SmallRng,
}

impl Sessions {
    /// As many attempts at once, each at another place of its way.
    pub fn new(open: usize) -> Self {
        // Ids that nothing else here makes.
        let mut rng = SmallRng::seed_from_u64(rand::random());
        let texts = (0..LEARNERS).map(|learner| VERBS.map(|verb| text(learner, verb))).collect();
        let mut attempt = |n: usize| Attempt { next: n % VERBS.len(), ..begin(&mut rng) };
        let open = (0..open).map(&mut attempt).collect();
        Self { texts, open, turn: 0, rng }
    }

    /// The next statements of as many attempts, as an array.
    pub fn body(&mut self, statements: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(statements * 1_400 + 2);
        for n in 0..statements {
            body.push(if n == 0 { b'[' } else { b',' });
            self.one(&mut body);
        }
        body.push(b']');
        body
    }

    fn one(&mut self, body: &mut Vec<u8>) {
        let turn = self.turn % self.open.len();
        self.turn += 1;
        let attempt = &mut self.open[turn];
        let start = body.len();
        body.extend_from_slice(self.texts[attempt.learner][attempt.next].as_bytes());
        let id = uuid::Builder::from_random_bytes(self.rng.random()).into_uuid();
        for (id, at) in [(id, HEAD.len()), (attempt.registration, REGISTRATION_AT)] {
            id.hyphenated().encode_lower(&mut body[start + at..start + at + ID_LENGTH]);
        }
        attempt.next += 1;
        if attempt.next == VERBS.len() {
            *attempt = begin(&mut self.rng);
        }
    }
}

fn begin(rng: &mut SmallRng) -> Attempt {
    let registration = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
    Attempt { learner: rng.random_range(0..LEARNERS as usize), registration, next: 0 }
}

fn text(learner: u32, verb: &str) -> String {
    let nil = Uuid::nil();
    let result = match verb {
        "passed" => {
            r#""result":{"success":true,"duration":"PT25M35.21S","score":{"scaled":0.87,"raw":87,"min":0,"max":100}},"#
        }
        "completed" => r#""result":{"completion":true,"duration":"PT25M35.21S"},"#,
        "answered" => r#""result":{"success":true,"response":"the exit behind the stairs on the left"},"#,
        _ => "",
    };
    format!(
        r#"{HEAD}{nil}{BETWEEN}{nil}","language":"en-US","platform":"Example LMS","contextActivities":{{"parent":[{{"id":"{course}"}}],"grouping":[{{"id":"{course}"}}],"category":[{{"id":"https://w3id.org/xapi/cmi5/context/categories/cmi5"}}]}},"extensions":{{"https://w3id.org/xapi/cmi5/context/extensions/sessionid":"{learner:016x}"}}}},"actor":{actor},"verb":{{"id":"{verb_iri}","display":{{"en-US":"{verb}"}}}},"object":{{"objectType":"Activity","id":"{object}","definition":{{"type":"http://adlnet.gov/expapi/activities/lesson","name":{{"en-US":"Lesson {learner}: Fire exits","de-DE":"Lektion {learner}: Notausgänge"}},"description":{{"en-US":"Where the exits are and how to reach them when the alarm sounds."}}}}}},{result}"timestamp":"2026-11-20T10:15:30.250Z"}}"#,
        course = course_iri(learner),
        actor = agent_json(learner),
        verb_iri = verb_iri(verb),
        object = activity_iri(learner),
    )
}
