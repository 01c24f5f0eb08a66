//! What people ask of months: what would be done, which is shown first, and the job that does it. The pages and `/api/v1` ask here.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    change::{self, ChangeError, Wish},
    jobs::{Act, CHANGE, ChangeOrder},
    plan,
};
use crate::{
    model::{
        Clock, Ids,
        partition::{Bounds, Month},
        plan::Planned,
    },
    store::{
        As, Store, StoreError,
        platform::jobs::{self, NewJob, Placed},
    },
};

/// What a change would do to a month now, if it could be made.
pub async fn look(store: &Store, month: Month, act: Act, has_brokers: bool) -> Result<Planned, ChangeError> {
    let change = act.change();
    let wish = Wish { month, change, has_brokers, by: "", patience: Duration::ZERO };
    let found = store.run_tx("look_at_partition", As::Worker, |tx| Box::pin(change::look(tx, &wish))).await?;
    let was = found.partition.state;
    let line = json!({ "act": change.name(), "month": month, "state": was.name(), "becomes": change.to().name() });
    Ok(Planned::of(line, was == change.to()))
}

/// Puts the job that makes the change.
pub async fn ask_for(
    (store, ids): (&Store, &Ids),
    month: Month,
    act: Act,
    plan: &str,
    by: &str,
) -> Result<Placed, StoreError> {
    put((store, ids), CHANGE, json!(ChangeOrder { month, act }), plan, by).await
}

/// Puts a job, or finds one of its kind that is not over.
pub async fn put(
    (store, ids): (&Store, &Ids),
    kind: &'static str,
    parameters: Value,
    plan: &str,
    by: &str,
) -> Result<Placed, StoreError> {
    let id: Uuid = ids.uuid();
    let job = &NewJob { id, kind, tenant: None, by, approved_by: None, parameters, plan_digest: Some(plan) };
    store.run_once("put_partition_job", As::Worker, |tx| Box::pin(jobs::put_once(tx, job))).await
}

/// The months that should be there ahead of time and are not, and how that is shown.
pub async fn missing(store: &Store, clock: &Clock) -> Result<(Vec<Bounds>, Planned), StoreError> {
    let missing = plan::missing(clock.now(), &store.partition_bounds().await?);
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let planned = Planned::of(json!({ "act": "partitions.ensure", "missing": names }), missing.is_empty());
    Ok((missing, planned))
}
