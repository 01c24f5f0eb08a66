//! `progress-service jobs`: the same from the command line, with a service beside and without one.

use std::collections::BTreeMap;

use progress_service::{app::APPLIED_BY, model::Ids, store::platform::jobs::NewJob};
use serde_json::{Value, json};
use uuid::Uuid;

use super::put_job;
use crate::support::{app::TestApp, pg::TestDatabase, process::command};

struct Output {
    code: Option<i32>,
    lines: Vec<String>,
    words: String,
}

impl Output {
    fn states(&self) -> Vec<String> {
        let job =
            |line: &String| serde_json::from_str::<Value>(line).expect("JSON")["state"].as_str().unwrap().to_owned();
        self.lines.iter().map(job).collect()
    }
}

/// Runs the binary beside whatever else the test does.
async fn jobs(db: &TestDatabase, arguments: &[&str]) -> Output {
    let variables = [("PROGRESS_DATABASE_URL", db.service_url()), ("PROGRESS_DATABASE_MIGRATION_URL", db.owner_url())];
    let variables = BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value)));
    let mut command = command(&[&["jobs"], arguments].concat(), &variables);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Output { code: output.status.code(), lines: text.lines().map(str::to_owned).collect(), words }
}

/// A run of migrations that finds nothing to do, as this binary would ask for it.
async fn put_run(db: &TestDatabase) -> Uuid {
    let id = Ids::random().uuid();
    let modules = progress_service::migrate::modules::all(&[]).unwrap();
    let digest = progress_service::migrate::modules::digest(&modules);
    let parameters = json!({ "dry_run": true });
    let (kind, plan_digest) = (progress_service::migrate::jobs::KIND, Some(digest.as_str()));
    put_job(
        &db.store(),
        &NewJob { id, kind, tenant: None, by: APPLIED_BY, approved_by: None, parameters, plan_digest },
    )
    .await;
    id
}

async fn put(db: &TestDatabase) -> Uuid {
    let id = Ids::random().uuid();
    let job =
        NewJob { id, kind: "a", tenant: None, by: "test", approved_by: None, parameters: json!({}), plan_digest: None };
    put_job(&db.store(), &job).await;
    id
}

on_each_server! {
    async fn jobs_are_seen_and_steered_by_command(db: TestDatabase) {
        let id = put(&db).await.to_string();
        let json = jobs(&db, &["list", "--json", "--kind", "a"]).await;
        assert_eq!((json.code, json.states()), (Some(0), vec!["queued".to_owned()]), "{}", json.words);
        assert!(jobs(&db, &["list"]).await.lines[0].starts_with(&id));
        for (act, state) in [("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")] {
            let output = jobs(&db, &[act, &id, "--json"]).await;
            assert_eq!((output.code, output.states()), (Some(0), vec![state.to_owned()]), "{act}: {}", output.words);
        }
        let refused = jobs(&db, &["pause", &id]).await;
        assert!(refused.code == Some(1) && refused.words.contains("cannot be asked to pause"), "{}", refused.words);
        let shown = jobs(&db, &["show", &id]).await;
        assert!(shown.lines.join("\n").contains("asked for by test"), "{:?}", shown.lines);
        let nobody = jobs(&db, &["show", &Uuid::nil().to_string()]).await;
        assert!(nobody.code == Some(1) && nobody.words.contains("there is no job"), "{}", nobody.words);
        assert_eq!(jobs(&db, &["list", "--state", "ajar"]).await.code, Some(2));
        let followed = jobs(&db, &["follow", &id, "--json"]).await;
        assert_eq!((followed.code, followed.states()), (Some(1), vec!["cancelled".to_owned()]), "it was not done");
        let audit = "SELECT count(*) FROM platform.audit WHERE subject = $1 AND actor = 'command-line'";
        assert_eq!(db.superuser().await.query_one(audit, &[&id]).await.unwrap().get::<_, i64>(0), 3);
    }

    async fn what_no_service_takes_up_is_done_by_the_command(db: TestDatabase) {
        let id = put_run(&db).await.to_string();
        assert_eq!(jobs(&db, &["pause", &id]).await.code, Some(0));
        let done = jobs(&db, &["resume", &id, "--follow", "--json"]).await;
        assert_eq!(done.code, Some(0), "{}", done.words);
        assert!(done.words.contains("it is done here"), "{}", done.words);
        assert_eq!(done.states().first().map(String::as_str), Some("queued"));
        assert_eq!(done.states().last().map(String::as_str), Some("succeeded"));
    }

    async fn what_a_service_takes_up_is_followed_by_the_command(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let id = put_run(&app.db).await.to_string();
        let done = jobs(&app.db, &["follow", &id, "--json"]).await;
        assert_eq!((done.code, done.states().last().map(String::as_str)), (Some(0), Some("succeeded")), "{}", done.words);
        let done = app.service().rooms.edge.metrics.jobs.ended.with_label_values(&["migrations.run", "succeeded"]).get();
        assert_eq!(done, 1, "the service did it");
    }
}
