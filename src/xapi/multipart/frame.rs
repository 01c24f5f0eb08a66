//! The frame around an answer in parts: the statements first, then each attachment once.

use std::fmt::Write as _;

/// Writes what stands before, between and after the parts of one answer.
#[derive(Clone, Debug)]
pub struct Frame {
    boundary: String,
}

impl Frame {
    /// `random` makes a boundary that no attachment can hold but by chance: take a fresh UUID for each answer.
    pub fn new(random: uuid::Uuid) -> Self {
        Self { boundary: format!("part-{}", random.simple()) }
    }

    /// The answer's `Content-Type`; some clients look for the boundary as its first parameter.
    pub fn content_type(&self) -> String {
        format!("multipart/mixed; boundary={}", self.boundary)
    }

    /// What stands before the JSON of the statements.
    pub fn statements(&self) -> String {
        format!("--{}\r\nContent-Type: application/json\r\n\r\n", self.boundary)
    }

    /// What stands before the bytes of an attachment.
    pub fn attachment(&self, sha2: &str, content_type: &str, length: Option<u64>) -> String {
        // A line break here would end the header: such a type is not repeated.
        let content_type =
            if content_type.contains(|c: char| c.is_control()) { "application/octet-stream" } else { content_type };
        let mut head = format!("\r\n--{}\r\nContent-Type: {content_type}\r\n", self.boundary);
        if let Some(length) = length {
            // Writing to a string cannot fail.
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        head.push_str("Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: ");
        head.push_str(sha2);
        head.push_str("\r\n\r\n");
        head
    }

    /// What stands after the last part.
    pub fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Parser, boundary};
    use super::*;
    use crate::Limits;

    #[test]
    fn what_is_written_reads_back() {
        let frame = Frame::new(uuid::Uuid::from_u128(7));
        let body = [
            frame.statements(),
            "{\"statements\":[]}".to_owned(),
            frame.attachment("abc", "text/plain; charset=ascii", Some(1)),
            "x".to_owned(),
            frame.attachment("def", "a/b\r\nX: y", None),
            frame.end(),
        ]
        .concat();
        let mut parser = Parser::new(&boundary(&frame.content_type()).unwrap(), &Limits::default());
        parser.push(body.as_bytes()).unwrap();
        parser.finish();
        let (mut headers, mut data) = (Vec::new(), Vec::new());
        while let Some(event) = parser.next_event().unwrap() {
            match event {
                Event::Part(part) => {
                    let get = |name: &str| part.get(name).map(str::to_owned);
                    headers.push((get("content-type"), get("x-experience-api-hash"), get("X")));
                }
                Event::Data(bytes) => data.extend_from_slice(&bytes),
                Event::PartEnd | Event::End => data.push(b'|'),
            }
        }
        let text = |t: &str| Some(t.to_owned());
        assert_eq!(data, b"{\"statements\":[]}|x|||");
        assert_eq!(
            headers,
            [
                (text("application/json"), None, None),
                (text("text/plain; charset=ascii"), text("abc"), None),
                (text("application/octet-stream"), text("def"), None)
            ]
        );
    }
}
