//! What people ask of backups beside the service's schedule: the kinds of jobs, and the plan that is shown before one is put.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::plan::{Kept, last_good};
use crate::{
    model::{Ids, plan::Planned},
    store::{
        As, Store, StoreError,
        platform::jobs::{self, NewJob, Placed},
    },
};

/// The kinds, and what the audit trail calls asking for one.
pub const MAKE: &str = "backup.make";
pub const VERIFY: &str = "backup.verify";

/// What is asked of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// The backup that is to be verified.
    pub backup: Option<String>,
}

/// What a job of the kind would do now.
pub fn planned(kind: &str, kept: &[Kept], asked: &Asked) -> Planned {
    let newest = kept.last().map(|one| &one.manifest.id);
    let of = asked.backup.as_ref().and_then(|id| kept.iter().find(|one| one.manifest.id == *id));
    let plan = json!({ "act": kind, "backup": asked.backup, "newest": newest, "newestGood": last_good(kept),
        "backups": kept.len(), "bytes": of.map(|one| one.manifest.bytes()) });
    Planned::of(plan, false)
}

/// Puts the job that does it, or finds one of its kind that is not over.
pub async fn ask_for(
    (store, ids): (&Store, &Ids),
    kind: &'static str,
    asked: &Asked,
    plan: &str,
    by: &str,
) -> Result<Placed, StoreError> {
    let (id, parameters) = (ids.uuid(), json!(asked));
    let job = &NewJob { id, kind, tenant: None, by, approved_by: None, parameters, plan_digest: Some(plan) };
    store.run_once("put_backup_job", As::Worker, |tx| Box::pin(jobs::put_once(tx, job))).await
}
