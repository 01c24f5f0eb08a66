//! Identifiers as a value: the only place that makes a UUID or draws random bytes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use uuid::Uuid;

/// A source of fresh identifiers and secrets that a test can make predictable.
#[derive(Clone, Debug, Default)]
pub struct Ids(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Random,
    Counted(Arc<AtomicU64>),
}

impl Ids {
    pub fn random() -> Self {
        Self(Source::Random)
    }

    /// Ids 1, 2, 3 … in the last bytes of an otherwise fixed version 4 UUID.
    pub fn counted() -> Self {
        Self(Source::Counted(Arc::default()))
    }

    /// A fresh version 4 UUID.
    #[expect(clippy::disallowed_methods, reason = "the one call that makes a UUID")]
    pub fn uuid(&self) -> Uuid {
        match &self.0 {
            Source::Random => Uuid::new_v4(),
            Source::Counted(n) => {
                let n = n.fetch_add(1, Ordering::Relaxed) + 1;
                uuid::Builder::from_random_bytes(u128::from(n).to_be_bytes()).into_uuid()
            }
        }
    }

    /// `N` bytes fit for a key: random, or predictable when counted.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        match &self.0 {
            Source::Random => rand::random(),
            Source::Counted(_) => {
                let seed = self.uuid();
                std::array::from_fn(|i| seed.as_bytes()[15 - i % 16])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_ids_are_distinct_and_predictable() {
        let (a, b) = (Ids::counted(), Ids::counted());
        let first = a.uuid();
        assert_eq!(first, b.uuid());
        assert_ne!(first, a.uuid());
        assert_eq!(first.get_version_num(), 4);
    }
}
