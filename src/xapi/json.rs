//! JSON text to values, for input nobody vouches for.
//!
//! It never recurses (depth is a number, not a stack overflow), refuses a key that stands twice, and keeps every number in
//! its own digits. `\u0000` is allowed: a payload is stored as JSON text, where it stays the six characters it came as.

mod scan;
mod weigh;

use serde_json::map::Entry;
use serde_json::{Map, Value};

use self::scan::{Fault, Scanner};
pub use self::weigh::weigh;
use super::rules::report::{Path, excerpt};
use super::rules::table as rule;
use super::{Limits, Violation, Violations};

/// Keys that serde_json gives a meaning of its own when it reads them back.
const RESERVED: &str = "$serde_json::private::";

/// One JSON document.
pub fn parse(body: &[u8], limits: &Limits) -> Result<Value, Violations> {
    Parser::new(body, limits, false)?.run()
}

/// A request of statements: as [`parse`], but a violation inside an element of the outer array names that statement, and
/// the limits on statements hold.
pub(super) fn parse_batch(body: &[u8], limits: &Limits) -> Result<Value, Violations> {
    Parser::new(body, limits, true)?.run()
}

/// A container that is still open.
enum Open {
    Array(Vec<Value>),
    /// The key is that of the value being read.
    Object {
        map: Map<String, Value>,
        key: Option<String>,
    },
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    limits: &'a Limits,
    batch: bool,
    stack: Vec<Open>,
    values: usize,
    /// Where the statement that is being read begins.
    start: usize,
    found: Violations,
}

