//! Rules that keep the old release running beside the new one: add, never take away; seeds only bring rows.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    super::{losses, names::Category},
    Finding, Script, Subject,
    names::{Object, object_in, object_of},
    source::{Source, Statement},
};

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    if subject.script == Script::Up(Category::Seed) {
        for statement in source.running().filter(|s| !brings_rows(&s.stmt)) {
            let help = "move it to a startup or release file";
            found.push(Finding::error("seed-rows-only", statement.line, "a seed only inserts or updates rows", help));
        }
        return;
    }
    if subject.breaking && subject.manual {
        return;
    }
    for statement in source.running() {
        for what in takes_away(statement, source) {
            let help =
                "expand first and contract in a later release, whose head says `Breaking: yes` and `Manual: yes`";
            found.push(Finding::error("additive-only", statement.line, what, help));
        }
    }
}

fn brings_rows(stmt: &ast::Stmt) -> bool {
    use ast::Stmt::{Insert, Merge, Select, Set, Update, Values};
    let deletes = |node: SyntaxNode| ast::Delete::can_cast(node.kind()) || ast::MergeDelete::can_cast(node.kind());
    matches!(stmt, Insert(_) | Merge(_) | Select(_) | Set(_) | Update(_) | Values(_))
        && !stmt.syntax().descendants().any(deletes)
}

/// What a statement takes away from code that runs against the schema of before.
fn takes_away(statement: &Statement, source: &Source) -> Vec<String> {
    let node = statement.stmt.syntax();
    let own = |object: Option<Object>| object.is_some_and(|object| source.surely_makes(&object, statement.at));
    match &statement.stmt {
        ast::Stmt::AlterTable(it) if own(object_of(it.table_relation_name())) => Vec::new(),
        ast::Stmt::AlterTable(it) => it.actions().filter_map(|action| narrowed_by(&action)).collect(),
        ast::Stmt::Truncate(_) => vec!["empties a table".to_owned()],
        // A trigger or policy can only be replaced by dropping it first; the table it guards stays.
        ast::Stmt::DropTrigger(it) if replaces(source, it.on_relation(), it.trigger_ref()) => Vec::new(),
        ast::Stmt::DropPolicy(it) if replaces(source, it.on_table(), it.policy_ref()) => Vec::new(),
        ast::Stmt::DropTable(it) if it.table_name_refs().all(|name| own(object_of(Some(name)))) => Vec::new(),
        ast::Stmt::Revoke(it) if it.on_privilege_objects_clause().is_some() && takes_right(it, source) => {
            vec!["takes a right away".to_owned()]
        }
        ast::Stmt::AlterType(_) | ast::Stmt::AlterDomain(_) if narrows_type(node) => {
            vec!["takes an attribute, or values, from a type".to_owned()]
        }
        stmt if !matches!(stmt, ast::Stmt::DropTable(_)) && own(object_in(node)) => Vec::new(),
        _ => {
            let mut words = node.children_with_tokens().filter(|child| !child.kind().is_trivia());
            let is_drop = words.next().is_some_and(|word| word.kind() == SyntaxKind::DROP_KW);
            let moved = [SyntaxKind::RENAME_KW, SyntaxKind::SET_SCHEMA];
            let renames = node.descendants_with_tokens().any(|child| moved.contains(&child.kind()));
            let is_alter = matches!(node.first_token().map(|t| t.kind()), Some(SyntaxKind::ALTER_KW));
            match (is_drop, is_alter && renames) {
                (true, _) => vec!["drops something that may be in use".to_owned()],
                (_, true) => vec!["renames or moves something that may be in use".to_owned()],
                _ => Vec::new(),
            }
        }
    }
}

/// As the approval has it: what everybody has by default is missed by nobody who was granted it.
fn takes_right(it: &ast::Revoke, source: &Source) -> bool {
    let text = it.syntax().text().to_string();
    let clause = it.on_privilege_objects_clause().map(|clause| clause.syntax().clone());
    let named = clause.and_then(|clause| object_in(&clause));
    !named.is_some_and(|object| source.creates(&object)) && losses::takes_away(&text)
}

