//! Which installation this database is, in which epoch, and the last word that it left in the archive: what tells a copy from the
//! original.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{
    StoreError,
    door::tx::{Tx, column},
    platform::leases,
};

/// Who this database says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installation {
    pub id: Uuid,
    pub epoch: i64,
    /// Whether this server and database are those in which the epoch began. A dump that was read in elsewhere, or a database
    /// made after another's template, is not.
    pub is_here: bool,
    /// The last word left in the archive, and when.
    pub word: Option<Uuid>,
    /// The one before it.
    pub word_before: Option<Uuid>,
    pub said_at: Option<DateTime<Utc>>,
}

const THIS: &str = "/* installation::this */
    SELECT t.installation_id, t.epoch, t.is_here, i.word, i.word_before, i.said_at
    FROM platform.this_installation() t LEFT JOIN platform.installation i ON i.one";

/// This installation; the first call makes it one.
pub async fn this(tx: &Tx<'_>) -> Result<Installation, StoreError> {
    // Apart, because the row that the first call makes is not seen by the statement that makes it.
    tx.execute("/* installation::make */ SELECT platform.this_installation()", &[]).await?;
    let row = tx.query_one(THIS, &[]).await?;
    Ok(Installation {
        id: column(&row, "installation_id")?,
        epoch: column(&row, "epoch")?,
        is_here: column(&row, "is_here")?,
        word: column(&row, "word")?,
        word_before: column(&row, "word_before")?,
        said_at: column(&row, "said_at")?,
    })
}

const SAY: &str = "/* installation::say */
    UPDATE platform.installation SET word = $2 /* word */, word_before = word, said_at = clock_timestamp()
    WHERE epoch = $1 /* epoch */ AND word IS NOT DISTINCT FROM $3 /* before */";

/// Remembers the word that is about to be left; answers whether nobody has left another one meanwhile.
pub async fn say(tx: &Tx<'_>, epoch: i64, before: Option<Uuid>, word: Uuid) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    Ok(tx.execute(SAY, &[&epoch, &word, &before]).await? > 0)
}

/// Begins a new epoch here; answers which.
pub async fn begin_epoch(tx: &Tx<'_>) -> Result<i64, StoreError> {
    leases::check(tx).await?;
    let sql = "/* installation::begin_epoch */ SELECT platform.begin_epoch() AS epoch";
    column(&tx.query_one(sql, &[]).await?, "epoch")
}
