//! The real binary as a process of its own: started on a free port, watched, stopped or killed.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tempfile::TempDir;

use super::patience;

const PROGRAM: &str = env!("CARGO_BIN_EXE_progress-service");
const READY: &str = "listening on ";

/// The binary with nothing of this process's environment but what a program needs to run.
pub fn command(arguments: &[&str], variables: &BTreeMap<String, String>) -> Command {
    command_of(PROGRAM, arguments, variables)
}

/// The same of another binary: that of an earlier release.
pub fn command_of(program: &str, arguments: &[&str], variables: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"] {
        command.envs(super::settings::optional(name).map(|value| (name, value)));
    }
    command.envs(variables);
    command
}

/// What a process wrote so far, both streams, line by line.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn contains(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }

    fn follow(&self, stream: impl Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                log.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
    }
}

/// A process under test; killed when it is dropped.
pub struct Process {
    child: Child,
    pub log: Log,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let log = Log::default();
        log.follow(child.stdout.take().expect("piped"));
        log.follow(child.stderr.take().expect("piped"));
        Self { child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: what a power cut looks like to the process.
    pub fn kill(&mut self) {
        self.child.kill().expect("a running process");
        self.child.wait().expect("its end");
    }

    /// Asks it to stop, as a supervisor does.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("the kill program");
        assert!(sent.success(), "no process {id} to send {name} to");
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let log = self.log.clone();
        patience::until("the end of the process", async || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => Err(log.lines().join("\n")),
        })
        .await
    }

    /// Waits for a line that holds `text` and returns what follows it; fails when the process ends before.
    pub async fn says(&mut self, text: &str) -> String {
        let log = self.log.clone();
        let found = || log.lines().iter().find_map(|line| Some(line.split_once(text)?.1.to_owned()));
        patience::until(&format!("a line with {text:?}"), async || {
            if let Some(rest) = found() {
                return Ok(rest);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                // Its last words may still be in the pipe.
                return found().ok_or_else(|| format!("it ended with {status}:\n{}", log.lines().join("\n")));
            }
            Err(log.lines().join("\n"))
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `progress-service serve` on a free port, with a data folder of its own.
pub struct Service {
    pub process: Process,
    pub url: String,
    program: String,
    data: Arc<TempDir>,
    variables: BTreeMap<String, String>,
}

impl Service {
    /// Starts it with these `PROGRESS_…` variables and waits until it listens.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(variables, |_| ()).await
    }

    /// The same of another binary.
    pub async fn start_of(program: &str, variables: &[(&str, &str)]) -> Self {
        Self::prepared(program, variables, |_| ()).await
    }

    /// The same, with a data folder that is made ready first.
    pub async fn start_in(variables: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        Self::prepared(PROGRAM, variables, prepare).await
    }

    async fn prepared(program: &str, variables: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Self {
        let data = Arc::new(tempfile::tempdir().expect("a folder"));
        prepare(data.path());
        let mut all = BTreeMap::from([
            ("PROGRESS_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("PROGRESS_DATA_DIR".to_owned(), data.path().to_string_lossy().into_owned()),
        ]);
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::run(program.to_owned(), data, all).await
    }

    async fn run(program: String, data: Arc<TempDir>, variables: BTreeMap<String, String>) -> Self {
        let mut process = Process::start(command_of(&program, &["serve"], &variables));
        let url = process.says(READY).await.trim().to_owned();
        Self { process, url, program, data, variables }
    }

    /// Starts it again over the same data, as after a crash.
    pub async fn again(self) -> Self {
        let (program, data, variables) = (self.program.clone(), Arc::clone(&self.data), self.variables.clone());
        drop(self);
        Self::run(program, data, variables).await
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }
}
