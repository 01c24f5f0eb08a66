//! Keeping a lease for as long as the work under it takes.

use std::time::{Duration, Instant};

use crate::{model::Lease, store::Store};

/// How long a lease lasts without being renewed: the longest a dead node keeps others from its work.
pub(super) const TERM: Duration = Duration::from_secs(30);
/// A lease is renewed this many times within its term.
const RENEWALS: u32 = 3;

/// Keeps the lease; returns when another node has it or the term ran out without an answer.
pub(super) async fn keep(store: &Store, lease: &Lease, term: Duration) {
    let (name, mut kept) = (&lease.name, Instant::now());
    loop {
        tokio::time::sleep(term / RENEWALS).await;
        let asked = store.renew_lease(lease, term);
        match tokio::time::timeout(term.saturating_sub(kept.elapsed()), asked).await {
            Ok(Ok(true)) => kept = Instant::now(),
            Ok(Ok(false)) => return,
            Ok(Err(error)) if kept.elapsed() >= term => {
                tracing::warn!(%name, %error, "the lease could not be renewed");
                return;
            }
            Ok(Err(_)) => {}
            Err(_) => {
                tracing::warn!(%name, "the lease was not renewed within its term");
                return;
            }
        }
    }
}
