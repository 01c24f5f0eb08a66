//! Files of the server's log, kept beside the backups: with them a backup comes back as of any moment after it.

use std::{
    io::{Read, Write},
    path::Path,
};

use bytes::Bytes;

use super::{
    BackupError, Backups, Key,
    error::io_at,
    plan::{Manifest, is_log, superfluous_log},
    seal::{Opening, Sealing},
};
use crate::objects::ObjectsError;

fn folder(system: &str) -> String {
    format!("log/{system}")
}

impl Backups {
    /// Keeps a file of the log of the server with this number. One that is kept already must be the same.
    pub async fn keep_log(&self, system: &str, file: &Path) -> Result<(), BackupError> {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let content = tokio::fs::read(file).await.map_err(io_at("read", file))?;
        let key = format!("{}/{name}", folder(system));
        let packed = self.pack(&content).map_err(io_at("pack", file))?;
        match self.place.objects.put_new(&key, Bytes::from(packed)).await {
            Ok(()) => Ok(()),
            Err(ObjectsError::Exists(_)) if self.log_file(&key).await? == content => Ok(()),
            Err(ObjectsError::Exists(_)) => {
                let rule = "another file of that name is kept already: two servers write to one place".to_owned();
                Err(BackupError::Damaged { what: key, rule })
            }
            Err(source) => Err(self.place.failed(&key, "written", source)),
        }
    }

    fn pack(&self, content: &[u8]) -> std::io::Result<Vec<u8>> {
        let small = zstd::encode_all(content, 3)?;
        match &self.place.key {
            None => Ok(small),
            Some(key) => {
                let mut sealing = Sealing::new(Vec::new(), key, &self.ids.bytes::<32>())?;
                sealing.write_all(&small)?;
                sealing.finish()
            }
        }
    }

    async fn log_file(&self, key: &str) -> Result<Vec<u8>, BackupError> {
        let bytes = self.place.objects.get(key).await.map_err(|source| self.place.failed(key, "read", source))?;
        let open = |sealed: Option<&Key>| {
            let mut small = Vec::new();
            match sealed {
                Some(sealed) => Opening::new(bytes.as_ref(), sealed)?.read_to_end(&mut small)?,
                None => (&mut bytes.as_ref()).read_to_end(&mut small)?,
            };
            zstd::decode_all(small.as_slice())
        };
        let damaged = |e: std::io::Error| BackupError::Damaged { what: key.to_owned(), rule: e.to_string() };
        open(self.place.key.as_ref()).map_err(damaged)
    }

    /// Brings the log that a backup's recovery may need into a folder.
    pub(super) async fn fetch_log(&self, manifest: &Manifest, into: &Path) -> Result<(), BackupError> {
        std::fs::create_dir_all(into).map_err(io_at("make", into))?;
        let first = manifest.first_log.as_deref().and_then(|name| name.get(8..)).unwrap_or_default();
        for name in self.log_names(&manifest.server.system).await? {
            if is_log(&name) && name.get(8..).is_some_and(|at| at < first) {
                continue;
            }
            let content = self.log_file(&format!("{}/{name}", folder(&manifest.server.system))).await?;
            let path = into.join(&name);
            tokio::fs::write(&path, content).await.map_err(io_at("write", &path))?;
        }
        Ok(())
    }

    async fn log_names(&self, system: &str) -> Result<Vec<String>, BackupError> {
        let folder = folder(system);
        let listed = self.place.objects.list(&folder).await;
        let listed = listed.map_err(|source| self.place.failed(&folder, "listed", source))?;
        Ok(listed.into_iter().filter_map(|(key, _)| key.rsplit('/').next().map(str::to_owned)).collect())
    }

    /// Removes files of the log that no backup of that server needs any more; answers how many.
    pub async fn prune_log(&self, apply: bool) -> Result<usize, BackupError> {
        let kept = self.place.list().await?;
        let mut systems: Vec<&str> = kept.iter().map(|one| one.manifest.server.system.as_str()).collect();
        systems.sort_unstable();
        systems.dedup();
        let mut gone = 0;
        for system in systems {
            let of_system: Vec<_> = kept.iter().filter(|one| one.manifest.server.system == system).cloned().collect();
            let names = self.log_names(system).await?;
            for name in superfluous_log(&names, &of_system) {
                if apply {
                    let key = format!("{}/{name}", folder(system));
                    let removed = self.place.objects.delete(&key).await;
                    removed.map_err(|source| self.place.failed(&key, "removed", source))?;
                }
                gone += 1;
            }
        }
        Ok(gone)
    }
}
