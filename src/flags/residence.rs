//! Where tenants are at home, kept in memory like the flags: a request of one that is elsewhere is not begun.
//!
//! The database itself refuses what is written for a tenant that is not at home, whatever is remembered here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    model::{TenantId, residence::Standing},
    store::{
        As, Store, StoreError,
        platform::residences::{self, Residence},
    },
};

/// How often a node looks: this is how long one may serve what another cell already does.
const LOOK: Duration = Duration::from_millis(250);

/// Who is not at home here, as this process knows it.
#[derive(Clone)]
pub struct Residences {
    store: Store,
    elsewhere: Arc<watch::Sender<HashMap<TenantId, Residence>>>,
}

impl Residences {
    /// Knows everybody at home until it has looked.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), elsewhere: Arc::new(watch::Sender::new(HashMap::new())) }
    }

    /// Where the tenant is, if not at home.
    pub fn of(&self, tenant: TenantId) -> Option<Residence> {
        self.elsewhere.borrow().get(&tenant).cloned()
    }

    /// Looks once.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let found = self.store.run_tx("look_for_moves", As::Worker, |tx| Box::pin(residences::elsewhere(tx))).await?;
        let found = found.into_iter().map(|one| (one.tenant, one)).collect();
        self.elsewhere.send_if_modified(|known| {
            let is_new = *known != found;
            if is_new {
                *known = found;
            }
            is_new
        });
        Ok(())
    }

    /// Looks again and again. A database that is away leaves what was known.
    pub async fn keep(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "moves of tenants could not be looked for");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Come,
    /// In a moment, here or elsewhere.
    Later,
    Elsewhere,
}

/// Whether a request of a tenant that stands so is begun: who is frozen may still be read.
pub fn admission(standing: Standing, reads_only: bool) -> Admission {
    match standing {
        Standing::Home => Admission::Come,
        Standing::Frozen if reads_only => Admission::Come,
        Standing::Frozen | Standing::Arriving => Admission::Later,
        Standing::Away => Admission::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_frozen_is_read_and_who_is_away_is_sent_on() {
        assert_eq!(admission(Standing::Home, false), Admission::Come);
        assert_eq!(
            (admission(Standing::Frozen, true), admission(Standing::Frozen, false)),
            (Admission::Come, Admission::Later)
        );
        assert_eq!(
            (admission(Standing::Arriving, true), admission(Standing::Away, true)),
            (Admission::Later, Admission::Elsewhere)
        );
    }
}
