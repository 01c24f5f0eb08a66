//! Pages become a PDF: an archive's kind (PDF/A-2a), its structure tagged, so that it can be searched and read out.

use std::{num::NonZeroU16, time::Instant};

use chrono::{Datelike, Timelike};
use krilla::{
    Document, SerializeSettings,
    color::rgb,
    configure::{Archival, ConfigurationBuilder},
    geom::{PathBuilder, Point, Rect},
    metadata::{DateTime, Metadata},
    num::NormalizedF32,
    page::PageSettings,
    paint::{Fill, FillRule},
    surface::Surface,
    tagging::{Artifact, ArtifactType, ContentTag, SpanTag, TableHeaderScope, Tag, TagGroup, TagTree},
};

use super::{
    model::Transcript,
    pages::{self, Cell, HEIGHT, MARGIN, Page, Role, Row, WIDTH},
    setting::{LEADING, Setter, Style},
    short,
};

/// Shades of grey.
const INK: u8 = 20;
const FAINT: u8 = 95;
const RULE: u8 = 190;
const FOOT: Style = Style { size: 7.5, is_bold: false };

/// Why there is no document.
pub enum Unwritten {
    Late,
    Document(String),
}

/// The document, and how many letters no font could show. It is given up when it is not done by `until`.
pub fn write(mut transcript: Transcript, setter: &mut Setter, until: Instant) -> Result<(Vec<u8>, usize), Unwritten> {
    let is_cut = short::shorten(&mut transcript);
    let laid_out = pages::lay_out(&transcript, is_cut, setter, until);
    let missing = setter.take_missing();
    let laid_out = laid_out.ok_or(Unwritten::Late)?;
    let about = format!("Enrollment {} · {}", transcript.enrollment_id, pages::moment(transcript.generated_at));
    let feet = feet(&about, laid_out.len(), setter);
    Ok((bind(&laid_out, &feet, metadata(&transcript), until)?, missing))
}

/// Pages with their feet, as one document.
pub fn bind(laid_out: &[Page], feet: &[[Cell; 2]], metadata: Metadata, until: Instant) -> Result<Vec<u8>, Unwritten> {
    let configuration = ConfigurationBuilder::new().with_archival_validator(Archival::A2_A).finish();
    let configuration = configuration.map_err(|error| Unwritten::Document(format!("{error:?}")))?;
    let settings = SerializeSettings { configuration, enable_tagging: true, ..SerializeSettings::default() };
    let mut document = Document::new_with(settings);
    let mut tags = Tags::default();
    for (page, foot) in laid_out.iter().zip(feet) {
        let size = PageSettings::from_wh(WIDTH, HEIGHT)
            .ok_or_else(|| Unwritten::Document("the page has no size".to_owned()))?;
        if Instant::now() > until {
            return Err(Unwritten::Late);
        }
        let mut sheet = document.start_page_with(size);
        let mut surface = sheet.surface();
        draw_page(page, foot, &mut surface, &mut tags);
        surface.finish();
        sheet.finish();
    }
    document.set_tag_tree(tags.finish());
    document.set_metadata(metadata);
    document.finish().map_err(|error| Unwritten::Document(format!("{error:?}")))
}

fn metadata(transcript: &Transcript) -> Metadata {
    let course = transcript.course.title.as_deref().unwrap_or(&transcript.course.course_id);
    let (title, at) = (format!("Transcript: {course}"), transcript.generated_at);
    described(title, format!("{} {}", transcript.enrollment_id, at.timestamp_micros()), at)
}

