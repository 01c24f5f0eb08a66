//! What statements come to: how many there are of each month and verb, and digests that do not depend on their order. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::partition::Month;

/// Stands before what is hashed: a later form can never be taken for this one.
const FORM: &[u8] = b"progress-service line 1\0";

/// The digest of one line.
pub fn line(text: &str) -> [u8; 32] {
    Sha256::new().chain_update(FORM).chain_update(text.as_bytes()).finalize().into()
}

/// How many, and the sum of their digests modulo 2^256: the same for the same lines in every order, and another one when a
/// line is there twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub count: u64,
    sum: [u8; 32],
}

impl Sum {
    pub fn add(&mut self, digest: &[u8; 32]) {
        self.count += 1;
        let mut carry = 0_u16;
        for (own, more) in self.sum.iter_mut().rev().zip(digest.iter().rev()) {
            let all = u16::from(*own) + u16::from(*more) + carry;
            *own = all.to_be_bytes()[1];
            carry = all >> 8;
        }
    }

    /// Adds another one to it.
    pub fn join(&mut self, other: &Self) {
        let count = self.count + other.count;
        self.add(&other.sum);
        self.count = count;
    }

    /// The one that `text` wrote.
    pub fn read(count: u64, text: &str) -> Option<Self> {
        let sum = hex::decode(text).ok()?.try_into().ok()?;
        Some(Self { count, sum })
    }

    /// As lower-case hexadecimal digits.
    pub fn text(&self) -> String {
        hex::encode(self.sum)
    }
}

/// The statements of one verb in one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    pub verb: String,
    pub statements: u64,
    pub digest: String,
}

/// The statements of one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthTally {
    pub month: Month,
    pub statements: u64,
    pub digest: String,
    pub verbs: Vec<Cell>,
}

/// Counts as lines go by.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<Month, BTreeMap<String, Sum>>);

impl Tally {
    pub fn add(&mut self, month: Month, verb: &str, digest: &[u8; 32]) {
        let verbs = self.0.entry(month).or_default();
        match verbs.get_mut(verb) {
            Some(sum) => sum.add(digest),
            None => verbs.entry(verb.to_owned()).or_default().add(digest),
        }
    }

    /// Adds what was counted before; `None` where that is no count.
    pub fn join(&mut self, months: &[MonthTally]) -> Option<()> {
        for month in months {
            for cell in &month.verbs {
                let sum = Sum::read(cell.statements, &cell.digest)?;
                self.0.entry(month.month).or_default().entry(cell.verb.clone()).or_default().join(&sum);
            }
        }
        Some(())
    }

    /// What was counted, oldest month first.
    pub fn months(&self) -> Vec<MonthTally> {
        let month = |(month, verbs): (&Month, &BTreeMap<String, Sum>)| {
            let mut whole = Sum::default();
            let cell = |(verb, sum): (&String, &Sum)| {
                whole.join(sum);
                Cell { verb: verb.clone(), statements: sum.count, digest: sum.text() }
            };
            let verbs = verbs.iter().map(cell).collect();
            MonthTally { month: *month, statements: whole.count, digest: whole.text(), verbs }
        };
        self.0.iter().map(month).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[(&str, &str, &str)]) -> Vec<MonthTally> {
        let mut tally = Tally::default();
        for (month, verb, text) in lines {
            tally.add(month.parse().unwrap(), verb, &line(text));
        }
        tally.months()
    }

    #[test]
    fn the_order_means_nothing_and_everything_else_does() {
        let one = tally(&[("2026-02", "v:a", "1"), ("2026-02", "v:b", "2"), ("2026-03", "v:a", "3")]);
        assert_eq!(one, tally(&[("2026-03", "v:a", "3"), ("2026-02", "v:b", "2"), ("2026-02", "v:a", "1")]));
        assert_eq!((one[0].statements, one[0].verbs.len(), one[1].statements), (2, 2, 1));
        assert_ne!(one[0].digest, tally(&[("2026-02", "v:a", "1"), ("2026-02", "v:b", "4")])[0].digest);
        // The month as a whole does not depend on how the verbs are told apart.
        assert_eq!(one[0].digest, tally(&[("2026-02", "v:a", "1"), ("2026-02", "v:a", "2")])[0].digest);
        let twice = tally(&[("2026-02", "v:a", "1"), ("2026-02", "v:a", "1")]);
        assert_ne!(twice[0].digest, tally(&[("2026-02", "v:a", "1")])[0].digest, "no line takes itself away");
    }

    #[test]
    fn what_was_counted_in_two_parts_is_the_whole() {
        let (one, two) = (("2026-02", "v:a", "1"), ("2026-02", "v:a", "2"));
        let mut whole = Tally::default();
        whole.join(&tally(&[one])).unwrap();
        whole.join(&tally(&[two, ("2026-03", "v:b", "3")])).unwrap();
        assert_eq!(whole.months(), tally(&[one, two, ("2026-03", "v:b", "3")]));
        let mut broken = tally(&[one]);
        broken[0].verbs[0].digest.truncate(7);
        assert_eq!(Tally::default().join(&broken), None);
    }

    #[test]
    fn a_sum_carries() {
        let mut sum = Sum::default();
        sum.add(&[0xff; 32]);
        let mut one = [0; 32];
        one[31] = 2;
        sum.add(&one);
        assert_eq!(sum.text(), format!("{}01", "00".repeat(31)));
    }
}
