//! Is what is kept outside of the tables still there, and is the trail the one that was signed? Judges what others looked at. Pure.

use super::{Check, Status, some_of};

const SEGMENTS: &str = "archive";
const TRAIL: &str = "audit-trail";

/// How many published segments there are, and those of which an object is missing or has another size; or why nobody could look.
pub fn segments(found: Result<(u64, Vec<String>), String>) -> Check {
    match found {
        Ok((looked_at, damaged)) if damaged.is_empty() => {
            Check::pass(SEGMENTS, format!("the objects of {looked_at} segments are there"))
        }
        Ok((_, damaged)) => Check::of(
            Status::Fail,
            SEGMENTS,
            some_of(&damaged),
            "restore the objects from the bucket's versions: docs/archive.md; `archive verify` reads every byte of the others",
        ),
        Err(why) => Check::of(Status::Unknown, SEGMENTS, why, "look again when the object storage answers"),
    }
}

/// How many entries of the audit trail are as they were committed to, and what does not fit; or why nobody could look.
pub fn trail(found: Result<(u64, Vec<String>), String>) -> Check {
    match found {
        Ok((entries, findings)) if findings.is_empty() => {
            Check::pass(TRAIL, format!("{entries} entries are as they were signed"))
        }
        Ok((_, findings)) => Check::of(
            Status::Fail,
            TRAIL,
            some_of(&findings),
            "`audit verify` has all that was found; keep this database as it is",
        ),
        Err(why) => Check::of(Status::Unknown, TRAIL, why, "`audit verify` tells more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_fails_and_what_nobody_could_look_at_is_not_called_sound() {
        for judge in [segments, trail] {
            assert_eq!(judge(Ok((7, Vec::new()))).status, Status::Pass);
            let failed = judge(Ok((7, vec!["this one".to_owned()])));
            assert!(failed.status == Status::Fail && failed.found == "this one" && !failed.todo.is_empty());
            let unknown = judge(Err("it is away".to_owned()));
            assert!(unknown.status == Status::Unknown && unknown.found == "it is away");
        }
    }
}
