//! What this process knows to be written already, so that an ordinary statement touches no shared row but its own.
//!
//! Entries are made only after a commit. Losing one costs a redundant write, never a missing one.

use std::hash::{DefaultHasher, Hash, Hasher};

use moka::sync::Cache;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Bounded memories of activities, agents and verbs.
pub(super) struct Seen {
    /// Activity key → fingerprint of the definition last merged.
    activities: Cache<Uuid, u64>,
    /// Agent key and name, as a fingerprint.
    agents: Cache<(Uuid, u64), ()>,
    verbs: Cache<Uuid, ()>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { activities: Cache::new(100_000), agents: Cache::new(200_000), verbs: Cache::new(10_000) }
    }
}

impl Seen {
    pub fn activity(&self, key: Uuid, definition: Option<&Map<String, Value>>) -> bool {
        // Without a definition there is nothing to merge once the row exists.
        self.activities.get(&key).is_some_and(|seen| definition.is_none() || seen == fingerprint(&definition))
    }

    pub fn note_activity(&self, key: Uuid, definition: Option<&Map<String, Value>>) {
        if definition.is_some() || !self.activities.contains_key(&key) {
            self.activities.insert(key, fingerprint(&definition));
        }
    }

    pub fn agent(&self, key: Uuid, name: Option<&str>) -> bool {
        self.agents.contains_key(&(key, fingerprint(&name)))
    }

    pub fn note_agent(&self, key: Uuid, name: Option<&str>) {
        self.agents.insert((key, fingerprint(&name)), ());
    }

    pub fn verb(&self, key: Uuid) -> bool {
        self.verbs.contains_key(&key)
    }

    pub fn note_verb(&self, key: Uuid) {
        self.verbs.insert(key, ());
    }
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
