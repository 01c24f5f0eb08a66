//! Backups by the pages of a running service: a plan first, a job that does it, and what was found.

use super::Home;
use crate::pages::Browser;

const HERE: &str = "/admin/backups";

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_and_verified_by_jobs() {
    let home = Home::new();
    let service = home.serve().await;
    service.say("bob", "one").await;
    let browser = Browser::at(&service.0.url, "key", "a-secret").await;
    let none = browser.get(HERE).await.expect(200).text();
    assert!(none.contains("No backup was verified and found good yet."), "{none}");
    let make = format!("{HERE}/make");
    let plan = browser.get(&make).await.expect(200).text();
    browser.post(&make, &[]).await.expect(409);
    let asked = browser.confirm(&make, &plan, &[]).await.expect(303);
    let ended = browser.ended(asked.header("location")).await;
    assert!(ended.contains("state succeeded"), "{ended}");
    // There is one more than was seen.
    browser.confirm(&make, &plan, &[]).await.expect(409);
    let list = browser.get(HERE).await.expect(200).text();
    assert!(list.contains("state not verified") && list.contains("asked for by key:key"), "{list}");

    let mut links = list.split("href=\"").filter(|rest| rest.starts_with(HERE) && rest.contains("/verify"));
    let verify = links.next().unwrap().split('"').next().unwrap();
    let plan = browser.get(verify).await.expect(200).text();
    let asked = browser.confirm(verify, &plan, &[]).await.expect(303);
    let ended = browser.ended(asked.header("location")).await;
    assert!(ended.contains("state succeeded"), "{ended}");
    let list = browser.get(HERE).await.expect(200).text();
    assert!(list.contains("state proven") && list.contains("found good was made"), "{list}");
    browser.get(&format!("{HERE}/nothing/verify")).await.expect(404);
    service.stop().await;
}
