//! The needle hunt: bytes on disks, decompressed, after somebody was erased.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use progress_service::{
    objects::segment::{Manifest, Segment},
    store::ledger::scrub,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{erase, march, places};
use crate::{
    archived::{history::settle, objects},
    support::{
        app::{TestApp, send},
        background, months,
        segments::scan,
    },
    xapi::{attachments::multipart, id, identified},
};

/// Where the server keeps the database's files.
pub async fn files_of(client: &Client) -> PathBuf {
    let place = "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()";
    client.query_one(place, &[]).await.unwrap().get::<_, String>(0).into()
}

/// The files of a folder that have the text in their bytes, or in what their Parquet pages decompress to.
pub fn objects_with(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(folder, &mut |path, bytes| {
        if holds(bytes, needle.as_bytes()) || parquet_holds(bytes, needle) {
            found.push(path.display().to_string());
        }
    });
    found
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, each);
        } else if let Ok(bytes) = fs::read(&path) {
            each(&path, &bytes);
        }
    }
}

/// Whatever the case of letters, and as hexadecimal digits too.
pub fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle.first().map(u8::to_ascii_lowercase);
    bytes
        .windows(needle.len())
        .any(|window| window.first().map(u8::to_ascii_lowercase) == first && window.eq_ignore_ascii_case(needle))
}

fn parquet_holds(bytes: &[u8], needle: &str) -> bool {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    if !bytes.starts_with(b"PAR1") {
        return false;
    }
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).unwrap();
    reader
        .get_row_iter(None)
        .unwrap()
        .any(|row| row.unwrap().to_string().to_lowercase().contains(&needle.to_lowercase()))
}

/// A word that nothing but a canary says, and that no compression takes apart.
pub fn canary(who: usize) -> String {
    hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(format!("canary {who}"))[..12])
}

/// A learner in every form, in every place that can hold one.
fn learner(who: usize, first: u128) -> Vec<Value> {
    let word = canary(who);
    let mbox = format!("mailto:{word}@example.com");
    let sha1 = progress_service::xapi::document::etag(mbox.as_bytes()).trim_matches('"').to_owned();
    let named = |n: u128, actor: Value| {
        let mut it = identified(&id(first + n), "x", "a");
        it["actor"] = actor;
        it["actor"]["name"] = json!(format!("{word} by name"));
        it["object"] = json!({"id": format!("http://example.com/essays/{word}/{n}"), "definition": {"name": {"en": format!("essay of {word}")}}});
        it["result"] =
            json!({"response": format!("{word} answers"), "extensions": {"http://e.example/x": {"deep": [word]}}});
        it["context"] = json!({"extensions": {"http://e.example/y": word.repeat(200)}});
        it
    };
    let mut taught = identified(&id(first + 6), &format!("other{who}"), "a");
    taught["context"] = json!({"instructor": {"mbox": mbox, "name": word}, "team": {"objectType": "Group", "member": [{"mbox_sha1sum": sha1}]}});
    vec![
        named(1, json!({"mbox": mbox})),
        named(2, json!({"mbox_sha1sum": sha1})),
        named(3, json!({"openid": format!("http://id.example/{word}")})),
        named(4, json!({"account": {"homePage": "http://h.example", "name": word}})),
        taught,
    ]
}

/// What sends a request to an xAPI resource.
pub type Xapi<'x> = &'x (dyn Fn(Method, &str) -> RequestBuilder + Sync);

