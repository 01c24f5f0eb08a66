//! What can be wrong: each is told by its name, and nothing that is there is touched.

use std::{fs, io::Write as _};

use serde_json::Value;

use super::{Home, files};
use crate::support::pgproc::SmallDisk;

/// Changes the manifest of a backup as somebody would who seals it again.
fn rewrite(home: &Home, id: &str, change: impl FnOnce(&mut Value)) {
    use sha2::{Digest, Sha256};
    let path = home.backups().join(id).join("manifest.json");
    let mut sheet: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut manifest: Value = serde_json::from_str(sheet["text"].as_str().unwrap()).unwrap();
    change(&mut manifest);
    let text = manifest.to_string();
    sheet["sha256"] = hex::encode(Sha256::digest(&text)).into();
    sheet["text"] = text.into();
    fs::write(path, sheet.to_string()).unwrap();
}

fn volume(home: &Home, id: &str) -> std::path::PathBuf {
    files(&home.backups().join(id)).into_iter().find(|path| path.to_string_lossy().contains("volume-")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_backup_is_told_and_nothing_is_touched() {
    let home = Home::new();
    let service = home.serve().await;
    service.say("bob", "one").await;
    let id = home.make();
    let whole = fs::read(volume(&home, &id)).unwrap();
    let manifest = fs::read(home.backups().join(&id).join("manifest.json")).unwrap();

    // Cut, and changed by a bit.
    fs::write(volume(&home, &id), &whole[..whole.len() - 1]).unwrap();
    let said = home.refused(&["backup", "verify"], 4);
    assert!(said.contains("is damaged: it has") && said.contains("its manifest says"), "{said}");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    fs::write(volume(&home, &id), &changed).unwrap();
    let said = home.refused(&["backup", "verify"], 4);
    assert!(said.contains("is damaged"), "{said}");
    assert!(home.refused(&["backup", "list"], 4).contains("NOT GOOD"));
    let said = home.refused(&["emergency", "restore"], 1);
    assert!(said.contains("no backup was verified and found good"), "{said}");
    fs::remove_file(volume(&home, &id)).unwrap();
    assert!(home.refused(&["backup", "verify"], 4).contains("it is missing"));
    fs::write(home.backups().join(&id).join("volume-00000"), &whole).unwrap();

    // Under another key, and without one.
    let other = home.beside.path().join("other");
    fs::write(&other, "77".repeat(32)).unwrap();
    let stranger = Home { data: super::open_folder(), beside: super::open_folder(), variables: home.variables.clone() };
    let stranger = stranger.set("PROGRESS_BACKUP_KEY_FILE", other.to_str().unwrap());
    let said = stranger.refused(&["backup", "verify"], 1);
    assert!(said.contains("is sealed under the key") && said.contains("backup.key_file holds"), "{said}");
    let said = stranger.set("PROGRESS_BACKUP_KEY_FILE", "/nowhere/key").refused(&["backup", "verify"], 1);
    assert!(said.contains("/nowhere/key"), "{said}");

    // Of a newer release, by its migrations and by its form.
    rewrite(&home, &id, |manifest| {
        manifest["release"] = "9.9.9".into();
        manifest["migrations"].as_array_mut().unwrap().push("ledger/999_from_the_future.sql".into());
    });
    for arguments in [["backup", "verify", "latest"], ["backup", "restore", "latest"]] {
        let said = home.refused(&arguments, 1);
        assert!(said.contains("made by the newer release 9.9.9") && said.contains("999_from_the_future"), "{said}");
    }
    rewrite(&home, &id, |manifest| manifest["format"] = 2.into());
    assert!(home.refused(&["backup", "list"], 1).contains("format 2, and this one 1"));
    let mut torn = manifest.clone();
    torn[manifest.len() / 2] ^= 1;
    fs::write(home.backups().join(&id).join("manifest.json"), torn).unwrap();
    assert!(home.refused(&["backup", "list"], 1).contains("manifest.json is damaged"));
    fs::write(home.backups().join(&id).join("manifest.json"), &manifest).unwrap();

    // One that does not hold what it says.
    rewrite(&home, &id, |manifest| manifest["before"][0]["rows"] = 2.into());
    let said = home.refused(&["backup", "verify"], 4);
    assert!(said.contains("had 2 statements, and 1 came back"), "{said}");
    rewrite(&home, &id, |manifest| {
        manifest["before"][0]["rows"] = 1.into();
        manifest["before"][0]["digest"] = "1".into();
    });
    assert!(home.refused(&["backup", "verify"], 4).contains("their digest differs"));
    fs::write(home.backups().join(&id).join("manifest.json"), &manifest).unwrap();

    // No tools.
    let empty = super::open_folder();
    let bare = Home { data: super::open_folder(), beside: super::open_folder(), variables: home.variables.clone() };
    let bare = bare.set("PROGRESS_BACKUP_PROGRAMS", empty.path().to_str().unwrap());
    let said = bare.refused(&["backup", "make", "--portable"], 1);
    assert!(said.contains("there is no pg_dump here") && said.contains("postgresql-client-18"), "{said}");

    // After all of this it is what it was.
    assert!(home.done(&["backup", "verify"]).contains("good"));
    assert_eq!(service.did("bob").await, ["one"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_no_half_of_a_backup_and_no_half_of_a_database() {
    let small = super::open_folder();
    let disk = SmallDisk::mount(small.path(), 2);
    let home = Home::new();
    let service = home.serve().await;
    service.say("bob", "one").await;
    let tight = Home { data: super::open_folder(), beside: super::open_folder(), variables: home.variables.clone() };
    let tight = tight.set("PROGRESS_BACKUP_URL", &format!("file://{}", small.path().join("backups").display()));
    let said = tight.refused(&["backup", "make"], 1);
    assert!(said.contains("because the storage is full"), "{said}");
    assert!(files(&small.path().join("backups")).is_empty(), "{:?}", files(&small.path().join("backups")));

    home.make();
    home.done(&["backup", "verify"]);
    let to = small.path().join("copy");
    let said = home.refused(&["backup", "restore", "--to", to.to_str().unwrap(), "--apply"], 1);
    assert!(said.contains("is full"), "{said}");
    assert!(!to.join("postgres").exists() && !to.join("restoring").exists());
    drop(disk);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_ones_go_and_the_last_good_one_stays() {
    let home = Home::new().set("PROGRESS_BACKUP_KEEP", "1").set("PROGRESS_BACKUP_KEEP_FOR", "0s");
    let service = home.serve().await;
    let good = home.make();
    home.done(&["backup", "verify"]);
    let [second, third] = [home.make(), home.make()];
    let left = home.backups().join("20200101-000000-00000000");
    fs::create_dir(&left).unwrap();
    fs::File::create(left.join("volume-00000")).unwrap().write_all(b"half").unwrap();
    let plan = home.done(&["backup", "prune"]);
    assert!(plan.contains("2 backups") && plan.contains(&second), "{plan}");
    home.done(&["backup", "prune", "--apply"]);
    let listed = home.done(&["backup", "list"]);
    assert!(listed.contains(&good) && listed.contains(&third) && !listed.contains(&second), "{listed}");
    assert!(!left.join("volume-00000").exists() && !home.backups().join(&second).join("volume-00000").exists());
    service.stop().await;
}
