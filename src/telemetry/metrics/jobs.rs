//! Jobs, by their kind: how many began and how they ended, how long they took, which run.

use prometheus::{Counter, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};

use super::{register, registry::Registry};

/// From a tenth of a second to a day.
const LONG: &[f64] = &[0.1, 1.0, 10.0, 60.0, 300.0, 1_800.0, 10_800.0, 86_400.0];

#[derive(Debug)]
pub struct JobMetrics {
    /// Takings by this node, by kind.
    pub started: IntCounterVec,
    /// How those ended: `succeeded`, `failed`, `cancelled`, `paused`, `handed_back` (the node stopped), `lost` (another
    /// node has it).
    pub ended: IntCounterVec,
    /// Time from taking to the end.
    pub seconds: HistogramVec,
    /// Jobs that this node works on.
    pub running: IntGaugeVec,
    /// Steps that failed and were begun again.
    pub retries: IntCounterVec,
    /// Rest between two pieces of work, for statements to be written meanwhile.
    pub aside_seconds: Counter,
}

impl JobMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let started = Opts::new("progress_job_started_total", "jobs that this node took");
        let ended = Opts::new(
            "progress_job_ended_total",
            "jobs that this node let go of: `succeeded`, `failed`, `cancelled`, `paused`, `handed_back` (it \
            stopped), `lost` (another node has it)",
        );
        let seconds = HistogramOpts::new("progress_job_seconds", "time of a job on this node").buckets(LONG.to_vec());
        let running = Opts::new("progress_job_running", "jobs that this node works on");
        let retries = Opts::new("progress_job_retries_total", "steps that failed and were begun again");
        Ok(Self {
            started: register(registry, IntCounterVec::new(started, &["kind"]))?,
            ended: register(registry, IntCounterVec::new(ended, &["kind", "outcome"]))?,
            seconds: register(registry, HistogramVec::new(seconds, &["kind"]))?,
            running: register(registry, IntGaugeVec::new(running, &["kind"]))?,
            retries: register(registry, IntCounterVec::new(retries, &["kind"]))?,
            aside_seconds: register(
                registry,
                Counter::new(
                    "progress_job_aside_seconds_total",
                    "rest of jobs between two pieces of work while statements were written: docs/jobs.md",
                ),
            )?,
        })
    }
}
