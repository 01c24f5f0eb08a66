//! What each statement locks of what was there before, and whether it holds the lock as long as the table is big.

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

use super::{
    LockClass, columns,
    cost::{BUILDS, Cost, REWRITES, SCANS},
    names::{Object, object_in, object_of},
    source::{Source, Statement},
};

/// One lock of one statement on something that was there before the file.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    /// Absent where the statement names something else, as an index.
    pub table: Option<Object>,
    pub class: LockClass,
    /// Why it is held as long as the table is big, where it is.
    pub long: Option<&'static str>,
    /// A foreign key's far end: locked because of another table.
    pub referred: bool,
}

const BRIEF: Cost = (LockClass::ExclusiveBrief, None);
const CALM: Cost = (LockClass::ShareUpdate, None);

/// The locks of a statement that runs with the file.
pub(super) fn of(statement: &Statement, source: &Source) -> Vec<Effect> {
    let mut found = own(statement, source);
    found.extend(referred(statement, source));
    found
}

fn own(statement: &Statement, source: &Source) -> Vec<Effect> {
    let on = |object: Option<Object>, (class, long): Cost| {
        let existing = source.existing(object, statement.at);
        existing.map(|table| Effect { table: Some(table), class, long, referred: false }).into_iter().collect()
    };
    let every = |objects: Vec<Option<Object>>, cost: Cost| -> Vec<Effect> {
        objects.into_iter().flat_map(|object| -> Vec<Effect> { on(object, cost) }).collect()
    };
    // An index does not say which table it is on.
    let index = |(class, long): Cost| vec![Effect { table: None, class, long, referred: false }];
    let node = statement.stmt.syntax();
    match &statement.stmt {
        ast::Stmt::AlterTable(it) => {
            let costs: Vec<Cost> = it.actions().map(|action| action_cost(&action, source)).collect();
            let class = costs.iter().map(|cost| cost.0).max().unwrap_or_default();
            let long = costs.iter().max_by_key(|cost| (cost.1.is_some(), cost.0)).and_then(|cost| cost.1);
            on(object_of(it.table_relation_name()), (class, long))
        }
        ast::Stmt::CreateTable(it) => {
            let mut found: Vec<Effect> = on(it.partition_of().and_then(|p| object_of(p.table_name_ref())), BRIEF);
            let parents = it.inherits().into_iter().flat_map(|list| list.table_name_refs());
            found.extend(every(parents.map(|parent| object_of(Some(parent))).collect(), CALM));
            found
        }
        ast::Stmt::CreateIndex(it) => on(object_of(it.table_relation_name()), index_cost(it)),
        ast::Stmt::DropIndex(it) => index(if it.concurrently_token().is_some() { CALM } else { BRIEF }),
        ast::Stmt::AlterIndex(it) => index(match it.action() {
            Some(ast::AlterIndexAction::SetTablespace(_)) => (LockClass::Exclusive, Some(REWRITES)),
            _ => CALM,
        }),
        ast::Stmt::CreateTrigger(it) => on(object_of(it.on_relation()), (LockClass::Share, None)),
        ast::Stmt::DropTrigger(it) => on(object_of(it.on_relation()), BRIEF),
        ast::Stmt::AlterTrigger(it) => on(object_of(it.on_relation()), BRIEF),
        ast::Stmt::CreatePolicy(it) => on(object_of(it.on_table()), BRIEF),
        ast::Stmt::AlterPolicy(it) => on(object_of(it.on_table()), BRIEF),
        ast::Stmt::DropPolicy(it) => on(object_of(it.on_table()), BRIEF),
        ast::Stmt::CreateView(it) if it.or_replace().is_some() => on(object_of(it.view()), BRIEF),
        ast::Stmt::CreateRule(_)
        | ast::Stmt::DropRule(_)
        | ast::Stmt::AlterRule(_)
        | ast::Stmt::AlterForeignTable(_)
        | ast::Stmt::AlterView(_)
        | ast::Stmt::AlterMaterializedView(_) => on(object_in(node), BRIEF),
        ast::Stmt::DropTable(it) => every(it.table_name_refs().map(|n| object_of(Some(n))).collect(), BRIEF),
        ast::Stmt::DropView(it) => every(it.view_refs().map(|n| object_of(Some(n))).collect(), BRIEF),
        ast::Stmt::DropMaterializedView(_) | ast::Stmt::DropForeignTable(_) => on(object_in(node), BRIEF),
        ast::Stmt::Truncate(it) => {
            let tables = it.table_list().into_iter().flat_map(|list| list.table_relation_names());
            every(tables.map(|n| object_of(Some(n))).collect(), BRIEF)
        }
        ast::Stmt::CommentOn(it) => match it.comment_object() {
            Some(ast::CommentObject::ObjectTable(of)) => on(object_in(of.syntax()), CALM),
            Some(ast::CommentObject::ObjectColumn(of)) => on(columns::table_of(of.syntax()), CALM),
            _ => Vec::new(),
        },
        ast::Stmt::Lock(it) => {
            let class = it.lock_mode_clause().map_or(LockClass::ExclusiveBrief, |clause| mode(&clause));
            let tables = it.relation_list().into_iter().flat_map(|list| list.relation_names());
            every(tables.map(|n| object_of(Some(n))).collect(), (class, None))
        }
        _ => maintenance(statement, &on, &index),
    }
}

