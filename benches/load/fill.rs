//! Fills the ledger at the speed of COPY, with rows such as the service writes: twenty days of them, up to now.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use progress_service::{model::TenantId, projections::effects::EFFECTS};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::task::JoinSet;

use super::{
    place::Place,
    rows::{self, Chunk},
    statements::Stock,
};

const CHUNK: usize = 5_000;
const DAYS: i64 = 20;
/// Two sessions: one prepares while the other's rows are written.
const SESSIONS: usize = 2;

/// The span of time the rows lie in.
#[derive(Clone, Copy)]
pub struct Filled {
    pub first: DateTime<Utc>,
    pub last: DateTime<Utc>,
}

pub async fn run(place: &Place, stock: &Arc<Stock>, statements: usize) -> anyhow::Result<Filled> {
    let owner = place.superuser().await?;
    let now: DateTime<Utc> = owner.query_one("SELECT clock_timestamp()", &[]).await?.get(0);
    let step = TimeDelta::days(DAYS).num_microseconds().unwrap_or(i64::MAX) / i64::try_from(statements.max(1))?;
    let first = now - TimeDelta::days(DAYS) - TimeDelta::minutes(1);
    for moment in [first, now] {
        owner.execute("SELECT ledger.ensure_month($1)", &[&moment]).await?;
    }
    let begun = Instant::now();
    let mut work = JoinSet::new();
    for session in 0..SESSIONS {
        let (mut client, stock) = (place.superuser().await?, Arc::clone(stock));
        work.spawn(async move {
            for number in (session..statements.div_ceil(CHUNK)).step_by(SESSIONS) {
                let stock = Arc::clone(&stock);
                let made = tokio::task::spawn_blocking(move || chunk(&stock, number, first, step)).await??;
                made.copy(&mut client, "ledger").await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = work.join_next().await {
        done??;
    }
    println!("\nfilled the ledger with {statements} statements in {:.0} s", begun.elapsed().as_secs_f64());
    owner.batch_execute("VACUUM ANALYZE").await?;
    Ok(Filled { first, last: now - TimeDelta::minutes(1) })
}

/// The projections take what is filled in after this for read: what they cost is part of the writes that are measured,
/// not of the reads.
pub async fn leave_to_others(place: &Place) -> anyhow::Result<()> {
    let owner = place.superuser().await?;
    owner
        .execute(
            "INSERT INTO progress.projection_cursors (tenant_id, position, effects_version)
             VALUES ($1, clock_timestamp(), $2) ON CONFLICT (tenant_id) DO UPDATE SET position = EXCLUDED.position",
            &[&TenantId::DEFAULT.0, &EFFECTS.version],
        )
        .await?;
    Ok(())
}

fn chunk(stock: &Stock, number: usize, first: DateTime<Utc>, step: i64) -> anyhow::Result<Chunk> {
    let mut rng = SmallRng::seed_from_u64(number as u64);
    let statements = rows::drawn(stock, CHUNK, &mut rng)?;
    let begin = first + TimeDelta::microseconds(step * i64::try_from(number * CHUNK)?);
    Ok(Chunk::new(&statements, begin, step))
}
