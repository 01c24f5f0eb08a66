//! Modules: each owns a schema and a list of migrations, built into the binary or found in a plug-in directory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    backfill::file::{self as walked, Backfill, BackfillError},
    checksum,
    head::{self, Head, HeadError},
    lint::{
        lock::LockClass,
        shipped::{self, Shipped},
    },
    losses,
    names::{self, BadName, Category, Name},
    shape::{self, Effect, ShapeError},
};

mod embedded {
    //! The `migrations` folder as the build script found it.
    include!(concat!(env!("OUT_DIR"), "/migrations.rs"));
}

/// The modules of the product itself, in the order in which they depend on each other.
pub const INTERNAL: [&str; 3] = ["platform", "ledger", "progress"];

/// One migration: an immutable text and all that can be told from it.
#[derive(Clone, Debug)]
pub struct File {
    pub name: Name,
    /// In normalized form.
    pub text: String,
    pub checksum: String,
    pub head: Head,
    pub kind: Effect,
    /// The rollback script beside it.
    pub down: Option<Down>,
}

/// A rollback script.
#[derive(Clone, Debug)]
pub struct Down {
    pub text: String,
    pub no_transaction: bool,
    /// Takes something away that was there before it.
    pub destructive: bool,
}

/// A schema and the files that build it, in the order in which they run.
#[derive(Clone, Debug)]
pub struct Module {
    pub name: String,
    pub schema: String,
    pub files: Vec<File>,
    /// Data files that a job walks through beside the running work. No start waits for them.
    pub backfills: Vec<Backfill>,
    /// Came from a plug-in directory rather than with the binary.
    pub plugin: bool,
    /// The folder of a plug-in.
    pub folder: Option<PathBuf>,
    /// Files of a plug-in that were shipped before a rule of the linter came, from the folder's `shipped.toml`.
    pub shipped: Vec<Shipped>,
}

#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("module {0:?} has a name that cannot be a schema's")]
    ModuleName(String),
    #[error("module {0:?} is there twice")]
    ModuleTwice(String),
    #[error("{module}/{file}: {error}")]
    Head { module: String, file: String, error: HeadError },
    #[error("{module}/{file}: {error}")]
    Shape { module: String, file: String, error: ShapeError },
    #[error("{module}/{file}: {error}")]
    Backfill { module: String, file: String, error: BackfillError },
    #[error("{module}: {first} and {second} have the same number")]
    DuplicateNumber { module: String, first: String, second: String },
    #[error("{module}: {file} undoes nothing: there is no file of that name without .down")]
    DownWithoutUp { module: String, file: String },
    #[error("{path} is no list of shipped files: {error}")]
    ShippedList { path: String, error: String },
    #[error("{path} cannot be read: {error}")]
    Unreadable { path: String, error: std::io::Error },
}

impl File {
    /// Reads one migration; `down` is the text of its rollback script.
    pub fn new(module: &str, file: &str, text: &str, down: Option<&str>) -> Result<Self, ModuleError> {
        let at = || (module.to_owned(), file.to_owned());
        let name = Name::parse(file)?;
        let text = checksum::normalize(text);
        let head = head::parse(&text).map_err(|error| {
            let (module, file) = at();
            ModuleError::Head { module, file, error }
        })?;
        // A comparison is its head alone, and so is what a step of the release does.
        if head.compare.is_none() && head.step.is_none() {
            shape::check(&text, head.no_transaction).map_err(|error| {
                let (module, file) = at();
                ModuleError::Shape { module, file, error }
            })?;
        }
        Ok(Self {
            checksum: checksum::checksum(&text),
            kind: shape::kind(&text, &head, name.category),
            down: down.map(|text| Down::new(module, &name, text)).transpose()?,
            name,
            text,
            head,
        })
    }

    pub fn file(&self) -> String {
        self.name.file()
    }

    pub fn category(&self) -> Category {
        self.name.category
    }

    /// Whether the file waits for an operator's word.
    pub fn is_gated(&self) -> bool {
        !self.category().is_automatic() || self.head.manual
    }

    pub fn lock_class(&self) -> Option<LockClass> {
        self.head.lock
    }
}

impl Down {
    fn new(module: &str, name: &Name, text: &str) -> Result<Self, ModuleError> {
        let text = checksum::normalize(text);
        let no_transaction = head::says_no_transaction(&text);
        shape::check(&text, no_transaction).map_err(|error| ModuleError::Shape {
            module: module.to_owned(),
            file: name.down_file(),
            error,
        })?;
        Ok(Self { destructive: losses::takes_away(&text), no_transaction, text })
    }
}

