//! A scaled score as a fixed-point number: 0 to 1 with four decimals, never a float.

use std::fmt;

use serde::{Serialize, Serializer};

/// Ten-thousandths of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u16);

const WHOLE: u16 = 10_000;
/// Digits behind the point that are kept.
const DECIMALS: i64 = 4;

impl Score {
    /// How an attempt's score comes about: said by the statement that closed it, else the last one said before.
    pub const GRADING_RULE: &str = "scaled-at-closing";

    /// Reads a JSON number by its digits, rounds half up at the fifth decimal, and brings it into 0..=1: xAPI allows
    /// a scaled score below zero, which is no more of an achievement than none.
    pub fn parse(number: &str) -> Option<Self> {
        let (negative, unsigned) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !is_number {
            return None;
        }
        if negative {
            return Some(Self(0));
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let kept = i64::try_from(whole.len()).ok()?.saturating_add(exponent).saturating_add(DECIMALS);
        let digit = |at: i64| usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
        let mut value: u16 = 0;
        // Beyond the last digit there are only zeros; after as many as a score has, the value has overflowed or is zero.
        let written = i64::try_from(digits.len()).ok()?;
        for at in 0..kept.min(written.saturating_add(DECIMALS + 1)) {
            value = value.saturating_mul(10).saturating_add(u16::from(digit(at))).min(WHOLE + 1);
        }
        let rounded = if digit(kept) >= 5 { value + 1 } else { value };
        Some(Self(rounded.min(WHOLE)))
    }

    pub fn from_ten_thousandths(value: i32) -> Option<Self> {
        u16::try_from(value).ok().filter(|value| *value <= WHOLE).map(Self)
    }

    pub fn ten_thousandths(self) -> i32 {
        i32::from(self.0)
    }
}

/// An exponent far beyond any score is as good as its bound.
fn exponent_of(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Some(if negative { -size } else { size })
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04}", self.0 / WHOLE, self.0 % WHOLE)
    }
}

/// As a JSON number with its four decimals.
impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number: serde_json::Number = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(number: &str) -> Option<String> {
        Score::parse(number).map(|score| score.to_string())
    }

    #[test]
    fn reads_numbers_by_their_digits() {
        for (number, expected) in [
            ("0.85", "0.8500"),
            ("1", "1.0000"),
            ("0", "0.0000"),
            ("0.123449", "0.1234"),
            ("0.12345", "0.1235"),
            ("0.99995", "1.0000"),
            ("8.5e-1", "0.8500"),
            ("85E-2", "0.8500"),
            ("0.0085e+2", "0.8500"),
            ("5e-5", "0.0001"),
            ("4e-5", "0.0000"),
            ("1e-999999999999999999999", "0.0000"),
            ("0e999999999999999999999", "0.0000"),
            ("1e999999999999999999999", "1.0000"),
            ("7", "1.0000"),
            ("-0.4", "0.0000"),
        ] {
            assert_eq!(text(number).as_deref(), Some(expected), "{number}");
        }
        for not in ["", "-", ".5", "1e", "x", "1.x", "1e+-2"] {
            assert_eq!(text(not), None, "{not}");
        }
    }

    #[test]
    fn stands_in_json_with_four_decimals() {
        assert_eq!(serde_json::to_string(&Score::parse("0.5")).unwrap(), "0.5000");
    }

    proptest! {
        #[test]
        fn every_score_reads_itself_back(value in 0_i32..=10_000) {
            let score = Score::from_ten_thousandths(value).unwrap();
            prop_assert_eq!(Score::parse(&score.to_string()), Some(score));
            prop_assert_eq!(Score::parse(&format!("{value}e-4")), Some(score));
            prop_assert_eq!(score.ten_thousandths(), value);
        }

        #[test]
        fn never_panics(text in "-?[0-9]{0,30}[.]?[0-9]{0,30}([eE][+-]?[0-9]{0,25})?") {
            let _ = Score::parse(&text);
        }
    }
}
