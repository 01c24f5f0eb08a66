//! Rules about transactions: the runner owns them, and a file outside one holds a single, repeatable statement.

use squawk_syntax::{
    SyntaxKind,
    ast::{self, AstNode},
};

use super::{
    Finding, Subject,
    source::{Source, Statement},
};

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for statement in &source.statements {
        controls(statement, found);
        settings(statement, found);
    }
    for node in source.parse.syntax_node().descendants().filter(|n| n.kind() == SyntaxKind::CALL_EXPR) {
        lasting_set_config(source, &node, found);
    }
    if subject.no_transaction {
        alone(source, found);
    } else {
        for statement in source.statements.iter().filter(|s| refuses_transaction(&s.stmt)) {
            let help = "move it to a file of its own with `-- progress: no-transaction` in its head";
            let message = "this statement cannot run inside a transaction";
            found.push(Finding::error("needs-no-transaction", statement.line, message, help));
        }
    }
}

fn controls(statement: &Statement, found: &mut Vec<Finding>) {
    use ast::Stmt::{Begin, Commit, PrepareTransaction, ReleaseSavepoint, Rollback, SavepointCreate};
    if matches!(
        statement.stmt,
        Begin(_) | Commit(_) | Rollback(_) | PrepareTransaction(_) | SavepointCreate(_) | ReleaseSavepoint(_)
    ) {
        // A COMMIT in the file would part the change from its row in the history.
        let help = "remove it: the runner opens the transaction and commits it together with the history";
        found.push(Finding::error("transaction-control", statement.line, "transaction control in a migration", help));
    }
}

fn settings(statement: &Statement, found: &mut Vec<Finding>) {
    let is_local = |scope: Option<ast::SetScope>| matches!(scope, Some(ast::SetScope::LocalScope(_)));
    let lasts = match &statement.stmt {
        ast::Stmt::Set(it) => !is_local(it.set_scope()),
        ast::Stmt::SetRole(it) => !is_local(it.set_scope()),
        ast::Stmt::SetSessionAuth(it) => !is_local(it.set_scope()),
        ast::Stmt::Reset(_) | ast::Stmt::ResetRole(_) | ast::Stmt::ResetSessionAuth(_) | ast::Stmt::Discard(_) => true,
        _ => false,
    };
    if lasts {
        let help = "write SET LOCAL, which ends with the migration";
        found.push(Finding::error("session-setting", statement.line, "a setting that outlives the migration", help));
    }
}

fn lasting_set_config(source: &Source, call: &squawk_syntax::SyntaxNode, found: &mut Vec<Finding>) {
    let text: String = call.text().to_string().to_lowercase().split_whitespace().collect();
    if text.trim_start_matches("pg_catalog.").starts_with("set_config(") && text.ends_with(",false)") {
        let line = source.line_at(call.text_range().start().into());
        let message = "a setting that outlives the migration";
        found.push(Finding::error("session-setting", line, message, "pass true as set_config's third argument"));
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
    fn settings_end_with_the_migration() {
        for bad in ["SET search_path = a;", "SET SESSION ROLE x;", "RESET ALL;", "DISCARD ALL;"] {
            tells_apart(DATA, "session-setting", bad, "SET LOCAL search_path = a; SET LOCAL ROLE x;");
        }
        tells_apart(
            DATA,
            "session-setting",
            "SELECT set_config('app.tenant_id', '', false);",
            "SELECT set_config('app.tenant_id', '', true);",
        );
    }

    #[test]
    fn concurrent_work_needs_a_file_outside_a_transaction() {
        let rule = "needs-no-transaction";
        let plain = "SELECT 1;";
        for bad in [
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON progress.t (a);",
            "REINDEX INDEX CONCURRENTLY progress.i;",
            "VACUUM progress.t;",
            "ALTER TABLE progress.t DETACH PARTITION progress.u CONCURRENTLY;",
        ] {
            tells_apart(RELEASE, rule, bad, plain);
            assert_eq!(rules_of(&Subject { no_transaction: true, ..file(RELEASE, bad) }), [""; 0], "{bad}");
        }
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
