//! What a statement outside a transaction is, from its text: how it may wait depends on that. Pure.

use super::statements::{Statement, split};
use crate::store::schema::migrations::concurrent::{Alone, IndexParts};

/// What the one statement of a no-transaction file is.
pub fn alone(text: &str) -> Alone {
    let statements = split(text);
    let Some(statement) = statements.first() else { return Alone::Brief };
    if let Some(parts) = created_index(statement) {
        Alone::BuildIndex(parts)
    } else if let Some(name) = dropped_index(statement) {
        Alone::DropIndex(name)
    } else if statement.words.iter().any(|word| word == "concurrently") {
        Alone::Concurrent
    } else {
        Alone::Brief
    }
}

/// `CREATE [UNIQUE] INDEX CONCURRENTLY IF NOT EXISTS name ON [ONLY] table …`.
fn created_index(statement: &Statement<'_>) -> Option<IndexParts> {
    let mut read = Read(statement.text);
    read.word("create")?;
    let unique = read.word("unique").is_some();
    for word in ["index", "concurrently", "if", "not", "exists"] {
        read.word(word)?;
    }
    let name = read.identifier()?.to_owned();
    read.word("on")?;
    let _ = read.word("only");
    let table = read.qualified()?;
    Some(IndexParts { unique, name, table, rest: read.blank().trim_end().to_owned() })
}

/// `DROP INDEX CONCURRENTLY [IF EXISTS] name` with nothing behind it.
fn dropped_index(statement: &Statement<'_>) -> Option<String> {
    let mut read = Read(statement.text);
    for word in ["drop", "index", "concurrently"] {
        read.word(word)?;
    }
    if read.word("if").is_some() {
        read.word("exists")?;
    }
    let name = read.qualified()?;
    read.blank().is_empty().then_some(name)
}

/// Reads from the front of a statement.
struct Read<'a>(&'a str);

impl<'a> Read<'a> {
    /// What is left, without blanks and comments before it.
    fn blank(&mut self) -> &'a str {
        loop {
            self.0 = self.0.trim_start();
            let after = match self.0.get(..2) {
                Some("--") => self.0.find('\n').map_or("", |end| &self.0[end..]),
                Some("/*") => self.0.find("*/").map_or("", |end| &self.0[end + 2..]),
                _ => return self.0,
            };
            self.0 = after;
        }
    }

    fn word(&mut self, wanted: &str) -> Option<()> {
        let rest = self.blank();
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let fits = rest[..end].eq_ignore_ascii_case(wanted);
        fits.then(|| self.0 = &rest[end..])
    }

    /// A name, in quotes or not, as it is written.
    fn identifier(&mut self) -> Option<&'a str> {
        let rest = self.blank();
        let end = match rest.strip_prefix('"') {
            Some(_) => closing_quote(rest)?,
            None => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
        };
        self.0 = &rest[end..];
        (end > 0).then(|| &rest[..end])
    }

    /// `name` or `schema.name`.
    fn qualified(&mut self) -> Option<String> {
        let first = self.identifier()?.to_owned();
        match self.blank().strip_prefix('.') {
            None => Some(first),
            Some(rest) => {
                self.0 = rest;
                Some(format!("{first}.{}", self.identifier()?))
            }
        }
    }
}

/// Where the quoted name at the front ends; a doubled quote stands for one within it.
fn closing_quote(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text[at..].find('"')? + 1;
        match text[at..].starts_with('"') {
            true => at += 1,
            false => return Some(at),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(unique: bool, name: &str, table: &str, rest: &str) -> Alone {
        let [name, table, rest] = [name, table, rest].map(str::to_owned);
        Alone::BuildIndex(IndexParts { unique, name, table, rest })
    }

    #[test]
    fn finds_the_parts_of_an_index_however_it_is_written() {
        for (text, expected) in [
            ("-- head\nCREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON s.t (a);", index(false, "t_a", "s.t", "(a)")),
            (
                "create unique index concurrently /* why */ if not exists \"T \"\"a\" -- x\n on only \"S\" . \"T\" using gin (a) where b;",
                index(true, "\"T \"\"a\"", "\"S\".\"T\"", "using gin (a) where b"),
            ),
            (
                "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t(lower(a)) INCLUDE (b)",
                index(false, "i", "t", "(lower(a)) INCLUDE (b)"),
            ),
        ] {
            assert_eq!(alone(text), expected, "{text}");
        }
    }

    #[test]
    fn tells_what_waits_shortly_from_what_must_not_be_cut_short() {
        for text in
            ["VACUUM FULL t", "CLUSTER t", "REINDEX TABLE t", "INSERT INTO t VALUES ('concurrently')", "VACUUM t"]
        {
            assert_eq!(alone(text), Alone::Brief, "{text}");
        }
        for text in [
            "REINDEX INDEX CONCURRENTLY i",
            "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
            "DROP INDEX CONCURRENTLY a, b",
        ] {
            assert_eq!(alone(text), Alone::Concurrent, "{text}");
        }
        assert_eq!(alone("DROP INDEX CONCURRENTLY IF EXISTS s.\"i\";"), Alone::DropIndex("s.\"i\"".to_owned()));
    }
}
