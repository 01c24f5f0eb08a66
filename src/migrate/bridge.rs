//! The canonical history behind refinery's traits: refinery orders and judges, this executes and records.
//!
//! refinery keeps its own checksum and cannot be told to write other columns, so the connection answers its
//! questions from the canonical table and replaces its INSERT by the canonical row.

use std::collections::VecDeque;

use refinery::{Error as RefineryError, Migration, Runner as Refinery, Target};
use refinery_core::traits::r#async::{AsyncMigrate, AsyncQuery, AsyncTransaction};

use super::{
    modules::{File, Module},
    names::{Category, Name},
    promise,
    report::{Done, Event, Failure},
    watched::{Script, Watched},
};
use crate::store::{
    StoreError,
    schema::migrations::{
        ExecuteError,
        execute::HistoryEntry,
        facts::Applied,
        millis,
        record::{self, Cost, NewAttempt, NewRow},
        waits::Waits,
    },
};

/// How a category's run is told about, and on whose behalf it is.
pub struct Context<'a> {
    pub watched: Watched<'a>,
    pub by: &'a str,
    pub approved_by: Option<&'a str>,
    /// Files done before, and in all, for the progress.
    pub number: usize,
    pub of: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    #[error("{0}")]
    Execute(ExecuteError, Option<Box<Waits>>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("refinery asked for another file than the plan's next one")]
    OutOfStep,
}

/// One module's one category, as refinery sees it.
struct Conn<'a> {
    context: &'a Context<'a>,
    module: &'a Module,
    category: Category,
    /// The category's rows, those of superseded files left out.
    rows: Vec<&'a Applied>,
    next: VecDeque<&'a File>,
    done: Vec<Done>,
    failed: Option<(&'a File, BridgeError)>,
}

/// Applies `files`, which are the next of their category, through refinery.
pub async fn apply<'a>(
    context: &'a Context<'a>,
    module: &'a Module,
    category: Category,
    rows: Vec<&'a Applied>,
    files: Vec<&'a File>,
) -> Result<Vec<Done>, (Vec<Done>, Failure)> {
    let last = files.last().map_or(0, |file| file.name.number);
    let all = match module.of(category).map(migration).collect::<Result<Vec<_>, _>>() {
        Ok(all) => all,
        Err(error) => return Err((Vec::new(), failure(module, "", &error.to_string()))),
    };
    let mut conn = Conn { context, module, category, rows, next: files.into(), done: Vec::new(), failed: None };
    let mut refinery = Refinery::new(&all).set_target(Target::Version(version(last)));
    refinery.set_migration_table_name(format!("{}.schema_migrations", module.schema));
    let outcome = refinery.run_async(&mut conn).await;
    match (outcome, conn.failed.take()) {
        (Ok(_), _) => Ok(conn.done),
        (Err(_), Some((file, error))) => Err((conn.done, file_failure(module, file, &error))),
        (Err(error), None) => Err((conn.done, failure(module, "", &error.to_string()))),
    }
}

fn version(number: u32) -> refinery::SchemaVersion {
    refinery::SchemaVersion::try_from(number).unwrap_or(refinery::SchemaVersion::MAX)
}

fn migration(file: &File) -> Result<Migration, RefineryError> {
    Migration::unapplied(&refinery_name(&file.name), &file.text)
}

fn refinery_name(name: &Name) -> String {
    format!("V{}__{}", name.number, name.description)
}

/// A row as an applied migration. Its checksum is refinery's own for the shipped text when the SHA-256 agree, and
/// that of another text when they do not: so refinery's test for divergence means ours.
fn applied(module: &Module, row: &Applied) -> Option<Migration> {
    let name = Name::parse(&row.name).ok()?;
    let text = match module.find(&row.name) {
        Some(file) if file.checksum == row.checksum => file.text.as_str(),
        _ => "-- the text that was applied is not the shipped one",
    };
    let mut migration = Migration::unapplied(&refinery_name(&name), text).ok()?;
    migration.set_applied();
    Some(migration)
}

impl AsyncTransaction for Conn<'_> {
    type Error = BridgeError;

    async fn execute<'q, T: Iterator<Item = &'q str> + Send + 'q>(
        &'q mut self,
        mut queries: T,
    ) -> Result<usize, BridgeError> {
        // One query is refinery asking for its table, which is there already; two are a file and refinery's INSERT.
        let (Some(sql), Some(_)) = (queries.next(), queries.next()) else { return Ok(0) };
        let file = self.next.pop_front().filter(|file| file.text == sql).ok_or(BridgeError::OutOfStep)?;
        match run_file(self.context, self.module, file, self.done.len()).await {
            Ok(done) => {
                (self.context.watched.progress)(Event::Done { done: done.clone() });
                self.done.push(done);
                Ok(2)
            }
            Err(error) => {
                self.failed = Some((file, error));
                Err(BridgeError::OutOfStep)
            }
        }
    }
}

