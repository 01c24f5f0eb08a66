//! Who is told what a rollout does: everything, in order, at least once and signed, and no rollout waits for them.

mod ear;

use progress_service::model::{Clock, Ids};
use serde_json::{Value, json};

use self::ear::{Ear, Mode, Request};
use crate::support::{
    app::TestApp,
    background, kafka, patience,
    pg::TestDatabase,
    process::{Service, command},
    schemas,
};

const SECRET: &str = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==";
const ROOT: &str = "/api/v1/admin/rollouts";
/// Its contract is applied already, and waits for a second person.
const PLAN: &str = r#"
format = 1
name = "a-change"
about = "what Annabel wants"
[tell]
webhooks = ["ops", "chat"]
events = true
[[steps]]
name = "contract"
kind = "contract"
files = ["platform/026_tenant_settings.sql"]
"#;

/// A service, and two who listen: `ops`, whose messages are signed, and `chat`.
struct Stage {
    app: TestApp,
    ops: Ear,
    chat: Ear,
    receivers: String,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn with(db: TestDatabase, more: &[(&str, &str)]) -> Self {
        let (ops, chat) = (Ear::open().await, Ear::open().await);
        let receivers = format!("ops {} {SECRET}; chat {}", ops.url, chat.url);
        let variables: Vec<_> =
            more.iter().copied().chain([("PROGRESS_ROLLOUT_RECEIVERS", receivers.as_str())]).collect();
        let app = TestApp::with(db, &variables, Clock::system(), Ids::random()).await;
        Self { app, ops, chat, receivers, folder: tempfile::tempdir().unwrap() }
    }

    /// Without loops: what is told is told by [`Stage::step`].
    async fn by_hand(db: TestDatabase) -> Self {
        let stage = Self::with(db, &[]).await;
        stage.app.stop_loops().await;
        stage
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let variables = self.app.variables([("PROGRESS_ROLLOUT_RECEIVERS", self.receivers.clone())]);
        let output = command(&[&["rollout"], arguments, &["--json"]].concat(), &variables).output().unwrap();
        let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let first = said.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        (output.status.code(), first, format!("{said}{errors}"))
    }

    fn begin(&self) {
        let path = self.folder.path().join("plan.toml");
        std::fs::write(&path, PLAN).unwrap();
        let (code, _, all) = self.run(&["start", &path.to_string_lossy(), "--by", "annabel"]);
        assert_eq!(code, Some(0), "{all}");
    }

    async fn act(&self, what: &str) {
        self.app.post(&format!("{ROOT}/a-change/{what}"), &json!({})).await.expect(200);
    }

    /// Tells until nobody can be told more now.
    async fn step(&self) {
        let teller = self.app.service().rooms.teller.clone();
        background::runtime().spawn(async move { while teller.step().await.unwrap() {} }).await.unwrap();
    }

    /// How far a receiver was told, as the API says it.
    async fn told(&self, receiver: &str) -> Value {
        let report = self.app.get(&format!("{ROOT}/a-change")).await.expect(200).json();
        let all = report["receivers"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["receiver"] == receiver).unwrap()
    }

    async fn sql(&self, sql: &str) {
        self.app.db.superuser().await.batch_execute(sql).await.unwrap();
    }

    async fn count(&self, of: &str) -> i64 {
        self.app.db.superuser().await.query_one(&format!("SELECT count(*) FROM {of}"), &[]).await.unwrap().get(0)
    }

    async fn hears(&self, ear: &Ear, words: &[&str]) {
        patience::until("everything is told", async || match ear.words() {
            heard if heard == words => Ok(()),
            heard => Err(format!("{heard:?} and not {words:?}")),
        })
        .await;
    }
}

/// All of a rollout that a second person approves.
const ALL: [&str; 5] = ["started", "needs_approval", "advanced", "done", "ended"];

fn data(heard: &[Request]) -> Vec<Value> {
    heard.iter().map(|request| request.json()["data"].clone()).collect()
}

