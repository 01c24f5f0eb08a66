//! The one-time address of a launch's secret: what it carries is kept as a hash, and taken once.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{StoreError, Tx, door::tx::column};

/// A fetch URL as it is kept.
#[derive(Clone, Debug)]
pub struct Offer {
    pub hash: Vec<u8>,
    pub until: DateTime<Utc>,
    pub fetched_at: Option<DateTime<Utc>>,
}

const MAKE: &str = "/* fetches::make */
    UPDATE platform.credentials SET fetch_hash = $2 /* hash */, fetch_until = $3 /* until */
    WHERE credential_id = $1 /* id */";

/// Gives a credential its fetch URL.
pub async fn make(tx: &Tx<'_>, credential: Uuid, hash: &[u8], until: DateTime<Utc>) -> Result<(), StoreError> {
    tx.execute(MAKE, &[&credential, &hash, &until]).await.map(drop)
}

const GET: &str = "/* fetches::get */
    SELECT fetch_hash, fetch_until, fetched_at FROM platform.credentials
    WHERE credential_id = $1 /* id */ AND fetch_hash IS NOT NULL";

/// The fetch URL of a credential, if it has one.
pub async fn get(tx: &Tx<'_>, credential: Uuid) -> Result<Option<Offer>, StoreError> {
    let Some(row) = tx.query_opt(GET, &[&credential]).await? else { return Ok(None) };
    Ok(Some(Offer {
        hash: column(&row, "fetch_hash")?,
        until: column(&row, "fetch_until")?,
        fetched_at: column(&row, "fetched_at")?,
    }))
}

const TAKE: &str = "/* fetches::take */
    UPDATE platform.credentials SET secret_hash = $2 /* secret */, fetched_at = $3 /* now */
    WHERE credential_id = $1 /* id */ AND fetch_hash IS NOT NULL AND fetched_at IS NULL
      AND fetch_until > $3 AND expires_at > $3 AND revoked_at IS NULL";

/// Puts the secret in place that is given away now; `false` when somebody was quicker, or it is too late.
pub async fn take(tx: &Tx<'_>, credential: Uuid, secret_hash: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(tx.execute(TAKE, &[&credential, &secret_hash, &now]).await? == 1)
}
