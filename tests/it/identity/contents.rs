//! Whose attachments a reader gets who does not see everything: those that came with the statement's own authority.

use reqwest::Method;
use serde_json::{Value, json};

use super::scopes::{ask, credential, post};
use crate::{
    support::app::{Answer, TestApp, send},
    xapi::attachments::{multipart, occurrences, with_attachment},
};

const SECRET: &[u8] = b"the answers to the examination";

fn by_url(n: u128) -> Value {
    let mut statement = with_attachment(n, SECRET);
    statement["attachments"][0]["fileUrl"] = json!("http://example.com/file");
    statement
}

async fn bring(app: &TestApp, who: &(String, String), statement: &Value) -> Answer {
    let request = ask(app, who, Method::POST, "/statements").header("Content-Type", "multipart/mixed; boundary=limit");
    send(request.body(multipart(statement, &[SECRET]))).await
}

/// How often the content comes with the statements that `who` sees.
async fn seen(app: &TestApp, who: &(String, String)) -> usize {
    let mut most = 0;
    for query in ["", "&format=ids", "&format=canonical"] {
        let answer =
            send(ask(app, who, Method::GET, &format!("/statements?attachments=true{query}"))).await.expect(200);
        most = most.max(occurrences(&answer.body, SECRET));
    }
    most
}

on_each_server! {
    async fn naming_a_hash_does_not_bring_its_bytes(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let scopes = ["statements/write", "statements/read/mine"];
        let (owner, thief) = (credential(&app, &scopes).await, credential(&app, &scopes).await);
        bring(&app, &owner, &with_attachment(1, SECRET)).await.expect(200);
        post(&app, &thief, &with_attachment(2, SECRET)).await.expect(400);
        post(&app, &thief, &by_url(2)).await.expect(200);
        let mut inside = by_url(3);
        inside["object"] = json!({"objectType": "SubStatement", "actor": inside["actor"], "verb": inside["verb"],
            "object": inside["object"]});
        inside["object"]["attachments"] = inside["attachments"].take();
        inside.as_object_mut().unwrap().remove("attachments");
        post(&app, &thief, &inside).await.expect(200);
        assert_eq!((seen(&app, &owner).await, seen(&app, &thief).await), (1, 0));
        // Who has the bytes has them.
        bring(&app, &thief, &by_url(4)).await.expect(200);
        assert_eq!(seen(&app, &thief).await, 1);
        assert_eq!(seen(&app, &credential(&app, &["statements/read"]).await).await, 1, "who sees everything");
    }

    async fn what_was_brought_before_anybody_noted_it_is_still_there(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let owner = credential(&app, &["statements/write", "statements/read/mine"]).await;
        bring(&app, &owner, &with_attachment(1, SECRET)).await.expect(200);
        app.db.superuser().await.execute("DELETE FROM ledger.attachment_bringers", &[]).await.unwrap();
        assert_eq!(seen(&app, &owner).await, 1);
    }
}
