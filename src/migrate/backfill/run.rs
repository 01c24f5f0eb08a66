//! A step of a backfill: one batch and its place in one transaction, or a rest. Begun again anywhere, it does nothing twice.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    file::{Backfill, Task},
    pace::{self, Around},
    steps::{Did, Steps},
};
use crate::store::{
    As, StoreError,
    platform::{
        backfills::{self, Health, Part, Walk},
        jobs::{Context, Progress},
        leases,
    },
};

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    pub module: String,
    pub file: String,
    pub checksum: String,
}

/// Where it goes on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Place {
    /// How often the table was walked before: what old releases wrote behind our back is found by the next.
    round: u32,
    /// Whether it looks now at what it did.
    looking: bool,
    after: Option<Value>,
    size: i64,
    rows: i64,
    changed: i64,
    remaining: i64,
    /// The sum of the digests so far.
    digest: i128,
    total: Option<i64>,
    /// When the database was last looked at, and how much log had been written by then.
    log: Option<(f64, i64)>,
}

/// What a step comes to.
pub enum Stepped {
    More,
    Done(Value),
    Failed { why: String, outcome: Value },
}

/// A table that still has rows to be done after so many rounds is written to by somebody who does not know better.
const ROUNDS: u32 = 3;
/// How long it stands still before it looks again.
const STILL: Duration = Duration::from_millis(250);

/// Does one batch. `around` tells what is known beside the database's own answers, from the bytes of log a second.
pub async fn step(
    job: &Context,
    (backfill, steps): (&Backfill, &Steps),
    around: impl Fn(Option<f64>) -> Around,
) -> Result<Stepped, StoreError> {
    let mut place: Place = job.checkpoint()?.unwrap_or_default();
    let walk = Walk { table: &backfill.table, keys: &backfill.keys, remains: &backfill.remains };
    if place.size == 0
        && let Some(failed) = begin(job, backfill, &walk, &mut place).await?
    {
        return Ok(failed);
    }
    let look = job.store.run_tx("backfill_health", As::Worker, |tx| {
        Box::pin(async move {
            let health = backfills::health(tx, walk.table).await?;
            Ok::<_, StoreError>((health, backfills::speed(tx, &backfill.module, &backfill.file).await?))
        })
    });
    let (health, speed) = look.await?;
    let around = around(since(&place, &health));
    place.log = Some((health.at, health.log_position));
    let held = pace::brakes(&health, &around);
    tell(job, backfill, &place, &held, speed);
    if !held.is_empty() {
        job.save_alone(&place).await?;
        rest(job, STILL).await;
        return Ok(Stepped::More);
    }
    let began = Instant::now();
    let part = match &backfill.task {
        Task::Step(name) if !place.looking => match row(job, (name, steps), &walk, &place).await? {
            Ok(part) => part,
            Err(Did::Failed(why)) => return Ok(Stepped::Failed { why, outcome: json!({ "rows": place.rows }) }),
            Err(Did::Later(why)) => {
                tell(job, backfill, &place, &[why], speed);
                rest(job, STILL).await;
                return Ok(Stepped::More);
            }
            Err(Did::Row) => Part::default(),
        },
        _ => batch(job, backfill, &walk, &place).await?,
    };
    let took = began.elapsed();
    if part.rows == 0 {
        return ended(job, backfill, place).await;
    }
    tell(job, backfill, &place.after_part(&part, took), &[], speed);
    rest(job, pace::rest(took, speed)).await;
    Ok(Stepped::More)
}

/// The first step: whether the table can be walked at all.
async fn begin(
    job: &Context,
    backfill: &Backfill,
    walk: &Walk<'_>,
    place: &mut Place,
) -> Result<Option<Stepped>, StoreError> {
    let look = job.store.run_tx("backfill_begin", As::Worker, |tx| {
        Box::pin(async move {
            Ok::<_, StoreError>((backfills::obstacles(tx, walk).await?, backfills::estimate(tx, walk.table).await?))
        })
    });
    let (obstacles, total) = look.await?;
    if !obstacles.is_empty() {
        let (why, outcome) = (obstacles.join("; "), json!({ "obstacles": obstacles }));
        return Ok(Some(Stepped::Failed { why, outcome }));
    }
    (place.size, place.total, place.looking) = (pace::FIRST, total, backfill.task == Task::Compare);
    Ok(None)
}

/// The next row that remains, by a step of the release; then the place after it. A step that was broken off finds the same row again, as
/// long as that remains.
async fn row(
    job: &Context,
    (name, steps): (&str, &Steps),
    walk: &Walk<'_>,
    place: &Place,
) -> Result<Result<Part, Did>, StoreError> {
    let began = Instant::now();
    let look = job
        .store
        .run_tx("backfill_next", As::Worker, |tx| Box::pin(backfills::remaining(tx, walk, place.after.as_ref())));
    let Some(row) = look.await? else { return Ok(Ok(Part::default())) };
    match steps.perform(name, job, row.clone()).await? {
        Did::Row => {}
        other => return Ok(Err(other)),
    }
    let part = Part { rows: 1, changed: 1, last: Some(row), digest: None };
    // Of rows alone that a step does one by one; the size is that of batches which are looked at.
    let after = Place { size: place.size, ..place.after_part(&part, began.elapsed()) };
    job.save_alone(&after).await?;
    Ok(Ok(part))
}

