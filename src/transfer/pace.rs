//! How fast another system is asked: at no more questions a second than its owner was promised.

use std::time::{Duration, Instant};

pub struct Pace {
    /// Between the beginnings of two questions.
    pause: Duration,
    last: Option<Instant>,
}

impl Pace {
    pub fn of(per_second: f64) -> Self {
        Self { pause: Duration::from_secs_f64(1.0 / per_second.max(0.01)), last: None }
    }

    /// For who asks once, and looks again by himself.
    pub fn free() -> Self {
        Self { pause: Duration::ZERO, last: None }
    }

    /// Returns when the next question may be asked.
    pub async fn turn(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep(self.pause.saturating_sub(last.elapsed())).await;
        }
        self.last = Some(Instant::now());
    }
}
