//! Rules about transactions: the runner owns them, and a file outside one holds a single, repeatable statement.

use squawk_syntax::ast::{self, AstNode};

use super::{
    Finding, Subject,
    source::{Source, Statement},
};

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for statement in source.running() {
        controls(statement, found);
    }
    if subject.no_transaction {
        alone(source, found);
    } else {
        for statement in source.running().filter(|s| refuses_transaction(&s.stmt)) {
            let help = "move it to a file of its own with `-- progress: no-transaction` in its head";
            let message = "this statement cannot run inside a transaction";
            found.push(Finding::error("needs-no-transaction", statement.line, message, help));
        }
    }
}

fn controls(statement: &Statement, found: &mut Vec<Finding>) {
    use ast::Stmt as S;
    if matches!(
        statement.stmt,
        S::Begin(_)
            | S::Commit(_)
            | S::Rollback(_)
            | S::PrepareTransaction(_)
            | S::SavepointCreate(_)
            | S::ReleaseSavepoint(_)
            | S::SetTransaction(_)
    ) {
        // A COMMIT in the file would part the change from its row in the history.
        let help = "remove it: the runner opens the transaction and commits it together with the history";
        found.push(Finding::error("transaction-control", statement.line, "transaction control in a migration", help));
    }
}

fn alone(source: &Source, found: &mut Vec<Finding>) {
    let mut outer = source.outer();
    let Some(first) = outer.next() else { return };
    for further in outer {
        // Sent together they would form one implicit transaction block, and a crash would leave half of them.
        let message = "more than one statement outside a transaction";
        found.push(Finding::error("one-statement", further.line, message, "give each statement its own file"));
    }
    if !refuses_transaction(&first.stmt) {
        let message = "this statement could run inside a transaction";
        found.push(Finding::warning("needless-no-transaction", first.line, message, "remove `no-transaction`"));
    }
    let repeatable = match &first.stmt {
        ast::Stmt::CreateIndex(it) => it.if_not_exists().is_some(),
        ast::Stmt::DropIndex(it) => it.if_exists().is_some(),
        _ => true,
    };
    if !repeatable {
        let message = "a crash before the history is written would make this fail for ever";
        found.push(Finding::error("repeatable", first.line, message, "add IF NOT EXISTS or IF EXISTS"));
    }
}

/// Statements PostgreSQL refuses inside a transaction block.
fn refuses_transaction(stmt: &ast::Stmt) -> bool {
    match stmt {
        ast::Stmt::CreateIndex(it) => it.concurrently_token().is_some(),
        ast::Stmt::DropIndex(it) => it.concurrently_token().is_some(),
        ast::Stmt::Reindex(it) => it.syntax().text().to_string().to_lowercase().contains("concurrently"),
        ast::Stmt::AlterTable(it) => it.actions().any(|action| match action {
            ast::AlterTableAction::DetachPartition(it) => {
                matches!(it.detach_partition_option(), Some(ast::DetachPartitionOption::DetachConcurrently(_)))
            }
            _ => false,
        }),
        ast::Stmt::Vacuum(_)
        | ast::Stmt::CreateDatabase(_)
        | ast::Stmt::DropDatabase(_)
        | ast::Stmt::CreateTablespace(_)
        | ast::Stmt::DropTablespace(_)
        | ast::Stmt::AlterSystem(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn the_runner_owns_the_transaction() {
        for bad in ["BEGIN;", "COMMIT;", "ROLLBACK;", "END;", "SAVEPOINT a;", "PREPARE TRANSACTION 'a';"] {
            tells_apart(DATA, "transaction-control", bad, "DO $$ BEGIN PERFORM 1; END $$;");
        }
    }

    #[test]
    fn concurrent_work_needs_a_file_outside_a_transaction() {
        let rule = "needs-no-transaction";
        let plain = "SELECT 1;";
        for bad in [
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON progress.t (a);",
            "REINDEX INDEX CONCURRENTLY progress.i;",
            "VACUUM progress.t;",
        ] {
            tells_apart(RELEASE, rule, bad, plain);
            assert_eq!(rules_of(&Subject { no_transaction: true, ..file(RELEASE, bad) }), [""; 0], "{bad}");
        }
    }

    #[test]
    fn a_partition_is_detached_concurrently_in_no_transaction() {
        let sql = "ALTER TABLE progress.t DETACH PARTITION progress.u CONCURRENTLY;";
        assert!(rules_of(&file(RELEASE, sql)).contains(&"needs-no-transaction".to_owned()));
    }

    #[test]
    fn outside_a_transaction_stands_one_repeatable_statement() {
        let outside = |sql| rules_of(&Subject { no_transaction: true, ..file(RELEASE, sql) });
        assert_eq!(outside("CREATE INDEX CONCURRENTLY i ON progress.t (a);"), ["repeatable"]);
        assert_eq!(
            outside("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON progress.t (a);\nVACUUM progress.t;"),
            ["one-statement"]
        );
        assert_eq!(outside("CREATE TABLE progress.t (a int);"), ["needless-no-transaction"]);
    }
}
