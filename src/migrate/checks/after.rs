//! Did a migration leave everything in order? Judges the facts read afterwards. Pure.

use chrono::{DateTime, Months, Utc};

use super::{Check, Status, functions::functions, some_of};
use crate::store::schema::checks::{AfterFacts, TenantTable};

/// One line for each thing that has to be right. `problems` is what is wrong between files and history; `pending`
/// counts files that are not applied.
pub fn after(facts: &AfterFacts, pending: usize, problems: &[String], now: DateTime<Utc>) -> Vec<Check> {
    let mut checks = vec![version(pending), integrity(problems)];
    checks.push(indexes(facts));
    checks.push(constraints(facts));
    checks.push(row_security(&facts.tenant_tables));
    checks.push(functions(&facts.functions));
    checks.push(detached(facts));
    checks.extend(facts.months.as_ref().map(|months| ahead(months.until, now)));
    checks
}

fn version(pending: usize) -> Check {
    match pending {
        0 => Check::pass("version", "every file of this binary is applied"),
        _ => {
            let found = format!("{pending} files of this binary are not applied");
            Check::of(Status::Warn, "version", found, "run `migrations status` to see which, and why")
        }
    }
}

fn integrity(problems: &[String]) -> Check {
    if problems.is_empty() {
        return Check::pass("integrity", "history and files agree");
    }
    Check::of(Status::Fail, "integrity", some_of(problems), "run `migrations verify` and mend what it names")
}

fn indexes(facts: &AfterFacts) -> Check {
    // An index on a parent with a foreign partition stays invalid for ever: there is nothing to attach for that one.
    let broken: Vec<String> = facts
        .invalid_indexes
        .iter()
        .filter(|index| !index.foreign_only && !index.building)
        .map(|index| index.index.clone())
        .collect();
    if !broken.is_empty() {
        let found = format!("invalid: {}", some_of(&broken));
        return Check::of(Status::Fail, "indexes", found, "run `db reindex --apply`");
    }
    match facts.invalid_indexes.iter().find(|index| index.building) {
        Some(index) => {
            Check::of(Status::Warn, "indexes", format!("{} is being built", index.index), "wait until it is done")
        }
        None => Check::pass("indexes", "all are valid"),
    }
}

fn constraints(facts: &AfterFacts) -> Check {
    if facts.unvalidated.is_empty() {
        return Check::pass("constraints", "all are validated");
    }
    let found = format!("not validated: {}", some_of(&facts.unvalidated));
    Check::of(Status::Warn, "constraints", found, "ALTER TABLE … VALIDATE CONSTRAINT …, in a file of its own")
}

fn row_security(tables: &[TenantTable]) -> Check {
    let open = |table: &&TenantTable| !table.enabled || !table.forced;
    let names = |open: &dyn Fn(&&TenantTable) -> bool| -> Vec<String> {
        tables.iter().filter(|table| open(table)).map(|table| table.table.clone()).collect()
    };
    let unguarded = names(&open);
    if !unguarded.is_empty() {
        let found = format!("not enabled and forced on {}", some_of(&unguarded));
        let todo = "ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY";
        return Check::of(Status::Fail, "row-level-security", found, todo);
    }
    let silent = names(&|table| table.policies == 0 && !table.is_partition);
    if !silent.is_empty() {
        let found = format!("no policy on {}: nobody can read it", some_of(&silent));
        return Check::of(Status::Warn, "row-level-security", found, "CREATE POLICY … ON …");
    }
    Check::pass("row-level-security", format!("enabled and forced on {} tables with a tenant", tables.len()))
}

fn detached(facts: &AfterFacts) -> Check {
    if facts.detach_pending.is_empty() {
        return Check::pass("partitions-detached", "no detaching was broken off");
    }
    let found = format!("half detached: {}", some_of(&facts.detach_pending));
    Check::of(Status::Fail, "partitions-detached", found, "ALTER TABLE … DETACH PARTITION … FINALIZE")
}

