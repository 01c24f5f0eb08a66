//! By what a transaction is known to a session that comes after it.

use tokio_postgres::SimpleQueryMessage;

/// Asked for beside BEGIN, in its flight: the transaction's number, and since when the server has not crashed.
pub(in crate::store) const WITNESS: &str =
    "SELECT pg_current_xact_id()::text, coalesce(pg_stat_get_bgwriter_stat_reset_time(), 'epoch')::text";

/// By what a transaction is known after its session is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Witness {
    pub xid: String,
    pub since: String,
}

impl Witness {
    /// Reads the answer to [`WITNESS`].
    pub fn read(answers: &[SimpleQueryMessage]) -> Option<Self> {
        answers.iter().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(Self { xid: row.get(0)?.to_owned(), since: row.get(1)?.to_owned() }),
            _ => None,
        })
    }
}