fn narrows_type(node: &SyntaxNode) -> bool {
    node.descendants().any(|n| {
        matches!(n.kind(), SyntaxKind::DROP_ATTRIBUTE | SyntaxKind::ALTER_ATTRIBUTE | SyntaxKind::SET_NOT_NULL)
            || (n.kind() == SyntaxKind::ADD_CONSTRAINT && ast::AlterDomain::cast(node.clone()).is_some())
    })
}

fn replaces<T: AstNode, N: AstNode>(source: &Source, table: Option<T>, name: Option<N>) -> bool {
    let (Some(table), Some(name)) = (object_of(table), name.map(|n| n.syntax().text().to_string())) else {
        return false;
    };
    let same = |on: Option<Object>, made: Option<String>| on.as_ref() == Some(&table) && made.as_ref() == Some(&name);
    source.statements.iter().any(|s| match &s.stmt {
        ast::Stmt::CreateTrigger(it) => {
            same(object_of(it.on_relation()), it.trigger().map(|n| n.syntax().text().to_string()))
        }
        ast::Stmt::CreatePolicy(it) => {
            same(object_of(it.on_table()), it.policy().map(|n| n.syntax().text().to_string()))
        }
        _ => false,
    })
}

fn narrowed_by(action: &ast::AlterTableAction) -> Option<String> {
    use ast::AlterTableAction as A;
    let what = match action {
        A::DropColumn(_) => "drops a column",
        A::DropConstraint(_) => "drops a constraint",
        A::RenameColumn(_) => "renames a column",
        A::RenameConstraint(_) => "renames a constraint",
        A::TableRenameTo(_) => "renames a table",
        A::SetSchema(_) => "moves a table to another schema",
        A::DisableRls(_) | A::NoForceRls(_) => "takes row-level security away",
        A::DisableTrigger(_) | A::EnableReplicaTrigger(_) => "disables a trigger",
        A::DisableRule(_) | A::EnableReplicaRule(_) => "disables a rule",
        A::DetachPartition(_) | A::NoInheritTable(_) => "takes the rows of a partition out of its table",
        A::SetUnlogged(_) => "loses a table's rows in a crash",
        A::AddColumn(it) if must_be_filled(it) => "adds a column that must be filled and has no default",
        A::AlterColumn(it) => match it.option()? {
            ast::AlterColumnOption::SetType(_) => "changes a column's type",
            ast::AlterColumnOption::SetNotNull(_) => "makes a column NOT NULL",
            ast::AlterColumnOption::DropDefault(_) => "drops a default that writers may rely on",
            ast::AlterColumnOption::DropExpression(_) | ast::AlterColumnOption::DropIdentity(_) => {
                "drops what fills a column"
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(what.to_owned())
}

fn must_be_filled(column: &ast::AddColumn) -> bool {
    let constraints: Vec<ast::Constraint> = column.constraints().collect();
    let has = |wanted: fn(&ast::Constraint) -> bool| constraints.iter().any(wanted);
    has(|c| matches!(c, ast::Constraint::NotNullConstraint(_) | ast::Constraint::PrimaryKeyConstraint(_)))
        && !has(|c| matches!(c, ast::Constraint::DefaultConstraint(_) | ast::Constraint::GeneratedConstraint(_)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    const GOOD: &str = "ALTER TABLE progress.t ADD COLUMN a int;
        ALTER TABLE progress.t ADD COLUMN b int NOT NULL DEFAULT 0, ALTER COLUMN c SET DEFAULT 1;
        CREATE TABLE progress.own (x int); ALTER TABLE progress.own RENAME COLUMN x TO y; DROP TABLE progress.own;";

    #[test]
    fn nothing_is_taken_away() {
        for bad in [
            "DROP TABLE progress.t;",
            "DROP VIEW progress.v;",
            "DROP FUNCTION progress.f(int);",
            "DROP TYPE progress.k;",
            "DROP INDEX progress.i;",
            "ALTER TABLE progress.t DROP COLUMN a;",
            "ALTER TABLE progress.t RENAME COLUMN a TO b;",
            "ALTER TABLE progress.t RENAME TO u;",
            "ALTER VIEW progress.v RENAME TO w;",
            "ALTER TYPE progress.k RENAME VALUE 'a' TO 'b';",
            "ALTER TABLE progress.t ALTER COLUMN a TYPE bigint;",
            "ALTER TABLE progress.t ALTER COLUMN a SET NOT NULL;",
            "ALTER TABLE progress.t ADD COLUMN a int NOT NULL;",
            "ALTER TABLE progress.t NO FORCE ROW LEVEL SECURITY;",
            "ALTER TABLE progress.t DISABLE TRIGGER u;",
            "TRUNCATE progress.t;",
            "DROP POLICY p ON progress.t;",
            "DO $$ BEGIN ALTER TABLE progress.t DROP COLUMN a; END $$;",
            "DO $$ BEGIN EXECUTE 'ALTER TABLE progress.t DROP COLUMN a'; END $$;",
            "DROP TABLE progress.t; CREATE TABLE progress.t (a int);",
            "CREATE TABLE IF NOT EXISTS progress.t (a int); DROP TABLE progress.t;",
            "CREATE TABLE progress.own (a int); DROP TABLE progress.own, progress.t;",
            "ALTER FUNCTION progress.f() SET SCHEMA other;",
            "ALTER TABLE progress.t ENABLE REPLICA TRIGGER u;",
            "ALTER TABLE progress.t DISABLE ROW LEVEL SECURITY;",
            "ALTER TYPE progress.k DROP ATTRIBUTE a;",
            "ALTER DOMAIN progress.d SET NOT NULL;",
            "REVOKE SELECT ON progress.t FROM progress_service;",
        ] {
            for script in [RELEASE, STARTUP, DATA] {
                assert!(rules_of(&file(script, bad)).contains(&"additive-only".to_owned()), "{bad}");
            }
        }
        assert_eq!(rules_of(&file(RELEASE, GOOD)), [""; 0]);
    }

    #[test]
    fn a_declared_break_passes_only_with_an_operator() {
        let sql = "DROP TABLE progress.t;";
        let break_ = |manual| Subject { breaking: true, manual, ..file(RELEASE, sql) };
        assert_eq!(rules_of(&break_(false)), ["additive-only"]);
        assert_eq!(rules_of(&break_(true)), [""; 0]);
    }

    #[test]
    fn a_policy_or_trigger_may_be_replaced() {
        let policy = "DROP POLICY IF EXISTS p ON progress.t; CREATE POLICY p ON progress.t USING (a);";
        assert_eq!(rules_of(&file(RELEASE, policy)), [""; 0]);
        let other = "DROP POLICY IF EXISTS p ON progress.t; CREATE POLICY p ON progress.u USING (a);";
        assert_eq!(rules_of(&file(RELEASE, other)), ["additive-only", "two-tables"]);
    }

    #[test]
    fn seeds_bring_rows() {
        tells_apart(
            SEED,
            "seed-rows-only",
            "CREATE TABLE progress.t (a int);",
            "INSERT INTO progress.t VALUES (1) ON CONFLICT DO NOTHING;",
        );
        for deletes in [
            "DELETE FROM progress.t WHERE a = 1;",
            "WITH gone AS (DELETE FROM progress.t WHERE a = 1 RETURNING b) INSERT INTO progress.u SELECT b FROM gone;",
            "MERGE INTO progress.t USING (VALUES (1)) AS s (a) ON t.a = s.a WHEN MATCHED THEN DELETE;",
        ] {
            assert_eq!(rules_of(&file(SEED, deletes)), ["seed-rows-only"], "{deletes}");
        }
    }
}
