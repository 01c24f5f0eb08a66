//! The owner of the service's objects is no superuser, also where an earlier release made the folder with one.

use std::{fs, path::Path};

use progress_service::{
    embedded::Embedded,
    migrate::{Runner, Settings, Verdict, modules, silent},
    model::Secret,
    store::Endpoint,
};

use super::{connect, folder, start, superuser, superuser_url, text};

async fn migrate(url: &Secret) {
    let endpoint = Endpoint { url: url.clone(), ca_file: None };
    let runner = Runner::new(modules::internal().unwrap(), endpoint, Settings::default());
    let verdict = runner.startup("test", &silent).await.unwrap();
    assert!(matches!(verdict, Verdict::Ready { .. }), "{verdict:?}");
}

/// Everything in the database that the superuser owns and is not the system's or an extension's.
async fn left_to_the_superuser(server: &Embedded, data: &Path) -> String {
    let client = superuser(server, data).await;
    let schemas =
        "(SELECT oid FROM pg_namespace WHERE nspname IN ('platform', 'ledger', 'progress', 'shop', 'public'))";
    let sql = format!(
        "SELECT concat_ws(' ',
            (SELECT string_agg(nspname, ' ') FROM pg_namespace WHERE oid IN {schemas} AND nspowner = 10),
            (SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace IN {schemas} AND relowner = 10),
            (SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace IN {schemas} AND proowner = 10),
            (SELECT string_agg(typname, ' ') FROM pg_type WHERE typnamespace IN {schemas} AND typowner = 10),
            (SELECT string_agg(policyname, ' ') FROM pg_policies WHERE 'progress_owner' = ANY (roles)),
            (SELECT string_agg(datname, ' ') FROM pg_database WHERE datname = 'progress' AND datdba = 10))"
    );
    text(&client, &sql).await
}

/// The service's own way through functions that run with their owner's rights.
async fn serves(server: &Embedded) {
    let service = connect(server.service_url()).await.unwrap();
    service
        .batch_execute(
            "SET ROLE progress_service; SELECT ledger.reserve(1), ledger.safe_bound(), platform.signing_key('more');
             SELECT * FROM platform.find_credential('nobody'); SELECT ledger.ensure_month(now() + interval '9 months')",
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_no_superuser_and_can_do_what_migrations_need() {
    let data = folder();
    let server = start(data.path()).await;
    migrate(server.owner_url()).await;
    serves(&server).await;
    assert_eq!(left_to_the_superuser(&server, data.path()).await, "");
    let owner = connect(server.owner_url()).await.unwrap();
    let might = "SELECT concat_ws(' ', CASE WHEN rolsuper THEN 'super' END, CASE WHEN rolcreaterole THEN 'roles' END,
        CASE WHEN rolbypassrls THEN 'bypass' END, CASE WHEN rolreplication THEN 'replication' END)
        FROM pg_roles WHERE rolname = current_user";
    assert_eq!(text(&owner, might).await, "");
    for refused in [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "ALTER ROLE progress_schema SUPERUSER",
        "SET session_replication_role = replica",
        "SELECT pg_read_file('postgresql.conf')",
    ] {
        assert!(owner.batch_execute(refused).await.is_err(), "{refused}");
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_whose_owner_was_the_superuser_is_taken_over() {
    let data = folder();
    let server = start(data.path()).await;
    // As an earlier release left it: everything the superuser's, and no other owner.
    migrate(&superuser_url(&server, data.path())).await;
    let admin = superuser(&server, data.path()).await;
    admin
        .batch_execute(
            "ALTER DATABASE progress OWNER TO progress_owner; DROP OWNED BY progress_schema;
             CREATE SCHEMA shop; CREATE TYPE shop.size AS ENUM ('s'); CREATE TYPE shop.pair AS (a int);
             CREATE TABLE shop.t (a serial, b int GENERATED ALWAYS AS IDENTITY, size shop.size);
             CREATE VIEW shop.v AS SELECT * FROM shop.t; CREATE STATISTICS shop.s ON a, b FROM shop.t;
             CREATE PROCEDURE shop.p() LANGUAGE sql AS 'SELECT 1'; CREATE EXTENSION pg_stat_statements SCHEMA shop;
             SELECT ledger.ensure_month(now())",
        )
        .await
        .unwrap();
    drop(admin);
    server.stop().await.unwrap();
    fs::remove_file(data.path().join("postgres/progress_schema.password")).unwrap();

    let server = start(data.path()).await;
    let left = left_to_the_superuser(&server, data.path()).await;
    let extension = |name: &str| name.starts_with("pg_stat_statements") || name.starts_with("_pg_stat_statements");
    assert_eq!(left.split(' ').find(|name| !extension(name)), None, "{left}");
    serves(&server).await;
    // The owner can go on: nothing is pending, and it may change what was somebody else's.
    migrate(server.owner_url()).await;
    let owner = connect(server.owner_url()).await.unwrap();
    owner.batch_execute("ALTER TABLE ledger.statements ADD COLUMN later int").await.unwrap();
    server.stop().await.unwrap();
}
