//! Whether what units say is in the order that cmi5 wants, judged in the transaction that stores it: what was said before
//! stands in marks, and the same mark of two transactions at once is a unique violation, after which one of them looks again.

use uuid::Uuid;

use super::{Job, Submission};
use crate::{
    cmi5::{self, Mark, Marks, Spoken},
    model::TenantId,
    store::{StoreError, Tx, platform::tenants, progress::marks},
    xapi::Violations,
};

/// Rules that a caller broke are refused, or they are counted.
const REFUSED: &str = "refused";
const COUNTED: &str = "counted";

/// The sessions of one group of callers.
pub(super) struct Sessions {
    tenant: TenantId,
    is_strict: bool,
    known: Marks,
    /// To be kept.
    left: Vec<Mark>,
    broken: Vec<(&'static str, &'static str)>,
}

impl Sessions {
    /// What was said before of the sessions that the group speaks of; nothing is asked where it speaks of none.
    pub async fn look(tx: &Tx<'_>, tenant: TenantId, group: &[Job]) -> Result<Self, StoreError> {
        let said = group.iter().flat_map(|job| &job.submission.said);
        let mut keys: Vec<Uuid> = said.flat_map(|said| cmi5::marks_of(tenant, said)).collect();
        let is_silent = group.iter().all(|job| job.submission.said.is_empty());
        let (mut is_strict, mut known) = (false, Marks::default());
        if !is_silent {
            keys.sort_unstable();
            keys.dedup();
            is_strict = tenants::get(tx, tenant).await?.is_some_and(|tenant| tenant.cmi5.strict);
            known = Marks::new(marks::known(tx, tenant, &keys).await?);
        }
        Ok(Self { tenant, is_strict, known, left: Vec::new(), broken: Vec::new() })
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
        let (out_of_order, left) = self.known.judge(self.tenant, &spoken);
        let mut violations: Vec<_> = spoken.iter().flat_map(|one| one.said.broken.iter().cloned()).collect();
        violations.extend(out_of_order);
        violations.sort_by_key(|violation| violation.statement);
        let outcome = if self.is_strict { REFUSED } else { COUNTED };
        self.broken.extend(violations.iter().map(|violation| (violation.rule, outcome)));
        if self.is_strict && !violations.is_empty() {
            return Err(Violations(violations));
        }
        self.known.add(left.iter().cloned());
        self.left.extend(left);
        Ok(())
    }

    /// Keeps the marks of what is accepted; answers the rules that were broken.
    pub async fn keep(self, tx: &Tx<'_>) -> Result<Vec<(&'static str, &'static str)>, StoreError> {
        if !self.left.is_empty() {
            marks::insert(tx, self.tenant, &self.left).await?;
        }
        Ok(self.broken)
    }
}
