//! The supported releases and what each of them shipped, from `migrations/releases.toml`. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    modules::{File, Module},
    names::{BadName, Name},
};

/// The manifest this binary was built with.
const MANIFEST: &str = include_str!("../../migrations/releases.toml");

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub version: String,
    /// Module → the last file of each category.
    pub last: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    #[error("the manifest of releases cannot be read: {0}")]
    Manifest(#[from] toml::de::Error),
    #[error("release {release}: there is no module {module:?}")]
    UnknownModule { release: String, module: String },
    #[error("release {release}: {module}/{file} is neither shipped nor superseded by a file that is")]
    UnknownFile { release: String, module: String, file: String },
    #[error("release {release}: {name}")]
    Name { release: String, name: BadName },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    release: Vec<Release>,
}

/// The releases of this binary's own manifest.
pub fn supported() -> Result<Vec<Release>, ReleaseError> {
    parse(MANIFEST)
}

pub fn parse(text: &str) -> Result<Vec<Release>, ReleaseError> {
    Ok(toml::from_str::<Manifest>(text)?.release)
}

/// The newest release that lacks some of these files: the one that nodes still are while this binary takes its place. Absent
/// where every release has them all.
pub fn previous<'a>(releases: &'a [Release], modules: &[Module]) -> Result<Option<&'a Release>, ReleaseError> {
    let count = |modules: &[Module]| modules.iter().map(|module| module.files.len()).sum::<usize>();
    for release in releases.iter().rev() {
        if count(&modules_at(release, modules)?) < count(modules) {
            return Ok(Some(release));
        }
    }
    Ok(None)
}

/// The modules as `release` shipped them. Where a file was squashed since, the squash stands for it.
pub fn modules_at(release: &Release, modules: &[Module]) -> Result<Vec<Module>, ReleaseError> {
    let version = || release.version.clone();
    if let Some(module) = release.last.keys().find(|name| !modules.iter().any(|module| module.name == **name)) {
        return Err(ReleaseError::UnknownModule { release: version(), module: module.clone() });
    }
    let mut shipped = Vec::new();
    for module in modules {
        let Some(last) = release.last.get(&module.name) else { continue };
        let mut upto: Vec<Name> = Vec::new();
        for file in last {
            let name = Name::parse(file).map_err(|name| ReleaseError::Name { release: version(), name })?;
            if !module.files.iter().any(|known| known.file() == *file || stands_for(known, file)) {
                let (module, file) = (module.name.clone(), file.clone());
                return Err(ReleaseError::UnknownFile { release: version(), module, file });
            }
            upto.push(name);
        }
        let files = module.files.iter().filter(|file| belongs(file, &upto)).cloned().collect();
        shipped.push(Module { files, ..module.clone() });
    }
    Ok(shipped)
}

/// Releases from which upgrades are supported and whose databases a squash would leave behind, in words: they have some of the files that
/// it stands for, and lack others. A file that no release has shipped is one that all of them lack.
pub fn left_behind(releases: &[Release], module: &Module, supersedes: &[String]) -> Result<Vec<String>, ReleaseError> {
    let mut found = Vec::new();
    for release in releases.iter().filter(|release| release.last.contains_key(&module.name)) {
        let shipped = modules_at(&only(release, module), std::slice::from_ref(module))?;
        let lacks: Vec<&str> = supersedes
            .iter()
            .filter(|file| !shipped.iter().any(|one| one.find(file).is_some()))
            .map(String::as_str)
            .collect();
        if !lacks.is_empty() && lacks.len() < supersedes.len() {
            let (version, all) = (&release.version, lacks.join(", "));
            found.push(format!("databases of {version}, from which upgrades are supported, lack {all}"));
        }
    }
    Ok(found)
}

/// What a release says of one module.
fn only(release: &Release, module: &Module) -> Release {
    let last = release.last.iter().filter(|(name, _)| **name == module.name);
    Release {
        version: release.version.clone(),
        last: last.map(|(name, files)| (name.clone(), files.clone())).collect(),
    }
}

fn stands_for(file: &File, superseded: &str) -> bool {
    file.head.supersedes.iter().any(|one| one.file == superseded)
}

