//! Files that need each other: a name that stands in the wrong one of two files ties them, and neither is read alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::source::Source;

/// A path of segments, such as `store`, `ledger`, `pages`.
type Segments = Vec<String>;

/// A file, the module it is, and what it hands on under another address.
struct Module<'a> {
    source: &'a Source,
    /// `pub use`: the name here, and the path it stands for.
    handed_on: HashMap<String, Segments>,
    /// Every other path that its code names, from the crate's root.
    named: BTreeSet<Segments>,
}

/// Every circle of files, as one line with the files in it.
pub fn circles(sources: &[Source]) -> Vec<String> {
    let modules: BTreeMap<Segments, Module> =
        sources.iter().map(|source| (module_of(&source.path), Module::read(source))).collect();
    let arrows: BTreeMap<&str, BTreeSet<&str>> = modules
        .values()
        .map(|module| {
            let targets = module.named.iter().filter_map(|path| home(&modules, path, 8));
            let own = module_of(&module.source.path);
            // A folder is read from its face, so what stands in it may know the face.
            let is_news = |target: &&str| !own.starts_with(&module_of(target));
            (module.source.path.as_str(), targets.filter(is_news).collect())
        })
        .collect();
    let together = |a: &str, b: &str| reaches(&arrows, a, b) && reaches(&arrows, b, a);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for file in arrows.keys() {
        let circle: Vec<&str> =
            arrows.keys().filter(|other| *other != file && together(file, other)).copied().collect();
        if !circle.is_empty() && seen.insert(*file) {
            seen.extend(&circle);
            let ties = circle.iter().chain([file]).flat_map(|from| {
                let inside = arrows[from].iter().filter(|to| *to == file || circle.contains(to));
                inside.map(move |to| format!("{from} -> {to}"))
            });
            found.push(format!("these files need each other: {}", ties.collect::<Vec<_>>().join(", ")));
        }
    }
    found
}

impl<'a> Module<'a> {
    fn read(source: &'a Source) -> Self {
        let own = module_of(&source.path);
        let (mut handed_on, mut named) = (HashMap::new(), BTreeSet::new());
        let mut rest = String::new();
        for statement in source.code.split_inclusive(';') {
            let Some((before, tree)) = used(statement) else {
                rest.push_str(statement);
                continue;
            };
            rest.push_str(before);
            let is_public = before.trim_end().ends_with("pub") || before.trim_end().ends_with(')');
            for (path, alias) in leaves(tree) {
                let path = absolute(&own, &path);
                if is_public && let Some(name) = alias.or_else(|| path.last().cloned()) {
                    handed_on.insert(name, path);
                } else {
                    named.insert(path);
                }
            }
        }
        named.extend(inline(&rest).into_iter().map(|path| absolute(&own, &path)));
        Self { source, handed_on, named }
    }
}

/// The module that a file is.
fn module_of(path: &str) -> Segments {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|segment| *segment != "lib").map(str::to_owned).collect()
}

/// The file in which the thing stands that `path` names; none for what is no module of ours.
fn home<'a>(modules: &'a BTreeMap<Segments, Module>, path: &[String], hops: u32) -> Option<&'a str> {
    let length = (1..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let module = &modules[&path[..length]];
    let passed_on = path.get(length).and_then(|name| module.handed_on.get(name));
    match passed_on {
        Some(target) if hops > 0 => {
            let target: Segments = target.iter().chain(&path[length + 1..]).cloned().collect();
            home(modules, &target, hops - 1).or(Some(&module.source.path))
        }
        _ => Some(&module.source.path),
    }
}

fn reaches<'a>(arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str, to: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        for target in arrows.get(file).into_iter().flatten() {
            if *target == to {
                return true;
            }
            if seen.insert(*target) {
                next.push(target);
            }
        }
    }
    false
}

/// What stands before `use` and its tree, when a statement is an import.
fn used(statement: &str) -> Option<(&str, &str)> {
    let at = statement.rfind("use ").filter(|at| {
        let line = statement[..*at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line.starts_with("pub") && !line.contains('{')
    })?;
    Some((&statement[..at], statement[at + "use ".len()..].trim_end_matches(';')))
}

/// The paths of a tree of imports, each with the name it is given here.
fn leaves(tree: &str) -> Vec<(Segments, Option<String>)> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let (path, alias) =
            tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.to_owned())));
        let path = path
            .split("::")
            .map(|segment| segment.trim().to_owned())
            .filter(|s| s != "self" && s != "*" && !s.is_empty());
        return vec![(path.collect(), alias)];
    };
    let head: Segments = head.split("::").map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut from, mut entries) = (0_u32, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    entries.push(&group[from..]);
    let full = |(path, alias): (Segments, _)| (head.iter().cloned().chain(path).collect(), alias);
    entries
        .into_iter()
        .filter(|entry| !entry.trim().is_empty())
        .flat_map(|entry| leaves(entry).into_iter().map(full))
        .collect()
}

/// Paths with at least two segments in code that is no import.
fn inline(code: &str) -> Vec<Segments> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c: char| !is_part(c)).filter(|word| word.contains("::"));
    words.map(|word| word.split("::").filter(|s| !s.is_empty()).map(str::to_owned).collect()).collect()
}

/// A path as it is written in module `own`, from the crate's root.
fn absolute(own: &[String], path: &[String]) -> Segments {
    let ups = path.iter().take_while(|segment| *segment == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("super") => own[..own.len().saturating_sub(ups)].iter().chain(&path[ups..]).cloned().collect(),
        // A child, or a foreign crate: what is no module of ours is left out later.
        _ => own.iter().chain(path.iter().filter(|segment| *segment != "self")).cloned().collect(),
    }
}
