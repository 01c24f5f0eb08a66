//! Copies of months that somebody has begun and not finished: nobody is shown their rows, but they lie there, perhaps for long.

use super::{ErasureError, work::Work};
use crate::{
    model::erasure::Mentions,
    store::{
        As, StoreError, Tx,
        ledger::{
            erasures::{self, Change},
            fills::{self, Fill},
        },
    },
};

/// The copy was taken over, or is gone: SQLSTATEs of a wrong number, and of a table that is not there.
const MOVED_ON: [&str; 2] = ["55000", "42P01"];

impl Work<'_> {
    /// Throws those away that have something of the person: whoever makes one begins anew. Answers false where one has moved on
    /// meanwhile, and has to be looked at again.
    pub async fn copies(&self) -> Result<bool, ErasureError> {
        let store = &self.job.store;
        let found = store.run_tx("copies_of_person", As::Worker, |tx| Box::pin(self.of_person(tx))).await;
        let found = match found {
            Err(error) if is_moved_on(&error) => return Ok(false),
            found => found?,
        };
        for fill in found {
            // What is begun anew has to be clean before it takes the month's place.
            let ((tenant, id), months) = (self.of(), [fill.month]);
            let change = &Change { months: &months, ..Change::default() };
            store.run_tx("copied_month", As::Worker, |tx| Box::pin(erasures::change(tx, tenant, id, change))).await?;
            match store.abandon_month(&fill).await {
                Err(error) if is_moved_on(&error) => return Ok(false),
                done => done?,
            }
        }
        Ok(true)
    }

    /// The copies that have something of the person.
    pub async fn of_person(&self, tx: &Tx<'_>) -> Result<Vec<Fill>, StoreError> {
        let sought = self.person.sought();
        let relations = match self.erasure.policy.mentions {
            Mentions::Keep => Vec::new(),
            Mentions::Redact | Mentions::Delete => sought.relations(),
        };
        let mut found = Vec::new();
        for fill in fills::every(tx).await? {
            if fills::has(tx, &fill, self.erasure.tenant, (&sought.keys, &relations)).await? {
                found.push(fill);
            }
        }
        Ok(found)
    }
}

fn is_moved_on(error: &StoreError) -> bool {
    error.code().is_some_and(|code| MOVED_ON.contains(&code))
}
