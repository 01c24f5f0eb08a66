//! The room for what waits: so many kibibytes for everybody, and for each tenant no more than leaves others a way in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::TenantId;

/// A tenant holds at most so many times what is still free. One that is alone gets eight ninths of the room, two get 8/17 each,
/// and however many press in, whoever has nothing here yet finds something free.
const TIMES_THE_REST: u64 = 8;

pub(super) struct Places {
    total_kib: u32,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: u32,
    by_tenant: HashMap<TenantId, u32>,
}

/// A part of the room, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    tenant: TenantId,
    kib: u32,
}

impl Places {
    pub fn new(total_kib: u32) -> Self {
        Self { total_kib, taken: Mutex::default() }
    }

    pub fn total_kib(&self) -> u32 {
        self.total_kib
    }

    pub fn taken_kib(&self) -> u32 {
        self.lock().all
    }

    /// Room for so much of a tenant's; `None` where there is none. More than all there is counts as all there is.
    pub fn take(self: &Arc<Self>, tenant: TenantId, bytes: usize) -> Option<Place> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, self.total_kib);
        let mut taken = self.lock();
        let rest = (self.total_kib - taken.all).checked_sub(kib)?;
        let held = taken.by_tenant.get(&tenant).copied().unwrap_or_default();
        if held > 0 && u64::from(held + kib) > TIMES_THE_REST * u64::from(rest) {
            return None;
        }
        taken.all += kib;
        *taken.by_tenant.entry(tenant).or_default() += kib;
        Some(Place { places: Arc::clone(self), tenant, kib })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= self.kib;
        if let Some(held) = taken.by_tenant.get_mut(&self.tenant) {
            *held -= self.kib;
            if *held == 0 {
                taken.by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    /// As much as a tenant gets, a kibibyte at a time.
    fn all_of(places: &Arc<Places>, tenant: TenantId) -> Vec<Place> {
        std::iter::from_fn(|| places.take(tenant, 1024)).collect()
    }

    #[test]
    fn who_fills_the_room_leaves_a_way_in_for_everybody_else() {
        let places = Arc::new(Places::new(9_000));
        let first = all_of(&places, tenant(1));
        assert_eq!(first.len(), 8_000);
        let second = all_of(&places, tenant(2));
        assert!(second.len() > 800, "{}", second.len());
        let late: Vec<Place> = (3..60).filter_map(|n| places.take(tenant(n), 1024)).collect();
        assert_eq!(late.len(), 57, "whoever has nothing there gets in");
        assert!(places.take(tenant(1), 1024).is_none(), "and who has much does not");
    }

    #[test]
    fn what_is_left_is_free_again() {
        let places = Arc::new(Places::new(100));
        drop(all_of(&places, tenant(1)));
        assert_eq!((places.taken_kib(), places.lock().by_tenant.len()), (0, 0));
        assert!(places.take(tenant(1), usize::MAX).is_some(), "larger than everything: it takes everything");
        assert_eq!(places.taken_kib(), 0);
        let whole = places.take(tenant(1), usize::MAX);
        assert!(whole.is_some() && places.take(tenant(2), 1).is_none());
    }
}
