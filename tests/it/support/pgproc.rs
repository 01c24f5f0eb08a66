//! A PostgreSQL of a test's own that keeps its promises (`fsync` on) and may be killed and started again.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use progress_service::model::Ids;
use tempfile::TempDir;
use tokio_postgres::Client;

use super::{authority::Pair, patience, pg, settings};

/// Dropped with everything in it.
pub struct PgServer {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    postmaster: Option<Child>,
    /// The file system of its own, unmounted before the folder goes.
    disk: Option<SmallDisk>,
    /// Whether its clock is the test's to step.
    steps: bool,
}

impl PgServer {
    /// A new cluster, started.
    pub async fn start() -> Self {
        Self::with(None, None, false).await
    }

    /// A new cluster whose clock the test steps, with `step`.
    pub async fn with_a_clock_of_its_own() -> Self {
        Self::with(None, None, true).await
    }

    /// A new cluster on a disk that can be filled up.
    pub async fn on_a_small_disk() -> Self {
        Self::with(None, Some(200), false).await
    }

    /// A new cluster that also offers TLS, with this certificate.
    pub async fn encrypted(pair: &Pair) -> Self {
        Self::with(Some(pair), None, false).await
    }

    async fn with(pair: Option<&Pair>, mebibytes: Option<u32>, steps: bool) -> Self {
        let programs = PathBuf::from(settings::required("TEST_PG_PROGRAMS"));
        let folder = tempfile::tempdir().expect("a folder");
        let disk = mebibytes.map(|mebibytes| SmallDisk::mount(folder.path(), mebibytes));
        if let Some((user, group)) = unprivileged() {
            chown(folder.path(), Some(user), Some(group)).expect("the right to give a folder away");
        }
        let mut server = Self { programs, folder, port: free_port(), postmaster: None, disk, steps };
        server.initialise();
        server.step(0);
        if let Some(pair) = pair {
            server.encrypt(pair);
        }
        if server.disk.is_some() {
            server.set("min_wal_size = 32MB\nmax_wal_size = 64MB\n");
        }
        server.resume().await;
        server
    }

    /// A hot standby that tells this server what its readers can still see; by a slot of its own where that has a name. It begins as a copy
    /// of the files, for which this server is killed and started again.
    pub async fn standby(&mut self, slot: Option<&str>) -> Self {
        let (programs, folder) = (self.programs.clone(), tempfile::tempdir().expect("a folder"));
        if let Some((user, group)) = unprivileged() {
            chown(folder.path(), Some(user), Some(group)).expect("the right to give a folder away");
        }
        let mut standby = Self { programs, folder, port: free_port(), postmaster: None, disk: None, steps: false };
        self.kill();
        let copied = Command::new("cp").arg("-a").args([self.data(), standby.data()]).status().expect("the cp program");
        assert!(copied.success(), "the files of a server that stands still");
        self.resume().await;
        if let Some(slot) = slot {
            let make = "SELECT pg_create_physical_replication_slot($1)";
            self.client().await.execute(make, &[&slot]).await.expect("a slot");
            standby.set(&format!("primary_slot_name = {slot}\n"));
        }
        let primary = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", self.port);
        standby.set(&(primary + "hot_standby_feedback = on\nwal_receiver_status_interval = 1s\n"));
        File::create(standby.data().join("standby.signal")).expect("a file");
        standby.resume().await;
        standby
    }

    fn initialise(&self) {
        let data = self.data();
        let done = self
            .program("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "-D"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
        self.set("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = on\ntimezone = 'UTC'\n");
    }

    fn set(&self, lines: &str) {
        let file = self.data().join("postgresql.conf");
        let mut settings = OpenOptions::new().append(true).open(file).expect("its settings");
        settings.write_all(lines.as_bytes()).expect("settings written");
    }

    /// The server takes a key only from a file that nobody else can read.
    fn encrypt(&self, pair: &Pair) {
        let [certificate, key, _] = pair.write(&self.data());
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("the right to hide a key");
        if let Some((user, group)) = unprivileged() {
            chown(&key, Some(user), Some(group)).expect("the right to give a file away");
        }
        let (certificate, key) = (certificate.display(), key.display());
        self.set(&format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n"));
    }

    /// Starts the server over its data and waits until it answers.
    pub async fn resume(&mut self) {
        patience::until("the start of the server", async || {
            if self.postmaster.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                // After a kill the old backends hold the shared memory for a moment; then a start ends at once.
                self.postmaster = Some(self.launch());
            }
            pg::try_connect(&self.url()).await.map(drop).map_err(|e| format!("{e}: {}", self.log()))
        })
        .await;
    }

    fn launch(&self) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log");
        let errors: File = log.try_clone().expect("a log");
        let mut program = self.program("postgres");
        if self.steps {
            program
                .env("LD_PRELOAD", faketime())
                .env("FAKETIME_TIMESTAMP_FILE", self.clock())
                .envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
        }
        program
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("postgres runs")
    }

