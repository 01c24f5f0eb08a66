//! A backfill as its file says it: which table is walked by which key, which rows remain, and what is done to a batch. A
//! comparison is a backfill that only looks: no row may differ. Pure.

use super::super::{
    checksum,
    head::Head,
    names::{Category, Name},
    statements,
};

/// What is done to a table while it is walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// This, to the rows of `batch`; then it is looked at.
    Fill(String),
    /// This step of the release, to each row that remains; then it is looked at.
    Step(String),
    /// It is looked at.
    Compare,
}

impl Task {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fill(_) | Self::Step(_) => "backfill",
            Self::Compare => "comparison",
        }
    }
}

/// A data file with a line `-- Backfill: TABLE by COLUMN, …` or `-- Compare: TABLE by COLUMN, …` in its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub module: String,
    pub file: String,
    pub about: String,
    pub checksum: String,
    /// With its schema.
    pub table: String,
    /// The columns by which it is walked, in the order of a unique index.
    pub keys: Vec<String>,
    /// The rows that still have to be done; for a comparison, those that differ.
    pub remains: String,
    pub task: Task,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackfillError {
    #[error("`-- {0}:` stands in data files (DM…) alone")]
    Category(&'static str),
    #[error("`-- Backfill:` and `-- Compare:` are two files: one fills, the other only looks")]
    Both,
    #[error("`-- {0}: {1}` must be SCHEMA.TABLE by COLUMN, …")]
    Walk(&'static str, String),
    #[error(
        "a backfill says which rows remain, `-- Remains: CONDITION`; a comparison which differ, `-- Differs: CONDITION`"
    )]
    NoCondition,
    #[error("`-- {0}: {1}` must be one condition, without comments and semicolons")]
    Condition(&'static str, String),
    #[error("a comparison changes nothing: its file is a head alone, and this holds {0} statements")]
    Changes(usize),
    #[error("`-- Step:` does the rows of a backfill; a comparison only looks")]
    NoStep,
    #[error(
        "a backfill does its rows by a step or by a statement: its file is a head alone, and this holds {0} statements"
    )]
    StepAnd(usize),
    #[error("a backfill is one UPDATE or INSERT statement, and this holds {0}")]
    Statement(String),
    #[error("the statement of a backfill works on the rows of `batch`, which this one does not name")]
    NoBatch,
    #[error("{0} is only added to: its rows are never changed")]
    Ledger(String),
}

const LEDGER: [&str; 4] =
    ["ledger.statements", "ledger.relations", "ledger.detached_statements", "ledger.detached_relations"];

impl Backfill {
    /// By which it is known: `module/file`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.module, self.file)
    }

    /// The file as the linter judges it: with the batch that the job puts before the statement.
    pub fn whole(&self) -> String {
        let keys = self.keys.join(", ");
        let Self { table, remains, .. } = self;
        let rows = format!("SELECT {keys} FROM {table} t WHERE ({remains}) LIMIT 1");
        match &self.task {
            Task::Fill(statement) => format!("WITH batch AS MATERIALIZED ({rows})\n{statement};\n"),
            Task::Step(_) | Task::Compare => format!("{rows};\n"),
        }
    }

    /// The question that finds the rows which remain, or differ.
    pub fn question(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| format!("t.{key}")).collect();
        format!("SELECT {} FROM {} t WHERE ({})", keys.join(", "), self.table, self.remains)
    }
}

