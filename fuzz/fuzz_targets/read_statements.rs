//! Any bytes are answered: with statements that are valid and can be read again, or with violations.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xapi::{Author, Limits, Version, keys::Ifi, prepare, read, schema};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let limits = Limits { statements: 16, values: 10_000, violations: 8, ..Limits::default() };
    for version in [Version::V1_0_3, Version::V2_0_0] {
        match read::statements(body, version, &limits) {
            Ok(batch) => {
                for statement in batch.statements {
                    let value = Value::Object(statement.into_doc());
                    let again = read::statements(value.to_string().as_bytes(), version, &limits);
                    assert_eq!(again.map(|batch| batch.statements[0].doc().len()).ok(), value.as_object().map(|map| map.len()));
                    let again = read::statements(value.to_string().as_bytes(), version, &limits).expect("as before");
                    for statement in again.statements {
                        let author = Author::new(uuid::Uuid::nil(), &Ifi::Mbox("mailto:a@b.c".to_owned()).to_map(), version);
                        let kept = prepare(statement, &author, uuid::Uuid::nil, chrono::DateTime::UNIX_EPOCH).payload;
                        let kept = serde_json::from_str(&kept).expect("JSON");
                        assert!(schema::accepts(version, &kept), "the schema refuses what the rules accept: {kept}");
                    }
                }
            }
            Err(violations) => {
                assert!(!violations.is_empty(), "refused without a reason");
                assert!(violations.0.len() <= limits.violations + 1, "more violations than the limit");
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(body) {
        _ = read::agent(text, Version::V2_0_0, &limits);
    }
});
