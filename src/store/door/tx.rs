//! A transaction from BEGIN to COMMIT, and what can be asked within it.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use deadpool_postgres::{ClientWrapper, Object};
use futures_util::{
    SinkExt, TryStreamExt,
    future::{BoxFuture, join, join_all},
    pin_mut,
};
use tokio::time::timeout;
use tokio_postgres::{Row, Statement, types::ToSql};

use crate::model::{Lease, TenantId};
use crate::store::{
    As, StoreError,
    door::{
        error::AsStoreError,
        failure::{Failure, Repeats},
        witness::{WITNESS, Witness},
    },
};

/// A transaction in progress. Statements are prepared once per connection and found by name in `pg_stat_statements`.
///
/// Its connection goes back to the pool only after a clean end. If the caller goes away in the middle, or a statement
/// was cancelled, nobody knows what state the session is in, so it is closed.
///
/// `'w` is the lifetime of what the work borrows: it lets the work's future hold on to its surroundings.
pub struct Tx<'w> {
    session: Session,
    name: &'static str,
    /// How long one answer may take.
    patience: Duration,
    /// How long the server may work on one statement, where that is not what its session has.
    longest: Option<Duration>,
    /// Set by any failed statement: PostgreSQL would turn a later COMMIT into a silent ROLLBACK.
    failed: AtomicBool,
    /// COMMIT is sent; whatever came now would stand outside of any transaction.
    over: AtomicBool,
    /// Under which the work is done, if under one.
    lease: Option<Lease>,
    surroundings: PhantomData<&'w ()>,
}

/// The connection, taken out of the pool for good when dropped before `give_back`.
struct Session(Option<Object>);

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

impl<'w> Tx<'w> {
    pub(in crate::store) fn on(connection: Object, name: &'static str, patience: Duration) -> Self {
        let (failed, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let session = Session(Some(connection));
        Self { session, name, patience, longest: None, failed, over, lease: None, surroundings: PhantomData }
    }

    pub(in crate::store) fn at_most(self, longest: Option<Duration>) -> Self {
        Self { longest, ..self }
    }

    pub(in crate::store) fn under(self, lease: Option<Lease>) -> Self {
        Self { lease, ..self }
    }

    pub(in crate::store) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// From BEGIN to COMMIT, or to ROLLBACK where the work refuses.
    pub(in crate::store) async fn run<T, E>(
        &self,
        whom: As,
        repeats: Repeats,
        work: &impl for<'t> Fn(&'t Tx<'w>) -> BoxFuture<'t, Result<T, E>>,
    ) -> Result<T, Failure<T, E>>
    where
        E: From<StoreError> + AsStoreError,
    {
        // Pipelined: the transaction stands and the tenant is set by the time the first statement of `work`
        // runs, at no extra round trip. `begin` is polled first, so its message is always sent first.
        let (begun, result) = join(self.begin(whom, repeats), work(self)).await;
        let witness = begun.map_err(Failure::of)?;
        match result {
            Ok(value) if !self.is_over() => match self.commit().await {
                Ok(()) => Ok(value),
                Err(error) => Err(Failure { value: Some(value), witness, ..Failure::of(error) }),
            },
            Ok(value) => Ok(value),
            Err(error) => {
                if error.as_store_error().is_none() && !self.is_over() {
                    self.batch("ROLLBACK").await.map_err(Failure::of)?;
                }
                Err(Failure { witness, ..Failure::of(error) })
            }
        }
    }

    /// BEGIN, and where somebody may ask for it later, what this transaction will be known by.
    async fn begin(&self, whom: As, repeats: Repeats) -> Result<Option<Witness>, StoreError> {
        let begin = begin(whom, self.longest);
        match repeats {
            Repeats::Freely => self.batch(&begin).await.map(|()| None),
            Repeats::WhenAborted => {
                let sql = format!("{begin}; {WITNESS}");
                let answers = self.answered(self.client()?.simple_query(&sql)).await?;
                Ok(Witness::read(&answers))
            }
        }
    }

    fn client(&self) -> Result<&ClientWrapper, StoreError> {
        if self.is_over() {
            let detail = "a statement came after the last ones".to_owned();
            return Err(StoreError::Shape { name: self.name, detail });
        }
        self.session.0.as_deref().ok_or(StoreError::Busy)
    }

    pub(in crate::store) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(in crate::store) fn give_back(mut self) {
        drop(self.session.0.take());
    }

    /// Sets the tenant for the rest of this transaction.
    pub async fn set_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.batch(&format!("SET LOCAL app.tenant_id = '{tenant}'")).await
    }

    /// Names the tenants for which a transaction of [`As::Group`] may add rows, and how long it waits for a lock that one of
    /// them may have caused.
    pub async fn set_tenants(&self, tenants: &[TenantId], longest_wait: Duration) -> Result<(), StoreError> {
        let names: Vec<String> = tenants.iter().map(TenantId::to_string).collect();
        let (names, wait) = (names.join(","), longest_wait.as_millis());
        self.batch(&format!("SET LOCAL app.tenant_ids = '{{{names}}}'; SET LOCAL lock_timeout = {wait}")).await
    }

