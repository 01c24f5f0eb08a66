//! A backfill as its file says it: which table is walked by which key, which rows remain, and what is done to a batch. Pure.

use super::super::{
    checksum,
    head::Head,
    names::{Category, Name},
    statements,
};

/// A data file with a line `-- Backfill: TABLE by COLUMN, …` in its head.
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
    /// The rows that still have to be done.
    pub remains: String,
    /// What is done to the rows of `batch`.
    pub statement: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackfillError {
    #[error("`-- Backfill:` stands in data files (DM…) alone")]
    Category,
    #[error("`-- Backfill: {0}` must be SCHEMA.TABLE by COLUMN, …")]
    Walk(String),
    #[error("a backfill says which rows remain: `-- Remains: CONDITION`")]
    NoRemains,
    #[error("`-- Remains: {0}` must be one condition, without comments and semicolons")]
    Remains(String),
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
        let Self { table, remains, statement, .. } = self;
        format!("WITH batch AS MATERIALIZED (SELECT {keys} FROM {table} t WHERE ({remains}) LIMIT 1)\n{statement};\n")
    }
}

/// Reads a file whose head says that it is one.
pub fn read(module: &str, name: &Name, head: &Head, text: &str) -> Result<Backfill, BackfillError> {
    if name.category != Category::Data {
        return Err(BackfillError::Category);
    }
    let said = head.backfill.as_deref().unwrap_or_default();
    let (table, keys) = walk(said).ok_or_else(|| BackfillError::Walk(said.to_owned()))?;
    if LEDGER.contains(&table.as_str()) {
        return Err(BackfillError::Ledger(table));
    }
    let remains = head.remains.as_deref().ok_or(BackfillError::NoRemains)?;
    if remains.is_empty() || [";", "--", "/*"].iter().any(|mark| remains.contains(mark)) {
        return Err(BackfillError::Remains(remains.to_owned()));
    }
    let all = statements::split(text);
    let [one] = all.as_slice() else { return Err(BackfillError::Statement(format!("{} statements", all.len()))) };
    if !one.starts_with(&["update"]) && !one.starts_with(&["insert"]) {
        return Err(BackfillError::Statement(one.words.first().cloned().unwrap_or_default().to_uppercase()));
    }
    if !one.has(&["batch"]) {
        return Err(BackfillError::NoBatch);
    }
    Ok(Backfill {
        module: module.to_owned(),
        file: name.file(),
        about: head.description.clone(),
        checksum: checksum::checksum(text),
        table,
        keys,
        remains: remains.to_owned(),
        statement: one.text.trim().to_owned(),
    })
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
        assert!(read.statement.starts_with("UPDATE") && !read.statement.ends_with(';'));
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
