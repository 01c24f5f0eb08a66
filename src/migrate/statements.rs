//! Splits SQL text into its statements, minding quotes, dollar quotes and comments. Pure.
//!
//! It knows no grammar; the linter does. The runner itself needs only this much to refuse a file it could not
//! apply atomically. It looks at every byte once, so that a file of megabytes costs no more than its length.

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
    let mut scan = Scan::new(sql);
    let (mut start, mut words, mut nesting) = (None, Vec::new(), Nesting::default());
    while let Some(token) = scan.next() {
        match token.kind {
            Kind::Blank => {}
            Kind::End if nesting.is_open() => {}
            Kind::End => {
                nesting = Nesting::default();
                if let Some(from) = start.take() {
                    found.push(statement(sql, from, token.from, std::mem::take(&mut words)));
                }
            }
            Kind::Word | Kind::Other => {
                start.get_or_insert((token.from, token.line));
                if token.kind == Kind::Word {
                    let word = sql[token.from..scan.at].to_lowercase();
                    nesting.see_word(&word, words.len());
                    words.push(word);
                } else {
                    nesting.see_sign(sql.as_bytes()[token.from]);
                }
            }
        }
    }
    if let Some(from) = start {
        found.push(statement(sql, from, sql.len(), words));
    }
    found
}

fn statement(sql: &str, (from, line): (usize, usize), to: usize, words: Vec<String>) -> Statement<'_> {
    // Not every blank of Unicode is one for the server.
    let text = sql[from..to].trim_end_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    Statement { text, line, words }
}

/// What stands in the quotes of `sql`, and in the quotes within them: whatever a `DO` block may do is in one of these.
pub fn quoted_parts(sql: &str) -> Vec<&str> {
    let (mut found, mut next) = (vec![sql], 0);
    while let Some(text) = found.get(next).copied() {
        let mut scan = Scan::new(text);
        while let Some(token) = scan.next() {
            let part = &text[token.from..scan.at];
            if token.kind == Kind::Other && part.len() > 2 && !part.starts_with('"') {
                found.push(inside(part));
            }
        }
        next += 1;
    }
    found.remove(0);
    found
}

/// What stands between the quotes of a token.
fn inside(quoted: &str) -> &str {
    let open = match dollar_tag(quoted) {
        Some(tag) => tag.len(),
        None => quoted.find('\'').map_or(0, |at| at + 1),
    };
    let close = if quoted.starts_with('$') { open } else { 1 };
    quoted.get(open..quoted.len().saturating_sub(close)).unwrap_or("")
}

/// Every token of `sql` that is neither blank nor comment, with its place: words, quoted texts whole, and single signs.
pub fn tokens(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut scan = Scan::new(sql);
    let all = std::iter::from_fn(move || scan.next().map(|token| (token, scan.at)));
    all.filter(|(token, _)| token.kind != Kind::Blank).map(move |(token, to)| (token.from, &sql[token.from..to]))
}

/// The first line with a command for psql, which no server understands: a backslash outside of quotes.
pub fn psql_command(sql: &str) -> Option<usize> {
    let mut scan = Scan::new(sql);
    while let Some(token) = scan.next() {
        if token.kind == Kind::Other && sql.as_bytes()[token.from] == b'\\' {
            return Some(token.line);
        }
    }
    None
}

/// Semicolons that end no statement: in parentheses, and in the body of a function in standard SQL
/// (`BEGIN ATOMIC … END`).
#[derive(Default)]
struct Nesting {
    parentheses: usize,
    atomic: usize,
    creates: bool,
    makes_routine: bool,
    began: bool,
}

impl Nesting {
    fn is_open(&self) -> bool {
        self.atomic > 0 || self.parentheses > 0
    }