    /// Puts the server's clock so many seconds off the true one.
    pub fn step(&self, seconds: i32) {
        let (new, clock) = (self.folder.path().join("clock.new"), self.clock());
        std::fs::write(&new, format!("{seconds:+}\n")).expect("a file");
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o644)).expect("a file of ours");
        std::fs::rename(new, clock).expect("a file");
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// SIGKILL of the whole server at once, as by a power cut. When this returns nobody answers any more: without
    /// its postmaster a backend would go on serving for a moment.
    pub fn kill(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            // Held still, it starts nobody while its children are counted.
            signal("STOP", &[postmaster.id().to_string()]);
            let backends = children(postmaster.id());
            postmaster.kill().expect("a running server");
            postmaster.wait().expect("its end");
            // Those that noticed the death first are gone already.
            signal("KILL", &backends);
            while backends.iter().any(|backend| lives(backend)) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Stops the whole server where it stands: connections stay, nothing is answered.
    pub fn freeze(&self) {
        let postmaster = self.postmaster.as_ref().expect("a running server").id();
        signal("STOP", &[postmaster.to_string()]);
        signal("STOP", &children(postmaster));
    }

    pub fn thaw(&self) {
        let postmaster = self.postmaster.as_ref().expect("a running server").id();
        signal("CONT", &children(postmaster));
        signal("CONT", &[postmaster.to_string()]);
    }

    /// Takes every byte the small disk has left.
    pub fn fill_disk(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file");
        loop {
            if let Err(error) = ballast.write_all(&[0; 1 << 16]) {
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                return;
            }
        }
    }

    pub fn free_disk(&self) {
        std::fs::remove_file(self.ballast()).expect("a full disk");
    }

    /// Waits until the server has hit the end of its disk.
    pub async fn until_full(&self) {
        patience::until("the disk's end", async || {
            let log = self.log();
            if log.contains("No space left on device") { Ok(()) } else { Err(log) }
        })
        .await;
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub async fn client(&self) -> Client {
        pg::try_connect(&self.url()).await.expect("the server answers")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.folder.path());
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        self.kill();
        drop(self.disk.take());
    }
}

/// A file system in memory. Making one takes root, or `sudo` that does not ask.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(folder: &Path, mebibytes: u32) -> Self {
        // Whoever runs the server, root or not, may write there.
        let size = format!("size={mebibytes}m,mode=1777");
        privileged(
            "mount",
            &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), size.as_ref(), "tmpfs".as_ref(), folder.as_ref()],
        );
        Self(folder.to_owned())
    }

    /// Gives it more room.
    pub fn grow(&self, mebibytes: u32) {
        let size = format!("remount,size={mebibytes}m");
        privileged("mount", &["-o".as_ref(), size.as_ref(), self.0.as_ref()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        privileged("umount", &["-l".as_ref(), self.0.as_ref()]);
    }
}

fn privileged(program: &str, arguments: &[&OsStr]) {
    let mut command = match unprivileged() {
        Some(_) => Command::new(program),
        None => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", program]);
            sudo
        }
    };
    let done = command.args(arguments).output().expect("a program");
    assert!(done.status.success(), "{program} needs root: {}", String::from_utf8_lossy(&done.stderr));
}

/// Sent to whichever of the processes are still there.
fn signal(name: &str, processes: &[String]) {
    let _ = Command::new("kill").args(["-s", name]).args(processes).stderr(Stdio::null()).status();
}

fn children(parent: u32) -> Vec<String> {
    let listed = Command::new("pgrep").args(["-P", &parent.to_string()]).output().expect("the pgrep program");
    String::from_utf8_lossy(&listed.stdout).split_whitespace().map(str::to_owned).collect()
}

/// Whether the process runs; one that only waits for its parent to look does not.
fn lives(process: &str) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", process]).output().expect("the ps program");
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// The library that gives a program another time.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a system with libraries").map_while(Result::ok);
    let library = |folder: PathBuf| folder.join("faketime/libfaketime.so.1");
    let found =
        folders.map(|entry| library(entry.path())).chain([library("/usr/lib".into())]).find(|path| path.exists());
    found.expect("libfaketime: `scripts/install-tools test` installs it")
}

/// PostgreSQL refuses to run as root: then somebody else runs it.
pub fn unprivileged() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let output = Command::new("id").args(arguments).output().expect("the id program");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "nobody"]), id(&["-g", "nobody"])))
}

/// A port nobody listens on, given out once. It lies below the ephemeral range, so that neither an outgoing connection
/// nor whoever asks for any port takes it before its server does, also while that server is down.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = 20_000 + u16::from_be_bytes(Ids::random().bytes()) % 12_000;
        let is_new = GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        if is_new && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
