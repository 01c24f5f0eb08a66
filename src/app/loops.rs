//! The background loops of a serving node: which steps there are, and how often they look.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::whole::Whole;
use crate::{
    archive::{Archive, gc, plan::Schedule, schedule::BY},
    audit::Audit,
    cold::Cold,
    erasure::Erasures,
    ingest::{Ingest, own, settle::References},
    migrate::{backfill::DeskError, checks::Status, jobs::Jobs},
    model::{Clock, Rounds, scheme::Scheme},
    partitions,
    projections::{self, silence::Patience},
    relay::{Relay, SHARES, Share},
    residency::Residency,
    retention::Retention,
    rollout,
    store::{As, Store, StoreError, ledger::hidden},
    telemetry::{Metrics, Traces},
    worker::{Loop, Step},
};

/// Every loop. A lease decides which node runs it, and each step works under it: what it writes is refused once another node
/// leads. Without brokers there is no relay, and events wait in the ledger.
pub fn all(
    cold: &Cold,
    clock: &Clock,
    (metrics, traces): (&Metrics, &Traces),
    relay: Option<Arc<Relay>>,
    patience: Patience,
    ingest: &Ingest,
    authority: Map<String, Value>,
) -> Vec<Loop> {
    let store = cold.store();
    let mut loops = vec![
        satisfied(cold, clock, ingest, authority),
        references(cold, metrics),
        progress(store, traces),
        silences(store, clock, patience),
        activity(cold),
    ];
    if let Some(relay) = relay {
        loops.extend(EVENTS.iter().zip(0..).map(|(name, index)| events(name, Share { index, of: SHARES }, &relay)));
        loops.push(pruning(relay));
    }
    loops
}

/// One lease for each share of the tenants, so that nodes can divide them.
const EVENTS: [&str; SHARES as usize] = ["relay-0", "relay-1", "relay-2", "relay-3"];
/// How often a node that has more shares than another offers one.
const OFFER: Duration = Duration::from_secs(30);

fn events(name: &'static str, share: Share, relay: &Arc<Relay>) -> Loop {
    let relay = Arc::clone(relay);
    Loop::new(name, Duration::from_millis(500), move |lease| {
        let relay = relay.under(&lease);
        async move { Ok(if relay.step(share).await? { Step::More } else { Step::Idle }) }
    })
    .divided("relay-", OFFER.mul_f64(f64::from(share.index + 1) / f64::from(share.of)), OFFER)
}

fn pruning(relay: Arc<Relay>) -> Loop {
    Loop::new("outbox", Duration::from_secs(600), move |lease| {
        let relay = relay.under(&lease);
        async move { Ok(if relay.prune().await? { Step::More } else { Step::Idle }) }
    })
}

/// Says `satisfied` where a tenant asks for it, as the service itself.
fn satisfied(cold: &Cold, clock: &Clock, ingest: &Ingest, authority: Map<String, Value>) -> Loop {
    let (cold, clock, ingest, authority) = (cold.clone(), clock.clone(), ingest.clone(), Arc::new(authority));
    Loop::new("satisfied", Duration::from_secs(1), move |lease| {
        let (store, clock) = (cold.store().under(&lease), clock.clone());
        let cold = cold.through(store.clone());
        let (ingest, authority) = (ingest.clone(), Arc::clone(&authority));
        async move {
            let due = projections::satisfied::due(&store).await?;
            let mut more = false;
            for one in &due {
                let Some(missing) = projections::satisfied::missing(&cold, one).await? else { continue };
                more = true;
                for statement in missing {
                    // The queue's transaction is not under the lease.
                    store.check_lease().await?;
                    own::say(&ingest, one.tenant, &authority, &statement, clock.now()).await?;
                }
                projections::satisfied::done(&store, one).await?;
            }
            Ok(if more { Step::More } else { Step::Idle })
        }
    })
}

/// Months made ahead, divided by this scheme.
pub fn months(store: &Store, clock: &Clock, metrics: &Metrics, scheme: Scheme) -> Loop {
    let (store, clock, metrics) = (store.clone(), clock.clone(), metrics.clone());
    Loop::new("months", Duration::from_secs(3600), move |lease| {
        let (store, clock, metrics) = (store.under(&lease), clock.clone(), metrics.clone());
        async move {
            partitions::run::mend(&store).await?;
            partitions::run::make_ahead(&store, clock.now(), scheme, &metrics).await?;
            Ok(Step::Idle)
        }
    })
}