    fn see_sign(&mut self, sign: u8) {
        match sign {
            b'(' => self.parentheses += 1,
            b')' => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
        self.began = false;
    }

    /// `number` words came before it.
    fn see_word(&mut self, word: &str, number: usize) {
        self.creates |= number == 0 && word == "create";
        self.makes_routine |= self.creates && number < 4 && matches!(word, "function" | "procedure");
        if self.parentheses == 0 && self.makes_routine {
            match word {
                "atomic" if self.began => self.atomic = 1,
                "case" if self.atomic > 0 => self.atomic += 1,
                "end" => self.atomic = self.atomic.saturating_sub(1),
                _ => {}
            }
        }
        self.began = word == "begin";
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Blank,
    Word,
    Other,
    End,
}

struct Token {
    kind: Kind,
    from: usize,
    line: usize,
}

struct Scan<'a> {
    sql: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Scan<'a> {
    fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, line: 1 }
    }

    fn next(&mut self) -> Option<Token> {
        let (from, line) = (self.at, self.line);
        let rest = &self.sql[from..];
        let bytes = rest.as_bytes();
        let (kind, length) = match (*bytes.first()?, bytes.get(1).copied()) {
            (b'-', Some(b'-')) => (Kind::Blank, rest.find('\n').unwrap_or(rest.len())),
            (b'/', Some(b'*')) => (Kind::Blank, block_comment(bytes)),
            (b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c', _) => (Kind::Blank, 1),
            (b';', _) => (Kind::End, 1),
            (b'\'', _) => (Kind::Other, quoted(bytes, b'\'', false)),
            (b'"', _) => (Kind::Other, quoted(bytes, b'"', false)),
            (b'e' | b'E', Some(b'\'')) => (Kind::Other, 1 + quoted(&bytes[1..], b'\'', true)),
            (b'$', _) => (Kind::Other, dollar_quoted(rest)),
            (first, _) if starts_word(first) => {
                (Kind::Word, bytes.iter().position(|b| !is_word(*b)).unwrap_or(bytes.len()))
            }
            _ => (Kind::Other, 1),
        };
        self.at = from + length;
        self.line += bytes[..length].iter().filter(|b| **b == b'\n').count();
        Some(Token { kind, from, line })
    }
}

/// Every byte of a character beyond ASCII belongs to a word, as in PostgreSQL: so no character is cut.
fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// The length of a block comment. They nest in PostgreSQL.
fn block_comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let pair = text.get(at..at + 2).unwrap_or_default();
        (depth, at) = match pair {
            b"/*" => (depth + 1, at + 2),
            b"*/" => (depth - 1, at + 2),
            _ => (depth, at + 1),
        };
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a quoted token; a doubled quote stays inside, and so does an escaped one where escapes count.
fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        if text[at] == b'\\' && escapes {
            at += 1;
        } else if text[at] == quote {
            if text.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    text.len()
}

/// The length of `$tag$ … $tag$`, or 1 where the dollar opens nothing.
fn dollar_quoted(text: &str) -> usize {
    let Some(tag) = dollar_tag(text) else { return 1 };
    text[tag.len()..].find(tag).map_or(text.len(), |end| end + 2 * tag.len())
}

