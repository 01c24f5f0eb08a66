//! The filter of a page in the words of segments. Pure.

use crate::{
    objects::segment::{self, Key},
    store::ledger::pages::{Filter, Sight},
};

/// What a statement has to be to answer by itself.
pub(super) fn direct(filter: &Filter) -> segment::Filter {
    let mut wanted = in_sight(filter);
    if let Some(verb) = filter.verb {
        wanted = wanted.and(Key::Verb, verb, &[]);
    }
    if let Some(agent) = filter.agent {
        wanted = wanted.and(Key::Agent, agent, &filter.agent_relations());
    }
    if let Some(activity) = filter.activity {
        wanted = wanted.and(Key::Activity, activity, &filter.activity_relations());
    }
    if let Some(registration) = filter.registration {
        wanted = wanted.and(Key::Registration, registration, &[]);
    }
    wanted
}

/// What it has to be to be in sight.
pub(super) fn in_sight(filter: &Filter) -> segment::Filter {
    let all = segment::Filter::default();
    match &filter.sight {
        Sight::Everything => all,
        Sight::Authority(key) => all.and_related(*key),
        Sight::Actors(keys) => all.and_one_of(Key::Agent, keys),
    }
}
