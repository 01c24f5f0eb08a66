//! The needle hunt: fifty people in every place that can hold one, one of them erased, and then every byte on every disk,
//! decompressed. Whatever still has something of her is a place that her receipt names.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::ManuallyDrop,
    path::{Path, PathBuf},
};

use progress_service::embedded::physical;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{MARCH, disks, march, places_by};
use crate::{
    backups::{Home, Serving},
    lifecycle::settled_by,
    support::{
        app::send,
        http,
        kafkaproc::Broker,
        past, patience,
        pg::try_connect,
        s3::{Bucket, Gateway},
    },
    xapi::{attachments::multipart, id, identified},
};

/// A word that nothing but a canary says, and that no compression takes apart.
fn canary(who: usize) -> String {
    hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(format!("canary {who}"))[..12])
}

/// A word in the ids of what they worked on alone, which events have.
fn essay(who: usize) -> String {
    canary(1_000 + who)
}

fn mbox(who: usize) -> String {
    format!("mailto:{}@example.com", canary(who))
}

fn sha1(who: usize) -> String {
    progress_service::xapi::document::etag(mbox(who).as_bytes()).trim_matches('"').to_owned()
}

/// A learner under every identifier, and as whatever a statement of somebody else can make of one.
fn learner(who: usize, first: u128) -> Vec<Value> {
    let (word, essay) = (canary(who), essay(who));
    let named = |n: u128, actor: Value| {
        let mut it = identified(&id(first + n), "x", "a");
        it["actor"] = actor;
        it["actor"]["name"] = json!(format!("{word} by name"));
        it["verb"] =
            json!({"id": format!("http://example.com/verbs/{essay}"), "display": {"en": format!("did as {word}")}});
        it["object"] = json!({"id": format!("http://example.com/essays/{essay}/{n}"), "definition": {
            "name": {"en": format!("essay of {word}")}, "description": {"en": format!("by {word}")},
            "extensions": {"http://e.example/a": word}}});
        it["result"] =
            json!({"response": format!("{word} answers"), "extensions": {"http://e.example/x": {"deep": [word]}}});
        it["context"] = json!({"extensions": {"http://e.example/y": word.repeat(200)}});
        it
    };
    let other = |n: u128| identified(&id(first + n), &format!("other{who}"), "a");
    let account = json!({"account": {"homePage": "http://h.example", "name": word}});
    let (mut taught, mut grouped, mut about, mut within) = (other(5), other(6), other(7), other(8));
    taught["context"] = json!({"instructor": {"mbox": mbox(who), "name": word},
        "team": {"objectType": "Group", "member": [{"mbox_sha1sum": sha1(who)}]}});
    grouped["actor"] = json!({"objectType": "Group", "member": [{"openid": format!("http://id.example/{word}")}, {"mbox": "mailto:o@example.com"}]});
    about["object"] = json!({"objectType": "Agent", "account": account["account"]});
    within["object"] = json!({"objectType": "SubStatement", "actor": account, "verb": {"id": "http://example.com/verbs/does"},
        "object": {"id": "http://example.com/activities/a"}});
    vec![
        named(1, json!({"mbox": mbox(who)})),
        named(2, json!({"mbox_sha1sum": sha1(who)})),
        named(3, json!({"openid": format!("http://id.example/{word}")})),
        named(4, account),
        taught,
        grouped,
        about,
        within,
    ]
}

const LEARNERS: usize = 50;
const GONE: usize = 17;
/// Three of those who stay.
const OTHERS: [usize; 3] = [3, 18, 42];
/// What each round of one person stores.
const EACH: usize = 10;

/// An installation on disks of its own, each of which can be looked through.
struct Ground {
    store: Gateway,
    broker: Broker,
    home: Home,
    service: Serving,
    client: Client,
}

impl Ground {
    async fn new() -> Self {
        let (store, broker) = (Gateway::start(None).await, Broker::start().await);
        store.bucket_with_versions("hunt").await;
        let home = Home::new()
            .set("PROGRESS_KAFKA_BROKERS", &broker.address)
            .set("PROGRESS_ARCHIVE_URL", "s3://hunt")
            .set("PROGRESS_ARCHIVE_S3_ENDPOINT", &store.access.endpoint)
            .set("PROGRESS_ARCHIVE_S3_ALLOW_HTTP", "true")
            .set("PROGRESS_ARCHIVE_S3_ACCESS_KEY", &store.access.key)
            .set("PROGRESS_ARCHIVE_S3_SECRET_KEY", &store.access.secret)
            .set("PROGRESS_LOG", "info,progress_service=debug");
        let home = home.without("PROGRESS_BACKUP_KEY_FILE");
        let service = home.serve().await;
        let url = physical::superuser_url(home.data.path()).await.unwrap().expect("a server");
        let client = try_connect(url.expose()).await.unwrap();
        Self { store, broker, home, service, client }
    }

