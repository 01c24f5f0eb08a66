//! W3C trace context: read from a request, passed on to events, made when a caller brings none.

use std::fmt;

use crate::model::Ids;

/// The `traceparent` of one unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// A new trace, not sampled: nobody upstream asked for it.
    pub fn start(ids: &Ids) -> Self {
        Self { trace: ids.bytes(), span: ids.bytes(), flags: 0 }
    }

    /// Reads a `traceparent` header. A malformed or all-zero one counts as absent, as the standard asks.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version: [u8; 1] = lower_hex(version)?;
        // Later versions may append fields; version 00 may not, and ff is forbidden.
        if version[0] == 0xff || (version[0] == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace, span, flags): ([u8; 16], [u8; 8], [u8; 1]) =
            (lower_hex(trace)?, lower_hex(span)?, lower_hex(flags)?);
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, flags: flags[0] & 1 })
    }

    /// The same trace with a span of our own.
    #[must_use]
    pub fn child(self, ids: &Ids) -> Self {
        Self { span: ids.bytes(), ..self }
    }

    /// The same, told to a collector or not.
    #[must_use]
    pub fn sampled(self, is_sampled: bool) -> Self {
        Self { flags: u8::from(is_sampled), ..self }
    }

    /// Whether somebody upstream, or we, decided that this trace is told to a collector.
    pub fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }

    pub fn trace_bytes(self) -> [u8; 16] {
        self.trace
    }

    pub fn span_bytes(self) -> [u8; 8] {
        self.span
    }

    /// The trace's id in hex, for log lines.
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace)
    }
}

/// Fixed width, lower case only.
fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex::encode(self.trace), hex::encode(self.span), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_round_trips_and_a_child_keeps_the_trace() {
        let parent = TraceContext::parse(HEADER).unwrap();
        assert_eq!(parent.to_string(), HEADER);
        let child = parent.child(&Ids::counted());
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child, parent);
        assert_eq!(TraceContext::parse(&child.to_string()), Some(child));
    }

    #[test]
    fn malformed_headers_count_as_absent() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let upper = HEADER.to_uppercase();
        let longer = format!("{HEADER}-extra");
        for bad in ["", "00", zero_trace, zero_span, &upper, &longer, &HEADER.replacen("00", "ff", 1), &HEADER[1..]] {
            assert_eq!(TraceContext::parse(bad), None, "{bad:?}");
        }
        assert!(TraceContext::parse(&longer.replacen("00", "01", 1)).is_some(), "a later version may carry more");
    }
}
