//! From text to placed glyphs: shaping, both directions, the right font for each letter, and line breaks.

use std::{collections::HashMap, ops::Range};

use cosmic_text::{
    Align, Attrs, Buffer, Family, FontSystem, LayoutGlyph, Metrics, Shaping, Weight,
    fontdb::{Database, ID},
};
use krilla::text::{Font, GlyphId, KrillaGlyph};

use super::fonts::{self, FAMILY};

/// What stands where no font has the letter.
const REPLACEMENT: char = '\u{FFFD}';
/// From one line of text to the next, in sizes of the text.
pub const LEADING: f32 = 1.4;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub size: f32,
    pub is_bold: bool,
}

/// One line of text, ready to be drawn.
pub struct Line {
    /// The paragraph that it is a line of: glyphs name their letters by their place in it.
    pub text: String,
    pub runs: Vec<Run>,
}

/// Glyphs of one font, from left to right.
pub struct Run {
    pub x: f32,
    pub font: Font,
    pub glyphs: Vec<KrillaGlyph>,
}

/// Sets text. Keeps the fonts it has opened.
pub struct Setter {
    fonts: FontSystem,
    opened: HashMap<ID, Font>,
    /// Letters for which no font had a glyph, since somebody last asked.
    missing: usize,
}

impl Setter {
    pub fn new(fonts: Database) -> Self {
        Self { fonts: fonts::system(fonts), opened: HashMap::new(), missing: 0 }
    }

    /// How many letters could not be shown since the last call.
    pub fn take_missing(&mut self) -> usize {
        std::mem::take(&mut self.missing)
    }

    /// The lines of a paragraph in this width.
    pub fn set(&mut self, text: &str, style: Style, width: f32) -> Vec<Line> {
        // A line break or a tab in a name is nothing that a reader should see.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let buffer = self.lay_out(&text, style, width);
        let shown = self.without_missing(&text, &buffer);
        let buffer = if shown == text { buffer } else { self.lay_out(&shown, style, width) };
        let mut lines = Vec::new();
        for run in buffer.layout_runs() {
            let runs = self.runs(run.glyphs);
            lines.push(Line { text: run.text.to_owned(), runs });
        }
        lines
    }

    fn lay_out(&mut self, text: &str, style: Style, width: f32) -> Buffer {
        let mut buffer = Buffer::new_empty(Metrics::new(style.size, style.size * LEADING));
        buffer.set_size(Some(width), None);
        let weight = if style.is_bold { Weight::BOLD } else { Weight::NORMAL };
        let attributes = Attrs::new().family(Family::Name(FAMILY)).weight(weight);
        buffer.set_text(text, &attributes, Shaping::Advanced, Some(Align::Left));
        buffer.shape_until_scroll(&mut self.fonts, false);
        buffer
    }

    /// The text with a visible sign in place of every letter that no font has.
    fn without_missing(&mut self, text: &str, buffer: &Buffer) -> String {
        let glyphs = buffer.layout_runs().flat_map(|run| run.glyphs.iter());
        let missing: Vec<Range<usize>> =
            glyphs.filter(|glyph| glyph.glyph_id == 0).map(|glyph| glyph.start..glyph.end).collect();
        if missing.is_empty() {
            return text.to_owned();
        }
        let mut shown = String::with_capacity(text.len());
        for (at, letter) in text.char_indices() {
            if missing.iter().any(|range| range.contains(&at)) {
                self.missing += 1;
                shown.push(REPLACEMENT);
            } else {
                shown.push(letter);
            }
        }
        shown
    }

    /// Neighbours in one font are drawn in one go.
    fn runs(&mut self, glyphs: &[LayoutGlyph]) -> Vec<Run> {
        // A paragraph that runs from the right comes in its own order.
        let mut glyphs: Vec<&LayoutGlyph> = glyphs.iter().collect();
        glyphs.sort_by(|a, b| a.x.total_cmp(&b.x));
        let mut runs: Vec<(ID, Run)> = Vec::new();
        for glyph in glyphs {
            let Some(font) = self.font(glyph) else { continue };
            let placed = KrillaGlyph {
                glyph_id: GlyphId::new(u32::from(glyph.glyph_id)),
                text_range: glyph.start..glyph.end,
                x_advance: glyph.w / glyph.font_size,
                x_offset: glyph.x_offset,
                y_offset: glyph.y_offset,
                y_advance: 0.0,
                location: None,
            };
            match runs.last_mut() {
                Some((id, run)) if *id == glyph.font_id => run.glyphs.push(placed),
                _ => runs.push((glyph.font_id, Run { x: glyph.x, font, glyphs: vec![placed] })),
            }
        }
        runs.into_iter().map(|(_, run)| run).collect()
    }

    fn font(&mut self, glyph: &LayoutGlyph) -> Option<Font> {
        if let Some(font) = self.opened.get(&glyph.font_id) {
            return Some(font.clone());
        }
        // Makes sure that the file behind the font is in memory.
        self.fonts.get_font(glyph.font_id, glyph.font_weight)?;
        let face = self.fonts.db().face(glyph.font_id)?;
        let data = match &face.source {
            cosmic_text::fontdb::Source::Binary(data) | cosmic_text::fontdb::Source::SharedFile(_, data) => {
                data.clone()
            }
            cosmic_text::fontdb::Source::File(_) => return None,
        };
        let font = Font::new(data.into(), face.index)?;
        self.opened.insert(glyph.font_id, font.clone());
        Some(font)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { size: 10.0, is_bold: false };

    fn setter() -> Setter {
        Setter::new(fonts::load(None, false))
    }

    #[test]
    fn every_built_in_alphabet_is_shown() {
        let mut setter = setter();
        for name in [
            "Zoë Ångström",
            "Μαρία Παπαδοπούλου",
            "Мария Кюри",
            "Nguyễn Thị Minh",
            "مريم العربي",
            "מרים כהן",
            "प्रिया शर्मा",
            "สมชาย ใจดี",
            "Արամ Խաչատրյան",
            "შოთა რუსთაველი",
        ] {
            let lines = setter.set(name, STYLE, 500.0);
            assert_eq!((lines.len(), setter.take_missing()), (1, 0), "{name}");
        }
    }

    #[test]
    fn what_no_font_has_is_seen_and_counted() {
        let mut setter = setter();
        let lines = setter.set("李 Li", STYLE, 500.0);
        assert_eq!((lines[0].text.as_str(), setter.take_missing()), ("\u{FFFD} Li", 1));
        assert_eq!(setter.take_missing(), 0);
    }

    #[test]
    fn letters_join_and_run_from_the_right() {
        let lines = setter().set("مريم", STYLE, 500.0);
        let starts: Vec<usize> = lines[0].runs.iter().flat_map(|run| &run.glyphs).map(|g| g.text_range.start).collect();
        assert!(starts.is_sorted_by(|a, b| a >= b), "{starts:?}");
        let alone: Vec<u32> = "مريم"
            .chars()
            .map(|letter| setter().set(&letter.to_string(), STYLE, 500.0)[0].runs[0].glyphs[0].glyph_id.to_u32())
            .collect();
        let joined: Vec<u32> = lines[0].runs.iter().flat_map(|run| &run.glyphs).map(|g| g.glyph_id.to_u32()).collect();
        assert_ne!(alone.into_iter().rev().collect::<Vec<_>>(), joined);
    }

    #[test]
    fn long_text_breaks_into_lines_and_control_characters_are_spaces() {
        let lines = setter().set("a word\nand another\u{7} one", STYLE, 60.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| !line.text.contains('\n')));
    }
}
