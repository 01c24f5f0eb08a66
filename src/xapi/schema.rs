//! The published contract of statements as JSON Schema, one document per version, frozen under `schemas/xapi/`.
//!
//! It is not what validates a request: the typed rules do, and they are stricter where a schema cannot speak. The schema
//! does not know the order of language subtags, the grammar of an IRI, the calendar, the place of a fraction in a duration,
//! the relations within a score, distinct component ids, U+0000 in names, nor any limit. Tests hold the two together:
//! what the rules accept, the schema accepts.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

use super::Version;

/// The schema of a version's statements, as it is served to clients.
pub fn text(version: Version) -> &'static str {
    match version {
        Version::V1_0_3 => include_str!("../../schemas/xapi/1.0.3/statement.json"),
        Version::V2_0_0 => include_str!("../../schemas/xapi/2.0.0/statement.json"),
    }
}

/// Whether the schema accepts a statement. Compiled once per version.
pub fn accepts(version: Version, statement: &Value) -> bool {
    compiled(version).is_some_and(|schema| schema.is_valid(statement))
}

fn compiled(version: Version) -> Option<&'static Validator> {
    static SCHEMAS: [OnceLock<Option<Validator>>; 2] = [OnceLock::new(), OnceLock::new()];
    let compile =
        || serde_json::from_str(text(version)).ok().and_then(|schema| jsonschema::validator_for(&schema).ok());
    SCHEMAS[version as usize].get_or_init(compile).as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{as_sub_statement, everything, everything_2, realistic, set};

    #[test]
    fn both_schemas_compile_and_accept_full_statements() {
        for version in [Version::V1_0_3, Version::V2_0_0] {
            assert!(compiled(version).is_some(), "{version}");
            for statement in [everything(), realistic(), as_sub_statement(everything())] {
                assert!(accepts(version, &statement), "{version}: {statement}");
            }
        }
        assert!(accepts(Version::V2_0_0, &everything_2()));
        assert!(!accepts(Version::V1_0_3, &everything_2()));
    }

    #[test]
    fn each_names_its_version_and_forbids_the_unknown() {
        for version in [Version::V1_0_3, Version::V2_0_0] {
            let schema: Value = serde_json::from_str(text(version)).unwrap();
            assert!(schema["$id"].as_str().unwrap().contains(version.header()));
            let mut open: Vec<&String> = Vec::new();
            for (name, form) in schema["$defs"].as_object().unwrap() {
                if form["type"] == "object" && form.get("additionalProperties").is_none() {
                    open.push(name);
                }
            }
            assert_eq!(open, ["extensions"], "{version}");
            let mut statement = everything();
            set(&mut statement, "/dummy", Some(json!(1)));
            assert!(!accepts(version, &statement));
        }
    }
}
