//! What this process knows to be written already, so that an ordinary statement touches no shared row but its own.
//!
//! Entries are made only after a commit. Losing one costs a redundant write, never a missing one.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::TenantId;
use crate::xapi::{
    prepare::Prepared,
    relations::{SeenActivity, SeenAgent},
};

/// Bounded memories of activities, agents and verbs.
pub struct Seen(Mutex<Memories>);

struct Memories {
    /// Activity key → fingerprint of the definition last merged.
    activities: Memory<Uuid, u64>,
    /// Agent key and name, as a fingerprint.
    agents: Memory<(Uuid, u64), ()>,
    /// Verb key and the languages of a display, as a fingerprint: nothing else of it is merged.
    verbs: Memory<(Uuid, u64), ()>,
}

/// What of a group is not known to be written, in the order of its statements. The memories hold no tenant: each key is one
/// of its tenant alone.
#[derive(Default)]
pub struct Unseen<'a> {
    pub agents: Vec<(TenantId, &'a SeenAgent)>,
    pub activities: Vec<(TenantId, &'a SeenActivity)>,
    /// Statements whose verb it is.
    pub verbs: Vec<&'a Prepared>,
}

/// What to remember once the transaction that wrote it is committed.
#[derive(Default)]
pub struct Written {
    agents: Vec<(Uuid, u64)>,
    activities: Vec<(Uuid, Option<u64>)>,
    verbs: Vec<(Uuid, u64)>,
}

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(Memories::new()))
    }
}

impl Memories {
    fn new() -> Self {
        Self { activities: Memory::new(100_000), agents: Memory::new(200_000), verbs: Memory::new(10_000) }
    }
}

impl Seen {
    /// Looks all statements of a group up at once.
    pub fn unseen<'a>(&self, statements: impl Iterator<Item = &'a Prepared>) -> (Unseen<'a>, Written) {
        let (mut unseen, mut written) = (Unseen::default(), Written::default());
        let mut memories = self.lock();
        for statement in statements {
            let tenant = TenantId(statement.tenant());
            let languages = statement.verb.display.iter().flat_map(Map::keys);
            let entry = (statement.verb_key, fingerprint(|hasher| languages.for_each(|tag| tag.hash(hasher))));
            if memories.verbs.get(&entry).is_none() {
                unseen.verbs.push(statement);
                written.verbs.push(entry);
            }
            for agent in &statement.agents {
                let entry = (agent.key, fingerprint(|hasher| agent.name.hash(hasher)));
                if memories.agents.get(&entry).is_none() {
                    unseen.agents.push((tenant, agent));
                    written.agents.push(entry);
                }
            }
            for activity in &statement.activities {
                let definition = activity.definition.as_ref().map(|map| fingerprint(|hasher| object(map, hasher)));
                // Without a definition there is nothing to merge once the row exists.
                let known = memories.activities.get(&activity.key);
                if known.is_none_or(|known| definition.is_some_and(|definition| definition != known)) {
                    unseen.activities.push((tenant, activity));
                    written.activities.push((activity.key, definition));
                }
            }
        }
        (unseen, written)
    }

    pub fn note(&self, written: Written) {
        let mut memories = self.lock();
        for verb in written.verbs {
            memories.verbs.put(verb, ());
        }
        for agent in written.agents {
            memories.agents.put(agent, ());
        }
        for (key, definition) in written.activities {
            if let Some(definition) = definition {
                memories.activities.put(key, definition);
            } else if memories.activities.get(&key).is_none() {
                memories.activities.put(key, 0);
            }
        }
    }

    /// Forgets everything: rows were removed beneath it.
    pub fn clear(&self) {
        *self.lock() = Memories::new();
    }

    fn lock(&self) -> MutexGuard<'_, Memories> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps at least the `most / 2` entries used last and at most `most`: two halves, of which the older is dropped whole.
struct Memory<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    most: usize,
}

impl<K: Eq + Hash + Copy, V: Copy> Memory<K, V> {
    fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(*value);
        }
        let value = self.old.remove(key)?;
        self.put(*key, value);
        Some(value)
    }

    fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

fn fingerprint(feed: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    feed(&mut hasher);
    hasher.finish()
}

/// In the order of its properties, unlike the map's own hash, which has to sort them first.
fn object(map: &Map<String, Value>, hasher: &mut DefaultHasher) {
    map.len().hash(hasher);
    for (name, value) in map {
        name.hash(hasher);
        match value {
            Value::Object(map) => object(map, hasher),
            value => value.hash(hasher),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::xapi::{Author, Limits, Version, keys::Ifi, prepare, read};

    fn statement(name: &str, definition: Option<Value>) -> Prepared {
        let mut object = json!({"id": "http://example.com/a"});
        if let Some(definition) = definition {
            object["definition"] = definition;
        }
        let body = json!({"actor": {"name": name, "mbox": "mailto:a@example.com"},
            "verb": {"id": "http://example.com/v"}, "object": object});
        let limits = Limits::default();
        let mut batch = read::statements(body.to_string().as_bytes(), Version::V1_0_3, &limits).unwrap();
        let author = Author::new(Uuid::nil(), &Ifi::Mbox("mailto:lrs@example.com".into()).to_map(), Version::V1_0_3);
        prepare(batch.statements.pop().unwrap(), &author, Uuid::nil, DateTime::UNIX_EPOCH)
    }

    /// How many agents, activities and verbs of the statements are new, which are then written.
    fn write(seen: &Seen, statements: &[Prepared]) -> (usize, usize, usize) {
        let (unseen, written) = seen.unseen(statements.iter());
        let counts = (unseen.agents.len(), unseen.activities.len(), unseen.verbs.len());
        seen.note(written);
        counts
    }

    #[test]
    fn what_was_written_is_not_written_again() {
        let (seen, ann) = (Seen::default(), statement("Ann", None));
        assert_eq!(write(&seen, std::slice::from_ref(&ann)), (2, 1, 1), "the actor and the authority");
        assert_eq!(write(&seen, std::slice::from_ref(&ann)), (0, 0, 0));
        assert_eq!(write(&seen, &[statement("Anna", None)]), (1, 0, 0), "another name of the same agent");
    }

    #[test]
    fn nothing_is_known_before_it_is_noted() {
        let (seen, ann) = (Seen::default(), [statement("Ann", None)]);
        drop(seen.unseen(ann.iter()));
        assert_eq!(write(&seen, &ann), (2, 1, 1));
    }

    #[test]
    fn only_another_definition_is_merged() {
        let seen = Seen::default();
        let defined = |name: &str| statement("Ann", Some(json!({"name": {"en": name}})));
        assert_eq!(write(&seen, &[statement("Ann", None)]).1, 1);
        assert_eq!(write(&seen, &[defined("One")]).1, 1);
        assert_eq!(write(&seen, &[defined("One"), statement("Ann", None)]).1, 0);
        assert_eq!(write(&seen, &[defined("Two")]).1, 1);
        assert_eq!(write(&seen, &[defined("One")]).1, 1, "the later definition wins, so it is merged again");
    }

    #[test]
    fn a_memory_is_bounded_and_keeps_what_is_used() {
        let mut memory = Memory::new(10);
        for key in 0..1_000 {
            memory.put(key, key);
            assert_eq!(memory.get(&0), Some(0), "in use all the time");
            assert_eq!(memory.get(&key), Some(key));
            assert!(memory.young.len() + memory.old.len() <= 10);
        }
        assert_eq!(memory.get(&500), None);
    }
}
