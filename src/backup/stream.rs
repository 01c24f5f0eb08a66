//! The stream of a backup: compressed, then sealed, then cut into volumes; and the way back.

use std::{
    fs, io,
    io::{Read, Write},
    path::Path,
};

use super::{
    BackupError, Key, Place,
    plan::Manifest,
    seal::{Opening, Sealing},
    volumes::{self, Outlet},
};

/// Level 3 keeps up with a disk.
const LEVEL: i32 = 3;

/// What is written here is kept.
pub struct Sink(zstd::Encoder<'static, Body>);

enum Body {
    Plain(Outlet),
    Sealed(Box<Sealing<Outlet>>),
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(outlet) => outlet.write(bytes),
            Self::Sealed(sealing) => sealing.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    pub fn new(outlet: Outlet, key: Option<&Key>, salt: &[u8; 32]) -> io::Result<Self> {
        let body = match key {
            Some(key) => Body::Sealed(Box::new(Sealing::new(outlet, key, salt)?)),
            None => Body::Plain(outlet),
        };
        let mut encoder = zstd::Encoder::new(body, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self(encoder))
    }

    /// Without this it is no whole stream, and whoever reads it is told.
    pub fn finish(self) -> io::Result<()> {
        match self.0.finish()? {
            Body::Plain(mut outlet) => outlet.flush(),
            Body::Sealed(sealing) => sealing.finish()?.flush(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs blocking work on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| BackupError::Refused(format!("the work on a stream ended: {panic}")))?
}

/// Adds a file to an archive, as long as it is now: it may change while it is copied. One that is gone is passed over.
pub fn add_file(tar: &mut tar::Builder<Sink>, home: &Path, path: &Path) -> io::Result<()> {
    let file = match fs::File::open(home.join(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let length = file.metadata()?.len();
    let mut header = header(length, 0o600, tar::EntryType::Regular);
    tar.append_data(&mut header, path, file.chain(io::repeat(0)).take(length))
}

pub fn add_folder(tar: &mut tar::Builder<Sink>, path: &Path) -> io::Result<()> {
    tar.append_data(&mut header(0, 0o700, tar::EntryType::Directory), path, io::empty())
}

pub fn add_text(tar: &mut tar::Builder<Sink>, path: &str, text: &str) -> io::Result<()> {
    tar.append_data(&mut header(text.len() as u64, 0o600, tar::EntryType::Regular), path, text.as_bytes())
}

fn header(length: u64, mode: u32, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(mode);
    header.set_entry_type(kind);
    header
}

/// Reads a backup to its end and gives its content to `work`. What was damaged, cut, or sealed under another key fails.
pub async fn read<T: Send + 'static>(
    place: &Place,
    manifest: &Manifest,
    folder: &Path,
    work: impl FnOnce(&mut dyn Read) -> io::Result<T> + Send + 'static,
) -> Result<T, BackupError> {
    let key = match (&manifest.key, &place.key) {
        (None, _) => None,
        (Some(wanted), Some(key)) if key.name() == *wanted => Some(key.clone()),
        (Some(wanted), key) => {
            let (id, found) = (manifest.id.clone(), key.as_ref().map(Key::name));
            return Err(BackupError::OtherKey { id, wanted: wanted.clone(), found });
        }
    };
    let (into, inlet) = volumes::inlet();
    let (what, folder) = (format!("backup {}", manifest.id), folder.to_owned());
    let reading = blocking(move || {
        let read = move || {
            let body: Box<dyn Read> = match &key {
                Some(key) => Box::new(Opening::new(inlet, key)?),
                None => Box::new(inlet),
            };
            let mut decoder = zstd::Decoder::new(body)?;
            let done = work(&mut decoder)?;
            // Only its end proves that nothing is missing.
            io::copy(&mut decoder, &mut io::sink())?;
            Ok(done)
        };
        read().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::DiskFull { folder },
            _ => BackupError::Damaged { what, rule: error.to_string() },
        })
    });
    let (fetched, done) =
        tokio::join!(volumes::fetch(&place.objects, &manifest.volumes, into, place.counter()), reading);
    // Where reading failed because fetching did, the latter says why.
    fetched?;
    done
}

/// Unpacks an archive into an empty folder.
pub fn unpack(from: &mut dyn Read, folder: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(false);
    archive.unpack(folder).map_err(|error| {
        // The crate wraps the cause, whose kind says whether the disk is full.
        let kind =
            std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        let said = error.to_string();
        match kind {
            Some(kind) => io::Error::new(kind, said),
            None if said.contains("No space left") => io::Error::new(io::ErrorKind::StorageFull, said),
            None => error,
        }
    })?;
    rustix::fs::sync();
    Ok(())
}
