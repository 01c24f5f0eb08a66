//! The last half hour of this node, kept in memory for the charts: no database is asked, and a restart begins anew.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::telemetry::{Metrics, metrics::Figures};

/// How often a moment is kept, and how many are.
pub const EVERY: Duration = Duration::from_secs(10);
const KEPT: usize = 181;

/// Moments, the oldest first.
#[derive(Clone)]
pub struct History {
    metrics: Metrics,
    moments: Arc<Mutex<VecDeque<Figures>>>,
}

impl History {
    /// Begins to keep moments, for as long as somebody holds the history.
    pub fn start(metrics: &Metrics) -> Self {
        let history = Self { metrics: metrics.clone(), moments: Arc::default() };
        tokio::spawn(keep(history.metrics.clone(), Arc::downgrade(&history.moments)));
        history
    }

    /// What was kept, and this very moment.
    pub fn moments(&self) -> Vec<Figures> {
        let mut moments: Vec<Figures> =
            self.moments.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        moments.push(self.metrics.figures());
        moments
    }
}

async fn keep(metrics: Metrics, moments: Weak<Mutex<VecDeque<Figures>>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(moments) = moments.upgrade() else { return };
        let mut moments = moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.push_back(metrics.figures());
        while moments.len() > KEPT {
            moments.pop_front();
        }
    }
}