/// The batch and the place after it, together or not at all.
async fn batch(job: &Context, backfill: &Backfill, walk: &Walk<'_>, place: &Place) -> Result<Part, StoreError> {
    job.store
        .run_tx("backfill_batch", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                let began = Instant::now();
                let after = place.after.as_ref();
                let part = match &backfill.task {
                    Task::Fill(statement) if !place.looking => {
                        backfills::fill(tx, walk, statement, after, place.size).await?
                    }
                    Task::Fill(_) | Task::Step(_) | Task::Compare => {
                        backfills::look(tx, walk, after, place.size).await?
                    }
                };
                if part.rows > 0 {
                    job.save(tx, &place.after_part(&part, began.elapsed())).await?;
                }
                Ok(part)
            })
        })
        .await
}

impl Place {
    fn after_part(&self, part: &Part, took: Duration) -> Self {
        let (done, remaining) = if self.looking { (0, part.changed) } else { (part.changed, 0) };
        let digest = part.digest.as_deref().and_then(|digest| digest.parse().ok()).unwrap_or(0);
        Self {
            after: part.last.clone(),
            size: pace::next_size(self.size, took),
            rows: self.rows + part.rows,
            changed: self.changed + done,
            remaining: self.remaining + remaining,
            digest: self.digest.wrapping_add(digest),
            ..self.clone()
        }
    }

    /// The same walk from the beginning.
    fn again(self, looking: bool, round: u32) -> Self {
        Self { looking, round, after: None, rows: 0, remaining: 0, digest: 0, ..self }
    }
}

/// The end of the table: it is looked at once more as a whole, and only where nothing remains it is done.
async fn ended(job: &Context, backfill: &Backfill, place: Place) -> Result<Stepped, StoreError> {
    if !place.looking {
        let round = place.round;
        job.save_alone(&place.again(true, round)).await?;
        return Ok(Stepped::More);
    }
    let outcome = json!({ "rows": place.rows, "changed": place.changed, "remaining": place.remaining,
        "rounds": place.round + 1, "digest": place.digest.to_string() });
    if place.remaining > 0 && backfill.task == Task::Compare {
        let why = format!("{} of {} rows differ: {}", place.remaining, place.rows, backfill.question());
        return Ok(Stepped::Failed { why, outcome });
    }
    if place.remaining > 0 && place.round + 1 < ROUNDS {
        let round = place.round + 1;
        job.save_alone(&place.again(false, round)).await?;
        return Ok(Stepped::More);
    }
    if place.remaining > 0 {
        let why = format!(
            "{} rows remain after {ROUNDS} rounds: the statement does not do them, or somebody writes more of them: {}",
            place.remaining,
            backfill.question()
        );
        return Ok(Stepped::Failed { why, outcome });
    }
    let (seen, digest) = ((place.rows, place.changed), &place.digest.to_string());
    job.store
        .run_tx("backfill_verified", As::Worker, |tx| {
            Box::pin(async move {
                leases::check(tx).await?;
                backfills::verified(tx, &backfill.module, &backfill.file, seen, digest).await
            })
        })
        .await?;
    Ok(Stepped::Done(outcome))
}

/// Bytes of log a second since it was last looked.
fn since(place: &Place, health: &Health) -> Option<f64> {
    let (at, position) = place.log?;
    let seconds = health.at - at;
    (seconds > 0.01).then(|| (health.log_position - position) as f64 / seconds)
}

fn tell(job: &Context, backfill: &Backfill, place: &Place, held: &[String], speed: i32) {
    let doing = match (&backfill.task, place.looking) {
        (Task::Compare, _) => "comparing",
        (_, true) => "looking at what was done",
        (_, false) => "filling",
    };
    let note = if held.is_empty() { doing.to_owned() } else { format!("stands still: {}", held.join("; ")) };
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let more = Map::from_iter([
        ("phase".to_owned(), json!(if place.looking { "verify" } else { "fill" })),
        ("round".to_owned(), json!(place.round + 1)),
        ("changed".to_owned(), json!(place.changed)),
        ("batch".to_owned(), json!(place.size)),
        ("speed".to_owned(), json!(speed)),
        ("held".to_owned(), json!(held)),
    ]);
    let total = place.total.map(|total| count(total.max(place.rows)));
    job.progress(&Progress { done: count(place.rows), total, unit: "rows", note: Some(note), more });
}

async fn rest(job: &Context, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = job.stopped() => {}
    }
}