/// A file that was there then, or a squash of nothing but such files.
fn belongs(file: &File, upto: &[Name]) -> bool {
    let was_there = |name: &Name| upto.iter().any(|l| l.category == name.category && name.number <= l.number);
    match file.head.supersedes.as_slice() {
        [] => was_there(&file.name),
        all => all.iter().all(|one| Name::parse(&one.file).is_ok_and(|name| was_there(&name))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::modules;
    use super::*;

    fn module(files: &[(&str, &str)]) -> Module {
        let head = "-- Description: d\n-- Breaking: no\n-- Manual: no\n";
        let texts: Vec<_> = files.iter().map(|(name, more)| (*name, format!("{head}{more}\nSELECT 1;\n"))).collect();
        Module::new("m", texts.iter().map(|(name, text)| (*name, text.as_str())), false).unwrap()
    }

    fn release(last: &[&str]) -> Release {
        let last = last.iter().map(|file| (*file).to_owned()).collect();
        Release { version: "1.0.0".into(), last: BTreeMap::from([("m".to_owned(), last)]) }
    }

    fn names(modules: &[Module]) -> Vec<String> {
        modules.iter().flat_map(|module| module.files.iter().map(File::file)).collect()
    }

    #[test]
    fn a_release_ends_in_each_category_where_it_says() {
        let all = [module(&[("001_a.sql", ""), ("002_b.sql", ""), ("100_c.sql", ""), ("S001_d.sql", "")])];
        assert_eq!(
            names(&modules_at(&release(&["001_a.sql", "S001_d.sql"]), &all).unwrap()),
            ["001_a.sql", "S001_d.sql"]
        );
        assert_eq!(names(&modules_at(&release(&["002_b.sql", "100_c.sql"]), &all).unwrap()).len(), 3);
        assert!(matches!(modules_at(&release(&["003_x.sql"]), &all), Err(ReleaseError::UnknownFile { .. })));
        assert!(matches!(modules_at(&release(&["nonsense"]), &all), Err(ReleaseError::Name { .. })));
        let mut elsewhere = release(&[]);
        elsewhere.last.insert("gone".into(), Vec::new());
        assert!(matches!(modules_at(&elsewhere, &all), Err(ReleaseError::UnknownModule { .. })));
    }

    #[test]
    fn a_squash_leaves_nobody_behind_who_has_some_of_its_files() {
        let all = module(&[("001_a.sql", ""), ("002_b.sql", ""), ("003_c.sql", "")]);
        let left = |last: &[&str], supersedes: &[&str]| {
            let supersedes: Vec<String> = supersedes.iter().map(|file| (*file).to_owned()).collect();
            left_behind(&[release(last)], &all, &supersedes).unwrap()
        };
        assert_eq!(left(&["002_b.sql"], &["001_a.sql", "002_b.sql"]), [""; 0]);
        assert_eq!(
            left(&["002_b.sql"], &["001_a.sql", "002_b.sql", "003_c.sql"]),
            ["databases of 1.0.0, from which upgrades are supported, lack 003_c.sql"]
        );
        assert_eq!(left_behind(&[], &all, &["001_a.sql".to_owned()]).unwrap(), [""; 0], "nobody has it");
    }

    #[test]
    fn a_squash_stands_for_what_it_superseded() {
        let sum = "ab".repeat(32);
        let supersedes = format!("-- Supersedes: 001_a.sql sha256:{sum}\n-- Supersedes: 002_b.sql sha256:{sum}");
        let all = [module(&[("003_squash.sql", supersedes.as_str()), ("004_later.sql", "")])];
        assert_eq!(names(&modules_at(&release(&["002_b.sql"]), &all).unwrap()), ["003_squash.sql"]);
    }

    #[test]
    fn the_release_before_is_the_newest_that_lacks_a_file() {
        let all = [module(&[("001_a.sql", ""), ("002_b.sql", ""), ("003_c.sql", "")])];
        let releases: Vec<Release> = [("1.0.0", "001_a.sql"), ("1.1.0", "002_b.sql"), ("1.2.0", "003_c.sql")]
            .map(|(version, last)| Release { version: version.to_owned(), ..release(&[last]) })
            .into();
        let before = |releases| previous(releases, &all).unwrap().map(|release| release.version.clone());
        assert_eq!(before(&releases), Some("1.1.0".to_owned()), "the last one is this one");
        assert_eq!(before(&releases[..2]), Some("1.1.0".to_owned()));
        assert_eq!(before(&releases[..1]), Some("1.0.0".to_owned()));
        assert_eq!(before(&releases[2..]), None);
    }

    #[test]
    fn our_own_manifest_fits_our_own_files() {
        let (releases, modules) = (supported().unwrap(), modules::internal().unwrap());
        assert!(!releases.is_empty());
        for release in releases {
            assert!(!modules_at(&release, &modules).unwrap().is_empty(), "{}", release.version);
        }
    }
}
