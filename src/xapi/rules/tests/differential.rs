//! Rules and schema against each other: what the rules accept the schema accepts as it is kept, so what the schema refuses they
//! refuse, but for the forms of a timestamp that are respelt.
//! Statements are generated valid, then mutated: values swapped for others, properties renamed, copied, dropped.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use super::*;
use crate::{Author, keys::Ifi, prepare, schema, testing};

/// Values and texts near the borders of the rules.
fn poison() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "x",
        "Agent",
        "Group",
        "Activity",
        "SubStatement",
        "StatementRef",
        "contextAgent",
        "http://a.example/",
        "urn:x:y",
        "ab=c://x",
        "mailto:a@b",
        "mailto:",
        "P1Y",
        "P4W1D",
        "PT",
        "2015-11-18T12:17:00Z",
        "2015-11-18T12:17:00-00:00",
        "20151118T1217+01",
        "2015-11-18t12:17:00z",
        "2015-W47-3T24:00:00Z",
        "2015-322T12:17:00Z",
        "e05aa883-acaf-40ad-bf54-02c8ce485fb0",
        "1.0.3",
        "2.0.0",
        "1.1",
        "en",
        "en_US",
        "something",
        "choice",
        "likert",
        "text/plain",
        "application/octet-stream",
        "http://adlnet.gov/expapi/attachments/signature",
        "http://adlnet.gov/expapi/verbs/voided",
        "ebd31e95054c018b10727ccffd2ef2ec3a016ee9",
        "true",
        "1",
        "\0",
        "é\u{feff}",
    ];
    let others =
        [json!(null), json!(true), json!(0), json!(-2), json!(1.5), json!([]), json!({}), json!([{}]), json!(1e30)];
    prop_oneof![3 => select(texts.to_vec()).prop_map(Value::from), 1 => select(others.to_vec()), 1 => "\\PC{0,20}".prop_map(Value::from)]
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(Value),
    Remove,
    Rename(String),
    /// Put a copy of another part of the statement here.
    Copy(Index),
}

fn mutation() -> impl Strategy<Value = (Index, Mutation)> {
    let keys = [
        "id",
        "objectType",
        "name",
        "member",
        "mbox",
        "openid",
        "account",
        "display",
        "definition",
        "contextAgents",
        "revision",
        "platform",
        "scaled",
        "steps",
        "choices",
        "interactionType",
        "stored",
        "authority",
        "version",
        "group",
        "agent",
        "dummy",
        "Actor",
        "en",
        "x",
        "http://a.example/",
        "length",
        "sha2",
        "fileUrl",
        "team",
        "parent",
        "object",
        "attachments",
    ];
    let change = prop_oneof![
        4 => poison().prop_map(Mutation::Replace),
        2 => Just(Mutation::Remove),
        2 => select(keys.to_vec()).prop_map(|key| Mutation::Rename(key.to_owned())),
        2 => any::<Index>().prop_map(Mutation::Copy),
    ];
    (any::<Index>(), change)
}

/// Pointers of everything below the root.
fn places(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                out.push(at.clone());
                places(value, at, out);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                out.push(format!("{at}/{index}"));
                places(value, format!("{at}/{index}"), out);
            }
        }
        _ => {}
    }
}

fn mutate(statement: &mut Value, place: Index, mutation: Mutation) {
    let mut all = Vec::new();
    places(statement, String::new(), &mut all);
    if all.is_empty() {
        return;
    }
    let at = place.get(&all);
    match mutation {
        Mutation::Replace(value) => set(statement, at, Some(value)),
        Mutation::Remove => set(statement, at, None),
        Mutation::Rename(key) => {
            let value = statement.pointer(at).cloned().unwrap_or_default();
            let (parent, _) = at.rsplit_once('/').unwrap();
            if statement.pointer(parent).is_some_and(Value::is_object) {
                set(statement, at, None);
                set(statement, &format!("{parent}/{}", key.replace('/', "~1")), Some(value));
            }
        }
        Mutation::Copy(from) => {
            let value = statement.pointer(from.get(&all).as_str()).cloned();
            set(statement, at, Some(value.unwrap_or_default()));
        }
    }
}

