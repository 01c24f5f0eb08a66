//! The dry run: executes what can be executed in a transaction that rolls back, and notes what each file took.

use super::{
    error::MigrateError,
    modules::File,
    plan::{Action, Known, Plan},
    report::{LockTaken, RehearsalNote, RunReport},
    run::Runner,
};
use crate::store::{
    door::ddl::Session,
    schema::migrations::{
        millis,
        rehearse::{Rehearsal, Rehearsed},
    },
};

impl Runner {
    pub(super) async fn rehearse(
        &self,
        session: &Session,
        known: &[Known<'_>],
        plan: &Plan<'_>,
        report: &mut RunReport,
    ) -> Result<(), MigrateError> {
        let mut rehearsal = Rehearsal::begin(session, self.settings.budget).await?;
        for one in known.iter().filter(|one| !one.facts.schema_exists) {
            rehearsal.prepare(&one.module.schema).await?;
        }
        let mut failed = false;
        for (step, planned) in plan.steps.iter().zip(&mut report.planned) {
            let note = if failed {
                RehearsalNote::NotReached
            } else if step.action == Action::Record {
                RehearsalNote::Ran { duration_ms: 0, locks: Vec::new() }
            } else {
                file(&mut rehearsal, &step.module.schema, step.file).await
            };
            failed |= matches!(note, RehearsalNote::Failed { .. });
            planned.rehearsal = Some(note);
        }
        Ok(rehearsal.end().await?)
    }
}

async fn file(rehearsal: &mut Rehearsal<'_>, schema: &str, file: &File) -> RehearsalNote {
    if file.head.no_transaction {
        return RehearsalNote::NotExecutable;
    }
    match rehearsal.file(schema, &file.text).await {
        Ok(Rehearsed { duration, locks }) => {
            let locks = locks.into_iter().map(|lock| LockTaken { relation: lock.relation, mode: lock.mode });
            RehearsalNote::Ran { duration_ms: millis(duration), locks: locks.collect() }
        }
        Err(error) => RehearsalNote::Failed { error: error.to_string() },
    }
}
