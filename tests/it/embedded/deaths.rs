//! Either process killed at any moment: the next start, or the watcher, mends it and nothing is lost.

use std::fs;

use super::{
    assert_the_row_is_there, await_ready, cluster, connect, folder, helper, kill_hard, leave_a_row, server_pid, start,
};
use crate::support::{
    patience,
    process::{Process, command},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_started_again_at_the_same_address() {
    let data = folder();
    let server = start(data.path()).await;
    leave_a_row(&server).await;
    for _ in 0..2 {
        let killed = server_pid(data.path()).unwrap();
        kill_hard(&killed);
        // the old server may answer for a moment longer, so the new one is known by its number
        patience::until("another server", async || match server_pid(data.path()) {
            Some(pid) if pid != killed && connect(server.service_url()).await.is_ok() => Ok(()),
            pid => Err(format!("{pid:?} runs")),
        })
        .await;
        assert_the_row_is_there(&server).await;
    }
    server.stop().await.unwrap();
    assert!(!cluster(data.path()).join("postmaster.pid").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_outlived_a_killed_service_is_taken_over() {
    let data = folder();
    let mut helper = helper(data.path());
    await_ready(&mut helper);
    let orphan = server_pid(data.path());
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert_eq!(server_pid(data.path()), orphan, "it still runs");
    let server = start(data.path()).await;
    assert_ne!(server_pid(data.path()), orphan);
    assert_the_row_is_there(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_processes_killed_at_once_lose_nothing() {
    let data = folder();
    let mut helper = helper(data.path());
    await_ready(&mut helper);
    kill_hard(&format!("{} {}", helper.id(), server_pid(data.path()).unwrap()));
    helper.wait().unwrap();
    let server = start(data.path()).await;
    assert_the_row_is_there(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_while_it_makes_the_database_is_no_harm() {
    let data = folder();
    let home = data.path().join("postgres");
    let unfinished = || {
        let names = fs::read_dir(&home).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("unfinished-")).count()
    };
    let mut helper = helper(data.path());
    while unfinished() == 0 {
        assert!(helper.try_wait().unwrap().is_none(), "initdb never began");
        tokio::task::yield_now().await;
    }
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert!(!home.join("cluster").exists(), "killed in the middle");
    let server = start(data.path()).await;
    leave_a_row(&server).await;
    server.stop().await.unwrap();
}

/// The binary is told to stop at several moments of a first start; no server of it may be left.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_leaves_no_server_behind() {
    let programs = crate::support::settings::required("TEST_PG_PROGRAMS");
    for answers in [false, true] {
        let data = folder();
        let variables = [
            ("PROGRESS_LISTEN", "127.0.0.1:0".to_owned()),
            ("PROGRESS_DATA_DIR", data.path().to_string_lossy().into_owned()),
            ("PROGRESS_PG_BIN", programs.clone()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let mut process = Process::start(command(&["serve"], &variables));
        let pid = patience::until("a server", async || server_pid(data.path()).ok_or("none yet")).await;
        if answers {
            process.says("the embedded PostgreSQL runs").await;
        }
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.log.lines().join("\n"));
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap(), "server {pid} outlived the process");
        assert!(answers || !process.log.contains("listening on"), "the signal came too late to prove anything");
    }
}
