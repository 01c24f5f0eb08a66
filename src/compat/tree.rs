//! The contracts of a checkout: `schemas/` against every release under `schemas/released/`.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;

use super::{Breach, Role, Rule, openapi, schema};

const SCHEMAS: &str = "schemas";
const RELEASED: &str = "released";

/// A breach, and between which files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Below `schemas`.
    pub file: String,
    /// The release it breaks with.
    pub release: String,
    #[serde(flatten)]
    pub breach: Breach,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEMAS}/{} breaks with {}: {}", self.file, self.release, self.breach)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no JSON: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("there are no contracts in {}", .0.display())]
    Empty(PathBuf),
    #[error("{0} is released already, and a release never changes")]
    Released(String),
    #[error("{0:?} is no version: expected numbers and dots")]
    Version(String),
}

/// How a contract is compared, by the folder it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Schema(Role),
    OpenApi,
    /// Samples of a stored format: some may come, none may go.
    Samples,
    /// Promised to be frozen: it never changes at all.
    Frozen,
}

fn kind(file: &str) -> Kind {
    match file.split('/').next() {
        Some("events") if file.starts_with("events/consumed/") => Kind::Schema(Role::Consumed),
        Some("events") => Kind::Schema(Role::Produced),
        Some("formats") => Kind::Samples,
        Some("openapi") => Kind::OpenApi,
        _ => Kind::Frozen,
    }
}

/// Compares the checkout at `root`; answers the releases it was compared with and what breaks with them.
pub fn check(root: &Path) -> Result<(Vec<String>, Vec<Finding>), TreeError> {
    let schemas = root.join(SCHEMAS);
    let current: BTreeSet<String> = files(&schemas)?.into_iter().filter(|file| !is_release(file)).collect();
    if current.is_empty() {
        return Err(TreeError::Empty(schemas));
    }
    let releases = releases(&schemas)?;
    let mut found = Vec::new();
    for release in &releases {
        let folder = schemas.join(RELEASED).join(release);
        for file in files(&folder)? {
            let old = read(&folder.join(&file))?;
            let breaches = if current.contains(&file) {
                compare(kind(&file), &old, &read(&schemas.join(&file))?)
            } else {
                let detail = "the file is gone".to_owned();
                vec![Breach { pointer: String::new(), rule: Rule::DocumentRemoved, detail }]
            };
            let finding = |breach| Finding { file: file.clone(), release: release.clone(), breach };
            found.extend(breaches.into_iter().map(finding));
        }
    }
    for file in current.iter().filter(|file| matches!(kind(file), Kind::Schema(_))) {
        let breaches = closed(&read(&schemas.join(file))?);
        let finding = |breach| Finding { file: file.clone(), release: "the policy".to_owned(), breach };
        found.extend(breaches.into_iter().map(finding));
    }
    Ok((releases, found))
}

