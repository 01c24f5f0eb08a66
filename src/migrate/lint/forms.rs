//! Forms of SQL that a file may not hold, though its head declares the lock it takes, each with the rule that says so;
//! and forms that pass. Files are of the module `progress`.

mod harmless;
mod reach;
mod work;

use harmless::{ALONE, HARMLESS};
use reach::{REACH, RIGHTS, SESSION};
use work::{LOCKS, ROWS};

use super::{Script, Severity, Subject, lint, rules, testing::*};

/// (rule, the script, SQL)
type Form = (&'static str, Script, &'static str);

fn groups() -> Vec<&'static Form> {
    [ROWS, LOCKS, RIGHTS, REACH, SESSION].into_iter().flatten().collect()
}

#[test]
fn dangerous_forms_are_found_whatever_lock_is_declared() {
    let mut passed = Vec::new();
    for (rule, script, sql) in groups() {
        let found = rules_of(&file(*script, sql));
        if !found.iter().any(|name| name == rule) {
            passed.push(format!("{rule} does not see {sql} (seen: {found:?})"));
        }
    }
    assert!(groups().len() >= 180, "{} forms", groups().len());
    assert!(passed.is_empty(), "{} of {}:\n{}", passed.len(), groups().len(), passed.join("\n"));
}

#[test]
fn no_lock_that_is_declared_makes_a_form_harmless() {
    use super::LockClass::{Exclusive, ExclusiveBrief, None, Share, ShareUpdate};
    for (rule, script, sql) in groups() {
        for lock in [None, ShareUpdate, Share, ExclusiveBrief, Exclusive] {
            let found = lint(&Subject { lock, ..file(*script, sql) });
            assert!(found.iter().any(|f| f.rule == *rule && f.severity == Severity::Error), "{rule}: {sql} as {lock}");
        }
    }
}

#[test]
fn harmless_forms_pass() {
    let mut refused = Vec::new();
    for (script, sql) in HARMLESS {
        let subject = truthful(&file(*script, sql));
        refused
            .extend(lint(&subject).into_iter().filter(|f| f.severity > Severity::Note).map(|f| format!("{sql}: {f}")));
    }
    for sql in ALONE {
        let subject = truthful(&Subject { no_transaction: true, ..file(RELEASE, sql) });
        refused
            .extend(lint(&subject).into_iter().filter(|f| f.severity > Severity::Note).map(|f| format!("{sql}: {f}")));
    }
    assert!(HARMLESS.len() + ALONE.len() >= 70);
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// A lock that is declared too weak is found where nothing else is wrong.
#[test]
fn a_declared_lock_is_a_fact_to_check() {
    use super::LockClass::{Exclusive, ExclusiveBrief, None, Share};
    for (declared, sql) in [
        (None, "ALTER TABLE progress.t ADD COLUMN a text;"),
        (Share, "ALTER TABLE progress.t ADD COLUMN a text;"),
        (Exclusive, "ALTER TABLE progress.t ADD COLUMN a text;"),
        (None, "CREATE TRIGGER g BEFORE UPDATE ON progress.t FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();"),
        (ExclusiveBrief, "ALTER TABLE progress.t VALIDATE CONSTRAINT c;"),
        (Share, "CREATE TABLE progress.t (a int);"),
    ] {
        assert_eq!(rules_as_declared(&Subject { lock: declared, ..file(RELEASE, sql) }), ["lock-class"], "{sql}");
    }
}

/// What is put together at run time may take the lock that is declared.
#[test]
fn a_lock_that_nobody_can_read_may_be_declared() {
    let sql = "DO $$ BEGIN EXECUTE format('ALTER TABLE progress.%I ADD COLUMN a int', 't'); END $$;";
    let subject = Subject { lock: super::LockClass::ExclusiveBrief, ..file(RELEASE, sql) };
    assert_eq!(rules_as_declared(&subject), ["dynamic-sql"]);
}

fn rules_as_declared(subject: &Subject<'_>) -> Vec<String> {
    lint(subject).into_iter().filter(|f| f.severity == Severity::Error).map(|f| f.rule).collect()
}

/// Each rule of our own has a form here, but for those about a file's head and its mode, which are tested beside them.
#[test]
fn every_rule_has_a_form() {
    const ELSEWHERE: [&str; 8] = [
        "one-statement",
        "repeatable",
        "needless-no-transaction",
        "lock-class",
        "allow-reason",
        "allow-unused",
        "ledger-key",
        "ledger-transition-trigger",
    ];
    for rule in rules::RULES {
        let here = groups().iter().any(|(name, _, _)| *name == rule.name);
        assert!(here != ELSEWHERE.contains(&rule.name), "{}", rule.name);
    }
}
