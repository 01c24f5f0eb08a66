//! Who had to wait for a file, as far as looks from time to time can see: the longest wait, how many, of what. Never what
//! they do: a query's text holds people's data.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::Serialize;
use tokio_postgres::{Error, Row};

use super::{
    blockers::{self, Blocker},
    millis,
};
use crate::store::door::ddl::Session;

/// A wait of one session for one lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    pub pid: i32,
    /// The name that its application gave itself.
    pub application: String,
    /// The table or index; a row of it; or the kind of lock, where it is on neither or made by the file itself.
    pub on: String,
    pub mode: String,
    pub waited_ms: i64,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, application, on, mode, waited_ms } = self;
        let name = if application.is_empty() { "an application without a name" } else { application };
        write!(f, "process {pid} ({name}) {waited_ms} ms for {mode} on {on}")
    }
}

/// What one file cost others, and what it waited for itself.
///
/// A wait that lies between two looks is not seen, and one that is seen may have gone on until the next look. So the
/// longest wait there really was is no longer than `longest_ms + gap_ms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// The longest wait for the file's session that was seen; zero where none was.
    pub longest_ms: i64,
    /// How many waits for it were seen.
    pub waits: usize,
    /// The one that waited longest, when it was last seen.
    pub longest: Option<Wait>,
    /// What the file itself was seen waiting for, longest.
    pub own: Option<Wait>,
    /// Who was in its way then.
    pub behind: Vec<Blocker>,
    pub looks: u32,
    /// The longest time in which nobody looked.
    pub gap_ms: i64,
}

/// What one look saw.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Those who wait for the watched session, each with what tells this wait from another of the same session.
    victims: Vec<(Wait, String)>,
    own: Option<Wait>,
    pub behind: Vec<Blocker>,
}

/// A wait for the session $1, or its own. Where somebody waits for a row, the lock is one of a transaction, and the row's table
/// is told by the lock on the row that it took to be the next.
const WAITS: &str = "/* waits::migration_waits */
    WITH asked AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks WHERE NOT granted AND waitstart IS NOT NULL)
    SELECT w.pid, coalesce((SELECT a.application_name FROM pg_catalog.pg_stat_activity a WHERE a.pid = w.pid), ''),
           coalesce(CASE WHEN w.locktype IN ('transactionid', 'tuple') THEN 'a row of ' ELSE '' END ||
               (SELECT format('%s.%s', n.nspname, c.relname) FROM pg_catalog.pg_class c
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = coalesce(w.relation, (SELECT min(t.relation::bigint)::oid FROM pg_catalog.pg_locks t
                                                    WHERE t.pid = w.pid AND t.locktype = 'tuple' AND t.granted))), w.locktype),
           w.mode, (extract(epoch FROM clock_timestamp() - w.waitstart) * 1000)::bigint, w.waitstart::text, w.pid = $1
    FROM asked w WHERE w.pid = $1 OR $1 = ANY (pg_catalog.pg_blocking_pids(w.pid))";

/// Looks once: who waits for the session, what it waits for itself, and then who is in its way.
pub(super) async fn look(session: &Session, watched: i32) -> Result<Look, Error> {
    let mut look = Look::default();
    for row in session.client().query(WAITS, &[&watched]).await? {
        let (wait, own) = (wait(&row)?, row.try_get(6)?);
        if own { look.own = Some(wait) } else { look.victims.push((wait, row.try_get(5)?)) }
    }
    if look.own.is_some() {
        look.behind = blockers::of(session, watched).await?;
    }
    Ok(look)
}

fn wait(row: &Row) -> Result<Wait, Error> {
    Ok(Wait {
        pid: row.try_get(0)?,
        application: row.try_get(1)?,
        on: row.try_get(2)?,
        mode: row.try_get(3)?,
        waited_ms: row.try_get(4)?,
    })
}

/// Adds up what the looks saw. Pure.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sum: Waits,
    seen: BTreeSet<(i32, String)>,
}

