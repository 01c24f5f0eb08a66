//! A reader that has seen enough closes the pipe: the real program ends quietly, having done its work.

use std::{collections::BTreeMap, io::pipe, process::Stdio};

use crate::support::process::command;

#[test]
fn a_command_whose_reader_went_away_ends_well_and_says_nothing() {
    for arguments in
        [&["config", "docs"][..], &["metrics", "docs"], &["version"], &["compat", "--root", env!("CARGO_MANIFEST_DIR")]]
    {
        let (reader, writer) = pipe().unwrap();
        // Nobody is there from the first byte on.
        drop(reader);
        let process = command(arguments, &BTreeMap::new()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_command_whose_answer_is_lost_on_a_full_disk_fails() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let process = command(&["version"], &BTreeMap::new()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the answer cannot be written"), "{output:?}");
}
