//! One run of the server: start it, wait until it answers, stop it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::Child,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{Client, NoTls, error::SqlState};
use tracing::{info, warn};

use super::{
    cluster::{SUPERUSER, last_lines},
    error::{EmbeddedError, io_at},
    fetch::Programs,
    home::{Home, private_folder},
    process::{self, Signal},
    run_as::RunAs,
    settings::{self, Listen},
};
use crate::model::Secret;

/// Recovery after a crash replays at most `max_wal_size`, which even a slow disk does in this time.
const RECOVERY: Duration = Duration::from_secs(1800);
/// How long processes of a killed server are given to notice and end.
const LINGER: Duration = Duration::from_secs(60);
const FAST_STOP: Duration = Duration::from_secs(120);
/// How long the end of a server is waited for where nothing else can be done meanwhile. It ends by itself after that.
const ABANDONED: Duration = Duration::from_secs(10);
const OLD_LOGS: u32 = 5;

/// Everything a start needs; a restart uses the same, so connection strings stay true.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub home: Home,
    pub programs: Programs,
    pub run_as: RunAs,
    pub listen: Listen,
    /// The superuser's.
    pub password: Secret,
    pub keeps_log: bool,
}

/// A running server that is our child.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pid: i32,
}

impl Server {
    /// Starts the server and returns once it answers.
    pub async fn start(plan: &Plan) -> Result<Self, EmbeddedError> {
        let begun = Instant::now();
        loop {
            let mut server = Self::spawn(plan)?;
            match server.wait_until_ready(plan).await {
                Ok(()) => return Ok(server),
                // memory of a server that was killed is freed when the last of its processes has noticed
                Err(EmbeddedError::Exited { tail, .. })
                    if tail.contains("pre-existing shared memory block") && begun.elapsed() < LINGER =>
                {
                    info!("waiting for the last processes of a killed PostgreSQL to end");
                    sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    server.stop(&plan.home.cluster()).await?;
                    return Err(error);
                }
            }
        }
    }

    fn spawn(plan: &Plan) -> Result<Self, EmbeddedError> {
        let run_dir = plan.home.run_dir();
        if run_dir.exists() {
            // a killed server leaves its socket and the socket's lock behind; none runs now
            fs::remove_dir_all(&run_dir).map_err(io_at("clear", &run_dir))?;
        }
        private_folder(&run_dir)?;
        plan.run_as.own(&run_dir)?;
        plan.home.write_settings(&plan.run_as, plan.keeps_log)?;
        let log = open_log(&plan.home.log())?;
        let second = log.try_clone().map_err(io_at("open", plan.home.log()))?;
        let statistics = plan.programs.has_library("pg_stat_statements");
        if !statistics {
            warn!(programs = %plan.programs.folder.display(), "PostgreSQL comes without pg_stat_statements");
        }
        let cluster = plan.home.cluster();
        let mut command = plan.run_as.command(&plan.programs.path("postgres"));
        let door = plan.run_as.door(&cluster)?;
        command.args(settings::arguments(&door.name, &plan.listen, statistics)).current_dir(&door.entry);
        // our own output is not inherited: an orphaned server would hold a terminal's or a pipe's end open
        let child = command.stdin(Stdio::null()).stdout(log).stderr(second).spawn();
        let child = child.map_err(io_at("start postgres in", &cluster))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        Ok(Self { child, pid })
    }

    async fn wait_until_ready(&mut self, plan: &Plan) -> Result<(), EmbeddedError> {
        let (begun, mut told) = (Instant::now(), Instant::now());
        loop {
            let cluster = plan.home.cluster();
            if let Some(status) = self.child.try_wait().map_err(io_at("watch postgres in", cluster))? {
                let log = plan.home.log();
                return Err(EmbeddedError::Exited { status, tail: tail(&log), log });
            }
            match connect(&plan.listen.url(SUPERUSER, &plan.password, "postgres")).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                    return Err(EmbeddedError::PasswordRejected { file: plan.home.password_file(SUPERUSER) });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                info!(seconds = begun.elapsed().as_secs(), "waiting for PostgreSQL, which recovers after a crash");
            }
            if begun.elapsed() > RECOVERY {
                let log = plan.home.log();
                return Err(EmbeddedError::NotReady { seconds: RECOVERY.as_secs(), tail: tail(&log), log });
            }
        }
    }

    /// Resolves when the server ends by itself.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Stops the server and waits: what runs is rolled back, a checkpoint is written, so the next start is quick.
    pub async fn stop(mut self, cluster: &Path) -> Result<(), EmbeddedError> {
        for (signal, patience) in [
            (Signal::Fast, FAST_STOP),
            (Signal::Immediate, Duration::from_secs(20)),
            (Signal::Kill, Duration::from_secs(5)),
        ] {
            if self.child.try_wait().map_err(io_at("watch postgres in", cluster))?.is_some() {
                return Ok(());
            }
            process::send(self.pid, signal).map_err(io_at("stop postgres in", cluster))?;
            match timeout(patience, self.child.wait()).await {
                Ok(ended) => return ended.map(|_| ()).map_err(io_at("watch postgres in", cluster)),
                Err(_) => warn!(?signal, "PostgreSQL is slow to stop"),
            }
        }
        Err(EmbeddedError::StillRunning { pid: self.pid, folder: cluster.to_owned() })
    }
}

impl Drop for Server {
    /// A server that nobody stopped, because its start was given up in the middle, must not outlive its owner.
    fn drop(&mut self) {
        let runs = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if !runs(&mut self.child) {
            return;
        }
        if let Err(error) = process::send(self.pid, Signal::Fast) {
            warn!(%error, pid = self.pid, "an abandoned PostgreSQL could not be stopped");
            return;
        }
        let begun = std::time::Instant::now();
        while runs(&mut self.child) && begun.elapsed() < ABANDONED {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A connection of our own, outside any pool.
pub(super) async fn connect(url: &Secret) -> Result<Client, tokio_postgres::Error> {
    let mut config: tokio_postgres::Config = url.expose().parse()?;
    config.application_name("progress-service start").connect_timeout(Duration::from_secs(10));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Opens a new log and keeps the last few as `server.log.1` (the newest) and so on.
fn open_log(path: &Path) -> Result<fs::File, EmbeddedError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io_at("make", folder))?;
    }
    let old = |number: u32| path.with_extension(format!("log.{number}"));
    for number in (1..OLD_LOGS).rev() {
        rename_if_there(&old(number), &old(number + 1))?;
    }
    rename_if_there(path, &old(1))?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(io_at("open", path))
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), EmbeddedError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at("rename", from)(error)),
        _ => Ok(()),
    }
}

/// The last lines of the log, for an error message; a log that cannot be read says so itself.
pub(super) fn tail(log: &Path) -> String {
    let read = || {
        let mut file = fs::File::open(log)?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(end.saturating_sub(8192)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    match read() {
        Ok(bytes) => last_lines(&String::from_utf8_lossy(&bytes), 12),
        Err(error) => format!("({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_move_on_at_each_start_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/server.log");
        for run in 0..8 {
            drop(open_log(&path).unwrap());
            fs::write(&path, run.to_string()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "7");
        assert_eq!(fs::read_to_string(path.with_extension("log.1")).unwrap(), "6");
        assert_eq!(fs::read_to_string(path.with_extension("log.5")).unwrap(), "2");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 6);
    }

    #[test]
    fn a_missing_log_is_told_in_the_quote() {
        assert!(tail(Path::new("/nowhere/server.log")).starts_with('('));
    }
}
