//! Reads the facts that the checks judge: the database's own, the disk's, and the marker of the last backup.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{
        error::MigrateError,
        plan::{self, Wish},
        report::Report,
        run::Runner,
    },
    Backup, Check, Disk, GROUP_ROLES, REMOVERS, Surroundings, after, before, isolation, rights, unfit,
};
use crate::{
    model::Clock,
    store::{Endpoint, door::ddl::Session, schema::checks},
};

/// Where to look for what the database does not tell.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The server's data directory, when it is on this machine.
    pub data_directory: Option<PathBuf>,
    /// A file that the backup touches when it is done.
    pub backup_marker: Option<PathBuf>,
}

/// The checks before whatever is pending. A failed connection is a line of the report, not an error.
pub async fn gather_before(runner: &Runner, host: &Host, clock: &Clock) -> Result<Vec<Check>, MigrateError> {
    let everything = Wish { force: true, approved_by: Some("somebody".to_owned()), ..Wish::default() };
    gather_before_run(runner, host, clock, &everything).await
}

/// The checks before a run of what somebody wishes for.
pub async fn gather_before_run(
    runner: &Runner,
    host: &Host,
    clock: &Clock,
    wish: &Wish,
) -> Result<Vec<Check>, MigrateError> {
    let mut around = Surroundings {
        connected: Ok(Duration::ZERO),
        disk: host.data_directory.as_deref().and_then(disk),
        backup: backup(host.backup_marker.as_deref(), clock),
        weighty: false,
        applied: 0,
        pending: 0,
        problems: Vec::new(),
    };
    let started = Instant::now();
    let session = match Session::connect(&runner.owner).await {
        Ok(session) => session,
        Err(error) => {
            around.connected = Err(error.to_string());
            return Ok(before(None, &around));
        }
    };
    around.connected = Ok(started.elapsed());
    let facts = checks::before(&session, &schemas(runner), &GROUP_ROLES.map(str::to_owned)).await?;
    if unfit(facts.version, &facts.encoding).is_none() {
        let status = runner.status().await?;
        (around.applied, around.pending, around.problems) = (status.applied, status.pending, problems(&status));
        around.weighty = plan::make(&runner.world(&session).await?.known(), wish).is_weighty();
    }
    Ok(before(Some(&facts), &around))
}

/// The checks after a migration.
pub async fn gather_after(runner: &Runner, clock: &Clock) -> Result<Vec<Check>, MigrateError> {
    let session = Session::connect(&runner.owner).await?;
    let facts = checks::after(&session, &schemas(runner)).await?;
    let tried = checks::isolation(&session, &schemas(runner)).await.map_err(|error| error.to_string());
    let status = runner.status().await?;
    let mut lines = after(&facts, status.pending, &problems(&status), clock.now());
    lines.push(isolation(tried.as_ref()));
    Ok(lines)
}

/// The checks of the login the data plane runs with.
pub async fn gather_rights(runner: &Runner, service: &Endpoint) -> Result<Vec<Check>, MigrateError> {
    let session = Session::connect(service).await?;
    let (groups, removers) = (GROUP_ROLES.map(str::to_owned), REMOVERS.map(str::to_owned));
    Ok(rights(&checks::service(&session, &schemas(runner), &groups, &removers).await?))
}

fn schemas(runner: &Runner) -> Vec<String> {
    runner.modules().iter().map(|module| module.schema.clone()).collect()
}

fn problems(status: &Report) -> Vec<String> {
    status.problems.iter().map(|problem| problem.message.clone()).collect()
}

/// Room on the disk that holds `directory`; nothing where the system does not tell.
pub fn disk(directory: &Path) -> Option<Disk> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    Some(Disk { free: stat.f_frsize * stat.f_bavail, total: stat.f_frsize * stat.f_blocks })
}

fn backup(marker: Option<&Path>, clock: &Clock) -> Backup {
    let Some(marker) = marker else { return Backup::Unconfigured };
    let Ok(modified) = std::fs::metadata(marker).and_then(|meta| meta.modified()) else { return Backup::Missing };
    let age = clock.now() - chrono::DateTime::<chrono::Utc>::from(modified);
    // A marker from the future is as fresh as one of just now.
    Backup::Age(age.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_folder_is_known_and_of_nowhere_is_not() {
        let found = disk(Path::new("/")).unwrap();
        assert!(found.total > 0 && found.free <= found.total, "{found:?}");
        assert_eq!(disk(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn the_markers_age_is_the_backups() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("done");
        let clock = Clock::stepped(Clock::system().now());
        assert_eq!(backup(None, &clock), Backup::Unconfigured);
        assert_eq!(backup(Some(&marker), &clock), Backup::Missing);
        std::fs::write(&marker, "").unwrap();
        clock.advance(chrono::TimeDelta::hours(5));
        let Backup::Age(age) = backup(Some(&marker), &clock) else { panic!("the marker is there") };
        assert!(age > Duration::from_secs(4 * 3600) && age < Duration::from_secs(6 * 3600), "{age:?}");
    }
}
