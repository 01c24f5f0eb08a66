//! A source file as the rules see it.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub struct Source {
    /// Below `src/`.
    pub path: String,
    /// The folder below `src/`, or the file's own name there.
    pub room: String,
    /// As it is written.
    pub text: String,
    /// Before the unit tests.
    pub body: String,
    /// The body without comments and without what stands in strings.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let room = path.split('/').next().unwrap_or(path).trim_end_matches(".rs").to_owned();
        let only_tests = path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("/testing.rs");
        let body = text.split_once("\n#[cfg(test)]\nmod ").map_or(text, |(body, _)| body);
        let body = if only_tests { String::new() } else { body.to_owned() };
        Self { path: path.to_owned(), room, text: text.to_owned(), code: strip(&body), body }
    }
}

/// Every file of `src/`.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        // A package of its own: its root is the room.
        let text = if name.starts_with("xapi/") { text.replace("crate::", "crate::xapi::") } else { text };
        Source::new(&name, &text)
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Drops comments and the content of string literals; good enough for code that rustfmt has formed.
fn strip(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            code.push_str("\"\"");
            string(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find("'").map_or(rest.len(), |end| end + 2)
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The length of the string literal that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the raw string literal that `text` begins with, if it begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?.bytes().take_while(|byte| *byte == b'#').count();
    let open = 1 + hashes;
    text[open..].starts_with('"').then(|| {
        let close = format!("\"{}", "#".repeat(hashes));
        text[open + 1..].find(&close).map_or(text.len(), |end| open + 1 + end + close.len())
    })
}
