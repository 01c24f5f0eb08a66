//! The head of a migration: the lines at its top that say what it is. Pure.
//!
//! A line is `-- Key: value` or `-- @key value`, in any case; yes and no may be called true and false. A block comment
//! at the top says the same, a line of it at a time.

use serde::Serialize;

use super::lint::lock::{LockClass, UnknownLockClass};

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub description: String,
    /// Somebody's query or code may stop working, or rows or columns are lost: needs a named approval.
    pub breaking: bool,
    /// An operator has to do or decide something: never applied automatically.
    pub manual: bool,
    /// The strongest lock the author expects; absent where the file does not say.
    pub lock: Option<LockClass>,
    /// Runs outside a transaction, one statement (`-- progress: no-transaction`).
    pub no_transaction: bool,
    /// The files this one takes the place of (a squash), with their checksums.
    pub supersedes: Vec<Superseded>,
    /// `TABLE by COLUMN, …`: walked batch by batch beside the running work, by a job.
    pub backfill: Option<String>,
    /// Which rows of that table still have to be done: a condition.
    pub remains: Option<String>,
    /// What of this release does each of those rows, where no statement can.
    pub step: Option<String>,
    /// `TABLE by COLUMN, …`: walked in the same way, and only looked at.
    pub compare: Option<String>,
    /// Which rows of that table are not as they should be: a condition.
    pub differs: Option<String>,
    /// Whether the release before can live with it; absent where the file does not say.
    pub previous: Option<Previous>,
    /// This release serves without it too: while it waits for a person, no node waits in maintenance.
    pub can_wait: bool,
}

/// What the release before does once a file is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Previous {
    /// Serves on, and starts.
    Serves,
    /// Stops, and refuses to start.
    Stops,
}

/// One `-- Supersedes: FILE CHECKSUM` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superseded {
    pub file: String,
    pub checksum: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("the head has no `-- {0}:` line")]
    Absent(&'static str),
    #[error("the head says `-- {0}:` twice")]
    Twice(String),
    #[error("`-- {key}: {value}` must be {allowed}")]
    Value { key: &'static str, value: String, allowed: String },
    #[error("unknown head line `-- {0}:`")]
    Unknown(String),
}

/// Reads the comment lines at the top of normalized `text`, up to the first line that is not one.
pub fn parse(text: &str) -> Result<Head, HeadError> {
    let lines = lines(text)?;
    let one = |key: &'static str| lines.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
    let flag = |key: &'static str| {
        let said = one(key).ok_or(HeadError::Absent(key))?;
        match said.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            _ => Err(value(key, said, "yes or no (or true or false)")),
        }
    };
    let description = one("Description").ok_or(HeadError::Absent("Description"))?;
    if description.is_empty() || description.starts_with('…') {
        return Err(value("Description", description, "a sentence"));
    }
    let lock = one("Lock").map(|text| text.to_ascii_lowercase().parse()).transpose();
    Ok(Head {
        description: description.to_owned(),
        breaking: flag("Breaking")?,
        manual: flag("Manual")?,
        lock: lock.map_err(|e: UnknownLockClass| value("Lock", &e.0, &e.to_string()))?,
        no_transaction: match one("progress") {
            None => false,
            Some(said) if said.eq_ignore_ascii_case("no-transaction") => true,
            Some(other) => return Err(value("progress", other, "no-transaction")),
        },
        supersedes: lines
            .iter()
            .filter(|(key, _)| *key == "Supersedes")
            .map(|(_, text)| superseded(text))
            .collect::<Result<_, _>>()?,
        backfill: one("Backfill").map(str::to_owned),
        remains: one("Remains").map(str::to_owned),
        step: one("Step").map(str::to_owned),
        compare: one("Compare").map(str::to_owned),
        differs: one("Differs").map(str::to_owned),
        previous: match one("Previous") {
            None => None,
            Some(said) if said.eq_ignore_ascii_case("serves") => Some(Previous::Serves),
            Some(said) if said.eq_ignore_ascii_case("stops") => Some(Previous::Stops),
            Some(other) => return Err(value("Previous", other, "serves or stops")),
        },
        can_wait: match one("Needed") {
            None => false,
            Some(said) if said.eq_ignore_ascii_case("now") => false,
            Some(said) if said.eq_ignore_ascii_case("later") => true,
            Some(other) => return Err(value("Needed", other, "now or later")),
        },
    })
}