/// Statements of next month need a partition before next month comes.
fn ahead(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Check {
    let todo = "start the service: it makes the months ahead";
    let Some(until) = until else {
        return Check::of(Status::Warn, "partitions-ahead", "no month can be written to", todo);
    };
    let found = format!("months are there until {}", until.format("%Y-%m-%d"));
    if until <= now {
        Check::of(Status::Fail, "partitions-ahead", found, todo)
    } else if now.checked_add_months(Months::new(1)).is_some_and(|soon| until < soon) {
        Check::of(Status::Warn, "partitions-ahead", found, todo)
    } else {
        Check::pass("partitions-ahead", found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::checks::{InvalidIndex, Months as LedgerMonths};

    fn now() -> DateTime<Utc> {
        "2026-03-10T12:00:00Z".parse().unwrap()
    }

    fn healthy() -> AfterFacts {
        AfterFacts {
            tenant_tables: vec![table("ledger.statements", true)],
            months: Some(LedgerMonths { until: Some("2026-06-01T00:00:00Z".parse().unwrap()) }),
            ..AfterFacts::default()
        }
    }

    fn table(name: &str, forced: bool) -> TenantTable {
        TenantTable { table: name.into(), enabled: true, forced, policies: 1, is_partition: false }
    }

    fn index(building: bool, foreign_only: bool) -> InvalidIndex {
        InvalidIndex { index: "a.i".into(), table: "a.t".into(), building, foreign_only }
    }

    fn spoiled(change: impl Fn(&mut AfterFacts)) -> Vec<(&'static str, Status)> {
        let mut facts = healthy();
        change(&mut facts);
        let checks = after(&facts, 0, &[], now());
        checks.iter().filter(|c| c.status != Status::Pass).map(|c| (c.name, c.status)).collect()
    }

    #[test]
    fn order_passes_and_disorder_does_not() {
        assert_eq!(spoiled(|_| ()), []);
        assert_eq!(spoiled(|f| f.unvalidated.push("a.t.c".into())), [("constraints", Status::Warn)]);
        assert_eq!(spoiled(|f| f.detach_pending.push("a.t".into())), [("partitions-detached", Status::Fail)]);
        let problems = after(&healthy(), 2, &["tampered".into()], now());
        assert_eq!((problems[0].status, problems[1].status), (Status::Warn, Status::Fail));
    }

    #[test]
    fn a_parent_index_that_lacks_only_foreign_partitions_is_sound() {
        assert_eq!(spoiled(|f| f.invalid_indexes.push(index(false, false))), [("indexes", Status::Fail)]);
        assert_eq!(spoiled(|f| f.invalid_indexes.push(index(true, false))), [("indexes", Status::Warn)]);
        assert_eq!(spoiled(|f| f.invalid_indexes.push(index(false, true))), []);
    }

    #[test]
    fn every_tenants_table_is_guarded() {
        assert_eq!(spoiled(|f| f.tenant_tables.push(table("a.t", false))), [("row-level-security", Status::Fail)]);
        let without_policy = |is_partition| TenantTable { policies: 0, is_partition, ..table("a.t", true) };
        assert_eq!(spoiled(|f| f.tenant_tables.push(without_policy(false))), [("row-level-security", Status::Warn)]);
        assert_eq!(spoiled(|f| f.tenant_tables.push(without_policy(true))), []);
    }

    #[test]
    fn a_month_is_there_before_it_comes() {
        let until = |text: &'static str| spoiled(move |f| f.months = Some(LedgerMonths { until: text.parse().ok() }));
        assert_eq!(until("2026-04-10T12:00:00Z"), []);
        assert_eq!(until("2026-04-01T00:00:00Z"), [("partitions-ahead", Status::Warn)]);
        assert_eq!(until("2026-03-01T00:00:00Z"), [("partitions-ahead", Status::Fail)]);
        assert_eq!(until("never"), [("partitions-ahead", Status::Warn)]);
    }
}
