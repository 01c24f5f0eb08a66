//! Either process killed at any moment: the next start, or the watcher, mends it and nothing is lost.

use std::fs;

use super::{
    assert_the_row_is_there, await_ready, cluster, connect, folder, helper, kill_hard, leave_a_row, server_pid, start,
};
use crate::support::patience;

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
