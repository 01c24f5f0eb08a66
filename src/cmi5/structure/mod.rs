//! The structure of a course (cmi5 13): which units and blocks it has, and what each unit asks for. Read from a `cmi5.xml`
//! by the rules of its schema.

mod xml;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use url::Url;

use self::xml::Element;
use crate::{
    model::{attempt::MoveOn, score::Score},
    xapi::{decimal::Decimal, syntax::iri::is_iri},
};

const NAMESPACE: &str = "https://w3id.org/xapi/profiles/cmi5/v1/CourseStructure.xsd";

/// What a launch adds to a unit's URL (8.1): no unit has one of its own.
const TAKEN: [&str; 5] = ["endpoint", "fetch", "actor", "registration", "activityId"];

const LONGEST_ID: usize = 4 << 10;

/// A course, by the ids of its publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Structure {
    pub id: String,
    pub title: String,
    pub parts: Vec<Part>,
}

/// A unit or a block, in the order in which they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Part {
    Unit {
        id: String,
        title: String,
        #[serde(rename = "moveOn")]
        move_on: String,
    },
    Block {
        id: String,
        title: String,
        parts: Vec<Part>,
    },
}

impl Structure {
    /// Reads a `cmi5.xml`; the error says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let root = xml::parse(text.trim_start_matches('\u{feff}'), NAMESPACE)?;
        if root.name != "courseStructure" {
            return Err(format!("its root is {}, expected courseStructure", root.name));
        }
        let mut seen = HashSet::new();
        let mut rest = root.children.as_slice();
        let course = take(&mut rest, "course").ok_or("courseStructure begins with course")?;
        let id = id(course, &mut seen)?;
        let title = texts(&mut course.children.as_slice(), "course", &id)?;
        if let Some(objectives) = take(&mut rest, "objectives") {
            for objective in &objectives.children {
                self::id(objective, &mut seen)?;
            }
        }
        let parts = parts(rest, "courseStructure", &mut seen)?;
        Ok(Self { id, title, parts })
    }

    /// Its units, in their order.
    pub fn units(&self) -> Vec<(&str, Option<MoveOn>)> {
        let mut found = Vec::new();
        self.parts.iter().for_each(|part| part.units(&mut found));
        found
    }
}

impl Part {
    fn units<'a>(&'a self, found: &mut Vec<(&'a str, Option<MoveOn>)>) {
        match self {
            Self::Unit { id, move_on, .. } => found.push((id, MoveOn::named(move_on))),
            Self::Block { parts, .. } => parts.iter().for_each(|part| part.units(found)),
        }
    }
}

/// The first of the elements, if it has this name.
fn take<'a>(rest: &mut &'a [Element], name: &str) -> Option<&'a Element> {
    let (first, others) = rest.split_first()?;
    (first.name == name).then(|| {
        *rest = others;
        first
    })
}

/// An id, which is an absolute IRI and stands once in a course.
fn id(element: &Element, seen: &mut HashSet<String>) -> Result<String, String> {
    let name = &element.name;
    let id = element.attribute("id").ok_or_else(|| format!("{name} has no id"))?;
    if !is_iri(id) || id.len() > LONGEST_ID {
        return Err(format!("the id {id:.100} of {name} is no absolute IRI of at most {LONGEST_ID} bytes"));
    }
    if !seen.insert(format!("{name} {id}")) {
        return Err(format!("the id {id:.100} of {name} stands twice"));
    }
    Ok(id.to_owned())
}

/// Title and description, which stand first; the title in its first language.
fn texts(rest: &mut &[Element], what: &str, id: &str) -> Result<String, String> {
    let mut text = |name: &str| {
        let element = take(rest, name).ok_or_else(|| format!("{what} {id:.100} has no {name} in its place"))?;
        let first = element.children.iter().find(|child| child.name == "langstring");
        first.map(|first| first.text.trim().to_owned()).ok_or_else(|| format!("{name} of {what} {id:.100} is empty"))
    };
    let title = text("title")?;
    text("description")?;
    Ok(title)
}

/// At least one unit or block, and nothing else.
fn parts(rest: &[Element], whose: &str, seen: &mut HashSet<String>) -> Result<Vec<Part>, String> {
    if rest.is_empty() {
        return Err(format!("{whose:.100} has neither au nor block"));
    }
    rest.iter().map(|element| part(element, seen)).collect()
}

fn part(element: &Element, seen: &mut HashSet<String>) -> Result<Part, String> {
    if !matches!(element.name.as_str(), "au" | "block") {
        return Err(format!("{} stands where an au or a block is expected", element.name));
    }
    let id = id(element, seen)?;
    let mut rest = element.children.as_slice();
    let title = texts(&mut rest, &element.name, &id)?;
    take(&mut rest, "objectives");
    if element.name == "block" {
        return Ok(Part::Block { parts: parts(rest, &id, seen)?, id, title });
    }
    let url = take(&mut rest, "url").ok_or_else(|| format!("au {id:.100} has no url in its place"))?;
    launchable(url.text.trim(), &id)?;
    take(&mut rest, "launchParameters");
    take(&mut rest, "entitlementKey");
    if let Some(more) = rest.first() {
        return Err(format!("{} does not belong into au {id:.100}, or not there", more.name));
    }
    let known = |name: &str, values: &[&str]| match element.attribute(name) {
        Some(value) if !values.contains(&value) => Err(format!("{name} of au {id:.100} is none of {values:?}")),
        value => Ok(value),
    };
    known("launchMethod", &["AnyWindow", "OwnWindow"])?;
    let move_on = known("moveOn", &MoveOn::ALL.map(MoveOn::as_str))?.unwrap_or("NotApplicable").to_owned();
    if let Some(score) = element.attribute("masteryScore") {
        let is_number = Score::parse(score).is_some() && !score.contains(['e', 'E', '-']);
        if !is_number || Decimal::of(score) > Decimal::of("1") {
            return Err(format!("masteryScore of au {id:.100} is no number from 0 to 1"));
        }
    }
    Ok(Part::Unit { id, title, move_on })
}

/// A course that comes without its files has fully qualified URLs (14.2), none with a parameter of the launch (8.1).
fn launchable(url: &str, id: &str) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("the url {url:.100} of au {id:.100} {why}"));
    if url.is_empty() || url.contains(char::is_whitespace) {
        return refuse("is no URL");
    }
    let Ok(parsed) = Url::parse(url) else { return refuse("is not fully qualified") };
    match parsed.query_pairs().find(|(name, _)| TAKEN.contains(&&**name)) {
        Some((name, _)) => refuse(&format!("has the parameter {name}, which is the launch's")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
