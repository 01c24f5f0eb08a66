//! A request in the hands of a job: who it is about, and what was learned on the way.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ErasureError, Erasures, person::Person};
use crate::{
    model::TenantId,
    store::{
        Tx,
        ledger::erasures::{self, Erasure},
        platform::jobs::{Context, Progress},
    },
    xapi::stored,
};

/// A request in the hands of a job.
pub(super) struct Work<'j> {
    pub erasures: Erasures,
    pub job: &'j Context,
    pub erasure: Erasure,
    pub person: Arc<Person>,
    pub learned: Mutex<Learned>,
}

impl Work<'_> {
    pub fn of(&self) -> (TenantId, Uuid) {
        (self.erasure.tenant, self.erasure.id)
    }

    pub fn tell(&self, done: u64, note: &str) {
        let note = Some(note.to_owned());
        self.job.progress(&Progress { done, unit: "statements", note, ..Progress::default() });
    }

    /// What the job has learned so far in this step and before.
    pub fn learned(&self) -> Learned {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn learn(&self, learned: Learned) {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner) = learned;
    }

    /// Keeps what was learned, together with what this transaction does.
    pub async fn keep(&self, tx: &Tx<'_>, learned: &Learned) -> Result<(), ErasureError> {
        learned.keep(tx, self.job, self.of()).await
    }
}

/// Where the erasure goes on, and what was learned of what is gone by now. It stands with the request: whichever job comes next has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Learned {
    /// Everything that was stored before somebody recognised the person was stored before this.
    pub since: Option<DateTime<Utc>>,
    /// Attempts of others to fold again.
    pub attempts: BTreeSet<String>,
    /// Contents that statements named, in hexadecimal.
    pub contents: BTreeSet<String>,
    /// Lookup keys of activities that they named, of their verbs, and of the registrations they belonged to.
    pub activities: BTreeSet<Uuid>,
    pub verbs: BTreeSet<Uuid>,
    pub registrations: BTreeSet<Uuid>,
    /// What lay beside published segments is gone.
    pub purged: bool,
}

impl Learned {
    pub fn of(job: &Context, erasure: &Erasure) -> Result<Self, ErasureError> {
        match &erasure.learned {
            Some(learned) => Self::read(learned),
            // Of a job that a node of the release before began.
            None => Ok(job.checkpoint()?.unwrap_or_default()),
        }
    }

    pub fn read(learned: &Value) -> Result<Self, ErasureError> {
        Self::deserialize(learned).map_err(|error| ErasureError::Unreadable(error.to_string()))
    }

    /// Keeps it, together with what this transaction does; the job has come further by it.
    pub async fn keep(&self, tx: &Tx<'_>, job: &Context, of: (TenantId, Uuid)) -> Result<(), ErasureError> {
        erasures::learn(tx, of, &json!(self)).await?;
        Ok(job.save(tx, &json!({})).await?)
    }

    /// Learns what a statement named.
    pub fn learn(
        &mut self,
        tenant: TenantId,
        payload: &str,
        (verb, activity, registration): (Uuid, Option<Uuid>, Option<Uuid>),
    ) -> Result<(), ErasureError> {
        let unreadable = |error: serde_json::Error| ErasureError::Unreadable(error.to_string());
        let keys = stored::keys(tenant.0, payload).map_err(unreadable)?;
        self.activities.extend(keys.related.into_iter().chain(activity));
        self.verbs.insert(verb);
        self.registrations.extend(registration);
        let doc: Value = serde_json::from_str(payload).map_err(unreadable)?;
        for place in [&doc["attachments"], &doc["object"]["attachments"]] {
            let hashes = place.as_array().into_iter().flatten().filter_map(|one| one["sha2"].as_str());
            self.contents.extend(hashes.map(str::to_ascii_lowercase));
        }
        Ok(())
    }
}

/// What is said of a request that is over, or waits.
pub fn said(erasure: &Erasure) -> Value {
    let Erasure { id, tenant, stamp, state, counts, reason, .. } = erasure;
    json!({ "erasure": id, "tenant": tenant, "stamp": stamp, "state": state, "counts": counts, "reason": reason })
}
