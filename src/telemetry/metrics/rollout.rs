//! Rollouts: what is still to be told of them.

use prometheus::{IntGaugeVec, Opts};

use super::{register, registry::Registry};

#[derive(Debug)]
pub struct RolloutMetrics {
    untold: IntGaugeVec,
}

impl RolloutMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "progress_rollout_untold",
            "what receivers of rollouts are still to be told: `waiting`, or `failed`, which is not tried any more; by the node that leads the loop `tellings` (docs/rollouts.md)",
        );
        Ok(Self { untold: register(registry, IntGaugeVec::new(opts, &["state"]))? })
    }

    /// For each receiver whether it is given up, and how much it is still to be told.
    pub fn untold(&self, receivers: impl Iterator<Item = (bool, i64)>) {
        let (mut waiting, mut failed) = (0, 0);
        for (is_given_up, count) in receivers {
            *(if is_given_up { &mut failed } else { &mut waiting }) += count;
        }
        for (state, count) in [("waiting", waiting), ("failed", failed)] {
            self.untold.with_label_values(&[state]).set(count);
        }
    }
}