/// Reads a file whose head says that it is one.
pub fn read(module: &str, name: &Name, head: &Head, text: &str) -> Result<Backfill, BackfillError> {
    let (word, said, rule, condition) = match (head.backfill.as_deref(), head.compare.as_deref()) {
        (Some(_), Some(_)) => return Err(BackfillError::Both),
        (None, said) => ("Compare", said.unwrap_or_default(), "Differs", head.differs.as_deref()),
        (Some(said), None) => ("Backfill", said, "Remains", head.remains.as_deref()),
    };
    if name.category != Category::Data {
        return Err(BackfillError::Category(word));
    }
    let (table, keys) = walk(said).ok_or_else(|| BackfillError::Walk(word, said.to_owned()))?;
    let condition = condition.ok_or(BackfillError::NoCondition)?;
    if condition.is_empty() || [";", "--", "/*"].iter().any(|mark| condition.contains(mark)) {
        return Err(BackfillError::Condition(rule, condition.to_owned()));
    }
    let task = match (&head.compare, &head.step) {
        (Some(_), Some(_)) => return Err(BackfillError::NoStep),
        (Some(_), None) => compares(text)?,
        (None, Some(step)) => does(step, text)?,
        (None, None) => fills(&table, text)?,
    };
    Ok(Backfill {
        module: module.to_owned(),
        file: name.file(),
        about: head.description.clone(),
        checksum: checksum::checksum(text),
        table,
        keys,
        remains: condition.to_owned(),
        task,
    })
}

fn compares(text: &str) -> Result<Task, BackfillError> {
    match statements::split(text).len() {
        0 => Ok(Task::Compare),
        some => Err(BackfillError::Changes(some)),
    }
}

fn does(step: &str, text: &str) -> Result<Task, BackfillError> {
    match statements::split(text).len() {
        0 => Ok(Task::Step(step.to_owned())),
        some => Err(BackfillError::StepAnd(some)),
    }
}

fn fills(table: &str, text: &str) -> Result<Task, BackfillError> {
    if LEDGER.contains(&table) {
        return Err(BackfillError::Ledger(table.to_owned()));
    }
    let all = statements::split(text);
    let [one] = all.as_slice() else { return Err(BackfillError::Statement(format!("{} statements", all.len()))) };
    if !one.starts_with(&["update"]) && !one.starts_with(&["insert"]) {
        return Err(BackfillError::Statement(one.words.first().cloned().unwrap_or_default().to_uppercase()));
    }
    if !one.has(&["batch"]) {
        return Err(BackfillError::NoBatch);
    }
    Ok(Task::Fill(one.text.trim().to_owned()))
}

fn walk(said: &str) -> Option<(String, Vec<String>)> {
    let (table, keys) = said.split_once(" by ")?;
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let (schema, name) = table.trim().split_once('.')?;
    let keys: Vec<String> = keys.split(',').map(|key| key.trim().to_owned()).collect();
    (is_name(schema) && is_name(name) && keys.iter().all(|key| is_name(key)))
        .then(|| (format!("{schema}.{name}"), keys))
}

#[cfg(test)]
mod tests {
    use super::{super::super::head, *};

    fn parsed(file: &str, head: &str, sql: &str) -> Result<Backfill, String> {
        let text =
            format!("-- Description: a colour for all\n-- Breaking: no\n-- Manual: no\n-- Lock: none\n{head}\n{sql}\n");
        let head = head::parse(&text).map_err(|error| error.to_string())?;
        read("shop", &Name::parse(file).unwrap(), &head, &text).map_err(|error| error.to_string())
    }

    const WALK: &str = "-- Backfill: shop.things by tenant_id, id\n-- Remains: colour IS NULL";
    const UPDATE: &str =
        "UPDATE shop.things t SET colour = 'red' FROM batch b WHERE (t.tenant_id, t.id) = (b.tenant_id, b.id);";

    #[test]
    fn a_file_says_what_is_walked_and_how() {
        let read = parsed("DM001_colour.sql", WALK, UPDATE).unwrap();
        assert_eq!(
            (read.table.as_str(), read.keys.as_slice()),
            ("shop.things", &["tenant_id".to_owned(), "id".to_owned()][..])
        );
        assert_eq!((read.remains.as_str(), read.name().as_str()), ("colour IS NULL", "shop/DM001_colour.sql"));
        assert_eq!(read.question(), "SELECT t.tenant_id, t.id FROM shop.things t WHERE (colour IS NULL)");
        let Task::Fill(statement) = read.task else { panic!("{:?}", read.task) };
        assert!(statement.starts_with("UPDATE") && !statement.ends_with(';'));
    }

