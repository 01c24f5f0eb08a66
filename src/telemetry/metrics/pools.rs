//! The pools of database connections, looked at when somebody asks for the page.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::registry::Registry;

/// One pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFigures {
    /// Connections it may have.
    pub most: usize,
    /// Connections it has.
    pub size: usize,
    pub in_use: usize,
    /// Callers without a connection.
    pub waiting: usize,
}

type Look = Box<dyn Fn() -> PoolFigures + Send + Sync>;

#[derive(Clone)]
pub struct PoolMetrics(Arc<Pools>);

struct Pools {
    watched: Mutex<Vec<(&'static str, Look)>>,
    gauges: [IntGaugeVec; 4],
}

impl PoolMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["pool"]);
        let gauges = [
            gauge(
                "progress_store_pool_limit",
                "database connections a pool may have: `service` for requests, `worker` for loops and administration",
            )?,
            gauge("progress_store_pool_connections", "database connections a pool has")?,
            gauge("progress_store_pool_in_use", "database connections that are in use")?,
            gauge(
                "progress_store_pool_waiting",
                "callers that wait for a database connection; more than 0 for long means that `database.pool_size` \
                is too small or the database too slow",
            )?,
        ];
        let pools = Self(Arc::new(Pools { watched: Mutex::default(), gauges }));
        registry.register(Box::new(pools.clone()))?;
        Ok(pools)
    }

    /// Shows the pool `name` from now on; `look` must answer at once.
    pub fn watch(&self, name: &'static str, look: impl Fn() -> PoolFigures + Send + Sync + 'static) {
        let mut watched = self.0.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|(known, _)| *known != name);
        watched.push((name, Box::new(look)));
    }
}

impl Collector for PoolMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.0.gauges.iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (name, look) in self.0.watched.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let PoolFigures { most, size, in_use, waiting } = look();
            for (gauge, figure) in self.0.gauges.iter().zip([most, size, in_use, waiting]) {
                gauge.with_label_values(&[name]).set(i64::try_from(figure).unwrap_or(i64::MAX));
            }
        }
        self.0.gauges.iter().flat_map(Collector::collect).collect()
    }
}

impl fmt::Debug for PoolMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolMetrics")
    }
}
