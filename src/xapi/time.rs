//! Instants as text, written as the ledger keeps them; `syntax::timestamp` reads them.

use chrono::{DateTime, Datelike, Timelike, Utc};

/// Writes an instant in UTC with microseconds, the ledger's precision: `2026-11-21T08:12:00.123456Z`.
pub fn write(out: &mut String, at: DateTime<Utc>) {
    let year = at.year().clamp(0, 9_999).unsigned_abs();
    // A leap second is counted in the nanoseconds of the second before it.
    let micros = (at.nanosecond() / 1_000).min(999_999);
    digits(out, year, 4);
    for (mark, number) in [('-', at.month()), ('-', at.day()), ('T', at.hour()), (':', at.minute()), (':', at.second())]
    {
        out.push(mark);
        digits(out, number, 2);
    }
    out.push('.');
    digits(out, micros, 6);
    out.push('Z');
}

/// [`write()`] into a string of its own.
pub fn text(at: DateTime<Utc>) -> String {
    let mut out = String::with_capacity(27);
    write(&mut out, at);
    out
}

fn digits(out: &mut String, number: u32, width: usize) {
    let mut text = [b'0'; 6];
    let mut rest = number;
    for digit in text[..width].iter_mut().rev() {
        // The remainder is below ten.
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    out.extend(text[..width].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_six_digits() {
        assert_eq!(text(DateTime::from_timestamp(1_700_000_000, 1_234_999).unwrap()), "2023-11-14T22:13:20.001234Z");
    }
}
