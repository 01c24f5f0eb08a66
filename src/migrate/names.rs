//! File names of migrations: the one strict grammar, shared with the build script. Pure, and free of other crates.

use std::fmt;

/// What a migration is for, and who may start it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// `001`–`099`: applied at every start, by itself.
    Startup,
    /// `100` and up: waits for an operator.
    Release,
    /// `S001`–`S999`: reference rows, applied at every start, by itself.
    Seed,
    /// `DM001`–`DM999`: moves rows; waits for an operator.
    Data,
}

impl Category {
    /// In the order in which a module's files run.
    pub const ALL: [Self; 4] = [Self::Startup, Self::Release, Self::Seed, Self::Data];

    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Release => "release",
            Self::Seed => "seed",
            Self::Data => "data",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == text)
    }

    /// Whether files of this category run at start-up without anybody's word.
    pub fn is_automatic(self) -> bool {
        matches!(self, Self::Startup | Self::Seed)
    }

    /// The letters before the number.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Startup | Self::Release => "",
            Self::Seed => "S",
            Self::Data => "DM",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file name that keeps to the form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    pub category: Category,
    pub number: u32,
    pub description: String,
}

/// Why a file name was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName {
    pub file: String,
    pub why: &'static str,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a migration's name: {}; the form is NNN_description.sql, SNNN_… or DMNNN_…",
            self.file, self.why
        )
    }
}

impl std::error::Error for BadName {}

const SUFFIX: &str = ".sql";
const DOWN_SUFFIX: &str = ".down.sql";
const LONGEST_DESCRIPTION: usize = 80;

impl Name {
    /// Parses `NNN_description.sql`; a rollback script's name is not one.
    pub fn parse(file: &str) -> Result<Self, BadName> {
        let bad = |why| BadName { file: file.to_owned(), why };
        let stem = file.strip_suffix(SUFFIX).ok_or_else(|| bad("it does not end in .sql"))?;
        let (key, description) = stem.split_once('_').ok_or_else(|| bad("there is no _ after the number"))?;
        let digits_at = key.find(|c: char| c.is_ascii_digit()).ok_or_else(|| bad("there is no number"))?;
        let (prefix, digits) = key.split_at(digits_at);
        if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() > 6 {
            return Err(bad("the number has other characters in it, or is too long"));
        }
        // A number has one spelling only: three digits, more from 1000 on.
        let number: u32 = digits.parse().map_err(|_| bad("the number cannot be read"))?;
        if digits != format!("{number:03}") {
            return Err(bad("the number is not written with three digits"));
        }
        let category = match (prefix, number) {
            (_, 0) => return Err(bad("numbers start at 001")),
            ("", 1..=99) => Category::Startup,
            ("", _) => Category::Release,
            ("S", 1..=999) => Category::Seed,
            ("DM", 1..=999) => Category::Data,
            ("S" | "DM", _) => return Err(bad("the number is above 999")),
            _ => return Err(bad("the letters before the number are neither none, S nor DM")),
        };
        if !is_description(description) {
            return Err(bad("the description is not 1 to 80 of a-z, 0-9 and _"));
        }
        Ok(Self { category, number, description: description.to_owned() })
    }

    pub fn file(&self) -> String {
        format!("{}{SUFFIX}", self.stem())
    }

    /// The name of the rollback script that lies beside the file.
    pub fn down_file(&self) -> String {
        format!("{}{DOWN_SUFFIX}", self.stem())
    }

    fn stem(&self) -> String {
        format!("{}{:03}_{}", self.category.prefix(), self.number, self.description)
    }
}

/// The name of the migration that this rollback script undoes, when it is a rollback script's name.
pub fn up_of_down(file: &str) -> Option<String> {
    file.strip_suffix(DOWN_SUFFIX).map(|stem| format!("{stem}{SUFFIX}"))
}

fn is_description(text: &str) -> bool {
    (1..=LONGEST_DESCRIPTION).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether `text` may name a module: a plain lower-case identifier that PostgreSQL keeps for nobody.
pub fn is_module(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let reserved = text.starts_with("pg_") || matches!(text, "public" | "information_schema" | "all");
    plain && !reserved && text.len() <= 48 && text.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_four_categories_and_writes_them_back() {
        for (file, category, number) in [
            ("001_init.sql", Category::Startup, 1),
            ("099_last.sql", Category::Startup, 99),
            ("100_first_release.sql", Category::Release, 100),
            ("1200_much_later.sql", Category::Release, 1200),
            ("S001_verbs.sql", Category::Seed, 1),
            ("DM999_move.sql", Category::Data, 999),
        ] {
            let name = Name::parse(file).unwrap();
            assert_eq!((name.category, name.number), (category, number), "{file}");
            assert_eq!(name.file(), file);
            assert_eq!(up_of_down(&name.down_file()).as_deref(), Some(file));
        }
    }

    #[test]
    fn refuses_everything_out_of_form() {
        for file in [
            "1_init.sql",
            "01_init.sql",
            "0001_init.sql",
            "000_zero.sql",
            "001-init.sql",
            "001_.sql",
            "001_Init.sql",
            "001_init",
            "001_init.SQL",
            "V1__init.sql",
            "S1000_x.sql",
            "s001_x.sql",
            "DM000_x.sql",
            "D001_x.sql",
            "001_init.down.sql",
            "|001_x.sql",
            "001x_y.sql",
            "_x.sql",
            "",
            "9999999_x.sql",
            "001_ä.sql",
            "+01_x.sql",
        ] {
            assert!(Name::parse(file).is_err(), "{file} passed");
        }
        let why = Name::parse("S1000_x.sql").unwrap_err().to_string();
        assert!(why.contains("above 999") && why.contains("NNN_description.sql"), "{why}");
    }

    #[test]
    fn modules_are_plain_identifiers() {
        assert!(is_module("ledger") && is_module("plugin_2"));
        for name in ["", "Ledger", "pg_ledger", "public", "all", "2nd", "a-b", "a\"b"] {
            assert!(!is_module(name), "{name} passed");
        }
    }
}
