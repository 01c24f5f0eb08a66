//! The end of an erasure: everything is looked through once more, and only where nothing is found is it called done, in a
//! transaction that no copy of rows can pass by.

use super::{
    ErasureError, Stepped,
    person::Fate,
    work::{Work, said},
};
use crate::{
    model::erasure::{Mentions, State},
    objects::segment::Row,
    store::{
        Tx,
        ledger::{
            away::{self, Published},
            erasing,
            tables::Tables,
        },
    },
};

impl Work<'_> {
    /// Looks through segments and ends, or goes on where something was found.
    pub async fn end(&self) -> Result<Stepped, ErasureError> {
        let mut is_left = false;
        let mut each = |_: &Published, row: Row| {
            is_left |= self.person.fate(row.agent_key, &row.relations, self.erasure.policy.mentions) != Fate::Stays;
        };
        let looked = self.erasures.cold.sift(self.erasure.tenant, (&self.person.filter(), None), &mut each).await?;
        if is_left || !self.ended(State::Erased, None, &looked).await? {
            return Ok(Stepped::More);
        }
        let erasure = self.erasures.get(self.erasure.id).await?.ok_or(ErasureError::Unknown(self.erasure.id))?;
        Ok(Stepped::Done(said(&erasure)))
    }

    /// Whether the tables and what is being copied have nothing, and no segment was published but those that were looked through.
    pub async fn is_clean(&self, tx: &Tx<'_>, looked: &[Published]) -> Result<bool, ErasureError> {
        let (tenant, sought) = (self.erasure.tenant, &self.person.sought());
        if away::published(tx, tenant).await? != looked {
            return Ok(false);
        }
        for tables in [Tables::Hot, Tables::Detached] {
            let (own, mentions, _) = erasing::count(tx, tenant, tables, sought).await?;
            if own > 0 || mentions > 0 && self.erasure.policy.mentions != Mentions::Keep {
                return Ok(false);
            }
        }
        Ok(self.of_person(tx).await?.is_empty())
    }
}
