//! The database and the roles the service expects, made or mended at each start.
//!
//! The service logs in as a role that owns nothing, and migrations as one that owns the database and is no superuser: who
//! comes to run code as the owner has the service's data, not the server and the machine. What the service may do comes
//! from group roles, to which the migrations grant; the groups are made here as well, because both logins must be in them
//! before the first migration runs.

use tokio_postgres::{Client, error::SqlState};

use super::{
    cluster::SUPERUSER,
    error::EmbeddedError,
    home::Home,
    server::{Plan, connect},
    settings::DATABASE,
    takeover,
};
use crate::model::{Ids, Secret};

/// As whom the service connects.
pub(super) const SERVICE: &str = "progress_app";
/// As whom migrations connect: the owner of the database and of all the service's objects.
pub(super) const OWNER: &str = "progress_schema";
/// The roles that migrations grant rights to.
const GROUPS: [&str; 5] =
    ["progress_service", "progress_ingest", "progress_worker", "progress_eraser", "progress_retention"];

/// How the two logins prove who they are.
pub(super) struct Passwords {
    pub owner: Secret,
    pub service: Secret,
}

/// Returns the logins' passwords, newly drawn where the kept ones were lost: the superuser can always set others.
pub(super) async fn prepare(plan: &Plan, ids: &Ids) -> Result<Passwords, EmbeddedError> {
    let superuser = |database: &str| plan.listen.url(SUPERUSER, &plan.password, database);
    let client = connect(&superuser("postgres")).await?;
    let passwords =
        Passwords { owner: password(&plan.home, OWNER, ids)?, service: password(&plan.home, SERVICE, ids)? };
    // otherwise each start after the first is told what it grants again
    client.batch_execute("SET client_min_messages = warning").await?;
    for group in GROUPS {
        make_role(&client, group, "NOLOGIN").await?;
    }
    // CREATEDB: the replay of all migrations makes databases of its own. pg_monitor: before a migration, the owner looks
    // at the transactions of others.
    make_role(&client, OWNER, "LOGIN CREATEDB").await?;
    make_role(&client, SERVICE, "LOGIN").await?;
    let groups = GROUPS.join(", ");
    client.batch_execute(&format!("GRANT {groups} TO {SERVICE}; GRANT {groups}, pg_monitor TO {OWNER}")).await?;
    set_password(&client, OWNER, &passwords.owner).await?;
    set_password(&client, SERVICE, &passwords.service).await?;
    make_database(&client).await?;
    takeover::run(&connect(&superuser(DATABASE)).await?, SUPERUSER, OWNER).await?;
    Ok(passwords)
}

fn password(home: &Home, role: &str, ids: &Ids) -> Result<Secret, EmbeddedError> {
    match home.password(role)? {
        Some(kept) => Ok(kept),
        None => home.new_password(role, ids),
    }
}

/// `CREATE ROLE` knows no `IF NOT EXISTS`.
async fn make_role(client: &Client, role: &str, rights: &str) -> Result<(), tokio_postgres::Error> {
    match client.batch_execute(&format!("CREATE ROLE {role} {rights}")).await {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_OBJECT) => Ok(()),
        made => made,
    }
}

/// The statement is kept out of `pg_stat_statements`, which stores such text as it comes. The password is hexadecimal
/// and safe to quote; one that someone wrote into the file by hand is quoted all the same.
async fn set_password(client: &Client, role: &str, password: &Secret) -> Result<(), tokio_postgres::Error> {
    let quoted = password.expose().replace('\'', "''");
    let hush = "BEGIN; SET LOCAL pg_stat_statements.track_utility = off";
    client.batch_execute(hush).await?;
    client.batch_execute(&format!("ALTER ROLE {role} PASSWORD '{quoted}'")).await?;
    client.batch_execute("COMMIT").await
}

async fn make_database(client: &Client) -> Result<(), tokio_postgres::Error> {
    match client.batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER {OWNER}")).await {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => {
            client.batch_execute(&format!("ALTER DATABASE {DATABASE} OWNER TO {OWNER}")).await
        }
        made => made,
    }
}