impl AsyncQuery<Vec<Migration>> for Conn<'_> {
    async fn query<'q>(&'q mut self, _: &'q str) -> Result<Vec<Migration>, BridgeError> {
        let mut found: Vec<_> = self.rows.iter().filter_map(|row| applied(self.module, row)).collect();
        found.sort();
        tracing::debug!(module = %self.module.name, category = %self.category, rows = found.len(), "history read");
        Ok(found)
    }
}

impl AsyncMigrate for Conn<'_> {
    fn assert_migrations_table_query(_: &str) -> String {
        String::new()
    }

    fn get_applied_migrations_query(_: &str) -> String {
        String::new()
    }
}

async fn run_file(context: &Context<'_>, module: &Module, file: &File, before: usize) -> Result<Done, BridgeError> {
    let name = file.file();
    let number = context.number + before + 1;
    let (module_name, session) = (module.name.clone(), context.watched.session);
    (context.watched.progress)(Event::Started { module: module_name, file: name.clone(), number, of: context.of });
    let attempt = NewAttempt {
        file: &name,
        action: "up",
        checksum: Some(&file.checksum),
        by: context.by,
        approved_by: context.approved_by,
    };
    let id = record::begin(session, &module.schema, attempt).await?;
    let row = NewRow {
        schema: &module.schema,
        file: &name,
        category: file.category().name(),
        checksum: &file.checksum,
        by: context.by,
        promised: promise::made_by(module, file),
    };
    let script =
        Script { module: &module.name, file: &name, text: &file.text, no_transaction: file.head.no_transaction };
    let (result, waits) = context.watched.execute(script, HistoryEntry::Add(row)).await;
    let timing = match result {
        Ok(timing) => timing,
        Err(error) => {
            // Where the connection is gone this fails as well; the next runner closes the attempt then.
            let why = error.to_string();
            let _ = record::finish(session, &module.schema, id, "failed", Some(&why), waits.as_ref()).await;
            return Err(BridgeError::Execute(error, waits.map(Box::new)));
        }
    };
    let wait = millis(timing.lock_wait);
    let cost = Cost { lock_wait_ms: wait, rows: timing.rows, waits: waits.as_ref() };
    record::done(session, &module.schema, id, "applied", cost).await?;
    Ok(Done {
        module: module.name.clone(),
        file: name,
        action: "applied",
        duration_ms: millis(timing.duration),
        lock_wait_ms: wait,
        tries: timing.tries,
        rows: timing.rows,
        waits,
    })
}

fn file_failure(module: &Module, file: &File, error: &BridgeError) -> Failure {
    let name = file.file();
    match error {
        BridgeError::Execute(error, waits) => {
            Failure { waits: waits.as_deref().cloned().map(Box::new), ..Failure::new(&module.name, &name, error) }
        }
        BridgeError::Store(StoreError::Unreachable(why)) => {
            Failure::new(&module.name, &name, &ExecuteError::Connection(why.clone()))
        }
        BridgeError::Store(_) | BridgeError::OutOfStep => failure(module, &name, &error.to_string()),
    }
}

fn failure(module: &Module, file: &str, error: &str) -> Failure {
    Failure {
        module: module.name.clone(),
        file: file.to_owned(),
        error: error.to_owned(),
        code: None,
        line: None,
        connection_lost: false,
        waits: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "-- Description: d\n-- Breaking: no\n-- Manual: no\n";

    fn row(module: &Module, name: &str, checksum: &str) -> Option<Migration> {
        let row = Applied {
            name: name.to_owned(),
            category: "startup".to_owned(),
            checksum: checksum.to_owned(),
            applied_at: chrono::DateTime::UNIX_EPOCH,
            applied_by: "t".to_owned(),
            duration_ms: 0,
        };
        applied(module, &row)
    }

    #[test]
    fn refinery_sees_a_difference_exactly_when_the_checksums_differ() {
        let text = format!("{HEAD}SELECT 1;");
        let module = Module::new("m", [("001_a.sql", text.as_str())], false).unwrap();
        let file = &module.files[0];
        let shipped = migration(file).unwrap();
        assert_eq!(row(&module, "001_a.sql", &file.checksum), Some(shipped.clone()));
        assert_ne!(row(&module, "001_a.sql", "sha256:other"), Some(shipped));
        assert_eq!(row(&module, "no name", "sha256:other"), None);
    }
}
