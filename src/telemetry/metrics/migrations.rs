//! Migrations while this process lives, whoever ran them: files by how they ended, their time, the rows they touched.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts};

use super::{register, registry::Registry};

/// From a hundredth of a second to three hours.
const LONG: &[f64] = &[0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1_800.0, 10_800.0];

/// From the blink of an eye to what nobody should wait; 0.1 is what is told as a warning unless it is configured otherwise.
const WAITS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug)]
pub struct MigrationMetrics {
    /// Files: `applied`, `recorded`, `undone`, `failed`.
    pub files: IntCounterVec,
    pub file_seconds: Histogram,
    /// Rows inserted, changed and deleted.
    pub rows: IntCounter,
    /// Runs: `succeeded`, `failed`, `withheld`; `stalled` of those asked for over HTTP.
    pub runs: IntCounterVec,
    /// By the name of the check: 0 it passes, 1 nobody knows, 2 it warns, 3 it fails.
    pub checks: IntGaugeVec,
    /// For each file that was watched the longest wait of somebody else that it was seen to cause.
    pub caused_wait_seconds: Histogram,
    /// How often a file that this process ran stepped back from a lock.
    pub stepped_back: IntCounter,
}

impl MigrationMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let files =
            Opts::new("progress_migration_files_total", "migration files: `applied`, `recorded`, `undone`, `failed`");
        let seconds =
            HistogramOpts::new("progress_migration_file_seconds", "time of one migration file").buckets(LONG.to_vec());
        let rows =
            IntCounter::new("progress_migration_rows_total", "rows inserted, changed and deleted by migration files");
        let runs = Opts::new(
            "progress_migration_runs_total",
            "runs of migrations: `succeeded`, `failed`, `withheld`; `stalled` of those asked for over HTTP",
        );
        let stepped_back = IntCounter::new(
            "progress_migration_stepped_back_total",
            "times that a migration file stepped back from a lock",
        )?;
        let caused = HistogramOpts::new(
            "progress_migration_caused_wait_seconds",
            "for each file that was watched, the longest wait of somebody else for its locks that was seen \
            (docs/migrations.md)",
        );
        let checks = Opts::new(
            "progress_system_check",
            "by check: 0 passes, 1 is not known, 2 warns, 3 fails (docs/migrations.md)",
        );
        Ok(Self {
            checks: register(registry, IntGaugeVec::new(checks, &["check"]))?,
            files: register(registry, IntCounterVec::new(files, &["outcome"]))?,
            file_seconds: register(registry, Histogram::with_opts(seconds))?,
            rows: register(registry, rows)?,
            caused_wait_seconds: register(registry, Histogram::with_opts(caused.buckets(WAITS.to_vec())))?,
            runs: register(registry, IntCounterVec::new(runs, &["outcome"]))?,
            stepped_back: register(registry, Ok(stepped_back))?,
        })
    }
}
