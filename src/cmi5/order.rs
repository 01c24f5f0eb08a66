//! What has to come before what, and what only once: the order of a session and of a registration. What was said before
//! comes in as marks, one for each thing that decides what may follow; what is said now leaves marks of its own.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Launch, Said, Verb,
    keys::{About, Keys},
    rules,
    said::normal_session,
};
use crate::{
    model::TenantId,
    xapi::{Violation, keys::Ifi},
};

/// That something was said, and by which statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub key: Uuid,
    pub statement: Uuid,
    pub verb: Verb,
    /// By the statement's own timestamp, which is what cmi5 orders by.
    pub occurred: DateTime<Utc>,
}

/// A statement as the ledger will keep it.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<'a> {
    pub said: &'a Said,
    pub id: Uuid,
    pub occurred: DateTime<Utc>,
}

/// The key of the end of the session that a launch is bound to.
pub fn end_of_launch(tenant: TenantId, launch: &Launch) -> Option<Uuid> {
    let session = normal_session(tenant, launch.session.as_deref()?)?;
    let learner = Ifi::of(&launch.actor);
    let whose = (Some(launch.registration), learner.as_ref());
    Keys::of(tenant, Verb::Terminated, (Some(&session), None), whose).get(About::End)
}

/// What was said before.
#[derive(Clone, Debug, Default)]
pub struct Marks(HashMap<Uuid, Mark>);

impl Marks {
    pub fn new(marks: impl IntoIterator<Item = Mark>) -> Self {
        Self(marks.into_iter().map(|mark| (mark.key, mark)).collect())
    }

    /// Those of them that have one of these keys.
    #[must_use]
    pub fn among(&self, keys: impl Iterator<Item = Uuid>) -> Self {
        Self(keys.filter_map(|key| self.0.get_key_value(&key)).map(|(key, mark)| (*key, mark.clone())).collect())
    }

    pub fn add(&mut self, marks: impl IntoIterator<Item = Mark>) {
        self.0.extend(marks.into_iter().map(|mark| (mark.key, mark)));
    }

    /// What statements of one request break of the order, each once, and the marks that they leave. They are taken in the
    /// order of their timestamps, in which cmi5 orders them.
    pub fn judge(&self, spoken: &[Spoken<'_>]) -> (Vec<Violation>, Vec<Mark>) {
        let mut in_order = spoken.to_vec();
        in_order.sort_by_key(|one| (one.occurred, one.said.statement));
        let (mut known, mut broken, mut left) = (self.clone(), Vec::new(), Vec::new());
        for one in in_order {
            broken.extend(known.broken(one).map(|(rule, pointer, message)| Violation {
                statement: Some(one.said.statement),
                pointer: pointer.to_owned(),
                rule,
                message: message.to_owned(),
            }));
            let marks = known.left_by(one);
            known.add(marks.iter().cloned());
            left.extend(marks);
        }
        broken.sort_by_key(|violation| violation.statement);
        (broken, left)
    }

    fn get(&self, said: &Said, about: About) -> Option<&Mark> {
        debug_assert!(about.matters_to(said.judged()), "{about:?} was not looked for");
        self.0.get(&said.keys.get(about)?)
    }

    /// The marks that were not there.
    fn left_by(&self, Spoken { said, id, occurred }: Spoken<'_>) -> Vec<Mark> {
        let keys = About::of(said.judged()).iter().filter_map(|about| said.keys.get(*about));
        let new = keys.filter(|key| !self.0.contains_key(key));
        new.map(|key| Mark { key, statement: id, verb: said.verb, occurred }).collect()
    }

    /// The first rule of the order that the statement breaks.
    fn broken(&self, one: Spoken<'_>) -> Option<(&'static str, &'static str, &'static str)> {
        let verb = one.said.judged();
        let out_of_place = if verb.is_of_lms() { None } else { self.out_of_place(one, verb) };
        let broken = out_of_place.or_else(|| self.said_again(one.said, verb))?;
        let pointer = if verb == Verb::Other { "" } else { "/verb/id" };
        Some((broken.0, pointer, broken.1))
    }

    /// Whether a unit speaks before its session has begun, or after its end.
    fn out_of_place(&self, one: Spoken<'_>, verb: Verb) -> Option<(&'static str, &'static str)> {
        // Without a session id there is no session to be in.
        one.said.session.as_ref()?;
        match self.get(one.said, About::End) {
            Some(end) if end.verb == Verb::Abandoned => {
                return Some((rules::ABANDONED_LAST, "the session was abandoned"));
            }
            Some(_) if verb == Verb::Terminated => {
                return Some((rules::VERB_TWICE, "the session is terminated already"));
            }
            Some(_) => return Some((rules::TERMINATED_LAST, "the session is terminated")),
            None => {}
        }
        match self.get(one.said, About::Initialized) {
            Some(_) if verb == Verb::Initialized => Some((rules::VERB_TWICE, "the session is initialized already")),
            Some(begin) if one.occurred < begin.occurred => {
                Some((rules::INITIALIZED_FIRST, "its timestamp lies before that of initialized"))
            }
            None if verb != Verb::Initialized => Some((rules::INITIALIZED_FIRST, "the session is not initialized")),
            _ => None,
        }
    }

    /// Whether a verb stands where its session or its unit had it, or its opposite, before.
    fn said_again(&self, said: &Said, verb: Verb) -> Option<(&'static str, &'static str)> {
        let has = |about| self.get(said, about);
        let twice = Some((rules::VERB_TWICE, "the session has a statement with this verb"));
        match verb {
            Verb::Launched if has(About::Launched).is_some() => twice,
            Verb::Abandoned if has(About::End).is_some_and(|end| end.verb == verb) => twice,
            Verb::Completed if has(About::Completed).is_some() => twice,
            Verb::Completed if has(About::CompletedUnit).is_some() => {
                Some((rules::COMPLETED_TWICE, "the unit is completed in this registration"))
            }
            Verb::Passed | Verb::Failed if has(About::Verdict).is_some_and(|verdict| verdict.verb == verb) => twice,
            Verb::Passed | Verb::Failed if has(About::Verdict).is_some() => {
                Some((rules::VERDICT_TWICE, "the session has the other verdict"))
            }
            Verb::Passed if has(About::PassedUnit).is_some() => {
                Some((rules::PASSED_TWICE, "the unit is passed in this registration"))
            }
            Verb::Failed if has(About::PassedUnit).is_some() => {
                Some((rules::FAILED_AFTER_PASSED, "the unit is passed in this registration"))
            }
            Verb::Waived if has(About::WaivedUnit).is_some() => {
                Some((rules::WAIVED_TWICE, "the unit is waived in this registration"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
