//! The memory budget: bytes that all requests together may hold in bodies, parsed values and unsent answers.
//!
//! Room is taken before memory is, and given back when its [`Hold`] is dropped. Nobody has all of it: a tenant has at
//! most half, one credential half of that, and all strangers together a sixteenth.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{IntCounter, IntGauge};

use super::HttpError;
use crate::{
    identity::{Caller, CredentialRef},
    model::TenantId,
    telemetry::Metrics,
};

/// What part of the whole a tenant, a credential and all strangers have.
const TENANT: usize = 2;
const CREDENTIAL: usize = 4;
const STRANGERS: usize = 16;

/// When who is refused may find room again.
const COME_BACK: Duration = Duration::from_secs(2);

/// On whose account bytes are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Who has not proved who they are.
    Stranger,
    Known {
        tenant: TenantId,
        credential: CredentialRef,
    },
}

impl From<&Caller> for Holder {
    fn from(caller: &Caller) -> Self {
        Self::Known { tenant: caller.tenant, credential: caller.credential.clone() }
    }
}

/// The one account of all requests; clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: usize,
    held: Arc<Mutex<Held>>,
    gauge: IntGauge,
    refused: IntCounter,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    strangers: usize,
    tenants: HashMap<TenantId, usize>,
    credentials: HashMap<CredentialRef, usize>,
}

impl Budget {
    pub fn new(limit: usize, metrics: &Metrics) -> Self {
        let (gauge, refused) = (metrics.http.held_bytes.clone(), metrics.http.no_room.clone());
        Self { limit, held: Arc::default(), gauge, refused }
    }

    /// A hold of nothing, to grow.
    pub fn hold(&self, holder: Holder) -> Hold {
        Hold { budget: self.clone(), holder, bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, who: &str, share: usize) -> HttpError {
        self.refused.inc();
        let why = format!("{who} hold as much memory as they may together, {share} bytes; send this again in a while");
        HttpError::Unavailable { why, retry_after: COME_BACK }
    }

    /// Takes room, or says whose share is used up. What `own` holds already does not stand in its way: a single request
    /// may go beyond a share rather than be refused for ever, but never beyond the whole.
    fn take(&self, holder: &Holder, own: usize, bytes: usize) -> Result<(), HttpError> {
        let mut held = self.lock();
        let fits = |others: usize, part: usize| others <= own || others + bytes <= self.limit / part;
        match holder {
            Holder::Stranger if held.strangers + bytes > self.limit / STRANGERS => {
                return Err(self.refuse("requests without a credential", self.limit / STRANGERS));
            }
            Holder::Known { credential, .. } if !fits(of(&held.credentials, credential), CREDENTIAL) => {
                return Err(self.refuse("the requests of this credential", self.limit / CREDENTIAL));
            }
            Holder::Known { tenant, .. } if !fits(of(&held.tenants, tenant), TENANT) => {
                return Err(self.refuse("the requests of this tenant", self.limit / TENANT));
            }
            _ if own + bytes > self.limit => {
                return Err(HttpError::TooLarge {
                    what: "the memory this request needs (http.memory)",
                    limit: self.limit,
                });
            }
            _ if held.all + bytes > self.limit => return Err(self.refuse("all requests", self.limit)),
            _ => held.add(holder, bytes),
        }
        self.show(&held);
        Ok(())
    }

    fn give_back(&self, holder: &Holder, bytes: usize) {
        let mut held = self.lock();
        held.remove(holder, bytes);
        self.show(&held);
    }

    fn show(&self, held: &Held) {
        self.gauge.set(i64::try_from(held.all).unwrap_or(i64::MAX));
    }
}

impl Held {
    fn add(&mut self, holder: &Holder, bytes: usize) {
        self.all += bytes;
        match holder {
            Holder::Stranger => self.strangers += bytes,
            Holder::Known { tenant, credential } => {
                *self.tenants.entry(*tenant).or_default() += bytes;
                *self.credentials.entry(credential.clone()).or_default() += bytes;
            }
        }
    }

