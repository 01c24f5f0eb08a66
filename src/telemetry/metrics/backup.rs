//! Backups: when the newest was made, when the newest good one, whether that is too long ago, what failed.

use prometheus::{IntCounter, IntGauge, Opts};

use super::{register, registry::Registry};

#[derive(Debug)]
pub struct BackupMetrics {
    made: IntGauge,
    verified: IntGauge,
    overdue: IntGauge,
    /// Rounds of the schedule that failed.
    pub failures: IntCounter,
    /// Files of the server's log that this node kept.
    pub log: IntCounter,
}

impl BackupMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let made = Opts::new(
            "progress_backup_last_made_seconds",
            "Unix time at which the newest backup ended: docs/backups.md",
        );
        let verified =
            Opts::new("progress_backup_last_verified_seconds", "Unix time at which the newest good backup ended");
        let overdue = Opts::new(
            "progress_backup_overdue",
            "1 while the newest good backup is older than two rounds of the schedule",
        );
        let failures =
            Opts::new("progress_backup_failures_total", "backups and verifications of the schedule that failed");
        let log = Opts::new("progress_backup_log_files_total", "files of the server's log that this node kept");
        Ok(Self {
            made: register(registry, IntGauge::with_opts(made))?,
            verified: register(registry, IntGauge::with_opts(verified))?,
            overdue: register(registry, IntGauge::with_opts(overdue))?,
            failures: register(registry, IntCounter::with_opts(failures))?,
            log: register(registry, IntCounter::with_opts(log))?,
        })
    }

    /// What lies where backups are kept.
    pub fn seen(&self, made: Option<i64>, verified: Option<i64>, is_overdue: bool) {
        self.made.set(made.unwrap_or_default());
        self.verified.set(verified.unwrap_or_default());
        self.overdue.set(i64::from(is_overdue));
    }
}
