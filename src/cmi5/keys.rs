//! What decides about a statement of cmi5, and the keys by which it is kept.

use uuid::Uuid;

use super::verb::Verb;
use crate::{
    model::{TenantId, names::derived},
    xapi::keys::{self, Ifi},
};

/// What a mark is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum About {
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
    pub fn matters_to(self, verb: Verb) -> bool {
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
    pub fn of(verb: Verb) -> &'static [Self] {
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

/// The keys of what matters to a statement, in the order of [`About::ALL`], made once for all who ask. There is none of a
/// session, registration or unit that the statement does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys([Option<Uuid>; About::ALL.len()]);

impl Keys {
    /// Of what is judged by this verb, in this session and of this unit, by a learner in a registration.
    pub fn of(
        tenant: TenantId,
        verb: Verb,
        (session, unit): (Option<&str>, Option<&str>),
        (registration, actor): (Option<Uuid>, Option<&Ifi>),
    ) -> Self {
        let learner = learner(tenant, actor);
        let text = registration.map_or_else(String::new, |registration| registration.to_string());
        let key = |about: About| {
            let place = if about.is_of_session() { session } else { unit.filter(|_| registration.is_some()) };
            Some(made_of(tenant, about, &text, &learner, place.filter(|_| about.matters_to(verb))?))
        };
        Self(About::ALL.map(key))
    }

    pub fn all(&self) -> impl Iterator<Item = Uuid> {
        self.0.iter().copied().flatten()
    }

    pub fn get(&self, about: About) -> Option<Uuid> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_of_what_it_is_asked_for_and_of_what_was_stored_before() {
        let (tenant, registration) = (TenantId::DEFAULT, Uuid::from_u128(7));
        let keys = |verb| Keys::of(tenant, verb, (Some("a"), Some("unit")), (Some(registration), None));
        let stored =
            |what: &str, place: &str| Some(derived(tenant, "cmi5 mark", &[what, &registration.to_string(), "", place]));
        for (verb, about, what, place) in [
            (Verb::Launched, About::Launched, "launched", "a"),
            (Verb::Initialized, About::Initialized, "initialized", "a"),
            (Verb::Terminated, About::End, "end", "a"),
            (Verb::Abandoned, About::End, "end", "a"),
            (Verb::Completed, About::Completed, "completed", "a"),
            (Verb::Completed, About::CompletedUnit, "completed unit", "unit"),
            (Verb::Failed, About::Verdict, "verdict", "a"),
            (Verb::Failed, About::PassedUnit, "passed unit", "unit"),
            (Verb::Waived, About::WaivedUnit, "waived unit", "unit"),
        ] {
            assert_eq!(keys(verb).get(about), stored(what, place), "{verb:?} {about:?}");
        }
    }

    #[test]
    fn what_a_statement_leaves_was_looked_for() {
        let verbs = [Verb::Launched, Verb::Initialized, Verb::Completed, Verb::Passed, Verb::Failed, Verb::Abandoned]
            .into_iter()
            .chain([Verb::Waived, Verb::Terminated, Verb::Satisfied, Verb::Other]);
        for verb in verbs {
            assert!(About::of(verb).iter().all(|about| about.matters_to(verb)), "{verb:?}");
        }
    }
}
