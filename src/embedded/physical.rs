//! A copy of the running server's files, by PostgreSQL's own interface for it (`pg_backup_start`, `pg_backup_stop`): the programs
//! that are fetched for the embedded server come without `pg_basebackup`. Files are copied while they change; the log that was
//! written meanwhile, which a replication slot keeps from being recycled, makes a sound database of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio_postgres::Client;

use super::{
    attach::superuser,
    error::{EmbeddedError, io_at},
    home::Home,
    server::connect,
    settings::LOG,
};
use crate::model::{Ids, Secret};

/// Folders whose contents no copy needs.
const EMPTIED: [&str; 9] = [
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
    LOG,
];
/// Files that say something of this run alone.
const LEFT_OUT: [&str; 5] = ["postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map", "current_logfiles"];

/// A file or a folder to copy: its path below the server's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub path: PathBuf,
    pub is_folder: bool,
}

/// A copy that is being made; dropped before its end it is none.
pub struct Physical {
    client: Client,
    home: Home,
    first_log: String,
}

/// What makes a database of the copied files.
pub struct Label {
    /// To be written as `cluster/backup_label`.
    pub text: String,
    /// Files of the log that have to be there, in `cluster/pg_wal`.
    pub log: Vec<PathBuf>,
}

/// The way of the superuser into the running server, for programs that copy it. No session of the service has it.
pub async fn superuser_url(data_dir: &Path) -> Result<Option<Secret>, EmbeddedError> {
    superuser(data_dir, super::settings::DATABASE).await
}

impl Physical {
    /// Begins a copy of the server that runs on `data_dir`; `None` where none answers.
    pub async fn begin(data_dir: &Path, ids: &Ids) -> Result<Option<Self>, EmbeddedError> {
        let (Some(home), Some(url)) = (Home::existing(data_dir), superuser(data_dir, "postgres").await?) else {
            return Ok(None);
        };
        let client = connect(&url).await?;
        let name = format!("progress_backup_{}", ids.uuid().simple());
        // It lives as long as the session does.
        client.query("SELECT pg_create_physical_replication_slot($1, true, true)", &[&name]).await?;
        let row = client.query_one("SELECT pg_walfile_name(pg_backup_start($1, true)) AS first", &[&name]).await?;
        Ok(Some(Self { first_log: row.try_get("first")?, client, home }))
    }

    /// The folder that is copied.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    pub fn first_log(&self) -> &str {
        &self.first_log
    }

    /// What is to be copied, folders before what is in them. A file that is gone when its turn comes is not needed.
    pub fn items(&self) -> Result<Vec<Item>, EmbeddedError> {
        let mut items = Vec::new();
        for entry in fs::read_dir(self.home.path()).map_err(io_at("list", self.home.path()))? {
            let path = entry.map_err(io_at("list", self.home.path()))?.path();
            if path.extension().is_some_and(|ext| ext == "password" || ext == "toml") {
                items.push(Item { path: below(self.home.path(), &path), is_folder: false });
            }
        }
        walk(self.home.path(), &self.home.cluster(), &mut items)?;
        Ok(items)
    }

    /// Ends the copy.
    pub async fn end(self) -> Result<Label, EmbeddedError> {
        let sql = "SELECT labelfile, pg_walfile_name(lsn) AS last FROM pg_backup_stop(false)";
        let row = self.client.query_one(sql, &[]).await?;
        let (text, last): (String, String) = (row.try_get("labelfile")?, row.try_get("last")?);
        let folder = self.home.cluster().join("pg_wal");
        let mut log = Vec::new();
        for entry in fs::read_dir(&folder).map_err(io_at("list", &folder))? {
            let path = entry.map_err(io_at("list", &folder))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let is_needed = name.len() == 24 && name >= self.first_log && name <= last;
            if is_needed || name.ends_with(".history") {
                log.push(below(self.home.path(), &path));
            }
        }
        log.sort();
        Ok(Label { text, log })
    }
}

fn below(home: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(home).unwrap_or(path).to_owned()
}

