//! A run of migrations whose process is killed: the next one goes on with it.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    admin_migrations::{credential, plug_in},
    support::{
        app::{KEY, SECRET, send},
        http, patience,
        pg::TestDatabase,
        process::Service,
    },
};

async fn start(db: &TestDatabase, folder: &Path) -> Service {
    Service::start(&[
        ("PROGRESS_DATABASE_URL", &db.service_url()),
        ("PROGRESS_DATABASE_MIGRATION_URL", &db.owner_url()),
        ("PROGRESS_MIGRATIONS_PLUGIN_DIR", &folder.to_string_lossy()),
        ("PROGRESS_MIGRATIONS_LOCK_TRIES", "10000"),
    ])
    .await
}

async fn run(service: &Service, href: &str) -> Value {
    send(http::client().get(format!("{}{href}", service.url)).basic_auth(KEY, Some(SECRET))).await.expect(200).json()
}

on_each_server! {
    async fn a_run_whose_process_was_killed_is_gone_on_with(db: TestDatabase) {
        let folder = tempfile::tempdir().unwrap();
        plug_in(folder.path(), "CREATE INDEX t_a ON extra.t (a);");
        credential(&db).await;
        let mut service = start(&db, folder.path()).await;
        let superuser = db.superuser().await;
        superuser.batch_execute("BEGIN; LOCK TABLE extra.t IN ROW EXCLUSIVE MODE").await.unwrap();
        let request = http::client().post(format!("{}/api/v1/admin/migrations/run", service.url));
        let asked = request.basic_auth(KEY, Some(SECRET)).json(&json!({ "module": "extra", "force": true }));
        let started = send(asked).await.expect(202);
        let href = started.header("location");
        patience::until("the file in the lock's way", async || match run(&service, href).await {
            run if run["progress"]["blocked_by"].as_array().is_some_and(|others| !others.is_empty()) => Ok(()),
            run => Err(run),
        })
        .await;
        service.process.kill();
        let service = service.again().await;
        let running = run(&service, href).await;
        assert_eq!(running["state"], "running", "{running:#}");
        superuser.batch_execute("ROLLBACK").await.unwrap();
        // As if half a minute had passed.
        superuser.batch_execute("UPDATE platform.leases SET expires_at = '-infinity' WHERE name LIKE 'job/%'").await.unwrap();
        let done = patience::until("the end of the run", async || match run(&service, href).await {
            run if run["state"] == "running" => Err(run),
            run => Ok(run),
        })
        .await;
        assert_eq!((&done["state"], &done["outcome"]["done"][0]["file"]), (&json!("succeeded"), &json!("100_b.sql")), "{done:#}");
        let attempts = "SELECT attempts FROM platform.jobs";
        assert_eq!(superuser.query_one(attempts, &[]).await.unwrap().get::<_, i32>(0), 2);
    }
}