    #[test]
    fn a_comparison_is_a_head_alone() {
        let head = "-- Compare: shop.things by tenant_id, id\n-- Differs: colour IS DISTINCT FROM paint";
        let read = parsed("DM002_same.sql", head, "").unwrap();
        assert_eq!((read.task, read.remains.as_str()), (Task::Compare, "colour IS DISTINCT FROM paint"));
        let ledger = "-- Compare: ledger.statement_ids by tenant_id, id\n-- Differs: false";
        assert!(parsed("DM002_same.sql", ledger, "").is_ok(), "looking changes nothing");
        for (head, sql, word) in [
            (head, UPDATE, "holds 1 statements"),
            ("-- Compare: shop.things by id", "", "`-- Differs: CONDITION`"),
            ("-- Compare: shop.things by id\n-- Remains: a", "", "`-- Differs: CONDITION`"),
            ("-- Compare: shop.things by id\n-- Differs: a; b", "", "`-- Differs: a; b` must be one condition"),
            ("-- Compare: shop.things\n-- Differs: a", "", "`-- Compare: shop.things` must be"),
            ("-- Compare: a.b by c\n-- Differs: a\n-- Backfill: a.b by c", "", "are two files"),
        ] {
            let why = parsed("DM002_same.sql", head, sql).unwrap_err();
            assert!(why.contains(word), "{head}: {why}");
        }
        assert!(parsed("101_same.sql", head, "").unwrap_err().contains("`-- Compare:` stands in data files"));
    }

    #[test]
    fn a_step_stands_in_a_head_alone() {
        let head = "-- Backfill: ledger.statements by stored\n-- Remains: a\n-- Step: count";
        let read = parsed("DM003_count.sql", head, "").unwrap();
        assert_eq!((read.task.name(), &read.task), ("backfill", &Task::Step("count".to_owned())));
        assert!(parsed("DM003_count.sql", head, UPDATE).unwrap_err().contains("holds 1 statements"));
        let head = "-- Compare: a.b by c\n-- Differs: a\n-- Step: count";
        assert!(parsed("DM003_count.sql", head, "").unwrap_err().contains("only looks"));
        assert!(parsed("DM003_count.sql", "-- Step: count", "").unwrap_err().contains("must be SCHEMA.TABLE"));
    }

    #[test]
    fn what_could_not_be_walked_is_refused_by_its_line() {
        for (file, head, sql, word) in [
            ("101_colour.sql", WALK, UPDATE, "data files"),
            ("DM001_a.sql", "-- Backfill: things by id\n-- Remains: a", UPDATE, "must be SCHEMA.TABLE"),
            ("DM001_a.sql", "-- Backfill: shop.things\n-- Remains: a", UPDATE, "must be SCHEMA.TABLE"),
            ("DM001_a.sql", "-- Backfill: shop.things by id desc\n-- Remains: a", UPDATE, "must be SCHEMA.TABLE"),
            ("DM001_a.sql", "-- Backfill: shop.things by id", UPDATE, "which rows remain"),
            ("DM001_a.sql", "-- Backfill: shop.things by id\n-- Remains: a; b", UPDATE, "one condition"),
            ("DM001_a.sql", WALK, "DELETE FROM shop.things t USING batch b WHERE t.id = b.id;", "this holds DELETE"),
            (
                "DM001_a.sql",
                WALK,
                "UPDATE shop.things SET a = 1 WHERE b; UPDATE shop.things SET a = 1 FROM batch;",
                "2 statements",
            ),
            ("DM001_a.sql", WALK, "UPDATE shop.things SET colour = 'red' WHERE id = 1;", "does not name"),
            ("DM001_a.sql", "-- Backfill: ledger.statements by stored\n-- Remains: a", UPDATE, "never changed"),
        ] {
            let why = parsed(file, head, sql).unwrap_err();
            assert!(why.contains(word), "{head} {sql}: {why}");
        }
    }
}
