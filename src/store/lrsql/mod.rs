//! Somebody else's database: the one of a SQL LRS (lrsql), on a session of its own that reads and cannot write.
//!
//! Nothing of ours is in it, so nothing here goes through `run_tx`. Each question is a short transaction: a long one would keep
//! the other side from cleaning its tables.

mod rows;

pub use rows::{Attachment, Content, Credential, Document, Statement};

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::{Client, Config, Row, config::Host, types::ToSql};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::{Endpoint, StoreError, door::tx::column};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Of the data that are taken.
const DATA: [&str; 6] =
    ["xapi_statement", "attachment", "actor", "state_document", "agent_profile_document", "activity_profile_document"];
/// Who may take the data need not be allowed to see these.
const LOGINS: [&str; 2] = ["lrs_credential", "credential_to_scope"];

/// Whoever reads here cannot write by mistake: each transaction says so again.
const SETUP: &str = "SET default_transaction_read_only = on; SET statement_timeout = '10min'; SET jit = off";

const TABLES: &str = "/* lrsql::tables */
    SELECT t.name, to_regclass(t.name) IS NOT NULL AS is_there,
        coalesce(has_table_privilege(to_regclass(t.name)::oid, 'SELECT'), false) AS is_readable
    FROM unnest($1::text[]) AS t (name)";

const COUNTS: &str = "/* lrsql::counts */
    SELECT count(*) AS statements, count(*) FILTER (WHERE is_voided) AS voided,
        (SELECT count(*) FROM attachment) AS attachments,
        (SELECT coalesce(sum(content_length), 0)::bigint FROM attachment) AS attachment_bytes,
        (SELECT count(*) FROM state_document) AS states,
        (SELECT count(*) FROM agent_profile_document) AS agent_profiles,
        (SELECT count(*) FROM activity_profile_document) AS activity_profiles
    FROM xapi_statement WHERE id > $1 /* after */";

/// Which tables are not as they have to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub missing: Vec<String>,
    /// They are there, and this login may not read them.
    pub closed: Vec<String>,
    /// Whether credentials may be read.
    pub has_logins: bool,
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Behind the one that was asked for.
    pub statements: i64,
    /// Of those: voided by another one.
    pub voided: i64,
    pub attachments: i64,
    pub attachment_bytes: i64,
    pub states: i64,
    pub agent_profiles: i64,
    pub activity_profiles: i64,
}

/// A session in lrsql's database.
pub struct Session {
    client: Client,
    _driver: AbortOnDropHandle<()>,
    place: String,
}

impl Session {
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, StoreError> {
        let (mut config, tls) = endpoint.resolve("progress_lrsql")?;
        config.connect_timeout(CONNECT_TIMEOUT).keepalives_idle(Duration::from_secs(30));
        let failed = |error| StoreError::from_pg("lrsql_connect", &error);
        let (client, connection) = config.connect(tls).await.map_err(failed)?;
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to lrsql's database ended");
            }
        }));
        client.batch_execute(SETUP).await.map_err(failed)?;
        Ok(Self { client, _driver: driver, place: place(&config) })
    }

    /// Where it is: host, port and name, and nothing that lets anybody in.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Looks whether the tables are there.
    pub async fn tables(&mut self) -> Result<Tables, StoreError> {
        let wanted: Vec<&str> = DATA.into_iter().chain(LOGINS).collect();
        let mut tables = Tables { has_logins: true, ..Tables::default() };
        for row in self.rows("lrsql_tables", TABLES, &[&wanted]).await? {
            let name: String = column(&row, "name")?;
            let is_readable: bool = column(&row, "is_readable")?;
            if !column::<bool>(&row, "is_there")? {
                tables.missing.push(name);
            } else if !is_readable && LOGINS.contains(&name.as_str()) {
                tables.has_logins = false;
            } else if !is_readable {
                tables.closed.push(name);
            }
        }
        Ok(tables)
    }

    pub async fn counts(&mut self, after: Uuid) -> Result<Counts, StoreError> {
        let rows = self.rows("lrsql_counts", COUNTS, &[&after]).await?;
        let none = || StoreError::Shape { name: "lrsql_counts", detail: "no row".to_owned() };
        let row = rows.first().ok_or_else(none)?;
        Ok(Counts {
            statements: column(row, "statements")?,
            voided: column(row, "voided")?,
            attachments: column(row, "attachments")?,
            attachment_bytes: column(row, "attachment_bytes")?,
            states: column(row, "states")?,
            agent_profiles: column(row, "agent_profiles")?,
            activity_profiles: column(row, "activity_profiles")?,
        })
    }

    /// One question in a transaction that only reads.
    async fn rows(
        &mut self,
        name: &'static str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let failed = |error| StoreError::from_pg(name, &error);
        let tx = self.client.build_transaction().read_only(true).start().await.map_err(failed)?;
        let rows = tx.query(sql, parameters).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(rows)
    }
}

fn place(config: &Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or_else(|| ports.last()).copied().unwrap_or(5432);
    let hosts: Vec<String> =
        config.get_hosts().iter().enumerate().map(|(at, one)| format!("{}:{}", host(one), port(at))).collect();
    format!("{}/{}", hosts.join(","), config.get_dbname().or_else(|| config.get_user()).unwrap_or_default())
}

/// A moment as microseconds since 1970, in which moments with and without a zone are the same: without one it is UTC.
fn moment(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    let none = || StoreError::Shape { name: "lrsql", detail: format!("{micros} is no moment") };
    DateTime::from_timestamp_micros(micros).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lets_nobody_in() {
        let of = |url: &str| place(&url.parse().unwrap());
        assert_eq!(of("postgres://me:hunter2@db.example:5433/lrs"), "db.example:5433/lrs");
        assert_eq!(of("postgres://me:hunter2@one,two/lrs"), "one:5432,two:5432/lrs");
        assert_eq!(of("postgres://me:hunter2@db.example"), "db.example:5432/me");
    }
}