/// A contract of the checkout, if it is there.
pub fn current(root: &Path, file: &str) -> Result<Option<Value>, TreeError> {
    let path = root.join(SCHEMAS).join(file);
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

/// Keeps today's contracts as those of a release; answers their files.
pub fn release(root: &Path, version: &str) -> Result<Vec<String>, TreeError> {
    if version.is_empty() || !version.split('.').all(|part| part.parse::<u32>().is_ok()) {
        return Err(TreeError::Version(version.to_owned()));
    }
    let schemas = root.join(SCHEMAS);
    let folder = schemas.join(RELEASED).join(version);
    if folder.exists() {
        return Err(TreeError::Released(version.to_owned()));
    }
    let current: Vec<String> = files(&schemas)?.into_iter().filter(|file| !is_release(file)).collect();
    for file in &current {
        let (from, to) = (schemas.join(file), folder.join(file));
        let failed = |source| TreeError::Io { path: to.clone(), source };
        fs::create_dir_all(to.parent().unwrap_or(&folder)).map_err(failed)?;
        fs::copy(&from, &to).map_err(failed)?;
    }
    Ok(current)
}

fn compare(kind: Kind, old: &Value, new: &Value) -> Vec<Breach> {
    match kind {
        Kind::Schema(role) => schema(role, old, new),
        Kind::OpenApi => openapi(old, new),
        Kind::Samples => lost_samples(old, new),
        Kind::Frozen if old == new => Vec::new(),
        Kind::Frozen => {
            let detail = "a released file of this kind never changes; a new version is a new file".to_owned();
            vec![Breach { pointer: String::new(), rule: Rule::FrozenChanged, detail }]
        }
    }
}

/// The samples of a file.
fn list(document: &Value) -> &[Value] {
    document.get("samples").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn lost_samples(old: &Value, new: &Value) -> Vec<Breach> {
    let gone = list(old).iter().enumerate().filter(|(_, sample)| !list(new).contains(sample));
    let breach = |(at, _): (usize, &Value)| {
        let detail = "a sample that was released is gone or altered".to_owned();
        Breach { pointer: format!("/samples/{at}"), rule: Rule::SampleRemoved, detail }
    };
    gone.map(breach).collect()
}

/// The name under which the checkout's own samples stand.
pub const TODAY: &str = "today's samples";

/// The samples of each release, and last those of today: a file each.
pub type Samples = Vec<(String, Vec<(String, Vec<Value>)>)>;

/// Reads every sample of a stored format.
pub fn samples(root: &Path) -> Result<Samples, TreeError> {
    let schemas = root.join(SCHEMAS);
    let mut folders: Vec<_> =
        releases(&schemas)?.into_iter().map(|name| (schemas.join(RELEASED).join(&name), name)).collect();
    folders.push((schemas, TODAY.to_owned()));
    let mut all = Vec::new();
    for (folder, name) in folders {
        let mut samples = Vec::new();
        for file in files(&folder)?.into_iter().filter(|file| !is_release(file) && kind(file) == Kind::Samples) {
            let list = list(&read(&folder.join(&file))?).to_vec();
            samples.push((file, list));
        }
        all.push((name, samples));
    }
    Ok(all)
}

/// Closed models anywhere in a schema: with them nothing could ever be added.
fn closed(schema: &Value) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), schema)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                for keyword in ["additionalProperties", "unevaluatedProperties"] {
                    if map.get(keyword) == Some(&Value::Bool(false)) {
                        let detail = "models of events are open, so that adding is additive".to_owned();
                        let pointer = super::below(&pointer, keyword);
                        found.push(Breach { pointer, rule: Rule::ModelClosed, detail });
                    }
                }
                open.extend(map.iter().map(|(name, value)| (super::below(&pointer, name), value)));
            }
            Value::Array(list) => {
                let steps = list.iter().enumerate();
                open.extend(steps.map(|(at, value)| (super::below(&pointer, &at.to_string()), value)));
            }
            _ => {}
        }
    }
    found
}

fn is_release(file: &str) -> bool {
    file.split('/').next() == Some(RELEASED)
}

fn releases(schemas: &Path) -> Result<Vec<String>, TreeError> {
    let folder = schemas.join(RELEASED);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names: Vec<String> = entries(&folder)?.into_iter().filter_map(|path| name(&path)).collect();
    names.sort();
    Ok(names)
}

/// Every JSON file below the folder, by its path from there.
fn files(folder: &Path) -> Result<Vec<String>, TreeError> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        let Some(name) = name(&path) else { continue };
        if path.is_dir() {
            found.extend(files(&path)?.into_iter().map(|file| format!("{name}/{file}")));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, TreeError> {
    let failed = |source| TreeError::Io { path: folder.to_owned(), source };
    let entries: Result<Vec<_>, _> =
        fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|e| e.path())).collect();
    entries.map_err(failed)
}

