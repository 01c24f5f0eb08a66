//! A backup brought back to a folder, with a server over it that nobody but us reaches.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::{
    BackupError, Backups,
    error::io_at,
    plan::{Cell, Kind, Manifest},
    stream,
};
use crate::{
    embedded::guest::{Guest, REPLAYED},
    model::Secret,
    store::{As, Endpoint, Store, StoreSettings, ledger::figures},
};

/// A copy with a server over it.
pub struct Recovered {
    guest: Guest,
    cluster: PathBuf,
    /// The way in of the service and of the owner.
    pub logins: StoreSettings,
    pub superuser: Secret,
}

impl Recovered {
    /// Leaves a database at rest behind.
    pub async fn stop(self) -> Result<(), BackupError> {
        Ok(self.guest.stop(&self.cluster).await?)
    }
}

impl Backups {
    /// Refuses what this binary does not know.
    pub fn check_release(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let unknown = manifest.unknown_to(&self.known);
        if unknown.is_empty() {
            return Ok(());
        }
        let what = format!("{} migrations that this one does not: {}", unknown.len(), unknown.join(", "));
        Err(BackupError::Newer { id: manifest.id.clone(), release: manifest.release.clone(), what })
    }

    /// Unpacks a backup of files into `home`, an empty folder, and recovers it: as it was at the backup's end, or with the log that
    /// was kept since up to the moment `until`.
    pub async fn recover(
        &self,
        manifest: &Manifest,
        home: &Path,
        until: Option<DateTime<Utc>>,
    ) -> Result<Recovered, BackupError> {
        let cluster = home.join("cluster");
        let target = match manifest.kind {
            Kind::Embedded => home.to_owned(),
            Kind::Cluster => cluster.clone(),
            Kind::Dump => return Err(BackupError::Refused("a dump has no files to recover".to_owned())),
        };
        fs::create_dir_all(&target).map_err(io_at("make", &target))?;
        stream::read(&self.place, manifest, &target.clone(), move |from| stream::unpack(from, &target)).await?;
        if until.is_some() {
            self.fetch_log(manifest, &cluster.join(REPLAYED)).await?;
        }
        let server = &manifest.server;
        let guest = Guest::start(&cluster, &self.embedded, &server.superuser, until).await?;
        let end = |login: &str| Endpoint { url: guest.url(login, &server.database), ca_file: None };
        let logins = StoreSettings { service: end(&server.service), owner: end(&server.owner), ..self.doors.clone() };
        let superuser = guest.url(&server.superuser, &server.database);
        Ok(Recovered { guest, cluster, logins, superuser })
    }

    /// The statements in a copy that count for its comparison.
    pub async fn figures(&self, logins: &StoreSettings, bound: DateTime<Utc>) -> Result<Vec<Cell>, BackupError> {
        let store = Store::open(logins)?.patient(std::time::Duration::from_secs(6 * 3600));
        let found = store.run_tx("figures", As::Worker, |tx| Box::pin(figures::figures(tx, bound))).await;
        store.close();
        Ok(super::make::cells(found?))
    }
}
