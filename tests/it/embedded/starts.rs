//! First and second starts: what the database is like, who logs in, where it listens, where its programs come from.

use std::{fs, os::unix::fs::PermissionsExt};

use progress_service::{
    embedded::{self, EmbeddedError, Options},
    model::{Clock, Ids},
};

use super::{
    assert_the_row_is_there, await_ready, connect, folder, helper, leave_a_row, options, password, refusal, start,
    superuser, text,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_makes_a_sound_database() {
    let data = folder();
    let server = start(data.path()).await;
    let owner = connect(server.owner_url()).await.unwrap();
    for (setting, wanted) in [
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", ""),
        ("password_encryption", "scram-sha-256"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("log_min_error_statement", "panic"),
        ("max_connections", "100"),
    ] {
        let found = text(&owner, &format!("SELECT current_setting('{setting}')")).await;
        assert_eq!(found, wanted, "{setting}");
    }
    let order = "SELECT string_agg(w, '' ORDER BY w) FROM unnest(ARRAY['b','a','B','é','z']) w";
    assert_eq!(text(&owner, order).await, "Babzé", "bytewise order");
    assert_eq!(text(&owner, "SELECT upper('é')").await, "É", "with Unicode's idea of a letter");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_logs_in_as_a_role_that_owns_nothing() {
    let data = folder();
    let server = start(data.path()).await;
    let service = connect(server.service_url()).await.unwrap();
    assert_eq!(text(&service, "SELECT current_user::text").await, "progress_app");
    assert_eq!(text(&service, "SELECT current_database()::text").await, "progress");
    let row = service
        .query_one(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls,
                    (SELECT bool_and(pg_has_role(g, 'MEMBER')) FROM unnest(ARRAY['progress_service', 'progress_worker',
                        'progress_eraser', 'progress_retention']) AS g),
                    (SELECT count(*) FROM pg_shdepend d WHERE d.refobjid = r.oid AND d.deptype = 'o')
             FROM pg_roles r WHERE rolname = current_user",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (false, true, 0_i64));
    assert!(service.batch_execute("CREATE TABLE public.mine ()").await.is_err());

    let superuser = superuser(&server, data.path()).await;
    superuser.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let remembered =
        "SELECT coalesce(string_agg(query, ';'), '') FROM pg_stat_statements WHERE query ILIKE '%password%'";
    let remembered = text(&superuser, remembered).await;
    server.stop().await.unwrap();
    let log = fs::read_to_string(data.path().join("postgres/log/server.log")).unwrap();
    assert!(log.contains("database system is shut down"), "{log}");
    for login in ["progress_app", "progress_schema", "progress_owner"] {
        let password = password(data.path(), login);
        assert!(!remembered.contains(&password) && !log.contains(&password), "{login}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_everything_and_mends_a_lost_service_password() {
    let data = folder();
    let server = start(data.path()).await;
    leave_a_row(&server).await;
    server.stop().await.unwrap();
    let kept = |name: &str| data.path().join(format!("postgres/{name}.password"));
    for name in ["progress_owner", "progress_schema", "progress_app"] {
        assert_eq!(fs::metadata(kept(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    fs::remove_file(kept("progress_app")).unwrap();
    fs::remove_file(kept("progress_schema")).unwrap();
    let server = start(data.path()).await;
    assert_the_row_is_there(&server).await;
    connect(server.service_url()).await.unwrap();
    server.stop().await.unwrap();

    fs::rename(kept("progress_owner"), kept("elsewhere")).unwrap();
    let refused = refusal(data.path()).await;
    assert!(
        matches!(&refused, EmbeddedError::PasswordLost { file } if file.ends_with("progress_owner.password")),
        "{refused}"
    );
    fs::write(kept("progress_owner"), "wrong").unwrap();
    assert!(matches!(refusal(data.path()).await, EmbeddedError::PasswordRejected { .. }));
    fs::rename(kept("elsewhere"), kept("progress_owner")).unwrap();
    start(data.path()).await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_too_long_for_a_socket_gets_a_port_of_this_machine_alone() {
    let data = folder();
    let long = data.path().join("a-folder-with-a-rather-long-name".repeat(4));
    let server = start(&long).await;
    assert!(server.owner_url().expose().contains("@127.0.0.1:"));
    let owner = connect(server.owner_url()).await.unwrap();
    assert_eq!(text(&owner, "SHOW listen_addresses").await, "127.0.0.1");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_beside_a_running_service_joins_its_server() {
    let data = folder();
    assert!(embedded::attach(data.path()).await.unwrap().is_none());
    let server = start(data.path()).await;
    leave_a_row(&server).await;
    let joined = embedded::attach(data.path()).await.unwrap().expect("a server runs");
    let owner = connect(&joined.owner).await.unwrap();
    assert_eq!(text(&owner, "SELECT word FROM kept").await, "durable");
    connect(&joined.service).await.unwrap();
    server.stop().await.unwrap();
    assert!(embedded::attach(data.path()).await.unwrap().is_none());
}

/// Where root's own home stands for such a folder; for anybody else it is a start like others.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_only_its_owner_may_enter_will_do() {
    let data = folder();
    let closed = data.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let mut helper = helper(&closed.join("data"));
    await_ready(&mut helper);
    helper.kill().unwrap();
    helper.wait().unwrap();
    let server = start(&closed.join("data")).await;
    assert_the_row_is_there(&server).await;
    connect(server.service_url()).await.unwrap();
    server.stop().await.unwrap();
    assert_eq!(fs::metadata(&closed).unwrap().permissions().mode() & 0o777, 0o700, "and stays closed");
}

/// The one test that needs the network.
#[tokio::test(flavor = "multi_thread")]
async fn programs_are_fetched_once_by_two_that_share_a_cache() {
    let data = folder();
    let cache_dir = data.path().join("programs");
    let of = |name: &str| Options { programs: None, cache_dir: cache_dir.clone(), ..options(&data.path().join(name)) };
    let (clock, ids) = (Clock::system(), Ids::random());
    let (one, two) = tokio::join!(embedded::start(of("one"), &clock, &ids), embedded::start(of("two"), &clock, &ids));
    for server in [one, two] {
        let server = server.unwrap_or_else(|error| panic!("{error}"));
        assert!(server.version().contains("PostgreSQL) 18.1"), "{}", server.version());
        server.stop().await.unwrap();
    }
    let mut kept: Vec<_> = fs::read_dir(&cache_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["fetch.lock", "postgresql-18.1.0"], "nothing half-unpacked stays");
}
