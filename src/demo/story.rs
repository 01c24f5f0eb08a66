//! What happens on a day: people sit down, learn, answer questions, pass or fail; some of it is commented on, planned, attended in
//! groups, taken back.

use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    calendar,
    chance::Chance,
    course::{COURSES, Course},
    lines::{self, Lines},
    outline::{Day, Outline},
    people::{HOME, Person},
};

/// A day as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Statements as JSON, with `stored` and authority, in the order of their moments.
    pub statements: Vec<String>,
    /// Contents of attachments that they name.
    pub attachments: Vec<Vec<u8>>,
}

/// Tells a day.
pub fn tell(outline: &Outline, day: &Day) -> Told {
    let number = days_since_epoch(day.date);
    let mut story = Story {
        outline,
        day,
        number,
        chance: Chance::of(&[outline.seed, u64::from(day.tenant), 5, number]),
        lines: Lines::of(outline.seed, day.tenant, number, day.statements + 20),
        attachments: Vec::new(),
    };
    while story.lines.len() < day.statements {
        story.sitting();
    }
    Told { statements: story.lines.finish(day.statements, calendar::end(day.date)), attachments: story.attachments }
}

fn days_since_epoch(date: NaiveDate) -> u64 {
    (date - NaiveDate::default()).num_days().unsigned_abs()
}

struct Story<'a> {
    outline: &'a Outline,
    day: &'a Day,
    number: u64,
    chance: Chance,
    lines: Lines,
    attachments: Vec<Vec<u8>>,
}

/// Somebody on a course, for an hour or so.
struct Sitting {
    at: DateTime<Utc>,
    learner: u64,
    actor: String,
    course: Course,
    part: u64,
    registration: Uuid,
    context: String,
}

impl Sitting {
    /// Some time goes by.
    fn later(&mut self, chance: &mut Chance) -> DateTime<Utc> {
        self.at += TimeDelta::microseconds((20_000_000 + chance.below(160_000_000)).cast_signed());
        self.at
    }
}

