//! May a migration start? Judges the facts read beforehand. Pure.

use std::time::Duration;

use super::{Check, Status, bytes, preconditions, some_of};
use crate::store::schema::checks::BeforeFacts;

/// Room left on the disk that holds the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    pub free: u64,
    pub total: u64,
}

/// When the last backup was made, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// Nobody told us where to look.
    Unconfigured,
    /// The marker file is not there.
    Missing,
    Age(Duration),
}

/// What is known beside the database's own answers.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// How long the connection took, or why there is none.
    pub connected: Result<Duration, String>,
    /// Absent where the server's disk cannot be seen from here.
    pub disk: Option<Disk>,
    pub backup: Backup,
    /// Whether what is to be applied wants a backup behind it: release and data files, and whatever destroys.
    pub weighty: bool,
    /// Files applied and pending, and what is wrong between files and history.
    pub applied: usize,
    pub pending: usize,
    pub problems: Vec<String>,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A migration that waits for an older transaction makes everybody wait behind it.
const OLD_SECONDS: i64 = 60;
const FAR_BEHIND: i64 = 256 * 1024 * 1024;
const MUCH_LOG: i64 = 10 * 1024 * 1024 * 1024;
const WRAPAROUND_NEAR: i64 = 1_000_000_000;

/// One line for each thing that has to be right; without a connection only what can be said without one.
pub fn before(facts: Option<&BeforeFacts>, around: &Surroundings) -> Vec<Check> {
    let mut checks = vec![connection(around)];
    if let Some(facts) = facts {
        let fit = preconditions(facts.version, &facts.encoding);
        let unfit = super::worst(&fit) == Status::Fail;
        checks.extend(fit);
        if unfit {
            return checks;
        }
        checks.push(writable(facts));
        checks.push(permissions(facts));
        checks.push(group_roles(facts));
        checks.push(schema_state(around));
        checks.push(transactions(facts));
        checks.push(replication(facts));
        checks.push(wraparound(facts));
    }
    checks.push(disk(around, facts));
    checks.push(backup(around, facts));
    checks
}

fn connection(around: &Surroundings) -> Check {
    match &around.connected {
        Ok(took) => Check::pass("connection", format!("connected in {} ms", took.as_millis())),
        Err(why) => Check::of(Status::Fail, "connection", why, "check the address, the login and the network"),
    }
}

fn writable(facts: &BeforeFacts) -> Check {
    if facts.in_recovery {
        return Check::of(Status::Fail, "writable", "the server is a standby", "connect to the primary");
    }
    if facts.read_only {
        let todo = "lift default_transaction_read_only for this login or database";
        return Check::of(Status::Fail, "writable", "transactions are read-only", todo);
    }
    Check::pass("writable", "a primary that accepts writes")
}

fn permissions(facts: &BeforeFacts) -> Check {
    let foreign: Vec<String> = facts.schemas.iter().filter(|s| !s.owned).map(|s| s.schema.clone()).collect();
    if !foreign.is_empty() && !facts.superuser {
        let todo = format!("connect as their owner, or let it be a member: {} is not", facts.user);
        let found = format!("somebody else owns {}", some_of(&foreign));
        return Check::of(Status::Fail, "permissions", found, todo);
    }
    if !facts.create_in_database && !facts.superuser {
        let todo = format!("GRANT CREATE ON DATABASE … TO {}", facts.user);
        return Check::of(Status::Fail, "permissions", format!("{} may not make schemas", facts.user), todo);
    }
    Check::pass("permissions", format!("{} may change the schemas", facts.user))
}

fn group_roles(facts: &BeforeFacts) -> Check {
    let absent: Vec<String> = facts.group_roles.iter().filter(|r| !r.exists).map(|r| r.name.clone()).collect();
    if absent.is_empty() {
        return Check::pass("group-roles", "the roles that rights are granted to are there");
    }
    let found = format!("{} will have to be made", some_of(&absent));
    if facts.create_role || facts.superuser {
        Check::pass("group-roles", found)
    } else {
        let todo = format!("let an administrator CREATE ROLE {}; {} may not", absent.join(", "), facts.user);
        Check::of(Status::Fail, "group-roles", found, todo)
    }
}

fn schema_state(around: &Surroundings) -> Check {
    let found = format!("{} files applied, {} pending", around.applied, around.pending);
    if around.problems.is_empty() {
        Check::pass("schema-state", found)
    } else {
        let found = format!("{found}; {}", some_of(&around.problems));
        Check::of(Status::Fail, "schema-state", found, "run `migrations verify` and mend what it names")
    }
}

