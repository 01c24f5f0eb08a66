//! Long work stands aside for callers: after each piece it rests, and the longer, the busier the writers of this process are.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Metrics;

/// How long the writers are looked at for a judgement of how busy they are.
const LOOKED_AT: Duration = Duration::from_secs(1);
/// Up to so much of one writer's time nobody is in anybody's way.
const QUIET: f64 = 0.25;
/// From so much on there are always statements that wait for a processor or for the database.
const BUSY: f64 = 0.75;
/// Beside busy writers a piece of work is followed by so many times its own length of rest: it has a tenth of the time.
const RESTS: f64 = 9.0;
/// But by no longer one: who asks a job to stop is heard soon.
const LONGEST: Duration = Duration::from_secs(2);

/// What long work asks between two pieces. Clones share what they have seen; the default is of a process that serves nobody, and never
/// rests.
#[derive(Clone, Debug, Default)]
pub struct Aside(Option<Arc<Watch>>);

#[derive(Debug)]
struct Watch {
    metrics: Metrics,
    seen: Mutex<Seen>,
}

/// When the writers were looked at, and how long they had been at work by then.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    seconds: f64,
    /// Of one writer's time, lately.
    busy: f64,
}

impl Aside {
    pub fn new(metrics: &Metrics) -> Self {
        Self(Some(Arc::new(Watch::new(metrics, Instant::now()))))
    }

    /// Rests after a piece of work that took so long.
    pub async fn rest(&self, took: Duration) {
        let Some(watch) = &self.0 else { return };
        let rest = pause(took, watch.busy(Instant::now()));
        if !rest.is_zero() {
            watch.metrics.jobs.aside_seconds.inc_by(rest.as_secs_f64());
            tokio::time::sleep(rest).await;
        }
    }
}

impl Watch {
    fn new(metrics: &Metrics, at: Instant) -> Self {
        let seen = Seen { at, seconds: metrics.ingest.writing_seconds.get(), busy: 0.0 };
        Self { metrics: metrics.clone(), seen: Mutex::new(seen) }
    }

    /// How much of one writer's time was spent on writing lately; more than 1 where several were at work.
    fn busy(&self, now: Instant) -> f64 {
        let seconds = self.metrics.ingest.writing_seconds.get();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(seen.at);
        if passed >= LOOKED_AT {
            *seen = Seen { at: now, seconds, busy: (seconds - seen.seconds) / passed.as_secs_f64() };
        }
        seen.busy
    }
}

fn pause(took: Duration, busy: f64) -> Duration {
    let share = ((busy - QUIET) / (BUSY - QUIET)).clamp(0.0, 1.0);
    took.mul_f64(RESTS * share).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: Duration = Duration::from_millis(100);

    #[test]
    fn the_busier_the_writers_the_longer_it_rests() {
        assert_eq!(pause(PIECE, 0.0), Duration::ZERO);
        assert_eq!(pause(PIECE, QUIET), Duration::ZERO);
        assert_eq!(pause(PIECE, 0.5), Duration::from_millis(450));
        assert_eq!(pause(PIECE, BUSY), Duration::from_millis(900));
        assert_eq!(pause(PIECE, 2.0), Duration::from_millis(900), "two writers at work all the time");
        assert_eq!(pause(PIECE * 100, 2.0), LONGEST);
    }

    #[test]
    fn what_writers_did_lately_counts_and_not_what_they_ever_did() {
        let metrics = Metrics::new().unwrap();
        metrics.ingest.writing_seconds.inc_by(1_000.0);
        let begun = Instant::now();
        let watch = Watch::new(&metrics, begun);
        assert_eq!(watch.busy(begun + LOOKED_AT), 0.0);
        metrics.ingest.writing_seconds.inc_by(3.0);
        assert_eq!(watch.busy(begun + LOOKED_AT + PIECE), 0.0, "too short a time to tell");
        assert_eq!(watch.busy(begun + 3 * LOOKED_AT), 1.5);
        assert_eq!(watch.busy(begun + 4 * LOOKED_AT), 0.0);
    }
}
