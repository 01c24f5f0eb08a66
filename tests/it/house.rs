//! The house rules of `docs/architecture.md`, read off the sources: floors, doors, and the form of a file.

mod circles;
mod floors;
mod form;
mod pages;
mod source;

use source::Source;

/// Every rule over every file of `src/`; a message names the file and what to do about it.
fn findings(sources: &[Source]) -> Vec<String> {
    let rules = [floors::arrows, floors::doors, form::head, form::length, form::purity, form::leftovers, form::labels];
    sources.iter().flat_map(|source| rules.iter().flat_map(|rule| rule(source))).collect()
}

#[test]
fn the_house_is_in_order() {
    let sources = source::all();
    assert!(sources.len() > 20, "only {} files were read", sources.len());
    let findings = findings(&sources);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn no_two_files_need_each_other() {
    let circles = circles::circles(&source::all());
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found_and_a_face_is_none() {
    let file = |path: &str, text: &str| Source::new(path, &format!("//! A planted file.\n{text}"));
    let tied = [
        file("ingest/mod.rs", "mod plan;\nmod run;\npub use plan::Plan;\nuse run::go;"),
        file("ingest/plan.rs", "use super::run::Step;"),
        file("ingest/run.rs", "use super::{Plan, Ingest};"),
    ];
    let found = circles::circles(&tied);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("ingest/run.rs -> ingest/plan.rs, ingest/plan.rs -> ingest/run.rs"), "{found:?}");
    // What stands in a folder may know its face, which hands it on.
    let one_way = [
        file("ingest/mod.rs", "mod plan;\nmod run;\npub use plan::Plan;\nuse run::go;"),
        file("ingest/plan.rs", "use super::Ingest;"),
        file("ingest/run.rs", "use super::{Plan, Ingest};"),
    ];
    assert!(circles::circles(&one_way).is_empty());
}

#[test]
fn every_room_has_its_floor() {
    let unknown: Vec<_> = source::all().into_iter().filter(|s| floors::floor(&s.room).is_none()).collect();
    assert!(unknown.is_empty(), "give these a floor: {:?}", unknown.iter().map(|s| &s.path).collect::<Vec<_>>());
}

#[test]
fn the_map_is_true() {
    let mut rooms: Vec<String> = source::all().into_iter().map(|s| s.room).collect();
    rooms.sort();
    rooms.dedup();
    rooms.retain(|room| !matches!(room.as_str(), "lib" | "main"));
    let house: Vec<_> = rooms.iter().map(|room| (room.clone(), floors::number(room).unwrap())).collect();
    let mut map = floors::on_the_map();
    map.sort();
    assert_eq!(map, house, "docs/architecture.md draws the left, src/ is the right");
    let text = include_str!("../../docs/architecture.md");
    let unnamed: Vec<_> = rooms.iter().filter(|room| !text.contains(&format!("\n| `{room}` |"))).collect();
    assert!(unnamed.is_empty(), "docs/architecture.md says nothing of {unnamed:?}");
}

/// What the rules say about a planted file.
fn planted(path: &str, text: &str) -> String {
    findings(&[Source::new(path, &format!("//! A planted file.\n{text}"))]).join("\n")
}

#[test]
fn an_arrow_down_is_fine() {
    assert_eq!(planted("ingest/mod.rs", "use crate::{model::{Clock, Ids}, store::Store, xapi};\nuse super::plan;"), "");
    assert_eq!(planted("http/about.rs", "fn f() -> crate::ingest::Plan { crate::query::g() }"), "");
    assert_eq!(planted("config/mod.rs", "use crate::model::Secret;"), "");
    assert_eq!(planted("cli/serve.rs", "use crate::app;"), "");
}

#[test]
fn an_arrow_up_or_sideways_is_found() {
    assert!(planted("store/ledger.rs", "use crate::ingest::Plan;").contains("store must not know ingest"));
    assert!(planted("query/mod.rs", "fn f() { crate::ingest::g() }").contains("query must not know ingest"));
    assert!(
        planted("bus/mod.rs", "use crate::{\n    model::Clock,\n    store::{A, B},\n};")
            .contains("bus must not know store")
    );
    assert!(planted("model/ids.rs", "use crate::xapi;").contains("model must not know xapi"));
    assert!(planted("app.rs", "use crate::cli;").contains("app must not know cli"));
    assert!(planted("migrate/a.rs", "use crate::nowhere::X;").contains("nowhere"));
}

#[test]
fn words_in_comments_and_strings_are_no_arrows() {
    assert_eq!(
        planted("store/a.rs", "/// See crate::http for more.\n// crate::http\nconst A: &str = \"crate::http\";"),
        ""
    );
}

#[test]
fn a_library_outside_of_its_room_is_found() {
    assert!(
        planted("query/mod.rs", "use tokio_postgres::Row;").contains("only store and embedded may use tokio_postgres")
    );
    assert!(
        planted("relay/run.rs", "fn f(p: rdkafka::producer::FutureProducer) {}").contains("only bus may use rdkafka")
    );
    assert!(planted("http/a.rs", "use std::env::var;").contains("only config may use std::env"));
    assert_eq!(planted("bus/mod.rs", "use rdkafka::error::KafkaError;"), "");
    assert_eq!(planted("query/mod.rs", "#[cfg(test)]\nmod tests { use tokio_postgres::Row; }"), "");
}

#[test]
fn the_form_of_a_file_is_checked() {
    let long = "fn f() {}\n".repeat(401);
    assert!(planted("xapi/a.rs", &long).contains("lines"));
    assert_eq!(planted("xapi/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{long}}}")), "");
    let silent = findings(&[Source::new("xapi/a.rs", "use std::fmt;")]);
    assert!(silent[0].contains("//!"), "{silent:?}");
    assert!(planted("archive/plan.rs", "pub async fn plan() {}").contains("pure"));
    assert!(planted("xapi/a.rs", "fn f() { g().await }").contains("pure"));
    assert!(planted("store/a.rs", "// TODO: later").contains("TODO"));
    assert!(planted("store/a/b.rs", "const A: &str = \"/* list */ SELECT 1\";").contains("label list"));
    assert_eq!(planted("store/a/mod.rs", "const A: &str = \"/* a::list */ SELECT $1 /* name */\";"), "");
}

#[test]
fn the_documentation_is_one_book() {
    let pages = pages::all();
    assert!(pages.len() > 15, "only {} pages were read", pages.len());
    let findings = pages::findings(&pages);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn a_page_that_nobody_finds_or_leaves_is_found() {
    let page = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let pages = [
        page("README.md", "[a](docs/a.md) [toml](Cargo.toml) [site](https://x.example/y.md)"),
        page("docs/a.md", "# A page\n[b](b.md#two-words) [up](../README.md)"),
        page("docs/b.md", "## Two words!\n[here](#two-words)"),
        page("docs/lost.md", "[a](a.md)"),
    ];
    let mut findings = pages::findings(&pages.into());
    findings.sort();
    assert_eq!(findings, ["docs/b.md: it links to no other page", "docs/lost.md: no page links to it"]);
}