/// What is due to the months by the schedule.
pub fn lifecycle(archive: &Archive, schedule: Schedule, has_brokers: bool) -> Loop {
    let archive = archive.clone();
    Loop::new("lifecycle", Duration::from_secs(600), move |lease| {
        let archive = archive.through(&archive.store.under(&lease));
        async move {
            archive.keep_schedule(&schedule, has_brokers).await?;
            Ok(Step::Idle)
        }
    })
}

/// How often the whole is looked at while something that was switched is baked.
const WATCH: Duration = Duration::from_secs(5);

/// What is wrong with the whole, and with what a plan asks.
async fn wrong(store: &Store, migrations: &Jobs) -> anyhow::Result<Vec<String>> {
    let checks = match migrations.checks().await {
        Ok(checks) => checks,
        // A node without the owner's login cannot look, and its plan's own questions have to do.
        Err(error) if error.is_permission() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let failed = checks.into_iter().filter(|check| check.status == Status::Fail);
    let mut wrong: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.found)).collect();
    wrong.extend(rollout::broken_checks(store).await?);
    Ok(wrong)
}

/// The steps of the rollout that is underway.
pub fn rollouts(store: &Store, migrations: &Jobs) -> Loop {
    let (store, migrations) = (store.clone(), migrations.clone());
    let seen: Arc<Mutex<Option<(rollout::Looked, Instant)>>> = Arc::default();
    Loop::new("rollouts", Duration::from_secs(1), move |lease| {
        let (store, migrations, seen) = (store.under(&lease), migrations.clone(), Arc::clone(&seen));
        async move {
            let mut seen = seen.lock().await;
            if let Some(at) = rollout::moment(&store).await?
                && seen.as_ref().is_none_or(|(looked, when)| looked.at != at || when.elapsed() >= WATCH)
            {
                *seen = Some((rollout::Looked { at, wrong: wrong(&store, &migrations).await? }, Instant::now()));
            }
            match rollout::step(&store, seen.as_ref().map(|(looked, _)| looked)).await? {
                rollout::Stepped::Idle => Ok(Step::Idle),
                rollout::Stepped::More => Ok(Step::More),
                rollout::Stepped::Begin { name, again } => {
                    match migrations.backfills().through(&store).start(&name, again, "rollout").await {
                        // One at a time: its turn comes.
                        Err(DeskError::Busy(_)) => Ok(Step::Idle),
                        begun => begun.map(|_| Step::More).map_err(Into::into),
                    }
                }
            }
        }
    })
}

/// How often the whole is looked at; its schema also after each run of migrations. The first time an hour after the start: what a
/// start applies is looked at then.
const VALIDATE: Duration = Duration::from_secs(3600);

/// Whether the whole is in order.
pub fn validate(whole: &Whole, migrations: &Jobs) -> Loop {
    let (whole, migrations, is_first) = (whole.clone(), migrations.clone(), Arc::new(AtomicBool::new(true)));
    Loop::new("validate", VALIDATE, move |_| {
        let (whole, migrations, is_first) =
            (whole.clone(), migrations.clone(), is_first.swap(false, Ordering::Relaxed));
        async move {
            if !is_first {
                whole.tell(migrations.verify(None).await?.checks).await?;
            }
            Ok(Step::Idle)
        }
    })
}

/// Places, checkpoints and anchors of the audit trail.
pub fn audit(audit: &Audit) -> Loop {
    let audit = audit.clone();
    Loop::new("audit", Duration::from_secs(1), move |lease| {
        let audit = audit.under(&lease);
        async move { Ok(if audit.step().await? { Step::More } else { Step::Idle }) }
    })
}

/// What goes by the rules of retention, and the objects of what went.
pub fn retention(retention: &Retention, archive: &Archive, every: Duration) -> Loop {
    let (retention, archive) = (retention.clone(), archive.clone());
    Loop::new("retention", every, move |lease| {
        let (retention, archive) =
            (retention.through(&retention.store.under(&lease)), archive.through(&archive.store.under(&lease)));
        async move {
            let done = retention.apply(None, (None, BY), true).await?;
            let (marked, spared, removed) = (done.marked.len(), done.spared.len(), done.removed.len());
            if marked + spared + removed > 0 {
                tracing::info!(marked, spared, removed, "retention");
            }
            let mut leftovers = archive.leftovers().await?;
            leftovers.retain(|one| matches!(one.what, gc::What::Replaced(_)));
            if !leftovers.is_empty() {
                archive.collect(&archive.claim().await?, &leftovers).await?;
            }
            Ok(Step::Idle)
        }
    })
}

