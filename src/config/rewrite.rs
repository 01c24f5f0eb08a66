//! Bringing an old configuration to today's names: a plan first, then the new text with a backup beside it.
//!
//! Comments and order of the file survive. Env files (`NAME=value` lines) are rewritten the same way.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use toml_edit::{DocumentMut, Item, Table};

use super::{
    FILE_VERSION, KEYS, Key,
    legacy::{FILE_KEYS, VARIABLES},
    source::text_of,
};

/// One change, without the value: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Rename {
        old: String,
        new: String,
    },
    /// The new name is already there, so the old line goes.
    Drop {
        old: String,
        because: String,
    },
    SetVersion,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename { old, new } => write!(f, "rename {old} to {new}"),
            Self::Drop { old, because } => write!(f, "drop {old}: {because} is set too, and wins"),
            Self::SetVersion => write!(f, "set version = {FILE_VERSION}"),
        }
    }
}

/// What would change, and the text it would become.
#[derive(Clone, Debug)]
pub struct Plan {
    path: PathBuf,
    before: String,
    after: String,
    pub edits: Vec<Edit>,
}

#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not TOML: {message}")]
    Syntax { path: PathBuf, message: String },
    #[error("{path} has version {found}: this binary writes version {FILE_VERSION}")]
    Newer { path: PathBuf, found: i64 },
    #[error("{path}: {key} has a value that cannot be carried over; change it by hand")]
    Value { path: PathBuf, key: String },
    #[error("{path} changed since the plan was made; plan again")]
    Changed { path: PathBuf },
}

impl Plan {
    /// Writes the new text, after the old one stands in a backup that did not exist before. Returns the backup's path.
    pub fn apply(self) -> Result<Option<PathBuf>, RewriteError> {
        if self.edits.is_empty() {
            return Ok(None);
        }
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RewriteError::Io { path, source }
        };
        if std::fs::read_to_string(&self.path).map_err(io(&self.path))? != self.before {
            return Err(RewriteError::Changed { path: self.path });
        }
        let backup = backup_of(&self.path, &self.before).map_err(io(&self.path))?;
        let draft = with_suffix(&self.path, "new");
        std::fs::write(&draft, &self.after).map_err(io(&draft))?;
        let permissions = std::fs::metadata(&self.path).map_err(io(&self.path))?.permissions();
        std::fs::set_permissions(&draft, permissions).map_err(io(&draft))?;
        std::fs::rename(&draft, &self.path).map_err(io(&self.path))?;
        Ok(Some(backup))
    }
}

/// Copies to the first free `NAME.bak`, `NAME.bak1`, …; copying keeps the permissions of a file that holds secrets.
fn backup_of(path: &Path, before: &str) -> io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let suffix = if number == 0 { "bak".to_owned() } else { format!("bak{number}") };
        let backup = with_suffix(path, &suffix);
        if !backup.exists() {
            std::fs::copy(path, &backup)?;
            let copied = std::fs::read_to_string(&backup)?;
            return if copied == before { Ok(backup) } else { Err(io::Error::other("the backup differs")) };
        }
        number += 1;
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn read(path: &Path) -> Result<String, RewriteError> {
    std::fs::read_to_string(path).map_err(|source| RewriteError::Io { path: path.to_owned(), source })
}

/// Plans the move of a configuration file to today's version.
pub fn plan_file(path: &Path) -> Result<Plan, RewriteError> {
    let before = read(path)?;
    let syntax = |e: toml_edit::TomlError| RewriteError::Syntax { path: path.to_owned(), message: e.to_string() };
    let mut doc: DocumentMut = before.parse().map_err(syntax)?;
    let version = doc.get("version").and_then(Item::as_integer).unwrap_or(0);
    if version > FILE_VERSION {
        return Err(RewriteError::Newer { path: path.to_owned(), found: version });
    }
    let mut edits = Vec::new();
    if version < FILE_VERSION {
        for renamed in FILE_KEYS {
            let Some((old_key, item)) = doc.remove_entry(renamed.old) else { continue };
            if has(&doc, renamed.key) {
                edits.push(Edit::Drop { old: renamed.old.to_owned(), because: renamed.key.to_owned() });
                continue;
            }
            let unusable = || RewriteError::Value { path: path.to_owned(), key: renamed.old.to_owned() };
            let value: toml::Value = toml::from_str::<toml::Table>(&format!("v = {}", item.to_string().trim()))
                .ok()
                .and_then(|mut table| table.remove("v"))
                .ok_or_else(unusable)?;
            let text = text_of(&value).ok_or_else(unusable)?;
            let converted = (renamed.convert)(&text);
            let carried = if converted == text { item } else { toml_edit::value(converted) };
            let comment = old_key.leaf_decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
            put(&mut doc, renamed.key, carried, comment);
            edits.push(Edit::Rename { old: renamed.old.to_owned(), new: renamed.key.to_owned() });
        }
        set_version(&mut doc);
        edits.push(Edit::SetVersion);
    }
    Ok(Plan { path: path.to_owned(), after: doc.to_string(), before, edits })
}

fn has(doc: &DocumentMut, name: &str) -> bool {
    match name.split_once('.') {
        Some((section, field)) => doc.get(section).and_then(Item::as_table).is_some_and(|t| t.contains_key(field)),
        None => doc.contains_key(name),
    }
}

