//! Requests that cannot mean what they say, or come too late: each is answered with the rule or the number, and removes nothing more.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ANN, by_mbox, erase, found, law, places};
use crate::{
    support::{app::TestApp, process::command},
    xapi::{id, identified},
};

fn variables(app: &TestApp) -> BTreeMap<String, String> {
    app.variables([])
}

/// Exit code, and what was complained of.
fn run(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(arguments, &variables(app)).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

on_each_server! {
    async fn ten_thousand_identifiers_everybody_and_an_unknown_tenant_are_refused_with_the_rule(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "a")])).await.expect(200);
        let many: Vec<String> = (0..10_000).map(|n| format!("mailto:a{n}@x.example")).collect();
        let agents: Vec<Value> = many.iter().map(|mbox| json!({"mbox": mbox})).collect();
        let answer = app.post("/api/v1/erasures", &json!({"subject": {"agents": agents}})).await;
        let text = answer.text();
        assert!(matches!(answer.status.as_u16(), 400 | 413), "{text}");
        assert!(text.contains("at most 100") || text.contains("262144"), "{text}");
        let flags: Vec<&str> = ["erasure", "request", "--apply"].into_iter().chain(many.iter().flat_map(|mbox| ["--mbox", mbox])).collect();
        let (code, why) = run(&app, &flags);
        assert!(code == Some(1) && why.contains("10000 identifiers are given, and at most 100"), "{why}");

        for everybody in [json!({"agents": []}), json!({"everything": true}), json!({"agents": [{"mbox": "*"}]}), json!({"agents": [{}]}), json!("*")] {
            app.post("/api/v1/erasures", &json!({"subject": everybody})).await.expect(400);
        }
        let (code, why) = run(&app, &["erasure", "request", "--apply"]);
        assert!(code == Some(1) && why.contains("a request for everybody is none"), "{why}");
        for verb in [&["erasure", "plan"][..], &["erasure", "request", "--apply"]] {
            let (code, why) = run(&app, &[verb, &["--tenant", "nobody", "--mbox", ANN]].concat());
            assert!(code == Some(1) && why.contains("nobody"), "{why}");
            let unknown = "00000000-0000-4000-8000-0000000000ff";
            let (code, why) = run(&app, &[verb, &["--tenant", unknown, "--mbox", ANN]].concat());
            assert!(code == Some(1) && why.contains(unknown), "{why}");
        }
        assert_eq!(found(&app, &[]).await.len(), 2, "nothing came of it");
    }

    async fn two_persons_who_share_an_account_are_told_before_both_go(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let account = json!({"homePage": "http://h.example", "name": "front desk"});
        let shared = |n: u128, name: &str| {
            let mut it = identified(&id(n), "x", "a");
            it["actor"] = json!({"account": account, "name": name});
            it
        };
        let own = identified(&id(3), "eve", "a");
        app.post_statements(&json!([shared(1, "Ann Archer"), shared(2, "Eve Evans"), own])).await.expect(200);
        let subject = json!({"agents": [{"account": account}]});
        let planned = app.post("/api/v1/erasures", &json!({"subject": subject, "dryRun": true})).await.expect(200).json();
        assert!(planned["plan"]["remarks"].to_string().contains("2 names were seen"), "{planned}");
        assert_eq!(planned["plan"]["found"]["hot"]["own"], 2, "{planned}");
        assert_eq!(erase(&app, &json!({"subject": subject})).await["state"], "erased");
        assert_eq!(found(&app, &[]).await, [id(3)], "what one of them did under another identifier is there");
    }

    async fn a_hold_on_what_is_gone_brings_nothing_back_and_stops_what_would_come_next(db: TestDatabase) {
        let app = TestApp::start(db).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "a")])).await.expect(200);
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        let placed = law::hold(&app, 1, law::somebody(ANN)).await;
        assert_eq!(found(&app, &[]).await, [id(2)]);
        app.get_statements(&[("statementId", &id(1))]).await.expect(404);
        app.post_statements(&identified(&id(1), "ann", "a")).await.expect(200);
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new(), "a tombstone stays one");
        app.post_statements(&identified(&id(3), "ann", "a")).await.expect(200);
        assert_eq!(places(&app.db, "ann@example.com").await, Vec::<String>::new(), "a hold keeps what is there, and she is not");
        let asked = json!({"subject": {"agents": [{"mbox": ANN}]}, "onHold": "refuse"});
        let refused = erase(&app, &asked).await;
        assert_eq!((&refused["state"], &refused["reason"]), (&json!("refused"), &json!("court order 7: a lawsuit")));
        law::release(&app, placed).await;
        assert_eq!(erase(&app, &by_mbox(ANN)).await["state"], "erased");
        assert_eq!(found(&app, &[]).await, [id(2)]);
    }
}
