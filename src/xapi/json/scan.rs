//! The tokens of JSON text: white space, literals, numbers and strings. It knows nothing of nesting.

use serde_json::Number;

use crate::rules::table as rule;

/// Where the text stops being JSON, and why.
pub(super) struct Fault {
    pub at: usize,
    pub rule: &'static str,
    pub message: String,
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    pub at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        // RFC 8259 lets a reader ignore a byte order mark, and some clients send one.
        Self { text, at: if text.starts_with('\u{FEFF}') { '\u{FEFF}'.len_utf8() } else { 0 } }
    }

    /// The next byte that is not white space; it stays unread.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    pub fn expect(&mut self, byte: u8, wanted: &str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(wanted));
        }
        self.at += 1;
        Ok(())
    }

    pub fn literal(&mut self, word: &str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// What stands here is not what the grammar wants.
    pub fn unexpected(&self, wanted: &str) -> Fault {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(c) => format!("{c:?}"),
            None => "the end".to_owned(),
        };
        self.fault(rule::JSON_SYNTAX, format!("found {found} where {wanted} is expected"))
    }

    fn fault(&self, rule: &'static str, message: String) -> Fault {
        Fault { at: self.at, rule, message }
    }

    /// A number in its own digits.
    pub fn number(&mut self) -> Result<Number, Fault> {
        let start = self.at;
        self.skip(b'-');
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        self.text[start..self.at].parse().map_err(|_| self.unexpected("a number"))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    /// A string; the reader stands on its opening quote.
    pub fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let plain = self.plain()?;
        if self.skip(b'"') {
            return Ok(plain.to_owned());
        }
        let mut out = plain.to_owned();
        loop {
            self.at += 1;
            out.push(self.escape()?);
            out.push_str(self.plain()?);
            if self.skip(b'"') {
                return Ok(out);
            }
        }
    }

    /// Characters up to the next quote or backslash.
    fn plain(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        match rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F)) {
            Some(length) if rest[length] > 0x1F => {
                self.at += length;
                Ok(&self.text[start..self.at])
            }
            Some(length) => {
                self.at += length;
                Err(self.unexpected("a character (control characters must be escaped)"))
            }
            None => {
                self.at = self.text.len();
                Err(self.unexpected("a closing quote"))
            }
        }
    }

    /// The character an escape stands for; the reader is behind the backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let byte = self.byte();
        let plain = match byte {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("an escape such as \\n or \\u0041")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, Fault> {
        let start = self.at;
        let first = self.hex()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let low = first < 0xDC00 && self.text.as_bytes()[self.at..].starts_with(b"\\u");
        if low {
            self.at += 2;
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.at = start;
        let message =
            format!("\\u{first:04X} is half of a surrogate pair without its other half, so it is no character");
        Err(self.fault(rule::JSON_SURROGATE, message))
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let value = digits.iter().try_fold(0, |sum, b| char::from(*b).to_digit(16).map(|digit| sum * 16 + digit));
        match value {
            Some(value) if digits.len() == 4 => {
                self.at += 4;
                Ok(value)
            }
            _ => Err(self.unexpected("four hexadecimal digits")),
        }
    }
}
