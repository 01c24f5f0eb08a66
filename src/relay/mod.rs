//! From the ledger and the outbox to the brokers: in order, at least once, acknowledged before the cursor moves.
//!
//! The ledger is append-only, so it is its own outbox; what projections tell stands in a table. Without brokers nothing
//! runs here, and everything stored so far goes out once there are some.

mod outbox;
mod stored;
mod traced;

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::OnceCell;

pub use crate::store::progress::relay::Share;
pub use stored::STATEMENT_STORED;

use crate::{
    bus::{connection::BusError, producer::Producer},
    model::{Clock, Event, Lease, Pseudonyms, Rounds, TenantId, event::DEAD_LETTER},
    store::{
        Store, StoreError,
        progress::{
            outbox::Told,
            relay::{Move, Outgoing, Position},
        },
    },
    telemetry::{Metrics, Traces},
};

/// Parts of the tenants that nodes share out among each other, each under a lease of its own.
pub const SHARES: i32 = 4;
/// Events in one go: enough to keep the brokers busy, little enough to send again.
const BATCH: i64 = 5_000;
/// Tenants whose statements are read, sent and noted as sent together.
const TOGETHER: usize = 16;
/// Statements of each of them in one go.
const OF_EACH: i64 = BATCH / TOGETHER as i64;
/// Batches of one tenant before the next tenant's turn.
const IN_A_ROW: usize = 8;
/// Events made before other work of the node gets its turn.
const AT_ONCE: usize = 128;
/// How long an event stays in the outbox after it is out.
const KEPT: TimeDelta = TimeDelta::days(7);
/// Topics that are made where they are missing.
const TOPICS: [&str; 7] = [
    STATEMENT_STORED,
    "progress.attempt.started.v1",
    "progress.attempt.closed.v1",
    "progress.completion.recorded.v1",
    "progress.score.recorded.v1",
    "progress.rollout.changed.v1",
    DEAD_LETTER,
];

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Sends what is stored and told. One node at a time does a share, under a lease; two would only send some events
/// twice. Clones are one relay.
#[derive(Clone)]
pub struct Relay {
    store: Store,
    producer: Arc<Producer>,
    metrics: Metrics,
    clock: Clock,
    pseudonyms: Arc<OnceCell<Pseudonyms>>,
    traces: Traces,
    /// By share.
    rounds: Arc<[Rounds; SHARES as usize]>,
}

impl Relay {
    pub fn new(store: Store, producer: Producer, metrics: Metrics, clock: Clock) -> Self {
        let (producer, pseudonyms, rounds) = (Arc::new(producer), Arc::default(), Arc::default());
        Self { store, producer, metrics, clock, pseudonyms, traces: Traces::off(), rounds }
    }

