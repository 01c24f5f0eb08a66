//! A server over a copy of some server's files, for a while and for us alone: it recovers the copy, as far as is wanted, and lets us
//! look at it. Nothing of the settings in the copy counts, and none of them is changed.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use chrono::{DateTime, Utc};
use tempfile::TempDir;
use tokio::{
    process::Child,
    time::{Duration, Instant, sleep, timeout},
};

use super::{
    Options,
    error::{EmbeddedError, io_at},
    fetch::{self, Programs},
    home::read_version,
    orphan,
    process::{self, Signal},
    run_as::RunAs,
    server::{connect, tail},
    settings::Listen,
};
use crate::model::Secret;

/// Where a copy has the files of the log that its recovery may ask for.
pub const REPLAYED: &str = "progress_replayed";
/// A recovery goes through the log since the copy began, which may be long for a moment in the past.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
const STOP: Duration = Duration::from_secs(300);

/// A running guest. Dropped it is killed; the copy is fit for another start all the same.
pub struct Guest {
    child: Child,
    /// Its socket, settings and log, which nobody else can enter.
    room: TempDir,
}

impl Guest {
    /// Starts a server over `cluster`, which becomes the server user's, and returns once it has recovered: up to its end, or to the
    /// moment `until`.
    pub async fn start(
        cluster: &Path,
        options: &Options,
        superuser: &str,
        until: Option<DateTime<Utc>>,
    ) -> Result<Self, EmbeddedError> {
        let run_as = RunAs::choose(cluster)?;
        let programs = programs(cluster, options, &run_as).await?;
        run_as.own_tree(cluster)?;
        let room = tempfile::tempdir().map_err(io_at("make a folder in", "/tmp"))?;
        run_as.own(room.path())?;
        for (name, text) in [("postgresql.conf", ""), ("pg_hba.conf", "local all all trust\n"), ("pg_ident.conf", "")] {
            let path = room.path().join(name);
            fs::write(&path, text).map_err(io_at("write", &path))?;
            run_as.own(&path)?;
        }
        prepare(cluster, &run_as)?;
        let log = room.path().join("log");
        let file = fs::File::create(&log).map_err(io_at("make", &log))?;
        let second = file.try_clone().map_err(io_at("open", &log))?;
        let door = run_as.door(cluster)?;
        let mut command = run_as.command(&programs.path("postgres"));
        command.args(arguments(&door.name, room.path(), until)).current_dir(&door.entry);
        let child = command.stdin(Stdio::null()).stdout(file).stderr(second).kill_on_drop(true).spawn();
        let mut guest = Self { child: child.map_err(io_at("start postgres in", cluster))?, room };
        match guest.wait(superuser, &log).await {
            Ok(()) => Ok(guest),
            Err(error) => {
                let _ = guest.end().await;
                Err(error)
            }
        }
    }

    async fn wait(&mut self, superuser: &str, log: &Path) -> Result<(), EmbeddedError> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().map_err(io_at("watch postgres of", log))? {
                return Err(EmbeddedError::Exited { status, tail: tail(log), log: log.to_owned() });
            }
            if connect(&self.url(superuser, "postgres")).await.is_ok() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(EmbeddedError::NotReady {
                    seconds: PATIENCE.as_secs(),
                    tail: tail(log),
                    log: log.to_owned(),
                });
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// How this login gets in: everybody who can reach the socket may, and only we can.
    pub fn url(&self, login: &str, database: &str) -> Secret {
        Listen::Socket(self.room.path().to_owned()).url(login, &Secret::new("none"), database)
    }

    /// Stops it with a checkpoint: the copy is a database at rest.
    pub async fn stop(mut self, cluster: &Path) -> Result<(), EmbeddedError> {
        self.end().await.map_err(io_at("stop postgres in", cluster))?;
        let replayed = cluster.join(REPLAYED);
        match fs::remove_dir_all(&replayed) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_at("remove", replayed)(error)),
            _ => Ok(()),
        }
    }

    async fn end(&mut self) -> std::io::Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        process::send(pid, Signal::Fast)?;
        match timeout(STOP, self.child.wait()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => self.child.kill().await,
        }
    }
}

