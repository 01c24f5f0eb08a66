//! Forwards: what is new in a tenant's ledger goes on to another LRS, in order and at least once. How far that came is noted once the
//! other side said that it has it, or never takes it; so nothing is lost while it is away, and what is sent twice it knows by its id.
//!
//! Only what is final goes: nothing can appear before it any more. What is hidden, because somebody is erased, does not.

mod again;
mod deliver;
pub mod desk;
mod parcel;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use reqwest::Client;

use self::{
    deliver::{Verdict, deliver},
    parcel::{Moment, Parcel, body, is_meant, moment, outgoing, pack, pieces},
};
use super::{
    TransferError,
    remote::{Account, Remote},
};
use crate::{
    cold::Cold,
    model::{Clock, Ids, Lease, Secret},
    store::{
        As, Store, StoreError,
        ledger::statements,
        progress::{
            forwards::{self as rows, Advance, Forward, Refusal},
            projections::Line,
            relay::Share,
        },
    },
    telemetry::{Metrics, metrics::TOLD_APART},
};

/// Parts of the forwards that nodes share out among each other, each under a lease of its own.
pub const SHARES: i32 = 4;
/// Forwards of a share that are at work at once.
const AT_ONCE: usize = 8;
/// Statements read at once.
const LINES: i64 = 200;
/// After so long the other forwards of the share get their turn.
const TURN: Duration = Duration::from_secs(5);
/// The longest that is waited for an answer.
pub const ANSWER: Duration = Duration::from_secs(30);
/// So many refusals without one statement that is taken, and it is rather the other side that is ill.
const IN_A_ROW: usize = 100;
/// Pauses after failures: the first one, doubled with each more, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest that is waited because the other side says so.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// After so long it is asked again what it speaks.
const ABOUT: Duration = Duration::from_secs(600);

/// Another LRS, as the configuration names it.
#[derive(Clone)]
pub struct Target {
    pub name: String,
    /// What stands before `statements`, with the slash.
    pub endpoint: reqwest::Url,
    pub key: String,
    pub secret: Secret,
}

/// What the forwards work with; clones are one.
#[derive(Clone)]
pub struct Forwarder {
    cold: Cold,
    clock: Clock,
    ids: Ids,
    metrics: Metrics,
    client: Client,
    targets: Arc<[Target]>,
    /// Statements and bytes of one request.
    limits: (usize, u64),
    known: Arc<Mutex<Known>>,
}

/// What need not be asked again.
#[derive(Default)]
struct Known {
    /// The other sides as they presented themselves, and when.
    remotes: HashMap<String, (Arc<Remote>, Instant)>,
    /// By number, where nothing was found behind.
    settled: HashMap<i64, DateTime<Utc>>,
    /// Labels that were told, by share.
    told: HashMap<i32, HashSet<(String, String)>>,
}

/// Why a try came to nothing.
enum Stop {
    Error(TransferError),
    Later { why: String, after: Option<Duration> },
}

impl<E: Into<TransferError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Forwarder {
    pub fn new(
        cold: &Cold,
        (clock, ids): (&Clock, &Ids),
        metrics: &Metrics,
        (client, targets): (Client, Vec<Target>),
        limits: (usize, u64),
    ) -> Self {
        let (cold, clock, ids, metrics) = (cold.clone(), clock.clone(), ids.clone(), metrics.clone());
        Self { cold, clock, ids, metrics, client, targets: targets.into(), limits, known: Arc::default() }
    }

