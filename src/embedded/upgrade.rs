//! Folders of an upgrade to another major version: the new database grows beside the old one, which is moved aside when the new one is
//! whole, and stays. Cut off anywhere, one of the two is in its place, or is put there by the next start.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    error::{EmbeddedError, io_at},
    home::{Home, read_version, write_private},
    physical::home_of,
    roles::{OWNER, SERVICE},
};

/// As whom a database of ours is looked at: whoever may see everything, the owner, the service.
pub const LOGINS: [&str; 3] = [super::cluster::SUPERUSER, OWNER, SERVICE];
/// The service's database.
pub const DATABASE: &str = super::settings::DATABASE;

/// The folder below the data folder in which the new database grows.
pub fn growing_of(data_dir: &Path) -> PathBuf {
    data_dir.join("upgrading")
}

/// The new database in it.
pub fn grown_of(data_dir: &Path) -> PathBuf {
    home_of(&growing_of(data_dir))
}

/// Where the new one waits, whole, for its place.
fn waiting_of(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres.upgraded")
}

/// Says to which major version it goes back, while it does.
fn going_back_of(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres.going-back")
}

/// The PostgreSQL of a folder like ours.
pub fn cluster_of(home: &Path) -> PathBuf {
    home.join("cluster")
}

/// The major version that made the database of the data folder.
pub fn major_of(data_dir: &Path) -> Result<Option<u32>, EmbeddedError> {
    let Some(home) = Home::existing(data_dir) else { return Ok(None) };
    Ok(read_version(&home.cluster())?.and_then(|text| text.parse().ok()))
}

/// Where the database of a major version is moved aside, for the way back.
pub fn before_of(data_dir: &Path, major: u32) -> PathBuf {
    data_dir.join(format!("postgres.before-{major}"))
}

/// Where what came after an upgrade is moved aside on the way back.
pub fn after_of(data_dir: &Path, major: u32) -> PathBuf {
    data_dir.join(format!("postgres.after-{major}"))
}

/// The folders that were moved aside by upgrades, with the major versions that made them.
pub fn kept(data_dir: &Path) -> Result<Vec<(u32, PathBuf)>, EmbeddedError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data_dir).map_err(io_at("list", data_dir))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(major) = name.strip_prefix("postgres.before-").and_then(|text| text.parse().ok()) {
            found.push((major, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Puts a database that has grown in the place of the one that is there.
pub fn take_over(data_dir: &Path, aside: &Path) -> Result<(), EmbeddedError> {
    let (waiting, home) = (waiting_of(data_dir), home_of(data_dir));
    rename(&grown_of(data_dir), &waiting)?;
    sync(data_dir)?;
    rename(&home, aside)?;
    rename(&waiting, &home)?;
    let growing = growing_of(data_dir);
    fs::remove_dir_all(&growing).map_err(io_at("remove", &growing))?;
    sync(data_dir)
}

/// Puts back the database of a major version that was moved aside; what is there is moved aside in its turn.
pub fn go_back(data_dir: &Path, major: u32, after: &Path) -> Result<(), EmbeddedError> {
    let (word, home) = (going_back_of(data_dir), home_of(data_dir));
    write_private(&word, &major.to_string())?;
    sync(data_dir)?;
    rename(&home, after)?;
    rename(&before_of(data_dir, major), &home)?;
    sync(data_dir)?;
    fs::remove_file(&word).map_err(io_at("remove", word))
}

/// Ends what was cut off between two renames. A database that waits for its place is whole: where the place is free it takes it, and where
/// it is not the swap did not begin.
pub fn finish(data_dir: &Path) -> Result<(), EmbeddedError> {
    let (waiting, word, home) = (waiting_of(data_dir), going_back_of(data_dir), home_of(data_dir));
    let back = fs::read_to_string(&word).ok();
    let before = back.as_ref().and_then(|major| major.parse().ok()).map(|major| before_of(data_dir, major));
    if let Some(whole) = [Some(waiting), before].into_iter().flatten().find(|one| one.exists() && !home.exists()) {
        tracing::info!(folder = %home.display(), "an upgrade, or the way back, that was cut off is ended");
        rename(&whole, &home)?;
        sync(data_dir)?;
    }
    if back.is_some() {
        fs::remove_file(&word).map_err(io_at("remove", word))?;
    }
    Ok(())
}

/// Removes what an upgrade that was cut off has left: it begins anew, from a database that nobody touched.
pub fn clear(data_dir: &Path) -> Result<(), EmbeddedError> {
    for folder in [growing_of(data_dir), waiting_of(data_dir)] {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_at("remove", folder)(error)),
            _ => {}
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), EmbeddedError> {
    fs::rename(from, to).map_err(io_at("rename", from))
}

fn sync(folder: &Path) -> Result<(), EmbeddedError> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_at("write", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(folder: &Path, name: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("name"), name).unwrap();
    }

    fn name(folder: &Path) -> Option<String> {
        fs::read_to_string(folder.join("name")).ok()
    }

    #[test]
    fn one_of_the_two_is_in_its_place_wherever_it_is_cut_off() {
        let data = tempfile::tempdir().unwrap();
        let (data, home) = (data.path(), home_of(data.path()));
        named(&home, "old");
        named(&grown_of(data), "new");
        take_over(data, &before_of(data, 15)).unwrap();
        assert_eq!((name(&home), name(&before_of(data, 15))), (Some("new".into()), Some("old".into())));
        assert_eq!(kept(data).unwrap(), [(15, before_of(data, 15))]);
        go_back(data, 15, &after_of(data, 18)).unwrap();
        assert_eq!((name(&home), name(&after_of(data, 18))), (Some("old".into()), Some("new".into())));

        // Before the old one was moved: it stays. After: what waits takes its place.
        named(&waiting_of(data), "whole");
        finish(data).unwrap();
        assert_eq!(name(&home), Some("old".into()));
        fs::remove_dir_all(&home).unwrap();
        finish(data).unwrap();
        assert_eq!((name(&home), waiting_of(data).exists()), (Some("whole".into()), false));
        // The way back, before and after the first rename.
        named(&before_of(data, 15), "older");
        for (is_moved, wanted) in [(false, "whole"), (true, "older")] {
            fs::write(going_back_of(data), "15").unwrap();
            if is_moved {
                fs::remove_dir_all(&home).unwrap();
            }
            finish(data).unwrap();
            assert_eq!((name(&home).as_deref(), going_back_of(data).exists()), (Some(wanted), false));
        }
        named(&growing_of(data), "half");
        clear(data).unwrap();
        assert!(!growing_of(data).exists() && home.exists());
    }
}
