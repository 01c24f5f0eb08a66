//! Numbers, sizes and times as people read them. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// `2026-11-28 03:10:05 UTC`.
pub fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The same where there may be none.
pub fn maybe(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "–".to_owned(), time)
}

/// `1 234 567`, with narrow spaces that do not break.
pub fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if value < 0 { format!("−{text}") } else { text }
}

/// `1.5 GB`.
pub fn bytes(value: i64) -> String {
    let mut size = value.max(0) as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if size < 1_000.0 {
            break;
        }
        size /= 1_000.0;
        unit = next;
    }
    if size < 10.0 && unit != "B" { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

/// `12 ms`, `3.4 s`.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{:.0} ms", v * 1_000.0),
        v if v < 100.0 => format!("{v:.1} s"),
        v => format!("{v:.0} s"),
    }
}

/// `3 days`, `5 hours`, `12 minutes`.
pub fn age(span: TimeDelta) -> String {
    let minutes = span.num_minutes().max(0);
    let (count, unit) = match minutes {
        ..120 => (minutes, "minute"),
        120..2_880 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_sizes_have_units() {
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((number(12), number(-1_000)), ("12".to_owned(), "−1\u{202f}000".to_owned()));
        assert_eq!([0, 999, 1_500, 25_000_000].map(bytes), ["0 B", "999 B", "1.5 kB", "25 MB"]);
        assert_eq!(
            [1, 119, 120, 2_880].map(|of| age(TimeDelta::minutes(of))),
            ["1 minute", "119 minutes", "2 hours", "2 days"]
        );
        assert_eq!([0.012, 3.42, 250.0].map(seconds), ["12 ms", "3.4 s", "250 s"]);
    }
}
