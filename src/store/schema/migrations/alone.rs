//! Outside of a transaction.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio_postgres::{Row, types::ToSql};

use super::{
    ExecuteError,
    patience::{Waited, Waiting, patiently},
};
use crate::store::door::ddl::Session;

/// The session on which statements run outside a transaction, and how they wait.
pub(super) struct Door<'a> {
    session: &'a Session,
    waiting: Waiting<'a>,
    waited: Mutex<Waited>,
}

impl<'a> Door<'a> {
    pub fn new(session: &'a Session, waiting: Waiting<'a>) -> Self {
        Self { session, waiting, waited: Mutex::new(Waited { lost: Duration::ZERO, tries: 1 }) }
    }

    /// What was waited so far.
    pub fn waited(&self) -> Waited {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door<'_> {
    /// For a statement that everybody would queue behind.
    pub async fn briefly(&self, sql: &str) -> Result<(), ExecuteError> {
        self.patiently(|timeout| Box::pin(self.run(sql, timeout))).await
    }

    /// For a statement that lets everybody work: it waits as long as it has to.
    pub async fn concurrently(&self, sql: &str) -> Result<(), ExecuteError> {
        self.run(sql, Duration::ZERO).await
    }

    /// Does the work again as long as somebody is in its way.
    pub async fn patiently<'f>(
        &self,
        work: impl Fn(Duration) -> BoxFuture<'f, Result<(), ExecuteError>>,
    ) -> Result<(), ExecuteError> {
        let ((), Waited { lost, tries }) = patiently(self.waiting, work).await?;
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        (waited.lost, waited.tries) = (waited.lost + lost, waited.tries.max(tries));
        Ok(())
    }

    pub async fn row(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, ExecuteError> {
        self.session.client().query_opt(sql, values).await.map_err(|e| ExecuteError::of("", &e))
    }

    async fn run(&self, sql: &str, lock_timeout: Duration) -> Result<(), ExecuteError> {
        let set = format!("SET lock_timeout = {}", lock_timeout.as_millis());
        let client = self.session.client();
        client.batch_execute(&set).await.map_err(|e| ExecuteError::of("", &e))?;
        client.batch_execute(sql).await.map_err(|e| ExecuteError::of(sql, &e))
    }
}