on_the_newest_server! {
    async fn everybody_hears_the_same_in_order_signed_and_of_no_person(db: TestDatabase) {
        let (brokers, prefix) = (kafka::brokers(), format!("{}.", kafka::unique("rollout")));
        let kafka = [("PROGRESS_KAFKA_BROKERS", brokers.as_str()), ("PROGRESS_KAFKA_TOPIC_PREFIX", prefix.as_str())];
        let stage = Stage::with(db, &kafka).await;
        stage.begin();
        stage.hears(&stage.ops, &ALL[..2]).await;
        let (code, _, all) = stage.run(&["approve", "a-change", "--by", "robert"]);
        assert_eq!(code, Some(0), "{all}");
        stage.hears(&stage.ops, &ALL).await;
        stage.hears(&stage.chat, &ALL).await;

        let (ops, chat) = (stage.ops.heard(), stage.chat.heard());
        assert_eq!(data(&ops), data(&chat));
        assert!(data(&ops).is_sorted_by_key(|data| data["number"].as_i64().unwrap()), "{ops:?}");
        for request in &ops {
            assert!(request.is_signed_with(SECRET), "{request:?}");
            let mut other = request.clone();
            other.body = other.body.replace("a-change", "b-change");
            assert!(!other.is_signed_with(SECRET));
            assert_eq!(request.headers["content-type"], "application/cloudevents+json");
            for person in ["nnabel", "robert"] {
                assert!(!request.body.contains(person), "{person} in {}", request.body);
            }
        }
        assert!(chat.iter().all(|request| !request.headers.contains_key("webhook-signature")));

        let sent = "progress.outbox WHERE type = 'progress.rollout.changed.v1' AND published_at IS NOT NULL";
        patience::until("the events are sent", async || match stage.count(sent).await {
            5 => Ok(()),
            other => Err(format!("{other} of 5")),
        })
        .await;
        // The topic has the same events under the same ids.
        let topic = kafka::Topic::existing(brokers.clone(), format!("{prefix}progress.rollout.changed.v1"), 6);
        let received = topic.read(ALL.len()).await;
        schemas::check(&received);
        let sent: Vec<Value> = received.iter().map(kafka::Received::json).collect();
        assert_eq!(sent, ops.iter().map(Request::json).collect::<Vec<_>>(), "one key: one order");
        assert!(received.iter().all(|message| message.key.as_deref() == sent[0]["subject"].as_str()));
        topic.delete().await;

        let (_, status, _) = stage.run(&["status"]);
        let all: Vec<_> = status["receivers"].as_array().unwrap().iter().map(|one| json!([one["receiver"], one["state"], one["told"]])).collect();
        assert_eq!(json!(all), json!([["chat", "told", 5], ["events", "told", 5], ["ops", "told", 5]]));
        assert!(!status.to_string().contains(&stage.ops.url) && !status.to_string().contains(SECRET));
        let (code, _, all) = stage.run(&["tell-again", "a-change"]);
        assert!(code == Some(1) && all.contains("could reach everybody"), "{all}");
    }

    async fn a_rollout_never_waits_for_who_is_told(db: TestDatabase) {
        let stage = Stage::with(db, &[]).await;
        stage.chat.is(Mode::Silent);
        stage.begin();
        patience::until("chat is asked", async || if stage.chat.tried().is_empty() { Err("not yet") } else { Ok(()) }).await;
        patience::until("it needs approval", async || match stage.run(&["approve", "a-change", "--by", "robert"]) {
            (Some(0), ..) => Ok(()),
            (_, _, why) => Err(why),
        })
        .await;
        patience::until("it is done", async || match stage.app.get(&format!("{ROOT}/a-change")).await.json() {
            now if now["state"] == "done" => Ok(()),
            now => Err(now),
        })
        .await;
        stage.hears(&stage.ops, &ALL).await;
        assert_eq!(stage.chat.words(), [] as [&str; 0], "it never answered");
        stage.chat.is(Mode::Answers(200));
        // What it answered too late comes again under the same id.
        patience::until("chat has everything", async || match stage.chat.words_once() {
            heard if heard == ALL => Ok(()),
            heard => Err(format!("{heard:?}")),
        })
        .await;
    }
}

/// Nodes that are killed while they tell, before there is one that lives.
const LIVES: usize = 6;

on_the_newest_server! {
    async fn nodes_that_are_killed_while_they_tell_leave_nothing_out_and_keep_the_order(db: TestDatabase) {
        let stage = Stage::by_hand(db).await;
        stage.begin();
        let mut all = vec!["started".to_owned()];
        for what in ["pause", "resume"].into_iter().cycle().take(2 * LIVES) {
            stage.act(what).await;
            all.push(format!("{what}d"));
        }
        stage.app.post(&format!("{ROOT}/a-change/abort"), &json!({"reason": "enough"})).await.expect(200);
        all.push("aborted".to_owned());
        let variables = stage.app.variables([("PROGRESS_ROLLOUT_RECEIVERS", stage.receivers.clone())]);
        let mut variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        variables.retain(|(name, _)| *name != "PROGRESS_DATA_DIR");
        for life in 0..LIVES {
            // Every other one dies while it waits for an answer, the others somewhere behind a question.
            stage.ops.is(if life % 2 == 0 { Mode::Silent } else { Mode::Answers(204) });
            let asked = stage.ops.tried().len();
            let mut node = Service::start(&variables).await;
            patience::until("ops is asked", async || if stage.ops.tried().len() > asked { Ok(()) } else { Err("not yet") }).await;
            node.process.kill();
            stage.ops.is(Mode::Answers(204));
            stage.sql("UPDATE platform.leases SET expires_at = '-infinity'").await;
        }
        let _node = Service::start(&variables).await;
        for ear in [&stage.ops, &stage.chat] {
            patience::until("everything is told", async || match ear.words_once() {
                heard if heard == all => Ok(()),
                heard => Err(format!("{heard:?}")),
            }).await;
        }
        patience::until("and noted", async || match stage.told("ops").await {
            ops if ops["state"] == "told" && ops["told"] == all.len() => Ok(()),
            ops => Err(ops),
        }).await;
        let tried = stage.ops.tried();
        let mut bodies = std::collections::HashMap::new();
        for request in &tried {
            assert_eq!(bodies.entry(request.id().to_owned()).or_insert(&request.body), &&request.body, "the same at every try");
        }
        assert!(tried.len() > all.len(), "somebody was killed in between: {} of {}", tried.len(), all.len());
    }
}

