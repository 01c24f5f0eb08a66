//! Rules for every file: it parses, names are qualified, tenants are kept apart, and squawk has no objection.

use squawk_linter::{Linter, Rule};
use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode, normalize_name_node},
};

use super::{
    Finding, Script, Subject,
    names::{Object, names_object, object_in, object_of},
    source::{Source, start_of},
};

/// Squawk's rules that fit a service which is migrated while it runs. What our own rules know better is left out:
/// destruction (`additive-only`) and locks (`lock-class`).
const SQUAWK_ERRORS: [Rule; 13] = [
    Rule::AddingForeignKeyConstraint,
    Rule::AddingSerialPrimaryKeyField,
    Rule::BanAlterDatabaseOptions,
    Rule::BanAlterDomainWithAddConstraint,
    Rule::BanAlterSystemOptions,
    Rule::BanCharField,
    Rule::BanCreateDomainWithConstraint,
    Rule::BanDropDatabase,
    Rule::BanDuplicateColumnAssignments,
    Rule::BanTruncateCascade,
    Rule::DisallowedUniqueConstraint,
    Rule::IdentifierTooLong,
    Rule::PreferTimestampTz,
];
const SQUAWK_WARNINGS: [Rule; 4] =
    [Rule::ConstraintMissingNotValid, Rule::PreferIdentity, Rule::PreferTextField, Rule::RequireEnumValueOrdering];

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for error in source.parse.errors() {
        let line = source.line_at(error.range().start().into());
        found.push(Finding::error("syntax", line, error.message(), "a rule can only judge what it can parse"));
    }
    for line in &source.dynamic {
        let help = "write the statements out, or have them read by a second pair of eyes";
        found.push(Finding::warning(
            "dynamic-sql",
            *line,
            "no rule can see SQL that is put together at run time",
            help,
        ));
    }
    for statement in &source.statements {
        for node in unqualified(statement.stmt.syntax(), source) {
            let line = if statement.nested { statement.line } else { source.line_at(start_of(&node)) };
            let message = format!("{} does not say which schema it is in", node.text().to_string().trim());
            found.push(Finding::error("qualified-names", line, message, "write schema.name"));
        }
    }
    if subject.script != Script::Down {
        tenants_apart(source, found);
        squawk(subject, source, found);
    }
}

/// Names of objects without their schema, but for temporary tables, query-local names and the system's own.
fn unqualified(statement: &SyntaxNode, source: &Source) -> Vec<SyntaxNode> {
    let local: Vec<String> =
        statement.descendants().filter(|n| n.kind() == SyntaxKind::CTE_NAME).map(|n| normalize_name_node(&n)).collect();
    let is_open = |object: &Object| {
        object.schema.is_none()
            && !object.name.starts_with("pg_")
            && !local.contains(&object.name)
            && !temporary(source).contains(object)
    };
    statement
        .descendants()
        .filter(|node| names_object(node) && object_in(node).is_some_and(|object| is_open(&object)))
        .collect()
}

fn temporary(source: &Source) -> Vec<Object> {
    let is_temp = |it: Option<ast::Persistence>| matches!(it, Some(ast::Persistence::Temp(_)));
    source
        .statements
        .iter()
        .filter_map(|s| match &s.stmt {
            ast::Stmt::CreateTable(it) if is_temp(it.persistence()) => object_of(it.table_name()),
            ast::Stmt::CreateTableAs(it) if is_temp(it.persistence()) => object_of(it.table_name()),
            _ => None,
        })
        .collect()
}

/// A table with a `tenant_id` is born with row-level security enabled and forced.
fn tenants_apart(source: &Source, found: &mut Vec<Finding>) {
    for statement in &source.statements {
        let ast::Stmt::CreateTable(table) = &statement.stmt else { continue };
        let Some(object) = object_of(table.table_name()) else { continue };
        let has_tenant = table.table_arg_list().is_some_and(|list| {
            list.args()
                .any(|arg| matches!(arg, ast::TableArg::Column(c) if c.name().is_some_and(|n| n.text() == "tenant_id")))
        });
        if has_tenant && !temporary(source).contains(&object) && !is_guarded(source, &object) {
            let message = format!("{object} has a tenant_id but no forced row-level security");
            let help = "add ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY and a policy";
            // Dynamic SQL may well do it; the check after the run looks at the database itself.
            found.push(match source.dynamic.is_empty() {
                true => Finding::error("tenant-isolation", statement.line, message, help),
                false => Finding::note("tenant-isolation", statement.line, message, help),
            });
        }
    }
}

