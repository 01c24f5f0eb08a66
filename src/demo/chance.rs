//! Chance that comes out the same each time: numbers that follow from other numbers.

use uuid::{Builder, Uuid};

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers that look as if they were thrown.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Those that follow from these numbers; others follow from any others.
    pub fn of(numbers: &[u64]) -> Self {
        Self(numbers.iter().fold(0x1234_5678_9abc_def0, |state, number| mixed(state ^ number.wrapping_mul(STEP))))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(end);
        (wide >> 64) as u64
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len() as u64) as usize) }
    }

    pub fn uuid(&mut self) -> Uuid {
        let wide = u128::from(self.next()) << 64 | u128::from(self.next());
        Builder::from_random_bytes(wide.to_be_bytes()).into_uuid()
    }
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_give_the_same_and_others_do_not() {
        let first = |numbers: &[u64]| Chance::of(numbers).next();
        assert_eq!(first(&[1, 2, 3]), first(&[1, 2, 3]));
        assert_ne!(first(&[1, 2, 3]), first(&[1, 3, 2]));
        assert_ne!(first(&[1]), first(&[1, 0]));
        let mut chance = Chance::of(&[7]);
        assert!((0..1_000).all(|_| chance.below(10) < 10));
        assert_eq!(chance.uuid().get_version_num(), 4);
        assert_ne!(chance.uuid(), chance.uuid());
    }
}