/// Inserts under the new name, with the comment that stood above the old one.
fn put(doc: &mut DocumentMut, name: &str, item: Item, comment: &str) {
    let (table, field) = match name.split_once('.') {
        Some((section, field)) => {
            let entry = doc.entry(section).or_insert_with(|| Item::Table(Table::new()));
            let Some(table) = entry.as_table_mut() else { return };
            (table, field)
        }
        None => (doc.as_table_mut(), name),
    };
    table.insert(field, item);
    if let Some(mut key) = table.key_mut(field) {
        key.leaf_decor_mut().set_prefix(comment);
    }
}

/// The version belongs at the very top, where a reader of any release finds it first.
fn set_version(doc: &mut DocumentMut) {
    doc.insert("version", toml_edit::value(FILE_VERSION));
    let order = |name: &str| usize::from(name != "version");
    doc.as_table_mut().sort_values_by(|a, _, b, _| order(a.get()).cmp(&order(b.get())));
}

/// Plans the rename of variables in an env file, as Docker and systemd read them.
pub fn plan_env_file(path: &Path) -> Result<Plan, RewriteError> {
    let before = read(path)?;
    let names: Vec<&str> =
        before.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim()).collect();
    let mut edits = Vec::new();
    let mut after = String::new();
    for line in before.split_inclusive('\n') {
        let (name, rest) = line.split_once('=').unwrap_or((line, ""));
        let Some(renamed) = VARIABLES.iter().find(|renamed| renamed.old == name.trim()) else {
            after.push_str(line);
            continue;
        };
        let today = KEYS.iter().find(|key| key.name == renamed.key).map_or_else(String::new, Key::env);
        let old = renamed.old.to_owned();
        let taken = edits.iter().any(|edit| matches!(edit, Edit::Rename { new, .. } if *new == today));
        if taken || names.contains(&today.as_str()) {
            edits.push(Edit::Drop { old, because: today });
            continue;
        }
        let value = rest.trim_end_matches(['\r', '\n']);
        after.push_str(&format!("{today}={}{}", (renamed.convert)(value), &rest[value.len()..]));
        edits.push(Edit::Rename { old, new: today });
    }
    Ok(Plan { path: path.to_owned(), before, after, edits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment};

    fn file(name: &str, content: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_of_version_0_becomes_version_1_with_its_comments_and_values() {
        let old =
            "# our service\nport = 9\n# main database\ndatabase_url = \"postgres://h/d\" # keep\nlog_json = true\n";
        let (_dir, path) = file("progress.toml", old);
        let before = config::read(&Environment::default(), &path).unwrap();
        let backup = plan_file(&path).unwrap().apply().unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(backup).unwrap(), old);
        let new = std::fs::read_to_string(&path).unwrap();
        for kept in ["# our service", "# main database", "# keep"] {
            assert!(new.contains(kept), "{kept} is gone from:\n{new}");
        }
        let after = config::read(&Environment::default(), &path).unwrap();
        assert!(after.warnings.is_empty(), "{:?}", after.warnings);
        assert_eq!(config::show(&before), config::show(&after));
        assert!(plan_file(&path).unwrap().edits.is_empty(), "a second run changes nothing");
    }

    #[test]
    fn planning_touches_nothing_and_a_second_backup_keeps_the_first() {
        let (dir, path) = file("progress.toml", "port = 9\n");
        let plan = plan_file(&path).unwrap();
        assert_eq!(plan.edits, [Edit::Rename { old: "port".into(), new: "listen".into() }, Edit::SetVersion]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "port = 9\n");
        std::fs::write(dir.path().join("progress.toml.bak"), "older").unwrap();
        let backup = plan.apply().unwrap().unwrap();
        assert!(backup.ends_with("progress.toml.bak1"));
        assert_eq!(std::fs::read_to_string(dir.path().join("progress.toml.bak")).unwrap(), "older");
    }

    #[test]
    fn a_name_that_is_already_new_wins_over_the_old_one() {
        let (_dir, path) = file("progress.toml", "port = 9\nlisten = \"127.0.0.1:7\"\n");
        plan_file(&path).unwrap().apply().unwrap();
        let loaded = config::read(&Environment::default(), &path).unwrap();
        assert_eq!(loaded.config.service.listen.port(), 7);
    }

    #[test]
    fn a_file_that_changed_after_the_plan_is_left_alone() {
        let (_dir, path) = file("progress.toml", "port = 9\n");
        let plan = plan_file(&path).unwrap();
        std::fs::write(&path, "port = 10\n").unwrap();
        assert!(matches!(plan.apply(), Err(RewriteError::Changed { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "port = 10\n");
    }

    #[test]
    fn an_env_file_is_renamed_line_by_line() {
        let (_dir, path) = file("service.env", "# db\nDATABASE_URL=postgres://h/d?a=b\r\nOTHER=1\nPROGRESS_PORT=9");
        plan_env_file(&path).unwrap().apply().unwrap();
        let new = std::fs::read_to_string(&path).unwrap();
        let expected = "# db\nPROGRESS_DATABASE_URL=postgres://h/d?a=b\r\nOTHER=1\nPROGRESS_LISTEN=127.0.0.1:9";
        assert_eq!(new, expected);
    }
}
