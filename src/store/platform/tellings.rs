//! Whom rollouts tell what they do, and how far each of them was told. What is told are the events of the rollout.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::leases;
use crate::store::{
    StoreError,
    door::tx::{Tx, column},
};

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    pub rollout: Uuid,
    /// The rollout's name.
    pub of: String,
    pub name: String,
    /// The number of the last event that it was told; 0: none.
    pub told: i64,
    pub told_at: Option<DateTime<Utc>>,
    /// Events that it was told, and that it is still to be.
    pub count: i64,
    pub waiting: i64,
    pub failures: i32,
    pub last_error: Option<String>,
    pub failed_at: Option<DateTime<Utc>>,
    pub retry_at: Option<DateTime<Utc>>,
    /// Since when it is not tried any more.
    pub given_up_at: Option<DateTime<Utc>>,
    /// Whether it may be tried now.
    pub is_due: bool,
}

impl Receiver {
    /// In a word.
    pub fn state(&self) -> &'static str {
        match (self.given_up_at.is_some(), self.waiting) {
            (true, _) => "failed",
            (false, 0) => "told",
            (false, _) if self.failures > 0 => "retrying",
            (false, _) => "waiting",
        }
    }
}

// What a flag was set to for whom is in the steps: nobody is told of each tenant.
macro_rules! read {
    () => {
        "SELECT r.rollout_id, o.name AS of, r.receiver, r.told, r.told_at, e.count, e.waiting, r.failures, r.last_error, r.failed_at,
             r.retry_at, r.given_up_at,
             r.given_up_at IS NULL AND coalesce(r.retry_at <= clock_timestamp(), true) AS is_due
         FROM platform.rollout_receivers r JOIN platform.rollouts o USING (rollout_id)
         CROSS JOIN LATERAL (
             SELECT count(*) FILTER (WHERE number <= r.told) AS count, count(*) FILTER (WHERE number > r.told) AS waiting
             FROM platform.rollout_events WHERE rollout_id = r.rollout_id AND what <> 'set') e"
    };
}

fn receiver(row: &Row) -> Result<Receiver, StoreError> {
    Ok(Receiver {
        rollout: column(row, "rollout_id")?,
        of: column(row, "of")?,
        name: column(row, "receiver")?,
        told: column(row, "told")?,
        told_at: column(row, "told_at")?,
        count: column(row, "count")?,
        waiting: column(row, "waiting")?,
        failures: column(row, "failures")?,
        last_error: column(row, "last_error")?,
        failed_at: column(row, "failed_at")?,
        retry_at: column(row, "retry_at")?,
        given_up_at: column(row, "given_up_at")?,
        is_due: column(row, "is_due")?,
    })
}

const UNTOLD: &str = concat!("/* tellings::untold */ ", read!(), " WHERE NOT r.is_over AND e.waiting > 0");

/// Those who are still to be told something.
pub async fn untold(tx: &Tx<'_>) -> Result<Vec<Receiver>, StoreError> {
    tx.query(UNTOLD, &[]).await?.iter().map(receiver).collect()
}

const OF: &str = concat!("/* tellings::of */ ", read!(), " WHERE r.rollout_id = $1 ORDER BY r.receiver");

/// Those of a rollout.
pub async fn of(tx: &Tx<'_>, rollout: Uuid) -> Result<Vec<Receiver>, StoreError> {
    tx.query(OF, &[&rollout]).await?.iter().map(receiver).collect()
}

const ADD: &str = "/* tellings::add */ INSERT INTO platform.rollout_receivers (rollout_id, receiver)
    SELECT $1, unnest($2::text[])";

/// Adds those whom a rollout tells, from its beginning on.
pub async fn add(tx: &Tx<'_>, rollout: Uuid, names: &[&str]) -> Result<(), StoreError> {
    tx.execute(ADD, &[&rollout, &names]).await.map(drop)
}

/// An event that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    pub number: i64,
    pub at: DateTime<Utc>,
    pub step: String,
    pub what: String,
    pub detail: Value,
}

impl News {
    /// Nothing comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self.what.as_str(), "ended" | "aborted" | "rolled_back")
    }
}

const NEXT: &str = "/* tellings::next */ SELECT number, at, step, what, detail FROM platform.rollout_events
    WHERE rollout_id = $1 AND number > $2 AND what <> 'set' ORDER BY number LIMIT $3";

/// What somebody is told next. Whoever adds an event holds the rollout until it is there, so none appears before these.
pub async fn next(tx: &Tx<'_>, to: &Receiver, most: i64) -> Result<Vec<News>, StoreError> {
    let news = |row: &Row| {
        let (number, at, step) = (column(row, "number")?, column(row, "at")?, column(row, "step")?);
        Ok(News { number, at, step, what: column(row, "what")?, detail: column(row, "detail")? })
    };
    tx.query(NEXT, &[&to.rollout, &to.told, &most]).await?.iter().map(news).collect()
}

const TOLD: &str = "/* tellings::told */
    UPDATE platform.rollout_receivers SET told = $4, told_at = clock_timestamp(), is_over = $5, failures = 0, last_error = NULL,
        failed_at = NULL, retry_at = NULL, given_up_at = NULL
    WHERE rollout_id = $1 AND receiver = $2 AND told = $3";

/// Notes that somebody was told, unless another node has noted more meanwhile; answers whether it did.
pub async fn told(tx: &Tx<'_>, to: &Receiver, news: &News) -> Result<bool, StoreError> {
    leases::check(tx).await?;
    Ok(tx.execute(TOLD, &[&to.rollout, &to.name, &to.told, &news.number, &news.is_last()]).await? == 1)
}

const FAILED: &str = "/* tellings::failed */
    UPDATE platform.rollout_receivers SET failures = failures + 1, last_error = $4, failed_at = clock_timestamp(),
        retry_at = clock_timestamp() + $5::double precision * interval '1 second',
        given_up_at = CASE WHEN $6 THEN clock_timestamp() END
    WHERE rollout_id = $1 AND receiver = $2 AND told = $3";

/// Notes that a try came to nothing; the next is after `pause` seconds, or never where that is absent.
pub async fn failed(tx: &Tx<'_>, to: &Receiver, why: &str, pause: Option<f64>) -> Result<(), StoreError> {
    leases::check(tx).await?;
    tx.execute(FAILED, &[&to.rollout, &to.name, &to.told, &why, &pause, &pause.is_none()]).await.map(drop)
}

const AGAIN: &str = "/* tellings::again */
    UPDATE platform.rollout_receivers SET failures = 0, retry_at = NULL, given_up_at = NULL
    WHERE rollout_id = $1 AND failures > 0";

/// Lets those be tried again, at once, whom the last try did not reach; answers how many they are.
pub async fn again(tx: &Tx<'_>, rollout: Uuid) -> Result<u64, StoreError> {
    tx.execute(AGAIN, &[&rollout]).await
}