    fn xapi(&self, method: Method, resource: &str) -> RequestBuilder {
        let request = http::client().request(method, format!("{}/xapi{resource}", self.service.0.url));
        request.basic_auth("key", Some("a-secret")).header("X-Experience-API-Version", "1.0.3")
    }

    /// Lets a learner do all of it.
    async fn everything(&self, who: usize, first: u128) {
        let word = canary(who);
        send(self.xapi(Method::POST, "/statements").json(&json!(learner(who, first)))).await.expect(200);
        let content = format!("file of {word}").into_bytes();
        let mut with_file = crate::xapi::attachments::with_attachment(first + 9, &content);
        with_file["actor"] = json!({"mbox": mbox(who)});
        with_file["attachments"][0]["display"] = json!({"en": format!("the file of {word}")});
        let body = multipart(&with_file, &[&content]);
        let request = self.xapi(Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=limit");
        send(request.body(body)).await.expect(200);
        let agent = json!({"mbox": mbox(who)}).to_string();
        let name = format!("document-{first}");
        let state = [("activityId", "http://example.com/activities/a"), ("agent", &*agent), ("stateId", &*name)];
        let profile = [("agent", &*agent), ("profileId", &*name)];
        for (resource, place) in [("/activities/state", &state[..]), ("/agents/profile", &profile)] {
            let document = self.xapi(Method::PUT, resource).query(place).header("Content-Type", "text/plain");
            send(document.header("If-None-Match", "*").body(format!("document of {word}"))).await.expect(204);
        }
        let (enrollment, attempt) = (format!("e-{who}"), format!("attempt-{who}"));
        let mut tried = crate::api::statement(first + 10, crate::api::ADA, "initialized", &enrollment, &attempt);
        tried["actor"] = json!({"mbox": mbox(who)});
        send(self.xapi(Method::POST, "/statements").json(&json!([tried]))).await.expect(200);
    }

    /// What is kept of a learner, as a client gets it.
    async fn read(&self, who: usize) -> Vec<u8> {
        let agent = json!({"mbox": mbox(who)}).to_string();
        let asked = [("agent", agent.as_str()), ("related_agents", "true"), ("limit", "100")];
        send(self.xapi(Method::GET, "/statements").query(&asked)).await.expect(200).body
    }

    /// Waits until attempts, references and events are past all that was stored.
    async fn settled(&self) {
        settled_by(&self.client).await;
        let told = "SELECT NOT EXISTS (SELECT FROM progress.outbox WHERE published_at IS NULL)
            AND (SELECT min(position) FROM progress.relay_cursors) >= (SELECT max(stored) FROM ledger.statements)";
        patience::until("every event is sent", async || {
            if self.client.query_one(told, &[]).await.unwrap().get(0) { Ok(()) } else { Err("not yet") }
        })
        .await;
    }

    /// A month in the archive alone, and the present; then copies of all of it, as operators have them.
    /// Answers which backup it is.
    async fn filled(&self) -> String {
        for (first, is_past) in [(0, true), (100_000, false)] {
            for who in 0..LEARNERS {
                self.everything(who, first + 100 * (who as u128 + 1)).await;
            }
            self.settled().await;
            if is_past {
                past::move_into_by(&self.client, march()).await;
                self.home.done(&["partitions", "seal", "--month", MARCH, "--apply"]);
                self.home.done(&["archive", "run", "--month", MARCH, "--apply"]);
                self.home.done(&["archive", "drop", "--month", MARCH, "--apply"]);
            }
        }
        self.home.done(&["data", "export", "--output", self.export().to_str().unwrap()]);
        self.home.make()
    }

    fn export(&self) -> PathBuf {
        self.home.beside.path().join("export")
    }

    /// What is written to disks, by the name that receipts have for it; a place without one is a live one.
    fn disks(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("", self.home.data.path().to_owned()),
            ("write-ahead log", self.wal()),
            ("", self.store.folder().join("objects")),
            ("", self.store.folder().join("metadata")),
            ("noncurrent versions of objects", self.store.versions()),
            ("backups made before", self.home.beside.path().join("backups")),
            ("exports made before", self.export()),
            ("events", self.broker.data()),
        ]
    }

    fn wal(&self) -> PathBuf {
        self.home.postgres().join("cluster/pg_wal")
    }

