//! Backups by the real program: made beside the work, verified on a server of their own, and brought back after the worst.

mod bad;
mod by_page;
mod cluster;
mod drill;
mod majors;
mod moments;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    app::{Answer, ready, send},
    http,
    process::{Service, command},
    settings,
};

const CREDENTIAL: &str = "key:a-secret";

/// A folder that the server's unprivileged user may pass through.
pub fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// An installation with an embedded database, and places that outlive it.
pub struct Home {
    pub data: TempDir,
    pub beside: TempDir,
    pub variables: BTreeMap<String, String>,
}

impl Home {
    pub fn new() -> Self {
        let (data, beside) = (open_folder(), open_folder());
        let key = beside.path().join("key");
        fs::write(&key, "5a".repeat(32)).unwrap();
        let at = |name: &str| format!("file://{}", beside.path().join(name).display());
        let variables = [
            ("PROGRESS_LISTEN", "127.0.0.1:0".to_owned()),
            ("PROGRESS_DATA_DIR", data.path().display().to_string()),
            ("PROGRESS_PG_BIN", settings::required("TEST_PG_PROGRAMS")),
            ("PROGRESS_BOOTSTRAP_CREDENTIAL", CREDENTIAL.to_owned()),
            ("PROGRESS_BACKUP_URL", at("backups")),
            ("PROGRESS_BACKUP_KEY_FILE", key.display().to_string()),
            ("PROGRESS_ARCHIVE_URL", at("archive")),
            ("PROGRESS_LOG", "warn".to_owned()),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { data, beside, variables }
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    pub async fn serve(&self) -> Serving {
        let service = self.serve_closed().await;
        ready(&service.0.url).await;
        service
    }

    /// The same where migrations may wait.
    async fn serve_closed(&self) -> Serving {
        let variables: Vec<(&str, &str)> = self.variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        Serving(Service::start(&variables).await)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        command(arguments, &self.variables).output().unwrap()
    }

    /// What a command printed, which had to go well.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {:?}\n{printed}\n{said}", output.status);
        printed
    }

    /// What a command complained of, which ended with this code.
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let said = [&output.stdout[..], &output.stderr].map(|part| String::from_utf8_lossy(part).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.done(&[arguments, &["--json"]].concat());
        serde_json::from_str(printed.lines().next().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {printed}"))
    }

    /// Makes a backup; answers its id.
    pub fn make(&self) -> String {
        self.json(&["backup", "make"])["backup"]["id"].as_str().unwrap().to_owned()
    }

    fn backups(&self) -> PathBuf {
        self.beside.path().join("backups")
    }

    pub fn postgres(&self) -> PathBuf {
        self.data.path().join("postgres")
    }
}

/// A service at work.
pub struct Serving(pub Service);

impl Serving {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request =
            http::client().request(method, format!("{}{path}", self.0.url)).basic_auth("key", Some("a-secret"));
        let request = request.header("X-Experience-API-Version", "1.0.3");
        send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    async fn say(&self, who: &str, what: &str) {
        let statement = json!({"actor": {"mbox": format!("mailto:{who}@example.com")},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"}, "object": {"id": format!("http://x.example/{what}")}});
        self.ask(Method::POST, "/xapi/statements", Some(&statement)).await.expect(200);
    }

    /// What this person did, in any order.
    async fn did(&self, who: &str) -> Vec<String> {
        let agent = json!({"mbox": format!("mailto:{who}@example.com")}).to_string();
        let agent: String = url::form_urlencoded::byte_serialize(agent.as_bytes()).collect();
        let found = self.ask(Method::GET, &format!("/xapi/statements?agent={agent}"), None).await.expect(200).json();
        let name = |one: &Value| one["object"]["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let mut names: Vec<String> = found["statements"].as_array().unwrap().iter().map(name).collect();
        names.sort();
        names
    }

    pub async fn stop(mut self) {
        self.0.process.signal("TERM");
        assert!(self.0.process.ended().await.success());
    }
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