    /// The same, telling the collector what goes out of requests that are traced.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// The same relay for a step under this lease: it sends nothing more, and moves on nowhere, once another node has it.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self { store: self.store.under(lease), ..self.clone() }
    }

    /// Sends a few batches of each of the share's tenants and one of its outbox; answers whether there may be more.
    pub async fn step(&self, share: Share) -> Result<bool, RelayError> {
        self.producer.ready(&TOPICS).await?;
        let (statements, told) = tokio::join!(self.statements(share), self.told(share));
        Ok(statements? | told?)
    }

    /// Forgets a part of what went out long ago; answers whether there may be more.
    pub async fn prune(&self) -> Result<bool, RelayError> {
        let gone = self.store.outbox_prune(self.clock.now() - KEPT, BATCH).await?;
        Ok(i64::try_from(gone) == Ok(BATCH))
    }

    async fn statements(&self, share: Share) -> Result<bool, RelayError> {
        let pseudonyms = self.pseudonyms.get_or_try_init(|| self.pseudonyms()).await?;
        let positions = self.positions(share).await?;
        let mut more = false;
        for some in positions.chunks(TOGETHER) {
            more |= match some {
                [one] => self.tenant(*one, pseudonyms).await?,
                several => self.together(several, pseudonyms).await?,
            };
        }
        Ok(more)
    }

    /// The tenants with something to send: of all, or of those that had something lately.
    async fn positions(&self, share: Share) -> Result<Vec<Position>, StoreError> {
        let rounds = usize::try_from(share.index).ok().and_then(|index| self.rounds.get(index));
        let among = rounds.and_then(|rounds| rounds.whom(Instant::now()));
        let (positions, tenants) = self.store.relay_positions(share, among.as_deref()).await?;
        if let Some(rounds) = rounds {
            rounds.found(positions.iter().map(|position| position.tenant), Instant::now());
            if among.is_none() {
                rounds.visited_everybody(tenants, Instant::now());
            }
        }
        if among.is_none() || !positions.is_empty() {
            self.lag("ledger", share, positions.iter().map(|position| position.oldest).min());
        }
        Ok(positions)
    }

    /// Sends a little of each of several tenants, all at once, and of whom that was not all some more.
    async fn together(&self, several: &[Position], pseudonyms: &Pseudonyms) -> Result<bool, RelayError> {
        let asked: Vec<_> = several.iter().map(|position| (position.tenant, position.after)).collect();
        let batches = self.store.relay_batches(&asked, OF_EACH).await?;
        let (mut events, mut known, mut moves, mut left) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (position, batch) in several.iter().zip(&batches) {
            let Some(last) = batch.last() else { continue };
            moves.push(Move { tenant: position.tenant, from: position.after, to: last.stored });
            left.push(i64::try_from(batch.len()) == Ok(OF_EACH));
            known.extend(batch.iter().map(|one| one.stored));
            events.extend(events_of(position.tenant, batch, pseudonyms).await);
        }
        self.send(events, known.into_iter()).await?;
        let moved = self.store.relay_advance(&moves).await?;
        let mut more = false;
        for ((Move { tenant, to, .. }, moved), left) in moves.into_iter().zip(moved).zip(left) {
            // Another relay that has moved the cursor meanwhile goes on from there.
            if left && moved {
                more |= self.tenant(Position { tenant, after: to, oldest: to }, pseudonyms).await?;
            }
        }
        Ok(more)
    }

    async fn pseudonyms(&self) -> Result<Pseudonyms, StoreError> {
        Ok(Pseudonyms::with_key(&self.store.signing_key(Pseudonyms::PURPOSE).await?))
    }

    /// Sends some batches of one tenant; while the brokers take one, the next is read.
    async fn tenant(&self, from: Position, pseudonyms: &Pseudonyms) -> Result<bool, RelayError> {
        let (tenant, mut after) = (from.tenant, from.after);
        let mut batch = self.batch(tenant, after).await?;
        for turn in 1..=IN_A_ROW {
            let Some(last) = batch.last().map(|one| one.stored) else { return Ok(false) };
            let is_full = i64::try_from(batch.len()) == Ok(BATCH);
            let reading = async {
                let goes_on = is_full && turn < IN_A_ROW;
                if goes_on { self.batch(tenant, last).await } else { Ok(Vec::new()) }
            };
            let (next, sent) = tokio::join!(reading, self.send_stored(tenant, &batch, pseudonyms));
            sent?;
            // Another relay that has moved the cursor meanwhile goes on from there.
            let moved = self.store.relay_advance(&[Move { tenant, from: after, to: last }]).await?;
            if moved != [true] || !is_full {
                return Ok(is_full);
            }
            (after, batch) = (last, next?);
        }
        Ok(true)
    }

    async fn batch(&self, tenant: TenantId, after: DateTime<Utc>) -> Result<Vec<Outgoing>, StoreError> {
        Ok(self.store.relay_batches(&[(tenant, after)], BATCH).await?.pop().unwrap_or_default())
    }

    async fn send_stored(
        &self,
        tenant: TenantId,
        batch: &[Outgoing],
        pseudonyms: &Pseudonyms,
    ) -> Result<(), RelayError> {
        let events = events_of(tenant, batch, pseudonyms).await;
        self.send(events, batch.iter().map(|one| one.stored)).await
    }

    async fn told(&self, share: Share) -> Result<bool, RelayError> {
        for _ in 0..IN_A_ROW {
            let batch = self.store.outbox_batch(share, BATCH).await?;
            self.lag("outbox", share, batch.first().map(|told| told.created));
            if batch.is_empty() {
                return Ok(false);
            }
            let events: Vec<Event> = batch.iter().map(outbox::event).collect();
            self.send(events, batch.iter().map(|told: &Told| told.created)).await?;
            self.store.outbox_published(&batch).await?;
            if i64::try_from(batch.len()) != Ok(BATCH) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns when the brokers have every event, or the dead letter of it where it is too large for its topic.
    async fn send(&self, mut events: Vec<Event>, known: impl Iterator<Item = DateTime<Utc>>) -> Result<(), RelayError> {
        self.store.check_lease().await?;
        let spans = traced::spans(&self.store, &self.traces, |kind| self.producer.topic(kind), &mut events).await?;
        let sent = self.producer.send_all(&events).await;
        spans.into_iter().for_each(|span| span.finish(sent.is_err()));
        let oversized = sent?;
        let letters: Vec<Event> = oversized.iter().filter_map(|one| Some((events.get(one.at)?, one))).map(|(event, one)| {
            let (topic, reason) = (self.producer.topic(&event.kind), format!("larger than {} bytes", one.limit));
            tracing::error!(kind = %event.kind, id = %event.id, bytes = one.bytes, "an event is too large for its topic");
            event.dead_letter(&topic, &reason, one.bytes)
        }).collect();
        if !letters.is_empty() {
            self.producer.send_all(&letters).await?;
            self.metrics.relay.dead_letters.inc_by(letters.len() as u64);
        }
        let now = self.clock.now();
        known.for_each(|known| self.metrics.relay.delay_seconds.observe(seconds(now - known)));
        self.metrics.relay.sent.inc_by((events.len() - oversized.len()) as u64);
        Ok(())
    }

    /// Sets the lag of a source: the age of its oldest unsent event, 0 without any.
    fn lag(&self, source: &str, share: Share, oldest: Option<DateTime<Utc>>) {
        let lag = oldest.map_or(0.0, |oldest| seconds(self.clock.now() - oldest));
        self.metrics.relay.lag_seconds.with_label_values(&[source, &share.index.to_string()]).set(lag);
    }
}

async fn events_of(tenant: TenantId, batch: &[Outgoing], pseudonyms: &Pseudonyms) -> Vec<Event> {
    let mut events = Vec::with_capacity(batch.len());
    for some in batch.chunks(AT_ONCE) {
        events.extend(some.iter().map(|one| stored::event(tenant, one, pseudonyms)));
        tokio::task::yield_now().await;
    }
    events
}

/// A metric of seconds needs no more digits than milliseconds have.
fn seconds(time: TimeDelta) -> f64 {
    f64::from(i32::try_from(time.num_milliseconds()).unwrap_or(i32::MAX).max(0)) / 1_000.0
}
