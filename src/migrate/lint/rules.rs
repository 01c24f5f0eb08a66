//! The rules by name, and what each asks. The table in `docs/migrations.md` is this one.

/// A rule's name, and what it asks of a file.
pub struct Rule {
    pub name: &'static str,
    pub asks: &'static str,
}

const fn rule(name: &'static str, asks: &'static str) -> Rule {
    Rule { name, asks }
}

/// Every rule of our own, in the order in which the documentation lists them.
pub const RULES: &[Rule] = &[
    rule("syntax", "the file parses"),
    rule(
        "dynamic-sql",
        "what is executed can be read: a string with holes in it, another language, or a body that does not parse cannot",
    ),
    rule("unseen-code", "no function is run whose code is not in the file"),
    rule("qualified-names", "every object is named with its schema"),
    rule(
        "transaction-control",
        "no BEGIN, COMMIT, ROLLBACK, SAVEPOINT, SET TRANSACTION: the runner owns the transaction",
    ),
    rule("needs-no-transaction", "what cannot run in a transaction stands in a `no-transaction` file"),
    rule("one-statement", "a `no-transaction` file holds one statement"),
    rule("repeatable", "a `no-transaction` file can be repeated after a crash: IF (NOT) EXISTS"),
    rule("needless-no-transaction", "(warning) what can run in a transaction does"),
    rule(
        "session-setting",
        "nothing outlives the file in the session: SET LOCAL, temporary tables ON COMMIT DROP, nothing prepared",
    ),
    rule(
        "protected-setting",
        "limits, roles and guards that the runner set stay: no `lock_timeout`, `statement_timeout`, `session_replication_role`, `row_security`, role",
    ),
    rule(
        "additive-only",
        "startup, release and data files drop, rename, move, retype, narrow, disable and revoke nothing, unless the head says `Breaking: yes` and `Manual: yes`",
    ),
    rule("seed-rows-only", "seeds insert or update rows, and delete none"),
    rule("lock-class", "the head's `Lock:` is exactly the strongest lock taken of tables that were there before"),
    rule("long-lock", "no lock that others wait for is held while a table is rewritten, scanned or indexed"),
    rule("plain-index", "an index on a table that was there before is built CONCURRENTLY"),
    rule("held-lock", "no rows are worked through, and no constraint validated, while such a lock is held"),
    rule("two-tables", "one file takes such locks of one table"),
    rule("lock-table", "no LOCK TABLE"),
    rule("whole-table", "UPDATE and DELETE say which rows, in every category"),
    rule("unbounded-rows", "INSERT … SELECT, MERGE, CREATE TABLE AS and materialized views take no table whole"),
    rule("sequence-value", "no setval and no RESTART"),
    rule("enum-use", "a value added to an enum is used in a later file"),
    rule(
        "function-search-path",
        "each function says `SET search_path = pg_catalog, pg_temp` (or another list that ends in pg_temp and has nothing in which others create), or has a body in standard SQL (`RETURN`, `BEGIN ATOMIC`)",
    ),
    rule("definer-revoked", "a SECURITY DEFINER function is revoked from PUBLIC in the same file"),
    rule(
        "tenant-isolation",
        "a table with a `tenant_id` is born with row-level security enabled and forced; a policy that opens every row is for progress_worker or the owner",
    ),
    rule("rights-of-all", "nothing is granted to PUBLIC"),
    rule(
        "other-module",
        "a file changes its own schema alone; it uses only modules that come before its own, and calls no function of theirs that changes something",
    ),
    rule("history", "the runner's own tables are not named"),
    rule("partition-by-name", "no month of the ledger is named"),
    rule(
        "partition-change",
        "nothing is born a partition of, attached to, detached from or inherited from a table that was there before",
    ),
    rule("roles", "no roles, memberships, owners and default rights are changed"),
    rule(
        "server-wide",
        "nothing of the whole server or database is changed: ALTER SYSTEM, databases, tablespaces, event triggers, casts",
    ),
    rule(
        "outside-world",
        "no COPY, no files, programs, extensions, foreign servers, subscriptions, publications, and no other languages than sql and plpgsql",
    ),
    rule(
        "dangerous-call",
        "no function is called that waits, ends others' work, holds locks of the session, or reaches out of the database",
    ),
    rule("no-rules", "no CREATE RULE"),
    rule("ledger-key", "no key on, or to, `ledger.statements`: an archived month could not be attached any more"),
    rule("ledger-transition-trigger", "no trigger with transition tables on `ledger.statements`"),
    rule("ledger-append-only", "`ledger.statements` is not changed, and nobody is granted it"),
    rule("allow-reason", "an exception names a rule and gives a reason"),
    rule("allow-unused", "(warning) an exception excuses something"),
];

/// The rules of squawk that run beside ours, under their own names.
pub const SQUAWK: [&str; 9] = [
    "ban-char-field",
    "ban-create-domain-with-constraint",
    "ban-duplicate-column-assignments",
    "ban-truncate-cascade",
    "identifier-too-long",
    "prefer-timestamp-tz",
    "prefer-identity",
    "prefer-text-field",
    "require-enum-value-ordering",
];

pub fn is_known(name: &str) -> bool {
    RULES.iter().any(|rule| rule.name == name) || SQUAWK.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_the_rules() {
        let docs = include_str!("../../../docs/migrations.md");
        let table = docs.split("| rule | asks |\n|---|---|\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let ours: Vec<String> = RULES.iter().map(|rule| format!("| `{}` | {} |", rule.name, rule.asks)).collect();
        assert_eq!(table.trim_end(), ours.join("\n"), "the table is to be:\n{}", ours.join("\n"));
        for name in SQUAWK {
            assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs/migrations.md");
        }
    }
}