on_each_server! {
    async fn who_is_away_refuses_or_points_elsewhere_hears_everything_later_in_order(db: TestDatabase) {
        let stage = Stage::by_hand(db).await;
        stage.chat.is(Mode::Away);
        stage.begin();
        stage.act("pause").await;
        stage.step().await;
        stage.hears(&stage.ops, &["started", "paused"]).await;
        let chat = stage.told("chat").await;
        assert_eq!((&chat["state"], &chat["told"], &chat["waiting"], &chat["failures"]), (&json!("retrying"), &json!(0), &json!(2), &json!(1)), "{chat}");
        assert!(chat["retryAt"].is_string() && !chat["lastError"].as_str().unwrap().contains("/hook"), "{chat}");
        stage.sql("UPDATE platform.rollout_receivers SET retry_at = clock_timestamp() + interval '1 hour' WHERE failures > 0").await;
        stage.chat.is(Mode::Answers(204));
        stage.step().await;
        assert_eq!(stage.chat.words(), [] as [&str; 0], "its pause is not over");

        for (mode, why) in [
            (Mode::Answers(500), "500"),
            (Mode::Answers(410), "410"),
            (Mode::Points(stage.ops.url.clone()), "is not followed elsewhere"),
        ] {
            stage.chat.is(mode);
            let asked = stage.chat.tried().len();
            stage.act("tell-again").await;
            stage.step().await;
            assert_eq!(stage.chat.tried().len(), asked + 1, "{why}");
            let chat = stage.told("chat").await;
            assert!(chat["lastError"].as_str().unwrap().contains(why), "{chat}");
        }
        assert_eq!(stage.ops.words(), ["started", "paused"], "a redirect leads nowhere");
        stage.chat.is(Mode::Answers(204));
        stage.act("resume").await;
        stage.act("tell-again").await;
        stage.app.post(&format!("{ROOT}/a-change/abort"), &json!({"reason": "Ann says so"})).await.expect(200);
        stage.step().await;
        let all = ["started", "paused", "resumed", "aborted"];
        assert_eq!((stage.chat.words(), stage.ops.words()), (all.map(str::to_owned).into(), all.map(str::to_owned).into()));
        let first = stage.chat.heard()[0].id().to_owned();
        let tries: Vec<_> = stage.chat.tried().iter().filter(|request| request.id() == first).map(|request| request.body.clone()).collect();
        assert!(tries.len() == 4 && tries.iter().all(|body| *body == tries[0]), "the same at every try: {tries:?}");
        assert!(!stage.chat.heard()[3].body.contains("Ann"));
        assert_eq!(stage.told("chat").await["state"], "told");
        assert_eq!(stage.count("platform.rollout_receivers WHERE is_over AND failures = 0 AND last_error IS NULL").await, 3);
        assert_eq!(stage.count("progress.outbox WHERE type = 'progress.rollout.changed.v1'").await, 4);
        // It is over, and everybody knows.
        stage.step().await;
        assert_eq!(stage.ops.tried().len(), 4);
    }

    async fn who_is_never_there_is_given_up_until_somebody_asks(db: TestDatabase) {
        let stage = Stage::by_hand(db).await;
        stage.chat.is(Mode::Answers(503));
        stage.begin();
        stage.step().await;
        stage.sql("UPDATE platform.rollout_receivers SET failures = 99, retry_at = NULL WHERE receiver = 'chat'").await;
        stage.step().await;
        let chat = stage.told("chat").await;
        assert_eq!((&chat["state"], &chat["failures"]), (&json!("failed"), &json!(100)), "{chat}");
        assert!(chat["givenUpAt"].is_string() && chat.get("retryAt").is_none(), "{chat}");
        let asked = stage.chat.tried().len();
        stage.step().await;
        assert_eq!(stage.chat.tried().len(), asked, "it is not asked any more");
        let figures = String::from_utf8(stage.app.service().rooms.edge.metrics.render().unwrap()).unwrap();
        assert!(figures.contains("progress_rollout_untold{state=\"failed\"} 1"), "{figures}");
        assert!(figures.contains("progress_rollout_untold{state=\"waiting\"} 0"), "{figures}");
        // The rollout went on.
        stage.act("pause").await;
        stage.chat.is(Mode::Answers(200));
        let (code, told, all) = stage.run(&["tell-again", "a-change", "--by", "bob"]);
        assert!(code == Some(0) && told["receiver"] == "chat" && told["state"] == "waiting", "{all}");
        stage.step().await;
        assert_eq!(stage.chat.words(), ["started", "paused"]);
        assert_eq!(stage.count("platform.audit WHERE action = 'rollout.tell' AND subject = 'a-change' AND actor = 'bob'").await, 1);
        stage.app.post(&format!("{ROOT}/a-change/tell-again"), &json!({})).await.expect(409);
        stage.app.post(&format!("{ROOT}/nothing/tell-again"), &json!({})).await.expect(404);
    }

    async fn a_node_that_is_lost_before_it_notes_the_answer_tells_the_same_again(db: TestDatabase) {
        let stage = Stage::by_hand(db).await;
        stage.begin();
        stage.act("pause").await;
        let store = stage.app.db.store();
        let lease = store.acquire_lease("tellings", "a", patience::PATIENCE).await.unwrap().unwrap();
        for ear in [&stage.ops, &stage.chat] {
            ear.is(Mode::Silent);
        }
        let teller = stage.app.service().rooms.teller.under(&lease);
        let telling = background::runtime().spawn(async move { teller.step().await });
        patience::until("both are asked", async || match (stage.ops.tried().len(), stage.chat.tried().len()) {
            (1, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        // Another node leads by the time of the answer, which is yes.
        stage.sql("UPDATE platform.leases SET fence = fence + 1 WHERE name = 'tellings'").await;
        for ear in [&stage.ops, &stage.chat] {
            ear.is(Mode::Answers(204));
        }
        assert!(telling.await.unwrap().unwrap_err().to_string().contains("tellings"));
        assert_eq!((stage.ops.words(), stage.told("ops").await["told"].clone()), (vec!["started".to_owned()], json!(0)));
        stage.step().await;
        let heard = stage.ops.heard();
        assert_eq!(stage.ops.words(), ["started", "started", "paused"]);
        assert_eq!((heard[0].id(), &heard[0].body), (heard[1].id(), &heard[1].body));
        assert_ne!(heard[1].id(), heard[2].id());
        assert!(heard.iter().all(|request| request.is_signed_with(SECRET)));
    }

    async fn a_plan_names_receivers_that_there_are_and_no_address(db: TestDatabase) {
        let stage = Stage::by_hand(db).await;
        for (from, to, why) in [
            ("\"chat\"", "\"https://hunter2.example/x\"", "tell.webhooks[1]: an address stands in no plan"),
            ("\"chat\"", "\"nobody\"", "tell.webhooks[1]: rollout.receivers of the configuration names no \"nobody\"; it has ops, chat"),
            ("\"chat\"", "\"ops\"", "tell.webhooks[1]: \"ops\" is there twice"),
            ("webhooks = [\"ops\", \"chat\"]\nevents = true\n", "", "tell: name 1 to 16 webhooks"),
        ] {
            let text = PLAN.replacen(from, to, 1);
            let planned = stage.app.post("/api/v1/admin/rollout-plans", &json!({"plan": text})).await.expect(200).json();
            let faults = planned["faults"][0].as_str().unwrap();
            assert!(faults.starts_with(why) && !faults.contains("hunter2"), "{faults}");
            assert!(stage.app.post(ROOT, &json!({"plan": text})).await.expect(400).text().contains("tell"));
        }
        let text = PLAN.replacen("webhooks", "webhook", 1);
        assert!(stage.app.post(ROOT, &json!({"plan": text})).await.expect(400).text().contains("webhook"));
        assert_eq!(stage.count("platform.rollout_receivers").await, 0);
        // Whom the configuration does not name any more is told of once it does again.
        stage.begin();
        stage.sql("UPDATE platform.rollout_receivers SET receiver = 'gone' WHERE receiver = 'chat'").await;
        stage.step().await;
        assert_eq!(stage.told("gone").await["lastError"], "rollout.receivers names no gone");
        assert_eq!(stage.ops.words(), ["started"]);
    }
}