/// Whether the comment at the top of a rollback script, which has no head of its own, asks for autocommit.
pub fn says_no_transaction(text: &str) -> bool {
    comments(text).any(|(_, said)| {
        said.split_once(':').is_some_and(|(key, value)| key == "progress" && value.trim() == "no-transaction")
    })
}

/// What the comments before the first statement say, line by line and without their marks, with the number of each line.
pub fn comments(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut inside = false;
    let lines = (1..).zip(text.lines()).map_while(move |(number, line)| {
        let line = line.trim();
        if inside {
            inside = !line.ends_with("*/");
            let said = line.trim_end_matches("*/").trim_end_matches('*').trim_start_matches('*');
            return Some((number, said.trim()));
        }
        if let Some(rest) = line.strip_prefix("/*") {
            let (said, after) = rest.split_once("*/").unwrap_or((rest, ""));
            inside = !rest.contains("*/");
            return after.is_empty().then(|| (number, said.trim_start_matches('*').trim()));
        }
        line.starts_with("--").then(|| (number, line.trim_start_matches('-').trim()))
    });
    lines.filter(|(_, said)| !said.is_empty())
}

const KEYS: [&str; 13] = [
    "Description",
    "Breaking",
    "Manual",
    "Lock",
    "progress",
    "Supersedes",
    "Backfill",
    "Compare",
    "Differs",
    "Remains",
    "Step",
    "Previous",
    "Needed",
];

/// The head's lines as (key, value). A comment that looks like neither form ends nothing and means nothing.
fn lines(text: &str) -> Result<Vec<(&str, &str)>, HeadError> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (_, said) in comments(text) {
        let Some((key, value)) = key_and_value(said) else { continue };
        // Exceptions for the linter stand in the head as well.
        if key == "progress" && (value == "allow" || value.starts_with("allow ")) {
            continue;
        }
        match KEYS.iter().find(|known| known.eq_ignore_ascii_case(key)) {
            None => return Err(HeadError::Unknown(key.to_owned())),
            Some(known) if *known != "Supersedes" && found.iter().any(|(k, _)| k == known) => {
                return Err(HeadError::Twice((*known).to_owned()));
            }
            Some(known) => found.push((known, value)),
        }
    }
    Ok(found)
}

/// `Key: value`, `@key value` or `@key: value`.
fn key_and_value(said: &str) -> Option<(&str, &str)> {
    let (key, value) = match said.strip_prefix('@') {
        Some(rest) => rest.split_once([':', ' ', '\t']).unwrap_or((rest, "")),
        None => said.split_once(':')?,
    };
    let key = key.trim();
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphabetic());
    is_key.then(|| (key, value.trim_start_matches(':').trim()))
}

fn superseded(text: &str) -> Result<Superseded, HeadError> {
    let bad = || value("Supersedes", text, "a file name and its sha256 checksum");
    let (file, checksum) = text.split_once(' ').ok_or_else(bad)?;
    let checksum = checksum.trim();
    let digits = checksum.strip_prefix("sha256:").ok_or_else(bad)?;
    if super::names::Name::parse(file).is_err() || digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(bad());
    }
    Ok(Superseded { file: file.to_owned(), checksum: checksum.to_owned() })
}

