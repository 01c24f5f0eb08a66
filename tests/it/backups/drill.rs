//! The drill: make, lose everything, restore, and go on; the erased stay erased.

use std::fs;

use reqwest::Method;
use serde_json::Value;

use super::{Home, files};
use crate::support::patience;

#[tokio::test(flavor = "multi_thread")]
async fn after_the_disk_is_lost_everything_is_there_again_but_the_erased() {
    let home = Home::new();
    let service = home.serve().await;
    for what in ["one", "two"] {
        service.say("ann", what).await;
        service.say("bob", what).await;
    }
    let id = home.make();
    assert_eq!(home.refused(&["backup", "list"], 4).matches("not verified").count(), 1, "made is not proven");
    let verified = home.json(&["backup", "verify"]);
    assert_eq!(verified["good"], true, "{verified}");
    assert_eq!(verified["verified"]["statements"], 4);
    assert!(home.done(&["backup", "list"]).contains("good"));
    assert!(files(&home.data.path().join("scratch")).is_empty(), "nothing is left of the verification");
    assert!(no_file_tells(&home, "ann@example.com"), "a sealed backup can be read");

    // What happens after the backup: somebody is erased, and somebody works.
    home.done(&["erasure", "request", "--mbox", "mailto:ann@example.com", "--apply"]);
    assert!(service.did("ann").await.is_empty());
    service.say("bob", "three").await;
    let said = home.refused(&["backup", "restore", &id, "--apply"], 1);
    assert!(said.contains("in use by another progress-service"), "{said}");
    service.stop().await;

    fs::remove_dir_all(home.postgres()).unwrap();
    let plan = home.json(&["backup", "restore"]);
    assert_eq!((&plan["plan"]["backup"], &plan["applied"]), (&Value::from(id.as_str()), &Value::from(false)));
    assert!(!home.postgres().exists(), "a plan changes nothing");
    let said = home.refused(&["backup", "restore", "--apply", "--plan", "0123"], 1);
    assert!(said.contains("the plan is not 0123 any more"), "{said}");
    let digest = plan["digest"].as_str().unwrap();
    home.done(&["backup", "restore", "--apply", "--plan", digest]);
    assert!(!home.data.path().join("restoring").exists());

    let service = home.serve().await;
    assert_eq!(service.did("bob").await, ["one", "two"], "as it was when the backup was made");
    assert!(service.did("ann").await.is_empty(), "who was erased since then is erased again");
    let status = home.done(&["erasure", "status"]);
    assert!(status.contains("erased"), "{status}");
    service.say("ann", "returns").await;
    service.say("bob", "four").await;
    assert!(service.did("ann").await.is_empty(), "and is recognised");
    let trail = service.ask(Method::GET, "/api/v1/audit/entries?filter%5Baction%5D=backup.restore", None).await;
    assert!(trail.text().contains(&id), "{}", trail.text());
    // The restored database is the archive's, in an epoch of its own.
    let adopted = home.done(&["archive", "adopt"]);
    assert!(adopted.contains("this database's already"), "{adopted}");
    service.stop().await;
}