fn name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn read(path: &Path) -> Result<Value, TreeError> {
    let text = fs::read(path).map_err(|source| TreeError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| TreeError::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checkout() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in [
            ("events/a.v1.json", json!({"type": "object", "properties": {"x": {"type": "string"}}})),
            ("events/consumed/b.v1.json", json!({"type": "object", "required": ["id"]})),
            ("openapi/v1.json", json!({"paths": {"/a": {"get": {"responses": {"200": {}}}}}})),
            ("effects/1.json", json!({"passed": "passes"})),
            ("formats/f.json", json!({"samples": [{"input": 1, "expected": 2}]})),
        ] {
            write(folder.path(), file, &content);
        }
        folder
    }

    fn write(root: &Path, file: &str, content: &Value) {
        let path = root.join(SCHEMAS).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content.to_string()).unwrap();
    }

    fn found(root: &Path) -> Vec<(String, String, Rule)> {
        let (_, findings) = check(root).unwrap();
        findings.into_iter().map(|f| (f.file, f.release, f.breach.rule)).collect()
    }

    fn finding(file: &str, release: &str, rule: Rule) -> (String, String, Rule) {
        (file.to_owned(), release.to_owned(), rule)
    }

    #[test]
    fn each_kind_of_contract_is_compared_its_own_way() {
        let folder = checkout();
        let root = folder.path();
        assert_eq!(release(root, "1.0.0").unwrap().len(), 5);
        assert_eq!(found(root), []);
        write(root, "events/a.v1.json", &json!({"type": "object", "properties": {}}));
        write(root, "events/consumed/b.v1.json", &json!({"type": "object", "required": ["id", "more"]}));
        write(root, "openapi/v1.json", &json!({"paths": {}}));
        write(root, "effects/1.json", &json!({"passed": "passes", "more": 1}));
        write(root, "formats/f.json", &json!({"samples": [{"input": 1, "expected": 3}]}));
        let all = [
            finding("effects/1.json", "1.0.0", Rule::FrozenChanged),
            finding("events/a.v1.json", "1.0.0", Rule::PropertyRemoved),
            finding("events/consumed/b.v1.json", "1.0.0", Rule::RequiredAdded),
            finding("formats/f.json", "1.0.0", Rule::SampleRemoved),
            finding("openapi/v1.json", "1.0.0", Rule::EndpointRemoved),
        ];
        assert_eq!(found(root), all);
    }

    #[test]
    fn every_release_is_kept_and_not_only_the_last() {
        let folder = checkout();
        let root = folder.path();
        release(root, "1.0.0").unwrap();
        assert!(matches!(release(root, "1.0.0"), Err(TreeError::Released(_))));
        assert!(matches!(release(root, "../x"), Err(TreeError::Version(_))));
        // A release slipped out that broke with the first; what breaks with either is found.
        write(root, "events/a.v1.json", &json!({"type": "object", "properties": {"y": {"type": "string"}}}));
        release(root, "1.1.0").unwrap();
        assert_eq!(found(root), [finding("events/a.v1.json", "1.0.0", Rule::PropertyRemoved)]);
        write(root, "events/new.v1.json", &json!({}));
        fs::remove_file(root.join("schemas/effects/1.json")).unwrap();
        assert_eq!(found(root).iter().filter(|(.., rule)| *rule == Rule::DocumentRemoved).count(), 2);
    }

    #[test]
    fn a_closed_model_is_found_before_it_is_released() {
        let folder = checkout();
        let schema = json!({"properties": {"x": {"additionalProperties": false}}});
        write(folder.path(), "events/new.v1.json", &schema);
        let (_, findings) = check(folder.path()).unwrap();
        assert_eq!(findings[0].breach.pointer, "/properties/x/additionalProperties");
        assert_eq!(findings[0].breach.rule, Rule::ModelClosed);
    }

    #[test]
    fn nothing_to_compare_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(folder.path()).is_err());
        fs::create_dir_all(folder.path().join(SCHEMAS)).unwrap();
        assert!(matches!(check(folder.path()), Err(TreeError::Empty(_))));
    }
}
