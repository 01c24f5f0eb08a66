//! What a text takes away from a database: objects, rows, rights, or the meaning they had. Pure.
//!
//! It looks at words alone and would rather see a loss where there is none: all that follows is that a person is asked.

use super::statements::{Statement, quoted_parts, split};

/// Whether some statement of the text takes something away, those in its `DO` blocks included.
pub fn takes_away(text: &str) -> bool {
    let statements = split(text);
    statements.iter().any(|statement| match statement.words.first().map(String::as_str) {
        Some("do") => quoted_parts(statement.text).iter().any(|part| block_takes_away(part)),
        Some("drop") => !is_replaced(statement, &statements),
        _ => loses(&statement.words) || (statement.starts_with(&["revoke"]) && statement.text.contains('"')),
    })
}

/// In a block, and in the strings it executes, a statement may begin after any word.
fn block_takes_away(part: &str) -> bool {
    split(part).iter().any(|statement| {
        let adds = |word: &String| matches!(word.as_str(), "create" | "grant" | "comment");
        let mut words = statement.words.as_slice();
        let mut lost = false;
        while let Some((first, rest)) = words.split_first()
            && !adds(first)
        {
            lost |= match first.as_str() {
                "drop" | "alter" => rest.first().is_some_and(|what| OBJECTS.contains(&what.as_str())) && loses(words),
                "delete" => rest.first().is_some_and(|what| what == "from"),
                "truncate" | "revoke" => loses(words),
                _ => false,
            };
            words = rest;
        }
        lost
    })
}

const OBJECTS: [&str; 28] = [
    "access",
    "aggregate",
    "cast",
    "collation",
    "column",
    "constraint",
    "conversion",
    "domain",
    "event",
    "extension",
    "foreign",
    "function",
    "index",
    "materialized",
    "operator",
    "owned",
    "policy",
    "procedure",
    "role",
    "routine",
    "rule",
    "schema",
    "sequence",
    "table",
    "text",
    "trigger",
    "type",
    "view",
];

/// Whether the statement of these words takes something away.
fn loses(words: &[String]) -> bool {
    let has = |wanted: &[&str]| words.windows(wanted.len()).any(|window| window == wanted);
    match words.first().map_or("", String::as_str) {
        "create" | "grant" | "comment" => false,
        "drop" | "truncate" | "delete" => true,
        "alter" => alters(words),
        "revoke" => revokes(words),
        _ => has(&["delete", "from"]) || has(&["then", "delete"]),
    }
}

fn alters(words: &[String]) -> bool {
    let pair = |a: &str, b: &str| words.windows(2).any(|w| w[0] == a && w[1] == b);
    // What is dropped may be quoted, and so absent from the words.
    let drops = (0..words.len()).filter(|at| words[*at] == "drop").any(|at| {
        let what = words.get(at + 1).map_or("", String::as_str);
        !matches!(what, "default" | "not" | "identity" | "expression")
    });
    let disables = ["trigger", "row", "rule"].iter().any(|what| pair("disable", what));
    let moves =
        pair("set", "schema") || pair("detach", "partition") || pair("no", "inherit") || pair("set", "unlogged");
    drops
        || disables
        || moves
        || pair("no", "force")
        || pair("enable", "replica")
        || pair("data", "type")
        || words.iter().any(|word| word == "rename")
        || alters_type(words)
}

/// `ALTER [COLUMN] name TYPE`; the name itself may be quoted and so absent from the words.
fn alters_type(words: &[String]) -> bool {
    let after = |n: usize| words.windows(n + 2).skip(1).any(|w| w[0] == "alter" && w[n + 1] == "type");
    after(0) || after(1) || after(2)
}

/// A right that everybody has by default, or that of making temporary objects, is missed by nobody who was granted one.
fn revokes(words: &[String]) -> bool {
    let Some(on) = words.iter().position(|word| word == "on") else { return true };
    let (rights, objects) = (&words[1..on], &words[on + 1..]);
    if rights.iter().all(|right| matches!(right.as_str(), "temporary" | "temp")) {
        return false;
    }
    let kinds: Vec<&str> = objects.iter().map(String::as_str).take(2).collect();
    let everybodys = match kinds.as_slice() {
        ["all", of, ..] => matches!(*of, "functions" | "procedures" | "routines"),
        [of, ..] => {
            matches!(*of, "function" | "procedure" | "routine" | "database" | "schema" | "type" | "domain" | "language")
        }
        [] => false,
    };
    let Some(from) = objects.iter().rposition(|word| word == "from") else { return true };
    let mut losers = objects[from + 1..].iter().filter(|word| !matches!(word.as_str(), "cascade" | "restrict"));
    !(everybodys && losers.all(|who| who == "public"))
}

