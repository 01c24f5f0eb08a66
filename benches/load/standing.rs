//! How far projections and relay have come behind the ledger.

use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use progress_service::model::TenantId;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_postgres::Client;

/// Between two looks at how far something has come.
const LOOK: Duration = Duration::from_millis(20);
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_mins(10);

pub struct Standing {
    newest: DateTime<Utc>,
    projected: DateTime<Utc>,
    pub sent: DateTime<Utc>,
    unsent: bool,
}

impl Standing {
    async fn of(owner: &Client) -> anyhow::Result<Self> {
        let sql = "SELECT coalesce((SELECT stored FROM ledger.statements WHERE tenant_id = $1 ORDER BY stored DESC LIMIT 1), 'epoch'),
                coalesce((SELECT position FROM progress.projection_cursors WHERE tenant_id = $1), 'epoch'),
                coalesce((SELECT position FROM progress.relay_cursors WHERE tenant_id = $1), 'epoch'),
                EXISTS (SELECT FROM progress.outbox WHERE published_at IS NULL)";
        let row = owner.query_one(sql, &[&TenantId::DEFAULT.0]).await?;
        Ok(Self { newest: row.get(0), projected: row.get(1), sent: row.get(2), unsent: row.get(3) })
    }

    pub fn is_projected(&self) -> bool {
        self.projected >= self.newest
    }

    pub fn is_sent(&self) -> bool {
        self.sent >= self.newest
    }

    pub fn is_all_out(&self) -> bool {
        self.is_projected() && self.is_sent() && !self.unsent
    }
}

/// Waits; answers how it then stood.
pub async fn until(owner: &Client, reached: impl Fn(&Standing) -> bool) -> anyhow::Result<Standing> {
    let begun = Instant::now();
    loop {
        let standing = Standing::of(owner).await?;
        if reached(&standing) {
            return Ok(standing);
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "newest {}, projected {}, sent {}: nothing more comes",
                standing.newest,
                standing.projected,
                standing.sent
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Says how much has not gone out: asked right after a load, whether its events kept up with it.
pub async fn unsent(owner: &Client) -> anyhow::Result<Value> {
    let sent = Standing::of(owner).await?.sent;
    let (statements, told) = (stored_after(owner, sent).await?, untold(owner).await?);
    println!("not yet sent after the last answer: {statements} statements, {told} other events");
    Ok(json!({"statements": statements, "other_events": told}))
}

/// Events of the projections that wait in the outbox.
pub async fn untold(owner: &Client) -> anyhow::Result<usize> {
    let sql = "SELECT count(*) FROM progress.outbox WHERE published_at IS NULL";
    Ok(usize::try_from(owner.query_one(sql, &[]).await?.get::<_, i64>(0))?)
}

pub async fn stored_after(owner: &Client, moment: DateTime<Utc>) -> anyhow::Result<usize> {
    let sql = "SELECT count(*) FROM ledger.statements WHERE tenant_id = $1 AND stored > $2";
    Ok(usize::try_from(owner.query_one(sql, &[&TenantId::DEFAULT.0, &moment]).await?.get::<_, i64>(0))?)
}
