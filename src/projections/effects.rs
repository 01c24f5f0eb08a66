//! What a verb does to an attempt: a table with a version, so that a replay has the same input as the first run.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

use crate::model::attempt::Effect;

/// The table in force.
pub static EFFECTS: LazyLock<Effects> =
    LazyLock::new(|| Effects::of(include_str!("../../schemas/attempt-effects/2.json")));

/// One version of the table.
#[derive(Debug, Default, Deserialize)]
pub struct Effects {
    pub version: i32,
    effects: HashMap<String, Effect>,
}

impl Effects {
    /// A text that is no table gives an empty one; a test reads every released version.
    fn of(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// An unlisted verb belongs to the attempt and decides nothing.
    pub fn of_verb(&self, iri: &str) -> Effect {
        self.effects.get(iri).copied().unwrap_or(Effect::Belongs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_table_reads_whole() {
        assert_eq!(EFFECTS.version, 2);
        assert_eq!(EFFECTS.effects.len(), 10);
        assert_eq!(EFFECTS.of_verb("http://adlnet.gov/expapi/verbs/passed"), Effect::Passed);
        assert_eq!(EFFECTS.of_verb("https://w3id.org/xapi/adl/verbs/satisfied"), Effect::Satisfied);
        assert_eq!(EFFECTS.of_verb("http://example.com/verbs/juggled"), Effect::Belongs);
    }
}