impl Module {
    /// A module from (file name, text) pairs, rollback scripts among them. The schema is named like the module.
    pub fn new<'a>(
        name: &str,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        plugin: bool,
    ) -> Result<Self, ModuleError> {
        if !names::is_module(name) {
            return Err(ModuleError::ModuleName(name.to_owned()));
        }
        let (mut downs, ups): (BTreeMap<_, _>, BTreeMap<_, _>) =
            files.into_iter().partition(|(file, _)| names::up_of_down(file).is_some());
        let mut read = Vec::new();
        for (file, text) in ups {
            let down = Name::parse(file)?.down_file();
            read.push(File::new(name, file, text, downs.remove(down.as_str()))?);
        }
        if let Some((file, _)) = downs.pop_first() {
            return Err(ModuleError::DownWithoutUp { module: name.to_owned(), file: file.to_owned() });
        }
        read.sort_by_key(|file| (file.name.category, file.name.number));
        if let Some([first, second]) = read.array_windows().find(|[a, b]| same_number(&a.name, &b.name)) {
            let (first, second) = (first.file(), second.file());
            return Err(ModuleError::DuplicateNumber { module: name.to_owned(), first, second });
        }
        let (walks, read): (Vec<_>, Vec<_>) =
            read.into_iter().partition(|file| file.head.backfill.is_some() || file.head.compare.is_some());
        let backfill = |file: &File| {
            walked::read(name, &file.name, &file.head, &file.text).map_err(|error| {
                let (module, file) = (name.to_owned(), file.file());
                ModuleError::Backfill { module, file, error }
            })
        };
        let backfills = walks.iter().map(backfill).collect::<Result<_, _>>()?;
        let (name, schema) = (name.to_owned(), name.to_owned());
        Ok(Self { name, schema, files: read, backfills, plugin, folder: None, shipped: Vec::new() })
    }

    pub fn find(&self, file: &str) -> Option<&File> {
        self.files.iter().find(|f| f.file() == file)
    }

    pub fn of(&self, category: Category) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.category() == category)
    }
}

fn same_number(a: &Name, b: &Name) -> bool {
    (a.category, a.number) == (b.category, b.number)
}

/// What is built into this binary, as (module, file name, text).
pub(super) fn embedded() -> &'static [(&'static str, &'static str, &'static str)] {
    embedded::EMBEDDED
}

/// The modules built into this binary, in dependency order.
pub fn internal() -> Result<Vec<Module>, ModuleError> {
    INTERNAL
        .iter()
        .map(|name| {
            let files = embedded::EMBEDDED.iter().filter(|(module, _, _)| module == name);
            Module::new(name, files.map(|(_, file, text)| (*file, *text)), false)
        })
        .collect()
}

/// The internal modules and, after them by name, those of each plug-in directory (`<module>/NNN_x.sql`).
pub fn all(plugins: &[PathBuf]) -> Result<Vec<Module>, ModuleError> {
    let mut modules = internal()?;
    let found = plugins.iter().map(|directory| from_directory(directory)).collect::<Result<Vec<_>, _>>()?;
    for module in found.into_iter().flatten() {
        if modules.iter().any(|known| known.name == module.name) {
            return Err(ModuleError::ModuleTwice(module.name));
        }
        modules.push(module);
    }
    Ok(modules)
}

/// What all these files are together: another binary, or other plug-ins, have another one.
pub fn digest(modules: &[Module]) -> String {
    let line = |module: &Module, file: &File| format!("{}/{} {}\n", module.name, file.file(), file.checksum);
    let lines = modules.iter().flat_map(|module| module.files.iter().map(move |file| line(module, file)));
    checksum::checksum(&lines.collect::<String>())
}

/// Every folder of `directory` as a module. Anything in a folder that is not a migration is an error, not skipped.
pub fn from_directory(directory: &Path) -> Result<Vec<Module>, ModuleError> {
    let mut modules = Vec::new();
    let shipped = shipped_list(directory)?;
    for folder in entries(directory)?.into_iter().filter(|path| path.is_dir()) {
        let name = base_name(&folder);
        let mut files = Vec::new();
        for path in entries(&folder)? {
            files.push((base_name(&path), std::fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?));
        }
        let module = Module::new(&name, files.iter().map(|(file, text)| (file.as_str(), text.as_str())), true)?;
        modules.push(Module { folder: Some(folder), shipped: shipped.clone(), ..module });
    }
    Ok(modules)
}

/// The list of files that were shipped before a rule came, where the folder of plug-ins has one.
fn shipped_list(directory: &Path) -> Result<Vec<Shipped>, ModuleError> {
    let path = directory.join(shipped::LIST);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, e))?;
    shipped::parse(&text)
        .map_err(|error| ModuleError::ShippedList { path: path.display().to_string(), error: error.to_string() })
}