/// A policy or a trigger can only be changed by dropping it first: another of that name on that table takes its place.
fn is_replaced(drop: &Statement<'_>, all: &[Statement<'_>]) -> bool {
    let words: Vec<&str> = drop.words.iter().map(String::as_str).collect();
    let [_, what @ ("policy" | "trigger"), rest @ ..] = words.as_slice() else { return false };
    let rest = rest.strip_prefix(&["if", "exists"]).unwrap_or(rest);
    let [name, "on", table @ ..] = rest else { return false };
    let table: Vec<&str> = table.iter().copied().filter(|word| *word != "restrict").collect();
    if table.is_empty() || drop.text.contains('"') {
        return false;
    }
    let on: Vec<&str> = ["on"].into_iter().chain(table).collect();
    all.iter().any(|other| other.starts_with(&["create"]) && other.has(&[what, name]) && other.has(&on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_takes_things_away() {
        for sql in [
            "DROP TABLE t",
            "DROP INDEX i",
            "DROP VIEW v",
            "DROP MATERIALIZED VIEW v",
            "DROP FUNCTION f(int)",
            "DROP PROCEDURE p()",
            "DROP POLICY p ON t",
            "DROP TRIGGER g ON t",
            "DROP TRIGGER g ON t; CREATE TRIGGER g BEFORE INSERT ON u EXECUTE FUNCTION f()",
            "DROP POLICY p ON t; CREATE POLICY q ON t",
            "DROP POLICY \"p\" ON t; CREATE POLICY \"q\" ON t",
            "DROP RULE r ON t",
            "DROP EXTENSION e",
            "DROP OWNED BY x",
            "ALTER TABLE t DROP COLUMN a",
            "ALTER TABLE t DROP a",
            "ALTER TABLE t DROP \"A\"",
            "ALTER TABLE t DROP \"A\", ALTER b DROP NOT NULL",
            "ALTER TABLE t DROP CONSTRAINT c",
            "ALTER DOMAIN d DROP CONSTRAINT c",
            "ALTER TYPE y DROP ATTRIBUTE a",
            "TRUNCATE t",
            "DELETE FROM t WHERE a",
            "WITH gone AS (DELETE FROM t RETURNING 1) SELECT 1",
            "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
            "ALTER TABLE t ALTER COLUMN a TYPE text",
            "ALTER TABLE t ALTER \"A\" TYPE text",
            "ALTER TABLE t ALTER a SET DATA TYPE text",
            "ALTER TABLE t RENAME TO u",
            "ALTER TABLE t RENAME COLUMN a TO b",
            "ALTER VIEW v RENAME TO w",
            "ALTER TYPE y RENAME VALUE 'a' TO 'b'",
            "ALTER FUNCTION f() SET SCHEMA s",
            "ALTER TABLE t SET SCHEMA s",
            "ALTER TABLE t DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE t NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE t DISABLE TRIGGER g",
            "ALTER TABLE t DISABLE RULE r",
            "ALTER TABLE t ENABLE REPLICA TRIGGER g",
            "ALTER TABLE t DETACH PARTITION p",
            "ALTER TABLE t SET UNLOGGED",
            "REVOKE SELECT ON t FROM progress_service",
            "REVOKE ALL ON t FROM PUBLIC",
            "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC, progress_service",
            "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC, \"x\"",
            "REVOKE ALL ON ALL TABLES IN SCHEMA s FROM PUBLIC",
            "REVOKE CONNECT ON DATABASE d FROM progress_service",
            "REVOKE progress_worker FROM x",
            "DO $$ BEGIN IF true THEN DROP TABLE t; END IF; END $$",
            "DO $$ BEGIN EXECUTE 'DROP TABLE t'; END $$",
            "DO $$ BEGIN EXECUTE format($f$ALTER TABLE %I DROP COLUMN a$f$, x); END $$",
            "DO 'BEGIN DELETE FROM t; END'",
            "DO $$ BEGIN FOR i IN 1..2 LOOP REVOKE SELECT ON t FROM x; END LOOP; END $$",
            "DO $$ BEGIN TRUNCATE t; END $$",
        ] {
            assert!(takes_away(sql), "{sql}");
        }
    }

    #[test]
    fn and_what_does_not() {
        for sql in [
            "CREATE TABLE t (a int)",
            "CREATE TABLE t (a int REFERENCES u ON DELETE CASCADE)",
            "ALTER TABLE t ADD COLUMN type text",
            "ALTER TABLE t ALTER a DROP DEFAULT",
            "ALTER TABLE t ALTER a DROP NOT NULL",
            "ALTER TABLE t ALTER a DROP IDENTITY",
            "ALTER TABLE t ENABLE ALWAYS TRIGGER g",
            "ALTER TABLE t FORCE ROW LEVEL SECURITY",
            "CREATE FUNCTION f() RETURNS int AS $$ DELETE FROM t $$",
            "CREATE PROCEDURE p() BEGIN ATOMIC DELETE FROM t; END",
            "CREATE TRIGGER g BEFORE UPDATE OR DELETE ON t EXECUTE FUNCTION f()",
            "CREATE TRIGGER g BEFORE TRUNCATE ON t EXECUTE FUNCTION f()",
            "DROP TRIGGER IF EXISTS g ON s.t; CREATE TRIGGER g BEFORE INSERT OR UPDATE ON s.t EXECUTE FUNCTION f()",
            "DROP POLICY p ON s.t; CREATE POLICY p ON s.t USING (true)",
            "GRANT SELECT, DELETE, TRUNCATE ON t TO x",
            "REVOKE ALL ON FUNCTION s.f(int), s.g() FROM PUBLIC",
            "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA s FROM PUBLIC",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            "REVOKE TEMPORARY ON DATABASE d FROM PUBLIC, x",
            "INSERT INTO t SELECT 'drop table t'",
            "DO $$ BEGIN EXECUTE 'CREATE TRIGGER g BEFORE TRUNCATE ON t'; END $$",
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1) THEN CREATE TRIGGER g BEFORE TRUNCATE ON t; END IF; END $$",
            "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, x', d); END $$",
            "DO $$ BEGIN REVOKE CREATE ON SCHEMA public FROM PUBLIC; END $$",
            "DO $$ BEGIN EXECUTE 'GRANT SELECT, DELETE ON t TO x'; END $$",
        ] {
            assert!(!takes_away(sql), "{sql}");
        }
    }
}
