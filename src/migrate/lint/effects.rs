//! What each statement locks, and whether the file's head told the truth about it.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    Finding, LockClass, Subject,
    names::{Object, object_in, object_of},
    source::{Source, Statement},
};

/// Compares the strongest lock taken with the one the head declares.
pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    let taken = source.statements.iter().map(|s| (locks(s, source), s.line)).max_by_key(|(class, _)| *class);
    let (class, line) = taken.unwrap_or((LockClass::None, 1));
    if class > subject.lock {
        let message = format!("takes the lock class {class} ({}), declared is {}", class.effect(), subject.lock);
        let help = format!("split the work, or say `-- Lock: {class}` in the head");
        found.push(Finding::error("lock-class", line, message, help));
    } else if class < subject.lock {
        let message = format!("declares the lock class {}, but takes no more than {class}", subject.lock);
        found.push(Finding::note("lock-class", line, message, format!("say `-- Lock: {class}` in the head")));
    }
}

/// The strongest lock of one statement on anything the file did not make itself.
fn locks(statement: &Statement, source: &Source) -> LockClass {
    let foreign = |object: Option<Object>| object.is_none_or(|object| !source.creates(&object));
    let on = |object: Option<Object>, class| if foreign(object) { class } else { LockClass::None };
    let stmt = &statement.stmt;
    match stmt {
        ast::Stmt::AlterTable(it) => {
            let strongest = it.actions().map(|action| action_lock(&action)).max().unwrap_or_default();
            on(object_of(it.table_relation_name()), strongest).max(referenced(stmt.syntax(), source))
        }
        ast::Stmt::CreateTable(it) => {
            let parent = it.partition_of().map(|p| on(object_of(p.table_name_ref()), LockClass::ExclusiveBrief));
            parent.unwrap_or_default().max(referenced(stmt.syntax(), source))
        }
        ast::Stmt::CreateIndex(it) => {
            let concurrently = it.concurrently_token().is_some();
            let class = if concurrently { LockClass::ShareUpdate } else { LockClass::Share };
            on(object_of(it.table_relation_name()), class)
        }
        ast::Stmt::DropIndex(it) if it.concurrently_token().is_some() => LockClass::ShareUpdate,
        ast::Stmt::AlterIndex(it) => match it.action() {
            Some(ast::AlterIndexAction::SetTablespace(_)) => LockClass::Exclusive,
            _ => LockClass::ShareUpdate,
        },
        ast::Stmt::CreateTrigger(it) => on(object_of(it.on_relation()), LockClass::Share),
        ast::Stmt::DropTrigger(it) => on(object_of(it.on_relation()), LockClass::ExclusiveBrief),
        ast::Stmt::CreatePolicy(it) => on(object_of(it.on_table()), LockClass::ExclusiveBrief),
        ast::Stmt::AlterPolicy(it) => on(object_of(it.on_table()), LockClass::ExclusiveBrief),
        ast::Stmt::DropPolicy(it) => on(object_of(it.on_table()), LockClass::ExclusiveBrief),
        ast::Stmt::CreateView(it) if it.or_replace().is_some() => LockClass::ExclusiveBrief,
        ast::Stmt::CreateRule(_)
        | ast::Stmt::DropRule(_)
        | ast::Stmt::DropTable(_)
        | ast::Stmt::DropIndex(_)
        | ast::Stmt::DropView(_)
        | ast::Stmt::DropMaterializedView(_)
        | ast::Stmt::DropForeignTable(_)
        | ast::Stmt::AlterForeignTable(_)
        | ast::Stmt::AlterView(_)
        | ast::Stmt::Truncate(_) => on(object_in(stmt.syntax()), LockClass::ExclusiveBrief),
        ast::Stmt::CommentOn(it) => match it.comment_object() {
            Some(ast::CommentObject::ObjectTable(of)) => on(object_in(of.syntax()), LockClass::ShareUpdate),
            Some(ast::CommentObject::ObjectColumn(of)) => on(table_of_column(of.syntax()), LockClass::ShareUpdate),
            _ => LockClass::None,
        },
        ast::Stmt::Lock(it) => it.lock_mode_clause().map_or(LockClass::ExclusiveBrief, |clause| mode(&clause)),
        ast::Stmt::Reindex(it) if says(it.syntax(), "concurrently") => LockClass::ShareUpdate,
        ast::Stmt::Refresh(it) if it.concurrently_token().is_some() => LockClass::Share,
        ast::Stmt::Vacuum(it) if !says(it.syntax(), "full") => LockClass::ShareUpdate,
        ast::Stmt::Reindex(_) | ast::Stmt::Refresh(_) | ast::Stmt::Vacuum(_) | ast::Stmt::Cluster(_) => {
            LockClass::Exclusive
        }
        _ => LockClass::None,
    }
}

