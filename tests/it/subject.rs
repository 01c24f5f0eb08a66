//! What a person gets who asks for everything about them: an archive that public tools open, of all that is theirs and nothing else.

use std::{collections::BTreeMap, process::Command};

use serde_json::{Value, json};

use crate::{
    api::{ADA, Api, EVE},
    support::app::{TestApp, send},
    xapi::id,
};

/// The entries of an archive, as Python's own library reads and checks them.
fn entries(bytes: &[u8]) -> BTreeMap<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let script = "import sys, json, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
print(json.dumps({name: z.read(name).decode('utf-8') for name in z.namelist()}))";
    let output = Command::new("python3").arg("-c").arg(script).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn of(n: u128, user: &str, activity: &str) -> Value {
    json!({
        "id": id(n),
        "actor": {"account": {"homePage": "https://platform.example", "name": user}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
        "object": {"id": activity},
    })
}

const COURSE: &str = "http://example.com/courses/<b>&";

async fn filled(app: &TestApp) {
    let mut mention = of(3, EVE, "http://example.com/a");
    mention["context"] = json!({"instructor": {"account": {"homePage": "https://platform.example", "name": ADA}}});
    let all = json!([
        of(1, ADA, "http://example.com/a"),
        of(2, EVE, "http://example.com/a"),
        mention,
        of(4, ADA, "http://example.com/b")
    ]);
    app.post_statements(&all).await.expect(200);
    let agent = json!({"account": {"homePage": "https://platform.example", "name": ADA}}).to_string();
    for (resource, activity) in [("/agents/profile", None), ("/activities/state", Some("http://example.com/b"))] {
        let name = if activity.is_some() { "stateId" } else { "profileId" };
        let mut query = vec![("agent", agent.clone()), (name, COURSE.to_owned())];
        query.extend(activity.map(|activity| ("activityId", activity.to_owned())));
        let request = app.xapi(reqwest::Method::PUT, resource).query(&query).header("If-None-Match", "*");
        send(request.header("Content-Type", "text/plain").body("<script>alert(1)</script>")).await.expect(204);
    }
}

on_each_server! {
    async fn everything_about_a_person_and_nothing_of_others(db: TestDatabase) {
        let api = Api::start(db).await;
        filled(&api.app).await;
        let path = format!("/api/v1/users/{ADA}/export");
        let answer = api.app.get(&path).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/zip");
        let found = entries(&answer.body);
        let ids: Vec<_> = lines(&found["statements.ndjson"]).iter().map(|one| one["id"].clone()).collect();
        assert_eq!(ids, [json!(id(4)), json!(id(1))], "the newest first");
        assert!(!found.contains_key("mentions.ndjson"));
        let documents = lines(&found["documents.ndjson"]);
        assert_eq!(documents.len(), 2, "{documents:?}");
        assert!(documents.iter().all(|one| one["contentBase64"] == "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="));
        assert!(found["summary.html"].contains("<td>2</td>") && !found["summary.html"].contains("<script"));
        let named = entries(&api.app.get(&format!("{path}?mentions=true")).await.expect(200).body);
        let ids: Vec<_> = lines(&named["mentions.ndjson"]).iter().map(|one| one["id"].clone()).collect();
        assert_eq!(ids, [json!(id(3))]);
        let sql = "SELECT count(*) FROM platform.audit WHERE action = 'read.export' AND subject LIKE 'person:%'";
        let entries: i64 = api.app.db.superuser().await.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(entries, 2, "each export leaves an entry");
    }

    async fn a_person_gets_their_own_and_nobody_gets_a_stranger(db: TestDatabase) {
        let api = Api::start(db).await;
        filled(&api.app).await;
        let path = format!("/api/v1/users/{ADA}/export");
        let scopes = "statement:read transcript:read";
        let own = api.get_as(&api.token(ADA, scopes), &path).await.expect(200);
        assert_eq!(lines(&entries(&own.body)["statements.ndjson"]).len(), 2);
        api.get_as(&api.token(EVE, scopes), &path).await.expect(403);
        api.get_as(&api.token(ADA, "statement:read"), &path).await.expect(403);
        api.get_as(&api.token(ADA, scopes), &format!("{path}?mentions=true")).await.expect(403);
        api.get("/api/v1/users/00000000-0000-4000-8000-00000000dead/export").await.expect(404);
        api.get(&format!("{path}?everything=1")).await.expect(400);
    }
}
