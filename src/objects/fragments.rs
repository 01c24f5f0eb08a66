//! What a crash leaves of a file that was being written in a folder: the folder's store writes beside the name, with `#` and a
//! number behind it, and shows nobody such files. In a bucket there are none: a rule of the bucket ends broken uploads.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Objects, ObjectsError, unusable};

impl Objects {
    /// Beginnings of files that lie under a prefix, with their sizes.
    pub async fn fragments(&self, prefix: &str) -> Result<Vec<(String, u64)>, ObjectsError> {
        let Some(root) = self.root.clone() else { return Ok(Vec::new()) };
        let folder = root.join(prefix);
        let walked = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            walk(&root, &folder, &mut found).map_err(|error| unusable(&folder, &error))?;
            found.sort();
            Ok(found)
        });
        walked.await.map_err(|error| unusable(Path::new(prefix), &error))?
    }

    /// Removes the beginning of a file; one that is not there any more is fine.
    pub async fn remove_fragment(&self, key: &str) -> Result<(), ObjectsError> {
        let Some(root) = &self.root else { return Ok(()) };
        let path = root.join(key);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(&path, &error)),
            _ => Ok(()),
        }
    }
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            walk(root, &path, found)?;
        } else if is_fragment(&path)
            && let Ok(key) = path.strip_prefix(root)
        {
            found.push((key.display().to_string(), fs::metadata(&path).map_or(0, |meta| meta.len())));
        }
    }
    Ok(())
}

fn is_fragment(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_in_a_number_behind_a_hash_is_one() {
        for (name, wanted) in
            [("part-0000.parquet#1", true), ("part-0000.parquet", false), ("a#", false), ("a#b", false)]
        {
            assert_eq!(is_fragment(&Path::new("/folder").join(name)), wanted, "{name}");
        }
    }

    #[tokio::test]
    async fn they_are_found_and_removed_in_their_folder_alone() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::folder(dir.path()).unwrap();
        for file in ["a/b/x#1", "a/b/x", "c/y#2"] {
            fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
            fs::write(dir.path().join(file), b"four").unwrap();
        }
        assert_eq!(objects.fragments("a").await.unwrap(), [("a/b/x#1".to_owned(), 4)]);
        objects.remove_fragment("a/b/x#1").await.unwrap();
        objects.remove_fragment("a/b/x#1").await.unwrap();
        assert!(
            objects.fragments("a").await.unwrap().is_empty() && objects.fragments("nowhere").await.unwrap().is_empty()
        );
        assert!(dir.path().join("c/y#2").exists() && dir.path().join("a/b/x").exists());
    }
}