fn value(key: &'static str, value: &str, allowed: &str) -> HeadError {
    HeadError::Value { key, value: value.to_owned(), allowed: allowed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str =
        "-- Description: makes a table\n-- Breaking: no\n-- Manual: no\n\nSELECT 1;\n-- Breaking: yes\n";

    #[test]
    fn reads_the_lines_at_the_top_only() {
        let head = parse(PLAIN).unwrap();
        assert_eq!(head.description, "makes a table");
        assert!(!head.breaking && !head.manual && !head.no_transaction);
        assert_eq!((head.lock, head.supersedes), (None, vec![]));
    }

    #[test]
    fn reads_every_key() {
        let sum = format!("sha256:{}", "ab".repeat(32));
        let text = format!(
            "-- progress: no-transaction\n-- a remark\n-- Description: x: y\n-- Breaking: yes\n-- Manual: yes\n\
             -- Lock: share-update\n-- Previous: stops\n-- Needed: later\n\
             -- Supersedes: 001_a.sql {sum}\n-- Supersedes: 100_b.sql {sum}\n"
        );
        let head = parse(&text).unwrap();
        assert_eq!(head.description, "x: y");
        assert!(head.breaking && head.manual && head.no_transaction);
        assert_eq!(head.lock, Some(LockClass::ShareUpdate));
        assert_eq!((head.previous, head.can_wait), (Some(Previous::Stops), true));
        assert_eq!(head.supersedes[1], Superseded { file: "100_b.sql".into(), checksum: sum });
    }

    #[test]
    fn reads_every_form() {
        for text in [
            "-- Description: d\n-- Breaking: true\n-- Manual: false\n-- Lock: share",
            "-- description: d\n--BREAKING: YES\n--  manual:No\n-- LOCK: Share",
            "-- @description d\n-- @breaking true\n-- @manual: false\n-- @lock share",
            "/* Description: d\n * Breaking: yes\n * @manual false\n   Lock: share */",
            "/** @description d\n *\n * @breaking True\n * @manual FALSE\n * @lock share\n **/",
            "/* Description: d */\n-- Breaking: yes\n/* Manual: no */\n-- Lock: share",
            "  -- Description: d\n--- Breaking: yes\n---- Manual: no\n-- Lock: share",
        ] {
            let head = parse(&format!("{text}\nSELECT 1;\n-- Breaking: no\n")).unwrap();
            assert_eq!(head.description, "d", "{text}");
            assert!(head.breaking && !head.manual, "{text}");
            assert_eq!(head.lock, Some(LockClass::Share), "{text}");
        }
        assert_eq!(parse("/* SELECT 1 */ SELECT 2;\n-- Description: d"), Err(HeadError::Absent("Description")));
        assert_eq!(parse(&format!("-- @braking true\n{PLAIN}")), Err(HeadError::Unknown("braking".into())));
        assert_eq!(parse(&format!("-- @breaking true\n{PLAIN}")), Err(HeadError::Twice("Breaking".into())));
        for bad in ["on", "1", "y", "", "yes, surely"] {
            let text = PLAIN.replacen("Breaking: no", &format!("Breaking: {bad}"), 1);
            assert!(matches!(parse(&text), Err(HeadError::Value { key: "Breaking", .. })), "{bad:?}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(parse("SELECT 1;"), Err(HeadError::Absent("Description")));
        assert_eq!(parse(&PLAIN.replace("-- Manual: no\n", "")), Err(HeadError::Absent("Manual")));
        assert_eq!(parse(&format!("-- Breaking: no\n{PLAIN}")), Err(HeadError::Twice("Breaking".into())));
        assert_eq!(parse(&format!("-- Braking: no\n{PLAIN}")), Err(HeadError::Unknown("Braking".into())));
        for bad in [
            "-- Lock: enormous",
            "-- progress: maybe",
            "-- Supersedes: 001_a.sql",
            "-- Supersedes: x y",
            "-- Previous: perhaps",
            "-- Needed: soon",
        ] {
            assert!(matches!(parse(&format!("{bad}\n{PLAIN}")), Err(HeadError::Value { .. })), "{bad}");
        }
        let breaking = PLAIN.replacen("Breaking: no", "Breaking: perhaps", 1);
        assert!(parse(&breaking).unwrap_err().to_string().contains("yes or no"));
    }
}
