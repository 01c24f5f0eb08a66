//! What a person may say about a file: that a destructive one is approved, that a half-done one is settled.
//!
//! Neither skips a checksum or an order; both leave a row with the person's name.

use serde::Serialize;

use super::{
    error::MigrateError,
    modules::{File, Module},
    person::check_approver,
    plan::{self, Known},
    promise,
    report::Event,
    run::{self, Listener, Runner},
};
use crate::store::{
    door::ddl::Session,
    schema::migrations::{
        facts::Attempt,
        record::{self, NewAttempt, NewRow},
    },
};

/// The word of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// This file, with exactly this text, may run although it is destructive.
    Approve,
    /// The statement that stopped half-way took effect: write its row.
    Applied,
    /// The statement that stopped half-way left nothing behind: run it again.
    Retry,
}

/// A word about one file.
#[derive(Clone, Debug)]
pub struct Force {
    pub module: String,
    pub file: String,
    pub word: Word,
    /// The person; goes into the attempts.
    pub approved_by: String,
    pub by: String,
    /// Without it nothing is written.
    pub apply: bool,
}

/// What was, or would be, recorded.
#[derive(Clone, Debug, Serialize)]
pub struct Forced {
    pub module: String,
    pub file: String,
    pub word: Word,
    pub checksum: String,
    pub approved_by: String,
    pub applied: bool,
}

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    pub module: String,
    #[serde(flatten)]
    pub attempt: Attempt,
}

impl Runner {
    /// Records a person's word.
    pub async fn force(&self, force: &Force, progress: Listener<'_>) -> Result<Forced, MigrateError> {
        match force.word {
            Word::Approve => check_approver(Some(&force.approved_by), &force.by),
            // A word about what happened is anybody's who looked, but somebody's.
            Word::Applied | Word::Retry => check_approver(Some(&force.approved_by), ""),
        }
        .map_err(MigrateError::Refused)?;
        self.check_modules(Some(std::slice::from_ref(&force.module)))?;
        let session = self.connect().await?;
        let held = self.lock(&session, progress).await?;
        let world = self.world(&session).await?;
        let known = world.known();
        let unknown = || MigrateError::UnknownFile { module: force.module.clone(), file: force.file.clone() };
        let one = known.iter().find(|one| one.module.name == force.module).copied().ok_or_else(unknown)?;
        let file = one.module.find(&force.file).ok_or_else(unknown)?;
        check(one, file, force.word)?;
        if force.apply {
            run::prepare(&session, one).await?;
            write(&session, one.module, file, force).await?;
            progress(Event::Planned { files: 0, withheld: 0 });
        }
        held.release().await?;
        Ok(Forced {
            module: force.module.clone(),
            file: force.file.clone(),
            word: force.word,
            checksum: file.checksum.clone(),
            approved_by: force.approved_by.clone(),
            applied: force.apply,
        })
    }

    /// Everything that was tried, oldest first.
    pub async fn logs(&self, module: Option<&str>) -> Result<Vec<LogLine>, MigrateError> {
        self.check_modules(module.map(str::to_owned).as_ref().map(std::slice::from_ref))?;
        let session = self.connect().await?;
        let world = self.world(&session).await?;
        let known = world.known();
        let wanted = known.iter().filter(|one| module.is_none_or(|name| name == one.module.name));
        let mut lines: Vec<LogLine> = wanted
            .flat_map(|one| {
                let module = one.module.name.clone();
                one.facts.attempts.iter().map(move |a| LogLine { module: module.clone(), attempt: a.clone() })
            })
            .collect();
        lines.sort_by_key(|line| line.attempt.started_at);
        Ok(lines)
    }
}

fn check(one: Known<'_>, file: &File, word: Word) -> Result<(), MigrateError> {
    let name = file.file();
    // Also one that a run would simply repeat: where repeating it fails again and again, a person has to get past it.
    let unresolved = plan::stopped_half_way(one.facts, file) && !plan::has_row(one.facts, &name);
    let why = match word {
        Word::Approve if plan::has_row(one.facts, &name) => "it is applied already",
        Word::Applied | Word::Retry if !unresolved => "it did not stop half-way outside a transaction",
        _ => return Ok(()),
    };
    Err(MigrateError::Refused(format!("{}/{name}: {why}", one.module.name)))
}

async fn write(session: &Session, module: &Module, file: &File, force: &Force) -> Result<(), MigrateError> {
    let name = file.file();
    let action = if force.word == Word::Approve { "approve" } else { "resolve" };
    let attempt = NewAttempt {
        file: &name,
        action,
        checksum: Some(&file.checksum),
        by: &force.by,
        approved_by: Some(&force.approved_by),
    };
    let id = record::begin(session, &module.schema, attempt).await?;
    if force.word == Word::Applied {
        let row = NewRow {
            schema: &module.schema,
            file: &name,
            category: file.category().name(),
            checksum: &file.checksum,
            by: &force.by,
            promised: promise::made_by(module, file),
        };
        record::baseline(session, row, &[]).await?;
    }
    let outcome = match force.word {
        Word::Approve => "approved",
        Word::Applied => "applied",
        Word::Retry => "retry",
    };
    Ok(record::finish(session, &module.schema, id, outcome, None, None).await?)
}
