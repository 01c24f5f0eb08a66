//! Erasures that are asked for by commands: by whatever names a person, once, and answered as often as somebody asks.

use progress_service::{inbox::CommandKind, model::event::DEAD_LETTER};
use serde_json::{Value, json};

use super::{Topics, check_schema, counted, erasure, outcomes, send, start};
use crate::{
    erasure::places,
    support::{app::TestApp, kafka::Received, patience},
    xapi::{id, identified, ids},
};

fn sha1(mbox: &str) -> String {
    progress_service::xapi::document::etag(mbox.as_bytes()).trim_matches('"').to_owned()
}

fn command(n: usize, subject: &Value) -> Value {
    let mut command = erasure(&format!("e{n}"), &format!("r{n}"));
    command["data"]["subject"] = subject.clone();
    command
}

fn of(answer: &Received, name: &str) -> Value {
    answer.json()["data"][name].clone()
}

/// Waits until so many requests are over.
async fn over(app: &TestApp, count: i64) {
    let sql = "SELECT count(*) FROM progress.saga_requests WHERE state IN ('completed', 'failed')";
    let client = app.db.superuser().await;
    patience::until("the end of the requests", async || {
        let now: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
        if now == count { Ok(()) } else { Err(format!("{now} are over")) }
    })
    .await;
}

