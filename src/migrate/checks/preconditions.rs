//! What a server and a database have to be before anything of ours is read or written there: one rule for a start, a
//! run and `db check`. Pure.

use super::{Check, SUPPORTED, Status};

/// The encoding in which every text fits.
const ENCODING: &str = "UTF8";

/// A line for the server's version (as in `server_version_num`) and one for the database's encoding.
pub fn preconditions(version: i32, encoding: &str) -> [Check; 2] {
    [server_version(version), database_encoding(encoding)]
}

/// Why this binary must not work on such a database, in a sentence; nothing where it may.
pub fn unfit(version: i32, encoding: &str) -> Option<String> {
    let lines = preconditions(version, encoding);
    let failed = lines.iter().find(|line| line.status == Status::Fail)?;
    Some(format!("{}; {}", failed.found, failed.todo))
}

fn server_version(version: i32) -> Check {
    let (major, minor) = (version / 10_000, version % 10_000);
    let found = format!("PostgreSQL {major}.{minor}");
    let range = format!("{} to {} are supported", SUPPORTED.start(), SUPPORTED.end());
    match major {
        _ if SUPPORTED.contains(&major) => Check::pass("server-version", found),
        _ if major > *SUPPORTED.end() => Check::of(Status::Warn, "server-version", found, range),
        _ => Check::of(Status::Fail, "server-version", found, format!("{range}: upgrade the server first")),
    }
}

fn database_encoding(encoding: &str) -> Check {
    let found = format!("the database's encoding is {encoding}");
    if encoding == ENCODING {
        return Check::pass("encoding", found);
    }
    let todo = format!("it cannot hold every statement: make a database with ENCODING '{ENCODING}' TEMPLATE template0");
    Check::of(Status::Fail, "encoding", found, todo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_and_a_narrow_encoding_are_refused_in_one_sentence() {
        for version in [150_000, 180_001, 190_000] {
            assert_eq!(unfit(version, "UTF8"), None, "{version}");
        }
        let old = unfit(140_020, "UTF8").unwrap();
        assert_eq!(old, "PostgreSQL 14.20; 15 to 18 are supported: upgrade the server first");
        assert_eq!(unfit(96_024, "UTF8").map(|why| why.contains("15 to 18")), Some(true));
        for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP"] {
            let why = unfit(180_001, encoding).unwrap();
            assert!(why.contains(encoding) && why.contains("ENCODING 'UTF8'"), "{why}");
        }
    }
}