/// The statement as the ledger keeps it.
fn kept(statement: &Value, version: Version) -> Value {
    let author = Author::new(uuid::Uuid::nil(), &Ifi::Mbox("mailto:lrs@example.com".to_owned()).to_map(), version);
    let statement = read(statement, version).unwrap().statements.remove(0);
    let prepared = prepare(statement, &author, uuid::Uuid::nil, chrono::DateTime::UNIX_EPOCH);
    serde_json::from_str(&prepared.payload).unwrap()
}

fn statements() -> impl Strategy<Value = (Version, Value)> {
    select(BOTH.to_vec()).prop_flat_map(|version| (Just(version), testing::valid(version)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn generated_statements_are_valid_and_come_back_unchanged((version, statement) in statements()) {
        let batch = read(&statement, version).map_err(|list| TestCaseError::fail(list.to_string()))?;
        let back = Value::Object(batch.statements[0].doc().clone());
        prop_assert_eq!(back.to_string(), statement.to_string());
        prop_assert!(schema::accepts(version, &statement), "{} refused by the schema", statement);
    }

    #[test]
    fn what_the_rules_accept_the_schema_accepts(
        (version, mut statement) in statements(),
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        for (place, mutation) in mutations {
            mutate(&mut statement, place, mutation);
        }
        let found = broken(&statement, version);
        if found.is_empty() {
            prop_assert!(schema::accepts(version, &kept(&statement, version)), "only the schema refuses {}", statement);
        }
        for (pointer, rule) in found {
            let known = statement.pointer(&pointer).is_some() || pointer.is_empty();
            prop_assert!(known, "{} names no place of {}: {}", pointer, statement, rule);
        }
    }
}

/// The other direction, on the cases where a schema can speak: what it lets pass is what `schema.rs` says it lets pass.
#[test]
fn the_schema_refuses_what_a_schema_can_refuse() {
    let cases = [
        ("/verb/id", json!("no iri")),
        ("/actor/mbox", json!("a@b")),
        ("/id", json!("x")),
        ("/timestamp", json!("01/011/2015")),
        ("/timestamp", json!("2008-09-15T15:53:00.601-00:00")),
        ("/timestamp", json!("2008-09-15T15:53:00.601-0000")),
        ("/timestamp", json!("2008-09-15T15:53:00.601-00")),
        ("/result/duration", json!("P4W1D")),
        ("/result/duration", json!("PT")),
        ("/result/score/scaled", json!(1.1)),
        ("/result/success", json!("true")),
        ("/version", json!("1.1.0")),
        ("/actor/openid", json!("http://a.example/")),
        ("/object/objectType", json!("activity")),
        ("/verb/display/en_US", json!("x")),
        ("/object/definition/interactionType", json!("likert")),
        ("/context/language", json!("something")),
        ("/result", json!(null)),
        ("/object", json!({ "objectType": "Agent", "mbox": "mailto:a@b" })),
        ("/verb/id", json!("http://adlnet.gov/expapi/verbs/voided")),
        ("/attachments/0/contentType", json!("text/plain")),
        ("/attachments/0/sha2", json!("x")),
        ("/context/team/objectType", json!("Agent")),
        ("/authority", json!({ "objectType": "Group", "member": [] })),
        ("/context/contextActivities/parent/0/id", json!("x")),
    ];
    for (pointer, value) in cases {
        for version in BOTH {
            let mut statement = everything();
            set(&mut statement, pointer, Some(value.clone()));
            assert!(!schema::accepts(version, &statement), "{pointer} = {value}");
            assert!(!broken(&statement, version).is_empty(), "{pointer} = {value}");
        }
    }
}
