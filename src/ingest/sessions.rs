//! Whether what units say is in the order that cmi5 wants, judged in the transaction that stores it: what was said before
//! stands in marks, and the same mark of two transactions at once is a unique violation, after which one of them looks again.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::{Job, Submission};
use crate::{
    cmi5::{Mark, Marks, Said, Spoken},
    model::TenantId,
    store::{StoreError, Tx, platform::tenants, progress::marks},
    xapi::Violations,
};

/// Rules that a caller broke are refused, or they are counted.
const REFUSED: &str = "refused";
const COUNTED: &str = "counted";

/// The sessions of one group of callers.
#[derive(Default)]
pub(super) struct Sessions {
    strict: HashSet<TenantId>,
    /// Each key is one of its tenant alone.
    known: Marks,
    /// Keys of marks that may be void: only their tenant's own transaction can tell.
    doubtful: HashSet<Uuid>,
    /// To be kept.
    left: Vec<(TenantId, Mark)>,
    broken: Vec<(&'static str, &'static str)>,
}

impl Sessions {
    /// What was said before of the sessions that the group of one tenant speaks of; nothing is asked where it speaks of none.
    pub async fn of_one(tx: &Tx<'_>, tenant: TenantId, group: &[Job]) -> Result<Self, StoreError> {
        let keys: Vec<Uuid> = keys(group).into_iter().map(|(_, key)| key).collect();
        if keys.is_empty() && is_silent(group) {
            return Ok(Self::default());
        }
        let strict = tenants::strict_among(tx, &[tenant]).await?;
        let known = Marks::new(marks::known(tx, tenant, &keys).await?);
        Ok(Self { strict, known, ..Self::default() })
    }

    /// The same for a group of several tenants.
    pub async fn of_several(tx: &Tx<'_>, tenants: &[TenantId], group: &[Job]) -> Result<Self, StoreError> {
        if is_silent(group) {
            return Ok(Self::default());
        }
        let keys: Vec<marks::Key> = keys(group).into_iter().collect();
        let (strict, (known, doubtful)) =
            futures_util::try_join!(tenants::strict_among(tx, tenants), marks::seen(tx, &keys))?;
        Ok(Self { strict, known: Marks::new(known), doubtful, ..Self::default() })
    }

    /// Whether something that was said before may be void.
    pub fn is_doubtful(&self, submission: &Submission) -> bool {
        keys_of(submission).any(|(_, key)| self.doubtful.contains(&key))
    }

    /// Judges what is new of a caller's statements. What was stored before is not said again.
    pub fn judge(&mut self, submission: &Submission, new: &[bool]) -> Result<(), Violations> {
        let is_new = |at: usize| new.get(at).copied().unwrap_or_default();
        let spoken: Vec<Spoken<'_>> = submission
            .said
            .iter()
            .filter(|said| is_new(said.statement))
            .filter_map(|said| {
                let statement = submission.statements.get(said.statement)?;
                Some(Spoken { said, id: statement.id, occurred: statement.timestamp })
            })
            .collect();
        if spoken.is_empty() {
            return Ok(());
        }
        let tenant = submission.tenant;
        let known = self.known.among(keys_of(submission).map(|(_, key)| key));
        let (out_of_order, left) = known.judge(&spoken);
        let mut violations: Vec<_> = spoken.iter().flat_map(|one| one.said.broken.iter().cloned()).collect();
        violations.extend(out_of_order);
        violations.sort_by_key(|violation| violation.statement);
        let is_strict = self.strict.contains(&tenant);
        let outcome = if is_strict { REFUSED } else { COUNTED };
        self.broken.extend(violations.iter().map(|violation| (violation.rule, outcome)));
        if is_strict && !violations.is_empty() {
            return Err(Violations(violations));
        }
        self.known.add(left.iter().cloned());
        self.left.extend(left.into_iter().map(|mark| (tenant, mark)));
        Ok(())
    }

    /// Keeps the marks of what is accepted; answers the rules that were broken.
    pub async fn keep(self, tx: &Tx<'_>) -> Result<Vec<(&'static str, &'static str)>, StoreError> {
        if !self.left.is_empty() {
            marks::insert(tx, &self.left).await?;
        }
        Ok(self.broken)
    }
}

fn is_silent(group: &[Job]) -> bool {
    group.iter().all(|job| job.submission.said.is_empty())
}

/// What may have been said before that decides about the group, each once.
fn keys(group: &[Job]) -> BTreeSet<marks::Key> {
    group.iter().flat_map(|job| keys_of(&job.submission)).collect()
}

fn keys_of(submission: &Submission) -> impl Iterator<Item = marks::Key> {
    let tenant = submission.tenant;
    submission.said.iter().flat_map(Said::marks).map(move |key| (tenant, key))
}
