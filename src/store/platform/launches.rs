//! Launches as an administrator sees them: whom each lets in, to what, and until when.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::credentials::{self, Credential};
use crate::{
    model::TenantId,
    store::{StoreError, door::tx::Tx},
};

macro_rules! of_tenant {
    () => {
        "SELECT credential_id, tenant_id, api_key, scopes, label, agent, registration, launch_actor, created_at, expires_at,
                previous_valid_until, revoked_at, session_id, activity_id, move_on, mastery_score, launch_mode
         FROM platform.credentials WHERE tenant_id = $1 /* tenant */ AND registration "
    };
}

macro_rules! newest_first {
    () => {
        " AND (created_at, credential_id) < ($2 /* made before */, $3 /* with a lower id than */)
         ORDER BY created_at DESC, credential_id DESC LIMIT $4 /* limit */"
    };
}

const NEWEST: &str = concat!("/* launches::newest */ ", of_tenant!(), "IS NOT NULL", newest_first!());

const OF_REGISTRATION: &str =
    concat!("/* launches::of_registration */ ", of_tenant!(), "= $5 /* registration */", newest_first!());

/// Where a page of launches begins: behind the launch that was made then and has this id.
pub type Place = (DateTime<Utc>, Uuid);

/// A tenant's launches, or those of a registration, the newest first.
pub async fn list(
    tx: &Tx<'_>,
    tenant: TenantId,
    registration: Option<Uuid>,
    (before, id): Place,
    limit: i64,
) -> Result<Vec<Credential>, StoreError> {
    let rows = match &registration {
        Some(registration) => tx.query(OF_REGISTRATION, &[&tenant.0, &before, &id, &limit, registration]).await?,
        None => tx.query(NEWEST, &[&tenant.0, &before, &id, &limit]).await?,
    };
    rows.iter().map(read).collect()
}

const GET: &str = concat!("/* launches::get */ ", of_tenant!(), "IS NOT NULL AND credential_id = $2 /* id */");

/// One launch of a tenant.
pub async fn get(tx: &Tx<'_>, tenant: TenantId, id: Uuid) -> Result<Option<Credential>, StoreError> {
    tx.query_opt(GET, &[&tenant.0, &id]).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Credential, StoreError> {
    let mut credential = credentials::read(row)?;
    if let Some(launch) = &mut credential.launch {
        credentials::bind(launch, row)?;
    }
    Ok(credential)
}