fn action_lock(action: &ast::AlterTableAction) -> LockClass {
    use ast::AlterTableAction as A;
    match action {
        A::AddColumn(it) => column_lock(it),
        A::AddConstraint(it) => it.constraint().map_or(LockClass::ExclusiveBrief, |c| constraint_lock(&c)),
        A::AlterColumn(it) => match it.option() {
            Some(
                ast::AlterColumnOption::SetType(_)
                | ast::AlterColumnOption::SetNotNull(_)
                | ast::AlterColumnOption::SetExpression(_),
            ) => LockClass::Exclusive,
            Some(
                ast::AlterColumnOption::SetStatistics(_)
                | ast::AlterColumnOption::SetOptions(_)
                | ast::AlterColumnOption::ResetOptions(_),
            ) => LockClass::ShareUpdate,
            _ => LockClass::ExclusiveBrief,
        },
        A::ValidateConstraint(_)
        | A::AttachPartition(_)
        | A::ClusterOn(_)
        | A::SetWithoutCluster(_)
        | A::SetOptions(_)
        | A::ResetOptions(_) => LockClass::ShareUpdate,
        A::DetachPartition(it) if it.detach_partition_option().is_some() => LockClass::ShareUpdate,
        A::EnableTrigger(_) | A::DisableTrigger(_) | A::EnableAlwaysTrigger(_) | A::EnableReplicaTrigger(_) => {
            LockClass::Share
        }
        A::SetLogged(_)
        | A::SetUnlogged(_)
        | A::SetTablespace(_)
        | A::SetAccessMethod(_)
        | A::MergePartitions(_)
        | A::SplitPartition(_) => LockClass::Exclusive,
        _ => LockClass::ExclusiveBrief,
    }
}

/// A new column is a catalog change unless every row must get a value of its own, or be looked at.
fn column_lock(column: &ast::AddColumn) -> LockClass {
    let heavy = column.constraints().any(|constraint| match constraint {
        ast::Constraint::DefaultConstraint(it) => it.expr().is_some_and(|expr| !is_one_value(expr.syntax())),
        ast::Constraint::GeneratedConstraint(_)
        | ast::Constraint::CheckConstraint(_)
        | ast::Constraint::UniqueConstraint(_)
        | ast::Constraint::PrimaryKeyConstraint(_) => true,
        _ => false,
    });
    if heavy { LockClass::Exclusive } else { LockClass::ExclusiveBrief }
}

/// Whether a default is the same for all rows: constants, and functions that are stable within a transaction.
fn is_one_value(expr: &SyntaxNode) -> bool {
    const STABLE: [&str; 5] = ["now", "transaction_timestamp", "statement_timestamp", "current_setting", "nullif"];
    expr.descendants().filter_map(ast::CallExpr::cast).all(|call| {
        let text = call.syntax().text().to_string().to_lowercase();
        let name = text.split('(').next().unwrap_or_default().trim();
        STABLE.contains(&name.trim_start_matches("pg_catalog."))
    })
}

fn constraint_lock(constraint: &ast::Constraint) -> LockClass {
    match constraint {
        ast::Constraint::ForeignKeyConstraint(_) => LockClass::Share,
        ast::Constraint::UniqueConstraint(it) if it.using_index().is_some() => LockClass::ExclusiveBrief,
        ast::Constraint::PrimaryKeyConstraint(it) if it.using_index().is_some() => LockClass::ExclusiveBrief,
        other if other.is_not_valid() => LockClass::ExclusiveBrief,
        _ => LockClass::Exclusive,
    }
}

/// A foreign key also locks the table it refers to.
fn referenced(node: &SyntaxNode, source: &Source) -> LockClass {
    let refers = node.descendants().any(|node| {
        let target = ast::ForeignKeyConstraint::cast(node.clone())
            .map(|it| object_of(it.table_name_ref()))
            .or_else(|| ast::ReferencesConstraint::cast(node).map(|it| object_of(it.table())));
        target.flatten().is_some_and(|object| !source.creates(&object))
    });
    if refers { LockClass::Share } else { LockClass::None }
}

