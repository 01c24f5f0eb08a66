//! Bytes in, events out, in memory that does not grow with the request: what is kept is one header block or one delimiter.

use bytes::{Buf, Bytes, BytesMut};

use crate::{Limits, Violations, rules::table as rule};

/// Bytes before the first delimiter; RFC 2046 allows a text there, and nobody reads it.
const PREAMBLE: usize = 4 << 10;
/// Bytes of one part's headers.
const HEADERS: usize = 16 << 10;
/// Spaces allowed between a delimiter and the end of its line.
const PADDING: usize = 128;

/// What the body holds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(PartHeaders),
    /// Bytes of the part, never none.
    Data(Bytes),
    /// The part is complete.
    PartEnd,
    /// The closing delimiter has been read; what follows is ignored.
    End,
}

/// The headers of a part, names in lower case, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartHeaders(Vec<(String, String)>);

impl PartHeaders {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads `multipart/mixed`: [`Parser::push`] bytes as they come, take events until there is none, and [`Parser::finish`].
#[derive(Debug)]
pub struct Parser {
    delimiter: Vec<u8>,
    buffer: BytesMut,
    state: State,
    /// The buffer begins a line, so that a delimiter may stand there without a line break before it.
    at_line_start: bool,
    complete: bool,
    received: usize,
    most_bytes: usize,
    parts: usize,
    most_parts: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// With the bytes passed over so far.
    Preamble(usize),
    Headers,
    Body,
    /// A delimiter has been read: is it the last?
    Delimited {
        last: bool,
    },
    Done,
}

enum Scan {
    /// So many bytes are no delimiter, and what follows may become one.
    Data(usize),
    /// A delimiter from `start` to `end`, its line breaks included.
    Delimiter { start: usize, end: usize, last: bool },
}

enum Candidate {
    No,
    /// More bytes will tell.
    Open,
    Found {
        end: usize,
        last: bool,
    },
}

impl Parser {
    pub fn new(boundary: &str, limits: &Limits) -> Self {
        Self {
            delimiter: format!("--{boundary}").into_bytes(),
            buffer: BytesMut::new(),
            state: State::Preamble(0),
            at_line_start: true,
            complete: false,
            received: 0,
            most_bytes: limits.multipart_bytes,
            parts: 0,
            most_parts: limits.multipart_parts,
        }
    }

