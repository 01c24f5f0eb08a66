//! The folder of the embedded server: whose it is, and where everything lies in it.
//!
//! ```text
//! data/postgres.lock            who runs here
//! data/postgres/progress.toml   this folder is ours, and of which form
//!               cluster/        PostgreSQL's own
//!               *.password      of the superuser, the owner and the service, needed to start again
//!               run/ log/       socket and server log
//! ```

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::error::{EmbeddedError, io_at};
use crate::model::{Clock, Ids, Secret};

/// The form of the folder this release writes; a higher one was made by a newer release.
const FORMAT: i64 = 1;
const MARKER: &str = "progress.toml";
/// Our folder below the data folder, known to be ours.
#[derive(Clone, Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    /// Makes the data folder if need be and refuses one that is itself a database; returns its absolute path.
    pub fn data_folder(wanted: &Path) -> Result<PathBuf, EmbeddedError> {
        if !wanted.exists() {
            fs::create_dir_all(wanted).map_err(io_at("make", wanted))?;
            // the unprivileged user of the server passes through it, whatever root's umask is
            fs::set_permissions(wanted, Permissions::from_mode(0o755)).map_err(io_at("open", wanted))?;
        }
        let folder = fs::canonicalize(wanted).map_err(io_at("enter", wanted))?;
        match read_version(&folder)? {
            Some(version) => {
                let reason = format!("it is itself a database of PostgreSQL {version}");
                Err(EmbeddedError::Foreign { folder, reason })
            }
            None => Ok(folder),
        }
    }

    /// Our folder in `data`, made if it is not there; the caller holds the data folder's lock.
    pub fn open(data: &Path, clock: &Clock) -> Result<Self, EmbeddedError> {
        let home = Self(data.join("postgres"));
        let marker = home.0.join(MARKER);
        match fs::read_to_string(&marker) {
            Ok(text) => home.check_marker(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                home.refuse_contents()?;
                let mut folder = fs::DirBuilder::new();
                folder.recursive(true).mode(0o755).create(&home.0).map_err(io_at("make", &home.0))?;
                fs::set_permissions(&home.0, Permissions::from_mode(0o755)).map_err(io_at("open", &home.0))?;
                let text = format!(
                    "# this folder holds the embedded PostgreSQL of progress-service: do not edit\n\
                     format = {FORMAT}\ncreated_at = \"{}\"\n",
                    clock.now().to_rfc3339()
                );
                write_private(&marker, &text)?;
            }
            Err(error) => return Err(io_at("read", marker)(error)),
        }
        Ok(home)
    }

    /// Our folder in `data` if it is there and ours.
    pub fn existing(data: &Path) -> Option<Self> {
        let home = Self(data.join("postgres"));
        home.0.join(MARKER).is_file().then_some(home)
    }

    fn check_marker(&self, text: &str) -> Result<(), EmbeddedError> {
        let foreign = |reason: &str| EmbeddedError::Foreign { folder: self.0.clone(), reason: reason.to_owned() };
        let marker: toml::Table = text.parse().map_err(|_| foreign("its progress.toml is not understood"))?;
        match marker.get("format").and_then(toml::Value::as_integer) {
            Some(1..=FORMAT) => Ok(()),
            Some(_) => Err(foreign("a newer release of progress-service made it")),
            None => Err(foreign("its progress.toml names no format")),
        }
    }

    /// Without our marker the folder must be missing or empty.
    fn refuse_contents(&self) -> Result<(), EmbeddedError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_at("list", &self.0)(error)),
        };
        // a marker that a full disk or a crash kept from its name is ours as well
        let draft = draft_of(&self.0.join(MARKER));
        if entries.flatten().all(|entry| entry.path() == draft) {
            return Ok(());
        }
        let reason = match read_version(&self.0)? {
            Some(version) => format!("it is a database of PostgreSQL {version}"),
            None => format!("it has no {MARKER}"),
        };
        Err(EmbeddedError::Foreign { folder: self.0.clone(), reason })
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn cluster(&self) -> PathBuf {
        self.0.join("cluster")
    }

    pub fn run_dir(&self) -> PathBuf {
        self.0.join("run")
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("log/server.log")
    }

    pub fn password_file(&self, user: &str) -> PathBuf {
        self.0.join(format!("{user}.password"))
    }

    /// The password of `user`, if one was kept.
    pub fn password(&self, user: &str) -> Result<Option<Secret>, EmbeddedError> {
        let file = self.password_file(user);
        match fs::read_to_string(&file) {
            Ok(text) if !text.trim().is_empty() => Ok(Some(Secret::new(text.trim()))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_at("read", file)(error)),
        }
    }

    /// Draws and keeps a new password for `user`.
    pub fn new_password(&self, user: &str, ids: &Ids) -> Result<Secret, EmbeddedError> {
        let password = Secret::new(hex::encode(ids.bytes::<24>()));
        write_private(&self.password_file(user), password.expose())?;
        Ok(password)
    }
}

