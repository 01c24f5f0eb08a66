//! The one way in for work: a named transaction with its tenant set, bounded retry and timings.

use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Pool, PoolError};
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use crate::store::{
    As, Outcome, PoolSettings, Store, StoreError, Tx,
    door::{
        error::AsStoreError,
        failure::{Failure, Repeats},
        fate::Fate,
    },
};

const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// How long a server that should have kept its own `statement_timeout` is waited for beyond it.
const GRACE: Duration = Duration::from_secs(5);

/// How long the other side is waited for. The server's own timeouts say nothing where it hangs or is cut off.
#[derive(Clone, Copy)]
pub(in crate::store) struct Patience {
    /// For one answer.
    pub answer: Duration,
    /// For a server that cannot be reached: no attempt begins after it.
    pub away: Duration,
    /// For the server's work on one statement, where it is another than its sessions have.
    pub longest: Option<Duration>,
}

impl Patience {
    pub fn of(settings: &PoolSettings) -> Self {
        // No timeout is none here too.
        let is_bounded = !settings.statement_timeout.is_zero();
        let answer = if is_bounded { settings.statement_timeout + GRACE } else { Duration::MAX };
        Self { answer, away: settings.wait, longest: None }
    }

    /// The same, but each statement may take so long.
    pub fn longer(self, longest: Duration) -> Self {
        Self { answer: longest + GRACE, longest: Some(longest), ..self }
    }
}

impl Store {
    /// Runs `work` in one transaction and commits it. Serialization failures, deadlocks and lock timeouts
    /// repeat it a few times; so does a lost connection, therefore **`work` must be idempotent**: done again after it
    /// was committed, and after others did theirs, it changes nothing and answers the same. Other work is for
    /// [`Store::run_once`].
    pub async fn run_tx<'w, T, E>(
        &self,
        name: &'static str,
        whom: As,
        work: impl for<'t> Fn(&'t Tx<'w>) -> BoxFuture<'t, Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + AsStoreError,
    {
        self.run(name, whom, Repeats::Freely, work).await
    }

    /// Runs `work` as [`Store::run_tx`] does, and never makes it twice: where the answer to COMMIT is lost, the server
    /// is asked what became of the transaction. Committed, its answer is the one that was worked out then; else it is
    /// repeated. Where nobody can say, the error is [`StoreError::InDoubt`].
    pub async fn run_once<'w, T, E>(
        &self,
        name: &'static str,
        whom: As,
        work: impl for<'t> Fn(&'t Tx<'w>) -> BoxFuture<'t, Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + AsStoreError,
    {
        self.run(name, whom, Repeats::WhenAborted, work).await
    }

    pub(in crate::store) async fn run<'w, T, E>(
        &self,
        name: &'static str,
        whom: As,
        repeats: Repeats,
        work: impl for<'t> Fn(&'t Tx<'w>) -> BoxFuture<'t, Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + AsStoreError,
    {
        let started = Instant::now();
        let mut attempt = 1;
        let mut in_doubt = false;
        loop {
            let result = match self.attempt(name, whom, repeats, &work).await {
                Err(failure) if failure.in_doubt && repeats == Repeats::WhenAborted => {
                    self.resolve(name, whom, failure).await
                }
                Err(failure) => {
                    in_doubt |= failure.in_doubt;
                    Err(failure.error)
                }
                Ok(value) => Ok(value),
            };
            let outcome = match &result {
                Ok(_) => Outcome::Final,
                Err(error) => error.as_store_error().map_or(Outcome::Final, StoreError::outcome),
            };
            let is_away = outcome == Outcome::Reconnect && started.elapsed() >= self.patience.away;
            if outcome == Outcome::Final || attempt == ATTEMPTS || is_away {
                if let Some(metrics) = &self.metrics {
                    let failed = result.as_ref().is_err_and(|error| error.as_store_error().is_some());
                    metrics.store.finished(name, started.elapsed().as_secs_f64(), failed);
                }
                return result.map_err(|error| match error.as_store_error() {
                    Some(last) if in_doubt && last.is_temporary() => {
                        StoreError::InDoubt { name, lost: last.to_string() }.into()
                    }
                    _ => error,
                });
            }
            if let Some(metrics) = &self.metrics {
                let code = result.as_ref().err().and_then(AsStoreError::as_store_error).and_then(StoreError::code);
                metrics.store.retried(name, code.unwrap_or("connection"));
            }
            tracing::debug!(tx = name, attempt, ?outcome, "transaction will be repeated");
            tokio::time::sleep(FIRST_PAUSE * 2u32.pow(attempt)).await;
            attempt += 1;
        }
    }

    /// Finds out what became of an attempt whose COMMIT was not answered: the answer worked out then, an error after
    /// which it may be repeated, or that nobody knows.
    async fn resolve<T, E>(&self, name: &'static str, whom: As, failure: Failure<T, E>) -> Result<T, E>
    where
        E: From<StoreError> + AsStoreError,
    {
        let Failure { error, value, witness, .. } = failure;
        let fate = match &witness {
            Some(witness) => self.fate(name, whom, witness).await,
            None => Fate::Unknown,
        };
        match (fate, value) {
            (Fate::Committed, Some(value)) => Ok(value),
            (Fate::Aborted, _) => Err(error),
            _ => {
                let lost = error.as_store_error().map(ToString::to_string).unwrap_or_default();
                Err(StoreError::InDoubt { name, lost }.into())
            }
        }
    }

    async fn attempt<'w, T, E>(
        &self,
        name: &'static str,
        whom: As,
        repeats: Repeats,
        work: &impl for<'t> Fn(&'t Tx<'w>) -> BoxFuture<'t, Result<T, E>>,
    ) -> Result<T, Failure<T, E>>
    where
        E: From<StoreError> + AsStoreError,
    {
        let connection = self.connection(name, whom).await.map_err(Failure::of)?;
        let tx = Tx::on(connection, name, self.patience.answer);
        let tx = tx.at_most(self.patience.longest).under(self.lease.clone());
        match tx.run(whom, repeats, work).await {
            Ok(value) => {
                tx.give_back();
                Ok(value)
            }
            Err(failure) => {
                let in_doubt = tx.is_over() && failure.error.as_store_error().is_some_and(StoreError::is_loss);
                // The work's own refusal is a clean end; of anything else nobody knows what it left behind.
                if failure.error.as_store_error().is_none() {
                    tx.give_back();
                }
                Err(Failure { in_doubt, ..failure })
            }
        }
    }

    pub(in crate::store) async fn connection(&self, name: &'static str, whom: As) -> Result<Object, StoreError> {
        let pool: &Pool = match whom {
            As::Tenant(_) | As::Nobody | As::Group => &self.service,
            As::Worker | As::Eraser(_) | As::Retention(_) => &self.worker,
        };
        // Each resting session that hangs takes its time to be found out, and there may be many.
        let after = self.patience.answer;
        let taken = timeout(after, pool.get()).await.map_err(|_| StoreError::Silent { name, after })?;
        taken.map_err(|error| match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => StoreError::Busy,
            PoolError::Backend(error) => StoreError::from_pg("connect", &error),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
                StoreError::from_pg("connect", &error)
            }
            other => StoreError::Unreachable(other.to_string()),
        })
    }
}