/// Ends a guest whose process was killed before it could, so that its copy may be removed.
pub async fn settle(cluster: &Path) -> Result<(), EmbeddedError> {
    match fs::canonicalize(cluster) {
        Ok(cluster) => orphan::settle(&cluster).await,
        Err(_) => Ok(()),
    }
}

/// Programs of the major version that made the copy: those that are named, the distribution's, or the ones that are fetched or were,
/// by an older release.
async fn programs(cluster: &Path, options: &Options, run_as: &RunAs) -> Result<Programs, EmbeddedError> {
    let found = read_version(cluster)?;
    let Some(major) = found else {
        return Err(EmbeddedError::Foreign { folder: cluster.to_owned(), reason: "it has no PG_VERSION".to_owned() });
    };
    let packaged = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    let mut offered: Vec<PathBuf> = options.programs.clone().into_iter().collect();
    if packaged.join("postgres").is_file() {
        offered.push(packaged);
    }
    let cache = fetch::cache_for(&options.cache_dir, run_as);
    offered.extend(fetch::kept(cache, &major));
    if options.programs.is_none() && major == fetch::MAJOR.to_string() {
        offered.push(fetch::fetch(cache).await?);
    }
    let mut last = None;
    for folder in offered {
        let programs = Programs::probe(&folder, run_as).await?;
        if programs.major.to_string() == major {
            return Ok(programs);
        }
        last = Some(programs.major);
    }
    let programs = last.unwrap_or(fetch::MAJOR);
    Err(EmbeddedError::OtherMajor { folder: cluster.to_owned(), found: major, programs })
}

/// The server is told to recover from what is there, and begins a timeline of its own: its log is never taken for the original's.
fn prepare(cluster: &Path, run_as: &RunAs) -> Result<(), EmbeddedError> {
    fs::set_permissions(cluster, fs::Permissions::from_mode(0o700)).map_err(io_at("close", cluster))?;
    if cluster.join("backup_label").is_file() {
        let signal = cluster.join("recovery.signal");
        fs::write(&signal, "").map_err(io_at("write", &signal))?;
        run_as.own(&signal)?;
    }
    Ok(())
}

fn arguments(cluster: &Path, room: &Path, until: Option<DateTime<Utc>>) -> Vec<OsString> {
    let beside = |name: &str| room.join(name).display().to_string();
    let mut settings = vec![
        ("config_file", beside("postgresql.conf")),
        ("hba_file", beside("pg_hba.conf")),
        ("ident_file", beside("pg_ident.conf")),
        ("unix_socket_directories", room.display().to_string()),
        ("listen_addresses", String::new()),
        ("port", "5432".to_owned()),
        ("shared_preload_libraries", String::new()),
        ("session_preload_libraries", String::new()),
        ("logging_collector", "off".to_owned()),
        ("log_destination", "stderr".to_owned()),
        ("log_min_error_statement", "panic".to_owned()),
        ("log_error_verbosity", "terse".to_owned()),
        ("ssl", "off".to_owned()),
        ("archive_mode", "off".to_owned()),
        ("primary_conninfo", String::new()),
        ("synchronous_standby_names", String::new()),
        ("hot_standby", "off".to_owned()),
        ("max_connections", "50".to_owned()),
        ("shared_buffers", "128MB".to_owned()),
        ("max_wal_size", "4GB".to_owned()),
        ("jit", "off".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("restore_command", format!("cp \"{REPLAYED}/%f\" \"%p\"")),
        ("recovery_target_timeline", "latest".to_owned()),
        ("recovery_target_action", "promote".to_owned()),
    ];
    if let Some(until) = until {
        settings.push(("recovery_target_time", until.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()));
    }
    let mut arguments = vec![OsString::from("-D"), cluster.as_os_str().to_owned()];
    for (name, value) in settings {
        arguments.extend(["-c".into(), format!("{name}={value}").into()]);
    }
    arguments
}
