//! What a person should do something about, and what. Pure.

use chrono::{DateTime, Utc};

use crate::{model::job::State, store::platform::jobs::Job, telemetry::metrics::Figures};

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Alarm {
    pub what: String,
    pub way_out: &'static str,
    /// Where to look; empty where no page has it.
    pub href: String,
}

fn alarm(what: String, way_out: &'static str, href: &str) -> Alarm {
    Alarm { what, way_out, href: href.to_owned() }
}

/// What this node's numbers say; `before` is half an hour ago, or its start.
pub fn of_figures(before: &Figures, now: &Figures, at: DateTime<Utc>) -> Vec<Alarm> {
    let mut found = Vec::new();
    let mut tell = |is_so: bool, what: String, way_out| {
        if is_so {
            found.push(alarm(what, way_out, ""));
        }
    };
    let grew = |value: fn(&Figures) -> f64| value(now) - value(before);
    let errors = grew(|f| f.errors);
    let share = errors / grew(|f| f.requests).max(1.0);
    tell(
        errors >= 5.0 && share > 0.01,
        format!("{errors:.0} answers of the last half hour were errors of the service"),
        "Look into its log for \"request failed\".",
    );
    tell(
        now.lag > 60.0,
        format!("The oldest event that has not gone out is {:.0} seconds old", now.lag),
        "Look whether the brokers answer, and which node leads the loops \"relay\".",
    );
    tell(
        now.waiting > 0.0,
        format!("{:.0} callers wait for a database connection", now.waiting),
        "If it stays so: raise database.pool_size, or see what the database is busy with.",
    );
    tell(
        now.given_up > 0.0,
        format!("{:.0} references between statements were given up", now.given_up),
        "Their lines in the log say which and why.",
    );
    tell(
        now.archive_due > 0.0,
        format!("{:.0} changes of months are due by the schedule", now.archive_due),
        "If it stays so for a day: `archive plan` says which, the jobs of kind archive.run why.",
    );
    tell(
        now.archive_damaged > 0.0,
        format!("{:.0} segments of the archive are not as they were written", now.archive_damaged),
        "Restore them from the bucket's versions: docs/archive.md, What an error means.",
    );
    tell(
        grew(|f| f.anchor_failures) > 0.0,
        "Checkpoints of the audit trail could not be brought outside".to_owned(),
        "Look whether the object storage and the brokers answer.",
    );
    let left = now.ledger_ends_at - at.timestamp() as f64;
    tell(
        now.ledger_ends_at > 0.0 && left < 45.0 * 86_400.0,
        format!("The months of the ledger that are made ahead end in {:.0} days", (left / 86_400.0).max(0.0)),
        "Look why the loop \"months\" does not run; `partitions ensure --apply` makes them.",
    );
    found
}

/// What the newest jobs say.
pub fn of_jobs(jobs: &[Job], at: DateTime<Utc>) -> Vec<Alarm> {
    let is_recent = |job: &&Job| job.finished_at.is_some_and(|end| (at - end).num_hours() < 24);
    let failed = jobs.iter().filter(|job| job.state == State::Failed).filter(is_recent);
    let stalled = jobs.iter().filter(|job| job.is_stalled());
    let failed = failed.map(|job| {
        let why = job.error.clone().unwrap_or_default();
        let what = format!("The job {} failed: {why}", job.kind);
        alarm(what, "Look at it; mend what it names, then let it be done again.", &format!("/admin/jobs/{}", job.id))
    });
    let stalled = stalled.map(|job| {
        let what = format!("The job {} gives no sign of life", job.kind);
        alarm(
            what,
            "A node takes it up within a minute; else look whether any runs.",
            &format!("/admin/jobs/{}", job.id),
        )
    });
    stalled.chain(failed).collect()
}

/// What the schema waits for.
pub fn of_pending(pending: &[String]) -> Option<Alarm> {
    if pending.is_empty() {
        return None;
    }
    let what = format!("The service waits for {} migrations that a person must start", pending.len());
    Some(alarm(what, "Read what they do, try them dry, then run them.", "/admin/migrations"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(now: Figures) -> Vec<String> {
        of_figures(&Figures::default(), &now, DateTime::UNIX_EPOCH).into_iter().map(|alarm| alarm.what).collect()
    }

    #[test]
    fn a_quiet_node_has_no_alarm_and_each_fault_has_one() {
        assert!(told(Figures { requests: 1e6, errors: 4.0, lag: 59.0, ..Figures::default() }).is_empty());
        for (now, part) in [
            (Figures { requests: 100.0, errors: 5.0, ..Figures::default() }, "errors of the service"),
            (Figures { lag: 61.0, ..Figures::default() }, "61 seconds old"),
            (Figures { waiting: 1.0, ..Figures::default() }, "wait for a database connection"),
            (Figures { given_up: 1.0, ..Figures::default() }, "given up"),
            (Figures { archive_due: 2.0, ..Figures::default() }, "due by the schedule"),
            (Figures { archive_damaged: 1.0, ..Figures::default() }, "not as they were written"),
            (Figures { anchor_failures: 1.0, ..Figures::default() }, "audit trail"),
            (Figures { ledger_ends_at: 86_400.0, ..Figures::default() }, "end in 1 days"),
        ] {
            let told = told(now);
            assert!(told.len() == 1 && told[0].contains(part), "{told:?}");
        }
    }
}
