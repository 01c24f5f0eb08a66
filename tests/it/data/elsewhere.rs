//! Statements that were somebody else's: files of other times and systems, and what another LRS has.

use std::fs;

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Desk, count};
use crate::support::app::{KEY, SECRET, TestApp, send};

/// Statements of other times and systems.
fn elsewhere() -> Vec<Value> {
    let of = |n: u32, more: Value| {
        let mut one = json!({"id": format!("33330000-0000-4000-8000-{n:012}"), "actor": {"mbox": "mailto:ann@x.example"},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"}, "object": {"id": "http://x.example/course"},
            "stored": "2024-05-06T07:08:09Z", "timestamp": "2024-05-06T07:08:08Z", "version": "1.0.2"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    let old = of(
        2,
        json!({"verb": "passed", "version": "0.95", "actor": {"objectType": "Person", "name": ["Bob"], "mbox": ["bob@x.example"]}}),
    );
    let mut bare = of(3, json!({}));
    bare.as_object_mut().unwrap().retain(|name, _| !["id", "stored", "version"].contains(&name.as_str()));
    let locker =
        json!({"_id": {"$oid": "5"}, "hash": "h", "statement": of(4, json!({"stored": "2024-06-01T00:00:00.5Z"}))});
    vec![of(1, json!({})), old, bare, locker, of(5, json!({"version": "1.0.0"}))]
}

/// Of the content that is attached.
const SHA2: &str = "8cd3c5234d834b7dfe992760e4993ed372a5ca97def0057d4d42c0a9b87e3575";

on_each_server! {
    async fn statements_from_elsewhere_come_in_todays_form(db: TestDatabase) {
        let desk = Desk::new();
        desk.done(&db, "tenants create acme");
        let lines = |statements: &[Value]| statements.iter().map(|one| format!("{one}\n")).collect::<String>();
        fs::write(desk.path("old.ndjson"), lines(&elsewhere())).unwrap();
        assert!(desk.refused(&db, "data import --file @/old.ndjson").contains("say with --tenant"));
        let why = desk.refused(&db, "data import --file @/old.ndjson --tenant acme");
        assert!(why.contains("old.ndjson:1: ") && why.contains("has no authority") && why.contains("[past]"), "{why}");
        let import = r#"data import --file @/old.ndjson --tenant acme --authority {"account":{"homePage":"http://old.example","name":"lrs"}}"#;
        let plan = desk.done(&db, import);
        assert_eq!((&plan["plan"]["statements"], &plan["plan"]["upgraded"]["verb"], &plan["plan"]["upgraded"]["learning-locker"]), (&json!(5), &json!(1), &json!(1)), "{plan}");
        let eyes = db.superuser().await;
        assert_eq!(count(&eyes, "ledger.statement_ids").await, 0);
        let done = desk.done(&db, &format!("{import} --apply"));
        assert_eq!((&done["done"]["new"], &done["done"]["moved"]), (&json!(5), &json!(2)), "each its own microsecond: {done}");
        assert_eq!(count(&eyes, "(SELECT DISTINCT stored FROM ledger.statements) s").await, 5);
        assert_eq!(count(&eyes, "ledger.statements WHERE payload LIKE '%verbs/passed%' AND payload LIKE '%\"mbox\":\"mailto:bob@x.example\"%'").await, 1);
        assert_eq!(count(&eyes, "ledger.statements WHERE stored = '2024-06-01T00:00:00.5Z'").await, 1);
        // The same in other forms is the same.
        let all = elsewhere();
        fs::write(desk.path("old.ndjson"), json!(all).to_string()).unwrap();
        let again = desk.done(&db, &format!("{import} --apply"));
        assert_eq!((&again["done"]["new"], &again["done"]["same"]), (&json!(0), &json!(5)), "{again}");

        let mut other = all[0].clone();
        other["verb"] = json!({"id": "http://x.example/other"});
        for (bad, words) in [
            (lines(&[all[0].clone(), json!({"actor": {}, "stored": "2024-01-01T00:00:00Z"})]), [":2", "/actor", "["]),
            (lines(std::slice::from_ref(&other)), [":1", "another statement has this id already", "[another-statement]"]),
            (lines(&[all[4].clone(), {let mut twin = other.clone(); twin["id"] = all[4]["id"].clone(); twin}]), [":2", "another statement before it", "[id]"]),
            ("{\"id\": 1}\n{\n".to_owned(), [":2", "EOF", "[json]"]),
        ] {
            fs::write(desk.path("old.ndjson"), bad).unwrap();
            let why = desk.refused(&db, &format!("{import} --apply"));
            assert!(words.iter().all(|word| why.contains(word)) && why.contains("nothing was done"), "{words:?}: {why}");
        }
        assert_eq!(count(&eyes, "ledger.statement_ids").await, 5);
        desk.done(&db, "data validate --tenant acme");
    }

    async fn what_another_instance_has_is_pulled(db: TestDatabase) {
        let desk = Desk::new();
        let source = TestApp::start(db).await;
        let of = |n: u32| json!({"id": format!("44440000-0000-4000-8000-{n:012}"), "actor": {"mbox": format!("mailto:l{}@x.example", n % 5)},
            "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"}, "object": {"id": format!("http://x.example/{}", n % 7)}, "timestamp": "2026-01-02T03:04:05.000000Z"});
        let all: Vec<Value> = (0..60).map(of).collect();
        source.post_statements(&json!(all)).await.expect(200);
        let content = "bytes of a certificate";
        let mut signed = of(100);
        signed["attachments"] = json!([{"usageType": "http://x.example/certificate", "display": {"en": "C"}, "contentType": "text/plain",
            "length": content.len(), "sha2": SHA2}]);
        let body = format!("--b\r\nContent-Type: application/json\r\n\r\n{signed}\r\n--b\r\nContent-Type: text/plain\r\n\
            Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {SHA2}\r\n\r\n{content}\r\n--b--\r\n");
        let request = source.xapi(reqwest::Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=b");
        send(request.body(body)).await.expect(200);

        let target = TestDatabase::new(source.db.server()).await;
        desk.done(&target, "tenants create acme");
        fs::write(desk.path("login"), format!("{KEY}:{SECRET}\n")).unwrap();
        let pull = format!("data pull --endpoint {}/xapi --login @/login --tenant acme --cursor @/cursor --page 25 --per-second 100", source.url);
        let plan = desk.done(&target, &pull);
        assert_eq!((&plan["plan"]["version"], desk.path("cursor").exists()), (&json!("2.0.0"), false), "{plan}");
        let done = desk.done(&target, &format!("{pull} --apply"));
        assert_eq!((&done["done"]["taken"]["new"], &done["done"]["attachments"]), (&json!(61), &json!(1)), "{done}");
        let eyes = target.superuser().await;
        let theirs = "SELECT id, stored, payload FROM ledger.statements ORDER BY id";
        let rows = async |client: &Client| -> Vec<String> {
            let rows = client.query(&format!("SELECT t::text FROM ({theirs}) t"), &[]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        };
        assert_eq!(rows(&eyes).await, rows(&source.db.superuser().await).await, "to the microsecond and the byte");
        assert_eq!(count(&eyes, "ledger.attachment_pieces").await, 1);
        desk.done(&target, "data validate --tenant acme");

        // Once more, and only what is new comes.
        source.post_statements(&json!([of(200)])).await.expect(200);
        let more = desk.done(&target, &format!("{pull} --apply"));
        assert_eq!((&more["done"]["taken"]["new"], more["done"]["read"].as_u64() <= Some(62)), (&json!(1), true), "{more}");
        assert_eq!(count(&eyes, "ledger.statements").await, 62);

        fs::write(desk.path("login"), "nobody:wrong").unwrap();
        assert!(desk.refused(&target, &format!("{pull} --apply")).contains("401"));
        fs::write(desk.path("login"), "no colon").unwrap();
        assert!(desk.refused(&target, &pull).contains("key:secret was expected"));
        desk.done(&target, "tenants create other");
        fs::write(desk.path("login"), format!("{KEY}:{SECRET}\n")).unwrap();
        assert!(desk.refused(&target, &pull.replace("acme", "other")).contains("it is of a pull from"));
        let nobody = pull.replace(&source.url, "http://127.0.0.1:9");
        assert!(desk.refused(&target, &nobody.replace("--cursor @/cursor ", "")).contains("the other LRS"));
    }
}