    /// Does the rest of this transaction on somebody else's behalf.
    pub(in crate::store) async fn act_as(&self, whom: As) -> Result<(), StoreError> {
        let tenant = whom.tenant().map(|tenant| tenant.to_string()).unwrap_or_default();
        self.batch(&format!("SET LOCAL ROLE {}; SET LOCAL app.tenant_id = '{tenant}'", whom.role())).await
    }

    pub async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepare(sql).await?;
        self.answered(self.client()?.query(&statement, params)).await
    }

    pub async fn query_opt(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, StoreError> {
        let statement = self.prepare(sql).await?;
        self.answered(self.client()?.query_opt(&statement, params)).await
    }

    pub async fn query_one(&self, sql: &str, params: &[Param<'_>]) -> Result<Row, StoreError> {
        let statement = self.prepare(sql).await?;
        self.answered(self.client()?.query_one(&statement, params)).await
    }

    /// The last statements of the transaction, with its COMMIT behind them in one flight: answers the rows of each once
    /// all is durable. If one of them fails PostgreSQL makes a ROLLBACK of the COMMIT, and the error is answered.
    pub async fn last(&self, statements: &[(&str, &[Param<'_>])]) -> Result<Vec<Vec<Row>>, StoreError> {
        // First all preparing, which may wait: once the first statement is sent, nothing may come before the COMMIT.
        let mut prepared = Vec::with_capacity(statements.len());
        for (sql, params) in statements {
            prepared.push((self.prepare(sql).await?, *params));
        }
        if self.failed.load(Ordering::Relaxed) {
            return Err(self.ignored_failure());
        }
        let client = self.client()?;
        self.over.store(true, Ordering::Relaxed);
        // Each is sent when it is first polled, and they are polled in this order.
        let answers = join_all(prepared.iter().map(|(statement, params)| client.query(statement, params)));
        let flight = async {
            let (answers, committed) = join(answers, client.batch_execute("COMMIT")).await;
            let rows = answers.into_iter().collect::<Result<_, _>>()?;
            committed.map(|()| rows)
        };
        self.answered(flight).await
    }

    /// Calls `each` for every row as it arrives, so that a large answer never stands in memory whole.
    pub async fn for_each(
        &self,
        sql: &str,
        params: &[Param<'_>],
        mut each: impl FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare(sql).await?;
        let rows = self.client()?.query_raw(&statement, params.iter().copied());
        let rows = self.answered(rows).await?;
        pin_mut!(rows);
        while let Some(row) = self.answered(rows.try_next()).await? {
            each(row)?;
        }
        Ok(())
    }

    /// Runs a statement and answers the number of rows it changed.
    pub async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepare(sql).await?;
        self.answered(self.client()?.execute(&statement, params)).await
    }

    /// Copies rows into a table, with a `COPY … FROM STDIN (FORMAT binary)`; answers how many they were.
    pub(in crate::store) async fn copy(&self, sql: &str, rows: Bytes) -> Result<u64, StoreError> {
        let client = self.client()?;
        let sent = async {
            let sink = client.copy_in(sql).await?;
            pin_mut!(sink);
            sink.send(rows).await?;
            sink.finish().await
        };
        self.answered(sent).await
    }

    async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.answered(self.client()?.batch_execute(sql)).await
    }

    async fn commit(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(self.ignored_failure());
        }
        let client = self.client()?;
        self.over.store(true, Ordering::Relaxed);
        self.answered(client.batch_execute("COMMIT")).await
    }

    fn ignored_failure(&self) -> StoreError {
        let detail = "a failed statement was ignored, so this transaction cannot be committed".to_owned();
        StoreError::Shape { name: self.name, detail }
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, StoreError> {
        self.answered(self.client()?.prepare_cached(sql)).await
    }

    async fn answered<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        match timeout(self.patience, asked).await {
            Ok(answer) => answer.map_err(|e| self.error(&e)),
            Err(_) => {
                self.failed.store(true, Ordering::Relaxed);
                Err(StoreError::Silent { name: self.name, after: self.patience })
            }
        }
    }

    fn error(&self, error: &tokio_postgres::Error) -> StoreError {
        self.failed.store(true, Ordering::Relaxed);
        StoreError::from_pg(self.name, error)
    }
}

/// Who the transaction is and what it sees, whatever its session was before, and whatever the database's own default is:
/// a bound that is read first is true of the data only where each statement sees what is committed by then.
fn begin(whom: As, longest: Option<Duration>) -> String {
    let role = whom.role();
    let tenant = whom.tenant().map(|tenant| format!("; SET LOCAL app.tenant_id = '{tenant}'")).unwrap_or_default();
    let longest = longest.map(|longest| format!("; SET LOCAL statement_timeout = {}", longest.as_millis()));
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL ROLE {role}; SET LOCAL search_path = pg_catalog, pg_temp{tenant}{}",
        longest.unwrap_or_default()
    )
}

/// A parameter of a statement.
pub type Param<'p> = &'p (dyn ToSql + Sync);

/// A value of a row, or an error that names the column instead of a panic.
pub fn column<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, name: &'static str) -> Result<T, StoreError> {
    row.try_get(name).map_err(|e| StoreError::Shape { name, detail: e.to_string() })
}
