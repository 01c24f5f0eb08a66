//! Sessions of people whom the issuer let in to the pages: no credential stands behind them, so who it is stands here.

use chrono::{DateTime, Utc};

use super::tenants::TenantStatus;
use crate::model::{Scopes, TenantId};
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// Somebody whom the issuer let in.
#[derive(Clone, Debug)]
pub struct Person {
    pub tenant: TenantId,
    pub issuer: String,
    pub subject: String,
    pub scopes: Scopes,
}

/// A session that goes on.
#[derive(Clone, Debug)]
pub struct Found {
    pub person: Person,
    pub tenant_name: String,
    pub tenant_status: TenantStatus,
    pub seen_at: DateTime<Utc>,
}

const FORGET: &str =
    "/* person_sessions::forget */ DELETE FROM platform.person_sessions WHERE expires_at <= $1 /* now */";

const BEGIN: &str = "/* person_sessions::begin */
    INSERT INTO platform.person_sessions (token_hash, tenant_id, issuer, subject, scopes, created_at, seen_at, expires_at)
    SELECT $1 /* hash */, t.tenant_id, $3 /* issuer */, $4 /* subject */, $5 /* scopes */, $6 /* now */, $6, $7 /* end */
    FROM platform.tenants t WHERE t.tenant_id = $2 /* tenant */";

/// Begins a session, and forgets those that are over; `false` when the tenant went away meanwhile.
pub async fn begin(
    tx: &Tx<'_>,
    token_hash: &[u8],
    whose: &Person,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<bool, StoreError> {
    tx.execute(FORGET, &[&now]).await?;
    let Person { tenant, issuer, subject, scopes } = whose;
    let begun =
        tx.execute(BEGIN, &[&token_hash, &tenant.0, issuer, subject, &scopes.names(), &now, &expires_at]).await?;
    Ok(begun == 1)
}

const FIND: &str = "/* person_sessions::find */
    SELECT s.tenant_id, s.issuer, s.subject, s.scopes, s.seen_at, t.name AS tenant_name, t.status AS tenant_status
    FROM platform.person_sessions s
    JOIN platform.tenants t ON t.tenant_id = s.tenant_id
    WHERE s.token_hash = $1 /* hash */ AND s.issuer = $2 /* issuer */
      AND s.expires_at > $3 /* now */ AND s.seen_at > $4 /* idle since */";

/// Who sits in a session that goes on, if `issuer` let them in.
pub async fn find(
    tx: &Tx<'_>,
    token_hash: &[u8],
    issuer: &str,
    now: DateTime<Utc>,
    idle_since: DateTime<Utc>,
) -> Result<Option<Found>, StoreError> {
    let found = tx.query_opt(FIND, &[&token_hash, &issuer, &now, &idle_since]).await?;
    let Some(row) = found else { return Ok(None) };
    let names: Vec<String> = column(&row, "scopes")?;
    let shape = |detail| StoreError::Shape { name: "person_sessions", detail };
    let person = Person {
        tenant: TenantId(column(&row, "tenant_id")?),
        issuer: column(&row, "issuer")?,
        subject: column(&row, "subject")?,
        scopes: Scopes::parse(&names.join(" ")).map_err(|error| shape(error.to_string()))?,
    };
    Ok(Some(Found {
        person,
        tenant_name: column(&row, "tenant_name")?,
        tenant_status: TenantStatus::from_column("person_sessions", column(&row, "tenant_status")?)?,
        seen_at: column(&row, "seen_at")?,
    }))
}

const TOUCH: &str = "/* person_sessions::touch */
    UPDATE platform.person_sessions SET seen_at = greatest(seen_at, $2 /* now */) WHERE token_hash = $1 /* hash */";

/// Somebody is still there.
pub async fn touch(tx: &Tx<'_>, token_hash: &[u8], now: DateTime<Utc>) -> Result<(), StoreError> {
    tx.execute(TOUCH, &[&token_hash, &now]).await.map(drop)
}

const END: &str = "/* person_sessions::end */
    DELETE FROM platform.person_sessions WHERE token_hash = $1 /* hash */ RETURNING tenant_id";

/// Ends a session; answers of which tenant it was.
pub async fn end(tx: &Tx<'_>, token_hash: &[u8]) -> Result<Option<TenantId>, StoreError> {
    let Some(row) = tx.query_opt(END, &[&token_hash]).await? else { return Ok(None) };
    Ok(Some(TenantId(column(&row, "tenant_id")?)))
}
