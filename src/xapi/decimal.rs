//! JSON numbers by their digits. Never as a double, in which 1.00000000000000000001 is 1.

use std::{cmp::Ordering, fmt};

/// The value of a JSON number: `1`, `1.0` and `10e-1` are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    /// The power of ten of the last digit. Beyond its bounds no two numbers of one sign and the same digits differ.
    power: i64,
}

impl Decimal {
    /// Reads what JSON allows as a number; an exponent beyond all bounds is as good as its bound.
    pub fn of(text: &str) -> Self {
        Self::exact(text).unwrap_or_else(|nearest| nearest)
    }

    /// The same, but the error is what a number is as good as whose power cannot be written.
    pub fn exact(text: &str) -> Result<Self, Self> {
        let (is_negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_end_matches('0');
        let dropped = digits.len() - significant.len();
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self { is_negative: false, digits: String::new(), power: 0 });
        }
        let of_power = |power| Self { is_negative, digits: significant.to_owned(), power };
        match exponent.parse::<i64>().ok().and_then(|e| e.checked_add(dropped as i64 - fraction.len() as i64)) {
            Some(power) => Ok(of_power(power)),
            None => Err(of_power(if exponent.starts_with('-') { i64::MIN } else { i64::MAX })),
        }
    }

    /// The power of ten above the first digit.
    fn magnitude(&self) -> i64 {
        self.power.saturating_add(self.digits.len() as i64)
    }

    fn compare_absolute(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Without zeros at the end, the longer of two that begin alike is the greater one.
            (false, false) => self.magnitude().cmp(&other.magnitude()).then_with(|| self.digits.cmp(&other.digits)),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.compare_absolute(other),
            (true, true) => other.compare_absolute(self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Digits and a power of ten: `12.50` is `125e-1`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        write!(f, "{}{}e{}", if self.is_negative { "-" } else { "" }, self.digits, self.power)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_compare_by_their_digits() {
        let order = [
            "-1e99999999999999999999",
            "-2",
            "-1.00000000000000000001",
            "-1",
            "-0.5",
            "-1e-99999999999999999999",
            "0",
            "1e-400",
            "0.1234567890123456788",
            "0.1234567890123456789",
            "1",
            "1.00000000000000000001",
            "9",
            "10",
            "1e400",
            "1e401",
            "1e99999999999999999999",
        ];
        for pair in order.windows(2) {
            assert!(Decimal::of(pair[0]) < Decimal::of(pair[1]), "{pair:?}");
        }
        for (one, other) in [("0", "-0.00"), ("1", "10e-1"), ("1200", "12E+2"), ("-0.50", "-5e-1")] {
            assert_eq!(Decimal::of(one).cmp(&Decimal::of(other)), Ordering::Equal, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_and_hundredths_compare_as_they_do(one in -100_000_i64..100_000, other in -100_000_i64..100_000) {
            let (left, right) = (Decimal::of(&format!("{one}e-2")), Decimal::of(&format!("{other}e-2")));
            prop_assert_eq!(left.cmp(&right), one.cmp(&other));
            prop_assert_eq!(left == right, one == other);
        }
    }
}