fn walk(home: &Path, folder: &Path, items: &mut Vec<Item>) -> Result<(), EmbeddedError> {
    items.push(Item { path: below(home, folder), is_folder: true });
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(io_at("list", folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(io_at("list", folder))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = match entry.file_type() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            kind => kind.map_err(io_at("look at", &path))?,
        };
        let is_passing = name.starts_with("pgsql_tmp") || name.starts_with("pg_internal.init");
        if is_passing || LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() && EMPTIED.contains(&name.as_str()) {
            items.push(Item { path: below(home, &path), is_folder: true });
            if name == "pg_wal" {
                let ready = below(home, &path.join("archive_status"));
                items.push(Item { path: ready, is_folder: true });
            }
        } else if kind.is_dir() {
            walk(home, &path, items)?;
        } else if kind.is_file() {
            items.push(Item { path: below(home, &path), is_folder: false });
        }
    }
    Ok(())
}

/// Whose the folder is from now on, against a service or a command that would use it meanwhile.
pub struct Claim(#[expect(dead_code, reason = "held until it is dropped")] super::lock::FolderLock);

/// Takes the data folder, in which no server may run, for as long as what is returned lives.
pub fn claim(data_dir: &Path) -> Result<Claim, EmbeddedError> {
    let data = Home::data_folder(data_dir)?;
    Ok(Claim(super::lock::FolderLock::take(&data)?))
}

/// Where the embedded server's folder is below `data_dir`, and where in it files of the log wait that are to be kept elsewhere.
pub fn home_of(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}

/// Where a restored database grows, below the data folder, before it takes the place of the one that is there.
pub fn growing_of(data_dir: &Path) -> PathBuf {
    data_dir.join("restoring")
}

/// Refuses where a restore was cut off between moving the old database aside and putting the new one in its place: an empty one
/// must not be made there.
pub fn refuse_cut_off(data_dir: &Path) -> Result<(), EmbeddedError> {
    if !home_of(data_dir).exists() && growing_of(data_dir).exists() {
        return Err(EmbeddedError::RestoreCutOff { folder: growing_of(data_dir) });
    }
    Ok(())
}

/// Files of the log that are complete and wait to be kept elsewhere, the oldest first.
pub fn waiting_log(data_dir: &Path) -> Result<Vec<PathBuf>, EmbeddedError> {
    let folder = home_of(data_dir).join("cluster").join(LOG);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_at("list", &folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_at("list", &folder))?.path();
        // One that is still being copied has a name with a dot before it.
        if path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Clock;

    #[test]
    fn a_restore_that_was_cut_off_between_its_two_renames_is_not_covered_by_an_empty_database() {
        let data = tempfile::tempdir().unwrap();
        refuse_cut_off(data.path()).unwrap();
        fs::create_dir(growing_of(data.path())).unwrap();
        let why = refuse_cut_off(data.path()).unwrap_err().to_string();
        assert!(why.contains("restoring") && why.contains("again"), "{why}");
        fs::create_dir(home_of(data.path())).unwrap();
        refuse_cut_off(data.path()).unwrap();
    }

    #[test]
    fn what_says_something_of_this_run_alone_is_not_copied() {
        let data = tempfile::tempdir().unwrap();
        let home = Home::open(data.path(), &Clock::system()).unwrap();
        let cluster = home.cluster();
        for folder in ["base/1", "pg_wal/archive_status", "pg_replslot/gone", LOG] {
            fs::create_dir_all(cluster.join(folder)).unwrap();
        }
        for file in
            ["PG_VERSION", "postmaster.pid", "base/1/42", "base/1/pgsql_tmp1", "pg_wal/0001", "pg_replslot/gone/state"]
        {
            fs::write(cluster.join(file), "x").unwrap();
        }
        let mut items = Vec::new();
        walk(home.path(), &cluster, &mut items).unwrap();
        let mut names: Vec<_> = items.iter().map(|item| item.path.display().to_string()).collect();
        names.sort();
        let wanted = [
            "cluster",
            "cluster/PG_VERSION",
            "cluster/base",
            "cluster/base/1",
            "cluster/base/1/42",
            "cluster/pg_replslot",
            "cluster/pg_wal",
            "cluster/pg_wal/archive_status",
        ];
        let log = format!("cluster/{LOG}");
        let mut wanted: Vec<String> = wanted.iter().map(ToString::to_string).chain([log]).collect();
        wanted.sort();
        assert_eq!(names, wanted);
        let at = |name: &str| items.iter().position(|item| item.path == Path::new(name)).unwrap();
        assert!(at("cluster/base") < at("cluster/base/1") && at("cluster/base/1") < at("cluster/base/1/42"));
    }
}