    /// The same for a step under this lease: it moves on nowhere once another node has it.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self { cold: self.cold.through(self.store().under(lease)), ..self.clone() }
    }

    fn store(&self) -> &Store {
        self.cold.store()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends some of what each forward of the share has; answers whether there may be more.
    pub async fn step(&self, share: Share) -> Result<bool, TransferError> {
        let list = self.store().run_tx("forwards", As::Worker, |tx| Box::pin(rows::list(tx, share, None))).await?;
        self.tell(share, &list);
        let due = list.into_iter().filter(|one| one.is_due && one.is_served && !one.is_paused && self.may_have(one));
        let turns: Vec<_> = due.map(|one| Box::pin(self.turn(one))).collect();
        let done: Vec<Result<bool, TransferError>> = stream::iter(turns).buffer_unordered(AT_ONCE).collect().await;
        let mut more = false;
        for one in done {
            more |= one?;
        }
        Ok(more)
    }

    /// Whether something may wait that was not looked at. Months in the archive are older than what is in the tables.
    fn may_have(&self, one: &Forward) -> bool {
        one.oldest.is_some() || self.known().settled.get(&one.number) != Some(&one.position)
    }

    /// A forward's turn. What goes wrong with the other side is noted with the forward; an error is one of our own.
    async fn turn(&self, one: Forward) -> Result<bool, TransferError> {
        let (why, after) = match self.some(&one).await {
            Ok(more) => return Ok(more),
            Err(Stop::Error(TransferError::Store(error))) => return Err(error.into()),
            Err(Stop::Error(error)) => (error.to_string(), None),
            Err(Stop::Later { why, after }) => (why, after),
        };
        let pause = pause(one.failures, after);
        tracing::warn!(forward = one.name, tenant = %one.tenant, why, "a forward waits");
        self.metrics.forward.failures.with_label_values(&label(&one)).inc();
        let noted = self
            .store()
            .run_tx("forward_failed", As::Worker, |tx| Box::pin(rows::fail(tx, &one, &why, pause.as_secs_f64())));
        noted.await?;
        Ok(false)
    }

    async fn some(&self, one: &Forward) -> Result<bool, Stop> {
        let remote = self.remote(&one.target).await?;
        let begun = Instant::now();
        let bound = self.store().run_tx("forward_bound", As::Worker, |tx| Box::pin(statements::safe_bound(tx))).await?;
        let mut lines = self.cold.lines(one.tenant, one.position, bound, LINES);
        let mut position = one.position;
        let mut refused_in_a_row = 0;
        while begun.elapsed() < TURN {
            let page = Box::pin(lines.next()).await?;
            if page.is_empty() {
                self.known().settled.insert(one.number, position);
                self.lag(one, None);
                return Ok(false);
            }
            self.lag(one, page.first().map(|line| line.stored));
            let (page, until) = self.shown(one, page).await?;
            let Some(until) = until else { return Ok(false) };
            let mut parcels = self.parcels(one, page, remote.version()).await?;
            let goes_on = match parcels.last_mut() {
                None => self.advance(one, &mut position, until, (0, None)).await?,
                Some(last) => {
                    last.until = until;
                    self.send(one, &remote, &parcels, (&mut position, &mut refused_in_a_row)).await?
                }
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The other side, as it presented itself lately.
    async fn remote(&self, name: &str) -> Result<Arc<Remote>, TransferError> {
        let known = self.known().remotes.get(name).cloned();
        if let Some((remote, _)) = known.filter(|(_, asked)| asked.elapsed() < ABOUT) {
            return Ok(remote);
        }
        let remote = Arc::new(Remote::once(&self.client, self.account(name)?).await?);
        self.known().remotes.insert(name.to_owned(), (Arc::clone(&remote), Instant::now()));
        Ok(remote)
    }

    fn account(&self, name: &str) -> Result<Account, TransferError> {
        let target = self.targets.iter().find(|target| target.name == name);
        let target = target.ok_or_else(|| TransferError::Refused(format!("forward.targets names no {name}")))?;
        let Target { endpoint, key, secret, .. } = target.clone();
        Ok(Account { endpoint, key, secret })
    }

    /// The lines without those that are hidden, and the last one that is settled with them. At one that is being removed a page ends:
    /// where it only mentions somebody, it comes back without them.
    async fn shown(&self, one: &Forward, mut page: Vec<Line>) -> Result<(Vec<Line>, Option<Moment>), StoreError> {
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok((page, None)) };
        let (tenant, between) = (one.tenant, (first.stored, last.stored));
        // Asked after the lines were read: who was hidden before that is known.
        let asked = self.store().run_tx("forward_hidden", As::Worker, |tx| Box::pin(rows::hidden(tx, tenant, between)));
        let hidden = asked.await?;
        if let Some(going) = hidden.iter().filter(|(_, is_going)| *is_going).map(|(stored, _)| *stored).min() {
            page.retain(|line| line.stored < going);
        }
        let until = page.last().map(moment);
        page.retain(|line| hidden.iter().all(|(stored, _)| *stored != line.stored));
        Ok((page, until))
    }

    /// What of the lines is meant to go.
    async fn parcels(&self, one: &Forward, page: Vec<Line>, version: &str) -> Result<Vec<Parcel>, TransferError> {
        let mut parcels: Vec<Parcel> = Vec::new();
        for line in page {
            let document = outgoing(&line, version)?;
            if is_meant(one, &document) || self.voids_what_went(one, &line).await? {
                parcels.push(pack(self.store(), one.tenant, line, document).await?);
            } else if let Some(last) = parcels.last_mut() {
                last.until = moment(&line);
            }
        }
        Ok(parcels)
    }

    /// Whether a line voids a statement that is meant to go. One that is not there may still come.
    async fn voids_what_went(&self, one: &Forward, line: &Line) -> Result<bool, TransferError> {
        let (Some(target), tenant) = (line.voids, one.tenant) else { return Ok(false) };
        let asked = self.store().run_tx("forward_target", As::Worker, |tx| Box::pin(rows::stored(tx, tenant, target)));
        let Some(stored) = asked.await? else { return Ok(true) };
        let Some(kept) = Box::pin(self.cold.one_at(tenant, stored)).await? else { return Ok(false) };
        let unreadable = |error: serde_json::Error| TransferError::Unreadable(target, error.to_string());
        Ok(is_meant(one, &serde_json::from_str(&kept.payload).map_err(unreadable)?))
    }

    /// Sends parcels piece by piece. A piece of which something is refused is sent in halves, until it is known what.
    async fn send(
        &self,
        one: &Forward,
        remote: &Remote,
        parcels: &[Parcel],
        (position, refused_in_a_row): (&mut DateTime<Utc>, &mut usize),
    ) -> Result<bool, Stop> {
        let (mut begin, mut waiting) = (0, pieces(parcels, self.limits));
        waiting.reverse();
        while let Some(length) = waiting.pop() {
            let Some(piece) = parcels.get(begin..begin + length) else { break };
            let verdict = match piece.iter().find_map(|parcel| parcel.lacks) {
                Some(why) => Verdict::Refused(why.to_owned()),
                None => {
                    self.store().check_lease().await?;
                    deliver(remote, piece, body(self.store(), one.tenant, piece, self.ids.uuid()).await?).await?
                }
            };
            let refused = match verdict {
                Verdict::Later { why, after } => return Err(Stop::Later { why, after }),
                Verdict::Refused(_) if length > 1 => {
                    waiting.extend([length - length / 2, length / 2]);
                    continue;
                }
                Verdict::Refused(why) if *refused_in_a_row >= IN_A_ROW => {
                    let why = format!("the other LRS refuses one statement after the other: {why}");
                    return Err(Stop::Later { why, after: None });
                }
                Verdict::Refused(why) => Some(why),
                Verdict::Taken => None,
            };
            *refused_in_a_row = if refused.is_some() { *refused_in_a_row + 1 } else { 0 };
            let Some(last) = piece.last() else { break };
            let refused = refused.map(|reason| Refusal { id: last.line.id, stored: last.line.stored, reason });
            let sent = if refused.is_some() { 0 } else { length };
            if !self.advance(one, position, last.until, (sent, refused)).await? {
                return Ok(false);
            }
            begin += length;
        }
        Ok(true)
    }

    /// Notes that everything up to a line is settled; answers whether to go on.
    async fn advance(
        &self,
        one: &Forward,
        position: &mut DateTime<Utc>,
        (to, id): Moment,
        (sent, refused): (usize, Option<Refusal>),
    ) -> Result<bool, StoreError> {
        let counted = i64::try_from(sent).unwrap_or(i64::MAX);
        let to = &Advance { from: *position, to, id, sent: counted, refused };
        let moved =
            self.store().run_tx("forward_advance", As::Worker, |tx| Box::pin(rows::advance(tx, one, to))).await?;
        *position = to.to;
        self.metrics.forward.sent.with_label_values(&label(one)).inc_by(sent as u64);
        self.metrics.forward.refused.with_label_values(&label(one)).inc_by(u64::from(to.refused.is_some()));
        Ok(moved)
    }

    /// Sets the lag of every forward of the share, and forgets those that are gone.
    fn tell(&self, share: Share, list: &[Forward]) {
        list.iter().for_each(|one| self.lag(one, one.oldest));
        let now: HashSet<_> = list.iter().map(|one| label(one).map(str::to_owned).into()).collect();
        let before = self.known().told.insert(share.index, now.clone()).unwrap_or_default();
        for (tenant, name) in before.difference(&now) {
            // It was there only if somebody had asked for it.
            let _ = self.metrics.forward.lag_seconds.remove_label_values(&[tenant, name]);
        }
    }

    fn lag(&self, one: &Forward, oldest: Option<DateTime<Utc>>) {
        let lag = oldest.map_or(TimeDelta::zero(), |oldest| self.clock.now() - oldest);
        let seconds = f64::from(i32::try_from(lag.num_milliseconds()).unwrap_or(i32::MAX).max(0)) / 1_000.0;
        self.metrics.forward.lag_seconds.with_label_values(&label(one)).set(seconds);
    }
}

/// By what a forward is told apart in the metrics.
fn label(one: &Forward) -> [&str; 2] {
    let is_told_apart = usize::try_from(one.number).is_ok_and(|number| number <= TOLD_APART);
    if is_told_apart { [&one.tenant_name, &one.name] } else { ["other", "other"] }
}

/// How long a forward waits after so many failures and one more.
fn pause(failures: i32, after: Option<Duration>) -> Duration {
    let own = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.unsigned_abs())).min(LONGEST_PAUSE);
    own.max(after.unwrap_or_default().min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_the_other_side_may_ask_for_a_longer_one() {
        let seconds = |failures, after: Option<u64>| pause(failures, after.map(Duration::from_secs)).as_secs();
        assert_eq!([seconds(0, None), seconds(3, None), seconds(50, None)], [1, 8, 300]);
        assert_eq!([seconds(0, Some(20)), seconds(6, Some(20)), seconds(0, Some(100_000))], [20, 64, 3_600]);
    }
}
