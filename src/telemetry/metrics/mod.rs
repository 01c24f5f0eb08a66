//! The Prometheus metrics of the service: one file per area, each a struct of typed handles.
//!
//! To add an area: write its file, add a field here. Labels come from small fixed sets, never from a request's content; but for the
//! names of clients and of forwards, of which there are 100 at most each.

mod archive;
mod audit;
mod auth;
mod backup;
mod clients;
mod docs;
mod exemplars;
mod figures;
mod forward;
mod http;
mod inbox;
mod ingest;
mod jobs;
mod latencies;
mod law;
mod ledger;
mod migrations;
mod openmetrics;
mod otlp;
mod pools;
mod process;
mod registry;
mod relay;
mod rollout;
mod shelf;
mod store;
mod trail;
mod transcript;
mod work;
mod worker;

use std::sync::Arc;

use prometheus::{Encoder, TextEncoder, proto::MetricFamily};

use self::registry::Registry;

pub use self::{
    archive::ArchiveMetrics,
    audit::AuditMetrics,
    auth::AuthMetrics,
    backup::BackupMetrics,
    exemplars::{Exemplar, Exemplars},
    figures::Figures,
    forward::{ForwardMetrics, TOLD_APART},
    http::{HttpMetrics, REQUEST_SECONDS},
    inbox::InboxMetrics,
    ingest::IngestMetrics,
    jobs::JobMetrics,
    latencies::Latencies,
    law::LawMetrics,
    ledger::LedgerMetrics,
    migrations::MigrationMetrics,
    openmetrics::TYPE as OPEN_METRICS,
    otlp::OtlpMetrics,
    pools::{PoolFigures, PoolMetrics},
    process::{PHASES, ProcessMetrics},
    relay::RelayMetrics,
    rollout::RolloutMetrics,
    shelf::ShelfMetrics,
    store::StoreMetrics,
    trail::TrailMetrics,
    transcript::TranscriptMetrics,
    work::WorkMetrics,
    worker::WorkerMetrics,
};

/// Every metric of one service; cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Areas>);

/// The areas, reached as `metrics.http` and so on.
#[derive(Debug)]
pub struct Areas {
    registry: Registry,
    pub archive: ArchiveMetrics,
    pub auth: AuthMetrics,
    pub backup: BackupMetrics,
    pub forward: ForwardMetrics,
    pub http: HttpMetrics,
    pub inbox: InboxMetrics,
    pub ingest: IngestMetrics,
    pub jobs: JobMetrics,
    pub law: LawMetrics,
    pub ledger: LedgerMetrics,
    pub migrations: MigrationMetrics,
    pub otlp: OtlpMetrics,
    pub pools: PoolMetrics,
    pub process: ProcessMetrics,
    pub relay: RelayMetrics,
    pub rollout: RolloutMetrics,
    pub shelf: ShelfMetrics,
    pub store: StoreMetrics,
    pub audit: AuditMetrics,
    pub trail: TrailMetrics,
    pub transcript: TranscriptMetrics,
    pub work: WorkMetrics,
    pub worker: WorkerMetrics,
}

impl std::ops::Deref for Metrics {
    type Target = Areas;

    fn deref(&self) -> &Areas {
        &self.0
    }
}

impl Metrics {
    /// A fresh registry: two services in one process (as in tests) do not share counts.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::default();
        let archive = ArchiveMetrics::register(&registry)?;
        let auth = AuthMetrics::register(&registry)?;
        let backup = BackupMetrics::register(&registry)?;
        let forward = ForwardMetrics::register(&registry)?;
        let http = HttpMetrics::register(&registry)?;
        let inbox = InboxMetrics::register(&registry)?;
        let ingest = IngestMetrics::register(&registry)?;
        let jobs = JobMetrics::register(&registry)?;
        let law = LawMetrics::register(&registry)?;
        let ledger = LedgerMetrics::register(&registry)?;
        let migrations = MigrationMetrics::register(&registry)?;
        let otlp = OtlpMetrics::register(&registry)?;
        let pools = PoolMetrics::register(&registry)?;
        let process = ProcessMetrics::register(&registry)?;
        let relay = RelayMetrics::register(&registry)?;
        let rollout = RolloutMetrics::register(&registry)?;
        let shelf = ShelfMetrics::register(&registry)?;
        let store = StoreMetrics::register(&registry)?;
        let audit = AuditMetrics::register(&registry)?;
        let trail = TrailMetrics::register(&registry)?;
        let transcript = TranscriptMetrics::register(&registry)?;
        let work = WorkMetrics::register(&registry)?;
        let worker = WorkerMetrics::register(&registry)?;
        Ok(Self(Arc::new(Areas {
            registry,
            archive,
            auth,
            backup,
            forward,
            http,
            inbox,
            ingest,
            jobs,
            law,
            ledger,
            migrations,
            otlp,
            pools,
            process,
            relay,
            rollout,
            shelf,
            store,
            audit,
            trail,
            transcript,
            work,
            worker,
        })))
    }

    /// The few values that a person looks at, as they are now.
    pub fn figures(&self) -> Figures {
        Figures::of(&self.families())
    }

    /// What each metric is, as a page of the documentation.
    pub fn markdown(&self) -> String {
        docs::markdown(&self.registry.described())
    }

    /// All values as they are now.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// All values in Prometheus' text format.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.families(), &mut page)?;
        Ok(page)
    }

    /// The same in the format of OpenMetrics, which has exemplars.
    pub fn render_open(&self) -> String {
        openmetrics::page(&self.families(), self.http.exemplars())
    }
}

/// Seconds from half a millisecond to ten, fine where the targets lie.
const SECONDS: [f64; 15] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Makes a metric and registers it in one go.
fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    made: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let metric = made?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.http.answered("GET", "/healthz", 200, 0.01);
        metrics.worker.panics.with_label_values(&["relay"]).inc();
        let page = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(
            page.contains(r#"progress_http_requests_total{method="GET",route="/healthz",status="200"} 1"#),
            "{page}"
        );
        assert!(page.contains(r#"progress_worker_panics_total{loop="relay"} 1"#), "{page}");
    }
}
