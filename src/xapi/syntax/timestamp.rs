//! ISO 8601 timestamps: a date and a time of day, extended or basic form, RFC 3339 among them.
//!
//! A missing zone means UTC. An offset of minus zero is refused: ISO 8601 forbids it and RFC 3339 gives it another meaning.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Utc, Weekday};

/// The instant a timestamp names; digits beyond nanoseconds are cut off.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    read(text).map(|(at, _)| at)
}

/// The instant of a timestamp that is valid but written in a form few readers know: a week or ordinal date, letters in
/// lower case, the hour 24. The published schemas do not have these forms.
pub fn unusual(text: &str) -> Option<DateTime<Utc>> {
    read(text).filter(|(_, is_usual)| !is_usual).map(|(at, _)| at)
}

/// The instant, and whether it is written as a calendar date, in capitals, with an hour below 24.
fn read(text: &str) -> Option<(DateTime<Utc>, bool)> {
    let mut cursor = Cursor { rest: text.as_bytes(), is_usual: true };
    let (date, extended) = date(&mut cursor)?;
    cursor.letter(b'T').then_some(())?;
    let (time, carry) = time(&mut cursor, extended)?;
    let offset = zone(&mut cursor)?;
    let utc = NaiveDateTime::new(date, time).checked_sub_signed(offset)?.checked_add_signed(carry)?;
    // What is respelt has four digits for the year.
    let fits = cursor.is_usual || (1..=9_999).contains(&utc.year());
    (cursor.rest.is_empty() && fits).then(|| (utc.and_utc(), cursor.is_usual))
}

/// A calendar date, a week date with its day, or an ordinal date.
fn date(cursor: &mut Cursor) -> Option<(NaiveDate, bool)> {
    let year = i32::try_from(cursor.number(4)?).ok().filter(|year| *year > 0)?;
    let extended = cursor.eat(b'-');
    let date = if cursor.letter(b'W') {
        cursor.is_usual = false;
        let week = cursor.number(2)?;
        separator(cursor, extended, b'-')?;
        let day = u8::try_from(cursor.number(1)?.checked_sub(1)?).ok()?;
        NaiveDate::from_isoywd_opt(year, week, Weekday::try_from(day).ok()?)
    } else if cursor.digits() == 3 {
        cursor.is_usual = false;
        NaiveDate::from_yo_opt(year, cursor.number(3)?)
    } else {
        let month = cursor.number(2)?;
        separator(cursor, extended, b'-')?;
        NaiveDate::from_ymd_opt(year, month, cursor.number(2)?)
    };
    Some((date?, extended))
}

/// What stands between two parts in the extended form, and nothing in the basic one.
fn separator(cursor: &mut Cursor, extended: bool, mark: u8) -> Option<()> {
    (!extended || cursor.eat(mark)).then_some(())
}

/// The time of day, and what it is short of: a leap second is the first instant of the next minute, as in PostgreSQL, and
/// 24:00 the first of the next day.
fn time(cursor: &mut Cursor, extended: bool) -> Option<(NaiveTime, Duration)> {
    let hour = cursor.number(2)?;
    separator(cursor, extended, b':')?;
    let minute = cursor.number(2)?;
    let has_second = if extended { cursor.eat(b':') } else { cursor.digits() > 0 };
    let second = if has_second { cursor.number(2)? } else { 0 };
    let nanos = if has_second && (cursor.eat(b'.') || cursor.eat(b',')) { cursor.fraction()? } else { 0 };
    match (hour, minute, second, nanos) {
        (24, 0, 0, 0) => {
            cursor.is_usual = false;
            Some((NaiveTime::MIN, Duration::days(1)))
        }
        (_, 59, 60, _) => Some((NaiveTime::from_hms_nano_opt(hour, 59, 59, nanos)?, Duration::seconds(1))),
        _ => Some((NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?, Duration::zero())),
    }
}

fn zone(cursor: &mut Cursor) -> Option<Duration> {
    if cursor.rest.is_empty() || cursor.letter(b'Z') {
        return Some(Duration::zero());
    }
    let negative = cursor.eat(b'-');
    if !negative && !cursor.eat(b'+') {
        return None;
    }
    let hours = cursor.number(2)?;
    let minutes = match cursor.eat(b':') || cursor.digits() > 0 {
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
    /// Whether all that was eaten so far is written as most write it.
    is_usual: bool,
}

impl Cursor<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// A designator: in lower case it means the same.
    fn letter(&mut self, capital: u8) -> bool {
        if self.eat(capital) {
            return true;
        }
        let found = self.eat(capital.to_ascii_lowercase());
        self.is_usual &= !found;
        found
    }

    /// How many digits come next.
    fn digits(&self) -> usize {
        self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Exactly `count` digits.
    fn number(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    }

    /// One digit or more, as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let count = self.digits();
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
            assert_eq!((utc(text).as_str(), unusual(text)), (instant, None), "{text}");
        }
    }

    #[test]
    fn reads_every_complete_date_and_either_case_and_knows_them_for_unusual() {
        for (text, instant) in [
            ("2015-11-18t12:17:00z", "2015-11-18T12:17:00Z"),
            ("2015-11-18T12:17:00z", "2015-11-18T12:17:00Z"),
            ("2015-11-18t12:17:00.5+02:00", "2015-11-18T10:17:00.500Z"),
            ("2015-W47-3T12:17:00Z", "2015-11-18T12:17:00Z"),
            ("2015W473T121700Z", "2015-11-18T12:17:00Z"),
            ("2016-W53-7T00:00:00Z", "refused"),
            ("2015-W53-7T00:00:00Z", "2016-01-03T00:00:00Z"),
            ("2015-322T12:17:00Z", "2015-11-18T12:17:00Z"),
            ("2015322T121700+01", "2015-11-18T11:17:00Z"),
            ("2016-366T12:17:00Z", "2016-12-31T12:17:00Z"),
            ("2015-366T12:17:00Z", "refused"),
            ("2015-11-18T24:00:00Z", "2015-11-19T00:00:00Z"),
            ("2015-12-31T24:00:00.000+01:00", "2015-12-31T23:00:00Z"),
            ("2015-11-18T24:00Z", "2015-11-19T00:00:00Z"),
            ("20151118T2400", "2015-11-19T00:00:00Z"),
        ] {
            assert_eq!(utc(text), instant, "{text}");
            assert_eq!(unusual(text), parse(text), "{text}");
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
            "2015-11-18T121700Z",
            "2015-W47T12:17:00Z",
            "2015-W47-0T12:17:00Z",
            "2015-W47-8T12:17:00Z",
            "2015-W00-1T12:17:00Z",
            "2015W47-3T12:17:00Z",
            "2015-W473T12:17:00Z",
            "2015-000T12:17:00Z",
            "2015-322T121700Z",
            "2015-11T12:17:00Z",
            "2015-11-18T24:00:01Z",
            "2015-11-18T24:00:00.1Z",
            "2015-11-18T24:01Z",
            "2015-11-18T25:00:00Z",
            "9999-12-31T24:00:00Z",
            "9999-W52-5T23:59:59-01:00",
            "20151118T12:17:00Z",
            "2015-11-18T12:17:00.Z",
            "2015-11-18T12:17:00Zulu",
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
