//! The flags and settings that there are: their names, kinds and meaning. Pure.

use serde_json::{Value, json};

/// What a flag holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On or off; this is what holds where nobody has set it.
    Switch(bool),
    /// A whole number within these bounds; where nobody has set it the configuration decides.
    Number(u64, u64),
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Switch(_) => "switch",
            Self::Number(..) => "number",
        }
    }
}

/// One flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    pub name: &'static str,
    pub kind: Kind,
    /// What it does, in a sentence.
    pub about: &'static str,
}

/// Whether a tenant's statements and documents are taken.
pub const WRITES: Flag = Flag {
    name: "xapi.writes",
    kind: Kind::Switch(true),
    about: "statements and documents are taken; off, they are refused with 503 and a time to come again",
};

/// Whether a tenant's statements and documents are read.
pub const READS: Flag = Flag {
    name: "xapi.reads",
    kind: Kind::Switch(true),
    about: "statements and documents are read over xAPI; off, reading is refused with 503 and a time to come again",
};

/// How many statements a page holds where the client names no limit.
pub const PAGE: Flag = Flag {
    name: "xapi.page_default",
    kind: Kind::Number(1, 10_000),
    about: "statements on a page when the client names no limit, at most xapi.page; unset: xapi.page_default",
};

/// Requests a second of each credential.
pub const RATE: Flag = Flag {
    name: "limits.rate_per_second",
    kind: Kind::Number(1, 1_000_000),
    about: "requests a second of each of the tenant's credentials; unset: limits.rate_per_second",
};

/// All of them, by name.
pub const FLAGS: [Flag; 4] = [RATE, PAGE, READS, WRITES];

/// The flag of this name.
pub fn known(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

/// A value as people write it: `on` and `off` (or `true` and `false`), or a whole number within the bounds.
pub fn read(flag: &Flag, text: &str) -> Result<Value, String> {
    match flag.kind {
        Kind::Switch(_) => match text {
            "on" | "true" => Ok(json!(true)),
            "off" | "false" => Ok(json!(false)),
            _ => Err(format!("{} is a switch: on or off, not {text:.40?}", flag.name)),
        },
        Kind::Number(least, most) => {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number
                .map(|number: u64| json!(number))
                .ok_or_else(|| format!("{} is a whole number from {least} to {most}, not {text:.40?}", flag.name))
        }
    }
}

/// The same the other way.
pub fn written(value: &Value) -> String {
    match value {
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        other => other.to_string(),
    }
}

/// What holds where nobody has set it; `None`: what the configuration says.
pub fn default(flag: &Flag) -> Option<Value> {
    match flag.kind {
        Kind::Switch(default) => Some(json!(default)),
        Kind::Number(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_distinct_and_found() {
        let names: Vec<_> = FLAGS.iter().map(|flag| flag.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert!(names.iter().all(|name| known(name).is_some_and(|flag| flag.name == *name)));
        assert_eq!(known("xapi.colour"), None);
    }

    #[test]
    fn a_value_fits_its_kind_or_is_refused_by_name_and_bound() {
        for (text, value) in [("on", true), ("off", false), ("true", true), ("false", false)] {
            assert_eq!(read(&WRITES, text), Ok(json!(value)));
        }
        for text in ["", "1", "yes", "ON"] {
            assert!(read(&WRITES, text).unwrap_err().contains("xapi.writes is a switch: on or off"), "{text}");
        }
        assert_eq!(read(&PAGE, "10000"), Ok(json!(10_000)));
        for text in ["0", "10001", "-1", "1.5", "on", "99999999999999999999"] {
            assert!(read(&PAGE, text).unwrap_err().contains("from 1 to 10000"), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (flag, value) in [(&WRITES, json!(true)), (&WRITES, json!(false)), (&RATE, json!(7))] {
            assert_eq!(read(flag, &written(&value)), Ok(value));
        }
    }
}
