//! What an erasure would do, counted by place before anything is done. Pure; it names nobody but to whoever asked.

use serde::Serialize;
use serde_json::{Value, json};

use super::person::Person;
use crate::model::{
    erasure::{Mentions, OnHold, Policy},
    plan,
};

/// How many statements a place has by the person, and how many that mention them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statements {
    pub own: u64,
    pub mentions: u64,
}

/// What stands against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Law {
    pub law: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    pub hot: Statements,
    pub detached: Statements,
    pub archived: Statements,
    /// Segments to write anew, and their bytes.
    pub segments: u64,
    pub segment_bytes: u64,
    pub documents: u64,
    /// Identifiers under which the ledger knows them, and the names seen with these.
    pub agents: u64,
    pub names: u64,
    pub attempts: u64,
    pub completions: u64,
    pub scores: u64,
    pub events: u64,
    pub launches: u64,
}

impl Found {
    /// Statements by where they lie, as people are told.
    pub fn statements(&self) -> [(&'static str, Statements); 3] {
        [("hot", self.hot), ("detached", self.detached), ("archived", self.archived)]
    }

    /// What there is beside statements, as people are told.
    pub fn beside(&self) -> [(&'static str, u64); 9] {
        [
            ("segments to write anew", self.segments),
            ("documents", self.documents),
            ("agents", self.agents),
            ("names", self.names),
            ("attempts", self.attempts),
            ("completions", self.completions),
            ("scores", self.scores),
            ("events that wait or were told", self.events),
            ("launches", self.launches),
        ]
    }
}

/// A plan as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub policy: Policy,
    pub found: Found,
    /// Identifiers that are theirs as well, though nobody named them.
    pub aliases: Vec<Value>,
    pub laws: Vec<Law>,
    /// What a person should look at before it is done.
    pub remarks: Vec<String>,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Erased,
    Queued,
    Refused,
}

impl Plan {
    pub fn of(person: &Person, policy: Policy, found: Found, laws: Vec<Law>) -> Self {
        let alias = |key: &uuid::Uuid| person.agents.get(key).map(|ifi| Value::Object(ifi.to_map()));
        let mut remarks = Vec::new();
        if found == Found::default() {
            remarks.push("nothing was found: what comes later is treated as the policy says".to_owned());
        }
        if person.names > 1 {
            remarks.push(format!(
                "{} names were seen under these identifiers: several persons may share one of them, and what is theirs cannot be \
                 told apart",
                person.names
            ));
        }
        if policy.mentions == Mentions::Keep && mentions(&found) > 0 {
            remarks.push("statements that mention the person are kept, and go on to name them".to_owned());
        }
        let aliases = person.aliases.iter().filter_map(alias).collect();
        Self { policy, found, aliases, laws, remarks }
    }

    pub fn outcome(&self) -> Outcome {
        match (self.laws.is_empty(), self.policy.on_hold) {
            (true, _) => Outcome::Erased,
            (false, OnHold::Queue) => Outcome::Queued,
            (false, OnHold::Refuse) => Outcome::Refused,
        }
    }

    /// What it was when somebody looked at it: who confirms it says what was seen.
    pub fn digest(&self) -> String {
        plan::digest(self)
    }

    /// The same without any identifier, for places that outlive the request.
    pub fn counts(&self) -> Value {
        json!({ "policy": self.policy, "found": self.found, "aliases": self.aliases.len(), "laws": self.laws.len() })
    }
}

fn mentions(found: &Found) -> u64 {
    found.hot.mentions + found.detached.mentions + found.archived.mentions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(laws: Vec<Law>, on_hold: OnHold) -> Plan {
        let policy = Policy { on_hold, ..Policy::default() };
        Plan { policy, found: Found::default(), aliases: Vec::new(), laws, remarks: Vec::new() }
    }

    #[test]
    fn a_law_decides_and_the_request_says_how() {
        let law = || vec![Law { law: "court order 7".to_owned(), reason: "a lawsuit".to_owned() }];
        assert_eq!(plan(Vec::new(), OnHold::Refuse).outcome(), Outcome::Erased);
        assert_eq!(plan(law(), OnHold::Queue).outcome(), Outcome::Queued);
        assert_eq!(plan(law(), OnHold::Refuse).outcome(), Outcome::Refused);
    }

    #[test]
    fn another_plan_has_another_digest() {
        let one = plan(Vec::new(), OnHold::Queue);
        let mut other = one.clone();
        other.found.documents = 1;
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.digest(), one.clone().digest());
    }
}
