//! Who is told what a rollout does: receivers over HTTP, and the topic of events by way of the outbox. Each is told everything, in order,
//! at least once; how far that came is noted once it said that it has it. Whoever is away or slow keeps no rollout waiting.

mod letter;
mod post;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::Client;
use uuid::Uuid;

pub use self::post::{Listener, client};
use crate::{
    config::receivers::EVENTS,
    model::{Clock, Event, Lease, TenantId},
    store::{
        As, Store, StoreError,
        platform::tellings::{self, News, Receiver},
        progress::outbox::{self, Telling},
    },
    telemetry::Metrics,
};

/// Receivers that are told something at the same time.
const AT_ONCE: usize = 16;
/// News that are read at once.
const BATCH: i64 = 50;
/// After so long the others get their turn.
const TURN: Duration = Duration::from_secs(5);
/// Pauses after failures: the first one, doubled with each more, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);
/// Tries after which a receiver counts as failed: with these pauses that is after most of a day.
const TRIES: i32 = 100;

/// What tells; clones are one.
#[derive(Clone)]
pub struct Teller {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    client: Client,
    listeners: Arc<[Listener]>,
}

impl Teller {
    pub fn new(store: &Store, clock: &Clock, metrics: &Metrics, (client, listeners): (Client, Vec<Listener>)) -> Self {
        let (store, clock, metrics) = (store.clone(), clock.clone(), metrics.clone());
        Self { store, clock, metrics, client, listeners: listeners.into() }
    }

    /// The same for a step under this lease: it notes nothing once another node has it.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self { store: self.store.under(lease), ..self.clone() }
    }

    /// Tells everybody some of what they wait for; answers whether there may be more.
    pub async fn step(&self) -> Result<bool, StoreError> {
        let untold = self.store.run_tx("untold", As::Worker, |tx| Box::pin(tellings::untold(tx))).await?;
        self.metrics.rollout.untold(untold.iter().map(|one| (one.state() == "failed", one.waiting)));
        let turns: Vec<_> = untold.into_iter().filter(|one| one.is_due).map(|one| Box::pin(self.turn(one))).collect();
        let done: Vec<Result<bool, StoreError>> = stream::iter(turns).buffer_unordered(AT_ONCE).collect().await;
        let mut more = false;
        for one in done {
            more |= one?;
        }
        Ok(more)
    }

    /// One receiver's turn. What goes wrong on the other side is noted; an error is one of our own.
    async fn turn(&self, mut to: Receiver) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let asked = &to;
        let news = self.store.run_tx("news", As::Worker, |tx| Box::pin(tellings::next(tx, asked, BATCH))).await?;
        if to.name == EVENTS {
            return self.put_into_outbox(&to, &news).await;
        }
        for one in &news {
            if begun.elapsed() > TURN {
                return Ok(true);
            }
            self.store.check_lease().await?;
            if let Err(why) = self.send(&to, one).await {
                self.failed(&to, &why).await?;
                return Ok(false);
            }
            let asked = &to;
            if !self.store.run_tx("told", As::Worker, |tx| Box::pin(tellings::told(tx, asked, one))).await? {
                return Ok(false);
            }
            (to.told, to.failures) = (one.number, 0);
        }
        Ok(i64::try_from(news.len()) == Ok(BATCH))
    }

    async fn send(&self, to: &Receiver, news: &News) -> Result<(), String> {
        let listener = self.listeners.iter().find(|listener| listener.name == to.name);
        let listener = listener.ok_or_else(|| format!("rollout.receivers names no {}", to.name))?;
        post::post(&self.client, listener, &letter::event(to, news), self.clock.now()).await
    }

    async fn failed(&self, to: &Receiver, why: &str) -> Result<(), StoreError> {
        let pause = pause(to.failures);
        match pause {
            Some(_) => tracing::warn!(rollout = to.of, receiver = to.name, why, "a receiver is told later"),
            None => tracing::error!(rollout = to.of, receiver = to.name, why, "a receiver is not told any more"),
        }
        let pause = pause.map(|pause| pause.as_secs_f64());
        self.store.run_tx("not_told", As::Worker, |tx| Box::pin(tellings::failed(tx, to, why, pause))).await
    }

    /// Into the outbox, and noted, in one transaction: from there the relay sends them.
    async fn put_into_outbox(&self, to: &Receiver, news: &[News]) -> Result<bool, StoreError> {
        let Some(last) = news.last() else { return Ok(false) };
        let rollout = to.rollout;
        let rows: &Vec<_> = &news.iter().map(|one| (letter::id(to, one), letter::event(to, one))).collect();
        self.store
            .run_tx("events_of_rollout", As::Worker, |tx| {
                Box::pin(async move {
                    if !tellings::told(tx, to, last).await? {
                        return Ok(false);
                    }
                    let rows: Vec<_> = rows.iter().map(|(id, event)| telling(*id, event, rollout)).collect();
                    outbox::put(tx, TenantId::DEFAULT, &rows).await?;
                    Ok(i64::try_from(rows.len()) == Ok(BATCH))
                })
            })
            .await
    }
}

fn telling(id: Uuid, event: &Event, rollout: Uuid) -> Telling<'_> {
    Telling {
        id,
        kind: &event.kind,
        key: &event.key,
        correlation: &event.correlation,
        causation: rollout,
        occurred: event.time,
        data: &event.data,
    }
}

/// How long a receiver waits after so many failures and one more; `None`: it is given up.
fn pause(failures: i32) -> Option<Duration> {
    let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.unsigned_abs())).min(LONGEST_PAUSE);
    (failures + 1 < TRIES).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_have_an_end() {
        let seconds = |failures| pause(failures).map(|pause| pause.as_secs());
        assert_eq!([seconds(0), seconds(3), seconds(98), seconds(99)], [Some(1), Some(8), Some(900), None]);
        let all: u64 = (0..TRIES).filter_map(seconds).sum();
        assert!((20 * 3_600..24 * 3_600).contains(&all), "{all} seconds until a receiver is given up");
    }
}
