//! Writes what statements say of agents, activities and verbs, as far as this process does not know it to be written.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    seen::Unseen,
    vocabulary::{self, Gathered, NamedAgent, Noun},
};
use crate::store::{StoreError, Tx};
use crate::{
    model::TenantId,
    xapi::{activity, relations::SeenAgent, verb},
};

/// Merges what this process has not seen before: agents, activities and verbs, in this order and sorted by tenant and key
/// in every transaction, so that two groups that share them wait for each other instead of deadlocking.
pub async fn remember(tx: &Tx<'_>, unseen: Unseen<'_>) -> Result<(), StoreError> {
    if !unseen.agents.is_empty() {
        let named = |(tenant, agent): (TenantId, &SeenAgent)| NamedAgent {
            tenant,
            key: agent.key,
            ifi: agent.ifi.clone(),
            name: agent.name.clone(),
        };
        let mut agents: Vec<NamedAgent> = unseen.agents.into_iter().map(named).collect();
        agents.sort_by_key(|agent| (agent.tenant, agent.key));
        vocabulary::remember_agents(tx, &agents).await?;
    }
    let activities = unseen.activities.iter().map(|(tenant, activity)| Said {
        noun: (*tenant, activity.key),
        iri: &activity.iri,
        what: activity.definition.as_ref(),
    });
    let merge = |known: &mut Known, later: &Known| activity::merge(known, later.clone());
    gather(tx, Gathered::Definitions, activities.collect(), merge).await?;
    let verbs = unseen.verbs.iter().map(|statement| Said {
        noun: (TenantId(statement.tenant()), statement.verb_key),
        iri: &statement.verb.iri,
        what: statement.verb.display.as_ref(),
    });
    gather(tx, Gathered::Displays, verbs.collect(), verb::merge).await
}

type Known = Map<String, Value>;

/// What a statement says of an activity or a verb.
struct Said<'a> {
    noun: Noun,
    iri: &'a str,
    what: Option<&'a Known>,
}

/// Merges what statements say into what is known.
async fn gather(
    tx: &Tx<'_>,
    what: Gathered,
    mut said: Vec<Said<'_>>,
    merge: impl Fn(&mut Known, &Known),
) -> Result<(), StoreError> {
    if said.is_empty() {
        return Ok(());
    }
    // Stable: statements of one group keep their order, so that the later or the earlier wins as the merge has it.
    said.sort_by_key(|said| said.noun);
    let mut nouns: Vec<(Noun, &str)> = said.iter().map(|said| (said.noun, said.iri)).collect();
    nouns.dedup_by_key(|(noun, _)| *noun);
    let mut known = vocabulary::lock(tx, what, &nouns).await?;
    let mut changed: HashMap<Noun, String> = HashMap::new();
    for Said { noun, what, .. } in said {
        let Some(later) = what else { continue };
        let merged = known.entry(noun).or_default();
        let (before, target) = (merged.clone(), merged.get_or_insert_default());
        merge(target, later);
        if before.as_ref() != Some(target) {
            changed.insert(noun, to_text(target));
        }
    }
    let mut changed: Vec<(Noun, String)> = changed.into_iter().collect();
    changed.sort_by_key(|(noun, _)| *noun);
    vocabulary::write(tx, what, &changed).await
}

fn to_text(map: &Known) -> String {
    Value::Object(map.clone()).to_string()
}
