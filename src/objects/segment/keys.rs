//! Where segments lie: months, and the keys of objects in the layout that query engines know (`name=value` folders). Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{TenantId, partition::Month};

/// Where one segment lies. A month that is written anew, as an erasure does it, lies beside the old one in a later revision:
/// no published object is ever written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    pub tenant: TenantId,
    pub month: Month,
    /// 0 at first.
    pub revision: u32,
}

impl Place {
    /// The folder of all revisions.
    pub fn folder(&self) -> String {
        format!("tenant={}/month={}", self.tenant, self.month)
    }

    /// The published object with the part of this number.
    pub fn part(&self, number: u32) -> String {
        format!("{}/part-{number:04}{}.parquet", self.folder(), self.suffix())
    }

    /// The manifest beside the parts. Engines skip names with an underscore in front.
    pub fn manifest(&self) -> String {
        format!("{}/_manifest{}.json", self.folder(), self.suffix())
    }

    /// Whose manifest lies under this key; `None` where it is no manifest's.
    pub fn of_manifest(key: &str) -> Option<Self> {
        let mut parts = key.split('/');
        let (tenant, month, name) = (parts.next()?, parts.next()?, parts.next()?);
        let tenant = tenant.strip_prefix("tenant=")?.parse().ok().map(TenantId)?;
        let month = month.strip_prefix("month=")?.parse().ok()?;
        let revision = match name.strip_prefix("_manifest")?.strip_suffix(".json")? {
            "" => 0,
            suffix => suffix.strip_prefix("-r")?.parse().ok()?,
        };
        let place = Self { tenant, month, revision };
        (place.manifest() == key).then_some(place)
    }

    /// Where it is said that nothing of a month is there any more.
    pub fn gone(&self) -> String {
        format!("_gone/{}.json", self.folder())
    }

    /// What one writer has put down and nobody has verified. Each writing has names of its own, so that a writer that was
    /// believed dead cannot change what another one is about to publish.
    pub fn staged(&self, writing: Uuid, number: u32) -> String {
        format!("{}/part-{number:04}.parquet", self.staging(writing))
    }

    /// The folder of one writing, before it is published.
    pub fn staging(&self, writing: Uuid) -> String {
        format!("_staged/{}/{}", self.folder(), writing.hyphenated())
    }

    fn suffix(&self) -> String {
        if self.revision == 0 { String::new() } else { format!("-r{}", self.revision) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.folder())?;
        if self.revision == 0 { Ok(()) } else { write!(f, " revision {}", self.revision) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_engines_expect() {
        let place = Place { tenant: TenantId(Uuid::from_u128(1)), month: "2026-03".parse().unwrap(), revision: 0 };
        let folder = "tenant=00000000-0000-0000-0000-000000000001/month=2026-03";
        assert_eq!(place.part(12), format!("{folder}/part-0012.parquet"));
        assert_eq!(place.manifest(), format!("{folder}/_manifest.json"));
        let later = Place { revision: 2, ..place };
        assert_eq!(later.part(0), format!("{folder}/part-0000-r2.parquet"));
        assert_eq!(later.manifest(), format!("{folder}/_manifest-r2.json"));
        assert_eq!(later.gone(), format!("_gone/{folder}.json"));
        for one in [place, later] {
            assert_eq!(Place::of_manifest(&one.manifest()), Some(one));
            assert_eq!(Place::of_manifest(&one.part(0)), None);
        }
        assert_eq!(Place::of_manifest(&later.manifest().replace("-r2", "-r02")), None, "each has one name");
        assert!(place.staged(Uuid::from_u128(2), 0).starts_with("_staged/tenant="));
    }
}
