//! Jobs that wait, and which of them form the next group. Tenants take turns, so that a busy one cannot starve the others.

use std::collections::{HashMap, VecDeque};

use crate::model::TenantId;

/// Tenants in one transaction: the database looks for the tenant of each row in the list of them.
const MOST_TENANTS: usize = 64;

/// What can wait.
pub(super) trait Waits {
    fn tenant(&self) -> TenantId;
    /// Statements it brings.
    fn size(&self) -> usize;
}

/// Jobs by tenant, tenants in turn.
pub(super) struct Turns<J> {
    turn: VecDeque<TenantId>,
    jobs: HashMap<TenantId, VecDeque<J>>,
}

impl<J> Default for Turns<J> {
    fn default() -> Self {
        Self { turn: VecDeque::new(), jobs: HashMap::new() }
    }
}

impl<J: Waits> Turns<J> {
    pub fn is_empty(&self) -> bool {
        self.turn.is_empty()
    }

    pub fn push(&mut self, job: J) {
        let tenant = job.tenant();
        let jobs = self.jobs.entry(tenant).or_default();
        if jobs.is_empty() {
            self.turn.push_back(tenant);
        }
        jobs.push_back(job);
    }

    /// The next tenant's oldest jobs, up to `most` statements but at least one job.
    pub fn of_one(&mut self, most: usize) -> Option<(TenantId, Vec<J>)> {
        let tenant = self.turn.pop_front()?;
        let mut group = Group { jobs: Vec::new(), statements: 0, most };
        self.take(tenant, most, &mut group);
        if self.jobs.contains_key(&tenant) {
            self.turn.push_back(tenant);
        }
        Some((tenant, group.jobs))
    }

    /// The oldest jobs of several tenants, up to `most` statements but at least one job. First each gets an equal share, then
    /// what is left goes to whoever is next. Whom there was no room for is first the next time.
    pub fn of_several(&mut self, most: usize) -> Vec<J> {
        let tenants: Vec<TenantId> = self.turn.drain(..self.turn.len().min(MOST_TENANTS)).collect();
        let share = most / tenants.len().max(1);
        let mut group = Group { jobs: Vec::new(), statements: 0, most };
        let taken: Vec<usize> = tenants.iter().map(|tenant| self.take(*tenant, share, &mut group)).collect();
        for tenant in &tenants {
            self.take(*tenant, most, &mut group);
        }
        let mut served = VecDeque::new();
        for (tenant, taken) in tenants.into_iter().zip(taken).rev() {
            match taken {
                0 => self.turn.push_front(tenant),
                _ if self.jobs.contains_key(&tenant) => served.push_front(tenant),
                _ => {}
            }
        }
        self.turn.append(&mut served);
        group.jobs
    }

    /// Moves the tenant's oldest jobs into the group, up to `share` statements but at least one job, if it has room; answers how
    /// many statements.
    fn take(&mut self, tenant: TenantId, share: usize, group: &mut Group<J>) -> usize {
        let Some(jobs) = self.jobs.get_mut(&tenant) else { return 0 };
        let mut taken = 0;
        while let Some(size) = jobs.front().map(J::size) {
            let fits = group.jobs.is_empty() || group.statements + size <= group.most;
            if !fits || (taken > 0 && taken + size > share) {
                break;
            }
            taken += size;
            group.statements += size;
            group.jobs.extend(jobs.pop_front());
        }
        if jobs.is_empty() {
            self.jobs.remove(&tenant);
        }
        taken
    }
}

struct Group<J> {
    jobs: Vec<J>,
    statements: usize,
    most: usize,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Of which tenant, and how many statements.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Job(u128, usize);

    impl Waits for Job {
        fn tenant(&self) -> TenantId {
            TenantId(Uuid::from_u128(self.0))
        }

        fn size(&self) -> usize {
            self.1
        }
    }

    fn waiting(jobs: impl IntoIterator<Item = Job>) -> Turns<Job> {
        let mut turns = Turns::default();
        jobs.into_iter().for_each(|job| turns.push(job));
        turns
    }

    fn statements_of(group: &[Job], tenant: u128) -> usize {
        group.iter().filter(|job| job.0 == tenant).map(|job| job.1).sum()
    }

    #[test]
    fn one_group_has_the_statements_of_many_tenants() {
        let mut turns = waiting((1..=50).map(|tenant| Job(tenant, 1)));
        assert_eq!((turns.of_several(1_000).len(), turns.is_empty()), (50, true));
    }

    #[test]
    fn a_busy_tenant_gets_what_the_others_leave_and_no_more() {
        let busy = std::iter::repeat_n(Job(1, 1), 500);
        let mut turns = waiting(busy.chain((2..=5).flat_map(|tenant| std::iter::repeat_n(Job(tenant, 1), 30))));
        let group = turns.of_several(100);
        assert_eq!(group.len(), 100);
        (1..=5).for_each(|tenant| assert_eq!(statements_of(&group, tenant), 20, "of tenant {tenant}"));
        let group = turns.of_several(100);
        assert_eq!((statements_of(&group, 1), statements_of(&group, 5)), (60, 10));
    }

    #[test]
    fn large_batches_and_single_statements_take_turns() {
        let mut turns = waiting([Job(1, 900), Job(1, 900), Job(2, 1), Job(3, 1), Job(3, 1), Job(4, 990)]);
        let groups: Vec<Vec<Job>> =
            std::iter::from_fn(|| (!turns.is_empty()).then(|| turns.of_several(1_000))).collect();
        assert_eq!(groups[0], [Job(1, 900), Job(2, 1), Job(3, 1), Job(3, 1)]);
        assert_eq!(groups[1], [Job(4, 990)], "for whom there was no room is first the next time");
        assert_eq!(groups[2], [Job(1, 900)]);
    }

    #[test]
    fn who_brings_more_than_a_group_holds_is_a_group_alone() {
        let mut turns = waiting([Job(1, 5_000), Job(2, 1)]);
        assert_eq!(turns.of_several(1_000), [Job(1, 5_000)]);
        assert_eq!(turns.of_several(1_000), [Job(2, 1)]);
    }

    #[test]
    fn of_more_tenants_than_a_transaction_names_the_rest_is_next() {
        let mut turns = waiting((0..100).map(|tenant| Job(tenant, 1)));
        let group = turns.of_several(1_000);
        assert_eq!(group.len(), MOST_TENANTS);
        assert_eq!(turns.of_several(1_000).first(), Some(&Job(MOST_TENANTS as u128, 1)));
    }

    #[test]
    fn the_jobs_of_one_tenant_keep_their_order() {
        let mut turns = waiting([Job(1, 3), Job(2, 1), Job(1, 4), Job(1, 5)]);
        assert_eq!(turns.of_one(7), Some((TenantId(Uuid::from_u128(1)), vec![Job(1, 3), Job(1, 4)])));
        assert_eq!(turns.of_one(7).map(|(_, jobs)| jobs), Some(vec![Job(2, 1)]));
        assert_eq!(turns.of_one(7).map(|(_, jobs)| jobs), Some(vec![Job(1, 5)]));
        assert_eq!(turns.of_one(7), None);
    }
}
