//! Finds out at the start whether a pooler stands between that gives each transaction another session.
//!
//! A session is marked; then another one's transaction is held open, so that the pooler has to show whose session is
//! whose. A mark that is gone, or that the other session shows, is proof. Direct connections and poolers in session mode
//! never do either, and where an answer does not come in time nothing is said.

use std::time::Duration;

use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use crate::store::{Endpoint, StoreError};

/// Among other clients one round may be lucky.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(3);

const MARK: &str = "/* pooler::mark_session */ SELECT set_config('app.session', gen_random_uuid()::text, false)";
const SHOW: &str = "/* pooler::show_session */ SELECT current_setting('app.session', true)";

/// Fails with [`StoreError::MixedSessions`] where one of the ways leads through such a pooler.
pub async fn own_sessions<'e>(endpoints: impl IntoIterator<Item = &'e Endpoint>) -> Result<(), StoreError> {
    let mut looked_at: Vec<&str> = Vec::new();
    for endpoint in endpoints {
        if looked_at.contains(&endpoint.url.expose()) {
            continue;
        }
        looked_at.push(endpoint.url.expose());
        if are_mixed(endpoint).await? {
            return Err(StoreError::MixedSessions);
        }
    }
    Ok(())
}

async fn are_mixed(endpoint: &Endpoint) -> Result<bool, StoreError> {
    let one = Session::connect(endpoint).await?;
    // A pooler in session mode with a single session left lets the second wait.
    let Ok(other) = timeout(PATIENCE, Session::connect(endpoint)).await else { return Ok(false) };
    let other = other?;
    for _ in 0..ROUNDS {
        let Ok(found) = timeout(PATIENCE, round(&one.client, &other.client)).await else { return Ok(false) };
        if found.map_err(|e| StoreError::from_pg("own_sessions", &e))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Simple queries, because prepared ones are among what such a pooler loses.
async fn round(one: &Client, other: &Client) -> Result<bool, Error> {
    let mark = answer(one, MARK).await?;
    if answer(one, SHOW).await? != mark {
        return Ok(true);
    }
    other.batch_execute("BEGIN").await?;
    if answer(other, SHOW).await? == mark {
        return Ok(true);
    }
    let found = answer(one, SHOW).await? != mark;
    other.batch_execute("ROLLBACK").await?;
    Ok(found)
}

async fn answer(client: &Client, sql: &str) -> Result<Option<String>, Error> {
    let rows = client.simple_query(sql).await?;
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(row.map(str::to_owned))
}

/// Closed when it is dropped.
struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    async fn connect(endpoint: &Endpoint) -> Result<Self, StoreError> {
        let (mut config, tls) = endpoint.resolve("progress_probe")?;
        config.connect_timeout(PATIENCE);
        let (client, connection) = config.connect(tls).await.map_err(|e| StoreError::from_pg("own_sessions", &e))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection that was tried ended");
            }
        });
        Ok(Self { client, driver })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
