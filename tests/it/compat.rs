//! The gate as CI runs it: the real program over this checkout, and over copies of it with a planted change.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::command;

/// A copy of this checkout's contracts, kept as those of a release on top of what is released.
fn released() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas"), &folder.path().join("schemas"));
    let (code, text) = compat(folder.path(), &["--release", "999.0.0"]);
    assert_eq!(code, 0, "{text}");
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn compat(root: &Path, arguments: &[&str]) -> (i32, String) {
    let all = [&["compat", "--root", root.to_str().unwrap()], arguments].concat();
    let output = command(&all, &BTreeMap::new()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

fn plant(root: &Path, file: &str, change: impl Fn(&mut Value)) {
    let path = root.join("schemas").join(file);
    let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut document);
    fs::write(path, document.to_string()).unwrap();
}

#[test]
fn this_checkout_only_adds() {
    let (code, text) = compat(Path::new(env!("CARGO_MANIFEST_DIR")), &[]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_planted_break_is_refused_by_file_pointer_and_rule() {
    let event = "events/progress.attempt.closed.v1.json";
    let command = "events/consumed/gdpr.subject_request.erasure.v1.json";
    type Change = fn(&mut Value);
    let planted: [(&str, Change, &str, &str); 7] = [
        (
            event,
            |schema| drop(schema["properties"]["data"]["properties"].as_object_mut().unwrap().remove("outcome")),
            "/properties/data/properties/outcome",
            "property-removed",
        ),
        (event, |schema| schema["required"] = json!([]), "/required", "required-removed"),
        (
            command,
            |schema| schema["properties"]["data"]["required"] = json!(["requestId", "subject", "deadline"]),
            "/properties/data/required",
            "required-added",
        ),
        ("attempt-effects/1.json", |effects| effects["planted"] = json!(1), "/", "frozen-changed"),
        (
            "formats/more-token.json",
            |samples| samples["samples"][0]["expected"] = json!(1),
            "/samples/0",
            "format-unread",
        ),
        (
            "released/999.0.0/openapi/v1.json",
            |api| api["paths"]["/api/v1/planted"]["get"] = json!({}),
            "/paths/~1api~1v1~1planted",
            "endpoint-removed",
        ),
        ("openapi/v1.json", |api| api["paths"]["/api/v1/planted"]["get"] = json!({}), "/", "outdated"),
    ];
    for (file, change, pointer, rule) in planted {
        let folder = released();
        plant(folder.path(), file, change);
        let (code, text) = compat(folder.path(), &[]);
        assert_eq!(code, 4, "{text}");
        assert!(
            text.contains(&format!("schemas/{}", file.trim_start_matches("released/999.0.0/")))
                && text.contains(&format!("{pointer}: {rule}")),
            "{text}"
        );
        let (code, text) = compat(folder.path(), &["--json"]);
        let findings: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, &findings["format"]), (4, &json!(1)));
        let found = findings["findings"].as_array().unwrap().iter().any(|finding| finding["rule"] == rule);
        assert!(found, "{text}");
        let (code, _) = compat(folder.path(), &["--release", "999.1.0"]);
        assert_eq!(code, 4, "nothing is released over a break");
        assert!(!folder.path().join("schemas/released/999.1.0").exists());
    }
}

#[test]
fn what_only_adds_passes() {
    let folder = released();
    plant(folder.path(), "events/progress.attempt.closed.v1.json", |schema| {
        schema["properties"]["data"]["properties"]["more"] = json!({"type": "string"});
    });
    assert_eq!(compat(folder.path(), &[]).0, 0);
    assert_eq!(compat(tempfile::tempdir().unwrap().path(), &[]).0, 1, "no contracts at all are no success");
}
