//! What the log says of an entry: a keyed commitment. Whoever has the entry and its key can check it; whoever has only the log
//! learns nothing of the entry, and once the key is gone nobody does. Pure.

use chrono::{DateTime, SecondsFormat, Utc};
use ring::hmac;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::platform::{audit::EntryId, audit_log::Recorded};

/// The entry as text, always the same for the same entry: JSON without blanks, the names of every object in order.
pub fn text(installation: Uuid, entry: &Recorded) -> String {
    let mut text = String::new();
    write(
        &json!({
            "installation": installation,
            "id": entry.id,
            "at": moment(entry.at),
            "tenant": entry.tenant.map(|tenant| tenant.0),
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "detail": entry.detail,
        }),
        &mut text,
    );
    text
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (at, value) in values.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                write(value, text);
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// The key of one entry at its place: handing it out with the entry opens this commitment and no other.
pub fn entry_key(tenants: &[u8; 32], index: i64, entry: EntryId) -> [u8; 32] {
    let mut message = b"entry".to_vec();
    message.extend_from_slice(&index.to_be_bytes());
    message.extend_from_slice(&entry.0.to_be_bytes());
    mac(tenants, &message)
}

/// What stands in the log.
pub fn commitment(entry_key: &[u8; 32], text: &str) -> [u8; 32] {
    mac(entry_key, text.as_bytes())
}

fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut result = [0; 32];
    result.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref());
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TenantId;

    fn entry(detail: &str) -> Recorded {
        Recorded {
            id: EntryId(7),
            at: DateTime::from_timestamp_micros(1_795_249_444_225_209).unwrap(),
            tenant: Some(TenantId::DEFAULT),
            actor: "key:a\"b".to_owned(),
            action: "tenant.create".to_owned(),
            subject: "ß".to_owned(),
            detail: serde_json::from_str(detail).unwrap(),
        }
    }

    #[test]
    fn an_entry_has_one_text() {
        let text_of = |detail| text(Uuid::nil(), &entry(detail));
        assert_eq!(
            text_of(r#"{"b": 1.50, "a": [{"d": null, "c": true}, 2]}"#),
            text_of(r#"{"a":[{"c":true,"d":null},2],"b":1.50}"#)
        );
        assert_eq!(
            text_of(r#"{"b": 1.50, "a": [{"d": null, "c": true}, 2]}"#),
            r#"{"action":"tenant.create","actor":"key:a\"b","at":"2026-11-21T08:24:04.225209Z","detail":{"a":[{"c":true,"d":null},2],"b":1.50},"id":7,"installation":"00000000-0000-0000-0000-000000000000","subject":"ß","tenant":"00000000-0000-4000-8000-000000000001"}"#
        );
        assert_ne!(text_of("{}"), text_of("[]"));
    }

    #[test]
    fn keys_differ_by_place_and_entry() {
        let tenants = [7; 32];
        let key = entry_key(&tenants, 1, EntryId(2));
        assert_ne!(key, entry_key(&tenants, 2, EntryId(1)));
        assert_ne!(key, entry_key(&[8; 32], 1, EntryId(2)));
        assert_ne!(commitment(&key, "a"), commitment(&key, "b"));
    }
}
