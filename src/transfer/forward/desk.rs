//! What operators do with forwards: each with its entry in the audit trail.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    model::TenantId,
    store::{
        As, Store, StoreError, Tx,
        ledger::statements,
        platform::audit::{self, Entry},
        progress::{
            forwards::{self as rows, Forward, New, Refusal},
            relay::Share,
        },
    },
    transfer::TransferError,
};

/// Where "from now on" begins: behind all that is final. What is being written while it is asked for goes.
pub async fn now(store: &Store) -> Result<DateTime<Utc>, StoreError> {
    let asked = store.run_tx("forward_now", As::Worker, |tx| Box::pin(statements::safe_bound(tx)));
    Ok(asked.await? - TimeDelta::microseconds(1))
}

/// The forwards of a tenant, or all.
pub async fn list(store: &Store, tenant: Option<TenantId>) -> Result<Vec<Forward>, StoreError> {
    store.run_tx("forwards", As::Worker, |tx| Box::pin(rows::list(tx, Share::WHOLE, tenant))).await
}

/// One of them.
pub async fn get(store: &Store, tenant: TenantId, name: &str) -> Result<Forward, TransferError> {
    let found = store.run_tx("forward", As::Worker, |tx| Box::pin(rows::get(tx, tenant, name))).await?;
    found.ok_or_else(|| TransferError::Refused(format!("the tenant has no forward {name}; `forward list` prints them")))
}

/// What was refused of one, the newest first.
pub async fn refusals(store: &Store, of: &Forward, most: i64) -> Result<Vec<Refusal>, StoreError> {
    store.run_tx("forward_refusals", As::Worker, |tx| Box::pin(rows::refusals(tx, of.tenant, &of.name, most))).await
}

/// Makes one.
pub async fn add(store: &Store, new: &New, by: &str) -> Result<(), TransferError> {
    let adding = store.run_once("forward_add", As::Worker, |tx| {
        Box::pin(async move {
            if !rows::add(tx, new, by).await? {
                return Err(TransferError::Refused(format!("the tenant has a forward {} already", new.name)));
            }
            let New { tenant, name, target, verbs, activities, after } = new;
            let detail = json!({ "target": target, "verbs": verbs, "activities": activities, "after": after });
            Ok(note(tx, *tenant, ("forward.add", name), by, detail).await?)
        })
    });
    adding.await
}

/// Pauses one, or lets it go on.
pub async fn pause(store: &Store, of: &Forward, is_paused: bool, by: &str) -> Result<(), TransferError> {
    let pausing = store.run_once("forward_pause", As::Worker, |tx| {
        Box::pin(async move {
            let action = if is_paused { "forward.pause" } else { "forward.resume" };
            is_still_there(rows::pause(tx, of.tenant, &of.name, is_paused).await?)?;
            Ok(note(tx, of.tenant, (action, &of.name), by, json!({ "position": of.position })).await?)
        })
    });
    pausing.await
}

/// Notes that somebody has what was refused sent again; refused where nothing of the tenant is sent from here.
pub async fn retries(store: &Store, of: &Forward, ids: &[Uuid], by: &str) -> Result<(), TransferError> {
    if !of.is_served {
        let why = "its tenant is suspended, or at home in another cell: nothing of it is sent from here";
        return Err(TransferError::Refused(why.to_owned()));
    }
    let noting = store.run_once("forward_retry", As::Worker, |tx| {
        Box::pin(async move {
            Ok(note(tx, of.tenant, ("forward.retry", &of.name), by, json!({ "target": of.target, "statements": ids }))
                .await?)
        })
    });
    noting.await
}

/// Removes one, with its position and the list of what was refused.
pub async fn remove(store: &Store, of: &Forward, by: &str) -> Result<(), TransferError> {
    let removing = store.run_once("forward_remove", As::Worker, |tx| {
        Box::pin(async move {
            is_still_there(rows::remove(tx, of.tenant, &of.name).await?)?;
            let detail =
                json!({ "target": of.target, "position": of.position, "sent": of.sent, "refused": of.refused });
            Ok(note(tx, of.tenant, ("forward.remove", &of.name), by, detail).await?)
        })
    });
    removing.await
}

fn is_still_there(is_there: bool) -> Result<(), TransferError> {
    is_there.then_some(()).ok_or_else(|| TransferError::Refused("somebody has removed it meanwhile".to_owned()))
}

async fn note(
    tx: &Tx<'_>,
    tenant: TenantId,
    (action, name): (&'static str, &str),
    by: &str,
    detail: Value,
) -> Result<(), StoreError> {
    let entry = Entry { tenant: Some(tenant), actor: by, action, subject: name.to_owned(), detail };
    audit::append(tx, &entry).await.map(drop)
}
