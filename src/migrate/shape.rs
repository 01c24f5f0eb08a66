//! What the runner can tell from a file's text alone: can it be applied atomically, and what does it do to data. Pure.

use serde::Serialize;

use super::{
    head::Head,
    losses,
    names::Category,
    statements::{Statement, psql_command, split},
};

/// What a file does to what is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
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
    #[error(
        "line {0}: a command for psql (a backslash outside of quotes) is no SQL; the server would not understand it"
    )]
    PsqlCommand(usize),
    #[error("line {0}: COPY to or from a client has no client here; write INSERT … VALUES")]
    CopyOfClient(usize),
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
    if let Some(line) = psql_command(text) {
        return Err(ShapeError::PsqlCommand(line));
    }
    let statements = split(text);
    if statements.is_empty() {
        return Err(ShapeError::Empty);
    }
    if let Some(copy) = statements.iter().find(|s| copies_to_client(s)) {
        return Err(ShapeError::CopyOfClient(copy.line));
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

fn copies_to_client(statement: &Statement<'_>) -> bool {
    statement.starts_with(&["copy"]) && (statement.has(&["from", "stdin"]) || statement.has(&["to", "stdout"]))
}

/// What the file does, from its head, its category and its text.
pub fn kind(text: &str, head: &Head, category: Category) -> Effect {
    if head.breaking || losses::takes_away(text) {
        Effect::Destructive
    } else if matches!(category, Category::Seed | Category::Data) || writes_rows(text) {
        Effect::Data
    } else {
        Effect::Additive
    }
}

fn writes_rows(text: &str) -> bool {
    let writes = |s: &Statement<'_>| match s.words.first().map_or("", String::as_str) {
        "insert" | "update" | "merge" | "copy" => true,
        "with" => s.has(&["insert", "into"]) || s.words.iter().any(|word| word == "update"),
        _ => false,
    };
    split(text).iter().any(writes)
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
    fn refuses_what_only_a_client_understands() {
        assert_eq!(check("SELECT 1;\n\\i other.sql", false), Err(ShapeError::PsqlCommand(2)));
        assert_eq!(check("COPY s.t FROM STDIN;\n1\t2\n\\.\n", false), Err(ShapeError::PsqlCommand(3)));
        assert_eq!(
            check("SELECT 1;\nCOPY s.t (a) FROM STDIN WITH (FORMAT csv)", false),
            Err(ShapeError::CopyOfClient(2))
        );
        assert_eq!(check("COPY s.t TO STDOUT", false), Err(ShapeError::CopyOfClient(1)));
        check("SELECT E'\\n', '\\';", false).unwrap();
    }

    #[test]
    fn tells_three_kinds_apart() {
        let head = |breaking| Head {
            description: "d".into(),
            breaking,
            manual: false,
            lock: None,
            no_transaction: false,
            supersedes: vec![],
            backfill: None,
            remains: None,
            compare: None,
            differs: None,
            step: None,
            previous: None,
            can_wait: false,
        };
        let kind = |sql, category| super::kind(sql, &head(false), category);
        assert_eq!(kind("CREATE TABLE t (a int)", Category::Startup), Effect::Additive);
        assert_eq!(kind("CREATE TABLE t (a int); INSERT INTO t VALUES (1)", Category::Startup), Effect::Data);
        assert_eq!(kind("WITH x AS (SELECT 1) UPDATE t SET a = 1 WHERE b", Category::Release), Effect::Data);
        assert_eq!(kind("SELECT 1", Category::Seed), Effect::Data);
        assert_eq!(kind("DROP VIEW v", Category::Startup), Effect::Destructive);
        assert_eq!(super::kind("SELECT 1", &head(true), Category::Data), Effect::Destructive);
    }
}
