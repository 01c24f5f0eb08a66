//! What of a statement counts when two are compared: the logical form of xAPI 1.0.3 part two, 2.3.1 "Statement Immutability",
//! written as bytes that are equal exactly when the statements mean the same. The bytes are hashed and stored as a digest,
//! so this form never changes; a new one needs a new first byte in `digest.rs`.
//!
//! Not counted, as 2.3.1 says: what a record store assigns (id, stored, timestamp, authority, version), activity definitions,
//! a verb's display, the order of a group's members, the zone of a timestamp, letter case where it means nothing.
//! Also equal here: an omitted objectType and its default, one context activity and a list of it, two ways to write one
//! number, attachments in any order, and durations that differ below 0.01 s (2.0, 4.2.7).

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{decimal::Decimal, keys, syntax::timestamp};

/// What a JSON value is within a statement; it decides which of its parts count and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Statement,
    /// As a statement, but nothing assigns its timestamp: it counts, as an instant.
    SubStatement,
    /// A whole statement but for its attachments: what a signature's payload is compared by.
    Signed,
    Actor,
    Members,
    Verb,
    Activity,
    ActivityList,
    Reference,
    Result,
    Context,
    ContextActivities,
    ContextActors,
    ContextActor,
    Attachments,
    Attachment,
    Instant,
    Duration,
    Mbox,
    /// A word in which letter case means nothing: a UUID, a hash, a language tag.
    Word,
    Plain,
}

impl Role {
    /// The role of a property, or nothing where it does not count.
    pub(super) fn property(self, name: &str, value: &Value) -> Option<Self> {
        let role = match (self, name) {
            (Self::Statement | Self::Signed, "id" | "stored" | "timestamp" | "authority" | "version") => return None,
            (Self::Signed, "attachments") => return None,
            (Self::Actor, "objectType") if value == "Agent" => return None,
            (Self::Activity, "objectType" | "definition") | (Self::Verb, "display") => return None,
            (Self::Statement | Self::SubStatement | Self::Signed, _) => Self::of_statement_property(name, value),
            (Self::Context, _) => Self::of_context_property(name),
            (Self::ContextActivities, _) => Self::ActivityList,
            (Self::ContextActor, "agent" | "group") => Self::Actor,
            (Self::Actor, "member") => Self::Members,
            (Self::Actor, "mbox") => Self::Mbox,
            (Self::Actor, "mbox_sha1sum") | (Self::Reference, "id") | (Self::Attachment, "sha2") => Self::Word,
            (Self::Result, "duration") => Self::Duration,
            _ => Self::Plain,
        };
        Some(role)
    }

    fn of_statement_property(name: &str, value: &Value) -> Self {
        match name {
            "actor" => Self::Actor,
            "verb" => Self::Verb,
            "object" => match value.get("objectType").and_then(Value::as_str) {
                Some("Agent" | "Group") => Self::Actor,
                Some("SubStatement") => Self::SubStatement,
                Some("StatementRef") => Self::Reference,
                _ => Self::Activity,
            },
            "result" => Self::Result,
            "context" => Self::Context,
            "attachments" => Self::Attachments,
            "timestamp" => Self::Instant,
            _ => Self::Plain,
        }
    }

    fn of_context_property(name: &str) -> Self {
        match name {
            "registration" | "language" => Self::Word,
            "instructor" | "team" => Self::Actor,
            "contextActivities" => Self::ContextActivities,
            "contextAgents" | "contextGroups" => Self::ContextActors,
            "statement" => Self::Reference,
            _ => Self::Plain,
        }
    }

    /// The role of an item of a list.
    pub(super) fn item(self) -> Self {
        match self {
            Self::Members => Self::Actor,
            Self::ActivityList => Self::Activity,
            Self::ContextActors => Self::ContextActor,
            Self::Attachments => Self::Attachment,
            _ => Self::Plain,
        }
    }

    pub(super) fn is_unordered(self) -> bool {
        matches!(self, Self::Members | Self::Attachments)
    }
}

/// Writes logical forms; keeps its working memory from one to the next.
#[derive(Default)]
pub(super) struct Writer<'a> {
    out: Vec<u8>,
    fields: Vec<(&'a str, &'a Value, Role)>,
}

impl<'a> Writer<'a> {
    /// The logical form of one value alone.
    pub(super) fn form(role: Role, value: &'a Value) -> Vec<u8> {
        let mut writer = Self::default();
        writer.value(role, value);
        writer.out
    }

