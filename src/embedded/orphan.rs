//! A server that outlived the process that started it.
//!
//! It is stopped cleanly and started again rather than adopted: its settings and programs may be an older release's,
//! its sessions still hold the locks of a process that is gone, and a server that is not our child cannot be watched.
//! Stopping costs a second and happens only after a crash of ours.

use std::{fs, io, path::Path, time::Duration};

use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    error::{EmbeddedError, io_at},
    process::{self, Signal},
};

/// Ends the server that runs on `cluster`, if one does, and settles what a dead one left behind.
pub(super) async fn settle(cluster: &Path) -> Result<(), EmbeddedError> {
    let file = cluster.join("postmaster.pid");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_at("read", file)(error)),
    };
    if let Some(pid) = recorded_pid(&text).filter(|pid| runs_on(*pid, cluster)) {
        info!(pid, "an earlier PostgreSQL still runs here: stopping it to start again");
        stop(pid, cluster).await?;
    }
    disown(&file)
}

async fn stop(pid: i32, cluster: &Path) -> Result<(), EmbeddedError> {
    for (signal, patience) in [(Signal::Fast, 120), (Signal::Immediate, 20), (Signal::Kill, 5)] {
        process::send(pid, signal).map_err(io_at("stop the PostgreSQL of", cluster))?;
        let (begun, mut told) = (Instant::now(), Instant::now());
        while begun.elapsed() < Duration::from_secs(patience) {
            if !runs_on(pid, cluster) {
                return Ok(());
            }
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                info!(pid, seconds = begun.elapsed().as_secs(), "waiting for the earlier PostgreSQL to stop");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Err(EmbeddedError::StillRunning { pid, folder: cluster.to_owned() })
}

/// The server's number stands in the first line; it is negative for a server in single-user mode.
fn recorded_pid(text: &str) -> Option<i32> {
    text.lines().next()?.trim().parse::<i32>().ok().map(i32::abs).filter(|pid| *pid > 1)
}

/// Whether the process `pid` is a server of `cluster`: numbers are used again, so the number alone proves nothing.
/// A server works in its database folder, which Linux shows; elsewhere its command line names the folder.
fn runs_on(pid: i32, cluster: &Path) -> bool {
    if cfg!(target_os = "linux") {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == cluster);
    }
    let listed = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    listed.is_ok_and(|output| {
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        line.contains("postgres") && line.contains(&*cluster.to_string_lossy())
    })
}

/// A dead server's file names a number that may be some other process's by now, and PostgreSQL would then refuse to
/// start. It takes its parent's number for a stale one, so ours is put there; the rest of the file stays, because by
/// it PostgreSQL finds out whether processes of the dead server still use its memory.
fn disown(file: &Path) -> Result<(), EmbeddedError> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_at("read", file)(error)),
    };
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(file, format!("{}\n{rest}", std::process::id())).map_err(io_at("write", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_number_is_read_and_nonsense_is_not_signalled() {
        assert_eq!(recorded_pid("4242\n/data\n"), Some(4242));
        assert_eq!(recorded_pid("-4242\n"), Some(4242));
        for nonsense in ["", "0\n", "1\n", "postgres\n", "99999999999\n"] {
            assert_eq!(recorded_pid(nonsense), None, "{nonsense:?}");
        }
    }

    #[tokio::test]
    async fn a_number_used_again_by_another_process_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = fs::canonicalize(folder.path()).unwrap();
        let mut other = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
        let file = cluster.join("postmaster.pid");
        fs::write(&file, format!("{}\n/data\n1234\n", other.id().unwrap())).unwrap();
        settle(&cluster).await.unwrap();
        assert_eq!(other.try_wait().unwrap(), None, "the other process still runs");
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{}\n/data\n1234\n", std::process::id()));
    }

    #[tokio::test]
    async fn a_process_of_this_folder_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = fs::canonicalize(folder.path()).unwrap();
        // Whoever runs the tests in the background makes their children deaf to the signal.
        let hearing = ["--default-signal=INT", "sleep", "60"];
        let mut server = tokio::process::Command::new("env").args(hearing).current_dir(&cluster).spawn().unwrap();
        let name = format!("/proc/{}/comm", server.id().unwrap());
        while fs::read_to_string(&name).unwrap() != "sleep\n" {
            tokio::task::yield_now().await;
        }
        fs::write(cluster.join("postmaster.pid"), format!("{}\n", server.id().unwrap())).unwrap();
        let (settled, ended) = tokio::join!(settle(&cluster), server.wait());
        settled.unwrap();
        assert!(!ended.unwrap().success());
    }
}
