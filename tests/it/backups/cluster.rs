//! A configured server, whose files are not ours: `pg_basebackup` for the whole, `pg_dump` for what is to go elsewhere.

use std::path::{Path, PathBuf};

use progress_service::{
    embedded::{self, Options, guest::Guest, physical},
    model::{Clock, Ids, Secret},
};
use tokio_postgres::NoTls;

use super::{Home, open_folder};
use crate::support::{pgproc::free_port, settings};

/// The programs of a server that the installed clients understand.
fn programs() -> PathBuf {
    let name = if crate::backup::client() >= 18 { "TEST_PG_PROGRAMS" } else { "TEST_PG_PROGRAMS_15" };
    PathBuf::from(settings::required(name))
}

fn options(data: &Path) -> Options {
    let (programs, port) = (Some(programs()), Some(free_port()));
    Options { data_dir: data.to_owned(), programs, cache_dir: data.join("programs"), port, keeps_log: false }
}

/// How many statements there are, and in which epoch.
async fn look(url: &Secret) -> (i64, i64) {
    let config: tokio_postgres::Config = url.expose().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "SELECT count(*), (SELECT epoch FROM platform.this_installation()) FROM ledger.statements";
    let row = client.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_server_is_kept_whole_and_as_a_dump() {
    let theirs = open_folder();
    let server = embedded::start(options(theirs.path()), &Clock::system(), &Ids::random()).await.unwrap();
    let superuser = physical::superuser_url(theirs.path()).await.unwrap().unwrap();
    let home = Home::new()
        .set("PROGRESS_PG_BIN", programs().to_str().unwrap())
        .set("PROGRESS_DATABASE_URL", server.service_url().expose())
        .set("PROGRESS_DATABASE_MIGRATION_URL", server.owner_url().expose());
    let service = home.serve().await;
    service.say("bob", "one").await;
    let said = home.refused(&["backup", "make"], 1);
    assert!(said.contains("backup.database_url is not set"), "{said}");
    let home = home.set("PROGRESS_BACKUP_DATABASE_URL", superuser.expose());

    let id = home.make();
    assert!(home.done(&["backup", "verify"]).contains("good: 1 statements compared"));
    let said = home.refused(&["backup", "restore", &id, "--apply"], 1);
    assert!(said.contains("restored into a folder with --to"), "{said}");
    let to = open_folder();
    home.done(&["backup", "restore", &id, "--to", to.path().to_str().unwrap(), "--apply"]);
    let cluster = to.path().join("cluster");
    let guest = Guest::start(&cluster, &options(to.path()), "progress_owner", None).await.unwrap();
    let original = look(&superuser).await;
    let copy = look(&guest.url("progress_owner", "progress")).await;
    assert_eq!((original.0, copy.0), (1, 1), "the statement");
    assert!(copy.1 > original.1, "in an epoch of the copy's own");
    guest.stop(&cluster).await.unwrap();

    for (more, found) in [(&[][..], "good: 1 statements compared"), (&["--schema", "ledger"][..], "good")] {
        let made = home.json(&[&["backup", "make", "--portable"], more].concat());
        assert_eq!(made["backup"]["kind"], "dump");
        let said = home.done(&["backup", "verify", made["backup"]["id"].as_str().unwrap()]);
        assert!(said.contains(found), "{said}");
    }
    service.stop().await;
    server.stop().await.unwrap();
}
