//! May the service's login do what it has to, and nothing it must not? Pure.

use super::{Check, Status};
use crate::store::schema::checks::ServiceRights;

/// One line for each demand on the login the data plane runs with.
pub fn rights(facts: &ServiceRights) -> Vec<Check> {
    vec![groups(facts), bound(facts), owner(facts), ledger(facts), temporary(facts)]
}

fn groups(facts: &ServiceRights) -> Check {
    if facts.missing_groups.is_empty() {
        return Check::pass("group-membership", format!("{} can take on its roles", facts.user));
    }
    let groups = facts.missing_groups.join(", ");
    let todo = format!("GRANT {groups} TO {}", facts.user);
    Check::of(Status::Fail, "group-membership", format!("{} is no member of {groups}", facts.user), todo)
}

fn bound(facts: &ServiceRights) -> Check {
    let why = match (facts.superuser, facts.bypass_row_security) {
        (true, _) => "is a superuser",
        (_, true) => "has BYPASSRLS",
        _ => return Check::pass("row-level-security", format!("policies bind {}", facts.user)),
    };
    // It takes on a bound role in every session, so tenants stay apart; but a mistake would not be caught.
    let todo = "give the service a login of its own that is bound by the policies";
    Check::of(Status::Warn, "row-level-security", format!("{} {why}: no policy binds it", facts.user), todo)
}

fn owner(facts: &ServiceRights) -> Check {
    match facts.owned_tables {
        0 => Check::pass("ownership", format!("{} owns none of the tables", facts.user)),
        count => {
            let todo = "name a separate owner for migrations";
            Check::of(Status::Warn, "ownership", format!("{} owns {count} tables", facts.user), todo)
        }
    }
}

fn ledger(facts: &ServiceRights) -> Check {
    if facts.superuser || facts.owned_tables > 0 || facts.ledger_rights.is_empty() {
        return Check::pass("append-only", "nothing more than reading and adding is granted on the ledger");
    }
    let rights = facts.ledger_rights.join(", ");
    let todo = format!("REVOKE {rights} ON ledger.statements FROM whoever got it");
    Check::of(Status::Fail, "append-only", format!("{} may {rights} on the ledger", facts.user), todo)
}

/// Nothing of the service makes them, and they are how a name is taken for another.
fn temporary(facts: &ServiceRights) -> Check {
    if facts.superuser || facts.owned_tables > 0 || !facts.temporary {
        return Check::pass("temporary-objects", "no right to make temporary objects is granted");
    }
    let todo = format!("as the database's owner: REVOKE TEMPORARY ON DATABASE … FROM PUBLIC, {}", facts.user);
    Check::of(Status::Warn, "temporary-objects", format!("{} may make temporary objects", facts.user), todo)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(facts: &ServiceRights) -> Vec<Status> {
        rights(facts).iter().map(|check| check.status).collect()
    }

    #[test]
    fn a_bound_member_without_tables_passes() {
        use Status::{Fail, Pass, Warn};
        let good = ServiceRights { user: "app".into(), ..ServiceRights::default() };
        assert_eq!(statuses(&good), [Pass; 5]);
        let ungrouped = ServiceRights { missing_groups: vec!["progress_worker".into()], ..good.clone() };
        assert_eq!(statuses(&ungrouped), [Fail, Pass, Pass, Pass, Pass]);
        assert!(rights(&ungrouped)[0].todo.contains("GRANT progress_worker TO app"));
        let mighty = ServiceRights { superuser: true, owned_tables: 3, ..good.clone() };
        assert_eq!(statuses(&mighty), [Pass, Warn, Warn, Pass, Pass]);
        let eraser = ServiceRights { ledger_rights: vec!["DELETE".into()], ..good.clone() };
        assert_eq!(statuses(&eraser), [Pass, Pass, Pass, Fail, Pass]);
        assert_eq!(statuses(&ServiceRights { temporary: true, ..good }), [Pass, Pass, Pass, Pass, Warn]);
    }
}