fn no_file_tells(home: &Home, needle: &str) -> bool {
    let contains = |content: Vec<u8>| content.windows(needle.len()).any(|window| window == needle.as_bytes());
    !files(&home.backups()).into_iter().any(|path| contains(fs::read(path).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_moved_aside_and_a_copy_elsewhere_changes_nothing_here() {
    let home = Home::new();
    let service = home.serve().await;
    service.say("bob", "one").await;
    let id = home.make();
    home.done(&["backup", "verify"]);
    service.say("bob", "two").await;

    // A copy beside the service that goes on.
    let elsewhere = super::open_folder();
    let to = elsewhere.path().join("copy");
    home.done(&["backup", "restore", "--to", to.to_str().unwrap(), "--apply"]);
    let copy = Home { data: super::open_folder(), beside: super::open_folder(), variables: home.variables.clone() };
    let copy = copy.set("PROGRESS_DATA_DIR", to.to_str().unwrap());
    let copied = copy.serve().await;
    assert_eq!(copied.did("bob").await, ["one"]);
    let adopts = copy.done(&["archive", "adopt"]);
    assert!(adopts.contains("a new epoch begins here"), "the archive stays the original's: {adopts}");
    copied.stop().await;
    assert_eq!(service.did("bob").await, ["one", "two"]);
    assert!(
        home.refused(&["backup", "restore", "--to", to.to_str().unwrap(), "--apply"], 1).contains("is there already")
    );
    service.stop().await;

    // And the short way back, in the place of what is there.
    assert!(home.done(&["emergency", "restore"]).contains("nothing was done"));
    home.done(&["emergency", "restore", "--apply"]);
    let service = home.serve().await;
    assert_eq!(service.did("bob").await, ["one"]);
    let aside = home.data.path().join(format!("postgres.before-{id}"));
    assert!(aside.join("cluster/PG_VERSION").is_file(), "what was there is there still");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_its_schedule_the_service_makes_and_proves_one_and_says_so() {
    let home = Home::new().set("PROGRESS_BACKUP_EVERY", "1h");
    let service = home.serve().await;
    service.say("bob", "one").await;
    let value = |page: &str, name: &str| -> Option<f64> {
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let page = patience::until("a verified backup", async || {
        let page = service.ask(Method::GET, "/metrics", None).await.text();
        match value(&page, "progress_backup_last_verified_seconds") {
            Some(at) if at > 0.0 => Ok(page),
            _ => Err(service.0.process.log.lines().join("\n")),
        }
    })
    .await;
    assert_eq!(value(&page, "progress_backup_overdue"), Some(0.0));
    assert_eq!(value(&page, "progress_backup_failures_total"), Some(0.0));
    assert!(home.done(&["backup", "list"]).contains("by the schedule"));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_as_good_as_a_folder() {
    let bucket = crate::support::s3::Bucket::new().await;
    let home = Home::new()
        .set("PROGRESS_BACKUP_URL", &format!("s3://{}/some/prefix", bucket.name))
        .set("PROGRESS_ARCHIVE_S3_ENDPOINT", &bucket.access.endpoint)
        .set("PROGRESS_ARCHIVE_S3_ALLOW_HTTP", "true")
        .set("PROGRESS_ARCHIVE_S3_ACCESS_KEY", &bucket.access.key)
        .set("PROGRESS_ARCHIVE_S3_SECRET_KEY", &bucket.access.secret);
    let service = home.serve().await;
    service.say("bob", "one").await;
    home.make();
    assert!(home.done(&["backup", "verify"]).contains("good: 1 statements compared"));
    service.stop().await;
    fs::remove_dir_all(home.postgres()).unwrap();
    home.done(&["emergency", "restore", "--apply"]);
    let service = home.serve().await;
    assert_eq!(service.did("bob").await, ["one"]);
    service.stop().await;
    let prune = home.set("PROGRESS_BACKUP_KEEP", "1");
    assert!(prune.done(&["backup", "prune"]).contains("0 backups"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_begins_anew_and_what_is_there_serves_meanwhile() {
    let home = Home::new();
    let service = home.serve().await;
    service.say("bob", "one").await;
    home.make();
    home.done(&["backup", "verify"]);
    service.say("bob", "two").await;
    service.stop().await;
    let mut restore =
        crate::support::process::command(&["backup", "restore", "--apply"], &home.variables).spawn().unwrap();
    let growing = home.data.path().join("restoring/cluster");
    patience::until("a server over the copy", async || {
        if growing.join("postmaster.pid").exists() { Ok(()) } else { Err("there is none yet") }
    })
    .await;
    restore.kill().unwrap();
    restore.wait().unwrap();
    let service = home.serve().await;
    assert_eq!(service.did("bob").await, ["one", "two"], "nothing was touched");
    service.stop().await;
    home.done(&["backup", "restore", "--apply"]);
    let service = home.serve().await;
    assert_eq!(service.did("bob").await, ["one"]);
    service.stop().await;
}
