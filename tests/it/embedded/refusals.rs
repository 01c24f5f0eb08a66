//! Folders and settings that are refused with a reason, and left as they were.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use progress_service::{
    embedded::{self, EmbeddedError, Options},
    model::{Clock, Ids},
};

use super::{
    assert_the_row_is_there, await_ready, cluster, connect, fingerprint, folder, helper, options, refusal, start, text,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_in_one_folder_is_told_who_is_there() {
    let data = folder();
    let mut helper = helper(data.path());
    await_ready(&mut helper);
    let refused = refusal(data.path()).await;
    assert!(matches!(&refused, EmbeddedError::InUse { holder, .. } if *holder == helper.id().to_string()), "{refused}");
    helper.kill().unwrap();
    helper.wait().unwrap();
    let server = start(data.path()).await;
    assert_the_row_is_there(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_major_version_is_not_touched() {
    let data = folder();
    let server = start(data.path()).await;
    let ours = fs::read_to_string(cluster(data.path()).join("PG_VERSION")).unwrap();
    server.stop().await.unwrap();
    fs::write(cluster(data.path()).join("PG_VERSION"), "17\n").unwrap();
    let before = fingerprint(&data.path().join("postgres"));
    let refused = refusal(data.path()).await;
    assert!(
        matches!(&refused, EmbeddedError::OtherMajor { found, programs, .. }
            if found == "17" && programs.to_string() == ours.trim()),
        "{refused}"
    );
    assert_eq!(fingerprint(&data.path().join("postgres")), before);
    fs::write(cluster(data.path()).join("PG_VERSION"), ours).unwrap();
    start(data.path()).await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_are_not_ours_or_not_usable_are_refused() {
    let data = folder();
    let strange = data.path().join("strange");
    fs::create_dir_all(strange.join("postgres")).unwrap();
    fs::write(strange.join("postgres/holiday.jpg"), "sun").unwrap();
    let before = fingerprint(&strange.join("postgres"));
    let refused = refusal(&strange).await;
    assert!(
        matches!(&refused, EmbeddedError::Foreign { folder, .. } if folder.ends_with("strange/postgres")),
        "{refused}"
    );
    assert_eq!(fingerprint(&strange.join("postgres")), before);

    fs::write(data.path().join("file"), "").unwrap();
    let refused = refusal(&data.path().join("file/data")).await;
    assert!(
        matches!(&refused, EmbeddedError::Io { action: "make", path, .. } if path.ends_with("file/data")),
        "{refused}"
    );

    let closed = data.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    if fs::metadata(&closed).unwrap().uid() == 0 {
        for name in ["postgres", "initdb"] {
            fs::write(closed.join(name), "").unwrap();
        }
        let options = Options { programs: Some(closed.clone()), ..options(&data.path().join("fresh")) };
        let refused =
            embedded::start(options, &Clock::system(), &Ids::random()).await.expect_err("root's own programs");
        assert!(
            matches!(&refused, EmbeddedError::NotReachable { folder, .. } if folder.ends_with("closed")),
            "{refused}"
        );
    } else {
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        let refused = refusal(&closed.join("data")).await;
        assert!(matches!(&refused, EmbeddedError::Io { action: "make", .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_is_quoted() {
    let data = folder();
    start(data.path()).await.stop().await.unwrap();
    let conf = cluster(data.path()).join("postgresql.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}\nmax_connections = many\n")).unwrap();
    let refused = refusal(data.path()).await;
    assert!(matches!(&refused, EmbeddedError::Exited { tail, .. } if tail.contains("max_connections")), "{refused}");
    fs::write(&conf, format!("{good}\nmax_connections = 77\n")).unwrap();
    let server = start(data.path()).await;
    let owner = connect(server.owner_url()).await.unwrap();
    assert_eq!(text(&owner, "SHOW max_connections").await, "77", "an operator's own line wins over ours");
    server.stop().await.unwrap();
}
