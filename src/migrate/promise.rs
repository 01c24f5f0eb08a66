//! What is promised to the release before: which files of this binary it can live with. Pure, but for the rows that keep it.
//!
//! A promise stands in the table of superseded files, `for 0.2.0` in the place of a squash, for that is what 0.2.0 reads already: a
//! file that is named there is in nobody's way. A later release withdraws the promises to those before the one before it.

use std::sync::OnceLock;

use super::{
    head::Previous,
    modules::{self, File, Module},
    plan::{Known, Problem},
    releases::{self, Release},
    shape::Effect,
};

/// What this binary knows of the releases before it.
struct Past {
    /// The names of all of them.
    versions: Vec<String>,
    previous: Option<Release>,
    /// `module/file` of what that one had.
    had: Vec<String>,
}

fn past() -> &'static Past {
    static PAST: OnceLock<Past> = OnceLock::new();
    PAST.get_or_init(|| read().unwrap_or_else(|| Past { versions: Vec::new(), previous: None, had: Vec::new() }))
}

/// `None`: the manifest does not fit the files, which a test of the manifest keeps from happening.
fn read() -> Option<Past> {
    let (releases, internal) = (releases::supported().ok()?, modules::internal().ok()?);
    let previous = releases::previous(&releases, &internal).ok()?.cloned();
    let had = match &previous {
        Some(release) => releases::modules_at(release, &internal).ok()?,
        None => internal,
    };
    let name = |module: &Module| {
        module.files.iter().map(|file| format!("{}/{}", module.name, file.file())).collect::<Vec<_>>()
    };
    let had = had.iter().flat_map(name).collect();
    Some(Past { versions: releases.into_iter().map(|release| release.version).collect(), previous, had })
}

/// The release before this binary, which may still serve while this one starts.
pub fn previous() -> Option<&'static str> {
    past().previous.as_ref().map(|release| release.version.as_str())
}

/// Every release that this binary comes after, or is: a promise to one of them is one to it.
pub fn known() -> &'static [String] {
    &past().versions
}

/// The release to which applying this file promises that it can live with it. A plug-in has to say so; the product's own files
/// are additive unless their head says otherwise.
pub fn made_by(module: &Module, file: &File) -> Option<&'static str> {
    let serves = match file.head.previous {
        Some(said) => said == Previous::Serves,
        None => is_ours(module) && !file.head.breaking && file.kind != Effect::Destructive,
    };
    let had = past().had.contains(&format!("{}/{}", module.name, file.file()));
    previous().filter(|_| serves && !had)
}

fn is_ours(module: &Module) -> bool {
    !module.plugin && modules::INTERNAL.contains(&module.name.as_str())
}

/// Whether a newer release's file was promised to be none of this binary's concern.
fn is_kept(one: Known<'_>, file: &str) -> bool {
    one.facts.promises.iter().any(|promise| promise.file == file && known().contains(&promise.release))
}

/// What is left of problems for who only serves: what a newer release added with a promise is none.
pub fn for_serving(known: &[Known<'_>], problems: Vec<Problem>) -> Vec<Problem> {
    let is_kept = |problem: &Problem| match problem {
        Problem::Newer { module, file } => known.iter().any(|one| one.module.name == *module && is_kept(*one, file)),
        _ => false,
    };
    problems.into_iter().filter(|problem| !is_kept(problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::migrations::facts::{Promise, SchemaFacts};

    fn one(name: &str, plugin: bool, head: &str) -> Module {
        let text = format!("-- Description: d\n-- Manual: yes\n{head}\nSELECT 1;");
        Module::new(name, [("999_a.sql", text.as_str())], plugin).unwrap()
    }

    fn promised(name: &str, plugin: bool, head: &str) -> bool {
        let module = one(name, plugin, head);
        made_by(&module, &module.files[0]).is_some()
    }

    #[test]
    fn what_only_adds_is_promised_and_the_head_has_the_last_word() {
        assert!(promised("ledger", false, "-- Breaking: no"));
        assert!(!promised("ledger", false, "-- Breaking: no\n-- Previous: stops"));
        assert!(!promised("ledger", false, "-- Breaking: yes"));
        assert!(promised("ledger", false, "-- Breaking: yes\n-- Previous: serves"), "its author knows better");
        assert!(!promised("shop", true, "-- Breaking: no"), "whose plug-in says nothing promises nothing");
        assert!(promised("shop", true, "-- Breaking: no\n-- Previous: serves"));
    }

    #[test]
    fn nothing_is_promised_of_what_the_release_before_has() {
        for module in modules::internal().unwrap() {
            for file in &module.files {
                let had = past().had.contains(&format!("{}/{}", module.name, file.file()));
                assert!(!had || made_by(&module, file).is_none(), "{}", file.file());
            }
        }
        assert!(known().iter().any(|version| Some(version.as_str()) == previous()));
    }

    #[test]
    fn a_promise_to_a_release_that_is_not_known_is_none() {
        let module = one("ledger", false, "-- Breaking: no");
        let problem = || vec![Problem::Newer { module: "ledger".to_owned(), file: "1000_b.sql".to_owned() }];
        for (release, file, left) in [
            (previous().unwrap(), "1000_b.sql", 0),
            (previous().unwrap(), "1001_c.sql", 1),
            ("999.0.0", "1000_b.sql", 1),
        ] {
            let promises = vec![Promise { file: file.to_owned(), release: release.to_owned() }];
            let facts = SchemaFacts { promises, ..SchemaFacts::default() };
            let known = [Known { module: &module, facts: &facts }];
            assert_eq!(for_serving(&known, problem()).len(), left, "{release} {file}");
        }
    }
}
