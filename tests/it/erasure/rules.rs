//! Every column, topic, object, file and label declares what an erasure does to it: what nobody declared fails here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

const RULES: &str = include_str!("../../../migrations/erasure.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// Each word that a rule may be, with what it means.
    words: BTreeMap<String, String>,
    /// By the table, then by the word: its columns.
    columns: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    topics: BTreeMap<String, String>,
    objects: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

fn rules() -> Rules {
    toml::from_str(RULES).expect("migrations/erasure.toml reads")
}

/// What is there and not declared, and what is declared and not there.
fn differences<'a>(
    there: impl IntoIterator<Item = &'a String>,
    declared: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    let (there, declared): (BTreeSet<_>, BTreeSet<_>) = (there.into_iter().collect(), declared.into_iter().collect());
    let missing = there.difference(&declared).map(|name| format!("{name} declares no rule in migrations/erasure.toml"));
    let spare = declared.difference(&there).map(|name| format!("{name} is declared there and does not exist"));
    missing.chain(spare).collect()
}

on_each_server! {
    async fn every_column_declares_what_an_erasure_does_to_it(db: TestDatabase) {
        let sql = "SELECT format('%s.%s', n.nspname, c.relname), a.attname::text
                   FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname IN ('platform', 'ledger', 'progress') AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition
                     AND a.attnum > 0 AND NOT a.attisdropped AND c.relname NOT LIKE 'schema!_migration%' ESCAPE '!'";
        let rows = db.superuser().await.query(sql, &[]).await.unwrap();
        let there: BTreeSet<String> = rows.iter().map(|row| format!("{}.{}", row.get::<_, String>(0), row.get::<_, String>(1))).collect();
        let rules = rules();
        let mut declared = BTreeSet::new();
        for (table, by_word) in &rules.columns {
            for (word, columns) in by_word {
                assert!(rules.words.contains_key(word), "{table}: {word} is no word of the rules");
                for column in columns {
                    assert!(declared.insert(format!("{table}.{column}")), "{table}.{column} has two rules");
                }
            }
        }
        assert_eq!(differences(&there, &declared), Vec::<String>::new());
        assert!(there.len() > 300, "{} columns", there.len());
    }
}

#[test]
fn every_topic_declares_what_an_erasure_does_to_it() {
    let mut there: BTreeSet<String> = BTreeSet::new();
    for folder in ["schemas/events", "schemas/events/consumed"] {
        for entry in std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap().flatten()
        {
            let name = entry.file_name().into_string().unwrap();
            there.extend(name.strip_suffix(".json").map(str::to_owned));
        }
    }
    assert_eq!(differences(&there, rules().topics.keys()), Vec::<String>::new());
}

#[test]
fn every_label_of_a_metric_declares_what_an_erasure_does_to_it() {
    let mut there: BTreeSet<String> = BTreeSet::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telemetry/metrics");
    // A label is named in the list that a family is made with.
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for list in code.split("&[").skip(1) {
            let list = list.split(']').next().unwrap_or_default();
            there.extend(
                list.split(',').filter_map(|name| Some(name.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned())),
            );
        }
    }
    let rules = rules();
    let missing: Vec<&String> = there.iter().filter(|name| !rules.labels.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} declare no rule in migrations/erasure.toml");
    assert!(there.len() > 10, "{there:?}");
}

#[test]
fn every_rule_is_a_word_that_is_explained() {
    let rules = rules();
    for (what, word) in rules.topics.iter().chain(&rules.objects).chain(&rules.files).chain(&rules.labels) {
        let first = word.split(':').next().unwrap_or_default();
        assert!(rules.words.contains_key(first), "{what}: {word}");
    }
    assert!(rules.words.values().all(|meaning| meaning.len() > 10));
}

#[test]
fn what_nobody_declared_is_found() {
    let (there, declared) = (["a".to_owned(), "b".to_owned()], ["b".to_owned(), "c".to_owned()]);
    let found = differences(&there, &declared);
    assert!(
        found.len() == 2 && found[0].starts_with("a declares no rule") && found[1].starts_with("c is declared"),
        "{found:?}"
    );
}
