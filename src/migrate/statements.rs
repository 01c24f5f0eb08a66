//! Splits SQL text into its statements, minding quotes, dollar quotes and comments. Pure.
//!
//! It knows no grammar; the linter does. The runner itself needs only this much to refuse a file it could not
//! apply atomically.

/// One statement: its text without leading comments, and the line of the file on which it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    pub text: &'a str,
    pub line: usize,
    /// Its words in lower case, quoted text left out, for recognising what it does.
    pub words: Vec<String>,
}

impl Statement<'_> {
    /// Whether the statement starts with these words.
    pub fn starts_with(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words.iter().zip(words).all(|(a, b)| a == b)
    }

    /// Whether these words stand one after the other anywhere in it.
    pub fn has(&self, words: &[&str]) -> bool {
        self.words.windows(words.len()).any(|window| window.iter().zip(words).all(|(a, b)| a == b))
    }
}

/// Every statement of `sql` in order; comments and empty statements are left out.
pub fn split(sql: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let mut scan = Scan { sql, at: 0 };
    let (mut start, mut words) = (None, Vec::new());
    let mut atomic = Atomic::default();
    while let Some(token) = scan.next() {
        match token.kind {
            Kind::Blank => {}
            Kind::End if atomic.depth > 0 => {}
            Kind::End => {
                atomic = Atomic::default();
                if let Some(from) = start.take() {
                    found.push(statement(sql, from, token.from, std::mem::take(&mut words)));
                }
            }
            Kind::Word | Kind::Other => {
                start.get_or_insert(token.from);
                if token.kind == Kind::Word {
                    let word = sql[token.from..scan.at].to_lowercase();
                    atomic.see(&word);
                    words.push(word);
                }
            }
        }
    }
    if let Some(from) = start {
        found.push(statement(sql, from, sql.len(), words));
    }
    found
}

fn statement(sql: &str, from: usize, to: usize, words: Vec<String>) -> Statement<'_> {
    let line = sql[..from].matches('\n').count() + 1;
    Statement { text: sql[from..to].trim_end(), line, words }
}

/// The body of a function in standard SQL, `BEGIN ATOMIC … END`, holds semicolons that end no statement.
#[derive(Default)]
struct Atomic {
    depth: usize,
    began: bool,
}

impl Atomic {
    fn see(&mut self, word: &str) {
        match word {
            "atomic" if self.began => self.depth = 1,
            "case" if self.depth > 0 => self.depth += 1,
            "end" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.began = word == "begin";
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Word,
    Other,
    End,
}

struct Token {
    kind: Kind,
    from: usize,
}

struct Scan<'a> {
    sql: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<Token> {
        let from = self.at;
        let rest = &self.sql[from..];
        let first = rest.chars().next()?;
        let (kind, length) = if rest.starts_with("--") {
            (Kind::Blank, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Kind::Blank, block_comment(rest))
        } else if first.is_whitespace() {
            (Kind::Blank, first.len_utf8())
        } else if first == ';' {
            (Kind::End, 1)
        } else if first == '\'' {
            (Kind::Other, quoted(rest, '\'', false))
        } else if first == '"' {
            (Kind::Other, quoted(rest, '"', false))
        } else if (first == 'e' || first == 'E') && rest[1..].starts_with('\'') {
            (Kind::Other, 1 + quoted(&rest[1..], '\'', true))
        } else if let Some(tag) = dollar_tag(rest) {
            let body = &rest[tag.len()..];
            (Kind::Other, body.find(tag).map_or(rest.len(), |end| end + 2 * tag.len()))
        } else if first.is_alphabetic() || first == '_' {
            (Kind::Word, rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()))
        } else {
            (Kind::Other, first.len_utf8())
        };
        self.at = from + length;
        Some(Token { kind, from })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Block comments nest in PostgreSQL.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a quoted token; a doubled quote stays inside, and so does an escaped one where escapes count.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// `$$` or `$tag$` at the start of the text.
fn dollar_tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('$')?;
    let end = inner.find('$')?;
    let tag = &inner[..end];
    let fits = !tag.starts_with(|c: char| c.is_ascii_digit()) && tag.chars().all(|c| c.is_alphanumeric() || c == '_');
    fits.then(|| &text[..end + 2])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        split(sql).into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn splits_at_semicolons_that_count() {
        let sql = "-- a; b\nSELECT ';', \"a;b\", E'\\';' ;; /* ; /* ; */ ; */ INSERT INTO t VALUES ('it''s;');\n;";
        assert_eq!(texts(sql), ["SELECT ';', \"a;b\", E'\\';'", "INSERT INTO t VALUES ('it''s;')"]);
        assert_eq!(
            texts("DO $$ BEGIN; COMMIT; $$; SELECT $a$ ; $$ ; $a$"),
            ["DO $$ BEGIN; COMMIT; $$", "SELECT $a$ ; $$ ; $a$"]
        );
        let body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END FROM t; SELECT 2; END";
        assert_eq!(texts(&format!("{body}; SELECT 3")), [body, "SELECT 3"]);
        assert!(texts(" -- nothing\n /* at all */ ; ").is_empty());
    }

    #[test]
    fn keeps_words_and_lines() {
        let found = split("\n-- note\nCREATE UNIQUE INDEX Concurrently\n i ON t (a);\nCOMMIT");
        assert_eq!((found[0].line, found[1].line), (3, 5));
        assert!(found[0].has(&["index", "concurrently"]) && found[1].starts_with(&["commit"]));
        assert!(!split("SELECT 'commit'")[0].has(&["commit"]));
        assert!(split("SELECT $1, a$b, 1")[0].has(&["a$b"]));
    }

    proptest! {
        #[test]
        fn never_panics_and_loses_no_statement_text(sql in "[a-z$'\";*/\\-\\\\ \né]{0,60}") {
            let found = split(&sql);
            prop_assert!(found.iter().all(|s| !s.text.is_empty() && sql.contains(s.text)));
        }
    }
}
