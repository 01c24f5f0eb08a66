//! Query parameters read one by one; every fault is noted, so that an answer names them all.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Limits, Version, Violation, Violations, keys::Ifi, read, rules::table as rule, syntax};

/// The parameters of one request, unknown and repeated ones already refused.
pub(super) struct Params<'a> {
    given: Vec<(&'a str, &'a str)>,
    limits: &'a Limits,
    violations: Vec<Violation>,
}

impl<'a> Params<'a> {
    pub fn new(given: &'a [(String, String)], known: &[&str], limits: &'a Limits) -> Self {
        let mut params = Self { given: Vec::with_capacity(given.len()), limits, violations: Vec::new() };
        for (name, value) in given {
            if !known.contains(&name.as_str()) {
                params.refuse(rule::QUERY_UNKNOWN, unknown(name, known));
            } else if params.text(name).is_some() {
                params.refuse(rule::QUERY_TWICE, format!("parameter {name} is given twice"));
            } else {
                params.given.push((name, value));
            }
        }
        params
    }

    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| *value)
    }

    pub fn refuse(&mut self, rule: &'static str, message: impl Into<String>) {
        if self.violations.len() < self.limits.violations {
            self.violations.push(Violation { statement: None, pointer: String::new(), rule, message: message.into() });
        }
    }

    /// The value of a parameter that must be there.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(&mut Self, &str) -> Option<T>) -> Option<T> {
        if self.text(name).is_none() {
            self.refuse(rule::QUERY_MISSING, format!("parameter {name} is required"));
        }
        read(self, name)
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        rule: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(text);
        if value.is_none() {
            self.refuse(rule, format!("parameter {name} must be {wanted}, but is {}", shown(text)));
        }
        value
    }

    pub fn uuid(&mut self, name: &str) -> Option<Uuid> {
        self.parsed(name, rule::QUERY_UUID, "a UUID", syntax::uuid::parse)
    }

    pub fn iri(&mut self, name: &str) -> Option<String> {
        let most = self.limits.iri_bytes;
        if self.text(name).is_some_and(|text| text.len() > most) {
            self.refuse(rule::QUERY_IRI, format!("parameter {name} is longer than {most} bytes"));
            return None;
        }
        self.parsed(name, rule::QUERY_IRI, "an IRI with a scheme", |text| {
            syntax::iri::is_iri(text).then(|| text.to_owned())
        })
    }

    /// A document's name: any text but none.
    pub fn name(&mut self, name: &str) -> Option<String> {
        let most = self.limits.iri_bytes;
        let wanted = format!("1 to {most} bytes of text without NUL");
        self.parsed(name, rule::QUERY_NAME, &wanted, |text| {
            (!text.is_empty() && text.len() <= most && !text.contains('\0')).then(|| text.to_owned())
        })
    }

    pub fn instant(&mut self, name: &str) -> Option<DateTime<Utc>> {
        self.parsed(name, rule::QUERY_TIMESTAMP, "an ISO 8601 timestamp", syntax::timestamp::parse)
    }

    pub fn flag(&mut self, name: &str) -> bool {
        self.parsed(name, rule::QUERY_BOOLEAN, "true or false", |text| bool::from_str(text).ok()).unwrap_or(false)
    }

    pub fn one_of<T: Copy>(&mut self, name: &str, values: &[(&str, T)]) -> Option<T> {
        let wanted = values.iter().map(|(text, _)| *text).collect::<Vec<_>>().join(" or ");
        self.parsed(name, rule::QUERY_CHOICE, &wanted, |text| values.iter().find(|(t, _)| *t == text).map(|(_, v)| *v))
    }

    /// 0 and anything above the server's maximum mean the maximum.
    pub fn limit(&mut self, name: &str) -> usize {
        let most = self.limits.page;
        let limit = self.parsed(name, rule::QUERY_LIMIT, "a number from 0", |text| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            // A number too large for the machine is above the maximum all the same.
            is_number.then(|| text.parse::<usize>().unwrap_or(usize::MAX))
        });
        limit.filter(|&limit| limit > 0).map_or(most, |limit| limit.min(most))
    }

    /// An agent or identified group as JSON.
    pub fn actor(&mut self, name: &str) -> Option<Ifi> {
        self.agent_json(name, true)
    }

    /// An agent as JSON: a group is none.
    pub fn agent(&mut self, name: &str) -> Option<Ifi> {
        self.agent_json(name, false)
    }

    fn agent_json(&mut self, name: &str, groups: bool) -> Option<Ifi> {
        let text = self.text(name)?;
        match read_agent(text, groups, self.limits) {
            Ok(ifi) => Some(ifi),
            Err(fault) => {
                self.refuse(rule::QUERY_AGENT, format!("parameter {name} is no valid agent: {fault}"));
                None
            }
        }
    }

    /// The value read, if nothing was refused.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Violations> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => Err(Violations(self.violations)),
        }
    }
}

fn read_agent(text: &str, groups: bool, limits: &Limits) -> Result<Ifi, String> {
    // Agents are the same in both versions.
    let agent = read::agent(text, Version::V2_0_0, limits).map_err(|violations| {
        violations
            .0
            .first()
            .map_or_else(String::new, |v| format!("{} {}", v.pointer, v.message).trim_start().to_owned())
    })?;
    if !groups && agent.get("objectType").is_some_and(|t| t == "Group") {
        return Err("it must be an Agent, not a Group".to_owned());
    }
    Ifi::of(&agent).ok_or_else(|| "it must have an identifier".to_owned())
}

/// At most a line of a value, so that an answer cannot be made long by a request.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    if start.len() < text.len() { format!("{start:?}…") } else { format!("{start:?}") }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let lower = name.to_ascii_lowercase();
    let nearest = known.iter().map(|k| (distance(&lower, &k.to_ascii_lowercase()), *k)).min();
    match nearest {
        Some((far, near)) if far <= 3 => format!("parameter {} is unknown; did you mean {near}?", shown(name)),
        _ if known.is_empty() => format!("parameter {} is unknown; this request takes none", shown(name)),
        _ => format!("parameter {} is unknown; known are {}", shown(name), known.join(", ")),
    }
}

/// How many letters must change, come or go to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
