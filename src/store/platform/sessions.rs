//! Sessions of people in front of the pages: what the browser holds is kept as a hash.

use chrono::{DateTime, Utc};

use super::{
    credentials::{self, Found},
    tenants::TenantStatus,
};
use crate::model::TenantId;
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};
use uuid::Uuid;

/// A session that is to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub token_hash: Vec<u8>,
    pub tenant: TenantId,
    pub credential: Uuid,
    pub now: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

// While two secrets work, nobody says which of them was shown: the session ends with the older one.
const BEGIN: &str = "/* sessions::begin */
    INSERT INTO platform.sessions (token_hash, tenant_id, credential_id, secret_digest, created_at, seen_at, expires_at)
    SELECT $1 /* hash */, c.tenant_id, c.credential_id, sha256(convert_to(c.secret_hash, 'UTF8')), $4 /* now */, $4,
           least($5 /* end */, c.expires_at, CASE WHEN c.previous_valid_until > $4 THEN c.previous_valid_until END)
    FROM platform.credentials c
    WHERE c.tenant_id = $2 /* tenant */ AND c.credential_id = $3 /* credential */";

const FORGET: &str = "/* sessions::forget */ DELETE FROM platform.sessions WHERE expires_at <= $1 /* now */";

/// Begins a session, and forgets those that are over; `false` when the credential went away meanwhile.
pub async fn begin(tx: &Tx<'_>, new: &NewSession) -> Result<bool, StoreError> {
    tx.execute(FORGET, &[&new.now]).await?;
    let begun =
        tx.execute(BEGIN, &[&new.token_hash, &new.tenant.0, &new.credential, &new.now, &new.expires_at]).await?;
    Ok(begun == 1)
}

const FIND: &str = "/* sessions::find */
    SELECT c.credential_id, c.tenant_id, c.api_key, c.scopes, c.label, c.agent, c.registration, c.launch_actor, c.created_at,
           c.expires_at, c.previous_valid_until, c.revoked_at, c.secret_hash, c.previous_secret_hash,
           t.name AS tenant_name, t.status AS tenant_status, s.seen_at
    FROM platform.sessions s
    JOIN platform.credentials c ON c.tenant_id = s.tenant_id AND c.credential_id = s.credential_id
    JOIN platform.tenants t ON t.tenant_id = s.tenant_id
    WHERE s.token_hash = $1 /* hash */ AND s.expires_at > $2 /* now */ AND s.seen_at > $3 /* idle since */
      AND (s.secret_digest = sha256(convert_to(c.secret_hash, 'UTF8'))
           OR c.previous_valid_until > $2 AND s.secret_digest = sha256(convert_to(c.previous_secret_hash, 'UTF8')))";

/// The credential behind a session that goes on, and when it was last used.
pub async fn find(
    tx: &Tx<'_>,
    token_hash: &[u8],
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
) -> Result<Option<(Found, DateTime<Utc>)>, StoreError> {
    let Some(row) = tx.query_opt(FIND, &[&token_hash, &now, &idle_since]).await? else { return Ok(None) };
    let found = Found {
        credential: credentials::read(&row)?,
        tenant_name: column(&row, "tenant_name")?,
        tenant_status: TenantStatus::from_column("sessions", column(&row, "tenant_status")?)?,
        secret_hash: column(&row, "secret_hash")?,
        previous_secret_hash: column(&row, "previous_secret_hash")?,
    };
    Ok(Some((found, column(&row, "seen_at")?)))
}

const TOUCH: &str = "/* sessions::touch */
    UPDATE platform.sessions SET seen_at = greatest(seen_at, $2 /* now */) WHERE token_hash = $1 /* hash */";

/// Somebody is still there.
pub async fn touch(tx: &Tx<'_>, token_hash: &[u8], now: DateTime<Utc>) -> Result<(), StoreError> {
    tx.execute(TOUCH, &[&token_hash, &now]).await.map(drop)
}

const END: &str = "/* sessions::end */
    DELETE FROM platform.sessions WHERE token_hash = $1 /* hash */ RETURNING tenant_id, credential_id";

/// Ends a session; answers whose it was.
pub async fn end(tx: &Tx<'_>, token_hash: &[u8]) -> Result<Option<(TenantId, Uuid)>, StoreError> {
    let Some(row) = tx.query_opt(END, &[&token_hash]).await? else { return Ok(None) };
    Ok(Some((TenantId(column(&row, "tenant_id")?), column(&row, "credential_id")?)))
}