/// Commands to erase somebody, and requests that no law keeps waiting any more.
pub fn erasures(erasures: &Erasures) -> Loop {
    let erasures = erasures.clone();
    Loop::new("erasures", Duration::from_secs(2), move |lease| {
        let erasures = erasures.through(&lease);
        async move { Ok(if erasures.look_around().await? > 0 { Step::More } else { Step::Idle }) }
    })
}

/// What was removed by law, what waits to be, and what is held: counted.
pub fn law(erasures: &Erasures, retention: &Retention, metrics: &Metrics) -> Loop {
    let (erasures, retention, metrics) = (erasures.clone(), retention.clone(), metrics.clone());
    Loop::new("law", Duration::from_secs(30), move |lease| {
        let (erasures, metrics) = (erasures.through(&lease), metrics.clone());
        let retention = retention.through(&retention.store.under(&lease));
        async move {
            erasures.measure(&metrics).await?;
            retention.measure(&metrics).await?;
            Ok(Step::Idle)
        }
    })
}

/// Commands that a tenant is to live elsewhere.
pub fn moves(residency: &Residency) -> Loop {
    let residency = residency.clone();
    Loop::new("residency", Duration::from_secs(2), move |lease| {
        let residency = residency.under(&lease);
        async move { Ok(if residency.look_around().await? > 0 { Step::More } else { Step::Idle }) }
    })
}

/// What every node does for itself when somebody was erased: what it remembers of names and words, and blocks of segments that are
/// gone, it forgets.
pub struct Forgetting {
    cold: Cold,
    ingest: Ingest,
    stamp: i64,
    part: i64,
}

/// How often a node looks.
const LOOK: Duration = Duration::from_millis(500);
/// Numbers of parts that are looked at again, because they may become visible out of order.
const AGAIN: i64 = 1_000;

impl Forgetting {
    pub fn new(cold: &Cold, ingest: &Ingest) -> Self {
        Self { cold: cold.clone(), ingest: ingest.clone(), stamp: 0, part: 0 }
    }

    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "what was erased could not be looked for");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// From the first part on after a start: the cache survives it.
    async fn look(&mut self) -> Result<(), StoreError> {
        let after = self.part;
        let asked = self.cold.store().run_tx("look_for_erased", As::Worker, |tx| {
            Box::pin(
                async move { Ok::<_, StoreError>((hidden::newest(tx).await?, hidden::forgotten(tx, after).await?)) },
            )
        });
        let (stamp, parts) = asked.await?;
        if stamp != self.stamp {
            self.ingest.forget();
            self.stamp = stamp;
        }
        for (number, sha256, bytes) in &parts {
            self.cold.shelf().forget(sha256, bytes.unsigned_abs());
            self.part = self.part.max(*number - AGAIN);
        }
        if parts.len() == 1_000 {
            self.part = parts.last().map_or(self.part, |(number, _, _)| *number);
        }
        Ok(())
    }
}

fn references(cold: &Cold, metrics: &Metrics) -> Loop {
    let references = References::new(cold.clone(), metrics.clone());
    Loop::new("references", Duration::from_secs(2), move |lease| {
        let references = references.under(&lease);
        async move { Ok(if references.step().await? > 0 { Step::More } else { Step::Idle }) }
    })
}

/// What the step of the projections leaves of counting: what only archived months have, and days that are long ago.
fn activity(cold: &Cold) -> Loop {
    let cold = cold.clone();
    Loop::new("activity", Duration::from_secs(600), move |lease| {
        let cold = cold.through(cold.store().under(&lease));
        async move {
            projections::activity::settle(&cold).await?;
            cold.store().prune_learner_days().await?;
            Ok(Step::Idle)
        }
    })
}

fn silences(store: &Store, clock: &Clock, patience: Patience) -> Loop {
    let (store, clock) = (store.clone(), clock.clone());
    Loop::new("silences", Duration::from_secs(600), move |lease| {
        let (store, clock) = (store.under(&lease), clock.clone());
        async move {
            projections::silence::look(&store, patience, clock.now()).await?;
            Ok(Step::Idle)
        }
    })
}

/// A step that read less than a batch has caught up; going on at once would cost a transaction for each statement.
fn progress(store: &Store, traces: &Traces) -> Loop {
    let (store, rounds, traces) = (store.clone(), Arc::new(Rounds::default()), traces.clone());
    Loop::new("projections", Duration::from_millis(500), move |lease| {
        let (store, rounds, traces) = (store.under(&lease), Arc::clone(&rounds), traces.clone());
        async move {
            let read = projections::run::round(&store, &rounds, &traces).await?;
            Ok(if read >= projections::run::BATCH { Step::More } else { Step::Idle })
        }
    })
}
