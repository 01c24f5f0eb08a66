//! New migrations: the next free number, a head to fill in, and a rollback script beside it.

use std::{fs, io::Write as _, path::Path};

use super::names::{self, BadName, Category, Name};

/// What to create.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    pub module: &'a str,
    pub category: Category,
    pub description: &'a str,
    pub no_transaction: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("{0:?} cannot be a module's name")]
    Module(String),
    #[error("category {0} has no number left")]
    Full(Category),
    #[error("{path}: {error}")]
    Write { path: String, error: std::io::Error },
}

/// The name of the next file, after all that are there. Pure.
pub fn next_name(there: &[Name], category: Category, description: &str) -> Result<Name, CreateError> {
    let first = if category == Category::Release { 100 } else { 1 };
    let last = there.iter().filter(|name| name.category == category).map(|name| name.number).max();
    let number = last.map_or(first, |last| last + 1);
    let description: String =
        description.trim().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = Name { category, number, description };
    // What it would be read as decides: 100 is no startup file, and a description has its form.
    match Name::parse(&name.file())? {
        read if read == name => Ok(name),
        _ => Err(CreateError::Full(category)),
    }
}

/// The text of a new file. The linter refuses it until its author has described it.
pub fn template(new: &NewFile<'_>) -> String {
    let mode = if new.no_transaction { "-- progress: no-transaction\n" } else { "" };
    let manual = if new.category.is_automatic() { "no" } else { "yes" };
    let words = new.description.trim().replace('_', " ");
    format!(
        "-- Description: {words}\n-- Breaking: no\n-- Previous: serves\n-- Manual: {manual}\n-- Lock: none\n{mode}\n"
    )
}

/// Writes the file and its rollback script into the module's folder; neither may be there yet.
pub fn create(folder: &Path, new: &NewFile<'_>) -> Result<[std::path::PathBuf; 2], CreateError> {
    if !names::is_module(new.module) {
        return Err(CreateError::Module(new.module.to_owned()));
    }
    let failed = |path: &Path, error| CreateError::Write { path: path.display().to_string(), error };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let list = fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    let there: Vec<Name> =
        list.filter_map(|entry| Name::parse(&entry.ok()?.file_name().to_string_lossy()).ok()).collect();
    let name = next_name(&there, new.category, new.description)?;
    let mode = if new.no_transaction { "-- progress: no-transaction\n" } else { "" };
    let down = format!("{mode}-- Undoes {}.\n", name.file());
    let paths = [folder.join(name.file()), folder.join(name.down_file())];
    for (path, text) in paths.iter().zip([template(new), down]) {
        let file = fs::File::create_new(path).map_err(|error| failed(path, error))?;
        (&file).write_all(text.as_bytes()).map_err(|error| failed(path, error))?;
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[&str]) -> Vec<Name> {
        files.iter().map(|file| Name::parse(file).unwrap()).collect()
    }

    #[test]
    fn numbers_go_on_within_their_category() {
        let there = names(&["001_a.sql", "007_b.sql", "100_c.sql", "S003_d.sql"]);
        let next = |category| next_name(&there, category, "Add things!").unwrap().file();
        assert_eq!(next(Category::Startup), "008_add_things_.sql");
        assert_eq!(next(Category::Release), "101_add_things_.sql");
        assert_eq!(next(Category::Seed), "S004_add_things_.sql");
        assert_eq!(next(Category::Data), "DM001_add_things_.sql");
        assert_eq!(next_name(&[], Category::Release, "x").unwrap().number, 100);
    }

    #[test]
    fn a_full_category_says_so() {
        assert!(matches!(next_name(&names(&["099_z.sql"]), Category::Startup, "x"), Err(CreateError::Full(_))));
        assert!(next_name(&names(&["S999_z.sql"]), Category::Seed, "x").is_err());
    }

    #[test]
    fn writes_a_pair_with_a_head_that_reads() {
        let dir = tempfile::tempdir().unwrap();
        let new =
            NewFile { module: "extra", category: Category::Release, description: "add_index", no_transaction: true };
        let folder = dir.path().join("extra");
        let [up, down] = create(&folder, &new).unwrap();
        assert!(up.ends_with("extra/100_add_index.sql") && down.ends_with("extra/100_add_index.down.sql"));
        let head = super::super::head::parse(&fs::read_to_string(up).unwrap()).unwrap();
        assert!(head.no_transaction && head.manual && head.description == "add index");
        let [second, _] = create(&folder, &new).unwrap();
        assert!(second.ends_with("extra/101_add_index.sql"));
    }
}