    /// Whether a file is an object that was deleted: the store leaves it where it lay, and marks it as gone.
    fn is_noncurrent(&self, file: &str, current: &[String]) -> bool {
        let objects = self.store.folder().join("objects/hunt");
        let key = Path::new(file).strip_prefix(objects).ok();
        key.is_some_and(|key| current.iter().all(|one| Path::new(one) != key))
    }

    /// Everything there is to look through: for each of the words, where it is found.
    async fn look(&self, words: &[String]) -> Vec<BTreeMap<String, BTreeSet<&'static str>>> {
        let mut all = vec![BTreeMap::<String, BTreeSet<&'static str>>::new(); words.len()];
        let wal = self.wal();
        // Dropped it would empty the bucket, which has versions.
        let bucket = ManuallyDrop::new(Bucket { name: "hunt".to_owned(), access: self.store.access.clone() });
        let current = bucket.keys().await;
        for (name, folder) in self.disks() {
            let counts = |path: &Path| folder == wal || !path.starts_with(&wal);
            for (all, found) in all.iter_mut().zip(disks::search(&folder, words, &counts)) {
                for file in found {
                    let name =
                        if self.is_noncurrent(&file, &current) { "noncurrent versions of objects" } else { name };
                    all.entry(file).or_default().insert(name);
                }
            }
        }
        let page = http::client().get(format!("{}/metrics", self.service.0.url)).send().await.unwrap();
        let said = [
            ("log", "", self.service.0.process.log.lines().join("\n").into_bytes()),
            ("metrics", "", page.bytes().await.unwrap().to_vec()),
            ("messages", "events", self.broker.everything().await.concat()),
        ];
        for (what, name, said) in said {
            for (all, _) in all.iter_mut().zip(words).filter(|(_, word)| disks::holds(&said, word)) {
                all.entry(what.to_owned()).or_default().insert(name);
            }
        }
        all
    }

    /// Erases her, rewrites what operators are told to rewrite, and hands out the receipt's places.
    fn erase(&self) -> Vec<Value> {
        let (word, sha1) = (canary(GONE), sha1(GONE));
        let (openid, account) = (format!("http://id.example/{word}"), format!("http://h.example|{word}"));
        let request = [
            "erasure",
            "request",
            "--mbox",
            &mbox(GONE),
            "--sha1",
            &sha1,
            "--openid",
            &openid,
            "--account",
            &account,
            "--apply",
        ];
        let said = self.home.done(&request);
        assert!(said.contains("erased"), "{said}");
        let done = self.home.json(&["erasure", "status"]);
        assert_eq!(done["state"], "erased", "{done}");
        let receipt = self.home.beside.path().join("receipt.json");
        self.home.done(&["erasure", "receipt", done["id"].as_str().unwrap(), "--output", receipt.to_str().unwrap()]);
        let receipt: Value = serde_json::from_slice(&std::fs::read(receipt).unwrap()).unwrap();
        let entry: Value = serde_json::from_str(receipt["entry"].as_str().unwrap()).unwrap();
        entry["detail"]["remains"].as_array().unwrap_or_else(|| panic!("{entry}")).clone()
    }

    /// The backup from before, brought back elsewhere: she is in none of its files once its free space is rewritten too.
    async fn restored(&self, backup: &str) {
        let to = crate::backups::open_folder();
        let copy = to.path().join("copy");
        self.home.done(&["backup", "restore", backup, "--to", copy.to_str().unwrap(), "--apply"]);
        let mut variables = self.home.variables.clone();
        variables.remove("PROGRESS_KAFKA_BROKERS");
        variables.insert("PROGRESS_DATA_DIR".to_owned(), copy.to_str().unwrap().to_owned());
        let home = Home { data: crate::backups::open_folder(), beside: crate::backups::open_folder(), variables };
        home.done(&["erasure", "scrub", "--apply"]);
        let words: Vec<String> = [GONE, OTHERS[0], OTHERS[1], OTHERS[2]].map(canary).into();
        let wal = copy.join("postgres/cluster/pg_wal");
        let found = disks::search(&copy, &words, &|path| !path.starts_with(&wal));
        assert_eq!(found[0], Vec::<String>::new(), "in a copy of the backup");
        assert!(found[1..].iter().all(|found| !found.is_empty()), "{found:?}");
        let service = home.serve().await;
        let agent = |who| json!({"mbox": mbox(who)}).to_string();
        for (who, there) in [(GONE, false), (OTHERS[0], true)] {
            let request = http::client().get(format!("{}/xapi/statements", service.0.url));
            let request = request.basic_auth("key", Some("a-secret")).header("X-Experience-API-Version", "1.0.3");
            let answer = send(request.query(&[("agent", agent(who)), ("limit", "100".to_owned())])).await.expect(200);
            assert_eq!(disks::holds(&answer.body, &canary(who)), there, "{who}");
        }
        service.stop().await;
    }
}

