//! Looking costs next to nothing: with a million statements, thousands of jobs and launches and a long trail, no question that a page or a
//! loop asks the database touches more than a thousand blocks, and no page is longer than 100 KB. How long pages take, and what ten take of
//! a core who follow a job, is printed: see docs/performance.md.

mod ground;
mod watching;

use std::time::Duration;

use self::{
    ground::Ground,
    watching::{Taken, share},
};
use super::Browser;
use crate::support::{patience, settings};

const MOST_BLOCKS: u64 = 1_000;
const LONGEST: usize = 100 << 10;

const OF_THE_INSTALLATION: [&str; 19] = [
    "",
    "/access",
    "/access/launches",
    "/activity.csv",
    "/audit",
    "/audit?action=read.document",
    "/backups",
    "/flags",
    "/jobs",
    "/jobs?state=succeeded",
    "/migrations",
    "/migrations/backfills",
    "/migrations/rollouts",
    "/months",
    "/people/erasures",
    "/people/holds",
    "/people/retention",
    "/people/residency",
    "/exports",
];

const OF_A_TENANT: [&str; 13] = [
    "",
    "/access",
    "/access/launches",
    "/access/launches?registration=00000000-0000-4000-8000-000000000001",
    "/audit",
    "/documents",
    "/exports",
    "/learners",
    "/statements",
    "/statements?verb=http://adlnet.gov/expapi/verbs/passed",
    "/statements?verb=http://example.com/never",
    "/statements?activity=http://example.com/none",
    "/people/retention",
];

async fn look(browser: &Browser<'_>, pages: &[&str]) {
    for page in pages {
        let answer = browser.get(&format!("/admin{page}")).await.expect(200);
        assert!(answer.body.len() <= LONGEST, "{page}: {} bytes", answer.body.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_and_no_loop_beside_it_asks_much_of_the_database() {
    let ground = Ground::new().await;
    let key = ground.run(&["credentials", "create", "--tenant", "demo-1", "--label", "t", "--scopes", "all admin:*"]);
    let word = |name: &str| {
        let line = key.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_else(|| panic!("{key}"));
        line.trim().to_owned()
    };
    let operator = Browser::at(&ground.service.url, "key", "a-secret").await;
    let administrator = Browser::at(&ground.service.url, &word("key"), &word("secret")).await;
    // Once before anybody listens: what a connection learns of its tables it learns once.
    look(&operator, &OF_THE_INSTALLATION).await;
    look(&administrator, &OF_A_TENANT).await;
    let is_long = settings::optional("TEST_SOAK_STATEMENTS").is_some();
    let (times, seconds) = if is_long { (40, 30) } else { (2, 4) };
    println!("pages of the installation: {}", Taken::of(&operator, &OF_THE_INSTALLATION, times).await.told());
    println!("pages of a tenant: {}", Taken::of(&administrator, &OF_A_TENANT, times).await.told());
    let [service, database] = share(&ground, seconds).await.map(|share| share * 100.0);
    println!("ten who follow a job each: {service:.2} % of a core in the service, {database:.2} % in the database");
    ground.listens().await;
    for _ in 0..3 {
        look(&operator, &OF_THE_INSTALLATION).await;
        look(&administrator, &OF_A_TENANT).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let asked = patience::until("what the pages ask", async || {
        let asked = ground.asked();
        let wanted = ["jobs::list", "partitions::weights", "sessions::find"];
        if wanted.iter().all(|label| asked.contains_key(*label)) { Ok(asked) } else { Err(format!("{asked:?}")) }
    })
    .await;
    assert!(asked.len() > 30, "{asked:?}");
    let much: Vec<_> = asked.iter().filter(|(_, blocks)| **blocks > MOST_BLOCKS).collect();
    assert!(much.is_empty(), "{much:?}");
}
