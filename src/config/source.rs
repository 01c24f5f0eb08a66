//! Where values come from: environment, file, default; and how each is refused when nobody knows it.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use super::{
    Config, ConfigError, FILE_VERSION, KEYS, Key, Problem, Setting,
    legacy::{FILE_KEYS, Renamed, VARIABLES},
};

/// The variable that names the file; without it `./progress.toml` is read if it is there.
const FILE_VARIABLE: &str = "PROGRESS_CONFIG";
const DEFAULT_FILE: &str = "progress.toml";

/// The variables of a process, as a value that a test can make up.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own. Variables that are not UTF-8 cannot be ours.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }

    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

/// Where the value of a key was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File,
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("file"),
            Self::Environment(name) => f.write_str(name),
        }
    }
}

/// The texts that were found, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(BTreeMap<&'static str, (String, Origin)>);

impl Values {
    pub fn text(&self, key: &Key) -> (&str, Origin) {
        self.0.get(key.name).map_or((key.default, Origin::Default), |(text, origin)| (text, origin.clone()))
    }

    pub fn typed<T: Setting>(&self, name: &'static str) -> Result<T, Problem> {
        let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| Problem::unknown_key(name))?;
        let (text, origin) = self.text(key);
        T::parse(text).map_err(|why| match origin {
            Origin::Environment(variable) => Problem::value(&variable, why),
            _ => Problem::value(name, why),
        })
    }

    fn set(&mut self, key: &'static str, text: String, origin: Origin) {
        self.0.insert(key, (text, origin));
    }
}

/// A configuration and how it came to be.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Old names that still worked; each says what to do.
    pub warnings: Vec<String>,
    pub(super) values: Values,
}

/// Reads the process's environment and the file it names.
pub fn load() -> Result<Loaded, ConfigError> {
    read(&Environment::of_process(), Path::new(DEFAULT_FILE))
}

/// Reads the given environment, and `default_file` when the environment names no other.
pub fn read(environment: &Environment, default_file: &Path) -> Result<Loaded, ConfigError> {
    let named = environment.0.get(FILE_VARIABLE).map(PathBuf::from);
    let file = named.or_else(|| default_file.exists().then(|| default_file.to_owned()));
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut values = Values::default();
    if let Some(path) = &file {
        from_file(path, &mut values, &mut problems, &mut warnings)?;
    }
    from_environment(environment, &mut values, &mut problems, &mut warnings);
    let config = match Config::build(&values) {
        Ok(config) if problems.is_empty() => config,
        Ok(_) => return Err(ConfigError::Problems(problems)),
        Err(ConfigError::Problems(more)) => {
            problems.extend(more);
            return Err(ConfigError::Problems(problems));
        }
        Err(other) => return Err(other),
    };
    config.check_together()?;
    Ok(Loaded { config, file, warnings, values })
}

fn from_environment(
    environment: &Environment,
    values: &mut Values,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) {
    // Old names first, so that the new name wins when both are set.
    for renamed in VARIABLES.iter().rev() {
        if let Some(text) = environment.0.get(renamed.old) {
            let origin = Origin::Environment(renamed.old.to_owned());
            values.set(renamed.key, (renamed.convert)(text), origin);
            let today = KEYS.iter().find(|key| key.name == renamed.key).map_or_else(String::new, Key::env);
            warnings.push(format!("the variable {} is now called {today}", renamed.old));
        }
    }
    for (name, text) in environment.0.iter().filter(|(name, _)| name.starts_with("PROGRESS_")) {
        if let Some(key) = KEYS.iter().find(|key| key.env() == *name) {
            values.set(key.name, text.clone(), Origin::Environment(name.clone()));
        } else if name != FILE_VARIABLE && !VARIABLES.iter().any(|renamed| renamed.old == name) {
            problems.push(Problem::unknown_variable(name));
        }
    }
}

fn from_file(
    path: &Path,
    values: &mut Values,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let table: toml::Table = text
        .parse()
        .map_err(|e: toml::de::Error| ConfigError::Syntax { path: path.to_owned(), message: e.to_string() })?;
    let version = table.get("version").map_or(Some(0), toml::Value::as_integer);
    match version {
        Some(found) if found > FILE_VERSION => {
            return Err(ConfigError::Newer { path: path.to_owned(), found, known: FILE_VERSION });
        }
        Some(0..) => {}
        _ => problems.push(Problem::value("version", format!("expected a number up to {FILE_VERSION}"))),
    }
    let old_names: &[Renamed] = if version == Some(0) { FILE_KEYS } else { &[] };
    for (name, value) in flatten(&table) {
        if name == "version" {
            continue;
        }
        let Some(text) = text_of(&value) else {
            problems.push(Problem::value(&name, "expected a text, number, true, false or a list of texts"));
            continue;
        };
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            values.set(key.name, text, Origin::File);
        } else if let Some(renamed) = old_names.iter().find(|renamed| renamed.old == name) {
            warnings.push(format!("the key {name} of {} is now called {}", path.display(), renamed.key));
            values.set(renamed.key, (renamed.convert)(&text), Origin::File);
        } else {
            problems.push(Problem::unknown_key(&name));
        }
    }
    if version == Some(0) {
        warnings.push(format!("{} has no version: run `progress-service config migrate --apply`", path.display()));
    }
    Ok(())
}

