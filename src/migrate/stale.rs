//! Whether a binary that runs inside its source tree holds the files that lie there. It never changes anything.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{checksum, modules};

/// The package by whose manifest the source tree is known.
const PACKAGE: &str = "name = \"progress-service\"";

/// What differs between the files of the source tree around `place` and those in this binary; nothing elsewhere.
pub fn stale(place: &Path) -> Vec<String> {
    source_tree(place).map(|tree| differences(&tree.join("migrations"), modules::embedded())).unwrap_or_default()
}

fn source_tree(place: &Path) -> Option<PathBuf> {
    let is_ours = |folder: &&Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == PACKAGE)
    };
    place.ancestors().find(is_ours).map(Path::to_owned)
}

fn differences(root: &Path, embedded: &[(&str, &str, &str)]) -> Vec<String> {
    let mut there = on_disk(root);
    let mut found = Vec::new();
    for (module, file, text) in embedded {
        let name = format!("{module}/{file}");
        match there.remove(&name) {
            Some(found_text) if checksum::normalize(&found_text) == checksum::normalize(text) => {}
            Some(_) => found.push(format!("migrations/{name} is not as it is in this binary: build it again")),
            None => {
                found.push(format!("migrations/{name} is in this binary and no more in the folder: build it again"));
            }
        }
    }
    found.extend(there.keys().map(|name| format!("migrations/{name} is not in this binary: build it again")));
    found.sort();
    found
}

/// The readable `.sql` files of every folder, by `folder/file`.
fn on_disk(root: &Path) -> BTreeMap<String, String> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let base = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = list(root).filter(|folder| folder.is_dir()).flat_map(|folder| {
        let files = list(&folder).filter(|path| path.extension().is_some_and(|ending| ending == "sql"));
        files.map(move |path| (format!("{}/{}", base(&folder), base(&path)), path)).collect::<Vec<_>>()
    });
    files.filter_map(|(name, path)| Some((name, fs::read_to_string(path).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_named_and_line_ends_are_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("ledger")).unwrap();
        for (file, text) in [("001_a.sql", "SELECT 1;\r\n"), ("002_b.sql", "SELECT 2;"), ("003_new.sql", "SELECT 3;")] {
            fs::write(dir.path().join("ledger").join(file), text).unwrap();
        }
        let built = [("ledger", "001_a.sql", "SELECT 1;\n"), ("ledger", "002_b.sql", "x"), ("ledger", "009_z.sql", "")];
        let found = differences(dir.path(), &built);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("002_b.sql is not as") && found[1].contains("003_new.sql is not in this binary"));
        assert!(found[2].contains("009_z.sql is in this binary"));
    }

    #[test]
    fn only_its_own_source_tree_counts() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("migrations/ledger")).unwrap();
        fs::write(dir.path().join("migrations/ledger/001_a.sql"), "SELECT 1;").unwrap();
        assert_eq!(stale(dir.path()), [""; 0]);
        fs::write(dir.path().join("Cargo.toml"), "[package]\nname = \"progress-service\"\n").unwrap();
        assert!(!stale(&dir.path().join("migrations")).is_empty(), "also from a folder within");
    }
}