/// Lets a learner do all of it.
pub async fn everything(xapi: Xapi<'_>, who: usize, first: u128) {
    send(xapi(Method::POST, "/statements").json(&json!(learner(who, first)))).await.expect(200);
    let word = canary(who);
    let content = format!("file of {word}").into_bytes();
    let mut with_file = crate::xapi::attachments::with_attachment(first + 7, &content);
    with_file["actor"] = json!({"mbox": format!("mailto:{word}@example.com")});
    let body = multipart(&with_file, &[&content]);
    let request = xapi(Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=limit");
    send(request.body(body)).await.expect(200);
    let agent = json!({"mbox": format!("mailto:{word}@example.com")}).to_string();
    let place = [("activityId", "http://example.com/activities/a"), ("agent", agent.as_str()), ("stateId", "s")];
    let state = xapi(Method::PUT, "/activities/state").query(&place).header("Content-Type", "text/plain");
    send(state.body(format!("state of {word}"))).await.expect(204);
    let mut tried = crate::api::statement(
        first + 8,
        crate::api::ADA,
        "initialized",
        &format!("e-{who}"),
        &format!("attempt-{who}"),
    );
    tried["actor"] = json!({"mbox": format!("mailto:{word}@example.com")});
    send(xapi(Method::POST, "/statements").json(&json!([tried]))).await.expect(200);
}

pub const LEARNERS: usize = 50;
pub const GONE: usize = 17;

fn subject(who: usize) -> Value {
    let word = canary(who);
    json!({"subject": {"agents": [{"mbox": format!("mailto:{word}@example.com")}, {"openid": format!("http://id.example/{word}")},
        {"account": {"homePage": "http://h.example", "name": word}}]}})
}

on_the_newest_server! {
async fn no_byte_of_somebody_is_left_and_every_byte_of_the_others_is(db: TestDatabase) {
    let app = TestApp::start(db).await;
    let xapi = |method, resource: &str| app.xapi(method, resource);
    for who in 0..LEARNERS {
        everything(&xapi, who, 100 * (who as u128 + 1)).await;
    }
    months::spread(&app.db, march()).await;
    settle(&app).await;
    months::away(&app.db, &objects(&app), march()).await;
        std::fs::remove_dir_all(app.data().join("archive/_staged")).unwrap();
    for who in 0..LEARNERS {
        everything(&xapi, who, 100_000 + 100 * (who as u128 + 1)).await;
    }
    settle(&app).await;
    // Read, so that caches have it.
    let read = async |who: usize| {
        let agent = json!({"mbox": format!("mailto:{}@example.com", canary(who))}).to_string();
        app.get_statements(&[("agent", agent.as_str()), ("related_agents", "true"), ("limit", "100")]).await.expect(200).body
    };
    let mut before = Vec::new();
    for who in 0..LEARNERS {
        before.push(read(who).await);
    }
    assert!(holds(&before[GONE], canary(GONE).as_bytes()));
    let word = canary(GONE);
    let client = app.db.superuser().await;
    let (data, cluster) = (app.data().to_owned(), files_of(&client).await);
    client.batch_execute("CHECKPOINT").await.unwrap();
    assert!(!objects_with(&data, &word).is_empty(), "the hunt finds what is there");
    assert!(!objects_with(&cluster, &word).is_empty());

    let done = erase(&app, &subject(GONE)).await;
    assert_eq!(done["state"], "erased", "{done}");
    assert_eq!(places(&app.db, &word).await, Vec::<String>::new());
    for (who, before) in before.iter().enumerate().filter(|(who, _)| *who != GONE) {
        assert!(*before == read(who).await, "learner {who} is as they were");
    }
    assert!(!holds(&read(GONE).await, word.as_bytes()));
    // Tables are rewritten; then no page, no object and no block of a cache has a word of it.
    let store = app.db.store();
    let scrubbing = async move {
        scrub::until_unseen(&store, std::time::Duration::from_mins(1)).await.unwrap();
        for (table, _) in scrub::tables(&store).await.unwrap() {
            scrub::rewrite(&store, &table, std::time::Duration::from_secs(30)).await.unwrap();
        }
        scrub::samples(&store, std::time::Duration::from_secs(30)).await.unwrap();
    };
    background::runtime().spawn(scrubbing).await.unwrap();
    client.batch_execute("VACUUM (FULL) pg_catalog.pg_statistic").await.unwrap();
    // The server removes the files of what was rewritten with the next checkpoint.
    client.batch_execute("CHECKPOINT").await.unwrap();
    crate::support::patience::until("caches forget", async || {
        let found = objects_with(&data, &word);
        if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(objects_with(&cluster, &word), Vec::<String>::new(), "in the data folder");
    let manifest = Manifest::read(&objects(&app), &progress_service::objects::segment::Place { tenant: progress_service::model::TenantId::DEFAULT, month: march(), revision: 1 }).await.unwrap();
    assert!(manifest.erasure_stamp >= 1, "clean of it: {}", manifest.erasure_stamp);
    let rows = scan(&Segment::open(&objects(&app), manifest, None).unwrap()).await.unwrap();
    assert_eq!(rows.len(), LEARNERS * 7 - 6, "the others' statements, and the one that mentions her");
}
}
