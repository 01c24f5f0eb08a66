//! Rules for every file: it parses, names are qualified, tenants are kept apart, and squawk has no objection.

use squawk_linter::{Linter, Rule};
use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{AstNode, normalize_name_node},
};

use super::{
    Finding, Script, Subject,
    names::{Object, names_object, object_in},
    nodes::start_of,
    source::{Place, Source},
};

/// Squawk's rules that fit a service which is migrated while it runs. What our own rules know better is left out:
/// destruction (`additive-only`), locks (`lock-class`, `long-lock`) and the server (`server-wide`).
const SQUAWK_ERRORS: [Rule; 6] = [
    Rule::BanCharField,
    Rule::BanCreateDomainWithConstraint,
    Rule::BanDuplicateColumnAssignments,
    Rule::BanTruncateCascade,
    Rule::IdentifierTooLong,
    Rule::PreferTimestampTz,
];
const SQUAWK_WARNINGS: [Rule; 3] = [Rule::PreferIdentity, Rule::PreferTextField, Rule::RequireEnumValueOrdering];

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    for error in source.parse.errors() {
        let line = source.line_at(error.range().start().into());
        found.push(Finding::error("syntax", line, error.message(), "a rule can only judge what it can parse"));
    }
    for (line, what) in &source.unread {
        let message = format!("no rule can read this: {what}");
        let help = "write the statements out, or say in the head why they are safe";
        found.push(Finding::error("dynamic-sql", *line, message, help));
    }
    for statement in &source.statements {
        for node in unqualified(statement.stmt.syntax(), source) {
            let top = statement.place == Place::Top;
            let line = if top { source.line_at(start_of(&node)) } else { statement.line };
            let message = format!("{} does not say which schema it is in", node.text().to_string().trim());
            found.push(Finding::error("qualified-names", line, message, "write schema.name"));
        }
    }
    if subject.script != Script::Down {
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
            && !object.is_placeholder()
            && !source.is_temporary(object)
    };
    statement
        .descendants()
        .filter(|node| names_object(node) && object_in(node).is_some_and(|object| is_open(&object)))
        .collect()
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
            "INSERT INTO progress.t SELECT a FROM other WHERE b;",
            "WITH fresh AS (SELECT 1 AS a) INSERT INTO progress.t SELECT a FROM fresh, pg_class, progress.other WHERE b;",
        );
        tells_apart(
            DATA,
            rule,
            "DO $$ BEGIN UPDATE t SET a = 1 WHERE b; END $$;",
            "DO $$ BEGIN UPDATE progress.t SET a = 1 WHERE b; END $$;",
        );
        let temporary = "CREATE TEMP TABLE scratch (a int) ON COMMIT DROP; INSERT INTO scratch VALUES (1);";
        assert_eq!(rules_of(&file(DATA, temporary)), [""; 0]);
        let function = "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1;";
        assert_eq!(rules_of(&file(STARTUP, function)), [rule]);
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
    }

    #[test]
    fn down_files_may_destroy_but_name_their_schema() {
        assert_eq!(rules_of(&file(DOWN, "DROP TABLE progress.t;")), [""; 0]);
        assert_eq!(rules_of(&file(DOWN, "DROP TABLE t;")), ["qualified-names"]);
    }
}