on_each_server! {
    async fn whatever_names_a_person_is_enough(db: TestDatabase) {
        let topics = Topics::new(1).await;
        let app = start(db, &topics.prefix).await;
        let account = |name: &str| json!({"account": {"homePage": "http://h.example", "name": name}});
        let openid = json!({"openid": "http://id.example/canary-openid"});
        let actors = [
            json!({"mbox": "mailto:canary-mbox@example.com"}),
            json!({"mbox_sha1sum": sha1("mailto:canary-sha1@example.com")}),
            openid.clone(),
            account("canary-account"),
            account(crate::api::ADA),
            json!({"mbox": "mailto:canary-several@example.com"}),
            json!({"openid": "http://id.example/canary-several"}),
            account("canary-several"),
            json!({"mbox": "mailto:stays@example.com"}),
        ];
        let statements: Vec<Value> = (1..).zip(&actors).map(|(n, actor)| {
            let mut it = identified(&id(n), "x", "a");
            it["actor"] = actor.clone();
            it
        }).collect();
        app.post_statements(&json!(statements)).await.expect(200);
        let subjects = [
            json!({"agents": [actors[0]]}),
            // By the hash of a mailbox as others write it, and by the mailbox behind a hash.
            json!({"agents": [{"mbox": "mailto:canary-sha1@example.com"}]}),
            json!({"agents": [openid]}),
            json!({"agents": [actors[3]]}),
            json!({"userId": crate::api::ADA}),
            json!({"agents": [actors[5], actors[6], actors[7]], "userId": "canary-user"}),
        ];
        for (n, subject) in subjects.iter().enumerate() {
            send(&topics.erasures, &command(n, subject)).await;
        }
        over(&app, 6).await;
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()), [id(9)]);
        for needle in ["canary-", crate::api::ADA, &sha1("mailto:canary-sha1@example.com")] {
            assert_eq!(places(&app.db, needle).await, Vec::<String>::new(), "{needle}");
        }
        let answers = topics.erasure_answers.read(12).await;
        check_schema(include_str!("../../../schemas/events/gdpr.subject_request.acknowledged.v1.json"), &answers);
        let counts: Vec<(Value, Value)> = answers.iter().filter(|one| of(one, "status") == "erased")
            .map(|one| (of(one, "requestId"), of(one, "counts")["statements"].clone())).collect();
        for (request, expected) in [("r0", 1), ("r1", 1), ("r2", 1), ("r3", 1), ("r4", 1), ("r5", 3)] {
            assert!(counts.contains(&(json!(request), json!(expected))), "{request}: {counts:?}");
        }
        assert!(answers.iter().all(|one| !String::from_utf8_lossy(&one.payload).contains("canary-")), "an answer names nobody");
        assert_eq!(topics.dead.read_all().await, []);
        assert!(topics.dead.name.ends_with(DEAD_LETTER));
    }

    async fn who_asks_again_hears_of_the_same_erasure_and_nobody_is_erased_twice(db: TestDatabase) {
        let topics = Topics::new(1).await;
        let app = start(db, &topics.prefix).await;
        app.post_statements(&json!([identified(&id(1), "ann", "a"), identified(&id(2), "bob", "a")])).await.expect(200);
        send(&topics.erasures, &erasure("e1", "r1")).await;
        over(&app, 1).await;
        // The same event again, then another one for the same request, and one that means somebody else by its name.
        send(&topics.erasures, &erasure("e1", "r1")).await;
        counted(&app, CommandKind::Erasure, "repeated", 1).await;
        send(&topics.erasures, &erasure("e2", "r1")).await;
        let answers = topics.erasure_answers.read(4).await;
        let told = |answers: &[Received]| -> Vec<(Value, Value)> {
            answers.iter().map(|one| (of(one, "commandId"), of(one, "status"))).collect()
        };
        let expected = [("e1", "recorded"), ("e1", "erased"), ("e2", "recorded"), ("e2", "erased")];
        assert_eq!(told(&answers), expected.map(|(event, status)| (json!(event), json!(status))));
        for name in ["erasureId", "auditEntry", "counts", "stamp", "months", "policy", "remains"] {
            assert_eq!(of(&answers[1], name), of(&answers[3], name), "{name}");
            assert!(!of(&answers[1], name).is_null(), "{name}");
        }
        assert_ne!(answers[1].json()["id"], answers[3].json()["id"], "each is an event of its own");
        over(&app, 1).await;
        let mut other = erasure("e3", "r1");
        other["data"]["subject"] = json!({"agents": [{"mbox": "mailto:bob@example.com"}]});
        send(&topics.erasures, &other).await;
        let last = topics.erasure_answers.read(6).await.remove(5);
        assert_eq!((of(&last, "commandId"), of(&last, "status")), (json!("e3"), json!("failed")));
        assert!(of(&last, "reason").as_str().unwrap().contains("another requestId"), "{}", last.json());
        assert_eq!(ids(&app.get_statements(&[]).await.expect(200).json()), [id(2)]);
        let client = app.db.superuser().await;
        let count = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
        assert_eq!(count("SELECT count(*) FROM ledger.erasures").await, 1);
        assert_eq!(count("SELECT count(*) FROM platform.audit WHERE action = 'erasure.end'").await, 1);
        assert_eq!(count("SELECT count(*) FROM progress.saga_requests WHERE data <> '{}'").await, 0, "who it was about is forgotten");
    }

    async fn identifiers_that_are_none_are_put_aside_or_answered_with_the_rule(db: TestDatabase) {
        let topics = Topics::new(1).await;
        let app = start(db, &topics.prefix).await;
        let many: Vec<Value> = (0..101).map(|n| json!({"mbox": format!("mailto:a{n}@x.example")})).collect();
        // No subject of the schema: to the dead letters.
        for (n, subject) in [json!({"agents": []}), json!({"agents": [{"name": "canary"}]}), json!({"userId": ""}), json!("canary")].iter().enumerate() {
            send(&topics.erasures, &command(n, subject)).await;
        }
        // One, and of nobody: answered, because whoever asked waits.
        let unfit = [
            (json!({"agents": [{"mbox": "canary@example.com"}]}), "mbox is mailto:"),
            (json!({"agents": [{"mbox_sha1sum": "canary"}]}), "40 hexadecimal digits"),
            (json!({"agents": [{"openid": "canary"}]}), "an IRI"),
            (json!({"agents": [{"account": {"homePage": "http://h.example"}}]}), "exactly one of"),
            (json!({"agents": [{"mbox": "mailto:canary@example.com", "openid": "http://id.example/canary"}]}), "exactly one of"),
            (json!({"agents": many}), "at most 100"),
        ];
        for (n, (subject, _)) in unfit.iter().enumerate() {
            send(&topics.erasures, &command(10 + n, subject)).await;
        }
        over(&app, 6).await;
        assert_eq!(outcomes(&app, CommandKind::Erasure, "refused"), 4);
        let letters = topics.dead.read(4).await;
        assert!(letters.iter().all(|letter| of(letter, "reason").as_str().unwrap().contains("/data/subject")), "{:?}", letters[0].json());
        let answers = topics.erasure_answers.read(12).await;
        for (n, (_, rule)) in unfit.iter().enumerate() {
            let failed = answers.iter().find(|one| of(one, "requestId") == format!("r{}", 10 + n) && of(one, "status") == "failed");
            let failed = failed.unwrap_or_else(|| panic!("r{} is not answered", 10 + n));
            assert!(of(failed, "reason").as_str().unwrap().contains(rule), "{}", failed.json());
        }
        let said = letters.iter().chain(&answers).map(|one| String::from_utf8_lossy(&one.payload).into_owned());
        assert!(said.into_iter().all(|said| !said.contains("canary")), "nothing repeats what was asked");
        assert_eq!(places(&app.db, "canary").await, Vec::<String>::new());
    }
}
