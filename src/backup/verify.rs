//! Whether a backup is one: brought back to a server of its own, recovered, read to its last byte, and compared with what was there
//! when it was made. What could not be tried is an error and never "good".

use std::path::Path;

use super::{
    BackupError, Backups,
    error::io_at,
    plan::{Kind, Manifest, Verified, differences},
    stream,
};
use crate::{
    embedded::{self, EmbeddedError, Options, guest, physical},
    model::{TenantId, partition::Month},
    objects::segment::{self, Place as SegmentPlace},
    store::{Endpoint, StoreSettings, door::ddl::Session, schema::server},
};

/// How the folders of verifications begin, and when one is nobody's any more.
const SCRATCH: &str = "verify-";
const ABANDONED: std::time::Duration = std::time::Duration::from_secs(2 * 86_400);

/// What was seen of a copy.
#[derive(Default)]
struct Seen {
    faults: Vec<String>,
    tables: usize,
    rows: i64,
}

impl Backups {
    /// Verifies a backup and remembers beside it what was found.
    pub async fn verify(&self, manifest: &Manifest) -> Result<Verified, BackupError> {
        self.check_release(manifest)?;
        std::fs::create_dir_all(&self.scratch).map_err(io_at("make", &self.scratch))?;
        self.clear_scratch().await?;
        let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(&self.scratch);
        let scratch = scratch.map_err(io_at("make a folder in", &self.scratch))?;
        let opened = std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755));
        opened.map_err(io_at("open", scratch.path()))?;
        let looked = match (manifest.kind, &manifest.schema) {
            (Kind::Dump, Some(_)) => self.look_at_part(manifest, scratch.path()).await,
            (Kind::Dump, None) => self.look_at_dump(manifest, scratch.path()).await,
            _ => self.look_at_files(manifest, scratch.path()).await,
        };
        let mut seen = match looked {
            Ok(seen) => seen,
            Err(fault @ (BackupError::Damaged { .. } | BackupError::Embedded(EmbeddedError::Exited { .. }))) => {
                Seen { faults: vec![fault.to_string()], ..Seen::default() }
            }
            Err(error) => return Err(error),
        };
        seen.faults.extend(self.missing_segments(manifest).await?);
        let Seen { faults, tables, rows } = seen;
        let verified = Verified { at: self.clock.now(), faults, statements: manifest.statements(), tables, rows };
        self.place.note(&manifest.id, &verified).await?;
        Ok(verified)
    }

    /// What verifications left that were killed long ago, and their servers.
    async fn clear_scratch(&self) -> Result<(), BackupError> {
        for entry in std::fs::read_dir(&self.scratch).map_err(io_at("list", &self.scratch))?.flatten() {
            let begun = entry.metadata().and_then(|found| found.modified()).ok();
            let is_old = begun.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > ABANDONED);
            if is_old && entry.file_name().to_string_lossy().starts_with(SCRATCH) {
                guest::settle(&entry.path().join("cluster")).await?;
                std::fs::remove_dir_all(entry.path()).map_err(io_at("remove", entry.path()))?;
            }
        }
        Ok(())
    }

    async fn look_at_files(&self, manifest: &Manifest, scratch: &Path) -> Result<Seen, BackupError> {
        let recovered = self.recover(manifest, scratch, None).await?;
        let superuser = Endpoint { url: recovered.superuser.clone(), ca_file: None };
        let seen = self.look(manifest, &recovered.logins, &superuser).await;
        recovered.stop().await?;
        seen
    }

    /// A dump is read into a new database of a new server.
    async fn look_at_dump(&self, manifest: &Manifest, scratch: &Path) -> Result<Seen, BackupError> {
        let options = Options { data_dir: scratch.to_owned(), keeps_log: false, ..self.embedded.clone() };
        let server = embedded::start(options, &self.clock, &self.ids).await?;
        let owner = Endpoint { url: server.owner_url().clone(), ca_file: None };
        let service = Endpoint { url: server.service_url().clone(), ca_file: None };
        let seen = async {
            self.read_into(manifest, &owner, scratch).await?;
            let logins = StoreSettings { service, owner, ..self.doors.clone() };
            let url = physical::superuser_url(scratch).await?;
            let silent = || BackupError::Refused("the server for the verification does not answer".to_owned());
            self.look(manifest, &logins, &Endpoint { url: url.ok_or_else(silent)?, ca_file: None }).await
        };
        let seen = seen.await;
        server.stop().await?;
        seen
    }

    /// Reads a dump into an empty database.
    pub async fn read_into(&self, manifest: &Manifest, owner: &Endpoint, folder: &Path) -> Result<(), BackupError> {
        // It writes what a server understands that is as old as the program, and newer ones do too.
        let tool = self.tools.find("pg_restore", 0)?.of(owner)?;
        let tool = tool.args(&["--exit-on-error", "--single-transaction", "--no-owner"]);
        stream::read(&self.place, manifest, folder, move |from| tool.feed(from)).await?
    }

    /// One schema leans on others, and is no database: it is only read as a whole.
    async fn look_at_part(&self, manifest: &Manifest, scratch: &Path) -> Result<Seen, BackupError> {
        let tool = self.tools.find("pg_restore", 0)?.args(&["--file=/dev/null"]);
        stream::read(&self.place, manifest, scratch, move |from| tool.feed(from)).await??;
        Ok(Seen::default())
    }

    async fn look(
        &self,
        manifest: &Manifest,
        logins: &StoreSettings,
        superuser: &Endpoint,
    ) -> Result<Seen, BackupError> {
        let found = self.figures(logins, manifest.bound).await?;
        let mut faults = differences(&manifest.before, &manifest.after, &found);
        let session = Session::connect(superuser).await?;
        if server::applied(&session, &self.schemas).await? != manifest.migrations {
            faults.push("its history of migrations is not the one it was made with".to_owned());
        }
        let (tables, rows) = server::read_all(&session, &self.schemas).await?;
        Ok(Seen { faults, tables, rows })
    }

    /// Segments that the database will look for and not find.
    async fn missing_segments(&self, manifest: &Manifest) -> Result<Vec<String>, BackupError> {
        let mut faults = Vec::new();
        for one in &manifest.segments {
            let Ok(month) = one.month.parse::<Month>() else { continue };
            let place = SegmentPlace { tenant: TenantId(one.tenant), month, revision: one.revision };
            match segment::Manifest::load(&self.archive, &place, manifest.installation).await {
                Ok(found) if found.summary.digest == one.digest => {}
                Ok(_) => faults.push(format!("{place} in the archive has other statements than the backup names")),
                Err(segment::SegmentError::Storage { source, .. }) => {
                    return Err(self.place.failed("the archive", "read", source));
                }
                Err(segment::SegmentError::NotPublished(_)) if self.is_known_since(&place, manifest).await? => {}
                Err(error) => faults.push(format!("the archive has not what the backup names: {error}")),
            }
        }
        Ok(faults)
    }

    /// Whether the archive says what became of a segment since: then a restore finds what there is in its place.
    async fn is_known_since(&self, place: &SegmentPlace, manifest: &Manifest) -> Result<bool, BackupError> {
        match segment::since(&self.archive, place, manifest.installation).await {
            Ok(since) => Ok(since.is_some()),
            Err(segment::SegmentError::Storage { source, .. }) => Err(self.place.failed("the archive", "read", source)),
            Err(_) => Ok(false),
        }
    }
}
