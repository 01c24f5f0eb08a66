//! Between PostgreSQL's texts and values. Pure.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use uuid::Uuid;

use crate::{data::columns::Kind, fault::Fault};

/// The moments before and after all others.
const INFINITE: [(&str, i64); 2] = [("infinity", i64::MAX), ("-infinity", i64::MIN)];

/// Microseconds since 1970; a text without an offset is in UTC.
pub fn moment(text: &str) -> Result<i64, Fault> {
    let plain = text.trim();
    if let Some((_, micros)) = INFINITE.iter().find(|(name, _)| *name == plain.to_ascii_lowercase()) {
        return Ok(*micros);
    }
    let plain = plain.replacen(['T', 't'], " ", 1);
    let zoned = plain.strip_suffix(['Z', 'z']).map_or_else(|| plain.clone(), |bare| format!("{bare}+00"));
    if let Ok(at) = DateTime::parse_from_str(&zoned, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return Ok(at.timestamp_micros());
    }
    let naive = NaiveDateTime::parse_from_str(&plain, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDate::parse_from_str(&plain, "%Y-%m-%d").map(|date| date.and_time(NaiveTime::MIN)));
    naive.map(|at| at.and_utc().timestamp_micros()).map_err(|_| {
        Fault::new("22007", format!("{text:?} is no time like 2026-03-01 12:00:00+00, which the gateway reads"))
    })
}

/// How PostgreSQL prints it where the time zone is GMT.
pub fn print_moment(micros: i64) -> Result<String, Fault> {
    if let Some((name, _)) = INFINITE.iter().find(|(_, infinite)| *infinite == micros) {
        return Ok((*name).to_owned());
    }
    let at = DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| Fault::new("22008", format!("{micros} µs since 1970 is no time that the gateway prints")))?;
    let fraction = format!(".{:06}", at.timestamp_subsec_micros());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    Ok(format!("{}{fraction}+00", at.format("%Y-%m-%d %H:%M:%S")))
}

/// A text as a value of this kind is written in a column.
pub fn text_of(kind: Kind, text: &str) -> Result<String, Fault> {
    if kind != Kind::Uuid {
        return Ok(text.to_owned());
    }
    let bare: String = text.trim().trim_start_matches('{').trim_end_matches('}').to_owned();
    let uuid = Uuid::try_parse(&bare);
    let uuid = uuid.map_err(|_| Fault::new("22P02", format!("invalid input syntax for type uuid: {text:?}")))?;
    Ok(uuid.hyphenated().to_string())
}

pub fn truth(text: &str) -> Result<bool, Fault> {
    match text.trim().to_ascii_lowercase().as_str() {
        "t" | "true" | "yes" | "on" | "1" => Ok(true),
        "f" | "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(Fault::new("22P02", format!("invalid input syntax for type boolean: {text:?}"))),
    }
}

/// The elements of an array of one dimension: `{a,"b c",NULL}`.
pub fn array(text: &str) -> Result<Vec<Option<String>>, Fault> {
    let malformed = || Fault::new("22P02", format!("malformed array literal: {text:?}"));
    let inside = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(malformed)?;
    let mut elements = Vec::new();
    let mut rest = inside.trim_start();
    if rest.is_empty() {
        return Ok(elements);
    }
    loop {
        let (element, after) =
            if rest.starts_with('"') { quoted(rest) } else { unquoted(rest) }.ok_or_else(malformed)?;
        elements.push(element);
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if after.is_empty() => return Ok(elements),
            None => return Err(malformed()),
        }
    }
}

type Element<'a> = (Option<String>, &'a str);

fn quoted(text: &str) -> Option<Element<'_>> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((Some(value), &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

fn unquoted(text: &str) -> Option<Element<'_>> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    let end = loop {
        match letters.next() {
            None => break text.len(),
            Some((at, ',')) => break at,
            Some((_, '{' | '}' | '"')) => return None,
            Some((_, '\\')) => value.push(letters.next()?.1),
            Some((_, letter)) => value.push(letter),
        }
    };
    let trimmed = value.trim_end();
    if trimmed.is_empty() {
        return None;
    }
    let null = trimmed.eq_ignore_ascii_case("null");
    Some(((!null).then(|| trimmed.to_owned()), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_printed_as_postgres_does() {
        for (text, printed) in [
            ("2026-01-10 00:00:00+00", "2026-01-10 00:00:00+00"),
            ("2026-01-10 01:30:00.5+05:30", "2026-01-09 20:00:00.5+00"),
            ("2026-01-10T12:00:00.000001Z", "2026-01-10 12:00:00.000001+00"),
            ("2026-01-10 12:00:00", "2026-01-10 12:00:00+00"),
            ("2026-01-10", "2026-01-10 00:00:00+00"),
            ("1969-12-31 23:59:59.999999+00", "1969-12-31 23:59:59.999999+00"),
            ("infinity", "infinity"),
            ("-Infinity", "-infinity"),
        ] {
            assert_eq!(print_moment(moment(text).unwrap()).unwrap(), printed, "{text}");
        }
        for text in ["", "now", "2026-13-01", "0044-03-15 00:00:00+00 BC", "12:00"] {
            assert_eq!(moment(text).unwrap_err().code, "22007", "{text}");
        }
    }

    #[test]
    fn arrays_are_read_as_postgres_writes_them() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(array("{}").unwrap(), []);
        assert_eq!(
            array(r#"{a,b'c,"d\"e\\f",NULL,"NULL","", x y }"#).unwrap(),
            [some("a"), some("b'c"), some("d\"e\\f"), None, some("NULL"), some(""), some("x y")]
        );
        for wrong in ["", "{", "a", "{a,}", "{\"a}", "{{a}}", "{a}b", "{\"a\"b}"] {
            assert_eq!(array(wrong).unwrap_err().code, "22P02", "{wrong}");
        }
    }

    #[test]
    fn uuids_are_brought_to_their_one_spelling() {
        let spelt = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in [spelt, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"] {
            assert_eq!(text_of(Kind::Uuid, text).unwrap(), spelt);
        }
        assert_eq!(text_of(Kind::Uuid, "x").unwrap_err().code, "22P02");
        assert_eq!(text_of(Kind::Text, "X").unwrap(), "X");
    }
}
