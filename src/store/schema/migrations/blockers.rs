//! Who stands in the way of a file that waits for a lock: asked by a second session while the first one waits. Never
//! what they do: a query's text holds people's data.

use std::fmt;

use serde::Serialize;
use tokio_postgres::Error;

use crate::store::door::ddl::Session;

/// A session that holds, or waits in front for, a lock that a file needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// Zero: a prepared transaction, which belongs to no process.
    pub pid: i32,
    pub application: String,
    /// Empty where our login may not see it, as the ages are absent then.
    pub state: String,
    pub transaction_seconds: Option<i64>,
    pub query_seconds: Option<i64>,
    pub autovacuum: bool,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("a prepared transaction (see pg_prepared_xacts)");
        }
        let name = match (self.autovacuum, self.application.as_str()) {
            (true, _) => "autovacuum",
            (_, "") => "an application without a name",
            (_, name) => name,
        };
        write!(f, "process {} ({name}", self.pid)?;
        if !self.state.is_empty() {
            write!(f, ", {}", self.state)?;
        }
        if let Some(seconds) = self.transaction_seconds {
            write!(f, ", in a transaction for {seconds} s")?;
        }
        if let Some(seconds) = self.query_seconds {
            write!(f, ", its query {seconds} s old")?;
        }
        f.write_str(")")
    }
}

/// The names in one line.
pub fn list(blockers: &[Blocker]) -> String {
    blockers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

const BLOCKERS: &str = "/* blockers::migration_blockers */
    SELECT b.pid, coalesce(a.application_name, ''), coalesce(a.state, ''),
           extract(epoch FROM clock_timestamp() - a.xact_start)::bigint,
           extract(epoch FROM clock_timestamp() - a.query_start)::bigint,
           a.pid IS NOT NULL AND a.usesysid IS NULL
    FROM (SELECT DISTINCT unnest(pg_catalog.pg_blocking_pids($1))) AS b(pid)
    LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) ORDER BY 1";

/// Who is in the way of the session.
pub(super) async fn of(session: &Session, watched: i32) -> Result<Vec<Blocker>, Error> {
    let rows = session.client().query(BLOCKERS, &[&watched]).await?;
    rows.iter()
        .map(|row| {
            Ok(Blocker {
                pid: row.try_get(0)?,
                application: row.try_get(1)?,
                state: row.try_get(2)?,
                transaction_seconds: row.try_get(3)?,
                query_seconds: row.try_get(4)?,
                autovacuum: row.try_get(5)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocker_is_named_as_far_as_it_can_be_seen() {
        let reader = Blocker {
            pid: 7,
            application: "report".into(),
            state: "idle in transaction".into(),
            transaction_seconds: Some(31),
            query_seconds: None,
            autovacuum: false,
        };
        assert_eq!(reader.to_string(), "process 7 (report, idle in transaction, in a transaction for 31 s)");
        let hidden =
            Blocker { state: String::new(), transaction_seconds: None, application: String::new(), ..reader.clone() };
        assert_eq!(hidden.to_string(), "process 7 (an application without a name)");
        let vacuum = Blocker { autovacuum: true, ..hidden.clone() };
        let prepared = Blocker { pid: 0, ..hidden };
        assert_eq!(list(&[vacuum, prepared]), "process 7 (autovacuum), a prepared transaction (see pg_prepared_xacts)");
    }
}
