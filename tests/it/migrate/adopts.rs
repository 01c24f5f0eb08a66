//! Histories of other tools: recognised, compared, taken over once.

use progress_service::migrate::{Verdict, adopt::AdoptRequest, silent};
use tokio_postgres::Client;

use super::fixture::{count, history, module, runner, sql};

fn files() -> Vec<(&'static str, String)> {
    vec![
        ("001_init.sql", sql("CREATE TABLE alpha.t (a int);")),
        ("002_users.sql", sql("CREATE TABLE alpha.users (a int);")),
        ("100_later.sql", sql("CREATE TABLE alpha.later (a int);")),
    ]
}

fn request(apply: bool) -> AdoptRequest {
    AdoptRequest { module: "alpha".into(), by: "test".into(), apply, ..AdoptRequest::default() }
}

async fn refinery_history(client: &Client, rows: &str) {
    let sql = format!(
        "CREATE SCHEMA alpha; CREATE TABLE alpha.t (a int); CREATE TABLE alpha.users (a int);
         CREATE TABLE alpha.refinery_schema_history (version int4 PRIMARY KEY, name varchar(255),
             applied_on varchar(255), checksum varchar(255));
         INSERT INTO alpha.refinery_schema_history VALUES {rows}"
    );
    client.batch_execute(&sql).await.unwrap();
}

const TWO: &str = "(1, 'init', '2024-03-01T10:00:00Z', '1'), (2, 'users', '2024-04-01T10:00:00Z', '2')";

on_each_server! {
    async fn a_refinery_history_keeps_its_times(db: TestDatabase) {
        let client = db.owner().await;
        refinery_history(&client, TWO).await;
        let runner = runner(&db, vec![module("alpha", &files())]);
        match runner.startup("node", &silent).await.unwrap() {
            Verdict::Refuse { why } => assert!(why[0].contains("alpha.refinery_schema_history; adopt it"), "{why:?}"),
            other => panic!("{other:?}"),
        }
        let plan = runner.adopt(&request(false), &silent).await.unwrap();
        assert_eq!((plan.matched.len(), plan.applied, plan.pending), (2, false, vec!["100_later.sql".to_owned()]));
        assert_eq!(
            count(&client, "pg_class WHERE relname = 'schema_migrations' AND relnamespace = 'alpha'::regnamespace")
                .await,
            0
        );
        assert!(runner.adopt(&request(true), &silent).await.unwrap().applied);
        assert_eq!(history(&client, "alpha").await, ["001_init.sql", "002_users.sql"]);
        let row = "SELECT applied_at = '2024-03-01T10:00:00Z', applied_by, checksum FROM alpha.schema_migrations ORDER BY 1 DESC";
        let row = client.query(row, &[]).await.unwrap().remove(0);
        assert!(row.get::<_, bool>(0) && row.get::<_, String>(1) == "legacy:alpha.refinery_schema_history");
        assert_eq!(row.get::<_, String>(2), runner.modules()[0].files[0].checksum);
        assert!(
            matches!(runner.startup("node", &silent).await.unwrap(), Verdict::Maintenance { pending, .. }
                if pending == ["alpha/100_later.sql"])
        );
        let again = runner.adopt(&request(true), &silent).await.unwrap_err();
        assert!(again.to_string().contains("adopted once"), "{again}");
    }

    async fn a_plain_table_in_the_way_is_renamed_and_kept(db: TestDatabase) {
        let client = db.owner().await;
        client.batch_execute(
            "CREATE SCHEMA alpha; CREATE TABLE alpha.t (a int); CREATE TABLE alpha.users (a int);
             CREATE TABLE alpha.schema_migrations (name text PRIMARY KEY, applied_at timestamp);
             INSERT INTO alpha.schema_migrations VALUES ('001_init', '2024-03-01 10:00'),
                 ('20240401_users.sql', '2024-04-01 10:00')",
        ).await.unwrap();
        let runner = runner(&db, vec![module("alpha", &files()[..2])]);
        assert!(
            matches!(runner.startup("node", &silent).await.unwrap(), Verdict::Refuse { why } if why[0].contains("another \
                tool's history"))
        );
        assert!(runner.adopt(&request(true), &silent).await.unwrap().applied);
        assert_eq!(history(&client, "alpha").await, ["001_init.sql", "002_users.sql"]);
        assert_eq!(count(&client, "alpha.schema_migrations_legacy").await, 2);
        assert_eq!(runner.startup("node", &silent).await.unwrap(), Verdict::Ready { applied: 0 });
    }

    async fn rows_without_files_are_reported_and_nothing_is_adopted(db: TestDatabase) {
        let client = db.owner().await;
        refinery_history(&client, &format!("{TWO}, (3, 'gone', '2024-05-01T10:00:00Z', '3')")).await;
        let runner = runner(&db, vec![module("alpha", &files())]);
        assert_eq!(runner.adopt(&request(false), &silent).await.unwrap().without_file, ["V3__gone"]);
        assert!(runner.adopt(&request(true), &silent).await.is_err());
        assert_eq!(
            count(&client, "pg_class WHERE relname = 'schema_migrations' AND relnamespace = 'alpha'::regnamespace")
                .await,
            0
        );
    }
}