fn transactions(facts: &BeforeFacts) -> Check {
    if facts.prepared_transactions > 0 {
        let found = format!("{} prepared transactions hold locks", facts.prepared_transactions);
        return Check::of(Status::Fail, "transactions", found, "commit or roll them back: see pg_prepared_xacts");
    }
    match facts.old_transactions.first().filter(|oldest| oldest.seconds >= OLD_SECONDS) {
        Some(oldest) => {
            let found = format!(
                "{} has been in a transaction for {} s (process {}, {})",
                oldest.application, oldest.seconds, oldest.pid, oldest.state
            );
            Check::of(Status::Warn, "transactions", found, "wait for it, or end it with pg_terminate_backend")
        }
        None => Check::pass("transactions", "no old transaction is in the way"),
    }
}

fn replication(facts: &BeforeFacts) -> Check {
    if let Some(late) = facts.replicas.iter().find(|r| r.lag_bytes > FAR_BEHIND) {
        let found = format!("{} is {} behind", late.name, bytes(late.lag_bytes.unsigned_abs()));
        return Check::of(Status::Warn, "replication", found, "let it catch up before a large change");
    }
    if facts.idle_slot_bytes > MUCH_LOG {
        let found = format!("idle slots hold {} of log", bytes(facts.idle_slot_bytes.unsigned_abs()));
        return Check::of(Status::Warn, "replication", found, "drop the slots nobody reads from");
    }
    Check::pass("replication", format!("{} replicas, none far behind", facts.replicas.len()))
}

fn wraparound(facts: &BeforeFacts) -> Check {
    let found = format!("the oldest transaction id is {} transactions old", facts.frozen_age);
    if facts.frozen_age > WRAPAROUND_NEAR {
        Check::of(Status::Warn, "wraparound", found, "let a VACUUM finish: it and the migration would block each other")
    } else {
        Check::pass("wraparound", found)
    }
}

/// A rewrite needs the size of the table once more; the whole database is the bound we know.
fn disk(around: &Surroundings, facts: Option<&BeforeFacts>) -> Check {
    let Some(disk) = around.disk else {
        return Check::of(Status::Unknown, "disk-space", "the server's disk cannot be seen from here", "look there");
    };
    let found = format!("{} free of {}", bytes(disk.free), bytes(disk.total));
    let size = facts.map_or(0, |facts| facts.database_bytes.unsigned_abs());
    if disk.free < disk.total / 50 || disk.free < 256 * 1024 * 1024 {
        Check::of(Status::Fail, "disk-space", found, "make room: the server stops when the disk is full")
    } else if disk.free < size {
        let todo = format!("a rewrite may need up to {} more", bytes(size));
        Check::of(Status::Warn, "disk-space", found, todo)
    } else {
        Check::pass("disk-space", found)
    }
}

