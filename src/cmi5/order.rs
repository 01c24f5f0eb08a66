//! What has to come before what, and what only once: the order of a session and of a registration. What was said before
//! comes in as marks, one for each thing that decides what may follow; what is said now leaves marks of its own.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Launch, Said, Verb, rules, said::normal_session};
use crate::{
    model::{TenantId, names::derived},
    xapi::{
        Violation,
        keys::{self, Ifi},
    },
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

/// What a mark is about.
#[derive(Clone, Copy)]
enum About {
    Launched,
    Initialized,
    Completed,
    Verdict,
    /// Terminated, or abandoned.
    End,
    CompletedUnit,
    PassedUnit,
    WaivedUnit,
}

impl About {
    const ALL: [Self; 8] = [
        Self::Launched,
        Self::Initialized,
        Self::Completed,
        Self::Verdict,
        Self::End,
        Self::CompletedUnit,
        Self::PassedUnit,
        Self::WaivedUnit,
    ];

    /// Whether it decides about a statement with this verb, or is what such a statement leaves.
    fn matters_to(self, verb: Verb) -> bool {
        match self {
            Self::Launched => verb == Verb::Launched,
            Self::Initialized => !verb.is_of_lms(),
            Self::End => !verb.is_of_lms() || verb == Verb::Abandoned,
            Self::Completed | Self::CompletedUnit => verb == Verb::Completed,
            Self::Verdict | Self::PassedUnit => matches!(verb, Verb::Passed | Verb::Failed),
            Self::WaivedUnit => verb == Verb::Waived,
        }
    }

    fn is_of_session(self) -> bool {
        !matches!(self, Self::CompletedUnit | Self::PassedUnit | Self::WaivedUnit)
    }

    /// A part of keys that are stored: never changed.
    fn name(self) -> &'static str {
        match self {
            Self::Launched => "launched",
            Self::Initialized => "initialized",
            Self::Completed => "completed",
            Self::Verdict => "verdict",
            Self::End => "end",
            Self::CompletedUnit => "completed unit",
            Self::PassedUnit => "passed unit",
            Self::WaivedUnit => "waived unit",
        }
    }

    /// What a defined statement with this verb says for good.
    fn of(verb: Verb) -> &'static [Self] {
        match verb {
            Verb::Launched => &[Self::Launched],
            Verb::Initialized => &[Self::Initialized],
            Verb::Completed => &[Self::Completed, Self::CompletedUnit],
            Verb::Passed => &[Self::Verdict, Self::PassedUnit],
            Verb::Failed => &[Self::Verdict],
            Verb::Terminated | Verb::Abandoned => &[Self::End],
            Verb::Waived => &[Self::WaivedUnit],
            Verb::Satisfied | Verb::Other => &[],
        }
    }
}

/// A statement as the ledger will keep it.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<'a> {
    pub said: &'a Said,
    pub id: Uuid,
    pub occurred: DateTime<Utc>,
}

/// The keys of what matters to a statement, in the order of [`About::ALL`], made once for all who ask. There is none of a
/// session, registration or unit that the statement does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys([Option<Uuid>; About::ALL.len()]);

impl Keys {
    pub fn of(tenant: TenantId, said: &Said) -> Self {
        let registration = said.registration.map_or_else(String::new, |registration| registration.to_string());
        let learner = learner(tenant, said.actor.as_ref());
        let key = |about: About| {
            let place = if about.is_of_session() { said.session.as_deref() } else { said.object.as_deref() };
            let is_known = about.is_of_session() || said.registration.is_some();
            let place = place.filter(|_| is_known && about.matters_to(said.judged()))?;
            Some(made_of(tenant, about, &registration, &learner, place))
        };
        Self(About::ALL.map(key))
    }

    fn get(&self, about: About) -> Option<Uuid> {
        self.0.get(about as usize).copied().flatten()
    }
}

/// Spelled alike for all that are of one person.
fn learner(tenant: TenantId, actor: Option<&Ifi>) -> String {
    actor.map_or_else(String::new, |ifi| keys::user(tenant.0, ifi, |key| key.to_string()))
}

fn made_of(tenant: TenantId, about: About, registration: &str, learner: &str, place: &str) -> Uuid {
    derived(tenant, "cmi5 mark", &[about.name(), registration, learner, place])
}

impl Said {
    /// The verb by which it is judged: what is only allowed has none of cmi5's.
    fn judged(&self) -> Verb {
        if self.is_defined { self.verb } else { Verb::Other }
    }

    /// The keys of all that decides about it.
    pub fn marks(&self) -> impl Iterator<Item = Uuid> {
        self.keys.0.iter().copied().flatten()
    }
}

/// The key of the end of the session that a launch is bound to.
pub fn end_of_launch(tenant: TenantId, launch: &Launch) -> Option<Uuid> {
    let session = normal_session(tenant, launch.session.as_deref()?)?;
    let learner = learner(tenant, Ifi::of(&launch.actor).as_ref());
    Some(made_of(tenant, About::End, &launch.registration.to_string(), &learner, &session))
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
        debug_assert!(about.matters_to(said.judged()), "{:?} was not looked for", about.name());
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
