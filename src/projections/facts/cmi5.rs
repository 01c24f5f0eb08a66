//! What makes a statement one of cmi5's, and what it says there.

use serde_json::{Map, Value};

use super::{COURSE_TYPES, EFFECTS, activities, course_among, object, text};
use crate::{
    cmi5::{CATEGORY, MOVE_ON, SESSION},
    model::{
        TenantId,
        attempt::{Cmi5, Effect, MoveOn},
        names::given,
    },
    xapi::keys,
};

/// A cmi5 statement: one with the category ("defined"), or one that an assignable unit sends in its session ("allowed").
pub(super) struct Said {
    pub cmi5: Cmi5,
    is_defined: bool,
    is_about_course: bool,
}

/// `None`: the statement is not one of cmi5's.
pub(super) fn read(tenant: TenantId, statement: &Map<String, Value>, context: &Map<String, Value>) -> Option<Said> {
    let related = object(context, "contextActivities");
    let is_defined = activities(related, "category").any(|activity| text(activity, "id") == Some(CATEGORY));
    let extension = |name| object(context, "extensions").and_then(|all| text(all, name));
    let session = extension(SESSION).and_then(|session| given(tenant, "cmi5 session", session));
    if !is_defined && session.is_none() {
        return None;
    }
    let target = object(statement, "object");
    let id = target.and_then(|target| text(target, "id"));
    let kind = target.and_then(|target| object(target, "definition")).and_then(|definition| text(definition, "type"));
    let is_about_course = match kind {
        Some(kind) => COURSE_TYPES.contains(&kind),
        None => id.is_some() && id == course_among(activities(related, "grouping")),
    };
    // What is satisfied is a block or the course, whatever its object says of itself: never a unit.
    let verb = object(statement, "verb").and_then(|verb| text(verb, "id"));
    let is_satisfied = verb.is_some_and(|verb| EFFECTS.of_verb(verb) == Effect::Satisfied);
    let is_about_unit = is_defined && !is_about_course && !is_satisfied;
    let unit = id.filter(|_| is_about_unit).map(|id| keys::activity(tenant.0, id));
    let move_on = extension(MOVE_ON).and_then(MoveOn::named);
    Some(Said { cmi5: Cmi5 { unit, session, move_on }, is_defined, is_about_course })
}

impl Said {
    /// The verb's effect here: only a defined statement decides anything, and only a course is done when it is satisfied:
    /// a block is a part of it.
    pub fn effect(&self, of_verb: Effect) -> Effect {
        match of_verb {
            Effect::Satisfied if !self.is_about_course => Effect::Belongs,
            effect if self.is_defined => effect,
            _ => Effect::Belongs,
        }
    }
}
