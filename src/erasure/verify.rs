//! Verifying an erasure long after it: that what it removed is nowhere, by ids alone; and, where somebody says again who it was about,
//! that nothing of them is.

use serde::Serialize;
use uuid::Uuid;

use super::{
    ErasureError, Erasures,
    person::{Fate, Person},
    subject::Subject,
};
use crate::{
    objects::segment::{Filter, Row},
    store::{
        As,
        ledger::{away::Published, erased, erasing, erasures, tables::Tables},
    },
};

/// What was looked for, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Statements that went, and that were looked for by their ids.
    pub statements: u64,
    /// Those of them that a table or a segment still has.
    pub still_there: u64,
    /// Whether the identifiers that were given are those of the erasure; absent where none were.
    pub is_them: Option<bool>,
    /// What is there under these identifiers now; arrived later, where the policy accepts that.
    pub under_identifiers: Option<u64>,
}

impl Verified {
    pub fn is_clean(&self) -> bool {
        self.still_there == 0 && self.is_them != Some(false)
    }
}

impl Erasures {
    /// Looks for what an erasure removed.
    pub async fn verify(&self, id: Uuid, subject: Option<&Subject>) -> Result<Verified, ErasureError> {
        let erasure = self.get(id).await?.ok_or(ErasureError::Unknown(id))?;
        let (tenant, store) = (erasure.tenant, self.cold.store());
        let noted = store.run_tx("noted", As::Worker, |tx| Box::pin(erasures::noted(tx, tenant, id, false))).await?;
        let mut verified = Verified { statements: noted.len() as u64, ..Verified::default() };
        for some in noted.chunks(5_000) {
            for tables in [Tables::Hot, Tables::Detached] {
                let still = store.run_tx("still", As::Worker, |tx| Box::pin(erasing::still(tx, tenant, tables, some)));
                verified.still_there += still.await?.unsigned_abs();
            }
            let filter = Filter::default().at(some.iter().map(|(_, stored)| *stored));
            let mut each = |_: &Published, row: Row| {
                verified.still_there += u64::from(some.contains(&(row.id, row.stored)));
            };
            self.cold.sift(tenant, (&filter, None), &mut each).await?;
        }
        if let Some(subject) = subject {
            self.look_for(tenant, subject, &mut verified).await?;
        }
        Ok(verified)
    }

    async fn look_for(
        &self,
        tenant: crate::model::TenantId,
        subject: &Subject,
        verified: &mut Verified,
    ) -> Result<(), ErasureError> {
        let store = self.cold.store();
        let person = Person::find(&self.cold, tenant, subject).await?;
        let (keys, sought) = (&person.keys(), &person.sought());
        let known = store.run_tx("known_erased", As::Worker, |tx| Box::pin(erased::known(tx, tenant, keys, false)));
        verified.is_them = Some(!known.await?.is_empty());
        let mut there = 0;
        for tables in [Tables::Hot, Tables::Detached] {
            let count =
                store.run_tx("count_again", As::Worker, |tx| Box::pin(erasing::count(tx, tenant, tables, sought)));
            let (own, mentions, _) = count.await?;
            there += own.unsigned_abs() + mentions.unsigned_abs();
        }
        let mut each = |_: &Published, row: Row| {
            let fate = person.fate(row.agent_key, &row.relations, crate::model::erasure::Mentions::Delete);
            there += u64::from(fate != Fate::Stays);
        };
        self.cold.sift(tenant, (&person.filter(), None), &mut each).await?;
        verified.under_identifiers = Some(there);
        Ok(())
    }
}
