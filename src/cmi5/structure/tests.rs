//! Courses that are read, and what is no course.

use super::*;

const UNIT: &str = r#"<au id="https://x.example/au/1" moveOn="CompletedAndPassed" masteryScore="0.8">
    <title><langstring lang="en"> One &amp; only </langstring><langstring lang="de">Eins</langstring></title>
    <description><langstring>D</langstring></description>
    <url>https://content.example/1?mode=x</url><launchParameters>a=b</launchParameters></au>"#;

fn unit(id: &str) -> String {
    UNIT.replace("au/1", id)
}

fn course(body: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><!-- c --><courseStructure xmlns="{NAMESPACE}" xmlns:v="urn:vendor">
        <course id="https://x.example/course"><title><langstring>Course</langstring></title>
            <description><langstring>D</langstring></description><v:more><v:deep/></v:more></course>
        <objectives><objective id="https://x.example/o"><title><langstring>O</langstring></title>
            <description><langstring>D</langstring></description></objective></objectives>{body}
        </courseStructure>"#
    )
}

fn block(id: &str, body: &str) -> String {
    format!(
        r#"<block id="https://x.example/{id}"><title><langstring>B</langstring></title>
        <description><langstring>D</langstring></description>{body}</block>"#
    )
}

#[test]
fn units_and_blocks_are_read_in_their_order() {
    let nested = block("b", &format!("{}{}", unit("au/1"), block("c", &unit("au/2"))));
    let read = Structure::read(&course(&format!("{}{nested}", unit("au/0")))).unwrap();
    assert_eq!((read.id.as_str(), read.title.as_str()), ("https://x.example/course", "Course"));
    let units: Vec<&str> = read.units().into_iter().map(|(id, _)| id).collect();
    assert_eq!(units, ["https://x.example/au/0", "https://x.example/au/1", "https://x.example/au/2"]);
    assert_eq!(read.units()[0].1, Some(MoveOn::CompletedAndPassed));
    let Part::Block { parts, .. } = &read.parts[1] else { panic!("a block") };
    let Part::Unit { title, .. } = &parts[0] else { panic!("a unit") };
    assert_eq!(title, "One & only");
    let again: Structure = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read);
    let plain = unit("au/1").replace(r#"moveOn="CompletedAndPassed""#, "");
    assert_eq!(Structure::read(&course(&plain)).unwrap().units()[0].1, Some(MoveOn::NotApplicable), "the default");
}

#[test]
fn a_course_of_more_than_a_thousand_units_is_read() {
    let all: String = (0..1_100).map(|n| unit(&format!("au/{n}"))).collect();
    assert_eq!(Structure::read(&course(&all)).unwrap().units().len(), 1_100);
}

#[test]
fn what_is_no_course_is_refused_and_named() {
    let changed = |from: &str, to: &str| course(&UNIT.replacen(from, to, 1));
    for (text, named) in [
        (String::new(), "no element"),
        ("just some text".to_owned(), "no element"),
        ("<courseStructure/>".to_owned(), "no element"),
        (course(UNIT).replace("</courseStructure>", ""), "middle"),
        (course(UNIT).replace("<!-- c -->", "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"), "document type"),
        (course(&UNIT.replace("&amp;", "&e;")), "no XML"),
        (course(UNIT).replace("https://x.example/course", "course/7"), "no absolute IRI"),
        (changed("https://x.example/au/1", "au/1"), "no absolute IRI"),
        (course(&block("b", UNIT).replace("https://x.example/b", "b")), "no absolute IRI"),
        (course(UNIT).replace("https://x.example/o\"", "o\""), "no absolute IRI"),
        (course(&format!("{UNIT}{UNIT}")), "stands twice"),
        (course(&format!("{}{}", block("b", UNIT), block("b", &unit("au/2")))), "stands twice"),
        (changed("https://content.example/1?mode=x", "index.html"), "fully qualified"),
        (changed("https://content.example/1?mode=x", "/index.html?a=b"), "fully qualified"),
        (changed("https://content.example/1?mode=x", "http://example.com index.html"), "no URL"),
        (changed("mode=x", "endpoint=x"), "endpoint"),
        (changed("CompletedAndPassed", "Sometimes"), "moveOn"),
        (changed("0.8", "1.01"), "masteryScore"),
        (changed("<description><langstring>D</langstring></description>", ""), "description"),
        (changed("<launchParameters>a=b</launchParameters>", "<colour/>"), "colour"),
        (course(""), "neither au nor block"),
        (course(&block("b", "")), "neither au nor block"),
    ] {
        let error = Structure::read(&text).unwrap_err();
        assert!(error.contains(named), "{error} does not name {named}");
    }
}
