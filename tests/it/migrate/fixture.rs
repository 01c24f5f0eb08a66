//! Modules made of text, and runners over them.

use std::time::Duration;

use progress_service::{
    migrate::{Module, Request, RunReport, Runner, Settings, Wish, lint::lock_taken, modules::ModuleError, silent},
    model::Secret,
    store::{Endpoint, schema::migrations::Budget},
};
use tokio_postgres::Client;

use crate::support::{patience::PATIENCE, pg::TestDatabase};

/// A migration's text with a plain head.
pub fn sql(body: &str) -> String {
    headed("", body)
}

/// A migration's text with more lines in its head, and the lock it takes.
pub fn headed(more: &str, body: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!("{more}\n") };
    let lock = if more.contains("Lock:") { String::new() } else { format!("-- Lock: {}\n", lock_taken(body)) };
    format!("-- Description: for a test\n-- Breaking: no\n-- Manual: no\n{more}{lock}{body}\n")
}

/// The same text of a file that takes something away, and that a person has to start.
pub fn breaking(text: &str) -> String {
    text.replace("Breaking: no", "Breaking: yes").replace("Manual: no", "Manual: yes")
}

pub fn module(name: &str, files: &[(&str, String)]) -> Module {
    try_module(name, files).unwrap()
}

pub fn try_module(name: &str, files: &[(&str, String)]) -> Result<Module, ModuleError> {
    Module::new(name, files.iter().map(|(file, text)| (*file, text.as_str())), false)
}

pub fn owner(db: &TestDatabase) -> Endpoint {
    Endpoint { url: Secret::new(db.owner_url()), ca_file: None }
}

/// The budget of the product, which outlasts an autovacuum in the way and a machine that is busy.
pub fn settings() -> Settings {
    Settings { budget: Budget::default(), patience: PATIENCE }
}

/// For a file whose lock somebody holds on purpose: it steps back soon.
pub fn impatient() -> Settings {
    let budget = Budget { lock_timeout: Duration::from_millis(200), lock_tries: 3, ..Budget::default() };
    Settings { budget, ..settings() }
}

pub fn runner(db: &TestDatabase, modules: Vec<Module>) -> Runner {
    Runner::new(modules, owner(db), settings())
}

/// A run with all gates open.
pub async fn run_all(runner: &Runner) -> RunReport {
    runner.run(&everything(), &silent).await.unwrap()
}

pub fn everything() -> Request {
    let wish = Wish { force: true, approved_by: Some("a test".into()), ..Wish::default() };
    Request { wish, dry_run: false, applied_by: "test".into() }
}

pub async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
}

/// The names in the history of a schema, in the order in which they were applied.
pub async fn history(client: &Client, schema: &str) -> Vec<String> {
    let select = format!("SELECT migration_name FROM {schema}.schema_migrations ORDER BY applied_at, migration_name");
    client.query(&select, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
