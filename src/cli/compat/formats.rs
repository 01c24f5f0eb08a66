//! Stored formats: samples of what this service once wrote or gave out, which today's code must still read or make alike.
//!
//! To add a format: a file of samples in `schemas/formats`, a line in [`READERS`].

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    compat::{Breach, Finding, Rule},
    identity::hash,
    migrate::checksum,
    model::{Secret, TenantId, pseudonym::Pseudonyms},
    query::more::More,
    xapi::{
        digest, document,
        keys::{self, Ifi},
    },
};

/// What today's code makes of a sample's input; `None` where it cannot read it.
type Reader = fn(&Value) -> Option<Value>;

/// Every format, by its file, and how it is read.
const READERS: [(&str, Reader); 7] = [
    ("formats/more-token.json", more_token),
    ("formats/statement-digest.json", statement_digest),
    ("formats/lookup-key.json", lookup_key),
    ("formats/actor-pseudonym.json", actor_pseudonym),
    ("formats/document-etag.json", document_etag),
    ("formats/migration-checksum.json", migration_checksum),
    ("formats/secret-hash.json", secret_hash),
];

/// Samples of a file that today's code no longer reads as it was promised.
pub fn broken(file: &str, release: &str, samples: &[Value]) -> Vec<Finding> {
    let reader = READERS.iter().find(|(name, _)| *name == file).map(|(_, reader)| reader);
    let finding = |pointer: String, detail: String| Finding {
        file: file.to_owned(),
        release: release.to_owned(),
        breach: Breach { pointer, rule: Rule::FormatUnread, detail },
    };
    let Some(reader) = reader else {
        return vec![finding(String::new(), "nothing in this binary reads this format".to_owned())];
    };
    let wrong = |(at, sample): (usize, &Value)| {
        let (input, expected) = (sample.get("input")?, sample.get("expected")?);
        let found = reader(input);
        let detail = || match &found {
            Some(found) => format!("{expected} became {found}"),
            None => "it cannot be read any more".to_owned(),
        };
        (found.as_ref() != Some(expected)).then(|| finding(format!("/samples/{at}"), detail()))
    };
    samples.iter().enumerate().filter_map(wrong).collect()
}

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name)?.as_str()
}

fn id(input: &Value, name: &str) -> Option<Uuid> {
    text(input, name)?.parse().ok()
}

/// Links to further pages that clients have kept.
fn more_token(input: &Value) -> Option<Value> {
    let tenant = TenantId(id(input, "tenant")?);
    serde_json::to_value(More::open(text(input, "token")?, text(input, "key")?.as_bytes(), tenant)?).ok()
}

/// The guard of ids: a statement that comes again is compared by it.
fn statement_digest(input: &Value) -> Option<Value> {
    Some(json!(hex::encode(digest::digest(input.as_object()?))))
}

/// What every filter looks for in the ledger's columns.
fn lookup_key(input: &Value) -> Option<Value> {
    let tenant = id(input, "tenant")?;
    let agent = |agent: &Map<String, Value>| Some(keys::agent(tenant, &Ifi::of(agent)?));
    let key = match (input.get("agent"), text(input, "verb"), text(input, "activity")) {
        (Some(Value::Object(map)), ..) => agent(map)?,
        (_, Some(verb), _) => keys::verb(tenant, verb),
        (.., Some(activity)) => keys::activity(tenant, activity),
        _ => keys::registration(tenant, id(input, "registration")?),
    };
    Some(json!(key))
}

/// The names that events call actors by.
fn actor_pseudonym(input: &Value) -> Option<Value> {
    Some(json!(Pseudonyms::with_key(text(input, "key")?.as_bytes()).of(id(input, "actor")?)))
}

/// What clients send back in `If-Match`.
fn document_etag(input: &Value) -> Option<Value> {
    Some(json!(document::etag(input.as_str()?.as_bytes())))
}

/// The history of migrations.
fn migration_checksum(input: &Value) -> Option<Value> {
    Some(json!(checksum::checksum(input.as_str()?)))
}

/// Secrets of credentials.
fn secret_hash(input: &Value) -> Option<Value> {
    let secret = Secret::new(text(input, "secret")?.to_owned());
    hash::verify(&secret, text(input, "hash")?).ok().map(Value::from)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::compat;

    fn all() -> Vec<(String, Vec<Value>)> {
        let samples = compat::samples(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        samples.into_iter().find(|(release, _)| release == compat::TODAY).unwrap().1
    }

    #[test]
    fn every_format_has_samples_that_are_read() {
        let samples = all();
        let names: Vec<&str> = samples.iter().map(|(file, _)| file.as_str()).collect();
        for (name, _) in READERS {
            assert!(names.contains(&name), "{name} has no samples");
        }
        for (file, samples) in &samples {
            assert!(!samples.is_empty(), "{file}");
            assert_eq!(broken(file, "today", samples), [], "{file}");
        }
    }

    #[test]
    fn a_sample_that_is_read_otherwise_is_found() {
        for (file, samples) in all() {
            let altered: Vec<Value> =
                samples.iter().map(|sample| json!({ "input": sample["input"], "expected": "otherwise" })).collect();
            let found = broken(&file, "1.0.0", &altered);
            assert_eq!(found.len(), samples.len(), "{file}");
            assert_eq!((found[0].breach.rule, found[0].breach.pointer.as_str()), (Rule::FormatUnread, "/samples/0"));
        }
        let unknown = broken("formats/unheard-of.json", "1.0.0", &[]);
        assert_eq!(unknown[0].breach.rule, Rule::FormatUnread);
    }
}