/// Statements that look after a table.
fn maintenance(
    statement: &Statement,
    on: &dyn Fn(Option<Object>, Cost) -> Vec<Effect>,
    index: &dyn Fn(Cost) -> Vec<Effect>,
) -> Vec<Effect> {
    let node = statement.stmt.syntax();
    let rewrites = (LockClass::Exclusive, Some(REWRITES));
    match &statement.stmt {
        ast::Stmt::Reindex(it) if says(it.syntax(), "concurrently") => index(CALM),
        ast::Stmt::Reindex(_) => index((LockClass::Exclusive, Some(BUILDS))),
        ast::Stmt::Refresh(it) if it.concurrently_token().is_some() => on(object_in(node), (LockClass::Share, None)),
        ast::Stmt::Refresh(it) if matches!(it.data_option(), Some(ast::DataOption::WithNoData(_))) => {
            on(object_in(node), BRIEF)
        }
        ast::Stmt::Vacuum(it) if !says(it.syntax(), "full") => index(CALM),
        ast::Stmt::Analyze(_) => index(CALM),
        ast::Stmt::CreateStatistics(it) => on(object_of(it.from_table()), CALM),
        ast::Stmt::Refresh(_) => on(object_in(node), rewrites),
        ast::Stmt::Vacuum(_) | ast::Stmt::Cluster(_) | ast::Stmt::Repack(_) => index(rewrites),
        // Every table with such a column is looked through.
        ast::Stmt::AlterDomain(it) => match it.action() {
            Some(ast::AlterDomainAction::SetNotNull(_)) => index((LockClass::Share, Some(SCANS))),
            Some(ast::AlterDomainAction::AddConstraint(it)) if !it.constraint().is_some_and(|c| c.is_not_valid()) => {
                index((LockClass::Share, Some(SCANS)))
            }
            Some(ast::AlterDomainAction::ValidateConstraint(_)) => index((LockClass::Share, Some(SCANS))),
            _ => Vec::new(),
        },
        ast::Stmt::AlterType(it) => match it.action() {
            Some(ast::AlterTypeAction::AlterTypeAttributeActionList(_)) => index(rewrites),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Of a partitioned table alone, an index is only written down; it becomes valid when each partition has its own.
fn index_cost(it: &ast::CreateIndex) -> Cost {
    match (it.concurrently_token(), it.table_relation_name().and_then(|name| name.only_token())) {
        (Some(_), _) => CALM,
        (None, Some(_)) => (LockClass::Share, None),
        (None, None) => (LockClass::Share, Some(BUILDS)),
    }
}

fn action_cost(action: &ast::AlterTableAction, source: &Source) -> Cost {
    use ast::AlterTableAction as A;
    match action {
        A::AddColumn(it) => columns::added(it, source),
        A::AddConstraint(it) => it.constraint().map_or(BRIEF, |c| constraint_cost(&c)),
        A::AlterColumn(it) => match it.option() {
            Some(ast::AlterColumnOption::SetType(_) | ast::AlterColumnOption::SetExpression(_)) => {
                (LockClass::Exclusive, Some(REWRITES))
            }
            Some(ast::AlterColumnOption::SetNotNull(_)) => (LockClass::Exclusive, Some(SCANS)),
            Some(
                ast::AlterColumnOption::SetStatistics(_)
                | ast::AlterColumnOption::SetOptions(_)
                | ast::AlterColumnOption::ResetOptions(_),
            ) => CALM,
            _ => BRIEF,
        },
        A::ValidateConstraint(_)
        | A::AttachPartition(_)
        | A::ClusterOn(_)
        | A::SetWithoutCluster(_)
        | A::SetOptions(_)
        | A::ResetOptions(_)
        | A::OptionItemList(_) => CALM,
        A::DetachPartition(it) if it.detach_partition_option().is_some() => CALM,
        A::EnableTrigger(_) | A::DisableTrigger(_) | A::EnableAlwaysTrigger(_) | A::EnableReplicaTrigger(_) => {
            (LockClass::Share, None)
        }
        A::SetLogged(_)
        | A::SetUnlogged(_)
        | A::SetTablespace(_)
        | A::SetAccessMethod(_)
        | A::MergePartitions(_)
        | A::SplitPartition(_) => (LockClass::Exclusive, Some(REWRITES)),
        _ => BRIEF,
    }
}

fn constraint_cost(constraint: &ast::Constraint) -> Cost {
    match constraint {
        ast::Constraint::ForeignKeyConstraint(_) => (LockClass::Share, (!constraint.is_not_valid()).then_some(SCANS)),
        ast::Constraint::UniqueConstraint(it) if it.using_index().is_some() => BRIEF,
        ast::Constraint::PrimaryKeyConstraint(it) if it.using_index().is_some() => BRIEF,
        other if other.is_not_valid() => BRIEF,
        ast::Constraint::UniqueConstraint(_)
        | ast::Constraint::PrimaryKeyConstraint(_)
        | ast::Constraint::ExcludeConstraint(_) => (LockClass::Exclusive, Some(BUILDS)),
        _ => (LockClass::Exclusive, Some(SCANS)),
    }
}

/// A foreign key also locks the table it refers to.
fn referred(statement: &Statement, source: &Source) -> Vec<Effect> {
    if !matches!(statement.stmt, ast::Stmt::AlterTable(_) | ast::Stmt::CreateTable(_)) {
        return Vec::new();
    }
    let far_end = |node: SyntaxNode| {
        ast::ForeignKeyConstraint::cast(node.clone())
            .map(|it| object_of(it.table_name_ref()))
            .or_else(|| ast::ReferencesConstraint::cast(node).map(|it| object_of(it.table())))
    };
    let tables = statement.stmt.syntax().descendants().filter_map(far_end);
    let existing = tables.filter_map(|table| source.existing(table, statement.at));
    existing.map(|table| Effect { table: Some(table), class: LockClass::Share, long: None, referred: true }).collect()
}

pub(super) fn mode(clause: &ast::LockModeClause) -> LockClass {
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

pub(super) fn says(node: &SyntaxNode, word: &str) -> bool {
    node.text().to_string().to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Severity, Subject, lint};
    use super::*;

    fn class_of(sql: &str) -> LockClass {
        truthful(&Subject { module: "a", breaking: true, manual: true, ..file(RELEASE, sql) }).lock
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
            ("exclusive-brief", "ALTER TABLE a.b ADD COLUMN y text DEFAULT 'x', ADD COLUMN z int REFERENCES a.c;"),
            ("share-update", "ANALYZE a.b;"),
            ("share", "CREATE INDEX i ON ONLY a.b (x);"),
            ("share", "REFRESH MATERIALIZED VIEW CONCURRENTLY a.v;"),
            ("share", "ALTER DOMAIN a.d ADD CONSTRAINT c CHECK (value > 0);"),
            ("exclusive", "ALTER TABLE a.b ADD COLUMN y bigserial;"),
            ("exclusive", "ALTER TABLE a.b ADD COLUMN y bigint GENERATED ALWAYS AS IDENTITY;"),
            ("exclusive", "ALTER TABLE a.b ADD COLUMN y a.unknown_domain;"),
            ("exclusive", "ALTER TABLE a.b ADD COLUMN y timestamptz DEFAULT clock_timestamp();"),
            ("exclusive", "ALTER TABLE a.b SET UNLOGGED;"),
            ("exclusive", "CLUSTER a.b USING i;"),
            ("exclusive", "VACUUM (FULL) a.b;"),
            ("exclusive-brief", "CREATE TYPE a.k AS ENUM ('x'); ALTER TABLE a.b ADD COLUMN y a.k;"),
            ("none", "DO $$ BEGIN EXECUTE format('ALTER TABLE a.%I ADD COLUMN y int', t); END $$;"),
            ("exclusive", "ALTER TABLE a.b ADD COLUMN y uuid DEFAULT gen_random_uuid();"),
            ("exclusive", "ALTER TABLE a.b ADD CONSTRAINT c CHECK (x > 0);"),
            ("exclusive", "ALTER TABLE a.b ALTER COLUMN x TYPE bigint;"),
            ("exclusive", "DO $$ BEGIN ALTER TABLE a.b ALTER COLUMN x SET NOT NULL; END $$;"),
        ] {
            assert_eq!(class_of(sql).name(), class, "{sql}");
        }
    }

    #[test]
    fn a_head_that_declares_too_much_is_wrong_too() {
        let wide = Subject { lock: LockClass::Share, ..file(RELEASE, "CREATE TABLE progress.b (x int);") };
        let found = lint(&wide);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].severity, found[0].rule.as_str()), (Severity::Error, "lock-class"));
        assert!(found[0].help.contains("-- Lock: none"));
    }
}
