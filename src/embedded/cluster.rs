//! The database itself: which version made it, and making a new one so that a crash leaves nothing half.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process::Stdio,
};

use tracing::info;

use super::{
    error::{EmbeddedError, io_at},
    fetch::Programs,
    home::{Home, private_folder, read_version, write_private},
    run_as::RunAs,
    settings,
};
use crate::model::Ids;

/// The bootstrap superuser. It makes the other roles at each start and owns nothing of the service's; no session of the
/// service is given its password. Its name is older than this duty: once it was the owner as well.
pub(super) const SUPERUSER: &str = "progress_owner";
/// Half-made databases carry this name, and the next start removes them.
const UNFINISHED: &str = "unfinished-";

impl Home {
    /// Refuses a database that programs of major version `programs` cannot run; `false` when there is none yet.
    pub fn check_major(&self, programs: u32) -> Result<bool, EmbeddedError> {
        let folder = self.cluster();
        match read_version(&folder)? {
            Some(found) if found == programs.to_string() => Ok(true),
            Some(found) => Err(EmbeddedError::OtherMajor { folder, found, programs }),
            None if folder.exists() => {
                Err(EmbeddedError::Foreign { folder, reason: "it has no PG_VERSION".to_owned() })
            }
            None => Ok(false),
        }
    }

    /// A database that came back from a backup as root's is given to the server's user.
    pub fn settle_owner(&self, run_as: &RunAs) -> Result<(), EmbeddedError> {
        let cluster = self.cluster();
        match fs::metadata(&cluster).map_err(io_at("look at", &cluster))?.uid() {
            0 => run_as.own_tree(&cluster),
            _ => Ok(()),
        }
    }

    /// Makes the database under another name and renames it at the end.
    pub async fn init(&self, programs: &Programs, run_as: &RunAs, ids: &Ids) -> Result<(), EmbeddedError> {
        self.clear_unfinished()?;
        info!(folder = %self.path().display(), version = programs.version, "making the database");
        let unfinished = self.path().join(format!("{UNFINISHED}{}", ids.uuid()));
        let made = self.init_in(&unfinished, programs, run_as, ids).await;
        let cleared = self.clear_unfinished();
        made.and(cleared)
    }

    async fn init_in(
        &self,
        unfinished: &Path,
        programs: &Programs,
        run_as: &RunAs,
        ids: &Ids,
    ) -> Result<(), EmbeddedError> {
        let (folder, word) = (unfinished.join("cluster"), unfinished.join("password"));
        private_folder(unfinished)?;
        private_folder(&folder)?;
        // one that is there is kept: it opens a database that was moved away and may come back
        let password = self.password(SUPERUSER)?.map_or_else(|| self.new_password(SUPERUSER, ids), Ok)?;
        write_private(&word, password.expose())?;
        for path in [unfinished, &folder, &word] {
            run_as.own(path)?;
        }
        let door = run_as.door(&folder)?;
        let mut command = run_as.command(&programs.path("initdb"));
        command.arg("-D").arg(&door.name).arg("--pwfile").arg(door.name.join("../password")).args(["-U", SUPERUSER]);
        command.args(["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--no-instructions"]);
        // A start that is given up in the middle leaves nothing behind that still writes.
        command.args(locale(programs.major)).stdin(Stdio::null()).current_dir(&door.entry).kill_on_drop(true);
        let output = command.output().await.map_err(io_at("run initdb in", self.path()))?;
        if !output.status.success() {
            let said =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            return Err(match said.contains("No space left on device") || said.contains("Disk quota exceeded") {
                true => EmbeddedError::DiskFull { folder: self.path().to_owned() },
                false => EmbeddedError::InitDb {
                    folder: self.path().to_owned(),
                    status: output.status,
                    tail: last_lines(&said, 12),
                },
            });
        }
        include_settings(&folder)?;
        fs::rename(&folder, self.cluster()).map_err(io_at("rename", &folder))?;
        fs::File::open(self.path()).and_then(|folder| folder.sync_all()).map_err(io_at("write", self.path()))
    }