/// `$$` or `$tag$` at the start of the text. It looks no further than the characters of a tag.
fn dollar_tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('$')?.as_bytes();
    let end = inner.iter().position(|b| *b == b'$' || !is_word(*b))?;
    let fits = inner[end] == b'$' && !inner[0].is_ascii_digit();
    fits.then(|| &text[..end + 2])
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, time::Instant};

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
        assert!(texts(" -- nothing\n /* at all */ ; ").is_empty());
    }

    #[test]
    fn bodies_in_standard_sql_and_parentheses_hold_semicolons() {
        let body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END FROM t; SELECT 2; END";
        assert_eq!(texts(&format!("{body}; SELECT 3")), [body, "SELECT 3"]);
        let replaced = body.replace("FUNCTION", "OR REPLACE PROCEDURE");
        assert_eq!(texts(&format!("{replaced}; SELECT 3")), [replaced.as_str(), "SELECT 3"]);
        let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2))";
        assert_eq!(texts(&format!("{rule}; SELECT 3")), [rule, "SELECT 3"]);
    }

    /// What looks like the beginning of a body, or of a quote, must not hide a COMMIT behind it.
    #[test]
    fn nothing_hides_the_end_of_a_statement() {
        for (sql, last) in [
            ("SELECT 1 AS begin atomic; COMMIT", "COMMIT"),
            ("CREATE FUNCTION f(begin atomic) RETURNS int RETURN 1; COMMIT", "COMMIT"),
            ("CREATE FUNCTION f() RETURNS int RETURN CASE WHEN true THEN 1 END; COMMIT", "COMMIT"),
            ("SELECT 'a\\'; COMMIT", "COMMIT"),
            ("SELECT namee'a\\'; COMMIT", "COMMIT"),
            ("SELECT U&'a\\'; COMMIT", "COMMIT"),
            ("SELECT $1, $2; COMMIT", "COMMIT"),
            ("SELECT a$b$; COMMIT; $b$", "$b$"),
            ("SELECT $\u{a0}; COMMIT; $\u{a0}", "$\u{a0}"),
            ("/* /* */ ; */ SELECT 1; COMMIT", "COMMIT"),
        ] {
            assert_eq!(texts(sql).last(), Some(&last), "{sql}");
            assert!(texts(sql).contains(&"COMMIT"), "{sql}");
        }
    }

    #[test]
    fn keeps_words_and_lines() {
        let found = split("\n-- note\nCREATE UNIQUE INDEX Concurrently\n i ON t (a);\nCOMMIT");
        assert_eq!((found[0].line, found[1].line), (3, 5));
        assert!(found[0].has(&["index", "concurrently"]) && found[1].starts_with(&["commit"]));
        assert!(!split("SELECT 'commit'")[0].has(&["commit"]));
        assert!(split("SELECT $1, a$b, 1")[0].has(&["a$b"]));
        assert_eq!(split("SELECT '\n\n', $$\n$$;\nSELECT 2")[1].line, 5);
    }

    #[test]
    fn what_is_quoted_is_found_however_deep() {
        let parts =
            quoted_parts("DO $a$ BEGIN EXECUTE 'DROP TABLE ' || $b$ x $b$; RAISE E'it''s'; END $a$ -- 'not this'");
        let rest: Vec<&str> = parts[1..].to_vec();
        assert!(parts[0].starts_with(" BEGIN"));
        assert_eq!(rest, ["DROP TABLE ", " x ", "it''s"]);
    }

    #[test]
    fn commands_for_psql_are_found() {
        assert_eq!(psql_command("SELECT 1;\n\\copy t from 'x'"), Some(2));
        assert_eq!(psql_command("SELECT E'\\n', '\\copy', $$ \\i $$; -- \\i\n"), None);
    }

    /// Eight times the text takes about eight times as long, whatever the text is made of; it took sixty times.
    #[test]
    fn the_time_grows_with_the_text_and_not_with_its_square() {
        for unit in [
            "INSERT INTO progress.t (a, b) VALUES (1, 'it''s');\n",
            "SELECT $1, $2 + $3;\n",
            "/* a /* b */ */ -- c\n\n\n",
            "SELECT $a$ it's $a$ || E'\\'';\n",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;\n",
        ] {
            let took = |text: &str, times: usize| {
                let begun = Instant::now();
                for _ in 0..times {
                    black_box((split(black_box(text)), psql_command(text), quoted_parts(text)));
                }
                begun.elapsed()
            };
            let (small, large) = (unit.repeat(500), unit.repeat(4_000));
            // Eight small texts take as long as one large one, so that a busy machine is as busy for both.
            let is_linear = |_: i32| took(&large, 1) < took(&small, 8) * 2;
            assert!((0..5).any(is_linear), "{unit:?}: {:?}, and {:?} in one text", took(&small, 8), took(&large, 1));
        }
    }

    /// The text again, from its statements and what stands between them, which is nothing but what separates them.
    fn joined(sql: &str) -> String {
        let (mut text, mut at) = (String::new(), 0);
        for statement in split(sql) {
            let from = statement.text.as_ptr() as usize - sql.as_ptr() as usize;
            assert_eq!(statement.line, sql[..from].matches('\n').count() + 1, "{sql:?}");
            assert!(is_separator(&sql[at..from]), "{:?} is between statements in {sql:?}", &sql[at..from]);
            text.push_str(&sql[at..from]);
            text.push_str(statement.text);
            at = from + statement.text.len();
        }
        assert!(is_separator(&sql[at..]), "{:?} is after the last statement in {sql:?}", &sql[at..]);
        text + &sql[at..]
    }

    fn is_separator(text: &str) -> bool {
        let mut scan = Scan::new(text);
        std::iter::from_fn(|| scan.next()).all(|token| matches!(token.kind, Kind::Blank | Kind::End))
    }

    proptest! {
        #[test]
        fn the_pieces_joined_are_the_text(sql in "[a-z$'\";*/()\\-\\\\ \né]{0,60}") {
            prop_assert_eq!(joined(&sql), sql);
        }

        #[test]
        fn the_pieces_of_likely_texts_joined_are_the_text(parts in prop::collection::vec(prop::sample::select(vec![
            "SELECT 1", ";", " ", "\n", "'a;b'", "E'\\';'", "$$;$$", "$x$ ; $$ ; $x$", "/* ; /* ; */ */", "-- ;\n", "\"a;\"",
            "CREATE FUNCTION f()", " BEGIN ATOMIC ", " CASE ", " END ", "(", ")", "$1", "é;", "'", "$$",
        ]), 0..40)) {
            let sql = parts.concat();
            prop_assert_eq!(joined(&sql), sql);
        }
    }
}
