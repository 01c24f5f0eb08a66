//! Lock classes: what a migration may take from tables that existed before it. Pure.

use std::{fmt, str::FromStr};

/// The strongest lock a file takes on a table it did not itself create, named by what others feel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockClass {
    /// New objects and row changes only: nobody waits.
    #[default]
    None,
    /// SHARE UPDATE EXCLUSIVE (VALIDATE, ATTACH, CREATE INDEX CONCURRENTLY): only other schema changes wait.
    ShareUpdate,
    /// SHARE and SHARE ROW EXCLUSIVE (CREATE INDEX, CREATE TRIGGER, foreign keys): writers wait.
    Share,
    /// ACCESS EXCLUSIVE for a catalog change: everybody waits, for milliseconds once it is granted.
    ExclusiveBrief,
    /// ACCESS EXCLUSIVE while a table is scanned or rewritten: everybody waits as long as the table is big.
    Exclusive,
}

const NAMES: [(LockClass, &str); 5] = [
    (LockClass::None, "none"),
    (LockClass::ShareUpdate, "share-update"),
    (LockClass::Share, "share"),
    (LockClass::ExclusiveBrief, "exclusive-brief"),
    (LockClass::Exclusive, "exclusive"),
];

impl LockClass {
    /// The word a file's head uses after `-- Lock:`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(class, _)| *class == self).map_or("", |(_, name)| name)
    }

    /// What the others notice while the file runs.
    pub fn effect(self) -> &'static str {
        match self {
            Self::None => "nobody waits",
            Self::ShareUpdate => "other schema changes wait",
            Self::Share => "writers wait",
            Self::ExclusiveBrief => "readers and writers wait briefly",
            Self::Exclusive => "readers and writers wait as long as the table is big",
        }
    }
}

impl fmt::Display for LockClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown lock class {0:?}; known are {known}", known = NAMES.map(|(_, name)| name).join(", "))]
pub struct UnknownLockClass(pub String);

impl FromStr for LockClass {
    type Err = UnknownLockClass;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(class, _)| *class)
            .ok_or_else(|| UnknownLockClass(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_grow_with_the_lock() {
        let mut last = None;
        for (class, name) in NAMES {
            assert_eq!(name.parse(), Ok(class));
            assert!(last < Some(class), "{name} is not stronger than the one before");
            last = Some(class);
        }
        assert!("huge".parse::<LockClass>().unwrap_err().to_string().contains("exclusive-brief"));
    }
}
