//! Who waits for a lock of the database just now, and behind whom.

use serde::Serialize;

use super::{
    blockers::{self, Blocker},
    waits::Wait,
};
use crate::store::{StoreError, door::ddl::Session};

/// Waits that are shown; a queue that is longer says the same.
const MOST: i64 = 50;

/// A session that waits, and whom for.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    #[serde(flatten)]
    pub wait: Wait,
    pub behind: Vec<Blocker>,
}

const WAITING: &str = "/* queue::migration_queue */
    SELECT l.pid, coalesce(a.application_name, ''), coalesce(l.relation::regclass::text, l.locktype), l.mode,
           coalesce((extract(epoch FROM clock_timestamp() - l.waitstart) * 1000)::bigint, 0)
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND coalesce(l.database IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())),
        a.datname = current_database())
    ORDER BY l.waitstart NULLS LAST LIMIT $1 /* most */";

/// Those who wait in this database, the longest first.
pub async fn now(session: &Session) -> Result<Vec<Waiting>, StoreError> {
    let failed = |error| StoreError::from_pg("migration_queue", &error);
    let mut found = Vec::new();
    for row in session.client().query(WAITING, &[&MOST]).await.map_err(failed)? {
        let wait =
            Wait { pid: row.get(0), application: row.get(1), on: row.get(2), mode: row.get(3), waited_ms: row.get(4) };
        let behind = blockers::of(session, wait.pid).await.map_err(failed)?;
        found.push(Waiting { wait, behind });
    }
    Ok(found)
}
