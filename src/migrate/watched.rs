//! Executes one file under the eyes of the watcher: who is in its way is told, and so is who had to wait for it.

use super::{
    concurrent,
    report::{self, Event},
};
use crate::store::{
    door::ddl::Session,
    schema::migrations::{
        Budget, ExecuteError,
        blockers::Blocker,
        execute::{self, HistoryEntry, Timing},
        millis,
        patience::Waiting,
        waits::{Wait, Waits},
        watcher::Watcher,
    },
};

/// Under whose eyes a file is executed, and who is told.
#[derive(Clone, Copy)]
pub struct Watched<'a> {
    pub session: &'a Session,
    pub budget: &'a Budget,
    /// Absent where there was no second connection: then nobody is named, and nobody knows who waited.
    pub watcher: Option<&'a Watcher>,
    pub progress: &'a (dyn Fn(Event) + Send + Sync),
}

/// A text to execute, of the file that is told about.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    pub module: &'a str,
    pub file: &'a str,
    pub text: &'a str,
    pub no_transaction: bool,
}

impl Watched<'_> {
    /// The file and its entry, and what it cost others; that is absent where nobody watched.
    pub async fn execute(
        self,
        script: Script<'_>,
        entry: HistoryEntry<'_>,
    ) -> (Result<Timing, ExecuteError>, Option<Waits>) {
        let Self { session, budget, watcher, progress } = self;
        let Script { module, file, text, no_transaction } = script;
        let blocked = |tries, by: &[Blocker]| report::tell_blocked(progress, module, file, tries, by);
        let waiting = Waiting { budget, watcher, blocked: &blocked };
        let work = async {
            if no_transaction {
                execute::alone(session, text, &concurrent::alone(text), entry, waiting).await
            } else {
                execute::transactional(session, text, entry, waiting).await
            }
        };
        let Some(watcher) = watcher else { return (work.await, None) };
        let loud = |wait: &Wait| report::tell_waits(progress, module, file, wait);
        let (result, waits) = watcher.over(budget.longest_wait(), &loud, work).await;
        if waits.longest_ms > millis(budget.longest_wait()) {
            let Waits { waits: many, longest_ms, gap_ms, .. } = waits;
            tracing::warn!(module, file, waits = many, longest_ms, gap_ms, "a migration has made others wait");
        }
        (result, Some(waits))
    }
}
