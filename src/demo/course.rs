//! What is learned: courses, half of them cmi5 with assignable units, half of them plain pages with questions.

use super::chance::Chance;

const TOPICS: [&str; 24] = [
    "Fire safety",
    "First aid",
    "Data protection",
    "Lifting and carrying",
    "Working at height",
    "Food hygiene",
    "Spoken Spanish",
    "Business English",
    "Statistics",
    "Linear algebra",
    "Cell biology",
    "Organic chemistry",
    "Project planning",
    "Negotiation",
    "Accounting",
    "Spreadsheets",
    "Writing reports",
    "Forklift driving",
    "Machine guarding",
    "Hand hygiene",
    "Phishing",
    "Customer care",
    "Waste separation",
    "Electrical safety",
];

/// How many courses there are.
pub const COURSES: u64 = TOPICS.len() as u64;

/// A course.
pub struct Course {
    pub number: u64,
    pub title: &'static str,
    pub is_cmi5: bool,
    /// Assignable units, or pages.
    pub parts: u64,
}

impl Course {
    pub fn of(seed: u64, number: u64) -> Self {
        let number = number % COURSES;
        let mut chance = Chance::of(&[seed, 3, number]);
        let title = TOPICS.get(number as usize).copied().unwrap_or("Course");
        Self { number, title, is_cmi5: number.is_multiple_of(2), parts: 3 + chance.below(5) }
    }

    pub fn iri(&self) -> String {
        format!("https://courses.example/{}", self.number)
    }

    /// The IRI of a part.
    pub fn part(&self, part: u64) -> String {
        format!("https://courses.example/{}/{}", self.number, part % self.parts)
    }

    /// The course as an activity in JSON.
    pub fn json(&self) -> String {
        let (iri, title) = (self.iri(), self.title);
        format!(
            r#"{{"objectType":"Activity","id":"{iri}","definition":{{"type":"http://adlnet.gov/expapi/activities/course","name":{{"en":"{title}"}}}}}}"#
        )
    }

    /// A part as an activity in JSON.
    pub fn part_json(&self, part: u64) -> String {
        let (iri, title, part, kind) =
            (self.part(part), self.title, part % self.parts + 1, if self.is_cmi5 { "lesson" } else { "module" });
        format!(
            r#"{{"objectType":"Activity","id":"{iri}","definition":{{"type":"http://adlnet.gov/expapi/activities/{kind}","name":{{"en":"{title}, part {part}"}}}}}}"#
        )
    }

    /// A question of a part, with what is right, as an activity in JSON.
    pub fn question_json(&self, part: u64, question: u64) -> String {
        let (iri, title) = (self.part(part), self.title);
        format!(
            r#"{{"objectType":"Activity","id":"{iri}/question/{question}","definition":{{"type":"http://adlnet.gov/expapi/activities/cmi.interaction","interactionType":"choice","name":{{"en":"{title}, question {question}"}},"correctResponsesPattern":["b"],"choices":[{{"id":"a","description":{{"en":"Never"}}}},{{"id":"b","description":{{"en":"As the procedure says"}}}},{{"id":"c","description":{{"en":"Only when somebody looks"}}}}]}}}}"#
        )
    }
}
