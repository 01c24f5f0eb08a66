//! One runner at a time: an advisory lock, polled for, held by the very session that migrates.
//!
//! A session that waits inside `pg_advisory_lock` would hold a snapshot, and a concurrent index build waits for
//! snapshots: the two would deadlock. So a waiter asks, sleeps and asks again, and holds nothing meanwhile. If the
//! connection is lost, lock and work are lost together.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{StoreError, door::ddl::Session};

/// Advisory locks are per database; the number is the ASCII of "progmigr".
const KEY: i64 = 0x7072_6f67_6d69_6772;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The proof that this session holds the lock.
#[must_use]
pub struct Held<'a>(&'a Session);

/// Who holds the lock, for the message of the one who does not get it.
#[derive(Clone, Debug)]
pub struct Holder {
    pub pid: i32,
    pub application: String,
}

/// Polls until the lock is taken or `patience` is over; `None` then. `waiting` is told once, with the holder.
pub async fn acquire<'a>(
    session: &'a Session,
    patience: Duration,
    mut waiting: impl FnMut(Option<Holder>),
) -> Result<Option<Held<'a>>, StoreError> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if try_once(session).await? {
            return Ok(Some(Held(session)));
        }
        if pause == FIRST_PAUSE {
            waiting(holder(session).await?);
        }
        if started.elapsed() + pause > patience {
            return Ok(None);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn try_once(session: &Session) -> Result<bool, StoreError> {
    let sql = "/* lock::migration_lock */ SELECT pg_catalog.pg_try_advisory_lock($1)";
    let row = session.client().query_one(sql, &[&KEY]).await.map_err(|e| StoreError::from_pg("migration_lock", &e))?;
    Ok(row.get(0))
}

/// The session that holds the lock now, if any.
pub async fn holder(session: &Session) -> Result<Option<Holder>, StoreError> {
    let sql = "/* lock::migration_lock_holder */
        SELECT l.pid, coalesce(a.application_name, '') FROM pg_catalog.pg_locks l
        LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
          AND (l.classid::bigint << 32) | l.objid::bigint = $1";
    let row = session.client().query_opt(sql, &[&KEY]).await;
    let row = row.map_err(|e| StoreError::from_pg("migration_lock_holder", &e))?;
    Ok(row.map(|row| Holder { pid: row.get(0), application: row.get(1) }))
}

impl Held<'_> {
    /// Gives the lock back. Not calling it is safe: the session's end releases the lock as well.
    pub async fn release(self) -> Result<(), StoreError> {
        let sql = "/* lock::migration_unlock */ SELECT pg_catalog.pg_advisory_unlock($1)";
        let done = self.0.client().execute(sql, &[&KEY]).await;
        done.map(drop).map_err(|e| StoreError::from_pg("migration_unlock", &e))
    }
}
