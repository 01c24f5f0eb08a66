//! How long things took, in buckets, and between two looks. Pure.

/// Counts up to each bound, the smallest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies(Vec<(f64, u64)>);

/// Fewer than this tell nothing of the slowest of a hundred.
const ENOUGH: u64 = 100;

impl Latencies {
    /// Adds what a histogram counted up to the bound at this place.
    pub(super) fn add(&mut self, place: usize, bound: f64, count: u64) {
        match self.0.get_mut(place) {
            Some((_, sum)) => *sum += count,
            None => self.0.push((bound, count)),
        }
    }

    /// What came since.
    pub fn since(&self, before: &Self) -> Self {
        let then = |place: usize| before.0.get(place).map_or(0, |(_, count)| *count);
        let pairs = self.0.iter().enumerate();
        Self(pairs.map(|(place, (bound, count))| (*bound, count.saturating_sub(then(place)))).collect())
    }

    /// The bound within which 99 of 100 are; `None` while too few tell. Beyond the last bound it is that one.
    pub fn p99(&self) -> Option<f64> {
        let all = self.0.last().map_or(0, |(_, count)| *count);
        if all < ENOUGH {
            return None;
        }
        let enough = all - all / 100;
        self.0.iter().find(|(_, count)| *count >= enough).map(|(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_a_hundred_since_a_look() {
        let of = |counts: [u64; 3]| Latencies(vec![(0.1, counts[0]), (1.0, counts[1]), (5.0, counts[2])]);
        assert_eq!(of([1_000, 1_000, 1_000]).p99(), Some(0.1));
        assert_eq!(of([980, 1_000, 1_000]).p99(), Some(1.0));
        assert_eq!(of([99, 99, 99]).p99(), None);
        assert_eq!(Latencies::default().p99(), None);
        let later = of([1_080, 1_100, 1_200]).since(&of([1_000, 1_000, 1_000]));
        assert_eq!(later.p99(), Some(5.0));
    }
}
