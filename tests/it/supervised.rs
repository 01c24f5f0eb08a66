//! What a supervisor such as systemd hears of the real binary, and what the package says of it.

use std::{path::Path, process::Command, time::Duration};

use tokio::net::UnixDatagram;

use crate::support::{
    pg::{Server, TestDatabase},
    process::Service,
};

/// The next word of the service; a second is longer than any of its pauses here.
async fn heard(line: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = tokio::time::timeout(Duration::from_secs(30), line.recv(&mut bytes)).await.expect("a word").unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

async fn until(line: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let word = heard(line).await;
        all.push(word.clone());
        if word == wanted {
            return all;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_hears_that_it_is_ready_alive_and_stopping() {
    let db = TestDatabase::new(Server::newest().await).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let line = UnixDatagram::bind(&path).unwrap();
    let (service_url, owner_url) = (db.service_url(), db.owner_url());
    let mut service = Service::start(&[
        ("PROGRESS_DATABASE_URL", &service_url),
        ("PROGRESS_DATABASE_MIGRATION_URL", &owner_url),
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "300000"),
    ])
    .await;
    until(&line, "READY=1").await;
    until(&line, "WATCHDOG=1").await;
    until(&line, "WATCHDOG=1").await;
    service.process.signal("TERM");
    until(&line, "STOPPING=1").await;
    assert!(service.process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_is_not_there_holds_nobody() {
    let db = TestDatabase::new(Server::newest().await).await;
    let (service_url, owner_url) = (db.service_url(), db.owner_url());
    let mut service = Service::start(&[
        ("PROGRESS_DATABASE_URL", &service_url),
        ("PROGRESS_DATABASE_MIGRATION_URL", &owner_url),
        ("NOTIFY_SOCKET", "/nowhere/notify"),
        ("WATCHDOG_USEC", "1000"),
    ])
    .await;
    service.process.signal("TERM");
    assert!(service.process.ended().await.success());
}

/// The package holds what it promises. Where there is no `dpkg-deb`, no package can be made.
#[test]
fn the_package_has_the_program_its_unit_its_manuals_and_completions() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        return;
    }
    let (folder, root) = (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let made = Command::new(root.join("scripts/dist/build"))
        .env("BIN", env!("CARGO_BIN_EXE_progress-service"))
        .env("OUT", folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let package =
        names.iter().find(|path| path.extension().is_some_and(|extension| extension == "deb")).expect("a package");
    let listed = Command::new("dpkg-deb").arg("--contents").arg(package).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for file in [
        "./usr/bin/progress-service",
        "./usr/lib/systemd/system/progress-service.service",
        "./usr/lib/sysusers.d/progress-service.conf",
        "./usr/share/man/man1/progress-service.1.gz",
        "./usr/share/bash-completion/completions/progress-service",
        "./usr/share/zsh/vendor-completions/_progress-service",
        "./usr/share/fish/vendor_completions.d/progress-service.fish",
        "./usr/share/doc/progress-service/docs/operations.md",
        "./etc/progress-service/environment",
    ] {
        assert!(listed.lines().any(|line| line.ends_with(file)), "{file} is not in {listed}");
    }
    assert!(names.iter().any(|path| path.to_string_lossy().ends_with(".tar.gz")), "{names:?}");
    assert!(names.iter().any(|path| path.ends_with("SHA256SUMS")), "{names:?}");
    let chart = folder.path().join(concat!("progress-service-", env!("CARGO_PKG_VERSION"), ".tgz"));
    let inside =
        Command::new("tar").arg("-xzOf").arg(&chart).arg("progress-service/files/alerts.yml").output().unwrap();
    let alerts = std::fs::read(root.join("scripts/dist/alerts.yml")).unwrap();
    assert!(
        inside.stdout == alerts,
        "the chart has the alerts themselves: {}",
        String::from_utf8_lossy(&inside.stderr)
    );
}
