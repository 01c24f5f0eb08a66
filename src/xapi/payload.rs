//! The text of a statement as the ledger keeps it: the client's properties in their order and digits, with what the server
//! assigns. Never `stored`: the ledger's clock gives it later and `format` splices it in. A timestamp in a form that few
//! readers know is respelt (1.0.3 part two, 2.3.1: its serialization is no part of what never changes).

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{syntax::timestamp, time, write};

/// Writes a payload. A given id and version are kept, a given authority and stored are not.
pub(super) fn payload(doc: &Map<String, Value>, id: Uuid, version: &str, authority: &str) -> String {
    let mut out = String::with_capacity(1_024 + authority.len());
    out.push_str("{\"id\":\"");
    out.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    out.push('"');
    let given = doc.iter().filter(|(name, _)| !matches!(name.as_str(), "id" | "stored" | "authority" | "version"));
    properties(&mut out, given, &mut false);
    out.push_str(",\"authority\":");
    out.push_str(authority);
    out.push_str(",\"version\":");
    write::string(&mut out, doc.get("version").and_then(Value::as_str).unwrap_or(version));
    out.push('}');
    out
}

/// Properties of a statement or SubStatement, its context activities as lists.
fn properties<'a>(out: &mut String, fields: impl Iterator<Item = (&'a String, &'a Value)>, first: &mut bool) {
    for (name, value) in fields {
        write::key(out, name, first);
        match (name.as_str(), value) {
            ("timestamp", Value::String(text)) => match timestamp::unusual(text) {
                Some(at) => write::string(out, &time::text(at)),
                None => write::string(out, text),
            },
            ("context", Value::Object(context)) if has_single_activity(context) => self::context(out, context),
            ("object", Value::Object(object)) if object.get("objectType").is_some_and(|t| t == "SubStatement") => {
                out.push('{');
                properties(out, object.iter(), &mut true);
                out.push('}');
            }
            _ => write::value(out, value),
        }
    }
}

fn has_single_activity(context: &Map<String, Value>) -> bool {
    let lists = context.get("contextActivities").and_then(Value::as_object);
    lists.is_some_and(|lists| lists.values().any(Value::is_object))
}

fn context(out: &mut String, context: &Map<String, Value>) {
    out.push('{');
    let mut first = true;
    for (name, value) in context {
        write::key(out, name, &mut first);
        match (name.as_str(), value) {
            ("contextActivities", Value::Object(lists)) => {
                out.push('{');
                let mut first = true;
                for (name, list) in lists {
                    write::key(out, name, &mut first);
                    match list {
                        Value::Object(_) => write::array(out, std::iter::once(list)),
                        _ => write::value(out, list),
                    }
                }
                out.push('}');
            }
            _ => write::value(out, value),
        }
    }
    out.push('}');
}
