//! What can go wrong with the embedded server, each said with the folder it concerns and the way out.

use std::{io, path::PathBuf, process::ExitStatus};

use thiserror::Error;

/// Why the embedded PostgreSQL is not there.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the disk of {} is full: free some space and start again; nothing half-made is left to clean up", folder.display())]
    DiskFull { folder: PathBuf },
    #[error("{} is in use by another progress-service (process {holder}): stop that one, or set PROGRESS_DATA_DIR to another folder", folder.display())]
    InUse { folder: PathBuf, holder: String },
    #[error("the database in {} belongs to the progress-service of process {holder} and does not answer: wait until that one has started, or stop it", folder.display())]
    Silent { folder: PathBuf, holder: String },
    #[error(
        "{} is of a restore that was cut off, and no database is in its place: run the same `backup restore` again, \
         or move that folder away to begin with an empty database",
        folder.display()
    )]
    RestoreCutOff { folder: PathBuf },
    #[error(
        "{} holds a database of PostgreSQL {found}, the programs here are {programs}; nothing in it was touched: \
         name the programs of {found} in PROGRESS_PG_BIN, or move it to {programs} with `progress-service embedded upgrade`, \
         or set PROGRESS_DATA_DIR to another folder",
        folder.display()
    )]
    OtherMajor { folder: PathBuf, found: String, programs: u32 },
    #[error(
        "{} is not empty and was not made by progress-service ({reason}); nothing in it was touched: \
         move it away, or set PROGRESS_DATA_DIR to another folder",
        folder.display()
    )]
    Foreign { folder: PathBuf, reason: String },
    #[error(
        "{} belongs to the user with id {owner}: start as that user or as root, or give it away with chown -R",
        folder.display()
    )]
    OtherOwner { folder: PathBuf, owner: u32 },
    #[error(
        "the user {user}, as whom PostgreSQL runs when progress-service is root, may not enter {}: \
         allow it with chmod o+x, or use a folder outside of it",
        folder.display()
    )]
    NotReachable { user: String, folder: PathBuf },
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody: add one"
    )]
    NoUnprivilegedUser,
    #[error(
        "PostgreSQL {version} could not be fetched ({reason}): allow the network, \
         or name a folder of PostgreSQL programs in PROGRESS_PG_BIN, or a database in PROGRESS_DATABASE_URL"
    )]
    Fetch { version: &'static str, reason: String },
    #[error("{} is no usable folder of PostgreSQL programs: {reason}", folder.display())]
    Programs { folder: PathBuf, reason: String },
    #[error("initdb could not make a database in {} ({status}):\n{tail}", folder.display())]
    InitDb { folder: PathBuf, status: ExitStatus, tail: String },
    #[error("PostgreSQL stopped while starting ({status}); the end of {}:\n{tail}", log.display())]
    Exited { status: ExitStatus, log: PathBuf, tail: String },
    #[error("PostgreSQL did not answer within {seconds} s; the end of {}:\n{tail}", log.display())]
    NotReady { seconds: u64, log: PathBuf, tail: String },
    #[error("an earlier PostgreSQL (process {pid}) still runs on {} and does not stop", folder.display())]
    StillRunning { pid: i32, folder: PathBuf },
    #[error("the owner's password is not in {}: put that file back from a backup, the database cannot be opened without it", file.display())]
    PasswordLost { file: PathBuf },
    #[error("the database does not take the password in {}: put that file back from a backup", file.display())]
    PasswordRejected { file: PathBuf },
    #[error("the embedded database could not be prepared: {0}")]
    Database(#[from] tokio_postgres::Error),
}

/// For `map_err`: an input or output error with what was being done to which path; a full disk is told apart.
pub(super) fn io_at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> EmbeddedError {
    let path = path.into();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => EmbeddedError::DiskFull { folder: path },
        _ => EmbeddedError::Io { action, path, source },
    }
}