    /// Takes the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Violations> {
        self.received = self.received.saturating_add(bytes.len());
        if self.received > self.most_bytes {
            let most = self.most_bytes;
            return refuse(rule::MULTIPART_BYTES, format!("the request is longer than {most} bytes"));
        }
        // After the end nothing is kept: an epilogue may be as long as the request may.
        if self.state != State::Done {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Says that no more bytes follow.
    pub fn finish(&mut self) {
        self.complete = true;
    }

    /// The next event; none means that more bytes are needed, or, after [`Event::End`], that there is nothing more.
    pub fn next_event(&mut self) -> Result<Option<Event>, Violations> {
        loop {
            let event = match self.state {
                State::Preamble(passed) => match self.preamble(passed)? {
                    true => continue,
                    false => None,
                },
                State::Headers => self.headers()?.map(Event::Part),
                State::Body => self.body(),
                State::Delimited { last: false } => {
                    self.state = State::Headers;
                    continue;
                }
                State::Delimited { last: true } => {
                    self.state = State::Done;
                    self.buffer.clear();
                    return Ok(Some(Event::End));
                }
                State::Done => return Ok(None),
            };
            return match event {
                None if self.complete => {
                    refuse(rule::MULTIPART_TRUNCATED, "the body ends before its closing delimiter")
                }
                event => Ok(event),
            };
        }
    }

    /// Passes over what stands before the first delimiter; whether that has been found.
    fn preamble(&mut self, passed: usize) -> Result<bool, Violations> {
        let (skip, found) = match self.scan() {
            Scan::Data(length) => (length, None),
            Scan::Delimiter { start, end, last } => (end, Some((start, last))),
        };
        let passed = passed + found.map_or(skip, |(start, _)| start);
        if passed > PREAMBLE {
            return refuse(
                rule::MULTIPART_BOUNDARY,
                format!("the first {PREAMBLE} bytes hold no delimiter of the boundary"),
            );
        }
        self.advance(skip);
        self.state = match found {
            Some((_, last)) => State::Delimited { last },
            None => State::Preamble(passed),
        };
        Ok(found.is_some())
    }

    fn headers(&mut self) -> Result<Option<PartHeaders>, Violations> {
        let Some(end) = blank_line(&self.buffer) else {
            return match self.buffer.len() > HEADERS {
                true => {
                    refuse(rule::MULTIPART_HEADER, format!("the headers of a part are longer than {HEADERS} bytes"))
                }
                false => Ok(None),
            };
        };
        if end > HEADERS {
            return refuse(rule::MULTIPART_HEADER, format!("the headers of a part are longer than {HEADERS} bytes"));
        }
        self.parts += 1;
        if self.parts > self.most_parts {
            return refuse(rule::MULTIPART_PARTS, format!("the request has more than {} parts", self.most_parts));
        }
        let headers = parse_headers(&self.buffer[..end])?;
        self.buffer.advance(end);
        self.at_line_start = true;
        self.state = State::Body;
        Ok(Some(headers))
    }

    fn body(&mut self) -> Option<Event> {
        match self.scan() {
            Scan::Data(0) => None,
            Scan::Delimiter { start: 0, end, last } => {
                self.advance(end);
                self.state = State::Delimited { last };
                Some(Event::PartEnd)
            }
            // The delimiter itself is found again, at the start of the buffer.
            Scan::Data(length) | Scan::Delimiter { start: length, .. } => {
                self.at_line_start = false;
                Some(Event::Data(self.buffer.split_to(length).freeze()))
            }
        }
    }

    fn advance(&mut self, length: usize) {
        if length > 0 {
            self.at_line_start = false;
            self.buffer.advance(length);
        }
    }

    fn scan(&self) -> Scan {
        if self.at_line_start {
            match self.candidate(0) {
                Candidate::Found { end, last } => return Scan::Delimiter { start: 0, end, last },
                Candidate::Open => return Scan::Data(0),
                Candidate::No => {}
            }
        }
        let mut from = 0;
        while let Some(at) = self.buffer[from..].iter().position(|&b| b == b'\n') {
            let line_end = from + at;
            // Line breaks are CRLF; some senders write LF alone.
            let start = if line_end > 0 && self.buffer[line_end - 1] == b'\r' { line_end - 1 } else { line_end };
            match self.candidate(line_end + 1) {
                Candidate::Found { end, last } => return Scan::Delimiter { start, end, last },
                Candidate::Open => return Scan::Data(start),
                Candidate::No => from = line_end + 1,
            }
        }
        let half_a_break = usize::from(self.buffer.last() == Some(&b'\r'));
        Scan::Data(self.buffer.len() - half_a_break)
    }

    /// Whether a delimiter line begins at `at`.
    fn candidate(&self, at: usize) -> Candidate {
        let rest = &self.buffer[at..];
        if rest.len() < self.delimiter.len() {
            return if self.delimiter.starts_with(rest) { Candidate::Open } else { Candidate::No };
        }
        let Some(tail) = rest.strip_prefix(self.delimiter.as_slice()) else { return Candidate::No };
        let end = at + self.delimiter.len();
        if tail.starts_with(b"--") {
            return Candidate::Found { end: end + 2, last: true };
        }
        if tail == b"-" {
            return Candidate::Open;
        }
        let padding = tail.iter().take(PADDING).take_while(|b| matches!(b, b' ' | b'\t')).count();
        match &tail[padding..] {
            [b'\n', ..] => Candidate::Found { end: end + padding + 1, last: false },
            [b'\r', b'\n', ..] => Candidate::Found { end: end + padding + 2, last: false },
            [] | [b'\r'] => Candidate::Open,
            // A longer word that begins like the boundary.
            _ => Candidate::No,
        }
    }
}

/// The length of a header block with the blank line that ends it.
fn blank_line(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if matches!(&bytes[start..at], b"" | b"\r") {
            return Some(at + 1);
        }
        start = at + 1;
    }
    None
}

fn parse_headers(bytes: &[u8]) -> Result<PartHeaders, Violations> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return refuse(rule::MULTIPART_HEADER, "the headers of a part are not UTF-8");
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
            // A folded line continues the one before it.
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (false, _, Some((name, value))) if !name.trim().is_empty() => {
                headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            _ => return refuse(rule::MULTIPART_HEADER, "a line among the headers of a part is not `name: value`"),
        }
    }
    Ok(PartHeaders(headers))
}

