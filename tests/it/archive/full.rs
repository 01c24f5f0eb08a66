//! Where there is no more room: what is said names the object and the rule, the month stays where it is, who posts and reads notices
//! nothing, and once there is room the same command does it.

use std::process::Command;

use progress_service::{archive::jobs, model::partition::State};
use serde_json::{Value, json};

use super::{archive_over, job, kills::Stage, published, state, work};
use crate::{
    lifecycle::{MARCH, month, settled},
    support::{
        app::TestApp,
        past, patience,
        pgproc::PgServer,
        process::{Process, command},
        s3::{Bucket, Gateway},
        segments::noise,
    },
    xapi::{id, identified},
};

/// March with statements that no compression makes small.
async fn large_march(db: crate::support::pg::TestDatabase) -> TestApp {
    let app = TestApp::start(db).await;
    let some: Vec<Value> = (1..=300)
        .map(|n: u32| {
            let mut it = identified(&id(u128::from(n)), &format!("learner{}", n % 7), "a");
            it["context"] = json!({"extensions": {"http://x.example/noise": noise(n, 60)}});
            it
        })
        .collect();
    app.post_statements(&json!(some)).await.expect(200);
    settled(&app).await;
    past::move_into(&app.db, month(MARCH)).await;
    crate::lifecycle::make(&app.db.store(), MARCH, progress_service::model::partition::Change::Seal).await.unwrap();
    app
}

on_the_newest_server! {
    async fn a_bucket_that_is_full_takes_nothing_and_the_month_waits_for_room(db: TestDatabase) {
        let app = large_march(db).await;
        let gateway = Gateway::start(Some(16)).await;
        let bucket = Bucket::at(gateway.access.clone()).await;
        let archive = archive_over(&app.db, std::sync::Arc::new(bucket.store_with_conditions()));
        let rows = past::contents(&app.db, month(MARCH)).await;
        gateway.fill_but(64 << 10);
        let refused = work(&archive, jobs::RUN).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("tenant=") && text.contains("because the storage is full") && !refused.is_passing(), "{text}");
        assert_eq!((state(&app.db).await, past::contents(&app.db, month(MARCH)).await), (State::Detached, rows.clone()));
        assert!(published(&archive).await.is_empty(), "nothing answers that is not whole");
        // Who posts and reads notices nothing.
        app.post_statements(&identified(&id(901), "ann", "a")).await.expect(200);
        app.get_statements(&[("statementId", &id(7))]).await.expect(200);

        gateway.free();
        work(&archive, jobs::RUN).await.unwrap();
        assert_eq!(state(&app.db).await, State::Archived);
        work(&archive, jobs::DROP).await.unwrap();
        work(&archive, jobs::GC).await.unwrap();
        assert!(archive.leftovers().await.unwrap().is_empty(), "nothing is left of what did not fit");
        // Coming back leaves a word of whose the archive is, for which there may be no room either.
        gateway.fill_but(0);
        if let Err(error) = work(&archive, jobs::RESTORE).await {
            assert!(error.to_string().contains("because the storage is full"), "{error}");
            assert_eq!(state(&app.db).await, State::Dropped);
        }
        gateway.free();
        if state(&app.db).await == State::Dropped {
            work(&archive, jobs::RESTORE).await.unwrap();
        }
        assert_eq!(past::contents(&app.db, month(MARCH)).await, rows);
        let verified = jobs::step(&archive, &job(&archive.store, jobs::VERIFY, None)).await.unwrap();
        assert!(matches!(verified, jobs::Stepped::Done(_)), "{verified:?}");
    }
}

/// The same command where no file may grow beyond a few KiB: what a quota or a full disk does, and nobody needs any rights for it.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""]).arg(command.get_program());
    limited.args(command.get_args()).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

#[tokio::test]
async fn a_folder_that_takes_no_more_is_said_to_be_full_and_the_same_command_goes_on() {
    let stage = Stage::set(PgServer::start().await).await;
    let rows = stage.digest().await;
    let line = format!("archive run --month {MARCH} --apply");
    let run = command(&line.split(' ').collect::<Vec<_>>(), &stage.variables);
    let output = limited(&run).output().unwrap();
    let said = [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("tenant=") && said.contains("because the storage is full"), "{said}");
    assert_eq!(stage.digest().await, rows, "the month is where it was");
    stage.run(&line);
    stage.run(&format!("archive drop --month {MARCH} --apply"));
    stage.run("archive gc --apply");
    stage.run("archive verify");
    stage.run(&format!("archive restore --month {MARCH} --apply"));
    assert_eq!(stage.digest().await, rows);
}

#[tokio::test]
async fn a_database_that_is_full_brings_nothing_back_and_loses_nothing_until_there_is_room() {
    let stage = Stage::set(PgServer::on_a_small_disk().await).await;
    let rows = stage.digest().await;
    for line in ["run", "drop"] {
        stage.run(&format!("archive {line} --month {MARCH} --apply"));
    }
    assert_eq!(stage.digest().await, None);
    stage.server.fill_disk();
    let line = format!("archive restore --month {MARCH} --apply --json");
    let mut restoring = Process::start(command(&line.split(' ').collect::<Vec<_>>(), &stage.variables));
    stage.server.until_full().await;
    stage.server.free_disk();
    restoring.ended().await;
    // A server whose log found no room starts by itself, and the lease of who died with it is as good as over.
    patience::until("the server", async || {
        let free = "UPDATE platform.leases SET expires_at = '-infinity' WHERE name LIKE 'job/%'";
        let client = crate::support::pg::try_connect(&stage.server.url()).await.map_err(|error| error.to_string())?;
        client.batch_execute(free).await.map_err(|error| error.to_string())
    })
    .await;
    stage.run("archive verify");
    let state = "SELECT state FROM ledger.partitions WHERE to_char(month, 'YYYY-MM') = $1";
    let state: String = stage.server.client().await.query_one(state, &[&MARCH]).await.unwrap().get(0);
    if state == "dropped" {
        stage.run(&format!("archive restore --month {MARCH} --apply"));
    }
    assert_eq!(stage.digest().await, rows, "{}", restoring.log.lines().join("\n"));
}
