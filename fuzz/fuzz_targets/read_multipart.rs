//! A multipart body gives the same parts however it is cut into pieces, and never more bytes than it has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xapi::multipart::{self, Event, Parser, PartHeaders};
use xapi::{Limits, Violations};

/// The parts of a body with their bytes, and whether its end was seen.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    parts: Vec<(PartHeaders, Vec<u8>)>,
    ended: bool,
}

fn parse(body: &[u8], piece: usize) -> Result<Seen, Violations> {
    let limits = Limits { multipart_bytes: 1 << 16, multipart_parts: 8, ..Limits::default() };
    let mut parser = Parser::new("b", &limits);
    let mut seen = Seen::default();
    for piece in body.chunks(piece) {
        parser.push(piece)?;
        seen.drain(&mut parser)?;
    }
    parser.finish();
    seen.drain(&mut parser)?;
    Ok(seen)
}

impl Seen {
    fn drain(&mut self, parser: &mut Parser) -> Result<(), Violations> {
        while let Some(event) = parser.next_event()? {
            match event {
                Event::Part(headers) => self.parts.push((headers, Vec::new())),
                Event::Data(data) => {
                    assert!(!data.is_empty(), "an event of no bytes");
                    self.parts.last_mut().expect("bytes belong to a part").1.extend_from_slice(&data);
                }
                Event::PartEnd => {}
                Event::End => self.ended = true,
            }
        }
        Ok(())
    }
}

fuzz_target!(|body: &[u8]| {
    let whole = parse(body, body.len().max(1));
    for piece in [1, 7] {
        match (&whole, parse(body, piece)) {
            (Ok(whole), Ok(cut)) => assert_eq!(*whole, cut, "cut into pieces of {piece}"),
            (Err(_), Err(_)) => {}
            (whole, cut) => panic!("{whole:?} as a whole, {cut:?} in pieces of {piece}"),
        }
    }
    if let Ok(seen) = whole {
        assert!(seen.ended, "neither refused nor ended");
        let bytes: usize = seen.parts.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes <= body.len(), "more bytes came out than went in");
    }
    if let Ok(text) = std::str::from_utf8(body) {
        _ = multipart::boundary(text);
    }
});
