//! Waiting for something that will happen, with an end when it does not.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep};

/// Far longer than anything here takes on a busy machine: reaching it means that it never comes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` until it gives a value; the last reason why not stands in the failure.
pub async fn until<T, E: Display>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(reason) if Instant::now() > deadline => panic!("{what} did not happen: {reason}"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
