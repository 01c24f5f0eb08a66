//! The database and the roles the service expects, made or mended at each start.
//!
//! The service logs in as a role that owns nothing. What it may do comes from group roles, to which the migrations
//! grant; the groups are made here as well, because the login must be in them before the first migration runs.

use tokio_postgres::{Client, error::SqlState};

use super::{
    cluster::OWNER,
    error::EmbeddedError,
    home::Home,
    server::{Plan, connect},
    settings::DATABASE,
};
use crate::model::{Ids, Secret};

/// As whom the service connects.
pub(super) const SERVICE: &str = "progress_app";
/// The roles that migrations grant rights to.
const GROUPS: [&str; 2] = ["progress_service", "progress_worker"];

/// Returns the service's password, newly drawn if the kept one was lost: the owner can always set another.
pub(super) async fn prepare(plan: &Plan, ids: &Ids) -> Result<Secret, EmbeddedError> {
    let client = connect(&plan.listen.url(OWNER, &plan.password, "postgres")).await?;
    let password = service_password(&plan.home, ids)?;
    // otherwise each start after the first is told what it grants again
    client.batch_execute("SET client_min_messages = warning").await?;
    for group in GROUPS {
        make_role(&client, group, "NOLOGIN").await?;
    }
    make_role(&client, SERVICE, "LOGIN").await?;
    for group in GROUPS {
        client.batch_execute(&format!("GRANT {group} TO {SERVICE}")).await?;
    }
    set_password(&client, &password).await?;
    make_database(&client).await?;
    Ok(password)
}

fn service_password(home: &Home, ids: &Ids) -> Result<Secret, EmbeddedError> {
    match home.password(SERVICE)? {
        Some(kept) => Ok(kept),
        None => home.new_password(SERVICE, ids),
    }
}

/// `CREATE ROLE` knows no `IF NOT EXISTS`.
async fn make_role(client: &Client, role: &str, login: &str) -> Result<(), tokio_postgres::Error> {
    let made = client.batch_execute(&format!("CREATE ROLE {role} {login} NOSUPERUSER NOCREATEDB NOCREATEROLE")).await;
    match made {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => Ok(()),
        made => made,
    }
}

/// The statement is kept out of `pg_stat_statements`, which stores such text as it comes. The password is hexadecimal
/// and safe to quote; one that someone wrote into the file by hand is quoted all the same.
async fn set_password(client: &Client, password: &Secret) -> Result<(), tokio_postgres::Error> {
    let quoted = password.expose().replace('\'', "''");
    let hush = "BEGIN; SET LOCAL pg_stat_statements.track_utility = off";
    client.batch_execute(hush).await?;
    client.batch_execute(&format!("ALTER ROLE {SERVICE} PASSWORD '{quoted}'")).await?;
    client.batch_execute("COMMIT").await
}

async fn make_database(client: &Client) -> Result<(), tokio_postgres::Error> {
    match client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        made => made,
    }
}