    /// The logical form of one object alone, behind `prefix`.
    pub(super) fn object_form(prefix: &[u8], role: Role, fields: &'a Map<String, Value>) -> Vec<u8> {
        let mut writer = Self { out: Vec::with_capacity(1_024), fields: Vec::with_capacity(32) };
        writer.out.extend_from_slice(prefix);
        writer.object(role, fields);
        writer.out
    }

    fn value(&mut self, role: Role, value: &'a Value) {
        match value {
            Value::Null => self.out.push(b'0'),
            Value::Bool(yes) => self.out.push(if *yes { b't' } else { b'f' }),
            Value::Number(number) => self.tagged(b'n', &decimal(number.as_str())),
            Value::String(text) => self.string(role, text),
            Value::Array(items) => self.array(role, items),
            Value::Object(_) if role == Role::ActivityList => self.array(role, std::slice::from_ref(value)),
            Value::Object(fields) => self.object(role, fields),
        }
    }

    fn object(&mut self, role: Role, fields: &'a Map<String, Value>) {
        let start = self.fields.len();
        let counted = fields.iter().filter_map(|(name, v)| Some((name.as_str(), v, role.property(name, v)?)));
        self.fields.extend(counted);
        self.fields[start..].sort_unstable_by_key(|field| field.0);
        self.out.push(b'{');
        for at in start..self.fields.len() {
            let (name, value, role) = self.fields[at];
            self.tagged(b'k', name);
            self.value(role, value);
        }
        self.out.push(b'}');
        self.fields.truncate(start);
    }

    fn array(&mut self, role: Role, items: &'a [Value]) {
        self.out.push(b'[');
        if role.is_unordered() {
            let mut forms: Vec<_> = items.iter().map(|item| Self::form(role.item(), item)).collect();
            forms.sort_unstable();
            self.out.extend(forms.into_iter().flatten());
        } else {
            for item in items {
                self.value(role.item(), item);
            }
        }
        self.out.push(b']');
    }

    fn string(&mut self, role: Role, text: &str) {
        let text = match role {
            Role::Word => keys::fold_ascii(text),
            Role::Mbox => keys::fold_domain(text),
            Role::Duration => Cow::Owned(centiseconds(text)),
            Role::Instant => match timestamp::parse(text) {
                Some(at) => Cow::Owned(format!("{}.{:09}", at.timestamp(), at.timestamp_subsec_nanos())),
                None => Cow::Borrowed(text),
            },
            _ => Cow::Borrowed(text),
        };
        self.tagged(b's', &text);
    }

    /// The length before the text makes every form unambiguous without escapes.
    fn tagged(&mut self, tag: u8, text: &str) {
        self.out.push(tag);
        self.out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// A JSON number by its value; one whose exponent is beyond all bounds as it was sent.
fn decimal(text: &str) -> String {
    Decimal::exact(text).map_or_else(|_| text.to_owned(), |number| number.to_string())
}

/// A duration cut (not rounded) to hundredths of its last component, zeros at the end dropped.
fn centiseconds(text: &str) -> String {
    let Some((whole, rest)) = text.split_once(['.', ',']) else { return text.to_owned() };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, unit) = rest.split_at(digits);
    let fraction = fraction[..digits.min(2)].trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{whole}{point}{fraction}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value() {
        for same in ["1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000", "100e-2"] {
            assert_eq!(decimal(same), "1e0", "{same}");
        }
        for zero in ["0", "-0", "0.00", "0e9"] {
            assert_eq!(decimal(zero), "0");
        }
        assert_eq!(decimal("-12.50"), "-125e-1");
        assert_eq!(decimal("1200"), "12e2");
        assert_ne!(decimal("0.1234567890123456789"), decimal("0.1234567890123456788"));
        assert_eq!(decimal("1e99999999999999999999"), "1e99999999999999999999");
    }

    #[test]
    fn durations_are_cut_to_hundredths() {
        for same in ["PT0.12S", "PT0.12567S", "PT0.1299S", "PT0.120S"] {
            assert_eq!(centiseconds(same), "PT0.12S");
        }
        assert_eq!(centiseconds("PT1.00S"), "PT1S");
        assert_eq!(centiseconds("P1Y"), "P1Y");
        assert_ne!(centiseconds("PT60S"), centiseconds("PT1M"));
    }
}
