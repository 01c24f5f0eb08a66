//! What the service asks of PostgreSQL for a write, without the service: arrays as parameters under the policies of
//! one tenant, after the reservation and the look at known ids. COPY is refused under row-level security.

use std::{sync::Arc, time::Instant};

use progress_service::{
    model::TenantId,
    store::{
        As, Store, StoreError, Tx,
        ledger::statements::{self, NewStatement},
    },
    xapi::Prepared,
};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::task::JoinSet;

use super::{rows, statements::Stock};

/// Statements in one transaction, as in a full group.
pub const GROUP: usize = 1_000;

pub type Groups = Arc<Vec<Vec<Prepared>>>;

pub fn groups(stock: &Stock, count: usize, seed: u64) -> anyhow::Result<Groups> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let group = |_| rows::drawn(stock, GROUP, &mut rng);
    Ok(Arc::new((0..count.div_ceil(GROUP)).map(group).collect::<Result<_, _>>()?))
}

/// Statements a second.
pub async fn run(store: &Store, groups: &Groups, sessions: usize) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut work = JoinSet::new();
    for session in 0..sessions {
        let (store, groups) = (store.clone(), Arc::clone(groups));
        work.spawn(async move {
            for group in groups.iter().skip(session).step_by(sessions) {
                store.run_tx("append", As::Tenant(TenantId::DEFAULT), |tx| Box::pin(append(tx, group))).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    Ok((groups.len() * GROUP) as f64 / begun.elapsed().as_secs_f64())
}

async fn append(tx: &Tx<'_>, group: &[Prepared]) -> Result<(), StoreError> {
    let ids: Vec<statements::Id> = group.iter().map(statements::id_of).collect();
    let before = statements::beforehand(tx, &ids).await?;
    let entry = |(statement, micros)| Ok(NewStatement { statement, stored: statements::moment(micros)? });
    let entries = group.iter().zip(before.first_micros..).map(entry).collect::<Result<Vec<_>, StoreError>>()?;
    statements::append_last(tx, &entries).await
}