/// The names of places, without those of files.
fn places(found: &BTreeMap<String, BTreeSet<&'static str>>) -> BTreeSet<&'static str> {
    found.values().flatten().copied().collect()
}

/// Without this the hunt would find nothing because it cannot see.
async fn every_canary_is_found(ground: &Ground, words: &[String]) {
    let there = ground.look(words).await;
    for (word, there) in words.iter().zip(&there) {
        let has = |part: &str| there.keys().any(|file| file.contains(part));
        for part in ["cluster/base", "/objects/hunt/tenant=", "/cache/segments", "/backups/", "/export/"] {
            assert!(has(part), "the hunt finds what is there, in {part}: {there:?}");
        }
        assert!(!there.contains_key("log") && !there.contains_key("metrics"), "{there:?}");
        assert_eq!(
            places(there).contains("events"),
            *word == essay(GONE),
            "events name nobody, and what somebody worked on: {there:?}"
        );
    }
}

/// What is still found lies where the receipt says, with what ends it.
fn the_receipt_names<'p>(remains: &[Value], places: impl Iterator<Item = &'p &'static str>) {
    for place in places {
        let said = remains.iter().find(|one| one["place"].as_str().unwrap().starts_with(place));
        let said = said.unwrap_or_else(|| panic!("the receipt says nothing of {place}: {remains:?}"));
        assert!(said["until"].is_string(), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_somebody_is_left_but_where_the_receipt_says_and_every_byte_of_the_others_is() {
    let ground = Ground::new().await;
    let backup = ground.filled().await;
    let mut before = Vec::new();
    for who in 0..LEARNERS {
        before.push(ground.read(who).await);
    }
    assert!(disks::holds(&before[GONE], &canary(GONE)));
    ground.client.batch_execute("CHECKPOINT").await.unwrap();
    let mut words: Vec<String> = [GONE, OTHERS[0], OTHERS[1], OTHERS[2]].map(canary).into();
    words.push(essay(GONE));
    every_canary_is_found(&ground, &words).await;
    let remains = ground.erase();
    assert_eq!(places_by(&ground.client, &canary(GONE)).await, Vec::<String>::new());
    for (who, before) in before.iter().enumerate().filter(|(who, _)| *who != GONE) {
        assert!(*before == ground.read(who).await, "learner {who} is as they were");
    }
    assert!(!disks::holds(&ground.read(GONE).await, &canary(GONE)));
    ground.home.done(&["erasure", "scrub", "--apply"]);
    // The server removes the files of what was rewritten with the next checkpoint.
    ground.client.batch_execute("CHECKPOINT").await.unwrap();
    let live = |found: &BTreeMap<String, BTreeSet<&'static str>>| -> Vec<String> {
        found.iter().filter(|(_, names)| names.contains("")).map(|(file, _)| file.clone()).collect()
    };
    let found = patience::until("caches forget", async || {
        let found = ground.look(&words).await;
        let left = [live(&found[0]), live(&found[4])].concat();
        if left.is_empty() { Ok(found) } else { Err(format!("{left:?}")) }
    })
    .await;
    the_receipt_names(&remains, places(&found[0]).union(&places(&found[4])));
    let kept = BTreeSet::from([
        "write-ahead log",
        "noncurrent versions of objects",
        "backups made before",
        "exports made before",
    ]);
    assert!(places(&found[0]).is_subset(&kept) && places(&found[0]).len() >= 3, "{:?}", found[0]);
    let parts = |found: &BTreeMap<String, BTreeSet<&'static str>>| {
        ["cluster/base", "/objects/hunt/tenant=", "/backups/", "/export/"]
            .map(|part| found.keys().any(|file| file.contains(part)))
    };
    assert!(
        found[1..4].iter().all(|found| parts(found) == [true; 4]),
        "the others are where they were: {:?}",
        &found[1..4]
    );
    let rows = "SELECT sum(rows)::bigint FROM ledger.segments WHERE state = 'published'";
    let rows: i64 = ground.client.query_one(rows, &[]).await.unwrap().get(0);
    // Hers went; the four that mention her are others', and there.
    assert_eq!(rows as usize, LEARNERS * EACH - (EACH - 4));
    ground.restored(&backup).await;
    ground.service.stop().await;
}
