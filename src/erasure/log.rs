//! The log as it is kept outside of the database, so that a backup which is older than an erasure can be brought to forget again:
//! keyed hashes and ids, nothing personal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ErasureError, Erasures, request::Request, subject::Subject};
use crate::{
    model::{
        TenantId,
        erasure::{Policy, State},
    },
    store::{
        As,
        ledger::{belongings, erased, erasures},
    },
};

/// One erasure that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logged {
    pub format: u32,
    pub tenant: TenantId,
    pub id: Uuid,
    pub stamp: i64,
    pub policy: Policy,
    /// What tells the key of the marks, in hexadecimal.
    #[serde(default)]
    pub key: String,
    /// By what the person is recognised, in hexadecimal.
    pub marks: Vec<String>,
}

/// What replaying an entry came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// This database has done it.
    Known,
    /// It has the request and not its end.
    GoesOn,
    /// The person is there again: a job removes them.
    Again,
    /// Nothing of the person is there; what comes is recognised.
    Nobody,
}

const FORMAT: u32 = 1;

impl Erasures {
    /// What is kept of an erasure outside of the database; `None` where it is not done.
    pub async fn logged(&self, id: Uuid) -> Result<Option<Logged>, ErasureError> {
        let erasure = self.get(id).await?.ok_or(ErasureError::Unknown(id))?;
        if erasure.state != State::Erased {
            return Ok(None);
        }
        let store = self.cold.store();
        let marks = store.run_tx("erased_marks", As::Worker, |tx| Box::pin(erased::marks(tx, id))).await?;
        let key = self.key().await?;
        let (tenant, stamp, policy) = (erasure.tenant, erasure.stamp, erasure.policy);
        let marks = marks.iter().map(hex::encode).collect();
        Ok(Some(Logged { format: FORMAT, tenant, id, stamp, policy, key, marks }))
    }

    /// What tells this database's key from another, and nothing of it.
    async fn key(&self) -> Result<String, ErasureError> {
        let store = self.cold.store();
        let mark = store.run_tx("erasure_key", As::Worker, |tx| Box::pin(erased::mark_of_nobody(tx))).await?;
        Ok(hex::encode(mark))
    }

    /// Every erasure that is done, oldest first.
    pub async fn whole_log(&self) -> Result<Vec<Logged>, ErasureError> {
        let store = self.cold.store();
        let all = store.run_tx("all_erasures", As::Worker, |tx| Box::pin(erasures::list(tx, None, false, i64::MAX)));
        let mut log = Vec::new();
        for erasure in all.await?.into_iter().rev() {
            log.extend(self.logged(erasure.id).await?);
        }
        Ok(log)
    }

    /// Does an erasure again that a restored database does not know, or has not finished.
    pub async fn replay(&self, entry: &Logged, by: &str) -> Result<Replayed, ErasureError> {
        let (tenant, id) = (entry.tenant, entry.id);
        match self.get(id).await? {
            Some(known) if known.state.is_over() => return Ok(Replayed::Known),
            Some(_) => {
                self.go_on(tenant, id, by).await?;
                return Ok(Replayed::GoesOn);
            }
            None => {}
        }
        if entry.key != self.key().await? {
            return Err(ErasureError::OtherKey(id));
        }
        let store = self.cold.store();
        let marks: &Vec<Vec<u8>> = &entry.marks.iter().filter_map(|mark| hex::decode(mark).ok()).collect();
        let erases = entry.policy.arrivals == crate::model::erasure::Arrivals::Erase;
        let remembering = store.run_tx("remember_marks", As::Worker, |tx| {
            Box::pin(async move { erased::remember_marks(tx, (tenant, id), marks, erases).await })
        });
        remembering.await?;
        let subject = Subject { agents: self.recognised(tenant, id).await?, users: Vec::new() };
        if subject.agents.is_empty() {
            return Ok(Replayed::Nobody);
        }
        let request = Request { tenant, subject: &subject, policy: None, by, saga_request: None, seen: None };
        self.record((id, self.ids.uuid()), &request, entry.policy, None).await?;
        Ok(Replayed::Again)
    }

    /// The agents of a tenant that an erasure's marks recognise.
    async fn recognised(&self, tenant: TenantId, id: Uuid) -> Result<Vec<crate::xapi::keys::Ifi>, ErasureError> {
        let (store, mut after, mut found) = (self.cold.store(), Uuid::nil(), Vec::new());
        loop {
            let page =
                store.run_tx("all_agents", As::Worker, |tx| Box::pin(belongings::agents_after(tx, tenant, after)));
            let page = page.await?;
            let Some((last, _, _)) = page.last() else { return Ok(found) };
            after = *last;
            let keys: &Vec<Uuid> = &page.iter().map(|(key, _, _)| *key).collect();
            let known: BTreeSet<Uuid> = store
                .run_tx("recognise", As::Worker, |tx| Box::pin(erased::of_erasure(tx, (tenant, id), keys)))
                .await?
                .into_iter()
                .collect();
            found.extend(page.into_iter().filter(|(key, _, _)| known.contains(key)).map(|(_, ifi, _)| ifi));
        }
    }
}