fn mode(clause: &ast::LockModeClause) -> LockClass {
    match clause.lock_mode() {
        Some(ast::LockMode::AccessShare(_) | ast::LockMode::RowShare(_) | ast::LockMode::RowExclusive(_)) => {
            LockClass::None
        }
        Some(ast::LockMode::ShareUpdateExclusive(_)) => LockClass::ShareUpdate,
        Some(ast::LockMode::Share(_) | ast::LockMode::ShareRowExclusive(_) | ast::LockMode::Exclusive(_)) => {
            LockClass::Share
        }
        Some(ast::LockMode::AccessExclusive(_)) | None => LockClass::ExclusiveBrief,
    }
}

/// `schema.table.column` without its last part.
fn table_of_column(node: &SyntaxNode) -> Option<Object> {
    let text = node.descendants().find_map(ast::PathRef::cast)?.qualifier()?;
    object_in(text.syntax())
}

fn says(node: &SyntaxNode, word: &str) -> bool {
    node.text().to_string().to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Severity, lint};
    use super::*;

    /// The class the linter sees, found by declaring each in turn until it is content.
    fn class_of(sql: &str) -> LockClass {
        use LockClass::{Exclusive, ExclusiveBrief, None, Share, ShareUpdate};
        let fits = |lock| {
            let subject = Subject { lock, breaking: true, manual: true, ..file(RELEASE, sql) };
            !lint(&subject).iter().any(|f| f.rule == "lock-class" && f.severity == Severity::Error)
        };
        [None, ShareUpdate, Share, ExclusiveBrief, Exclusive].into_iter().find(|lock| fits(*lock)).unwrap()
    }

    #[test]
    fn knows_what_statements_lock() {
        for (class, sql) in [
            ("none", "CREATE TABLE a.b (x int); CREATE INDEX i ON a.b (x); ALTER TABLE a.b ADD COLUMN y int;"),
            ("none", "INSERT INTO a.b VALUES (1); UPDATE a.b SET x = 1;"),
            ("none", "CREATE TABLE a.b (x int PRIMARY KEY); CREATE TABLE a.c (x int REFERENCES a.b);"),
            ("share-update", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a.b (x);"),
            ("share-update", "ALTER TABLE a.b VALIDATE CONSTRAINT c;"),
            ("share-update", "ALTER TABLE a.b ATTACH PARTITION a.c FOR VALUES IN (1);"),
            ("share-update", "COMMENT ON COLUMN a.b.c IS 'x';"),
            ("share", "CREATE INDEX i ON a.b (x);"),
            ("share", "CREATE TRIGGER t AFTER INSERT ON a.b FOR EACH ROW EXECUTE FUNCTION a.f();"),
            ("share", "CREATE TABLE a.c (x int REFERENCES a.b);"),
            ("share", "LOCK TABLE a.b IN SHARE MODE;"),
            ("exclusive-brief", "ALTER TABLE a.b ADD COLUMN y timestamptz NOT NULL DEFAULT now();"),
            ("exclusive-brief", "ALTER TABLE a.b ADD CONSTRAINT c CHECK (x > 0) NOT VALID;"),
            ("exclusive-brief", "CREATE POLICY p ON a.b USING (true);"),
            ("exclusive-brief", "ALTER TABLE a.b DETACH PARTITION a.c;"),
            ("exclusive-brief", "DROP TABLE a.b;"),
            ("exclusive", "ALTER TABLE a.b ADD COLUMN y uuid DEFAULT gen_random_uuid();"),
            ("exclusive", "ALTER TABLE a.b ADD CONSTRAINT c CHECK (x > 0);"),
            ("exclusive", "ALTER TABLE a.b ALTER COLUMN x TYPE bigint;"),
            ("exclusive", "DO $$ BEGIN ALTER TABLE a.b ALTER COLUMN x SET NOT NULL; END $$;"),
        ] {
            assert_eq!(class_of(sql).name(), class, "{sql}");
        }
    }

    #[test]
    fn a_head_that_declares_too_much_gets_a_note() {
        let found = lint(&file(RELEASE, "CREATE TABLE a.b (x int);"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].severity, found[0].rule.as_str()), (Severity::Note, "lock-class"));
        assert!(found[0].help.contains("-- Lock: none"));
    }
}