    fn remove(&mut self, holder: &Holder, bytes: usize) {
        self.all -= bytes;
        match holder {
            Holder::Stranger => self.strangers -= bytes,
            Holder::Known { tenant, credential } => {
                lessen(&mut self.tenants, tenant, bytes);
                lessen(&mut self.credentials, credential, bytes);
            }
        }
    }
}

fn of<K: Hash + Eq>(accounts: &HashMap<K, usize>, key: &K) -> usize {
    accounts.get(key).copied().unwrap_or_default()
}

/// Accounts of nothing are not kept.
fn lessen<K: Hash + Eq>(accounts: &mut HashMap<K, usize>, key: &K, bytes: usize) {
    if let Some(held) = accounts.get_mut(key) {
        *held -= bytes;
        if *held == 0 {
            accounts.remove(key);
        }
    }
}

/// Bytes that are held; dropped, they are free again.
#[derive(Debug)]
pub struct Hold {
    budget: Budget,
    holder: Holder,
    bytes: usize,
}

impl Hold {
    /// Takes room for so many bytes more, before they are.
    pub fn grow(&mut self, bytes: usize) -> Result<(), HttpError> {
        if bytes > 0 {
            self.budget.take(&self.holder, self.bytes, bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Gives back what is more than `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if let Some(spare) = self.bytes.checked_sub(bytes).filter(|spare| *spare > 0) {
            self.budget.give_back(&self.holder, spare);
            self.bytes = bytes;
        }
    }

    /// Goes on under the account of somebody who has become known.
    pub fn pass_to(&mut self, holder: Holder) {
        if self.holder != holder {
            let mut held = self.budget.lock();
            held.remove(&self.holder, self.bytes);
            held.add(&holder, self.bytes);
            drop(held);
            self.holder = holder;
        }
    }

    /// Another hold of the same holder, of nothing yet.
    pub fn beside(&self) -> Self {
        self.budget.hold(self.holder.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const MIB: usize = 1 << 20;

    fn budget() -> Budget {
        Budget::new(64 * MIB, &Metrics::new().unwrap())
    }

    fn key(tenant: u128, n: u128) -> Holder {
        let credential = CredentialRef::Key { id: Uuid::from_u128(n), api_key: "k".into() };
        Holder::Known { tenant: TenantId(Uuid::from_u128(tenant)), credential }
    }

    /// How many holds of one MiB such a holder gets.
    fn admitted(budget: &Budget, holder: &Holder) -> Vec<Hold> {
        let holds = std::iter::repeat_with(|| {
            let mut hold = budget.hold(holder.clone());
            hold.grow(MIB).map(|()| hold)
        });
        holds.map_while(Result::ok).collect()
    }

    #[test]
    fn everybody_has_a_share_and_nobody_all() {
        let budget = budget();
        let first = admitted(&budget, &key(1, 1));
        let second = admitted(&budget, &key(1, 2));
        assert_eq!((first.len(), second.len()), (16, 16), "a credential has a quarter");
        assert!(admitted(&budget, &key(1, 3)).is_empty(), "a tenant has a half");
        assert_eq!(admitted(&budget, &Holder::Stranger).len(), 4, "all strangers have a sixteenth");
        let other = [admitted(&budget, &key(2, 4)), admitted(&budget, &key(2, 5))];
        assert_eq!(other.iter().map(Vec::len).sum::<usize>(), 32);
        let refusal = budget.hold(key(3, 6)).grow(1).unwrap_err();
        let HttpError::Unavailable { why, .. } = &refusal else { panic!("{refusal:?}") };
        assert!(why.contains("67108864"), "{why}");
        drop((first, second, other));
        let held = budget.lock();
        assert_eq!((held.all, held.tenants.len(), held.credentials.len()), (0, 0, 0));
    }

    #[test]
    fn a_single_request_may_pass_its_share_but_never_the_whole() {
        let budget = budget();
        let mut large = budget.hold(key(1, 1));
        large.grow(10 * MIB).unwrap();
        large.grow(40 * MIB).unwrap();
        assert!(budget.hold(key(1, 1)).grow(1).is_err(), "beside it there is no room for its credential");
        assert!(budget.hold(key(1, 2)).grow(1).is_err(), "nor for its tenant");
        assert!(matches!(large.grow(15 * MIB), Err(HttpError::TooLarge { limit, .. }) if limit == 64 * MIB));
        large.shrink_to(MIB);
        assert_eq!(budget.lock().all, MIB);
    }

    #[test]
    fn who_becomes_known_takes_what_they_hold_along() {
        let budget = budget();
        let mut hold = budget.hold(Holder::Stranger);
        hold.grow(4 * MIB).unwrap();
        assert!(hold.grow(1).is_err());
        hold.pass_to(key(1, 1));
        hold.grow(MIB).unwrap();
        let held = budget.lock();
        assert_eq!((held.strangers, held.all), (0, 5 * MIB));
    }
}