impl Tally {
    /// `age` is how long the file has been at work: whoever waited before that did not wait for it.
    pub fn add(&mut self, look: Look, age: Duration) {
        let of_it = |wait: Wait| Wait { waited_ms: wait.waited_ms.clamp(0, millis(age)), ..wait };
        self.sum.looks += 1;
        for (wait, key) in look.victims {
            self.seen.insert((wait.pid, key));
            longer(&mut self.sum.longest, of_it(wait));
        }
        if let Some(own) = look.own {
            let of_another = self.sum.own.as_ref().is_none_or(|so_far| so_far.on != own.on);
            // Where nobody is in its way any more, the wait ended between the two questions of the look: who was seen stays.
            if longer(&mut self.sum.own, of_it(own)) && (of_another || !look.behind.is_empty()) {
                self.sum.behind = look.behind;
            }
        }
    }

    /// So long nobody looked.
    pub fn unseen(&mut self, gap: Duration) {
        self.sum.gap_ms = self.sum.gap_ms.max(millis(gap));
    }

    pub fn longest(&self) -> Option<&Wait> {
        self.sum.longest.as_ref()
    }

    pub fn end(self) -> Waits {
        let longest_ms = self.sum.longest.as_ref().map_or(0, |wait| wait.waited_ms);
        Waits { longest_ms, waits: self.seen.len(), ..self.sum }
    }
}

fn longer(longest: &mut Option<Wait>, wait: Wait) -> bool {
    let is_longer = longest.as_ref().is_none_or(|so_far| so_far.waited_ms <= wait.waited_ms);
    if is_longer {
        *longest = Some(wait);
    }
    is_longer
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.longest {
            Some(longest) if self.waits == 1 => write!(f, "one waited for it: {longest}"),
            Some(longest) => write!(f, "{} waited for it, longest {longest}", self.waits),
            None => f.write_str("nobody was seen waiting for it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(pid: i32, waited_ms: i64) -> Wait {
        let (application, on, mode) = ("progress".into(), "ledger.statements".into(), "RowExclusiveLock".into());
        Wait { pid, application, on, mode, waited_ms }
    }

    fn look(victims: &[(i32, i64, &str)]) -> Look {
        let victims = victims.iter().map(|(pid, ms, key)| (waiting(*pid, *ms), (*key).to_owned())).collect();
        Look { victims, ..Look::default() }
    }

    #[test]
    fn a_wait_that_is_seen_twice_is_one_and_as_long_as_when_it_was_last_seen() {
        let mut tally = Tally::default();
        let age = Duration::from_secs(1);
        tally.add(look(&[(7, 10, "a"), (8, 5, "a")]), age);
        tally.add(look(&[(7, 30, "a")]), age);
        tally.add(look(&[(7, 2, "b")]), age);
        tally.unseen(Duration::from_millis(21));
        tally.unseen(Duration::from_millis(20));
        let waits = tally.end();
        assert_eq!((waits.longest_ms, waits.waits, waits.looks, waits.gap_ms), (30, 3, 3, 21));
        assert_eq!(
            waits.to_string(),
            "3 waited for it, longest process 7 (progress) 30 ms for RowExclusiveLock on ledger.statements"
        );
    }

    #[test]
    fn who_was_in_the_way_of_a_file_is_still_known_when_its_wait_ends_while_somebody_looks() {
        let mut tally = Tally::default();
        let own = |ms, on: &str, behind| {
            let own = Wait { on: on.to_owned(), ..waiting(1, ms) };
            Look { own: Some(own), behind, ..Look::default() }
        };
        let blocker = Blocker { pid: 7, ..Blocker::default() };
        let age = Duration::from_secs(1);
        tally.add(own(10, "alpha.t", vec![blocker.clone()]), age);
        tally.add(own(20, "alpha.t", vec![]), age);
        assert_eq!(tally.sum.behind, [blocker]);
        tally.add(own(30, "alpha.u", vec![]), age);
        assert_eq!(tally.end().behind, [], "nobody was seen in the way of this one");
    }

    #[test]
    fn nobody_waited_for_a_file_longer_than_it_was_at_work() {
        let mut tally = Tally::default();
        tally.add(look(&[(7, 10_000, "a")]), Duration::from_millis(40));
        assert_eq!(tally.end().longest_ms, 40);
        assert_eq!(Tally::default().end().to_string(), "nobody was seen waiting for it");
    }
}
