//! ISO 8601 timestamps: a date and a time of day, extended or basic form, RFC 3339 among them.
//!
//! A missing zone means UTC. An offset of minus zero is refused: ISO 8601 forbids it and RFC 3339 gives it another meaning.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// The instant a timestamp names; digits beyond nanoseconds are cut off.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let mut cursor = Cursor { rest: text.as_bytes() };
    let (date, extended) = date(&mut cursor)?;
    cursor.eat(b'T').then_some(())?;
    let (time, leap) = time(&mut cursor, extended)?;
    let offset = zone(&mut cursor)?;
    let utc = NaiveDateTime::new(date, time).checked_sub_signed(offset)?;
    // A leap second is the first instant of the next minute, as in PostgreSQL.
    let utc = if leap { utc.checked_add_signed(Duration::seconds(1))? } else { utc };
    cursor.rest.is_empty().then(|| utc.and_utc())
}

fn date(cursor: &mut Cursor) -> Option<(NaiveDate, bool)> {
    let year = cursor.number(4)?;
    let extended = cursor.eat(b'-');
    let month = cursor.number(2)?;
    if extended && !cursor.eat(b'-') {
        return None;
    }
    let day = cursor.number(2)?;
    let year = i32::try_from(year).ok().filter(|year| *year > 0)?;
    Some((NaiveDate::from_ymd_opt(year, month, day)?, extended))
}

/// The time of day, and whether it is a leap second (given back as :59).
fn time(cursor: &mut Cursor, extended: bool) -> Option<(NaiveTime, bool)> {
    let hour = cursor.number(2)?;
    if extended && !cursor.eat(b':') {
        return None;
    }
    let minute = cursor.number(2)?;
    let has_second = if extended { cursor.eat(b':') } else { cursor.digit() };
    if !has_second {
        return Some((NaiveTime::from_hms_opt(hour, minute, 0)?, false));
    }
    let second = cursor.number(2)?;
    let nanos = if cursor.eat(b'.') || cursor.eat(b',') { cursor.fraction()? } else { 0 };
    match second {
        60 if minute == 59 => Some((NaiveTime::from_hms_nano_opt(hour, minute, 59, nanos)?, true)),
        _ => Some((NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?, false)),
    }
}

fn zone(cursor: &mut Cursor) -> Option<Duration> {
    if cursor.rest.is_empty() || cursor.eat(b'Z') {
        return Some(Duration::zero());
    }
    let negative = cursor.eat(b'-');
    if !negative && !cursor.eat(b'+') {
        return None;
    }
    let hours = cursor.number(2)?;
    let minutes = match cursor.eat(b':') || cursor.digit() {
        true => cursor.number(2)?,
        false => 0,
    };
    let total = i64::from(hours * 60 + minutes);
    if hours > 23 || minutes > 59 || (negative && total == 0) {
        return None;
    }
    Some(Duration::minutes(if negative { -total } else { total }))
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn digit(&self) -> bool {
        self.rest.first().is_some_and(u8::is_ascii_digit)
    }

    /// Exactly `count` digits.
    fn number(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    }

    /// One digit or more, as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        let padded = digits.iter().map(|byte| u32::from(byte - b'0')).chain(std::iter::repeat(0));
        (count > 0).then(|| padded.take(9).fold(0, |sum, digit| sum * 10 + digit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> String {
        parse(text).map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)).unwrap_or_else(|| "refused".into())
    }

    #[test]
    fn reads_rfc_3339_and_both_forms_of_iso_8601() {
        for (text, instant) in [
            ("2015-11-18T12:17:00+00:00", "2015-11-18T12:17:00Z"),
            ("2015-11-18T12:17:00Z", "2015-11-18T12:17:00Z"),
            ("2015-11-18T12:17:00.123Z", "2015-11-18T12:17:00.123Z"),
            ("2015-11-18T12:17:00,5Z", "2015-11-18T12:17:00.500Z"),
            ("2015-11-18T12:17:00.1234567891234Z", "2015-11-18T12:17:00.123456789Z"),
            ("2015-11-18T12:17:00.601-0530", "2015-11-18T17:47:00.601Z"),
            ("2015-11-18T12:17:00+02", "2015-11-18T10:17:00Z"),
            ("2015-11-18T12:17:00", "2015-11-18T12:17:00Z"),
            ("2015-11-18T12:17Z", "2015-11-18T12:17:00Z"),
            ("20151118T121700Z", "2015-11-18T12:17:00Z"),
            ("20151118T121700.25+0100", "2015-11-18T11:17:00.250Z"),
            ("20151118T1217", "2015-11-18T12:17:00Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2016-02-29T00:00:00Z", "2016-02-29T00:00:00Z"),
            ("9999-12-31T23:59:59-23:59", "+10000-01-01T23:58:59Z"),
        ] {
            assert_eq!(utc(text), instant, "{text}");
        }
    }

    #[test]
    fn refuses_minus_zero_and_all_that_is_no_timestamp() {
        for text in [
            "2008-09-15T15:53:00.601-00",
            "2008-09-15T15:53:00.601-0000",
            "2008-09-15T15:53:00.601-00:00",
            "01/011/2015",
            "should fail",
            "",
            "2015",
            "2015-11-18",
            "2015-11-18 12:17:00Z",
            "2015-11-18t12:17:00z",
            "2015-11-18T121700Z",
            "20151118T12:17:00Z",
            "2015-11-18T12:17:00.Z",
            "2015-11-18T12:17:00Zulu",
            "2015-11-18T24:00:00Z",
            "2015-11-18T12:60:00Z",
            "2015-11-18T12:17:60Z",
            "2015-11-18T12:17:61Z",
            "2015-02-29T12:17:00Z",
            "2015-13-01T12:17:00Z",
            "0000-01-01T00:00:00Z",
            "2015-11-18T12:17:00+24:00",
            "2015-11-18T12:17:00+01:60",
            "2015-11-18T12:17:00+1",
            "2015-11-18T12:17:00+",
            "+2015-11-18T12:17:00Z",
            "２015-11-18T12:17:00Z",
        ] {
            assert_eq!(utc(text), "refused", "{text}");
        }
    }
}
