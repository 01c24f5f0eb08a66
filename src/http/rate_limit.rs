//! How many requests one credential may make. Each has a bucket of its own, and the buckets have a bound.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::sync::Cache;

use super::HttpError;
use crate::{config, identity::CredentialRef};

/// Beyond this many active credentials the one that was quiet longest starts afresh.
const REMEMBERED: u64 = 100_000;
/// A bucket this long untouched is full again at any rate there is.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The limits of all credentials.
pub struct RateLimits<C: Clock = DefaultClock> {
    rate: u32,
    burst: NonZeroU32,
    clock: C,
    /// By the rate as well: another one begins with a bucket of its own.
    buckets: Cache<(CredentialRef, u32), Arc<Bucket<C>>>,
}

impl RateLimits {
    /// No limit when the configured rate is 0.
    pub fn new(limits: &config::RateLimits) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C> RateLimits<C>
where
    C: Clock + Clone + Send + Sync + 'static,
    Bucket<C>: Send + Sync,
{
    fn with_clock(limits: &config::RateLimits, clock: C) -> Self {
        let burst = NonZeroU32::new(limits.rate_burst).unwrap_or(NonZeroU32::MIN);
        let buckets = Cache::builder().max_capacity(REMEMBERED).time_to_idle(FORGOTTEN_AFTER).build();
        Self { rate: limits.rate_per_second, burst, clock, buckets }
    }

    /// Counts one request; refuses it when the credential's bucket is empty. `own` is the rate that is set for its tenant.
    pub fn check(&self, credential: &CredentialRef, own: Option<u64>) -> Result<(), HttpError> {
        let rate = own.map_or(self.rate, |own| u32::try_from(own).unwrap_or(u32::MAX));
        let Some(per_second) = NonZeroU32::new(rate) else { return Ok(()) };
        let quota = Quota::per_second(per_second).allow_burst(self.burst);
        let fresh = || Arc::new(RateLimiter::direct_with_clock(quota, self.clock.clone()));
        let bucket = match self.buckets.get(&(credential.clone(), rate)) {
            Some(bucket) => bucket,
            None => self.buckets.get_with((credential.clone(), rate), fresh),
        };
        bucket.check().map_err(|not_until| HttpError::TooMany {
            // Rounded up: a client that comes back when told must not be refused again.
            retry_after: not_until.wait_time_from(self.clock.now()) + Duration::from_millis(999),
            limit: limit_of(quota),
        })
    }
}

/// Requests a second.
fn limit_of(quota: Quota) -> u32 {
    let per_request = quota.replenish_interval().as_nanos().max(1);
    u32::try_from(1_000_000_000 / per_request).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn key(n: u128) -> CredentialRef {
        CredentialRef::Key { id: uuid::Uuid::from_u128(n), api_key: "k".into() }
    }

    fn limits(rate_per_second: u32, rate_burst: u32) -> (RateLimits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limits = config::RateLimits { cors_origins: Vec::new(), rate_per_second, rate_burst };
        (RateLimits::with_clock(&limits, clock.clone()), clock)
    }

    #[test]
    fn a_burst_passes_and_the_next_waits_for_its_turn() {
        let (limits, clock) = limits(2, 3);
        for _ in 0..3 {
            limits.check(&key(1), None).unwrap();
        }
        let refusal = limits.check(&key(1), None).unwrap_err().error_response();
        assert_eq!(refusal.status(), 429);
        assert_eq!(refusal.headers().get("retry-after").unwrap(), "1");
        assert!(limits.check(&key(1), None).unwrap_err().to_string().contains("2 requests a second"));
        clock.advance(Duration::from_millis(500));
        limits.check(&key(1), None).unwrap();
        assert!(limits.check(&key(1), None).is_err());
    }

    #[test]
    fn one_credential_does_not_use_up_another() {
        let (limits, _) = limits(1, 1);
        limits.check(&key(1), None).unwrap();
        assert!(limits.check(&key(1), None).is_err());
        limits.check(&key(2), None).unwrap();
    }

    #[test]
    fn a_tenants_own_rate_counts_instead_of_the_configured_one() {
        let (limits, _) = limits(0, 1);
        assert!(limits.check(&key(1), None).is_ok() && limits.check(&key(1), None).is_ok());
        limits.check(&key(1), Some(5)).unwrap();
        assert!(limits.check(&key(1), Some(5)).unwrap_err().to_string().contains("5 requests a second"));
        assert!(limits.check(&key(1), None).is_ok(), "taken back");
    }

    #[test]
    fn a_rate_of_0_is_no_limit_and_a_burst_of_0_still_lets_one_through() {
        let (unlimited, _) = limits(0, 0);
        assert!((0..1_000).all(|_| unlimited.check(&key(1), None).is_ok()));
        let (strict, _) = limits(1, 0);
        strict.check(&key(1), None).unwrap();
        assert!(strict.check(&key(1), None).is_err());
    }
}
