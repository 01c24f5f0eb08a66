//! The head of a migration: the `-- Key: value` lines at its top that say what it is. Pure.

use super::lint::LockClass;

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
    let flag = |key: &'static str| match one(key).ok_or(HeadError::Absent(key))? {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(value(key, other, "yes or no")),
    };
    let description = one("Description").ok_or(HeadError::Absent("Description"))?;
    if description.is_empty() || description.starts_with('…') {
        return Err(value("Description", description, "a sentence"));
    }
    let lock = one("Lock").map(str::parse).transpose();
    Ok(Head {
        description: description.to_owned(),
        breaking: flag("Breaking")?,
        manual: flag("Manual")?,
        lock: lock.map_err(|e: super::lint::lock::UnknownLockClass| value("Lock", &e.0, &e.to_string()))?,
        no_transaction: match one("progress") {
            None => false,
            Some("no-transaction") => true,
            Some(other) => return Err(value("progress", other, "no-transaction")),
        },
        supersedes: lines
            .iter()
            .filter(|(key, _)| *key == "Supersedes")
            .map(|(_, text)| superseded(text))
            .collect::<Result<_, _>>()?,
    })
}

/// Whether the comment at the top of a rollback script, which has no head of its own, asks for autocommit.
pub fn says_no_transaction(text: &str) -> bool {
    let mut top = text.lines().take_while(|line| line.starts_with("--"));
    top.any(|line| line.trim_start_matches('-').trim() == "progress: no-transaction")
}

const KEYS: [&str; 6] = ["Description", "Breaking", "Manual", "Lock", "progress", "Supersedes"];

/// The head's lines as (key, value). A comment that does not look like `-- Word: …` ends nothing and means nothing.
fn lines(text: &str) -> Result<Vec<(&str, &str)>, HeadError> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for line in text.lines().take_while(|line| line.starts_with("--")) {
        let Some((key, value)) = line.trim_start_matches('-').trim().split_once(':') else { continue };
        let key = key.trim();
        // Exceptions for the linter may stand anywhere in the file, also up here.
        if key == "progress" && value.trim_start().starts_with("allow ") {
            continue;
        }
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphabetic()) {
            continue;
        }
        match KEYS.iter().find(|known| known.eq_ignore_ascii_case(key)) {
            None => return Err(HeadError::Unknown(key.to_owned())),
            Some(known) if *known != "Supersedes" && found.iter().any(|(k, _)| k == known) => {
                return Err(HeadError::Twice((*known).to_owned()));
            }
            Some(known) => found.push((known, value.trim())),
        }
    }
    Ok(found)
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
             -- Lock: share-update\n-- Supersedes: 001_a.sql {sum}\n-- Supersedes: 100_b.sql {sum}\n"
        );
        let head = parse(&text).unwrap();
        assert_eq!(head.description, "x: y");
        assert!(head.breaking && head.manual && head.no_transaction);
        assert_eq!(head.lock, Some(LockClass::ShareUpdate));
        assert_eq!(head.supersedes[1], Superseded { file: "100_b.sql".into(), checksum: sum });
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(parse("SELECT 1;"), Err(HeadError::Absent("Description")));
        assert_eq!(parse(&PLAIN.replace("-- Manual: no\n", "")), Err(HeadError::Absent("Manual")));
        assert_eq!(parse(&format!("-- Breaking: no\n{PLAIN}")), Err(HeadError::Twice("Breaking".into())));
        assert_eq!(parse(&format!("-- Braking: no\n{PLAIN}")), Err(HeadError::Unknown("Braking".into())));
        for bad in ["-- Lock: enormous", "-- progress: maybe", "-- Supersedes: 001_a.sql", "-- Supersedes: x y"] {
            assert!(matches!(parse(&format!("{bad}\n{PLAIN}")), Err(HeadError::Value { .. })), "{bad}");
        }
        let breaking = PLAIN.replacen("Breaking: no", "Breaking: perhaps", 1);
        assert!(parse(&breaking).unwrap_err().to_string().contains("yes or no"));
    }
}
