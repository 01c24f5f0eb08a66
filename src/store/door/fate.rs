//! What became of a transaction whose COMMIT was sent and not answered: a new session asks the server.
//!
//! A transaction's number is given out again where a server crashed before anything of it was on the disk. The answer
//! therefore counts only where the server has not crashed since: that is seen by its statistics, which a crash resets.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::store::{
    As, Store, StoreError, Tx,
    door::{
        tx::{Param, column},
        witness::Witness,
    },
};

const FATE: &str = "/* fate::transaction */
    SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE pg_xact_status($1::text::xid8) END AS fate,
           coalesce(pg_stat_get_bgwriter_stat_reset_time(), 'epoch')::text AS since";

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fate {
    Committed,
    /// Nothing of it stands: it may be done again.
    Aborted,
    /// Nobody could say in time.
    Unknown,
}

/// What one look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Settled(Fate),
    /// Not yet, or not here.
    Open,
}

impl Store {
    /// Asks until the transaction has ended one way or the other, for as long as a server that is away is waited for.
    pub(in crate::store) async fn fate(&self, name: &'static str, whom: As, witness: &Witness) -> Fate {
        let asking = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.look(name, whom, witness).await {
                    Ok(Seen::Settled(fate)) => return fate,
                    Err(error) if !error.is_temporary() => {
                        tracing::error!(tx = name, %error, "it cannot be asked what became of a transaction");
                        return Fate::Unknown;
                    }
                    Ok(Seen::Open) | Err(_) => {}
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        let fate = timeout(self.patience.away, asking).await.unwrap_or(Fate::Unknown);
        tracing::debug!(tx = name, ?fate, "the answer to a COMMIT was lost");
        fate
    }

    async fn look(&self, name: &'static str, whom: As, witness: &Witness) -> Result<Seen, StoreError> {
        let tx = Tx::on(self.connection(name, whom).await?, name, self.patience.answer);
        let xid: [Param<'_>; 1] = [&witness.xid];
        let row = match tx.query_one(FATE, &xid).await {
            // "in the future": the server crashed before anything of it was on the disk.
            Err(error) if error.code() == Some("22023") => return Ok(Seen::Settled(Fate::Aborted)),
            answered => answered?,
        };
        tx.give_back();
        let (fate, since): (Option<String>, String) = (column(&row, "fate")?, column(&row, "since")?);
        Ok(judge(fate.as_deref(), since == witness.since))
    }
}

/// After a crash the number may be another transaction's, unless it says that nothing was kept under it.
fn judge(fate: Option<&str>, same_life: bool) -> Seen {
    match fate {
        Some("aborted") => Seen::Settled(Fate::Aborted),
        Some("committed") if same_life => Seen::Settled(Fate::Committed),
        Some("in progress") if same_life => Seen::Open,
        Some("standby") => Seen::Open,
        _ => Seen::Settled(Fate::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_may_be_somebody_elses_proves_no_commit() {
        assert_eq!(judge(Some("committed"), true), Seen::Settled(Fate::Committed));
        assert_eq!(judge(Some("committed"), false), Seen::Settled(Fate::Unknown));
        assert_eq!(judge(Some("in progress"), true), Seen::Open);
        assert_eq!(judge(Some("in progress"), false), Seen::Settled(Fate::Unknown));
        assert_eq!(judge(Some("aborted"), false), Seen::Settled(Fate::Aborted));
        assert_eq!(judge(Some("standby"), true), Seen::Open);
        assert_eq!(judge(None, true), Seen::Settled(Fate::Unknown), "too long ago");
    }
}
