//! What the runner can tell from a file's text alone: can it be applied atomically, and what does it do to data. Pure.

use serde::Serialize;

use super::{
    head::Head,
    names::Category,
    statements::{Statement, split},
};

/// What a file does to what is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Only makes new things.
    Additive,
    /// Takes something away or changes its meaning: needs a named approval.
    Destructive,
    /// Writes rows.
    Data,
}

/// Why a file cannot be applied by this runner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    #[error("the file is empty")]
    Empty,
    #[error("line {line}: {word} would end the runner's transaction and break the file in two")]
    TransactionControl { line: usize, word: String },
    #[error("a no-transaction file holds one statement; this one holds {0}")]
    NotOneStatement(usize),
    #[error("line {0}: CREATE INDEX CONCURRENTLY needs IF NOT EXISTS, so that it can be repeated after a crash")]
    NotRepeatable(usize),
    #[error("line {line}: {what} cannot run in a transaction; say `-- progress: no-transaction`")]
    NeedsNoTransaction { line: usize, what: &'static str },
}

/// Checks that the file can be applied as its head says.
pub fn check(text: &str, no_transaction: bool) -> Result<(), ShapeError> {
    let statements = split(text);
    if statements.is_empty() {
        return Err(ShapeError::Empty);
    }
    for statement in &statements {
        if let Some(word) = transaction_control(statement) {
            return Err(ShapeError::TransactionControl { line: statement.line, word });
        }
    }
    if no_transaction {
        return match statements.as_slice() {
            [one] if one.has(&["index", "concurrently"]) && !repeatable_index(one) => {
                Err(ShapeError::NotRepeatable(one.line))
            }
            [_] => Ok(()),
            many => Err(ShapeError::NotOneStatement(many.len())),
        };
    }
    match statements.iter().find_map(|s| needs_autocommit(s).map(|what| (s.line, what))) {
        Some((line, what)) => Err(ShapeError::NeedsNoTransaction { line, what }),
        None => Ok(()),
    }
}

/// What the file does, from its head, its category and its text.
pub fn kind(text: &str, head: &Head, category: Category) -> Kind {
    if head.breaking || is_destructive(text) {
        Kind::Destructive
    } else if matches!(category, Category::Seed | Category::Data) {
        Kind::Data
    } else {
        Kind::Additive
    }
}

/// Whether some statement of the text takes away rows, columns or objects that hold them.
pub fn is_destructive(text: &str) -> bool {
    split(text).iter().any(|s| {
        let dropping =
            |what: &[&str]| s.starts_with(&["drop"]) && what.contains(&s.words.get(1).map_or("", String::as_str));
        dropping(&["table", "schema", "type", "domain", "sequence", "materialized", "foreign", "owned"])
            || s.starts_with(&["truncate"])
            || s.starts_with(&["delete"])
            || (s.starts_with(&["alter", "table"]) && alters_destructively(s))
    })
}

fn alters_destructively(statement: &Statement<'_>) -> bool {
    let drops = statement.words.windows(2).any(|pair| {
        pair[0] == "drop" && !matches!(pair[1].as_str(), "constraint" | "default" | "not" | "identity" | "expression")
    });
    drops || statement.has(&["rename"]) || statement.has(&["set", "data", "type"]) || alters_type(statement)
}

/// `ALTER [COLUMN] name TYPE`; the name itself may be quoted and so absent from the words.
fn alters_type(statement: &Statement<'_>) -> bool {
    let after = |n: usize| statement.words.windows(n + 2).skip(1).any(|w| w[0] == "alter" && w[n + 1] == "type");
    after(0) || after(1) || after(2)
}

fn transaction_control(statement: &Statement<'_>) -> Option<String> {
    let first = statement.words.first()?.as_str();
    let control = match first {
        "begin" | "commit" | "rollback" | "abort" | "savepoint" | "release" | "end" => true,
        "start" | "prepare" => statement.has(&["transaction"]),
        _ => false,
    };
    control.then(|| first.to_uppercase())
}

