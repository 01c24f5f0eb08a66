//! The fonts: those that are built in, for most alphabets, and those of the system, for everything else.

use std::{path::Path, sync::Arc};

use cosmic_text::{
    Fallback, FontSystem, PlatformFallback,
    fontdb::{Database, Source},
};

/// The family that everything is set in, as far as it goes.
pub const FAMILY: &str = "Noto Sans";

/// Latin, Greek, Cyrillic and Vietnamese in two weights; and the alphabets that a transcript meets most beside them.
const BUILT_IN: [&[u8]; 8] = [
    include_bytes!("fonts/NotoSans-Regular.ttf"),
    include_bytes!("fonts/NotoSans-Bold.ttf"),
    include_bytes!("fonts/NotoSansArabic-Regular.ttf"),
    include_bytes!("fonts/NotoSansArmenian-Regular.ttf"),
    include_bytes!("fonts/NotoSansDevanagari-Regular.ttf"),
    include_bytes!("fonts/NotoSansGeorgian-Regular.ttf"),
    include_bytes!("fonts/NotoSansHebrew-Regular.ttf"),
    include_bytes!("fonts/NotoSansThai-Regular.ttf"),
];

/// Fonts of coloured pictures: they have no outlines, so what is set in them would be invisible.
const PICTURES: [&str; 4] = ["Noto Color Emoji", "Twemoji", "Apple Color Emoji", "Segoe UI Emoji"];

/// Built-in fonts, then those in `folder`, then the system's where `system` says so.
pub fn load(folder: Option<&Path>, system: bool) -> Database {
    let mut fonts = Database::new();
    for font in BUILT_IN {
        fonts.load_font_source(Source::Binary(Arc::new(font)));
    }
    if let Some(folder) = folder {
        fonts.load_fonts_dir(folder);
    }
    if system {
        fonts.load_system_fonts();
    }
    fonts
}

/// What sets text in them.
pub fn system(fonts: Database) -> FontSystem {
    FontSystem::new_with_locale_and_db_and_fallback("en-US".to_owned(), fonts, Order)
}

/// The platform's order of fonts for each script, without the pictures.
struct Order;

impl Fallback for Order {
    fn common_fallback(&self) -> &[&'static str] {
        PlatformFallback.common_fallback()
    }

    fn forbidden_fallback(&self) -> &[&'static str] {
        &PICTURES
    }

    fn script_fallback(&self, script: unicode_script::Script, locale: &str) -> &[&'static str] {
        PlatformFallback.script_fallback(script, locale)
    }
}
