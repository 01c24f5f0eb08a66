//! A statement as a line of an export, and what is looked at of it on its way. Pure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::xapi::time;

/// A statement as a line: what the ledger holds of it, with its `stored`. Where its sender gave no timestamp it has none.
pub fn line(payload: &str, stored: DateTime<Utc>) -> String {
    let mut text = String::with_capacity(payload.len() + 48);
    text.push_str(payload.strip_suffix('}').unwrap_or(payload));
    text.push_str(",\"stored\":\"");
    time::write(&mut text, stored);
    text.push_str("\"}");
    text
}

/// What is looked at of a statement on its way.
#[derive(Deserialize)]
pub struct Seen<'s> {
    pub id: Uuid,
    #[serde(borrow)]
    pub verb: SeenVerb<'s>,
}

#[derive(Deserialize)]
pub struct SeenVerb<'s> {
    #[serde(borrow)]
    pub id: Cow<'s, str>,
}
