//! The commands of `docs/tutorial.md`, run as they stand there, by the shell, against the real binary and its own PostgreSQL.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempDir;

use crate::{
    pages::Browser,
    support::{
        process::{Process, command, command_of},
        settings,
    },
};

/// The shell's part of the page, block by block.
fn blocks() -> Vec<&'static str> {
    let page = include_str!("../../docs/tutorial.md");
    page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// What is there after `make run` in a fresh clone: the program where it builds it, and a service with a PostgreSQL of its own.
struct Fresh {
    folder: TempDir,
    variables: BTreeMap<String, String>,
    service: Process,
    address: String,
}

impl Fresh {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's user passes through it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let built = folder.path().join("target/quick");
        fs::create_dir_all(&built).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_progress-service"), built.join("progress-service")).unwrap();
        let variables: BTreeMap<String, String> = [
            ("PROGRESS_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("PROGRESS_PG_BIN".to_owned(), settings::required("TEST_PG_PROGRAMS")),
        ]
        .into();
        // What `make run` does when it has built the program.
        let mut serve = command(&["serve"], &variables);
        serve.current_dir(&folder);
        let mut service = Process::start(serve);
        let address = service.says("listening on http://").await;
        Self { folder, variables, service, address }
    }

    /// What a program says in that folder; it has to succeed.
    async fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = command_of(program, arguments, &self.variables);
        command.current_dir(&self.folder);
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
        said
    }

    async fn ends(mut self) {
        self.service.signal("INT");
        assert!(self.service.ended().await.success(), "Ctrl-C ends it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_tutorial_does_what_it_says() {
    let blocks = blocks();
    assert!(blocks.len() > 8 && blocks[0] == "make run\n", "{blocks:?}");
    let fresh = Fresh::start().await;
    let script = format!("set -euo pipefail\n{}", blocks[1..].concat()).replace("127.0.0.1:8080", &fresh.address);
    let said = fresh.run("bash", &["-c", &script]).await;
    for words in ["mailto:ann@example.com", "2000 statements made", "\"learner\":", "  erased  ", "\n404\n", "cleared"]
    {
        assert!(said.contains(words), "nothing says {words:?}:\n{said}");
    }
    fresh.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_after_make_run_leads_to_pages_with_something_on_them() {
    let fresh = Fresh::start().await;
    let said = fresh.run("make", &["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile"), "demo"]).await;
    assert!(said.contains("2000 statements made") && said.contains("sign in with it at"), "{said}");
    let word = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim();
    let url = format!("http://{}", fresh.address);
    let browser = Browser::at(&url, word("key"), word("secret")).await;
    for (page, link) in [("statements", "href=\"/admin/statements/"), ("learners", "/admin/learners/enrollments/")] {
        let page = browser.get(&format!("/admin/{page}")).await.expect(200).text();
        assert!(page.contains(link), "{page}");
    }
    fresh.ends().await;
}

/// The pictures that the page shows: what each says to who does not see it, and its file.
fn pictures() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../docs/tutorial.md");
    let pictures = page.split("![").skip(1).filter_map(|rest| rest.split_once("]("));
    pictures.map(|(says, rest)| (says, rest.split(')').next().unwrap_or_default())).collect()
}

#[test]
fn every_picture_is_there_is_small_and_says_what_is_seen() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let made = include_str!("../pages/pictures.mjs");
    let mut shown = Vec::new();
    for (says, file) in pictures() {
        let bytes = fs::read(docs.join(file)).unwrap_or_else(|error| panic!("{file}: {error}: make screenshots"));
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() <= 80 << 10, "{file}: {} bytes", bytes.len());
        assert!(says.len() > 40, "{file} says no more than {says:?}");
        let name = file.strip_prefix("pictures/").and_then(|file| file.strip_suffix(".png")).expect(file);
        assert!(made.contains(&format!(", \"{name}\", {{")), "tests/pages/pictures.mjs makes no {name}");
        shown.push(name.to_owned());
    }
    let files = fs::read_dir(docs.join("pictures")).unwrap();
    let mut there: Vec<String> =
        files.map(|one| one.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    shown.sort();
    there.sort();
    assert_eq!(shown, there, "every picture is shown, and once");
}
