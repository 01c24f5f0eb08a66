//! Where a rule is broken and how it is told. A path is a chain on the stack: it costs nothing until something is wrong.

use std::fmt::Write;

use crate::{Limits, Version, Violation, Violations};

use super::table as rule;

/// Characters of a refused value that an answer repeats.
const ECHO: usize = 80;

/// A place in a document.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }

    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }

    /// The path as a JSON pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    pub fn write(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Key(parent, key) => {
                parent.write(out);
                out.push('/');
                // A key may be as long as a body; the pointer of a violation need not be.
                for c in key.chars().take(256) {
                    match c {
                        '~' => out.push_str("~0"),
                        '/' => out.push_str("~1"),
                        c => out.push(c),
                    }
                }
            }
            Path::Index(parent, index) => {
                parent.write(out);
                _ = write!(out, "/{index}");
            }
        }
    }
}

/// The violations found so far, and what the rules need to know of the request.
pub(crate) struct Report<'a> {
    pub limits: &'a Limits,
    pub version: Version,
    /// Position of the statement that is being checked.
    pub statement: Option<usize>,
    found: Vec<Violation>,
    unlisted: usize,
}

impl<'a> Report<'a> {
    pub fn new(version: Version, limits: &'a Limits) -> Self {
        Self { limits, version, statement: None, found: Vec::new(), unlisted: 0 }
    }

    /// Notes a broken rule. The sentence is only made when it will be listed.
    #[cold]
    pub fn add(&mut self, at: &Path, rule: &'static str, message: impl FnOnce() -> String) {
        if self.found.len() >= self.limits.violations {
            self.unlisted += 1;
            return;
        }
        let violation = Violation { statement: self.statement, pointer: at.pointer(), rule, message: message() };
        self.found.push(violation);
    }

    /// A property that must not stand here.
    #[cold]
    pub fn unknown(&mut self, at: &Path, owner: &str, allowed: &str) {
        if let Path::Key(_, key) = at {
            self.add(at, rule::PROPERTY_UNKNOWN, || {
                format!("{} is not a property of {owner}; expected one of {allowed}", excerpt(key))
            });
        }
    }

    /// A property that must stand here, unless it was seen.
    pub fn required(&mut self, seen: bool, at: &Path, owner: &str, key: &str) {
        if !seen {
            self.add(at, rule::PROPERTY_REQUIRED, || format!("{owner} must have the property `{key}`"));
        }
    }

    pub fn finish(mut self) -> Result<(), Violations> {
        if self.found.is_empty() && self.unlisted == 0 {
            return Ok(());
        }
        if self.unlisted > 0 {
            let (more, limit) = (self.unlisted, self.limits.violations);
            let message = format!("{more} more violations were found; {limit} is the most that are listed");
            let pointer = String::new();
            self.found.push(Violation { statement: None, pointer, rule: rule::VIOLATIONS_MORE, message });
        }
        Err(Violations(self.found))
    }
}

/// A refused text in quotes, cut to a length that is safe to repeat.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(ECHO) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_escaped_and_bounded() {
        let (root, long) = (Path::Root, "x".repeat(10_000));
        let (extensions, long) = (root.key("extensions"), root.key(&long));
        let key = extensions.key("http://a~b");
        assert_eq!(key.index(3).pointer(), "/extensions/http:~1~1a~0b/3");
        assert_eq!(root.pointer(), "");
        assert_eq!(long.pointer().len(), 257);
    }

    #[test]
    fn an_excerpt_never_repeats_more_than_eighty_characters() {
        assert_eq!(excerpt("short"), "\"short\"");
        assert_eq!(excerpt(&"é".repeat(1_000)).chars().filter(|c| *c == 'é').count(), ECHO);
    }

    #[test]
    fn lists_no_more_than_the_limit_and_counts_the_rest() {
        let limits = Limits { violations: 2, ..Limits::default() };
        let mut report = Report::new(Version::V1_0_3, &limits);
        for n in 0..5 {
            report.add(&Path::Root.index(n), rule::TYPE_STRING, || format!("number {n}"));
        }
        let Err(Violations(list)) = report.finish() else { panic!("five violations are an error") };
        assert_eq!(list.len(), 3);
        assert_eq!((list[2].rule, list[2].message.starts_with("3 more")), (rule::VIOLATIONS_MORE, true));
    }
}
