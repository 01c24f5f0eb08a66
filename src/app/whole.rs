//! Whether the whole is in order, beside what the schema's own checks see: projections, the archive's objects, the audit trail.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::{
    archive::{Archive, ArchiveError},
    audit::{Audit, AuditError, Known, Look},
    migrate::checks::{self, Check, Status},
    model::Clock,
    store::{Store, StoreError},
    telemetry::Metrics,
};

/// Looks at the trail that go on from the one before, between two that read it whole.
const LOOKS: u32 = 24;

#[derive(Clone)]
pub struct Whole {
    store: Store,
    archive: Archive,
    audit: Audit,
    clock: Clock,
    metrics: Metrics,
    /// Where the last look at the trail ended, and how many went on since it was read whole.
    known: Arc<Mutex<(Option<Known>, u32)>>,
}

impl Whole {
    pub fn new(store: &Store, archive: &Archive, audit: &Audit, clock: &Clock, metrics: &Metrics) -> Self {
        let (store, archive, audit) = (store.clone(), archive.clone(), audit.clone());
        Self { store, archive, audit, clock: clock.clone(), metrics: metrics.clone(), known: Arc::default() }
    }

    /// What cannot be looked at is said in its line: who needs the others has them. What the trail was before is read again now and then:
    /// between that only what came to it.
    pub async fn look(&self) -> Result<[Check; 3], StoreError> {
        let standings = self.store.projection_standings().await?;
        let waiting =
            standings.into_iter().filter_map(|one| one.waiting_since.map(|since| (one.name, since))).collect();
        let segments = self.archive.absent().await.map_err(|error: ArchiveError| error.to_string());
        let trail = self.trail().await.map_err(|error: AuditError| error.to_string());
        Ok([checks::projections(waiting, self.clock.now()), checks::segments(segments), checks::trail(trail)])
    }

    /// Looks, and tells of it, and of the lines that the schema's own checks came to: a figure for each, and a line in the log for each
    /// that fails.
    pub async fn tell(&self, mut lines: Vec<Check>) -> Result<(), StoreError> {
        lines.extend(self.look().await?);
        checks::count(&lines, &self.metrics);
        for Check { name, found, todo, .. } in lines.iter().filter(|line| line.status == Status::Fail) {
            tracing::error!(check = name, found, todo, "the whole is not in order");
        }
        Ok(())
    }

    async fn trail(&self) -> Result<(u64, Vec<String>), AuditError> {
        let mut known = self.known.lock().await;
        let since = if known.1 < LOOKS { known.0.take() } else { None };
        let looks = if since.is_some() { known.1 + 1 } else { 0 };
        let report = self.audit.verify(&Look { since, ..Look::default() }).await?;
        *known = (report.known, looks);
        Ok((report.entries, report.findings.iter().map(ToString::to_string).collect()))
    }
}
