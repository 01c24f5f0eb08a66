//! What was before beside what is now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    migrate::{
        fingerprint::{Difference, Fingerprint},
        report::{Report, State},
    },
    store::schema::catalog::{Count, Listing},
};

/// What an earlier look left.
#[derive(Clone, Debug, Deserialize)]
pub struct Then {
    pub status: Status,
    pub snapshot: Snapshot,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    modules: Vec<Module>,
}

#[derive(Clone, Debug, Deserialize)]
struct Module {
    name: String,
    files: Vec<File>,
}

#[derive(Clone, Debug, Deserialize)]
struct File {
    name: String,
    state: String,
    checksum: String,
}

/// A database's objects, with one number that stands for them, and how many rows its tables hold where that was counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub digest: String,
    #[serde(flatten)]
    listing: Listing,
    counted: Option<BTreeMap<String, Count>>,
}

/// Files that are applied now and then, as `module/file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parity {
    pub kept: usize,
    pub came: Vec<String>,
    /// Applied then, and not now or not with that text.
    pub lost: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Tables and columns that are gone. A month that left is not: its parent is there.
    pub gone: Vec<String>,
    /// Tables to which rows are only added and that have fewer: what it had, and what it has. Queues and the like become shorter by themselves.
    pub fewer: BTreeMap<String, (i64, i64)>,
    /// Each line that only one side has: left then, right now.
    pub differences: Vec<Difference>,
}

impl Compared {
    pub fn is_sound(&self) -> bool {
        self.gone.is_empty() && self.fewer.is_empty()
    }
}

impl Snapshot {
    pub fn new(listing: Listing, counted: Option<BTreeMap<String, Count>>) -> Self {
        let digest = Fingerprint::from(listing.clone()).digest;
        Self { digest, listing, counted }
    }

    /// `table a.b` and `column a.b.c`, without what they are like; no month's.
    fn named(&self) -> BTreeSet<String> {
        let lines = || self.listing.objects.iter();
        let months: BTreeSet<&str> =
            lines().filter(|line| line.contains(" of ")).filter_map(|line| table(line)).collect();
        let is_month = |name: &str| months.iter().any(|month| name == *month || is_part(name, month));
        let wanted = |line: &&String| line.starts_with("table ") || line.starts_with("column ");
        let named = lines().filter(wanted).filter_map(|line| {
            let mut words = line.split(' ');
            let (kind, name) = (words.next()?, words.next()?);
            (!is_month(name)).then(|| format!("{kind} {name}"))
        });
        named.collect()
    }
}

fn table(line: &str) -> Option<&str> {
    line.strip_prefix("table ")?.split(' ').next()
}

fn is_part(name: &str, table: &str) -> bool {
    name.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

impl Then {
    pub fn parity(&self, now: &Report) -> Parity {
        let is_there = |state: &str| matches!(state, "applied" | "superseded");
        let files = self.status.modules.iter().flat_map(|module| module.files.iter().map(|file| (&module.name, file)));
        let then: BTreeSet<(String, &str)> = files
            .filter(|(_, file)| is_there(&file.state))
            .map(|(module, file)| (format!("{module}/{}", file.name), file.checksum.as_str()))
            .collect();
        let files = now.modules.iter().flat_map(|module| module.files.iter().map(|file| (&module.name, file)));
        let applied = files.filter(|(_, file)| matches!(file.state, State::Applied | State::Superseded));
        let now: BTreeSet<(String, &str)> =
            applied.map(|(module, file)| (format!("{module}/{}", file.name), file.checksum.as_str())).collect();
        let names = |set: Vec<&(String, &str)>| set.into_iter().map(|(name, _)| name.clone()).collect();
        Parity {
            kept: then.intersection(&now).count(),
            came: names(now.difference(&then).collect()),
            lost: names(then.difference(&now).collect()),
        }
    }

    pub fn compare(&self, now: &Snapshot) -> Compared {
        let then = &self.snapshot;
        let fingerprints = [then, now].map(|one| Fingerprint::from(one.listing.clone()));
        let (had, has) = (then.named(), now.named());
        let (counted, counts) = (then.counted.clone().unwrap_or_default(), now.counted.clone().unwrap_or_default());
        let fewer = counted.into_iter().filter_map(|(table, had)| {
            let has = counts.get(&table)?;
            (had.only_grows && has.rows < had.rows).then_some((table, (had.rows, has.rows)))
        });
        Compared {
            gone: had.difference(&has).cloned().collect(),
            fewer: fewer.collect(),
            differences: fingerprints[0].compare(&fingerprints[1]).differences,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(objects: &[&str], rows: i64) -> Snapshot {
        let objects = objects.iter().map(|line| (*line).to_owned()).collect();
        let counted = [("a.b", true), ("a.queue", false)];
        let counted = counted.map(|(name, only_grows)| (name.to_owned(), Count { rows, only_grows })).into();
        Snapshot::new(Listing { objects, ..Listing::default() }, Some(counted))
    }

    fn then(snapshot: &Snapshot) -> Then {
        let status = json!({ "modules": [{ "name": "m", "files": [
            { "name": "001_a.sql", "state": "applied", "checksum": "sha256:a" },
            { "name": "002_b.sql", "state": "pending", "checksum": "sha256:b" } ] }] });
        serde_json::from_value(json!({ "status": status, "snapshot": snapshot })).unwrap()
    }

    #[test]
    fn what_is_gone_or_smaller_is_told_and_a_month_that_left_is_not() {
        let before = snapshot(
            &["table a.b", "column a.b.c text", "table a.b_2026 of a.b FOR VALUES", "column a.b_2026.c text"],
            3,
        );
        let then = then(&before);
        assert_eq!(then.compare(&before), Compared { gone: vec![], fewer: BTreeMap::new(), differences: vec![] });
        let after = snapshot(&["table a.b", "column a.b.d text"], 2);
        let compared = then.compare(&after);
        assert_eq!(compared.gone, ["column a.b.c"]);
        assert_eq!(compared.fewer, BTreeMap::from([("a.b".to_owned(), (3, 2))]));
        assert!(!compared.is_sound() && compared.differences.len() == 4, "{compared:?}");
        assert!(then.compare(&snapshot(&["table a.b", "column a.b.c bigint"], 9)).is_sound());
    }
}
