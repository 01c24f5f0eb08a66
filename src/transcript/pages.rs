//! A transcript laid out: what stands on which page, in rows from top to bottom.

use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::{Attempt, Transcript},
    setting::{LEADING, Line, Setter, Style},
    short::LETTERS,
};

/// A4, in points.
pub const WIDTH: f32 = 595.28;
pub const HEIGHT: f32 = 841.89;
pub const MARGIN: f32 = 50.0;
const TEXT: f32 = WIDTH - 2.0 * MARGIN;
/// Room below the last row for the foot of the page.
const FOOT: f32 = 30.0;

pub const TITLE: Style = Style { size: 20.0, is_bold: true };
pub const HEADING: Style = Style { size: 12.0, is_bold: true };
const LABEL: Style = Style { size: 9.0, is_bold: false };
pub const VALUE: Style = Style { size: 10.0, is_bold: false };
const NAME: Style = Style { size: 14.0, is_bold: false };
const HEAD: Style = Style { size: 8.5, is_bold: true };
const CELL: Style = Style { size: 9.0, is_bold: false };
const EVIDENCE: Style = Style { size: 7.0, is_bold: false };

/// Where each column of the table of attempts begins, and what stands above it.
const COLUMNS: [(f32, &str); 6] =
    [(0.0, "No."), (35.0, "Started"), (160.0, "Ended"), (285.0, "Outcome"), (365.0, "Score"), (425.0, "Duration")];
/// Ids of evidence that a row shows; how many more there are is said.
const EVIDENCE_SHOWN: usize = 12;
/// Attempts that are listed; how many more there are is said.
const ATTEMPTS_SHOWN: usize = 500;
const IN_JSON: &str = "the transcript as JSON (format=json) has all of it";

/// What a row is to somebody who has it read out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Heading(u16),
    Paragraph,
    TableHead,
    TableRow,
    /// A head that is shown again on the next page.
    Repeated,
}

/// Lines at one place; `is_faint` says that they matter less.
pub struct Cell {
    pub x: f32,
    /// From the top of the row to the base of the first line.
    pub baseline: f32,
    pub style: Style,
    pub is_faint: bool,
    pub lines: Vec<Line>,
}

pub struct Row {
    pub role: Role,
    pub height: f32,
    pub cells: Vec<Cell>,
    pub is_ruled: bool,
}

/// Rows with their distances from the top of the page.
pub type Page = Vec<(f32, Row)>;

/// All pages of a transcript, unless time runs out before they are done. What is not on them, they say.
pub fn lay_out(transcript: &Transcript, is_cut: bool, setter: &mut Setter, until: Instant) -> Option<Vec<Page>> {
    let mut pages = Pages::new();
    about(transcript, &mut pages, setter);
    if is_cut {
        pages.add(
            note(&format!("What ends in … is longer than the {LETTERS} letters shown; {IN_JSON}."), setter),
            setter,
        );
    }
    pages.gap(14.0);
    pages.add(whole(Role::Heading(2), "Attempts", HEADING, setter), setter);
    if transcript.attempts.is_empty() {
        pages.add(whole(Role::Paragraph, "There are none.", VALUE, setter), setter);
    } else {
        pages.add(head(Role::TableHead, setter), setter);
    }
    for attempt in transcript.attempts.iter().take(ATTEMPTS_SHOWN) {
        if Instant::now() > until {
            return None;
        }
        pages.add(attempt_row(attempt, setter), setter);
    }
    if let Some(more) = transcript.attempts.len().checked_sub(ATTEMPTS_SHOWN).filter(|more| *more > 0) {
        pages.add(note(&format!("Continued: {more} more attempts are not shown here; {IN_JSON}."), setter), setter);
    }
    Some(pages.finish())
}

/// Whose transcript it is, of what, and how far they are.
fn about(transcript: &Transcript, pages: &mut Pages, setter: &mut Setter) {
    pages.add(whole(Role::Heading(1), "Transcript", TITLE, setter), setter);
    pages.gap(8.0);
    let learner = transcript.learner.name.as_deref().unwrap_or(&transcript.learner.user_id);
    pages.add(labelled("Learner", learner, NAME, setter), setter);
    pages.add(labelled("Learner id", &transcript.learner.user_id, VALUE, setter), setter);
    let course = transcript.course.title.as_deref().unwrap_or(&transcript.course.course_id);
    pages.add(labelled("Course", course, NAME, setter), setter);
    if let Some(activity) = &transcript.course.activity_id {
        pages.add(labelled("Activity", activity, VALUE, setter), setter);
    }
    pages.add(labelled("Course id", &transcript.course.course_id, VALUE, setter), setter);
    pages.add(labelled("Course version", &transcript.course.course_version_id, VALUE, setter), setter);
    pages.add(labelled("Enrollment", &transcript.enrollment_id, VALUE, setter), setter);
    pages.add(labelled("State", transcript.overall_state.words(), VALUE, setter), setter);
    if let Some(completion) = &transcript.completion {
        pages.add(labelled("Completed", &moment(completion.completed_at), VALUE, setter), setter);
        if let Some(score) = completion.score {
            pages.add(labelled("Score", &score.to_string(), VALUE, setter), setter);
        }
        pages.add(labelled("Completion record", &completion.completion_record_id.to_string(), VALUE, setter), setter);
    }
    pages.add(labelled("Generated", &moment(transcript.generated_at), VALUE, setter), setter);
}