fn is_guarded(source: &Source, object: &Object) -> bool {
    let actions = || {
        source.statements.iter().filter_map(|s| match &s.stmt {
            ast::Stmt::AlterTable(it) if object_of(it.table_relation_name()).as_ref() == Some(object) => Some(it),
            _ => None,
        })
    };
    let any = |wanted: fn(&ast::AlterTableAction) -> bool| actions().any(|it| it.actions().any(|a| wanted(&a)));
    any(|a| matches!(a, ast::AlterTableAction::EnableRls(_)))
        && any(|a| matches!(a, ast::AlterTableAction::ForceRls(_)))
}

fn squawk(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    let mut linter = Linter::from(SQUAWK_ERRORS.into_iter().chain(SQUAWK_WARNINGS));
    linter.settings.assume_in_transaction = !subject.no_transaction;
    for violation in linter.lint(&source.parse, subject.sql) {
        let line = source.line_at(violation.text_range.start().into());
        let rule = violation.code.to_string();
        let help = violation.help.unwrap_or_default();
        found.push(match SQUAWK_ERRORS.contains(&violation.code) {
            true => Finding::error(&rule, line, violation.message, help),
            false => Finding::warning(&rule, line, violation.message, help),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn a_file_must_parse() {
        tells_apart(STARTUP, "syntax", "CREATE TABLE progress.t (a int,);", "CREATE TABLE progress.t (a int);");
    }

    #[test]
    fn names_say_their_schema() {
        let rule = "qualified-names";
        tells_apart(STARTUP, rule, "CREATE TABLE t (a int);", "CREATE TABLE progress.t (a int);");
        tells_apart(
            DATA,
            rule,
            "INSERT INTO progress.t SELECT a FROM other;",
            "WITH fresh AS (SELECT 1 AS a) INSERT INTO progress.t SELECT a FROM fresh, pg_class, progress.other;",
        );
        tells_apart(DATA, rule, "DO $$ BEGIN DELETE FROM t; END $$;", "DO $$ BEGIN DELETE FROM a.t; END $$;");
        let temporary = "CREATE TEMP TABLE scratch (a int); INSERT INTO scratch VALUES (1);";
        assert_eq!(rules_of(&file(DATA, temporary)), [""; 0]);
        let function = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';";
        assert_eq!(rules_of(&file(STARTUP, function)), [rule]);
    }

    #[test]
    fn dynamic_sql_is_pointed_at() {
        tells_apart(
            STARTUP,
            "dynamic-sql",
            "DO $$ BEGIN EXECUTE format('CREATE ROLE %I', 'x'); END $$;",
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'x') THEN CREATE ROLE x; END IF; END $$;",
        );
    }

    #[test]
    fn a_tenants_table_is_born_guarded() {
        let table = "CREATE TABLE progress.t (tenant_id uuid NOT NULL);";
        let half = format!("{table} ALTER TABLE progress.t ENABLE ROW LEVEL SECURITY;");
        let whole = format!("{half} ALTER TABLE progress.t FORCE ROW LEVEL SECURITY;");
        assert_eq!(rules_of(&file(STARTUP, table)), ["tenant-isolation"]);
        tells_apart(STARTUP, "tenant-isolation", &half, &whole);
    }

    #[test]
    fn squawks_rules_apply() {
        for (rule, bad, good) in [
            ("prefer-timestamp-tz", "a timestamp", "a timestamptz"),
            ("ban-char-field", "a char(3)", "a text"),
            ("prefer-text-field", "a varchar(3)", "a text"),
            ("prefer-identity", "a bigserial", "a bigint GENERATED ALWAYS AS IDENTITY"),
        ] {
            let table = |column| format!("CREATE TABLE progress.t ({column});");
            tells_apart(STARTUP, rule, &table(bad), &table(good));
        }
        tells_apart(
            RELEASE,
            "constraint-missing-not-valid",
            "ALTER TABLE progress.t ADD CONSTRAINT c CHECK (a > 0);",
            "ALTER TABLE progress.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;",
        );
        let unique = |rest| rules_of(&file(RELEASE, rest)).contains(&"disallowed-unique-constraint".to_owned());
        assert!(unique("ALTER TABLE progress.t ADD CONSTRAINT c UNIQUE (a);"));
        assert!(!unique("ALTER TABLE progress.t ADD CONSTRAINT c UNIQUE USING INDEX t_a;"));
    }

    #[test]
    fn down_files_may_destroy_but_name_their_schema() {
        assert_eq!(rules_of(&file(DOWN, "DROP TABLE progress.t;")), [""; 0]);
        assert_eq!(rules_of(&file(DOWN, "DROP TABLE t;")), ["qualified-names"]);
    }
}
