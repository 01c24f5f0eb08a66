//! Squash: one new file that takes the place of many, with the mapping that proves which. Pure.
//!
//! A database that has all the superseded files gets only the new file's row; an empty one executes the new file.

use super::{
    concurrent,
    lint::{self, Exemption},
    modules::{File, Module},
    names::{Category, Name},
};
use crate::store::schema::migrations::concurrent::Alone;

/// A new file and its rollback script, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Squash {
    pub name: Name,
    pub text: String,
    pub down: String,
    /// The files to remove once this one is there.
    pub supersedes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SquashError {
    #[error("there is no file {0:?} to squash up to")]
    Unknown(String),
    #[error("only startup and release files can be squashed")]
    Category,
    #[error("there is nothing to squash: fewer than two files up to {0}")]
    Nothing(String),
    #[error("{0} cannot run in a transaction, so it cannot be part of a squash")]
    NoTransaction(String),
    #[error("{0} has no rollback script")]
    NoScript(String),
    #[error("no startup number is left for the squashed file")]
    NoNumber,
}

/// Squashes the startup and release files up to `through`, in the order in which they run.
pub fn squash(module: &Module, through: &str, description: &str) -> Result<Squash, SquashError> {
    let last = module.find(through).ok_or_else(|| SquashError::Unknown(through.to_owned()))?;
    if !matches!(last.category(), Category::Startup | Category::Release) {
        return Err(SquashError::Category);
    }
    let upto = (last.category(), last.name.number);
    let files: Vec<&File> = module.files.iter().filter(|file| (file.category(), file.name.number) <= upto).collect();
    if files.len() < 2 {
        return Err(SquashError::Nothing(through.to_owned()));
    }
    let number = number(module, last)?;
    Ok(Squash {
        name: Name { category: Category::Startup, number, description: description.to_owned() },
        text: up_text(module, &files)?,
        down: down_text(&files)?,
        supersedes: files.iter().map(|file| file.file()).collect(),
    })
}

/// The squash runs where its files ran: in the place of the last one, when later startup files stand on it; else it is
/// the next one.
fn number(module: &Module, last: &File) -> Result<u32, SquashError> {
    let highest = module.of(Category::Startup).map(|file| file.name.number).max().unwrap_or(0);
    match highest + 1 {
        _ if last.category() == Category::Startup && last.name.number < highest => Ok(last.name.number),
        100.. => Err(SquashError::NoNumber),
        next => Ok(next),
    }
}

fn up_text(module: &Module, files: &[&File]) -> Result<String, SquashError> {
    let mut body = String::new();
    for file in files {
        body.push_str(&format!("\n-- from {}\n{}\n", file.file(), self::body(file)?.trim()));
    }
    let lock = lint::lock_taken(&body);
    let mut head =
        format!("-- Description: squash of {} files\n-- Breaking: no\n-- Manual: no\n-- Lock: {lock}\n", files.len());
    for Exemption { rule, because } in lint::inherited(module, files, &body) {
        head.push_str(&format!("-- progress: allow {rule} because {because}\n"));
    }
    for file in files {
        // A squash of a squash stands for everything the first one stood for.
        for earlier in &file.head.supersedes {
            head.push_str(&format!("-- Supersedes: {} {}\n", earlier.file, earlier.checksum));
        }
        head.push_str(&format!("-- Supersedes: {} {}\n", file.file(), file.checksum));
    }
    Ok(head + &body)
}

fn down_text(files: &[&File]) -> Result<String, SquashError> {
    let mut text = String::new();
    for file in files.iter().rev() {
        let down = file.down.as_ref().ok_or_else(|| SquashError::NoScript(file.file()))?;
        let script = if down.no_transaction { without_concurrently(&down.text) } else { down.text.clone() };
        text.push_str(&format!("-- of {}\n{}\n", file.file(), strip_head(&script).trim()));
    }
    Ok(text)
}

fn body(file: &File) -> Result<String, SquashError> {
    let body = strip_head(&file.text);
    if !file.head.no_transaction {
        return Ok(body.to_owned());
    }
    // On an empty database nobody reads the table meanwhile: a plain index is the same index.
    match concurrent::alone(&file.text) {
        Alone::BuildIndex(_) => Ok(without_concurrently(body)),
        _ => Err(SquashError::NoTransaction(file.file())),
    }
}

