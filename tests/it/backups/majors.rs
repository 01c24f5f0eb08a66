//! The embedded database under another major version of PostgreSQL, and back: equal, and never neither of the two.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use super::Home;
use crate::support::{
    patience,
    process::{Process, command},
    settings,
};

const UPGRADE: [&str; 2] = ["embedded", "upgrade"];

impl Home {
    fn under(&mut self, programs: &str) -> &Self {
        self.variables.insert("PROGRESS_PG_BIN".to_owned(), settings::required(programs));
        self
    }

    fn made_by(&self) -> String {
        fs::read_to_string(self.postgres().join("cluster/PG_VERSION")).unwrap().trim().to_owned()
    }

    fn is_there(&self, name: &str) -> bool {
        self.data.path().join(name).exists()
    }
}

const OLD: &str = "TEST_PG_PROGRAMS_15";
const NEW: &str = "TEST_PG_PROGRAMS";

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_killed_done_and_taken_back() {
    let mut home = Home::new();
    let service = home.under(OLD).serve().await;
    for what in ["one", "two"] {
        service.say("ann", what).await;
    }
    let said = home.under(NEW).refused(&["embedded", "upgrade", "--apply"], 1);
    assert!(said.contains("in use by another progress-service"), "{said}");
    service.stop().await;

    let said = home.refused(&["serve"], 1);
    assert!(said.contains("holds a database of PostgreSQL 15") && said.contains("embedded upgrade"), "{said}");
    let plan = home.json(&UPGRADE);
    assert_eq!((&plan["plan"]["from"], &plan["plan"]["to"], &plan["applied"]), (&json!(15), &json!(18), &json!(false)));
    let said = home.refused(&["embedded", "upgrade", "--apply", "--plan", "0123"], 1);
    assert!(said.contains("the plan is not 0123 any more"), "{said}");
    assert!(home.refused(&["embedded", "back"], 1).contains("no database that an upgrade moved aside"));
    assert_eq!((home.made_by(), home.is_there("upgrading")), ("15".to_owned(), false), "a plan changes nothing");

    // In the middle, with servers over both.
    let mut process = Process::start(command(&["embedded", "upgrade", "--apply"], &home.variables));
    let grows = home.data.path().join("upgrading/postgres/cluster/postmaster.pid");
    patience::until("the new server is there", async || {
        if grows.exists() || !process.is_running() { Ok(()) } else { Err("not yet") }
    })
    .await;
    process.kill();
    let service = home.under(OLD).serve().await;
    assert_eq!(service.did("ann").await, ["one", "two"], "who was interrupted has the database as it was");
    service.stop().await;

    let digest = plan["digest"].as_str().unwrap();
    let done = home.under(NEW).json(&["embedded", "upgrade", "--apply", "--plan", digest]);
    assert_eq!(done["done"]["statements"], 2, "{done}");
    assert_eq!((home.made_by(), home.is_there("upgrading")), ("18".to_owned(), false));
    assert!(home.is_there("postgres.before-15"));
    let service = home.serve().await;
    assert_eq!(service.did("ann").await, ["one", "two"]);
    let trail = service.ask(Method::GET, "/api/v1/audit/entries?filter%5Baction%5D=embedded.upgrade", None).await;
    assert!(trail.text().contains("postgres.before-15"), "{}", trail.text());
    service.say("ann", "three").await;
    service.stop().await;
    assert!(home.refused(&UPGRADE, 1).contains("is of PostgreSQL 18 already"));
    assert!(home.under(OLD).refused(&UPGRADE, 1).contains("the programs are older: 15"));

    back(&mut home).await;
}

/// What came since is not left behind unasked; without any it goes back as it came.
async fn back(home: &mut Home) {
    home.under(NEW);
    let plan = home.json(&["embedded", "back"]);
    let came = plan["plan"]["cameSince"].as_str().unwrap();
    assert!(came.starts_with("3 statements") && came.contains("before the upgrade 2 statements"), "{plan}");
    assert!(home.refused(&["embedded", "back", "--apply"], 1).contains("--leave-what-came-since"));
    assert_eq!(home.made_by(), "18");
    let said = home.run(&["embedded", "back", "--leave-what-came-since", "--apply"]);
    let complaints = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && complaints.contains("archive adopt --apply"), "{complaints}");
    assert_eq!((home.made_by(), home.is_there("postgres.after-18")), ("15".to_owned(), true));
    let service = home.under(OLD).serve().await;
    assert_eq!(service.did("ann").await, ["one", "two"]);
    service.stop().await;

    home.under(NEW).done(&["embedded", "upgrade", "--apply"]);
    assert!(home.refused(&["embedded", "back"], 1).contains("is of an earlier way back"));
    fs::remove_dir_all(home.data.path().join("postgres.after-18")).unwrap();
    let back = home.json(&["embedded", "back", "--apply"]);
    assert_eq!((&back["applied"], home.made_by()), (&Value::from(true), "15".to_owned()));
    let service = home.under(OLD).serve().await;
    assert_eq!(service.did("ann").await, ["one", "two"]);
    service.stop().await;
}
