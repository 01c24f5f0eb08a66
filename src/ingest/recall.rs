//! What a transaction has to know of statements that the hot tables do not hold: it stops where it finds that out, what it
//! needs is read while no transaction is held, and it begins anew with that.

use std::collections::HashMap;

use crate::{
    cold::{Cold, ColdError},
    model::TenantId,
    store::{
        StoreError,
        door::error::AsStoreError,
        ledger::{
            links::{Elsewhere, Reached},
            statements::{Id, Known, id_of},
        },
    },
    xapi::prepare::Prepared,
};
use chrono::{DateTime, Utc};

/// Why a transaction stopped.
#[derive(Debug)]
pub(super) enum Halt {
    Store(StoreError),
    /// Whether statements are the same as these, stored at these moments, cannot be told.
    Known(Vec<DateTime<Utc>>),
    /// By what statements that are referred to are found cannot be told.
    Reached(Vec<DateTime<Utc>>),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl AsStoreError for Halt {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Known(_) | Self::Reached(_) => None,
        }
    }
}

/// What was read so far, by the moments at which it was stored.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    occurred: HashMap<DateTime<Utc>, Option<DateTime<Utc>>>,
    pub reached: Elsewhere,
    /// What is reached cannot be read now: the background follows these references.
    pub later: bool,
}

impl Recalled {
    /// Reads what was stored at these moments.
    pub async fn read(&mut self, cold: &Cold, tenant: TenantId, moments: &[DateTime<Utc>]) -> Result<(), ColdError> {
        let (mut occurred, mut reached) = (HashMap::new(), Elsewhere::new());
        for moment in moments {
            occurred.insert(*moment, None);
            reached.insert(*moment, None);
        }
        let mut each = |kept| {
            let found = Reached::of(tenant, &kept)?;
            occurred.insert(kept.stored, kept.occurred);
            reached.insert(kept.stored, Some(found));
            Ok(())
        };
        cold.at(tenant, moments, &mut each).await?;
        self.occurred.extend(occurred);
        self.reached.extend(reached);
        Ok(())
    }

    /// Completes what the database knows of ids. Only a timestamp can still make a difference, and only to one of the same
    /// content that brings one.
    pub fn complete(&self, known: &mut HashMap<Id, Known>, callers: &[&[Prepared]]) -> Result<(), Halt> {
        let mut unknown = Vec::new();
        for (id, known) in known.iter_mut().filter(|(_, known)| known.is_away && !known.erased) {
            let matters = |one: &Prepared| id_of(one) == *id && one.has_timestamp && one.digest[..] == known.digest[..];
            match self.occurred.get(&known.stored) {
                Some(occurred) => known.occurred = *occurred,
                None if callers.iter().copied().flatten().any(matters) => unknown.push(known.stored),
                None => {}
            }
        }
        if unknown.is_empty() { Ok(()) } else { Err(Halt::Known(unknown)) }
    }
}
