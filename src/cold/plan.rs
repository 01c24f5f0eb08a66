//! Which stretches of time are to be read elsewhere than in the hot tables, in the order of a page, and the page as it fills.
//! Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::store::ledger::{
    away::{Away, Keeper},
    pages::{Found, Span},
};

/// A stretch of time; the end is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub lower: DateTime<Utc>,
    pub upper: DateTime<Utc>,
}

/// A stretch that is away, with who answers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub stretch: Stretch,
    pub keeper: Keeper,
}

impl Piece {
    /// Whether what was stored at this moment stands on the page before all of the piece.
    pub fn is_behind(&self, stored: DateTime<Utc>, ascending: bool) -> bool {
        if ascending { stored < self.stretch.lower } else { stored >= self.stretch.upper }
    }

    /// What a page asks of the piece.
    pub fn span(&self, page: &Span, limit: i64, bytes: i64) -> Span {
        let (first, last) = (before(self.stretch.lower), before(self.stretch.upper));
        Span {
            since: Some(page.since.map_or(first, |since| since.max(first))),
            until: Some(page.until.map_or(last, |until| until.min(last))),
            limit,
            bytes,
            ..*page
        }
    }
}

fn before(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment - TimeDelta::microseconds(1)
}

/// The pieces that a page may need, in its order. Detached months that follow each other are one.
pub fn pieces(away: &[Away], span: &Span) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for Away { bounds, keeper } in away {
        let is_late = span.since.is_some_and(|since| before(bounds.upper) <= since);
        if is_late || span.until.is_some_and(|until| until < bounds.lower) {
            continue;
        }
        match pieces.last_mut() {
            Some(last)
                if *keeper == Keeper::Detached && last.keeper == *keeper && last.stretch.upper == bounds.lower =>
            {
                last.stretch.upper = bounds.upper;
            }
            _ => pieces.push(Piece { stretch: Stretch { lower: bounds.lower, upper: bounds.upper }, keeper: *keeper }),
        }
    }
    if !span.ascending {
        pieces.reverse();
    }
    pieces
}

/// A page that fills up, as one query would fill it: up to its limit, or to the statement that reaches its bytes.
pub struct Filling {
    span: Span,
    bytes: i64,
    rows: Vec<Found>,
}

impl Filling {
    pub fn new(span: Span) -> Self {
        Self { span, bytes: 0, rows: Vec::new() }
    }

    pub fn push(&mut self, row: Found) {
        if self.is_full() {
            return;
        }
        self.bytes = self.bytes.saturating_add(i64::try_from(row.payload.len()).unwrap_or(i64::MAX));
        self.rows.push(row);
    }

    pub fn is_full(&self) -> bool {
        self.limit() <= 0 || self.bytes >= self.span.bytes
    }

    /// How many more go onto it.
    pub fn limit(&self) -> i64 {
        self.span.limit - i64::try_from(self.rows.len()).unwrap_or(i64::MAX)
    }

    /// How many bytes are left.
    pub fn bytes(&self) -> i64 {
        self.span.bytes - self.bytes
    }

    pub fn rows(self) -> Vec<Found> {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::partition::{Bounds, Month};

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    fn away(months: &[(&str, Keeper)]) -> Vec<Away> {
        months.iter().map(|(name, keeper)| Away { bounds: Bounds::from(month(name)), keeper: *keeper }).collect()
    }

    fn span(ascending: bool, since: Option<&str>, until: Option<&str>) -> Span {
        let moment = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        Span { ascending, since: since.map(moment), until: until.map(moment), limit: 10, bytes: 1_000 }
    }

    fn names(away: &[Away], span: &Span) -> Vec<String> {
        let name = |piece: Piece| {
            let (first, last) = (Month::of(piece.stretch.lower), Month::of(before(piece.stretch.upper)));
            format!("{first}..{last} {:?}", piece.keeper)
        };
        pieces(away, span).into_iter().map(name).collect()
    }

    use Keeper::{Detached, Segments};

    #[test]
    fn pieces_come_in_the_order_of_the_page_and_detached_neighbours_together() {
        let away = away(&[
            ("2026-01", Segments),
            ("2026-02", Segments),
            ("2026-03", Detached),
            ("2026-04", Detached),
            ("2026-06", Detached),
        ]);
        let wanted = [
            "2026-01..2026-01 Segments",
            "2026-02..2026-02 Segments",
            "2026-03..2026-04 Detached",
            "2026-06..2026-06 Detached",
        ];
        assert_eq!(names(&away, &span(true, None, None)), wanted);
        let backward: Vec<&str> = wanted.into_iter().rev().collect();
        assert_eq!(names(&away, &span(false, None, None)), backward);
        assert!(names(&[], &span(false, None, None)).is_empty());
    }

    #[test]
    fn a_page_needs_no_piece_that_its_times_do_not_touch() {
        let away = away(&[("2026-01", Segments), ("2026-02", Segments), ("2026-03", Segments)]);
        let of = |since, until| names(&away, &span(true, since, until)).len();
        assert_eq!(of(None, None), 3);
        // The moment of `since` itself is not asked for, the one of `until` is.
        assert_eq!(of(Some("2026-01-31T23:59:59.999999Z"), None), 2);
        assert_eq!(of(Some("2026-01-31T23:59:59.999998Z"), None), 3);
        assert_eq!(of(None, Some("2026-02-28T23:59:59.999999Z")), 2);
        assert_eq!(of(None, Some("2026-03-01T00:00:00Z")), 3);
        assert_eq!(of(Some("2026-04-01T00:00:00Z"), None), 0);
        assert_eq!(of(None, Some("2025-12-31T00:00:00Z")), 0);
    }

    #[test]
    fn a_piece_is_asked_for_no_more_than_its_time() {
        let piece = pieces(&away(&[("2026-02", Segments)]), &span(true, None, None))[0];
        let asked = piece.span(&span(true, None, None), 3, 70);
        assert_eq!((asked.limit, asked.bytes), (3, 70));
        assert_eq!(asked.since.unwrap().to_string(), "2026-01-31 23:59:59.999999 UTC");
        assert_eq!(asked.until.unwrap().to_string(), "2026-02-28 23:59:59.999999 UTC");
        let within = span(true, Some("2026-02-03T00:00:00Z"), Some("2026-02-04T00:00:00Z"));
        let asked = piece.span(&within, 3, 70);
        assert_eq!((asked.since, asked.until), (within.since, within.until));
    }

    #[test]
    fn what_stands_before_a_piece_depends_on_the_order() {
        let piece = pieces(&away(&[("2026-02", Segments)]), &span(true, None, None))[0];
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (early, late) = (at("2026-01-31T23:59:59.999999Z"), at("2026-03-01T00:00:00Z"));
        assert!(piece.is_behind(early, true) && !piece.is_behind(late, true));
        assert!(piece.is_behind(late, false) && !piece.is_behind(early, false));
    }

    #[test]
    fn a_page_is_full_at_its_limit_or_with_the_statement_that_reaches_its_bytes() {
        let row = |size: usize| Found {
            stored: DateTime::UNIX_EPOCH,
            has_timestamp: false,
            payload: "x".repeat(size),
            is_archived: false,
        };
        let mut page = Filling::new(span(false, None, None));
        (0..20).for_each(|_| page.push(row(1)));
        assert_eq!(page.rows().len(), 10);
        let mut page = Filling::new(span(false, None, None));
        page.push(row(999));
        assert_eq!((page.is_full(), page.limit(), page.bytes()), (false, 9, 1));
        page.push(row(5_000));
        page.push(row(1));
        assert_eq!(page.rows().len(), 2);
    }
}
