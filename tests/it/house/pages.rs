//! The documentation as one book: every page can be come to and left. Whether links lead somewhere is judged where the site is built
//! (`scripts/site/build`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A page's path below the project's root, and its text without the code in it.
type Pages = BTreeMap<String, String>;

/// Every page that people read.
pub fn all() -> Pages {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs =
        fs::read_dir(root.join("docs")).unwrap().map(|entry| format!("docs/{}", entry.unwrap().file_name().display()));
    let others = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned);
    let pages = docs.chain(others).filter(|path| path.ends_with(".md"));
    pages.map(|path| (path.clone(), without_code(&fs::read_to_string(root.join(&path)).unwrap()))).collect()
}

fn without_code(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What is wrong with the links of these pages.
pub fn findings(pages: &Pages) -> Vec<String> {
    let mut found = Vec::new();
    let mut linked = BTreeSet::new();
    for (path, text) in pages {
        let links: Vec<String> = links(text).map(|link| resolved(path, link)).collect();
        let targets = links.iter().map(|link| link.split('#').next().unwrap_or(link));
        linked.extend(targets.filter(|target| target != path).map(str::to_owned));
        let is_elsewhere = |link: &String| pages.keys().any(|other| other != path && link.starts_with(other.as_str()));
        if path.starts_with("docs/") && !links.iter().any(is_elsewhere) {
            found.push(format!("{path}: it links to no other page"));
        }
    }
    let lost = pages.keys().filter(|path| path.starts_with("docs/") && !linked.contains(*path));
    found.extend(lost.map(|path| format!("{path}: no page links to it")));
    found
}

/// The targets of Markdown links, those to other sites left out.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains(' '))
}

/// A link of a page as a path below the root.
fn resolved(page: &str, link: &str) -> String {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    match (link.strip_prefix("../"), link.strip_prefix('#')) {
        (Some(above), _) => above.to_owned(),
        (_, Some(anchor)) => format!("{page}#{anchor}"),
        _ if folder.is_empty() => link.to_owned(),
        _ => format!("{folder}/{link}"),
    }
}