fn verb(iri: &str) -> String {
    let name = iri.rsplit('/').next().unwrap_or_default();
    format!(r#""verb":{{"id":"{iri}","display":{{"en":"{name}"}}}}"#)
}

const ADL: &str = "http://adlnet.gov/expapi/verbs";
const XAPI: &str = "https://w3id.org/xapi";

impl Story<'_> {
    fn sitting(&mut self) {
        let mut sitting = self.begin();
        let passed = if sitting.course.is_cmi5 { self.unit(&mut sitting) } else { self.pages(&mut sitting) };
        if passed && self.chance.once_in(6) {
            self.certificate(&mut sitting);
        }
        match self.chance.below(120) {
            0..=3 => self.comment(&mut sitting),
            4..=7 => self.plan(&mut sitting),
            8..=11 => self.class(&mut sitting),
            12..=14 => self.voiding(&mut sitting),
            _ => {}
        }
    }

    fn begin(&mut self) -> Sitting {
        let (seed, tenant, learners) = (self.outline.seed, self.day.tenant, self.outline.learners());
        // Some are busier than others.
        let learner = self.chance.below(learners).min(self.chance.below(learners));
        let course = Course::of(seed, self.chance.below(COURSES));
        let part = self.chance.below(course.parts);
        // Whoever comes back within the quarter goes on where they were.
        let again = [seed, u64::from(tenant), 6, learner, course.number, self.number / 90];
        let registration = Chance::of(&again).uuid();
        let context = self.context(&course, part, registration, learner);
        Sitting {
            at: calendar::moment(self.day.date, &mut self.chance),
            learner,
            actor: format!(r#""actor":{}"#, Person::learner(seed, tenant, learner).json()),
            course,
            part,
            registration,
            context,
        }
    }

    fn context(&mut self, course: &Course, part: u64, registration: Uuid, learner: u64) -> String {
        let whole = course.json();
        if course.is_cmi5 {
            let session = self.chance.uuid();
            let publisher = course.part(part);
            return format!(
                r#""registration":"{registration}","extensions":{{"https://w3id.org/xapi/cmi5/context/extensions/sessionid":"{session}"}},"contextActivities":{{"grouping":[{{"objectType":"Activity","id":"{publisher}"}},{whole}]"#
            );
        }
        let teacher = Person::teacher(self.outline.seed, self.day.tenant, learner).json();
        format!(
            r#""registration":"{registration}","instructor":{teacher},"platform":"LMS","language":"en","contextActivities":{{"parent":[{whole}]"#
        )
    }

    /// A unit of cmi5: opened, worked through, passed or failed, closed. Answers whether it was passed.
    fn unit(&mut self, sitting: &mut Sitting) -> bool {
        let unit = sitting.course.part_json(sitting.part);
        self.said(sitting, &format!("{ADL}/launched"), &unit, "", CMI5);
        self.said(sitting, &format!("{ADL}/initialized"), &unit, "", CMI5);
        self.questions(sitting);
        if self.chance.once_in(7) {
            // Closed without an end.
            self.said(sitting, &format!("{XAPI}/adl/verbs/abandoned"), &unit, r#","result":{"duration":"PT9M"}"#, CMI5);
            return false;
        }
        let scaled = 35 + self.chance.below(66);
        let passed = scaled >= 60;
        let minutes = 3 + self.chance.below(50);
        let result = format!(
            r#","result":{{"success":{passed},"score":{{"scaled":{}.{:02},"raw":{scaled},"min":0,"max":100}},"duration":"PT{minutes}M"}}"#,
            scaled / 100,
            scaled % 100
        );
        self.said(sitting, &format!("{ADL}/{}", if passed { "passed" } else { "failed" }), &unit, &result, MOVE_ON);
        if passed {
            let result = format!(r#","result":{{"completion":true,"duration":"PT{minutes}M"}}"#);
            self.said(sitting, &format!("{ADL}/completed"), &unit, &result, MOVE_ON);
        }
        let result = format!(r#","result":{{"duration":"PT{minutes}M{}S"}}"#, self.chance.below(60));
        self.said(sitting, &format!("{ADL}/terminated"), &unit, &result, CMI5);
        passed
    }

    /// Pages with questions, without cmi5. Answers whether the course was completed.
    fn pages(&mut self, sitting: &mut Sitting) -> bool {
        let course = sitting.course.json();
        self.said(sitting, &format!("{ADL}/attempted"), &course, "", "");
        for page in 0..=sitting.part {
            let page = sitting.course.part_json(page);
            self.said(sitting, &format!("{ADL}/experienced"), &page, "", "");
        }
        self.questions(sitting);
        let is_through = sitting.part + 1 == sitting.course.parts;
        if is_through {
            let scaled = 50 + self.chance.below(51);
            let result = format!(
                r#","result":{{"completion":true,"success":{},"score":{{"scaled":{}.{:02}}}}}"#,
                scaled >= 60,
                scaled / 100,
                scaled % 100
            );
            self.said(sitting, &format!("{ADL}/completed"), &course, &result, "");
        }
        is_through
    }

    fn questions(&mut self, sitting: &mut Sitting) {
        for question in 0..self.chance.below(5) {
            let right = !self.chance.once_in(4);
            let response = if right { "b" } else { "c" };
            let result = format!(r#","result":{{"success":{right},"response":"{response}"}}"#);
            let question = sitting.course.question_json(sitting.part, question);
            self.said(sitting, &format!("{ADL}/answered"), &question, &result, "");
        }
    }

    fn said(&mut self, sitting: &mut Sitting, iri: &str, object: &str, result: &str, categories: &str) -> Uuid {
        let at = sitting.later(&mut self.chance);
        let (verb, actor, context) = (verb(iri), &sitting.actor, &sitting.context);
        self.lines
            .tell(at, &format!(r#"{actor},{verb},"object":{object}{result},"context":{{{context}{categories}}}}}"#))
    }

    fn certificate(&mut self, sitting: &mut Sitting) {
        let Sitting { learner, ref course, registration, .. } = *sitting;
        let name = Person::learner(self.outline.seed, self.day.tenant, learner).name;
        let mut text =
            format!("{name} has completed {}.\nRegistration {registration}, {}.\n", course.title, self.day.date);
        for part in 0..course.parts {
            let _ = writeln!(text, "Part {}: {}, {} points", part + 1, course.part(part), 60 + self.chance.below(41));
        }
        let content = text.into_bytes();
        let (hash, length) = (hex::encode(Sha256::digest(&content)), content.len());
        let object = course.json();
        let attached = format!(
            r#","attachments":[{{"usageType":"http://id.tincanapi.com/attachment/certificate-of-completion","display":{{"en":"Certificate"}},"contentType":"text/plain","length":{length},"sha2":"{hash}"}}]"#
        );
        self.attachments.push(content);
        self.said(sitting, "http://id.tincanapi.com/verb/earned", &object, &attached, "");
    }

    /// The teacher says something about what was told a week before.
    fn comment(&mut self, sitting: &mut Sitting) {
        let (seed, tenant) = (self.outline.seed, self.day.tenant);
        let target = match self.number.checked_sub(7).filter(|_| self.day.date.day() > 7) {
            Some(before) => lines::id(seed, tenant, before, self.chance.below(3)),
            None => lines::id(seed, tenant, self.number, 0),
        };
        let teacher = Person::teacher(seed, tenant, sitting.learner).json();
        let at = sitting.later(&mut self.chance);
        self.lines.tell(
            at,
            &format!(
                r#""actor":{teacher},{},"object":{{"objectType":"StatementRef","id":"{target}"}},"result":{{"response":"Well done; see the notes on part two."}}"#,
                verb(&format!("{ADL}/commented"))
            ),
        );
    }

    fn plan(&mut self, sitting: &mut Sitting) {
        let (part, registration) = (sitting.course.part_json(sitting.part + 1), sitting.registration);
        let (at, actor) = (sitting.later(&mut self.chance), &sitting.actor);
        self.lines.tell(
            at,
            &format!(
                r#"{actor},{},"object":{{"objectType":"SubStatement",{actor},{},"object":{part}}},"context":{{"registration":"{registration}"}}"#,
                verb("http://activitystrea.ms/schema/1.0/schedule"),
                verb(&format!("{ADL}/experienced"))
            ),
        );
    }

    /// A class meets.
    fn class(&mut self, sitting: &mut Sitting) {
        let (seed, tenant) = (self.outline.seed, self.day.tenant);
        let first = sitting.learner / 25 * 25;
        let members: Vec<String> =
            (0..4 + self.chance.below(6)).map(|n| Person::learner(seed, tenant, first + n).json()).collect();
        let teacher = Person::teacher(seed, tenant, first).json();
        let (members, class) = (members.join(","), first / 25 + 1);
        let at = sitting.later(&mut self.chance);
        self.lines.tell(
            at,
            &format!(
                r#""actor":{{"objectType":"Group","name":"Class {class}","account":{{"homePage":"{HOME}","name":"class-{class}"}},"member":[{members}]}},{},"object":{},"context":{{"instructor":{teacher}}}"#,
                verb(&format!("{ADL}/attended")),
                sitting.course.json()
            ),
        );
    }

    /// Somebody takes back what was said last.
    fn voiding(&mut self, sitting: &mut Sitting) {
        let part = sitting.course.part_json(sitting.part);
        let wrong = self.said(sitting, &format!("{ADL}/experienced"), &part, "", "");
        let at = sitting.later(&mut self.chance);
        let teacher = Person::teacher(self.outline.seed, self.day.tenant, sitting.learner).json();
        self.lines.tell(
            at,
            &format!(
                r#""actor":{teacher},{},"object":{{"objectType":"StatementRef","id":"{wrong}"}}"#,
                verb(&format!("{ADL}/voided"))
            ),
        );
    }
}

/// What makes a statement one of cmi5's; closes the lists of context activities.
const CMI5: &str =
    r#","category":[{"objectType":"Activity","id":"https://w3id.org/xapi/cmi5/context/categories/cmi5"}]"#;
const MOVE_ON: &str = r#","category":[{"objectType":"Activity","id":"https://w3id.org/xapi/cmi5/context/categories/cmi5"},{"objectType":"Activity","id":"https://w3id.org/xapi/cmi5/context/categories/moveon"}]"#;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;
    use crate::xapi::{Limits, Version, read};

    fn outline() -> Outline {
        Outline { seed: 7, tenants: 2, statements: 6_000, months: 1, until: "2026-03".parse().unwrap() }
    }

    fn all(outline: &Outline) -> Vec<(u32, Value)> {
        let of = |day: Day| tell(outline, &day).statements.into_iter().map(move |text| (day.tenant, text));
        outline.days().flat_map(of).map(|(tenant, text)| (tenant, serde_json::from_str(&text).unwrap())).collect()
    }

    #[test]
    fn every_statement_obeys_the_rules_and_has_an_id_and_a_moment_of_its_own() {
        let outline = outline();
        let mut told = 0;
        for day in outline.days() {
            let Told { statements, attachments } = tell(&outline, &day);
            assert_eq!(statements.len() as u64, day.statements);
            told += statements.len();
            for text in &statements {
                let read = read::statements(text.as_bytes(), Version::V1_0_3, &Limits::default());
                assert!(read.is_ok(), "{text}\n{:?}", read.err());
            }
            let hashes: HashSet<String> = attachments.iter().map(|bytes| hex::encode(Sha256::digest(bytes))).collect();
            let named = statements.iter().filter(|text| text.contains("\"sha2\""));
            assert!(named.clone().all(|text| hashes.iter().any(|hash| text.contains(hash.as_str()))));
        }
        assert_eq!(told, 6_000);
        let all = all(&outline);
        let ids: HashSet<&str> = all.iter().map(|(_, statement)| statement["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 6_000);
        let moments: HashSet<(u32, &str)> =
            all.iter().map(|(t, statement)| (*t, statement["stored"].as_str().unwrap())).collect();
        assert_eq!(moments.len(), 6_000);
        assert!(all.iter().all(|(_, statement)| statement["stored"].as_str().unwrap().starts_with("2026-03-")));
    }

    #[test]
    fn a_past_has_everything_and_the_same_seed_has_the_same() {
        let all = all(&outline());
        let text: String = all.iter().map(|(_, statement)| statement.to_string()).collect();
        for wanted in [
            "/launched",
            "/initialized",
            "/passed",
            "/failed",
            "/completed",
            "/terminated",
            "/answered",
            "/attempted",
            "/voided",
            "/commented",
            "StatementRef",
            "SubStatement",
            "\"Group\"",
            "attachments",
            "instructor",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
        let voided = all.iter().filter(|(_, s)| s["verb"]["id"].as_str().unwrap().ends_with("/voided"));
        for (tenant, voiding) in voided {
            let target = voiding["object"]["id"].as_str().unwrap();
            assert!(
                all.iter().any(|(t, s)| t == tenant && s["id"] == target && !s.to_string().contains("StatementRef"))
            );
        }
        assert_eq!(all, super::tests::all(&outline()));
        assert_ne!(all, super::tests::all(&Outline { seed: 8, ..outline() }));
    }
}
