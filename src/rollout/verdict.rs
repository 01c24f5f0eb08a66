//! Is the new version worse? A sequential test: it may be looked at as often as one likes. Pure.
//!
//! Each group's part of bad requests has a confidence sequence (a normal mixture, asymptotic): an interval that holds at all times
//! at once. Two of them bound the difference. Wholly above zero: worse. Wholly below what is tolerated: not worse. Else nobody
//! knows yet, and too few requests are never a success.

use serde::{Deserialize, Serialize};

/// What was counted of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub requests: i64,
    pub errors: i64,
    pub slow: i64,
}

/// What is said of the new version.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Why: which part, of which group.
    Worse(String),
    NotWorse,
    /// What is missing.
    Unknown(String),
}

/// Wrong calls of `worse`, over both tests and all looks: this part of rollouts that are not worse.
const ALPHA: f64 = 0.01;
/// Fewer requests than this of either group say nothing.
pub const LEAST: i64 = 100;
/// Where the sequence is tightest: after about this many requests.
const TIGHTEST: f64 = 1_000.0;

/// Compares the new version's requests with the old one's; a part of bad ones that is larger by `tolerance` is tolerated.
pub fn judge(new: &Counted, old: &Counted, tolerance: f64) -> Verdict {
    for (group, counted) in [("the pilots", new), ("the rest", old)] {
        if counted.requests < LEAST {
            return Verdict::Unknown(format!("{group} made {} of {LEAST} requests", counted.requests));
        }
    }
    let tests = [("errors", new.errors, old.errors), ("slow answers", new.slow, old.slow)];
    let mut missing = Vec::new();
    for (what, bad, good) in tests {
        let (low, high) = difference((bad, new.requests), (good, old.requests));
        if low > 0.0 {
            let part = |count: i64, of: i64| 100.0 * count as f64 / of as f64;
            let (theirs, others) = (part(bad, new.requests), part(good, old.requests));
            return Verdict::Worse(format!(
                "{what}: {theirs:.2} % of the requests of pilots, {others:.2} % of those of the rest"
            ));
        }
        if high >= tolerance {
            missing.push(format!(
                "{what} may differ by up to {:.2} %, tolerated are {:.2} %",
                high * 100.0,
                tolerance * 100.0
            ));
        }
    }
    if missing.is_empty() { Verdict::NotWorse } else { Verdict::Unknown(missing.join("; ")) }
}

/// Between which the difference lies, at all times at once.
fn difference(new: (i64, i64), old: (i64, i64)) -> (f64, f64) {
    let (theirs, others) = (part(new), part(old));
    // Two tests, each with two groups.
    let around = radius(new, ALPHA / 4.0) + radius(old, ALPHA / 4.0);
    (theirs - others - around, theirs - others + around)
}

fn part((bad, all): (i64, i64)) -> f64 {
    bad as f64 / all.max(1) as f64
}

fn radius((bad, all): (i64, i64), alpha: f64) -> f64 {
    let n = all.max(1) as f64;
    // One more of each, so that none at all is not certainty.
    let p = (bad as f64 + 1.0) / (n + 2.0);
    let (variance, mixed) = (p * (1.0 - p), n / TIGHTEST);
    (2.0 * variance * (mixed + 1.0) / (n * mixed) * ((mixed + 1.0).sqrt() / alpha).ln()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: f64 = 0.02;

    /// The same numbers for the same seed.
    struct Dice(u64);

    impl Dice {
        fn falls(&mut self, part: f64) -> bool {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 11) as f64 / (1_u64 << 53) as f64) < part
        }
    }

    /// Looked at after every 20 requests of each group, up to so many: the first verdict that is one.
    fn run(seed: u64, new: (f64, f64), old: (f64, f64), most: i64) -> (Verdict, i64) {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (mut pilots, mut rest) = (Counted::default(), Counted::default());
        for n in 1..=most {
            for (counted, (errors, slow)) in [(&mut pilots, new), (&mut rest, old)] {
                counted.requests += 1;
                counted.errors += i64::from(dice.falls(errors));
                counted.slow += i64::from(dice.falls(slow));
            }
            if n % 20 == 0 {
                let verdict = judge(&pilots, &rest, TOLERANCE);
                if matches!(verdict, Verdict::Worse(_)) {
                    return (verdict, n);
                }
            }
        }
        (judge(&pilots, &rest, TOLERANCE), most)
    }

    #[test]
    fn too_few_requests_are_never_a_success() {
        let some = Counted { requests: LEAST - 1, errors: 0, slow: 0 };
        let many = Counted { requests: 1_000_000, errors: 0, slow: 0 };
        let unknown = |new: Counted, old: Counted| matches!(judge(&new, &old, TOLERANCE), Verdict::Unknown(_));
        assert!(unknown(some, many) && unknown(many, some) && unknown(Counted::default(), many));
        assert_eq!(judge(&many, &many, TOLERANCE), Verdict::NotWorse);
        // Enough requests, and still nobody can tell.
        let few = Counted { requests: LEAST, errors: 0, slow: 0 };
        assert!(unknown(few, few));
    }

    #[test]
    fn the_same_against_the_same_is_called_worse_hardly_ever_however_often_one_looks() {
        for (errors, slow) in [(0.0, 0.0), (0.001, 0.01), (0.01, 0.05), (0.2, 0.2)] {
            let wrong = (1..=300)
                .filter(|seed| matches!(run(*seed, (errors, slow), (errors, slow), 3_000).0, Verdict::Worse(_)));
            let wrong = wrong.count();
            assert!(wrong <= 6, "{wrong} of 300 at {errors} and {slow}");
        }
    }

    #[test]
    fn what_is_worse_is_called_so_and_what_is_not_passes() {
        for (new, old, within) in [
            ((0.05, 0.01), (0.001, 0.01), 3_000),
            ((1.0, 0.0), (0.0, 0.0), 200),
            ((0.001, 0.10), (0.001, 0.01), 2_000),
            ((0.02, 0.01), (0.0, 0.01), 3_000),
        ] {
            let found = (1..=50).filter(|seed| matches!(run(*seed, new, old, within).0, Verdict::Worse(_))).count();
            assert!(found >= 49, "{found} of 50: {new:?} against {old:?}");
        }
        let (good, better) = ((0.001, 0.01), (0.0, 0.0));
        assert!((1..=50).filter(|seed| run(*seed, good, good, 6_000).0 == Verdict::NotWorse).count() >= 48);
        assert!((1..=50).all(|seed| run(seed, better, good, 6_000).0 == Verdict::NotWorse));
    }
}
