//! A receipt of the audit trail on paper: what was done, and all that is needed to check it, to the last character.

use std::time::Instant;

use serde_json::Value;

use super::{
    pages::{HEADING, Pages, Role, TITLE, VALUE, labelled, moment, note, whole},
    pdf::{Unwritten, bind, described, feet},
    setting::{Setter, Style},
};
use crate::audit::Receipt;

/// What is to be compared letter by letter.
const EXACT: Style = Style { size: 8.0, is_bold: false };
/// Lines of details that are printed; the document has all of them.
const LINES: usize = 400;

/// The document, and how many letters no font could show.
pub fn write(receipt: &Receipt, setter: &mut Setter, until: Instant) -> Result<(Vec<u8>, usize), Unwritten> {
    let entry = receipt.entry();
    let mut pages = Pages::new();
    done(&entry, &mut pages, setter);
    proof(receipt, &mut pages, setter);
    if Instant::now() > until {
        return Err(Unwritten::Late);
    }
    let laid_out = pages.finish();
    let id = text(&entry["id"]);
    let feet = feet(&format!("Entry {id} · {}", moment(receipt.signed_at)), laid_out.len(), setter);
    let missing = setter.take_missing();
    let about = described(format!("Receipt: entry {id}"), receipt.entry_key.clone(), receipt.signed_at);
    Ok((bind(&laid_out, &feet, about, until)?, missing))
}

/// What was done.
fn done(entry: &Value, pages: &mut Pages, setter: &mut Setter) {
    pages.add(whole(Role::Heading(1), "Receipt", TITLE, setter), setter);
    pages.gap(8.0);
    let fields = [
        ("Act", "action"),
        ("About", "subject"),
        ("Done by", "actor"),
        ("At", "at"),
        ("Tenant", "tenant"),
        ("Entry", "id"),
        ("Installation", "installation"),
    ];
    for (label, name) in fields {
        pages.add(labelled(label, &text(&entry[name]), VALUE, setter), setter);
    }
    let mut lines = Vec::new();
    flatten("", &entry["detail"], &mut lines);
    if lines.is_empty() {
        return;
    }
    pages.gap(14.0);
    pages.add(whole(Role::Heading(2), "What was done", HEADING, setter), setter);
    for (name, value) in lines.iter().take(LINES) {
        pages.add(labelled(name, value, VALUE, setter), setter);
    }
    if let Some(more) = lines.len().checked_sub(LINES).filter(|more| *more > 0) {
        let text = format!("Continued: {more} more lines are not shown here; the receipt as JSON has all of them.");
        pages.add(note(&text, setter), setter);
    }
}

/// All that is needed to check it.
fn proof(receipt: &Receipt, pages: &mut Pages, setter: &mut Setter) {
    pages.gap(14.0);
    pages.add(whole(Role::Heading(2), "How to check this", HEADING, setter), setter);
    for line in [
        "The receipt as JSON holds the same and can be checked by a program, without this service: progress-service audit check FILE \
         --key KEY, or the public packages golang.org/x/mod/sumdb/note and tlog.",
        "HMAC-SHA256 over the entry's text, under the entry's key, is the leaf. The leaf, its place and the hashes below lead to the \
         root that the checkpoint names (RFC 6962), and the checkpoint is signed by the log's key. Compare that key with the one you \
         were given otherwise.",
    ] {
        pages.add(note(line, setter), setter);
    }
    pages.gap(6.0);
    let mut exact = |label: &str, value: &str| pages.add(labelled(label, value, EXACT, setter), setter);
    exact("Key of the log", &receipt.verifier);
    exact("Key of the entry", &receipt.entry_key);
    exact("Place", &format!("{} of {}", receipt.leaf_index, receipt.tree_size));
    for (at, hash) in receipt.hashes.iter().enumerate() {
        exact(if at == 0 { "Hashes" } else { "" }, hash);
    }
    for (at, line) in receipt.checkpoint.lines().filter(|line| !line.is_empty()).enumerate() {
        exact(if at == 0 { "Checkpoint" } else { "" }, line);
    }
    for anchor in &receipt.anchors {
        let mut parts = Vec::new();
        flatten("", &anchor.detail, &mut parts);
        let parts: Vec<String> = parts.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        exact("Lies also in", &format!("{}, since {}: {}", anchor.place, moment(anchor.at), parts.join(", ")));
    }
    exact("The entry's text", &receipt.entry);
}

/// Each value with the way to it.
fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| flatten(&below(name), value, lines)),
        Value::Array(values) => {
            for (at, value) in (1..).zip(values) {
                flatten(&below(&at.to_string()), value, lines);
            }
        }
        plain => lines.push((path.to_owned(), text(plain))),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}