/// Pages that are being filled.
pub struct Pages {
    done: Vec<Page>,
    page: Page,
    at: f32,
}

impl Pages {
    pub fn new() -> Self {
        Self { done: Vec::new(), page: Vec::new(), at: MARGIN }
    }

    /// Adds a row, on a new page where this one is full. A table goes on under its head.
    pub fn add(&mut self, row: Row, setter: &mut Setter) {
        if self.at + row.height > HEIGHT - MARGIN - FOOT && !self.page.is_empty() {
            self.done.push(std::mem::take(&mut self.page));
            self.at = MARGIN;
            if row.role == Role::TableRow {
                self.put(head(Role::Repeated, setter));
            }
        }
        self.put(row);
    }

    fn put(&mut self, row: Row) {
        let top = self.at;
        self.at += row.height;
        self.page.push((top, row));
    }

    pub fn gap(&mut self, height: f32) {
        self.at += height;
    }

    pub fn finish(mut self) -> Vec<Page> {
        self.done.push(self.page);
        self.done
    }
}

/// A paragraph over the whole width.
pub fn whole(role: Role, text: &str, style: Style, setter: &mut Setter) -> Row {
    let lines = setter.set(text, style, TEXT);
    let height = stack(&lines, style) + 4.0;
    let cell = Cell { x: MARGIN, baseline: style.size, style, is_faint: false, lines };
    Row { role, height, cells: vec![cell], is_ruled: false }
}

/// A sentence about what is not shown.
pub fn note(text: &str, setter: &mut Setter) -> Row {
    let mut row = whole(Role::Paragraph, text, LABEL, setter);
    row.cells.iter_mut().for_each(|cell| cell.is_faint = true);
    row
}

/// What a value is, and the value beside it.
pub fn labelled(label: &str, value: &str, style: Style, setter: &mut Setter) -> Row {
    const INDENT: f32 = 115.0;
    let lines = setter.set(value, style, TEXT - INDENT);
    let height = stack(&lines, style) + 3.0;
    let label =
        Cell { x: MARGIN, baseline: style.size, style: LABEL, is_faint: true, lines: setter.set(label, LABEL, INDENT) };
    let value = Cell { x: MARGIN + INDENT, baseline: style.size, style, is_faint: false, lines };
    Row { role: Role::Paragraph, height, cells: vec![label, value], is_ruled: false }
}

fn head(role: Role, setter: &mut Setter) -> Row {
    let mut cells: Vec<Cell> = Vec::new();
    for (x, text) in COLUMNS {
        cells.push(cell(x, HEAD.size, text, HEAD, TEXT - x, setter));
    }
    let second = HEAD.size * LEADING + EVIDENCE.size;
    cells.push(cell(COLUMNS[1].0, second, "Evidence: ids of statements", EVIDENCE, TEXT, setter));
    Row { role, height: second + 7.0, cells, is_ruled: true }
}

fn attempt_row(attempt: &Attempt, setter: &mut Setter) -> Row {
    let none = || "–".to_owned();
    let texts = [
        attempt.attempt_number.to_string(),
        moment(attempt.started_at),
        attempt.ended_at.map_or_else(none, moment),
        attempt.outcome.clone().unwrap_or_else(|| attempt.state.clone()),
        attempt.score.map_or_else(none, |score| score.to_string()),
        attempt.duration_seconds.map_or_else(none, duration),
    ];
    let mut cells: Vec<Cell> = Vec::new();
    for ((x, _), text) in COLUMNS.iter().zip(&texts) {
        cells.push(cell(*x, CELL.size + 3.0, text, CELL, TEXT - x, setter));
    }
    let x = COLUMNS[1].0;
    let evidence = evidence(&attempt.evidence_statement_ids);
    let top = CELL.size * LEADING + 3.0;
    let mut evidence = cell(x, top + EVIDENCE.size, &evidence, EVIDENCE, TEXT - x, setter);
    evidence.is_faint = true;
    let height = top + stack(&evidence.lines, EVIDENCE) + 4.0;
    cells.push(evidence);
    Row { role: Role::TableRow, height, cells, is_ruled: true }
}

fn cell(x: f32, baseline: f32, text: &str, style: Style, width: f32, setter: &mut Setter) -> Cell {
    Cell { x: MARGIN + x, baseline, style, is_faint: false, lines: setter.set(text, style, width) }
}

fn stack(lines: &[Line], style: Style) -> f32 {
    lines.len() as f32 * style.size * LEADING
}

fn evidence(ids: &[Uuid]) -> String {
    let shown: Vec<String> = ids.iter().take(EVIDENCE_SHOWN).map(Uuid::to_string).collect();
    match ids.len().checked_sub(EVIDENCE_SHOWN) {
        _ if ids.is_empty() => "–".to_owned(),
        Some(more) if more > 0 => format!("{}, and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

pub fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn duration(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!([59, 61, 3_600, 90_061].map(duration), ["59 s", "1 min 1 s", "1 h 0 min", "25 h 1 min"]);
    }

    #[test]
    fn a_long_list_of_evidence_says_how_much_it_leaves_out() {
        assert_eq!(evidence(&[]), "–");
        assert!(evidence(&[Uuid::nil(); 12]).ends_with('0'));
        assert!(evidence(&[Uuid::nil(); 15]).ends_with(", and 3 more"));
    }
}
