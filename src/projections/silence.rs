//! Registrations of which nobody speaks any more: found out on a schedule and written down with a place in the ledger's
//! order, so that the fold closes them and a replay closes them alike.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::{error::ProjectionError, fold};
use crate::{
    model::{TenantId, attempt::Fact, names::derived},
    store::{
        As, Store, StoreError,
        ledger::vocabulary,
        platform::leases,
        progress::{
            closures::{self, Open, Silence},
            projections::{self as rows, Of, Side},
        },
    },
    xapi::keys,
};

/// Open attempts looked at in one transaction.
const PAGE: i64 = 500;

const SATISFIED: &str = "https://w3id.org/xapi/adl/verbs/satisfied";

/// After how long a cmi5 registration counts as silent. Zero: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// One whose only unit is satisfied, of a tenant whose LMS never says that a course is.
    pub met: Duration,
    /// Any other.
    pub unmet: Duration,
}

impl Patience {
    fn shortest(self) -> Option<TimeDelta> {
        [self.met, self.unmet].into_iter().filter_map(time).min()
    }

    /// Whether a registration is silent that was last spoken of `quiet` ago.
    fn is_over(self, quiet: TimeDelta, facts: &[Fact], lms_tells: bool) -> bool {
        let over = |limit: Duration| time(limit).is_some_and(|limit| quiet >= limit);
        let units = fold::cmi5::units(&fold::standing(facts));
        let is_met = !lms_tells && matches!(units.as_slice(), [only] if only.is_satisfied());
        over(self.unmet) || is_met && over(self.met)
    }
}

fn time(limit: Duration) -> Option<TimeDelta> {
    TimeDelta::from_std(limit).ok().filter(|limit| !limit.is_zero())
}

/// Looks at every open attempt once; answers how many it found silent.
pub async fn look(store: &Store, patience: Patience, now: DateTime<Utc>) -> Result<usize, ProjectionError> {
    let Some(shortest) = patience.shortest() else { return Ok(0) };
    let (mut after, mut found) = ((TenantId(uuid::Uuid::nil()), String::new()), 0);
    loop {
        let open = store
            .run_tx("open_attempts", As::Worker, |tx| {
                let (tenant, attempt) = (after.0, after.1.clone());
                Box::pin(async move { closures::open_attempts(tx, (tenant, &attempt), PAGE).await })
            })
            .await?;
        let Some(last) = open.last() else { return Ok(found) };
        after = (last.tenant, last.attempt.clone());
        let mut quiet: BTreeMap<TenantId, Vec<Open>> = BTreeMap::new();
        for attempt in open.into_iter().filter(|open| open.is_cmi5 && now - open.last_word >= shortest) {
            quiet.entry(attempt.tenant).or_default().push(attempt);
        }
        for (tenant, open) in &quiet {
            found += note(store, *tenant, open, patience, now).await?;
        }
    }
}

/// Writes down which of a tenant's quiet registrations are silent.
async fn note(
    store: &Store,
    tenant: TenantId,
    quiet: &[Open],
    patience: Patience,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let ids: &Vec<String> = &quiet.iter().map(|open| open.attempt.clone()).collect();
    store
        .run_tx("note_silences", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let lms_tells = vocabulary::has_seen_verb(tx, tenant, keys::verb(tenant.0, SATISFIED)).await?;
                let facts = rows::facts(tx, Of { tenant, side: Side::Live }, ids, now).await?;
                let mut found = 0;
                for Open { attempt, last_word, .. } in quiet {
                    let facts = facts.get(attempt).map_or(&[][..], Vec::as_slice);
                    if patience.is_over(now - last_word, facts, lms_tells) {
                        let id = derived(tenant, "silence", &[attempt, &last_word.timestamp_micros().to_string()]);
                        let silence = Silence { attempt: attempt.clone(), id, last_word: *last_word };
                        closures::insert_silence(tx, tenant, &silence).await?;
                        found += 1;
                    }
                }
                Ok(found)
            })
        })
        .await
}
