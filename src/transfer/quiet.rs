//! Up to when nobody is told of a tenant's statements any more: behind that the past can be added to. Relay and projections go on
//! beside a load, so it is asked again where that is not enough.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::LoadError;
use crate::{
    model::TenantId,
    store::{
        As, Store,
        ledger::{loads, statements},
    },
};

/// How long is waited for them, where it is nearly enough.
const PATIENCE: Duration = Duration::from_secs(10);
const NEARLY: TimeDelta = TimeDelta::minutes(1);
const PAUSE: Duration = Duration::from_millis(200);

pub struct Quiet {
    tenant: TenantId,
    effects_version: i32,
    until: DateTime<Utc>,
}

impl Quiet {
    pub async fn of(store: &Store, tenant: TenantId, effects_version: i32) -> Result<Self, LoadError> {
        let mut quiet = Self { tenant, effects_version, until: DateTime::UNIX_EPOCH };
        quiet.ask(store).await?;
        Ok(quiet)
    }

    async fn ask(&mut self, store: &Store) -> Result<(), LoadError> {
        let (tenant, version) = (self.tenant, self.effects_version);
        // Where nobody writes the bound would rest, and what was stored elsewhere just now would seem to come from the future.
        store.run_tx("catch_up", As::Tenant(tenant), |tx| Box::pin(statements::catch_up(tx))).await?;
        let asked = store.run_tx("quiet_until", As::Worker, |tx| Box::pin(loads::quiet_until(tx, tenant, version)));
        self.until = asked.await?;
        Ok(())
    }

    /// The moment, asked for again, for a while, where something of `newest` is to come.
    pub async fn until(&mut self, store: &Store, newest: DateTime<Utc>) -> Result<DateTime<Utc>, LoadError> {
        let began = Instant::now();
        while newest > self.until {
            self.ask(store).await?;
            let is_near = newest - self.until < NEARLY;
            if newest <= self.until || !is_near || began.elapsed() > PATIENCE {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(self.until)
    }
}