/// Dotted names and leaf values. Deeper tables keep their full name and so are refused as unknown.
fn flatten(table: &toml::Table) -> Vec<(String, toml::Value)> {
    let mut flat = Vec::new();
    let mut open: Vec<(String, &toml::Table)> = vec![(String::new(), table)];
    while let Some((prefix, table)) = open.pop() {
        for (name, value) in table {
            match value {
                toml::Value::Table(inner) => open.push((format!("{prefix}{name}."), inner)),
                leaf => flat.push((format!("{prefix}{name}"), leaf.clone())),
            }
        }
    }
    flat
}

/// The text of a value; `None` for dates and anything nested.
pub(super) fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(content: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("progress.toml");
        std::fs::write(&path, content).unwrap();
        read(&Environment::of(environment.iter().copied()), &path)
    }

    fn nowhere(environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        read(&Environment::of(environment.iter().copied()), Path::new("/nowhere/progress.toml"))
    }

    #[test]
    fn environment_beats_file_beats_default() {
        let file = "version = 1\nlisten = \"127.0.0.1:1\"\n[xapi]\npage = 200\n";
        let loaded = with_file(file, &[("PROGRESS_LISTEN", "127.0.0.1:2")]).unwrap();
        assert_eq!(loaded.config.service.listen.port(), 2);
        assert_eq!(loaded.config.xapi.page, 200);
        assert_eq!(loaded.config.xapi.page_default, 100);
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest() {
        let error = nowhere(&[("PROGRESS_DATABSE_URL", "x")]).unwrap_err().to_string();
        assert!(error.contains("did you mean PROGRESS_DATABASE_URL?"), "{error}");
        let error = with_file("version = 1\n[kafka]\nbroker = []\n", &[]).unwrap_err().to_string();
        assert!(error.contains("did you mean kafka.brokers?"), "{error}");
    }

    #[test]
    fn every_problem_is_reported_and_no_value_repeated() {
        let error = nowhere(&[("PROGRESS_LISTEN", "hunter2"), ("PROGRESS_XAPI_DEPTH", "hunter2")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("PROGRESS_LISTEN") && text.contains("PROGRESS_XAPI_DEPTH"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn old_names_work_with_a_warning_and_lose_against_new_ones() {
        let loaded = nowhere(&[("DATABASE_URL", "postgres://old"), ("PROGRESS_PORT", "9")]).unwrap();
        assert_eq!(loaded.config.database.url.unwrap().expose(), "postgres://old");
        assert_eq!(loaded.config.service.listen.port(), 9);
        assert_eq!(loaded.warnings.len(), 2);
        let both = nowhere(&[("DATABASE_URL", "postgres://old"), ("PROGRESS_DATABASE_URL", "postgres://new")]).unwrap();
        assert_eq!(both.config.database.url.unwrap().expose(), "postgres://new");
    }

    #[test]
    fn a_file_of_version_0_is_read_by_its_old_names_and_one_of_version_1_is_not() {
        let loaded = with_file("port = 9\nkafka_brokers = [\"a:1\", \"b:2\"]\n", &[]).unwrap();
        assert_eq!(loaded.config.kafka.brokers, ["a:1", "b:2"]);
        assert!(loaded.warnings.iter().any(|w| w.contains("config migrate")), "{:?}", loaded.warnings);
        assert!(with_file("version = 1\nport = 9\n", &[]).is_err());
    }

    #[test]
    fn a_newer_file_and_a_broken_one_are_told_apart() {
        assert!(matches!(with_file("version = 2\n", &[]), Err(ConfigError::Newer { found: 2, .. })));
        assert!(matches!(with_file("version =", &[]), Err(ConfigError::Syntax { .. })));
        assert!(matches!(with_file("version = \"one\"", &[]), Err(ConfigError::Problems(_))));
        let named = [("PROGRESS_CONFIG", "/nowhere/else.toml")];
        assert!(matches!(nowhere(&named), Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn settings_that_belong_together_are_checked() {
        let error = nowhere(&[("PROGRESS_TLS_CERT_FILE", "/c.pem")]).unwrap_err().to_string();
        assert!(error.contains("both files or neither"), "{error}");
        assert!(nowhere(&[("PROGRESS_BOOTSTRAP_CREDENTIAL", "nocolon")]).is_err());
    }
}
