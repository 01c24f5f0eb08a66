//! The gateway stays within its bounds: which rooms of the service it uses, which of its own parts know which, and how long a file is.

use std::{fs, path::Path};

/// Of the service: the reader of segments behind its door, the model, the configuration and the logs.
const ROOMS: [&str; 4] = ["config", "model", "objects", "telemetry"];
/// Each part with those it may know.
const PARTS: [(&str, &[&str]); 5] = [
    ("fault", &[]),
    ("data", &["fault"]),
    ("sql", &["data", "fault"]),
    ("engine", &["data", "fault", "sql"]),
    ("wire", &["data", "engine", "fault", "sql"]),
];
const LONGEST: usize = 400;

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
                found.push((name.display().to_string(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 15, "the sources were found");
    found
}

/// The names that follow a path's beginning, `first::` and `first::{…}` alike, in the code before the tests.
fn named_after<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut names = Vec::new();
    for (at, _) in code.match_indices(first) {
        let rest = &code[at + first.len()..];
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut begins = true;
                for (at, letter) in group.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        letter if begins && letter.is_alphanumeric() => {
                            names.push(word(&group[at..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    &text[..end]
}

#[test]
fn of_the_service_only_the_reader_of_segments_is_used() {
    for (file, text) in sources() {
        for room in named_after(&text, "progress_service::") {
            assert!(ROOMS.contains(&room), "{file} uses {room}");
        }
    }
}

#[test]
fn parts_know_only_parts_below_them() {
    for (file, text) in sources() {
        let part = word(&file);
        let Some((_, known)) = PARTS.iter().find(|(name, _)| *name == part) else {
            assert!(matches!(part, "lib" | "main"), "{file} belongs to no part");
            continue;
        };
        for other in named_after(&text, "crate::") {
            assert!(other == part || known.contains(&other), "{file} knows {other}");
        }
    }
}

#[test]
fn files_have_a_head_and_an_end() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{file} has no head");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(code <= LONGEST, "{file} has {code} lines");
    }
}

#[test]
fn names_are_found_in_paths_and_groups() {
    let text = "use progress_service::{\n    config,\n    objects::{Objects, segment::Cache},\n};\nprogress_service::model::Clock";
    assert_eq!(named_after(text, "progress_service::"), ["config", "objects", "model"]);
}