fn needs_autocommit(statement: &Statement<'_>) -> Option<&'static str> {
    let tests: [(&[&str], &'static str); 4] = [
        (&["vacuum"], "VACUUM"),
        (&["alter", "system"], "ALTER SYSTEM"),
        (&["create", "database"], "CREATE DATABASE"),
        (&["drop", "database"], "DROP DATABASE"),
    ];
    let schema = ["create", "drop", "reindex", "alter"].iter().any(|first| statement.starts_with(&[first]));
    if schema && statement.words.iter().any(|word| word == "concurrently") && !statement.has(&["refresh"]) {
        return Some("CONCURRENTLY");
    }
    tests.iter().find(|(words, _)| statement.starts_with(words)).map(|(_, what)| *what)
}

fn repeatable_index(statement: &Statement<'_>) -> bool {
    !statement.starts_with(&["create"]) || statement.has(&["if", "not", "exists"])
}

/// Whether a no-transaction file that was interrupted may simply run again.
pub fn is_repeatable(text: &str) -> bool {
    split(text).iter().all(|s| {
        let calm = ["vacuum", "analyze", "reindex", "refresh", "cluster"].iter().any(|word| s.starts_with(&[word]));
        calm || s.has(&["if", "not", "exists"]) || s.has(&["if", "exists"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_break_atomicity() {
        for sql in
            ["BEGIN; SELECT 1; COMMIT;", "SELECT 1;\nCOMMIT", "ROLLBACK", "START TRANSACTION", "savepoint a", "END"]
        {
            assert!(matches!(check(sql, false), Err(ShapeError::TransactionControl { .. })), "{sql}");
        }
        assert_eq!(
            check("SELECT 1;\nCOMMIT;", false).unwrap_err().to_string(),
            "line 2: COMMIT would end the runner's transaction and break the file in two"
        );
        check("DO $$ BEGIN PERFORM 1; END $$; SELECT 'COMMIT';", false).unwrap();
        assert_eq!(check("-- nothing\n", false), Err(ShapeError::Empty));
    }

    #[test]
    fn no_transaction_files_hold_one_repeatable_statement() {
        check("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (a);", true).unwrap();
        check("VACUUM s.t", true).unwrap();
        assert_eq!(check("SELECT 1; SELECT 2", true), Err(ShapeError::NotOneStatement(2)));
        assert_eq!(check("CREATE INDEX CONCURRENTLY i ON s.t (a)", true), Err(ShapeError::NotRepeatable(1)));
        for sql in ["CREATE INDEX CONCURRENTLY i ON t (a)", "VACUUM t", "ALTER TABLE t DETACH PARTITION p CONCURRENTLY"]
        {
            assert!(matches!(check(sql, false), Err(ShapeError::NeedsNoTransaction { .. })), "{sql}");
        }
    }

    #[test]
    fn tells_what_takes_things_away() {
        for sql in [
            "DROP TABLE t",
            "ALTER TABLE t DROP COLUMN a",
            "ALTER TABLE t DROP a",
            "TRUNCATE t",
            "DELETE FROM t WHERE a",
            "ALTER TABLE t ALTER COLUMN a TYPE text",
            "ALTER TABLE t ALTER \"A\" TYPE text",
            "ALTER TABLE t RENAME TO u",
            "ALTER TABLE t RENAME COLUMN a TO b",
            "ALTER TABLE t ALTER a SET DATA TYPE text",
        ] {
            assert!(is_destructive(sql), "{sql}");
        }
        for sql in [
            "CREATE TABLE t (a int)",
            "DROP INDEX i",
            "ALTER TABLE t DROP CONSTRAINT c",
            "ALTER TABLE t ADD COLUMN type text",
            "ALTER TABLE t ALTER a DROP DEFAULT",
            "DO $$ DROP TABLE $$",
            "CREATE FUNCTION f() RETURNS int AS $$ DELETE $$",
        ] {
            assert!(!is_destructive(sql), "{sql}");
        }
    }
}