    /// What an interrupted start left. An `initdb` that outlived its parent may still be writing there; it fails by
    /// itself once its folder is gone, and what it managed to add goes at the next start.
    fn clear_unfinished(&self) -> Result<(), EmbeddedError> {
        for entry in fs::read_dir(self.path()).map_err(io_at("list", self.path()))? {
            let entry = entry.map_err(io_at("list", self.path()))?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                match fs::remove_dir_all(entry.path()) {
                    Ok(()) => {}
                    Err(error)
                        if [io::ErrorKind::NotFound, io::ErrorKind::DirectoryNotEmpty].contains(&error.kind()) => {}
                    Err(error) => return Err(io_at("remove", entry.path())(error)),
                }
            }
        }
        Ok(())
    }

    /// Writes the settings for this machine beside PostgreSQL's own.
    pub fn write_settings(&self, run_as: &RunAs, keeps_log: bool) -> Result<(), EmbeddedError> {
        let (path, mut text) = (self.cluster().join(settings::FILE), settings::file(settings::memory()));
        if keeps_log {
            let folder = self.cluster().join(settings::LOG);
            if !folder.exists() {
                private_folder(&folder)?;
                run_as.own(&folder)?;
            }
            text.push_str(&settings::keeping());
        }
        write_private(&path, &text)?;
        run_as.own(&path)
    }
}

/// Bytewise order and Unicode character classes, from PostgreSQL itself where it has them (17), so that neither an
/// index nor a sort depends on the system's C library.
fn locale(major: u32) -> &'static [&'static str] {
    if major >= 17 {
        &["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    } else if cfg!(target_os = "linux") {
        &["--locale=C.UTF-8"]
    } else {
        &["--locale=C"]
    }
}

fn include_settings(cluster: &Path) -> Result<(), EmbeddedError> {
    let path = cluster.join("postgresql.conf");
    let line = format!("\ninclude_if_exists = '{}'\n# your own settings go below this line\n", settings::FILE);
    let file = OpenOptions::new().append(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(io_at("write", path))
}

/// The end of what a program said.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Clock;

    fn home_with(version: Option<&str>) -> (tempfile::TempDir, Home) {
        let data = tempfile::tempdir().unwrap();
        let home = Home::open(data.path(), &Clock::system()).unwrap();
        if let Some(version) = version {
            fs::create_dir(home.cluster()).unwrap();
            fs::write(home.cluster().join("PG_VERSION"), version).unwrap();
        }
        (data, home)
    }

    #[test]
    fn only_a_database_of_the_same_major_version_is_ours_to_run() {
        assert!(!home_with(None).1.check_major(18).unwrap());
        assert!(home_with(Some("18\n")).1.check_major(18).unwrap());
        for other in ["17\n", "19\n", "9.6\n"] {
            let (_data, home) = home_with(Some(other));
            let refused = home.check_major(18).unwrap_err();
            assert!(matches!(&refused, EmbeddedError::OtherMajor { found, .. } if *found == other.trim()), "{refused}");
        }
    }

    #[test]
    fn a_folder_in_the_databases_place_without_a_version_is_refused() {
        let (_data, home) = home_with(None);
        fs::create_dir(home.cluster()).unwrap();
        assert!(matches!(home.check_major(18), Err(EmbeddedError::Foreign { .. })));
    }

    #[test]
    fn what_an_interrupted_start_left_is_cleared_and_nothing_else() {
        let (_data, home) = home_with(Some("18"));
        fs::create_dir_all(home.path().join("unfinished-1/cluster/base")).unwrap();
        home.clear_unfinished().unwrap();
        assert!(!home.path().join("unfinished-1").exists());
        assert!(home.cluster().join("PG_VERSION").exists());
    }

    #[test]
    fn only_the_last_lines_are_quoted() {
        assert_eq!(last_lines("a\nb\nc\n\n", 2), "b\nc");
        assert_eq!(last_lines("a", 5), "a");
        assert_eq!(last_lines("", 5), "");
    }
}
