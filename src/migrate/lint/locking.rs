//! Rules about locks: the head tells the truth about them, and none is held as long as a table is big.

use std::collections::BTreeSet;

use squawk_syntax::ast::{self, AstNode};

use super::{
    Finding, LockClass, Subject,
    cost::BUILDS,
    effects::{self, Effect},
    names::Object,
    rows,
    source::{Source, Statement},
};

pub(super) fn check(subject: &Subject<'_>, source: &Source, found: &mut Vec<Finding>) {
    let all: Vec<(&Statement, Vec<Effect>)> =
        source.running().map(|statement| (statement, effects::of(statement, source))).collect();
    declared(subject, &all, source, found);
    for (statement, effects) in &all {
        held_long(statement, effects, found);
        lock_table(statement, found);
    }
    if !subject.no_transaction {
        held_while_working(&all, source, found);
        two_tables(&all, found);
    }
}

/// The strongest lock taken is the one that the head declares: neither a weaker one nor a stronger.
fn declared(subject: &Subject<'_>, all: &[(&Statement, Vec<Effect>)], source: &Source, found: &mut Vec<Finding>) {
    let each = all.iter().flat_map(|(s, effects)| effects.iter().map(|effect| (effect.class, s.line)));
    // Of equals the first, which is where a reader looks.
    let (class, line) = each.rev().max_by_key(|(class, _)| *class).unwrap_or((LockClass::None, 1));
    let help = format!("say `-- Lock: {class}` in the head");
    if class > subject.lock {
        let message = format!("takes the lock class {class} ({}), declared is {}", class.effect(), subject.lock);
        found.push(Finding::error("lock-class", line, message, format!("split the work, or {help}")));
    } else if class < subject.lock && source.unread.is_empty() {
        // What cannot be read may take more than what can.
        let message = format!("declares the lock class {}, but takes no more than {class}", subject.lock);
        found.push(Finding::error("lock-class", line, message, help));
    }
}

fn held_long(statement: &Statement, effects: &[Effect], found: &mut Vec<Finding>) {
    for effect in effects {
        let Some(why) = effect.long else { continue };
        let what = effect.table.as_ref().map_or(String::new(), |table| format!(" of {table}"));
        let who = if effect.class == LockClass::Share { "writers" } else { "readers and writers" };
        let message = format!("{who}{what} wait while it {why}");
        let index = matches!(statement.stmt, ast::Stmt::CreateIndex(_));
        let (rule, help) = match (index, why) {
            (true, _) => ("plain-index", "CREATE INDEX CONCURRENTLY IF NOT EXISTS in a no-transaction file"),
            (_, BUILDS) => {
                ("long-lock", "build it CONCURRENTLY in a file of its own, then ADD CONSTRAINT … USING INDEX")
            }
            _ => ("long-lock", "add it without rows to look at (NOT VALID, nullable), fill in batches, then VALIDATE"),
        };
        found.push(Finding::error(rule, statement.line, message, help));
    }
}

fn lock_table(statement: &Statement, found: &mut Vec<Finding>) {
    if let ast::Stmt::Lock(it) = &statement.stmt
        && it.lock_mode_clause().is_none_or(|clause| effects::mode(&clause) > LockClass::None)
    {
        let help = "each statement takes the lock that it needs";
        found.push(Finding::error("lock-table", statement.line, "locks a table by hand", help));
    }
}

/// A lock is held until the file ends: work on rows that comes after it makes others wait for all of the work.
fn held_while_working(all: &[(&Statement, Vec<Effect>)], source: &Source, found: &mut Vec<Finding>) {
    let mut held: Option<&Object> = None;
    for (statement, effects) in all {
        if within(statement)
            && let Some(effect) = effects.first()
        {
            held = held.or(effect.table.as_ref());
        }
        if let Some(table) = held
            && works_on_rows(statement, source)
        {
            let message = format!("works through rows while the lock on {table} is held");
            let help = "give the work a file of its own, which runs when the lock is gone";
            found.push(Finding::error("held-lock", statement.line, message, help));
        }
        let strong = effects.iter().find(|effect| effect.class >= LockClass::Share && effect.table.is_some());
        held = held.or(strong.and_then(|effect| effect.table.as_ref()));
    }
}

/// NOT VALID and VALIDATE in one statement.
fn within(statement: &Statement) -> bool {
    let ast::Stmt::AlterTable(it) = &statement.stmt else { return false };
    let validates = it.actions().any(|action| matches!(action, ast::AlterTableAction::ValidateConstraint(_)));
    validates && it.actions().count() > 1
}

fn works_on_rows(statement: &Statement, source: &Source) -> bool {
    match &statement.stmt {
        ast::Stmt::AlterTable(it) => {
            it.actions().any(|action| matches!(action, ast::AlterTableAction::ValidateConstraint(_)))
        }
        stmt => rows::reads_or_changes(stmt.syntax(), source, statement.at),
    }
}

/// Two tables under strong locks wait for each other's readers, and may wait in a circle with a writer.
fn two_tables(all: &[(&Statement, Vec<Effect>)], found: &mut Vec<Finding>) {
    let mut tables: BTreeSet<&Object> = BTreeSet::new();
    for (statement, effects) in all {
        for effect in effects.iter().filter(|effect| effect.class >= LockClass::Share && !effect.referred) {
            let Some(table) = &effect.table else { continue };
            if tables.insert(table) && tables.len() == 2 {
                let message = format!("locks {table} beside another table that others wait for");
                found.push(Finding::error("two-tables", statement.line, message, "give each table a file of its own"));
            }
        }
    }
}
