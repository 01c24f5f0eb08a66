//! The assignable units of a cmi5 attempt, as its statements make them. They are folded when somebody asks: no event and
//! no other row follows from them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::fold::{self, cmi5::Unit};
use crate::{
    model::TenantId,
    store::{
        As, Store, StoreError,
        ledger::vocabulary,
        progress::projections::{self as rows, Of, Side},
    },
};

/// The units of an attempt with their activities, in the order in which the ledger first speaks of them. None, where its
/// statements are not cmi5's.
pub async fn of_attempt(store: &Store, tenant: TenantId, attempt: &str) -> Result<Vec<(String, Unit)>, StoreError> {
    let ids = &[attempt.to_owned()];
    store
        .run_tx("units", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let of = Of { tenant, side: Side::Live };
                let facts =
                    rows::facts(tx, of, ids, DateTime::<Utc>::MAX_UTC).await?.remove(attempt).unwrap_or_default();
                let units = fold::cmi5::units(&fold::standing(&facts));
                let keys: Vec<Uuid> = units.iter().map(|unit| unit.key).collect();
                let iris = vocabulary::iris(tx, tenant, &keys).await?;
                Ok(units.into_iter().filter_map(|unit| Some((iris.get(&unit.key)?.clone(), unit))).collect())
            })
        })
        .await
}