fn refuse<T>(rule: &'static str, message: impl Into<String>) -> Result<T, Violations> {
    Err(Violations::whole(rule, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each part as its headers and bytes.
    type Parts = Vec<(Vec<(String, String)>, Vec<u8>)>;

    /// Pushes the body in pieces that end at the given places.
    fn read_split(body: &[u8], cuts: &[usize], limits: &Limits) -> Result<Parts, &'static str> {
        let mut parser = Parser::new("X-b", limits);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (body.len() + 1)).chain([0, body.len()]).collect();
        cuts.sort_unstable();
        let mut parts: Parts = Vec::new();
        let (mut open, mut ended) = (false, false);
        let mut pieces = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]);
        loop {
            let piece = pieces.next();
            match piece {
                Some(piece) => parser.push(piece).map_err(|v| v.0[0].rule)?,
                None => parser.finish(),
            }
            while let Some(event) = parser.next_event().map_err(|v| v.0[0].rule)? {
                match event {
                    Event::Part(headers) => {
                        assert!(!std::mem::replace(&mut open, true));
                        parts.push((headers.0, Vec::new()));
                    }
                    Event::Data(bytes) => {
                        assert!(open && !bytes.is_empty());
                        parts.last_mut().unwrap().1.extend_from_slice(&bytes);
                    }
                    Event::PartEnd => assert!(std::mem::replace(&mut open, false)),
                    Event::End => assert!(!open && !std::mem::replace(&mut ended, true)),
                }
            }
            if piece.is_none() {
                assert!(ended);
                return Ok(parts);
            }
        }
    }

    fn read(body: &[u8]) -> Result<Parts, &'static str> {
        read_split(body, &[], &Limits::default())
    }

    fn part(headers: &[(&str, &str)], data: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
        (headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(), data.to_vec())
    }

    #[test]
    fn parts_are_read_as_sent() {
        let body = b"--X-b\r\nContent-Type:application/json\r\n\r\n{}\r\n--X-b\r\nA: b\r\n c\r\n\r\n\r\nx\r\n\r\n--X-b--\r\nepilogue";
        let wanted = vec![part(&[("content-type", "application/json")], b"{}"), part(&[("a", "b c")], b"\r\nx\r\n")];
        assert_eq!(read(body), Ok(wanted));
    }

    #[test]
    fn what_real_senders_do_is_tolerated() {
        let one = || Ok(vec![part(&[("a", "b")], b"x")]);
        assert_eq!(read(b"\r\n--X-b\r\nA: b\r\n\r\nx\r\n--X-b--"), one(), "a break before, none at the end");
        assert_eq!(read(b"--X-b\nA:b\n\nx\n--X-b--\n"), one(), "line feeds alone");
        assert_eq!(
            read(b"to whom it may concern\r\n--X-b \t\r\nA:   b\r\n\r\nx\r\n--X-b--"),
            one(),
            "a preamble, padding"
        );
        assert_eq!(read(b"--X-b\r\nA: b\r\n\r\n--X-b--"), Ok(vec![part(&[("a", "b")], b"")]), "an empty part");
        assert_eq!(read(b"--X-b\r\n\r\nx\r\n--X-b--"), Ok(vec![part(&[], b"x")]), "no headers");
        assert_eq!(read(b"--X-b--"), Ok(vec![]));
    }

    #[test]
    fn padding_ends_at_its_limit_wherever_the_bytes_are_cut() {
        for (spaces, parts) in [(PADDING, Ok(1)), (PADDING + 1, Ok(0))] {
            for line_end in ["\n", "\r\n"] {
                let body = format!("--X-b{}{line_end}\r\nx\r\n--X-b--", " ".repeat(spaces));
                let every: Vec<_> = (0..body.len()).collect();
                for cuts in [&[][..], &every] {
                    let read = read_split(body.as_bytes(), cuts, &Limits::default());
                    assert_eq!(read.map(|parts| parts.len()), parts, "{spaces} spaces");
                }
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_delimiter_is_data() {
        let data = b"\r\n--X-\r\n--X-bc\r\n --X-b\r\n--X-b x\r\r\n-\n--X--X-b";
        let body = [&b"--X-b\r\nA: b\r\n\r\n"[..], data, b"\r\n--X-b--"].concat();
        assert_eq!(read(&body), Ok(vec![part(&[("a", "b")], data)]));
    }

    #[test]
    fn broken_bodies_are_refused_by_rule() {
        let long_header = [&b"--X-b\r\nA: "[..], &vec![b'x'; 17 << 10], b"\r\n\r\n\r\n--X-b--"].concat();
        let endless_header = [&b"--X-b\r\nA: "[..], &vec![b'x'; 17 << 10]].concat();
        for (body, rule) in [
            (&b""[..], "multipart.truncated"),
            (b"{}", "multipart.truncated"),
            (b"--X-b", "multipart.truncated"),
            (b"--X-b\r\nA: b\r\n", "multipart.truncated"),
            (b"--X-b\r\nA: b\r\n\r\nx", "multipart.truncated"),
            (b"--X-b\r\nA: b\r\n\r\nx\r\n--X-b\r\n", "multipart.truncated"),
            (b"--X-b\r\nA: b\r\n\r\nx\r\n--X-b-", "multipart.truncated"),
            (b"--X-b\r\nno colon\r\n\r\nx\r\n--X-b--", "multipart.header"),
            (b"--X-b\r\n: no name\r\n\r\nx\r\n--X-b--", "multipart.header"),
            (b"--X-b\r\nA: \xff\r\n\r\nx\r\n--X-b--", "multipart.header"),
            (&long_header, "multipart.header"),
            (&endless_header, "multipart.header"),
            (&vec![b'x'; 5 << 10], "multipart.boundary"),
        ] {
            assert_eq!(read(body), Err(rule), "{:?}", String::from_utf8_lossy(&body[..body.len().min(40)]));
        }
    }

    #[test]
    fn parts_and_bytes_are_limited_and_memory_does_not_grow() {
        let limits = Limits { multipart_parts: 2, multipart_bytes: 200_000, ..Limits::default() };
        let parts = |n: usize| [b"--X-b\r\n\r\n\r\n".repeat(n), b"--X-b--".to_vec()].concat();
        assert_eq!(read_split(&parts(2), &[], &limits).map(|parts| parts.len()), Ok(2));
        assert_eq!(read_split(&parts(3), &[], &limits), Err("multipart.parts"));
        let mut parser = Parser::new("X-b", &limits);
        parser.push(b"--X-b\r\n\r\n").unwrap();
        let mut refused = None;
        for _ in 0..20_000 {
            if let Err(violations) = parser.push(b"\r\n--X-b \t\r \r\n--X-") {
                refused = Some(violations.0[0].rule);
                break;
            }
            while parser.next_event().unwrap().is_some() {}
            assert!(parser.buffer.len() < 200);
        }
        assert_eq!(refused, Some("multipart.bytes"));
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same(
            words in prop::collection::vec(prop::sample::select(vec![
                "\r\n", "\n", "\r", "-", "--X-b", "--X-b--", "--X-b\r\n", "\r\n--X-b\r\n", "A: b\r\n\r\n", "x", "--", "X-b", " ",
            ]), 0..30),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let body = format!("--X-b\r\nA: b\r\n\r\n{}", words.concat());
            let every: Vec<_> = (0..body.len()).collect();
            let whole = read(body.as_bytes());
            prop_assert_eq!(&read_split(body.as_bytes(), &cuts, &Limits::default()), &whole);
            prop_assert_eq!(&read_split(body.as_bytes(), &every, &Limits::default()), &whole);
        }

        #[test]
        fn any_bytes_come_back(data in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(any::<usize>(), 0..5)) {
            let body = [&b"--X-b\r\nA: b\r\n\r\n"[..], &data, b"\r\n--X-b--\r\n"].concat();
            prop_assert_eq!(read_split(&body, &cuts, &Limits::default()), Ok(vec![part(&[("a", "b")], &data)]));
        }

        #[test]
        fn nothing_makes_it_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&data);
        }
    }
}