fn strip_head(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('\n').filter(|(line, _)| line.starts_with("--")) {
        rest = after;
    }
    rest
}

fn without_concurrently(sql: &str) -> String {
    match sql.to_ascii_lowercase().find("concurrently ") {
        Some(at) => format!("{}{}", &sql[..at], &sql[at + "concurrently ".len()..]),
        None => sql.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(files: &[(&str, &str)]) -> Module {
        let head = "-- Description: d\n-- Breaking: no\n-- Manual: no\n";
        let texts: Vec<_> = files
            .iter()
            .map(|(name, body)| {
                let plain = name.ends_with(".down.sql");
                (*name, if plain { (*body).to_owned() } else { format!("{head}{body}") })
            })
            .collect();
        Module::new("m", texts.iter().map(|(name, text)| (*name, text.as_str())), false).unwrap()
    }

    #[test]
    fn takes_the_place_of_everything_up_to_a_file() {
        let before = module(&[
            ("001_a.sql", "CREATE TABLE a ();"),
            ("001_a.down.sql", "DROP TABLE a;"),
            ("100_b.sql", "-- progress: no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (b);"),
            ("100_b.down.sql", "-- progress: no-transaction\nDROP INDEX CONCURRENTLY IF EXISTS i;"),
            ("101_later.sql", "SELECT 1;"),
            ("S001_rows.sql", "SELECT 1;"),
        ]);
        let squash = squash(&before, "100_b.sql", "base").unwrap();
        assert_eq!(squash.name.file(), "002_base.sql");
        assert_eq!(squash.supersedes, ["001_a.sql", "100_b.sql"]);
        assert!(squash.text.contains("CREATE INDEX IF NOT EXISTS i ON a (b);"), "{}", squash.text);
        assert_eq!(squash.down, "-- of 100_b.sql\nDROP INDEX IF EXISTS i;\n-- of 001_a.sql\nDROP TABLE a;\n");
        let file = File::new("m", &squash.name.file(), &squash.text, Some(&squash.down)).unwrap();
        assert_eq!(file.head.supersedes[1].checksum, before.find("100_b.sql").unwrap().checksum);
    }

    #[test]
    fn later_startup_files_still_come_after_it() {
        let files = ["001_a.sql", "002_b.sql", "003_c.sql", "100_d.sql"].map(|name| (name, "SELECT 1;"));
        let downs = ["001_a.down.sql", "002_b.down.sql"].map(|name| (name, "SELECT 1;"));
        let module = module(&[files.as_slice(), &downs].concat());
        assert_eq!(squash(&module, "002_b.sql", "base").unwrap().name.file(), "002_base.sql");
    }

    #[test]
    fn refuses_what_it_cannot_squash() {
        let files = module(&[
            ("001_a.sql", "SELECT 1;"),
            ("002_b.sql", "-- progress: no-transaction\nVACUUM a;"),
            ("S001_rows.sql", "SELECT 1;"),
        ]);
        assert_eq!(squash(&files, "001_a.sql", "x"), Err(SquashError::Nothing("001_a.sql".into())));
        assert_eq!(squash(&files, "002_b.sql", "x"), Err(SquashError::NoTransaction("002_b.sql".into())));
        assert_eq!(squash(&files, "S001_rows.sql", "x"), Err(SquashError::Category));
        assert_eq!(squash(&files, "009_x.sql", "x"), Err(SquashError::Unknown("009_x.sql".into())));
    }

    /// What a squash is made of was fit to be applied, and so is the squash.
    #[test]
    fn a_squash_of_our_own_files_is_fit_to_be_applied() {
        for module in super::super::modules::internal().unwrap() {
            let last = module.of(Category::Startup).last().unwrap().file();
            let squash = squash(&module, &last, "all").unwrap();
            let file = File::new(&module.name, &squash.name.file(), &squash.text, Some(&squash.down)).unwrap();
            let errors: Vec<String> = lint::file(&module, &file)
                .iter()
                .filter(|finding| finding.severity > lint::Severity::Note)
                .map(ToString::to_string)
                .collect();
            assert_eq!(errors, [""; 0], "{}", module.name);
        }
    }
}