/// A change that cannot simply be taken back, on a database with learners' data, needs a way back of its own.
fn backup(around: &Surroundings, facts: Option<&BeforeFacts>) -> Check {
    let needed = around.weighty && facts.is_some_and(|facts| facts.user_data);
    let of = |otherwise: Status, found: String, todo: &str| {
        let (status, why) =
            if needed { (Status::Fail, " before release and data files are applied") } else { (otherwise, "") };
        Check::of(status, "backup", found, format!("{todo}{why}"))
    };
    let hours = |age: Duration| age.as_secs() / 3600;
    match around.backup {
        Backup::Unconfigured => {
            let found = "nobody says when the last backup was made".to_owned();
            of(
                Status::Unknown,
                found,
                "name in database.backup_marker the file that your backup touches when it is done",
            )
        }
        Backup::Missing => of(Status::Warn, "the marker of the last backup is not there".to_owned(), "make a backup"),
        Backup::Age(age) if age > DAY => {
            of(Status::Warn, format!("the last backup is {} hours old", hours(age)), "make a backup")
        }
        Backup::Age(age) => Check::pass("backup", format!("the last backup is {} hours old", hours(age))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::checks::{GroupRole, OldTransaction, Replica, SchemaOwner};

    fn healthy() -> (BeforeFacts, Surroundings) {
        let facts = BeforeFacts {
            version: 180_001,
            encoding: "UTF8".into(),
            user: "owner".into(),
            create_in_database: true,
            database_bytes: 1 << 30,
            group_roles: vec![GroupRole { name: "progress_service".into(), exists: true, member: true }],
            schemas: vec![SchemaOwner { schema: "ledger".into(), owned: true }],
            ..BeforeFacts::default()
        };
        let around = Surroundings {
            connected: Ok(Duration::from_millis(3)),
            disk: Some(Disk { free: 50 << 30, total: 100 << 30 }),
            backup: Backup::Age(Duration::from_secs(7200)),
            weighty: false,
            applied: 9,
            pending: 1,
            problems: Vec::new(),
        };
        (facts, around)
    }

    /// The (name, status) of the lines that do not pass after `change`.
    fn spoiled(change: impl Fn(&mut BeforeFacts, &mut Surroundings)) -> Vec<(&'static str, Status)> {
        let (mut facts, mut around) = healthy();
        change(&mut facts, &mut around);
        let checks = before(Some(&facts), &around);
        assert!(checks.iter().all(|c| c.status == Status::Pass || !c.todo.is_empty()), "a line says nothing to do");
        checks.iter().filter(|c| c.status != Status::Pass).map(|c| (c.name, c.status)).collect()
    }

    #[test]
    fn a_healthy_server_passes_every_line() {
        assert_eq!(spoiled(|_, _| ()), []);
    }

    #[test]
    fn each_fault_has_its_own_line() {
        assert_eq!(spoiled(|f, _| f.version = 140_009), [("server-version", Status::Fail)]);
        assert_eq!(spoiled(|f, _| f.version = 190_000), [("server-version", Status::Warn)]);
        assert_eq!(spoiled(|f, _| f.in_recovery = true), [("writable", Status::Fail)]);
        assert_eq!(spoiled(|f, _| f.read_only = true), [("writable", Status::Fail)]);
        assert_eq!(spoiled(|f, _| f.create_in_database = false), [("permissions", Status::Fail)]);
        assert_eq!(spoiled(|f, _| f.schemas[0].owned = false), [("permissions", Status::Fail)]);
        assert_eq!(spoiled(|f, _| f.group_roles[0].exists = false), [("group-roles", Status::Fail)]);
        assert_eq!(spoiled(|f, _| f.prepared_transactions = 1), [("transactions", Status::Fail)]);
        assert_eq!(spoiled(|f, _| f.frozen_age = 1_500_000_000), [("wraparound", Status::Warn)]);
        assert_eq!(spoiled(|f, _| f.idle_slot_bytes = 11 << 30), [("replication", Status::Warn)]);
        assert_eq!(spoiled(|_, a| a.problems.push("tampered".into())), [("schema-state", Status::Fail)]);
        assert_eq!(spoiled(|_, a| a.backup = Backup::Unconfigured), [("backup", Status::Unknown)]);
        assert_eq!(spoiled(|_, a| a.backup = Backup::Missing), [("backup", Status::Warn)]);
        assert_eq!(spoiled(|_, a| a.backup = Backup::Age(2 * DAY)), [("backup", Status::Warn)]);
        assert_eq!(spoiled(|_, a| a.disk = None), [("disk-space", Status::Unknown)]);
        assert_eq!(
            spoiled(|_, a| a.disk = Some(Disk { free: 1 << 20, total: 1 << 40 })),
            [("disk-space", Status::Fail)]
        );
        assert_eq!(spoiled(|f, _| f.database_bytes = 60 << 30), [("disk-space", Status::Warn)]);
    }

    #[test]
    fn learners_data_and_a_weighty_change_need_a_fresh_backup() {
        let with = |backup, weighty, user_data| {
            spoiled(move |facts, around| {
                (around.backup, around.weighty, facts.user_data) = (backup, weighty, user_data);
            })
        };
        for backup in [Backup::Missing, Backup::Age(2 * DAY), Backup::Unconfigured] {
            assert_eq!(with(backup, true, true), [("backup", Status::Fail)], "{backup:?}");
            assert_ne!(with(backup, true, false), [("backup", Status::Fail)], "{backup:?}");
            assert_ne!(with(backup, false, true), [("backup", Status::Fail)], "{backup:?}");
        }
        assert_eq!(with(Backup::Age(DAY), true, true), []);
    }

    #[test]
    fn an_unfit_server_is_all_there_is_to_say() {
        let (mut facts, around) = healthy();
        facts.encoding = "LATIN1".to_owned();
        let names: Vec<_> = before(Some(&facts), &around).iter().map(|c| (c.name, c.status)).collect();
        let line = [("connection", Status::Pass), ("server-version", Status::Pass), ("encoding", Status::Fail)];
        assert_eq!(names, line);
    }

    #[test]
    fn only_an_old_transaction_is_in_the_way() {
        let with = |seconds| {
            spoiled(move |facts, _| {
                let (state, application) = ("idle in transaction".into(), "report".into());
                facts.old_transactions.push(OldTransaction { pid: 7, seconds, state, application });
            })
        };
        assert_eq!(with(59), []);
        assert_eq!(with(60), [("transactions", Status::Warn)]);
    }

    #[test]
    fn a_late_replica_is_named() {
        let late = |lag_bytes| {
            spoiled(move |facts, _| {
                facts.replicas.push(Replica { name: "b".into(), state: "streaming".into(), lag_bytes });
            })
        };
        assert_eq!(late(1), []);
        assert_eq!(late(FAR_BEHIND + 1), [("replication", Status::Warn)]);
    }

    #[test]
    fn without_a_connection_the_rest_is_left_out() {
        let (_, mut around) = healthy();
        around.connected = Err("refused".into());
        let names: Vec<_> = before(None, &around).iter().map(|c| (c.name, c.status)).collect();
        assert_eq!(names, [("connection", Status::Fail), ("disk-space", Status::Pass), ("backup", Status::Pass)]);
    }
}