impl<'a> Parser<'a> {
    fn new(body: &'a [u8], limits: &'a Limits, batch: bool) -> Result<Self, Violations> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let at = error.valid_up_to();
            Violations::whole(
                rule::JSON_UTF8,
                format!("byte {at} of the body is not UTF-8; JSON must be encoded as UTF-8"),
            )
        })?;
        let scanner = Scanner::new(text);
        let stack = Vec::with_capacity(8);
        Ok(Self { scanner, limits, batch, stack, values: 0, start: 0, found: Violations::default() })
    }

    fn run(mut self) -> Result<Value, Violations> {
        match self.document() {
            Ok(value) if self.found.is_empty() => Ok(value),
            Ok(_) => Err(self.found),
            Err(fault) => {
                let message = format!("{} (byte {} of the body)", fault.message, fault.at);
                self.violation(fault.rule, message);
                Err(self.found)
            }
        }
    }

    fn document(&mut self) -> Result<Value, Fault> {
        loop {
            if let Some(value) = self.begin()?
                && let Some(root) = self.attach(value)?
            {
                return match self.scanner.peek() {
                    None => Ok(root),
                    Some(_) => Err(self.scanner.unexpected("nothing more")),
                };
            }
        }
    }

    /// Reads a value, or opens a container and leaves it on the stack.
    fn begin(&mut self) -> Result<Option<Value>, Fault> {
        let byte = self.scanner.peek();
        self.count()?;
        Ok(Some(match byte {
            Some(b'"') => Value::String(self.scanner.string()?),
            Some(b'{') => {
                self.open()?;
                if self.scanner.peek() == Some(b'}') {
                    self.scanner.at += 1;
                    return Ok(Some(Value::Object(Map::new())));
                }
                let key = Some(self.key()?);
                self.stack.push(Open::Object { map: Map::new(), key });
                return Ok(None);
            }
            Some(b'[') => {
                self.open()?;
                if self.scanner.peek() == Some(b']') {
                    self.scanner.at += 1;
                    return Ok(Some(Value::Array(Vec::new())));
                }
                self.stack.push(Open::Array(Vec::new()));
                self.start = if self.stack.len() == 1 { self.scanner.at } else { self.start };
                return Ok(None);
            }
            Some(b't') => self.scanner.literal("true").map(|()| Value::Bool(true))?,
            Some(b'f') => self.scanner.literal("false").map(|()| Value::Bool(false))?,
            Some(b'n') => self.scanner.literal("null").map(|()| Value::Null)?,
            Some(b'-' | b'0'..=b'9') => Value::Number(self.scanner.number()?),
            _ => return Err(self.scanner.unexpected("a value")),
        }))
    }

    /// Steps into a container, if it is not too deep.
    fn open(&mut self) -> Result<(), Fault> {
        if self.stack.len() >= self.limits.depth {
            let message = format!("the JSON is nested deeper than {} levels, which is the limit", self.limits.depth);
            return Err(Fault { at: self.scanner.at, rule: rule::JSON_DEPTH, message });
        }
        self.scanner.at += 1;
        Ok(())
    }

    /// Counts values, so that a small body cannot become a huge document in memory.
    fn count(&mut self) -> Result<(), Fault> {
        self.values += 1;
        if self.values > self.limits.values {
            let message = format!("the JSON holds more than {} values, which is the limit", self.limits.values);
            return Err(Fault { at: self.scanner.at, rule: rule::JSON_VALUES, message });
        }
        self.inside()
    }

    /// Inside of a statement of a batch: it must not have become too large.
    fn inside(&self) -> Result<(), Fault> {
        let is_outside = !self.batch || matches!(self.stack.as_slice(), [] | [Open::Array(_)]);
        if is_outside { Ok(()) } else { self.statement_bytes() }
    }

    fn key(&mut self) -> Result<String, Fault> {
        if self.scanner.peek() != Some(b'"') {
            return Err(self.scanner.unexpected("a property name in quotes"));
        }
        let key = self.scanner.string()?;
        self.scanner.expect(b':', "`:`")?;
        Ok(key)
    }

    /// Puts a value where it belongs and closes every container that ends here. The root comes back.
    fn attach(&mut self, mut value: Value) -> Result<Option<Value>, Fault> {
        loop {
            if self.stack.is_empty() {
                return Ok(Some(value));
            }
            let (end, wanted) = self.put(value)?;
            match self.scanner.peek() {
                Some(b',') => {
                    self.scanner.at += 1;
                    self.next()?;
                    return Ok(None);
                }
                Some(byte) if byte == end => {
                    self.scanner.at += 1;
                    self.inside()?;
                    value = self.close();
                }
                _ => return Err(self.scanner.unexpected(wanted)),
            }
        }
    }

    /// Puts a value into the innermost container; what may end that comes back.
    fn put(&mut self, value: Value) -> Result<(u8, &'static str), Fault> {
        self.element()?;
        match self.stack.last_mut() {
            Some(Open::Array(items)) => {
                items.push(value);
                Ok((b']', "`,` or `]`"))
            }
            Some(Open::Object { map, key }) => {
                match map.entry(key.take().unwrap_or_default()) {
                    Entry::Vacant(slot) if !slot.key().starts_with(RESERVED) => _ = slot.insert(value),
                    refused => {
                        let name = refused.key().clone();
                        self.refuse_key(name);
                    }
                }
                Ok((b'}', "`,` or `}`"))
            }
            None => Err(self.scanner.unexpected("nothing more")),
        }
    }

    /// Behind a comma.
    fn next(&mut self) -> Result<(), Fault> {
        if let [Open::Array(_)] = self.stack.as_slice() {
            self.start = self.scanner.at;
        }
        if let Some(Open::Object { .. }) = self.stack.last() {
            let name = self.key()?;
            if let Some(Open::Object { key, .. }) = self.stack.last_mut() {
                *key = Some(name);
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Value {
        match self.stack.pop() {
            Some(Open::Array(items)) => Value::Array(items),
            Some(Open::Object { map, .. }) => Value::Object(map),
            None => Value::Null,
        }
    }

    /// A value is complete; in the outer array of a batch it is a statement.
    fn element(&mut self) -> Result<(), Fault> {
        let end = self.scanner.at;
        let (true, [Open::Array(items)]) = (self.batch, self.stack.as_slice()) else { return Ok(()) };
        let limit = self.limits.statements;
        if items.len() >= limit {
            let message = format!("the request holds more than {limit} statements, which is the limit");
            return Err(Fault { at: end, rule: rule::BATCH_STATEMENTS, message });
        }
        self.statement_bytes()
    }

    /// Ends the reading where the statement has become too large, however much of it is still to come.
    fn statement_bytes(&self) -> Result<(), Fault> {
        let (at, limit) = (self.scanner.at, self.limits.statement_bytes);
        if at - self.start <= limit {
            return Ok(());
        }
        let message = format!("the statement has more bytes of JSON than the limit; the limit is {limit}");
        Err(Fault { at, rule: rule::STATEMENT_BYTES, message })
    }

    fn refuse_key(&mut self, key: String) {
        let (rule, message) = match key.starts_with(RESERVED) {
            true => (rule::JSON_RESERVED, format!("the property name {} is reserved", excerpt(&key))),
            false => {
                (rule::JSON_DUPLICATE, format!("the property {} stands more than once in its object", excerpt(&key)))
            }
        };
        if let Some(Open::Object { key: current, .. }) = self.stack.last_mut() {
            *current = Some(key);
        }
        self.violation(rule, message);
    }

    /// Notes a violation at the value that is being read.
    fn violation(&mut self, rule: &'static str, message: String) {
        if self.found.0.len() >= self.limits.violations {
            return;
        }
        let (statement, open) = match (self.batch, self.stack.as_slice()) {
            (true, [Open::Array(items), rest @ ..]) => (Some(items.len()), rest),
            (true, open @ [Open::Object { .. }, ..]) => (Some(0), open),
            (_, open) => (None, open),
        };
        let mut pointer = String::new();
        for step in open {
            match step {
                Open::Array(items) => Path::Root.index(items.len()).write(&mut pointer),
                Open::Object { key, .. } => key.iter().for_each(|key| Path::Root.key(key).write(&mut pointer)),
            }
        }
        self.found.0.push(Violation { statement, pointer, rule, message });
    }
}

#[cfg(test)]
mod tests;
