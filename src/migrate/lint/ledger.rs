//! Rules about the statement ledger: what would bar an archived month from coming back, or rewrite history.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    Finding, Subject,
    names::{names_object, object_in, object_of},
    source::{Source, Statement},
};

const SCHEMA: &str = "ledger";
const TABLE: &str = "statements";

pub(super) fn check(_subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for statement in &source.statements {
        unique(statement, found);
        transition_tables(statement, found);
        rewrites(statement, found);
    }
}

fn is_ledger<N: AstNode>(part: Option<N>) -> bool {
    object_of(part).is_some_and(|object| object.is(SCHEMA, TABLE))
}

/// A unique index on the parent, however it is spelled: with one, no foreign table can ever be attached.
fn unique(statement: &Statement, found: &mut Vec<Finding>) {
    let is_key = |node: &SyntaxNode| {
        ast::PrimaryKeyConstraint::can_cast(node.kind())
            || ast::UniqueConstraint::can_cast(node.kind())
            || ast::ExcludeConstraint::can_cast(node.kind())
            || ast::ForeignKeyConstraint::can_cast(node.kind())
            || ast::ReferencesConstraint::can_cast(node.kind())
    };
    let on_ledger = match &statement.stmt {
        ast::Stmt::CreateIndex(it) => it.unique_token().is_some() && is_ledger(it.table_relation_name()),
        ast::Stmt::CreateTable(it) => is_ledger(it.table_name()) && it.syntax().descendants().any(|n| is_key(&n)),
        ast::Stmt::AlterTable(it) => {
            is_ledger(it.table_relation_name()) && it.syntax().descendants().any(|n| is_key(&n))
        }
        _ => false,
    };
    // A foreign key to the parent would need the unique index first.
    let referred = statement.stmt.syntax().descendants().any(|node| {
        ast::ForeignKeyConstraint::cast(node.clone()).is_some_and(|it| is_ledger(it.table_name_ref()))
            || ast::ReferencesConstraint::cast(node).is_some_and(|it| is_ledger(it.table()))
    });
    if on_ledger || referred {
        let message = "a key on the partitioned ledger bars archived months from being attached";
        let help = "keep keys on the id table or on each partition";
        found.push(Finding::error("ledger-key", statement.line, message, help));
    }
}

fn transition_tables(statement: &Statement, found: &mut Vec<Finding>) {
    if let ast::Stmt::CreateTrigger(it) = &statement.stmt
        && it.referencing().is_some()
        && is_ledger(it.on_relation())
    {
        let message = "a trigger with transition tables makes inserts into foreign partitions fail";
        found.push(Finding::error("ledger-transition-trigger", statement.line, message, "use a row trigger"));
    }
}

fn rewrites(statement: &Statement, found: &mut Vec<Finding>) {
    let nodes = statement.stmt.syntax().descendants();
    let rewrites = nodes.into_iter().any(|node| {
        ast::Update::cast(node.clone()).is_some_and(|it| is_ledger(it.relation_name()))
            || ast::Delete::cast(node.clone()).is_some_and(|it| is_ledger(it.relation_name()))
            || ast::Merge::cast(node.clone()).is_some_and(|it| is_ledger(it.table_relation_name()))
            || ast::Truncate::cast(node)
                .and_then(|it| it.table_list())
                .is_some_and(|list| list.table_relation_names().any(|it| is_ledger(Some(it))))
    });
    let granted = matches!(&statement.stmt, ast::Stmt::Grant(it) if allows_change(it));
    if rewrites || granted {
        let message = "the ledger is append-only";
        let help = "change a side table or a projection; erasure has its own road";
        found.push(Finding::error("ledger-append-only", statement.line, message, help));
    }
}

/// Whether a grant lets somebody change or remove what the ledger holds.
fn allows_change(it: &ast::Grant) -> bool {
    let rights = it.privileges().map(|rights| rights.syntax().text().to_string().to_lowercase()).unwrap_or_default();
    let changes = ["all", "update", "delete", "truncate", "trigger"];
    let clause = it.on_privilege_objects_clause().map(|clause| clause.syntax().clone());
    let names_it = clause.is_some_and(|clause| {
        clause.descendants().filter(names_object).any(|n| object_in(&n).is_some_and(|o| o.is(SCHEMA, TABLE)))
    });
    names_it && rights.split(|c: char| !c.is_alphabetic()).any(|right| changes.contains(&right))
}

#[cfg(test)]
mod tests {
    use super::super::{Subject, testing::*};

    fn of_ledger(sql: &str) -> Subject<'_> {
        Subject { module: "ledger", ..file(STARTUP, sql) }
    }

    #[test]
    fn no_key_on_the_parent() {
        let good = "CREATE INDEX j ON ONLY ledger.statements (a);";
        for bad in [
            "CREATE UNIQUE INDEX i ON ledger.statements (a);",
            "CREATE UNIQUE INDEX i ON ONLY Ledger.\"statements\" (a);",
            "ALTER TABLE ledger.statements ADD CONSTRAINT c PRIMARY KEY USING INDEX i;",
            "CREATE TABLE ledger.statements (id uuid, PRIMARY KEY (id)) PARTITION BY RANGE (stored);",
            "CREATE TABLE ledger.t (id uuid REFERENCES ledger.statements (id));",
        ] {
            assert!(rules_of(&of_ledger(bad)).contains(&"ledger-key".to_owned()), "{bad}");
        }
        assert_eq!(rules_of(&of_ledger(good)), [""; 0]);
    }

    #[test]
    fn no_transition_tables() {
        let create = |middle: &str| {
            format!("CREATE TRIGGER t AFTER INSERT ON ledger.statements {middle} EXECUTE FUNCTION ledger.f();")
        };
        let bad = create("REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT");
        assert_eq!(rules_of(&of_ledger(&bad)), ["ledger-transition-trigger"]);
        assert_eq!(rules_of(&of_ledger(&create("FOR EACH ROW"))), [""; 0]);
    }

    #[test]
    fn history_is_not_rewritten() {
        for bad in [
            "UPDATE ledger.statements SET a = 1 WHERE b = 2;",
            "WITH gone AS (DELETE FROM ledger.statements WHERE a = 1 RETURNING 1) SELECT 1 FROM gone;",
            "DO $$ BEGIN DELETE FROM ledger.statements WHERE a = 1; END $$;",
            "GRANT SELECT, DELETE ON ledger.statements TO progress_worker;",
        ] {
            assert!(rules_of(&of_ledger(bad)).contains(&"ledger-append-only".to_owned()), "{bad}");
        }
        assert_eq!(rules_of(&of_ledger("GRANT SELECT, INSERT ON ledger.statements TO progress_service;")), [""; 0]);
    }
}