/// What a document says of itself.
pub fn described(title: String, id: String, at: chrono::DateTime<chrono::Utc>) -> Metadata {
    let part = |value: u32| u8::try_from(value).unwrap_or_default();
    let date = DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(part(at.month()))
        .day(part(at.day()))
        .hour(part(at.hour()))
        .minute(part(at.minute()))
        .second(part(at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0);
    Metadata::new()
        .title(title)
        .language("en".to_owned())
        .creator(concat!("progress-service ", env!("CARGO_PKG_VERSION")).to_owned())
        .document_id(id)
        .creation_date(date)
}

/// The foot of each page: what it is about, and which page of how many.
pub fn feet(about: &str, pages: usize, setter: &mut Setter) -> Vec<[Cell; 2]> {
    let text = WIDTH - 2.0 * MARGIN;
    let mut cell = |x: f32, content: &str, width: f32| {
        let mut lines = setter.set(content, FOOT, width);
        lines.truncate(1);
        Cell { x: MARGIN + x, baseline: FOOT.size, style: FOOT, is_faint: true, lines }
    };
    (1..=pages)
        .map(|page| [cell(0.0, about, text - 90.0), cell(text - 80.0, &format!("Page {page} of {pages}"), 80.0)])
        .collect()
}

fn draw_page(page: &Page, foot: &[Cell; 2], surface: &mut Surface, tags: &mut Tags) {
    for (top, row) in page {
        draw_row(*top, row, surface, tags);
    }
    surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Other)));
    for cell in foot {
        draw_cell(HEIGHT - MARGIN, cell, surface);
    }
    surface.end_tagged();
}

fn draw_row(top: f32, row: &Row, surface: &mut Surface, tags: &mut Tags) {
    if row.role == Role::Repeated {
        surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Other)));
        row.cells.iter().for_each(|cell| draw_cell(top, cell, surface));
        surface.end_tagged();
    } else {
        let mut group = row_group(row.role);
        for cell in &row.cells {
            let content = surface.start_tagged(ContentTag::Span(SpanTag::empty()));
            draw_cell(top, cell, surface);
            surface.end_tagged();
            match row.role {
                Role::TableHead => {
                    group.push(TagGroup::with_children(Tag::TH(TableHeaderScope::Column), vec![content.into()]));
                }
                Role::TableRow => group.push(TagGroup::with_children(Tag::TD, vec![content.into()])),
                _ => group.push(content),
            }
        }
        tags.add(row.role, group);
    }
    if row.is_ruled {
        surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Other)));
        draw_rule(top + row.height, surface);
        surface.end_tagged();
    }
}

fn row_group(role: Role) -> TagGroup {
    match role {
        Role::Heading(level) => TagGroup::new(Tag::Hn(NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN), None)),
        Role::TableHead | Role::TableRow => TagGroup::new(Tag::TR),
        Role::Paragraph | Role::Repeated => TagGroup::new(Tag::P),
    }
}

fn draw_cell(top: f32, cell: &Cell, surface: &mut Surface) {
    surface.set_fill(Some(fill(if cell.is_faint { FAINT } else { INK })));
    for (index, line) in cell.lines.iter().enumerate() {
        let y = top + cell.baseline + index as f32 * cell.style.size * LEADING;
        for run in &line.runs {
            let start = Point::from_xy(cell.x + run.x, y);
            surface.draw_glyphs(start, &run.glyphs, run.font.clone(), &line.text, cell.style.size, false);
        }
    }
}

fn draw_rule(y: f32, surface: &mut Surface) {
    let Some(rule) = Rect::from_xywh(MARGIN, y, WIDTH - 2.0 * MARGIN, 0.5) else { return };
    let mut path = PathBuilder::new();
    path.push_rect(rule);
    if let Some(path) = path.finish() {
        surface.set_fill(Some(fill(RULE)));
        surface.draw_path(&path);
    }
}

fn fill(grey: u8) -> Fill {
    Fill { paint: rgb::Color::new(grey, grey, grey).into(), opacity: NormalizedF32::ONE, rule: FillRule::default() }
}

/// What the document consists of, in the order in which it is read.
#[derive(Default)]
struct Tags {
    tree: Vec<TagGroup>,
    /// Rows of the table that is being filled.
    table: Vec<TagGroup>,
}

impl Tags {
    fn add(&mut self, role: Role, group: TagGroup) {
        if matches!(role, Role::TableHead | Role::TableRow) {
            self.table.push(group);
        } else {
            self.close_table();
            self.tree.push(group);
        }
    }

    fn close_table(&mut self) {
        if !self.table.is_empty() {
            let rows = self.table.drain(..).map(Into::into).collect();
            self.tree.push(TagGroup::with_children(Tag::Table, rows));
        }
    }

    fn finish(mut self) -> TagTree {
        self.close_table();
        let mut tree = TagTree::new().with_lang(Some("en".to_owned()));
        self.tree.into_iter().for_each(|group| tree.push(group));
        tree
    }
}