/// The major version that made the database in `folder`, if it is one.
pub(super) fn read_version(folder: &Path) -> Result<Option<String>, EmbeddedError> {
    let file = folder.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_at("read", file)(error)),
    }
}

pub(super) fn private_folder(path: &Path) -> Result<(), EmbeddedError> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(io_at("make", path))
}

/// Writes a file only its owner can read: whole under its name, or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let draft = draft_of(path);
    let written =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, path)
        });
    written.map_err(io_at("write", path))
}

fn draft_of(path: &Path) -> PathBuf {
    path.with_extension("draft")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(data: &Path) -> Result<Home, EmbeddedError> {
        Home::open(data, &Clock::system())
    }

    fn refusal(result: Result<impl std::fmt::Debug, EmbeddedError>) -> String {
        match result.unwrap_err() {
            EmbeddedError::Foreign { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_empty_folder_becomes_ours_and_stays_ours() {
        let data = tempfile::tempdir().unwrap();
        let home = open(data.path()).unwrap();
        fs::write(home.path().join("something"), "").unwrap();
        assert_eq!(open(data.path()).unwrap().path(), home.path());
    }

    #[test]
    fn a_start_that_died_while_writing_the_marker_is_no_stranger() {
        let data = tempfile::tempdir().unwrap();
        let home = open(data.path()).unwrap();
        let marker = home.path().join(MARKER);
        fs::rename(&marker, draft_of(&marker)).unwrap();
        open(data.path()).unwrap();
        assert!(marker.exists());
    }

    #[test]
    fn a_folder_with_strange_contents_is_refused_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("postgres");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("holiday.jpg"), "sun").unwrap();
        assert_eq!(refusal(open(data.path())), "it has no progress.toml");
        fs::write(folder.join("PG_VERSION"), "12\n").unwrap();
        assert_eq!(refusal(open(data.path())), "it is a database of PostgreSQL 12");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn a_data_folder_that_is_itself_a_database_is_refused() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("PG_VERSION"), "18\n").unwrap();
        assert_eq!(refusal(Home::data_folder(data.path())), "it is itself a database of PostgreSQL 18");
    }

    #[test]
    fn a_folder_of_a_newer_release_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let marker = open(data.path()).unwrap().path().join(MARKER);
        fs::write(&marker, "format = 2\n").unwrap();
        assert_eq!(refusal(open(data.path())), "a newer release of progress-service made it");
        fs::write(&marker, "format").unwrap();
        assert_eq!(refusal(open(data.path())), "its progress.toml is not understood");
    }

    #[test]
    fn passwords_are_kept_where_only_we_can_read() {
        let data = tempfile::tempdir().unwrap();
        let home = open(data.path()).unwrap();
        assert!(home.password("someone").unwrap().is_none());
        let drawn = home.new_password("someone", &Ids::random()).unwrap();
        assert_eq!(home.password("someone").unwrap().unwrap().expose(), drawn.expose());
        assert_eq!(drawn.expose().len(), 48);
        let mode = fs::metadata(home.password_file("someone")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