fn entries(directory: &Path) -> Result<Vec<std::path::PathBuf>, ModuleError> {
    let list = std::fs::read_dir(directory).map_err(|e| unreadable(directory, e))?;
    let mut paths = list
        .map(|entry| entry.map(|e| e.path()).map_err(|e| unreadable(directory, e)))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| !base_name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn base_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn unreadable(path: &Path, error: std::io::Error) -> ModuleError {
    ModuleError::Unreadable { path: path.display().to_string(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "-- Description: d\n-- Breaking: no\n-- Manual: no\n";

    fn sql(body: &str) -> String {
        format!("{HEAD}{body}")
    }

    #[test]
    fn files_run_in_category_and_number_order() {
        let text = sql("SELECT 1;");
        let names = ["DM001_move.sql", "100_more.sql", "S001_verbs.sql", "002_b.sql", "001_a.sql", "1000_z.sql"];
        let module = Module::new("m", names.map(|n| (n, text.as_str())), false).unwrap();
        let order: Vec<_> = module.files.iter().map(File::file).collect();
        assert_eq!(order, ["001_a.sql", "002_b.sql", "100_more.sql", "1000_z.sql", "S001_verbs.sql", "DM001_move.sql"]);
    }

    #[test]
    fn a_rollback_script_finds_its_file() {
        let text = sql("SELECT 1;");
        let pair = [("001_a.sql", text.as_str()), ("001_a.down.sql", "SELECT 2;\r\n")];
        assert_eq!(Module::new("m", pair, false).unwrap().files[0].down.as_ref().unwrap().text, "SELECT 2;\n");
        let lone = Module::new("m", [("001_a.down.sql", "SELECT 2;")], false);
        assert!(matches!(lone, Err(ModuleError::DownWithoutUp { .. })));
    }

    #[test]
    fn a_duplicate_number_is_an_error_although_the_names_differ() {
        let text = sql("SELECT 1;");
        let twice = [("001_a.sql", text.as_str()), ("001_b.sql", text.as_str())];
        let error = Module::new("m", twice, false).unwrap_err().to_string();
        assert_eq!(error, "m: 001_a.sql and 001_b.sql have the same number");
        let apart = [("001_a.sql", text.as_str()), ("S001_b.sql", text.as_str())];
        Module::new("m", apart, false).unwrap();
    }

    #[test]
    fn a_stray_file_in_a_plugin_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("extra")).unwrap();
        std::fs::write(dir.path().join("extra/001_a.sql"), sql("SELECT 1;")).unwrap();
        let found = all(&[dir.path().to_owned()]).unwrap();
        assert_eq!(found.last().map(|m| (m.name.as_str(), m.plugin)), Some(("extra", true)));
        let other = tempfile::tempdir().unwrap();
        std::fs::create_dir(other.path().join("more")).unwrap();
        let both = all(&[dir.path().to_owned(), other.path().to_owned()]).unwrap();
        assert_eq!(both.iter().rev().take(2).map(|m| m.name.as_str()).collect::<Vec<_>>(), ["more", "extra"]);
        std::fs::create_dir(other.path().join("extra")).unwrap();
        assert!(matches!(all(&[dir.path().to_owned(), other.path().to_owned()]), Err(ModuleError::ModuleTwice(_))));
        std::fs::write(dir.path().join("extra/notes.txt"), "").unwrap();
        assert!(matches!(all(&[dir.path().to_owned()]), Err(ModuleError::Name(_))));
        std::fs::rename(dir.path().join("extra"), dir.path().join("ledger")).unwrap();
        std::fs::remove_file(dir.path().join("ledger/notes.txt")).unwrap();
        assert!(matches!(all(&[dir.path().to_owned()]), Err(ModuleError::ModuleTwice(_))));
    }

    #[test]
    fn plugins_may_have_a_list_of_what_they_shipped() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("extra")).unwrap();
        let text = sql("CREATE ROLE helper;");
        std::fs::write(dir.path().join("extra/001_a.sql"), &text).unwrap();
        let errors = || {
            let module = from_directory(dir.path()).unwrap().remove(0);
            crate::migrate::lint::file(&module, &module.files[0])
                .into_iter()
                .filter(|f| f.severity == crate::migrate::lint::Severity::Error)
                .count()
        };
        assert_eq!(errors(), 1);
        let list = |sum: &str| {
            format!(
                "[[file]]\nfile = \"extra/001_a.sql\"\nchecksum = \"{sum}\"\nrules = [\"roles\"]\nbecause = \"old\"\n"
            )
        };
        std::fs::write(dir.path().join("shipped.toml"), list(&checksum::checksum(&text))).unwrap();
        assert_eq!(errors(), 0);
        std::fs::write(dir.path().join("shipped.toml"), list("sha256:other")).unwrap();
        assert_eq!(errors(), 1);
        std::fs::write(dir.path().join("shipped.toml"), "nonsense").unwrap();
        assert!(matches!(from_directory(dir.path()), Err(ModuleError::ShippedList { .. })));
    }

    #[test]
    fn every_embedded_file_is_sound_and_can_be_undone() {
        for module in internal().unwrap() {
            for file in module.files {
                let name = format!("{}/{}", module.name, file.file());
                assert!(file.down.is_some(), "{name} has no rollback script");
                // A start has nobody to ask for a name.
                let waits = !file.is_gated() && file.kind == Effect::Destructive;
                assert!(!waits, "{name} would wait for an approval at every start on a database of before");
            }
        }
        let known = embedded::EMBEDDED.iter().all(|(module, _, _)| INTERNAL.contains(module));
        assert!(known, "a folder of migrations/ is not among the internal modules");
    }
}
