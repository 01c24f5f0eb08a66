//! Commands of other services: taken once, kept as requests, and answered through the outbox, all in one transaction.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    As, Store, StoreError, Tx,
    door::tx::{Param, column},
    progress::outbox::{self, Telling},
};

/// A command on its way into the database.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub tenant: TenantId,
    pub source: String,
    pub event_id: String,
    /// The event type of the command.
    pub kind: &'static str,
    /// What a request of this kind is called.
    pub request_kind: &'static str,
    pub request_id: String,
    pub data: Map<String, Value>,
    pub answer: Answer,
    /// Whether one that is over is taken up once more, so that whoever asks again hears how it ended.
    pub again: bool,
}

/// The event that says the command has arrived.
#[derive(Clone, Debug)]
pub struct Answer {
    pub id: Uuid,
    pub kind: &'static str,
    pub correlation: String,
    pub causation: Uuid,
    pub time: DateTime<Utc>,
    /// A JSON object as text.
    pub data: String,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Recorded,
    /// The same event was taken before.
    Before,
    NoSuchTenant,
    /// The request is recorded, and says something else.
    Contradicts,
}

impl Store {
    /// Takes a command: the request, the memory of the event and the answer stand together, or none of them does.
    pub async fn take_command(&self, arrived: &Arrived) -> Result<Taken, StoreError> {
        self.run_once("take_command", As::Worker, |tx| Box::pin(take(tx, arrived))).await
    }
}

async fn take(tx: &Tx<'_>, arrived: &Arrived) -> Result<Taken, StoreError> {
    let event: [Param<'_>; 3] = [&arrived.tenant.0, &arrived.source, &arrived.event_id];
    let known = tx
        .query_opt(
            "/* inbox::known_command */ SELECT EXISTS (SELECT FROM progress.inbox i
                 WHERE i.tenant_id = t.tenant_id AND i.source = $2 AND i.event_id = $3) AS taken
             FROM platform.tenants t WHERE t.tenant_id = $1",
            &event,
        )
        .await?;
    match known.map(|row| column(&row, "taken")).transpose()? {
        None => return Ok(Taken::NoSuchTenant),
        Some(true) => return Ok(Taken::Before),
        Some(false) => {}
    }
    if !record(tx, arrived).await? {
        return Ok(Taken::Contradicts);
    }
    let noted = tx
        .execute(
            "/* inbox::note_command */ INSERT INTO progress.inbox (tenant_id, source, event_id, type)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            &[&arrived.tenant.0, &arrived.source, &arrived.event_id, &arrived.kind],
        )
        .await?;
    if noted == 0 {
        // Another node took it while this one waited for its row.
        return Ok(Taken::Before);
    }
    let answer = &arrived.answer;
    let telling = Telling {
        id: answer.id,
        kind: answer.kind,
        key: &arrived.request_id,
        correlation: &answer.correlation,
        causation: answer.causation,
        occurred: answer.time,
        data: &answer.data,
    };
    outbox::put(tx, arrived.tenant, &[telling]).await?;
    Ok(Taken::Recorded)
}

/// Records the request unless it is there; answers false when one of this name says something else.
async fn record(tx: &Tx<'_>, arrived: &Arrived) -> Result<bool, StoreError> {
    let data = Value::Object(arrived.data.clone()).to_string();
    let recorded = tx
        .execute(
            "/* inbox::record_request */ INSERT INTO progress.saga_requests
                 (tenant_id, kind, request_id, data, source, event_id)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            &[&arrived.tenant.0, &arrived.request_kind, &arrived.request_id, &data, &arrived.source, &arrived.event_id],
        )
        .await?;
    if recorded > 0 {
        return Ok(true);
    }
    let row = tx
        .query_one(
            "/* inbox::recorded_request */ SELECT data FROM progress.saga_requests
             WHERE tenant_id = $1 AND kind = $2 AND request_id = $3",
            &[&arrived.tenant.0, &arrived.request_kind, &arrived.request_id],
        )
        .await?;
    let before: Option<Map<String, Value>> = serde_json::from_str(column(&row, "data")?).ok();
    // A request that was dealt with is empty.
    let is_over = before.as_ref().is_some_and(Map::is_empty);
    if is_over && arrived.again {
        tx.execute(
            "/* inbox::ask_again */ UPDATE progress.saga_requests
             SET state = 'recorded', data = $4, source = $5, event_id = $6, updated_at = clock_timestamp()
             WHERE tenant_id = $1 AND kind = $2 AND request_id = $3 AND state IN ('completed', 'failed')",
            &[&arrived.tenant.0, &arrived.request_kind, &arrived.request_id, &data, &arrived.source, &arrived.event_id],
        )
        .await?;
    }
    Ok(is_over || before.is_some_and(|before| before == arrived.data))
}
