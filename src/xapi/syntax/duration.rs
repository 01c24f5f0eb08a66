//! ISO 8601 durations with designators: `P3Y1M29DT4H35M59.14S` or `P4W`, never the two mixed.

/// The numbers of a duration as they were written; an absent component is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duration<'a> {
    pub years: &'a str,
    pub months: &'a str,
    pub weeks: &'a str,
    pub days: &'a str,
    pub hours: &'a str,
    pub minutes: &'a str,
    pub seconds: &'a str,
}

/// Whether the text is a duration.
pub fn is_duration(text: &str) -> bool {
    parse(text).is_some()
}

/// Splits a duration into its components. Only the last of them may have a fraction, after a point or a comma.
pub fn parse(text: &str) -> Option<Duration<'_>> {
    let body = text.strip_prefix('P')?;
    let mut found = Duration::default();
    let (date, time) = match body.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None if body.is_empty() => return None,
        None => (body, ""),
    };
    if let Some(weeks) = date.strip_suffix('W') {
        let alone = time.is_empty() && number(weeks).is_some();
        return alone.then_some(Duration { weeks, ..found });
    }
    let exact = components(date, [('Y', &mut found.years), ('M', &mut found.months), ('D', &mut found.days)])?;
    if !exact && !time.is_empty() {
        return None;
    }
    components(time, [('H', &mut found.hours), ('M', &mut found.minutes), ('S', &mut found.seconds)])?;
    Some(found)
}

/// Reads components in their order. `Some(false)`: the last one has a fraction, so nothing may follow.
fn components<'a>(mut rest: &'a str, places: [(char, &mut &'a str); 3]) -> Option<bool> {
    let mut exact = true;
    for (designator, place) in places {
        let end = rest.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
        let (value, tail) = rest.split_at(end);
        if let Some(tail) = tail.strip_prefix(designator) {
            if !exact {
                return None;
            }
            exact = number(value)?;
            *place = value;
            rest = tail;
        }
    }
    rest.is_empty().then_some(exact)
}

/// `Some(true)` for a whole number, `Some(false)` for one with a fraction.
fn number(text: &str) -> Option<bool> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once(['.', ',']) {
        Some((whole, fraction)) => (digits(whole) && digits(fraction)).then_some(false),
        None => digits(text).then_some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_valid_durations() {
        let all = parse("P3Y1M29DT4H35M59.14S");
        let expected = Duration {
            years: "3",
            months: "1",
            days: "29",
            hours: "4",
            minutes: "35",
            seconds: "59.14",
            ..Duration::default()
        };
        assert_eq!(all, Some(expected));
        assert_eq!(parse("P4W"), Some(Duration { weeks: "4", ..Duration::default() }));
        assert_eq!(parse("PT5M"), Some(Duration { minutes: "5", ..Duration::default() }));
        assert_eq!(parse("P5M"), Some(Duration { months: "5", ..Duration::default() }));
    }

    #[test]
    fn accepts_what_iso_8601_allows() {
        for text in [
            "PT4H35M59.14S",
            "PT16559.14S",
            "P3Y",
            "PT1H0M0.1S",
            "PT0S",
            "PT1,5S",
            "P0.5Y",
            "PT1.5H",
            "P1DT12H36M0.12567S",
            "P1Y2D",
            "PT36H",
            "P1.5W",
            "P99999999999999999999D",
        ] {
            assert!(is_duration(text), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "P",
            "PT",
            "P1YT",
            "P4W1D",
            "P1Y4W",
            "P1WT1H",
            "PA1H0M0S",
            "1Y",
            "P1",
            "P1H",
            "PT1D",
            "PT1Y",
            "P1D1Y",
            "PT1S1M",
            "P1.5YT1S",
            "P1.5Y2M",
            "P.5Y",
            "P1.Y",
            "P1.2.3Y",
            "-P1Y",
            "P-1Y",
            "p1y",
            "P1Y ",
            "P1Y1Y",
            "PW",
            "P1YTT1S",
            "P１Y",
            "P0001-01-01T00:00:00",
        ] {
            assert!(!is_duration(text), "{text}");
        }
    }
}
