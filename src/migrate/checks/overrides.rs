//! Going past a failed check: only by its name and with a reason, and never past one the runner needs itself. Pure.

use super::{Check, Status};

/// Every check there is, in the order of the reports before and after.
pub const NAMES: [&str; 19] = [
    "connection",
    "server-version",
    "encoding",
    "writable",
    "permissions",
    "group-roles",
    "schema-state",
    "transactions",
    "replication",
    "wraparound",
    "disk-space",
    "backup",
    "version",
    "integrity",
    "indexes",
    "constraints",
    "row-level-security",
    "partitions-detached",
    "partitions-ahead",
];

/// Where one of these fails there is nothing the runner could do, or it would refuse by itself.
const ABSOLUTE: [&str; 6] = ["connection", "server-version", "encoding", "writable", "schema-state", "integrity"];

/// The checks that somebody goes past, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    checks: Vec<String>,
    reason: String,
}

/// Why an override is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    #[error("there is no check {0:?}: {names}", names = NAMES.join(", "))]
    Unknown(String),
    #[error("nothing goes past the check {0}: the runner cannot work where it fails")]
    Absolute(String),
    #[error("going past a check needs a reason")]
    NoReason,
    #[error("a reason is for going past a check: name the check as well")]
    NoCheck,
}

impl Overrides {
    /// Takes the names and the reason as somebody gave them.
    pub fn new(checks: &[String], reason: Option<&str>) -> Result<Self, OverrideError> {
        let reason = reason.unwrap_or_default().trim();
        if let Some(name) = checks.iter().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(OverrideError::Unknown(name.clone()));
        }
        if let Some(name) = checks.iter().find(|name| ABSOLUTE.contains(&name.as_str())) {
            return Err(OverrideError::Absolute(name.clone()));
        }
        match (checks.is_empty(), reason.is_empty()) {
            (false, true) => Err(OverrideError::NoReason),
            (true, false) => Err(OverrideError::NoCheck),
            _ => Ok(Self { checks: checks.to_vec(), reason: reason.to_owned() }),
        }
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The failed lines that stand, and those that somebody goes past.
    pub fn judge<'a>(&self, checks: &'a [Check]) -> (Vec<&'a Check>, Vec<&'a Check>) {
        let failed = checks.iter().filter(|check| check.status == Status::Fail);
        failed.partition(|check| !self.checks.iter().any(|name| name == check.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(checks: &[&str], reason: Option<&str>) -> Result<Overrides, OverrideError> {
        Overrides::new(&checks.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), reason)
    }

    #[test]
    fn an_override_is_a_known_check_and_a_reason() {
        assert!(overrides(&["backup"], Some("made by hand at noon")).is_ok());
        assert_eq!(overrides(&[], None), Ok(Overrides::default()));
        assert_eq!(overrides(&["backup"], None), Err(OverrideError::NoReason));
        assert_eq!(overrides(&["backup"], Some(" \t")), Err(OverrideError::NoReason));
        assert_eq!(overrides(&[], Some("because")), Err(OverrideError::NoCheck));
        let unknown = overrides(&["backups"], Some("x")).unwrap_err().to_string();
        assert!(unknown.contains("disk-space, backup, version"), "{unknown}");
        for name in ABSOLUTE {
            assert_eq!(overrides(&[name], Some("x")), Err(OverrideError::Absolute(name.to_owned())));
        }
    }

    #[test]
    fn only_the_named_check_is_gone_past() {
        let lines = ["backup", "disk-space"].map(|name| Check::of(Status::Fail, name, "x", "y"));
        let overrides = overrides(&["backup"], Some("x")).unwrap();
        let (stand, past) = overrides.judge(&lines);
        assert_eq!((stand[0].name, past[0].name), ("disk-space", "backup"));
        assert_eq!(Overrides::default().judge(&lines).0.len(), 2);
    }
}
