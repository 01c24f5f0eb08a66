//! The kinds of jobs that a node does: which room does which.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use serde_json::json;

use super::{
    Database,
    backfills::{backfill_runs, steps},
    backups::BeforeRelease,
    database, settings, tellings,
};
use crate::{
    archive::{
        Archive, ArchiveError, jobs as archive,
        rewrite::{Rewriting, Rewritten},
    },
    audit::{Audit, Brokers, note::Verifier},
    backup::{Order, ask as backup, plan::named},
    bus::{producer::Producer, reader::TopicReader},
    cold::Cold,
    config::{
        Config,
        cells::{self, Cell},
    },
    erasure::{self, ErasureError, Erasures},
    migrate::{
        Module, Runner,
        backfill::{Task, file::Backfill},
        jobs::{Jobs, KIND},
        modules::File,
        shape::Effect,
    },
    model::{Clock, Ids, Secret, TenantId, partition::Month},
    objects::{
        Objects,
        shelf::{Shelf, ShelfSettings},
    },
    partitions::jobs as partitions,
    projections,
    residency::{self, Here, Other, Residency},
    retention::Retention,
    rollout::plan::{Known, KnownFile},
    store::{Store, platform::jobs::Context},
    telemetry::{Aside, Metrics},
    worker::jobs::{JobKind, JobRunner, JobStep},
};

/// The runner of a command, which does what no service beside it does. Call it on the main runtime.
pub fn runner(config: &Config, database: &Database) -> anyhow::Result<JobRunner> {
    let (metrics, ids) = (Metrics::new()?, Ids::random());
    let (store, node) = (Store::open(&database.settings)?, ids.uuid().to_string());
    let archive = self::archive(config, &store, &Clock::system(), &ids, &metrics)?;
    let erasures = self::erasures(config, &store, &ids, &metrics);
    let migrations = self::migrations(config, database, &store, &metrics, &Clock::system(), &ids)?;
    let (before, has_brokers) = (BeforeRelease::new(config, database), !config.kafka.brokers.is_empty());
    let residency = self::residency(config, &store, &Clock::system(), &ids)?;
    let kinds = kinds((&migrations, before), &archive, &erasures, &residency, has_brokers);
    Ok(JobRunner::new(store, metrics, &node, kinds))
}

/// What a command erases with: it reads archived months without a cache, which belongs to the service.
pub fn erasures(config: &Config, store: &Store, ids: &Ids, metrics: &Metrics) -> Erasures {
    let shelf =
        Shelf::new(&config.archive, &config.service.data_dir, settings::shelf_of_command(config), metrics.clone());
    Erasures::new(&Cold::new(store.clone(), shelf), ids, config)
}

/// Runs of migrations that are asked for as jobs.
pub fn migrations(
    config: &Config,
    database: &Database,
    store: &Store,
    metrics: &Metrics,
    clock: &Clock,
    ids: &Ids,
) -> anyhow::Result<Jobs> {
    let (runner, host) = (database.runner(config)?, database.host(config));
    Ok(Jobs::new(store.clone(), runner, host, metrics.clone(), clock.clone(), ids.clone()))
}

/// The archive that the configuration names. It is not connected to before somebody wants something of it.
pub fn archive(config: &Config, store: &Store, clock: &Clock, ids: &Ids, metrics: &Metrics) -> anyhow::Result<Archive> {
    let objects = Objects::open(&config.archive, &config.service.data_dir)?;
    Ok(Archive::new(store, &objects, clock, ids, metrics))
}

/// The log of the audit trail, as the configuration has it anchored and witnessed.
pub fn audit(config: &Config, store: &Store, clock: &Clock, metrics: &Metrics) -> anyhow::Result<Audit> {
    let objects = Objects::open(&config.archive, &config.service.data_dir)?;
    let brokers = match config.kafka.brokers.is_empty() {
        true => None,
        false => Some(Brokers {
            producer: Arc::new(Producer::connect(&config.kafka)?),
            reader: TopicReader::new(&config.kafka),
        }),
    };
    let witness = |key: &String| {
        Verifier::read(key)
            .with_context(|| format!("audit.witnesses: {key:?} is no public key of a witness: expected name+id+key"))
    };
    let witnesses: Vec<Verifier> = config.audit.witnesses.iter().map(witness).collect::<anyhow::Result<_>>()?;
    Ok(Audit::new(store, &objects, brokers, clock, metrics).witnessed_by(&witnesses))
}

/// What removes by the rules, over this shelf or one without a cache on disk.
pub fn retention(
    config: &Config,
    store: &Store,
    shelf: Option<Shelf>,
    clock: &Clock,
    ids: &Ids,
    metrics: &Metrics,
) -> Retention {
    let shelf = shelf.unwrap_or_else(|| {
        let settings = ShelfSettings::of(&config.archive, None);
        Shelf::new(&config.archive, &config.service.data_dir, settings, metrics.clone())
    });
    Retention::new(store, shelf, clock, ids, config.retention.grace)
}

/// How long a statement to the database of another cell may take.
const CELL_PATIENCE: Duration = Duration::from_mins(10);

/// Moves of tenants between this cell and the others that the configuration names. No cell is connected to before a move asks for it.
pub fn residency(config: &Config, store: &Store, clock: &Clock, ids: &Ids) -> anyhow::Result<Residency> {
    let named = config.residency.cells.as_ref().map(Secret::expose).unwrap_or_default();
    let cells = cells::read(named).map_err(anyhow::Error::msg).context("residency.cells")?;
    let other = |cell: Cell| {
        let store = Store::open(&database::cell(config, &cell.database))?.patient(CELL_PATIENCE);
        anyhow::Ok(Other { name: cell.name, endpoint: cell.endpoint, store })
    };
    let others = cells.into_iter().map(other).collect::<anyhow::Result<_>>()?;
    let endpoint = config.residency.endpoint.clone().unwrap_or_default();
    let here = Here { name: config.residency.cell.clone(), endpoint };
    let objects = Objects::open(&config.archive, &config.service.data_dir)?;
    Ok(Residency::new((store, &objects), here, others, (clock, ids), projections::effects::EFFECTS.version))
}

/// Moves: what a step asks of the archive is done between two of its steps.
pub fn moves(residency: &Residency, archive: &Archive) -> JobKind {
    let (residency, archive) = (residency.clone(), archive.clone());
    JobKind::new(residency::KIND, move |job: std::sync::Arc<Context>| {
        let (residency, archive) = (residency.clone(), archive.clone());
        async move {
            match residency.step(&job).await {
                Ok(residency::Stepped::More) => Ok(JobStep::More),
                Ok(residency::Stepped::Done(outcome)) => Ok(JobStep::Done(outcome)),
                Ok(residency::Stepped::Failed { why, outcome }) => Ok(JobStep::Failed { why, outcome }),
                Ok(residency::Stepped::Archived { tenant, months }) => {
                    match archive.through(&job.store).leave(tenant, &months).await {
                        Ok(()) => Ok(JobStep::More),
                        Err(error) if error.is_passing() => Err(error.into()),
                        Err(error) => Ok(failed(&error)),
                    }
                }
                Err(error) if error.is_passing() => Err(error.into()),
                Err(error) => Ok(failed(&error)),
            }
        }
    })
}

/// Every kind.
pub fn kinds(
    (migrations, before): (&Jobs, BeforeRelease),
    archive: &Archive,
    erasures: &Erasures,
    residency: &Residency,
    has_brokers: bool,
) -> Vec<JobKind> {
    let mut kinds = archive_kinds(archive);
    kinds.extend(partition_kinds(has_brokers, &archive.metrics));
    kinds.extend(backup_kinds(&before));
    kinds.push(migration_runs(migrations, before));
    kinds.push(backfill_runs(&migrations.backfills().with_steps(steps(&erasures.cold))));
    kinds.push(erasure_runs(erasures, archive));
    kinds.push(moves(residency, archive));
    kinds
}

/// What does not pass by itself is for a person to look at.
fn failed(error: &impl std::error::Error) -> JobStep {
    JobStep::Failed { why: error.to_string(), outcome: serde_json::Value::Null }
}

/// Erasures: what a step asks of the archive and of the projections is done between two of its steps.
pub fn erasure_runs(erasures: &Erasures, archive: &Archive) -> JobKind {
    let (erasures, archive) = (erasures.clone(), archive.clone());
    JobKind::new(erasure::RUN, move |job: std::sync::Arc<Context>| {
        let (erasures, archive) = (erasures.clone(), archive.clone());
        async move {
            match erase(&erasures, &archive, &job).await {
                Ok(step) => Ok(step),
                Err(EraseError::Erasure(error)) if !error.is_passing() => Ok(failed(&error)),
                Err(EraseError::Archive(error)) if !error.is_passing() => Ok(failed(&error)),
                Err(error) => Err(error.into()),
            }
        }
    })
}

/// Keeps what a restored backup will have to be told beside the archive. Done again it is the same object.
pub async fn keep_logged(objects: &Objects, entry: &erasure::log::Logged) -> Result<(), crate::objects::ObjectsError> {
    let key = format!("_erasures/tenant={}/{:012}-{}.json", entry.tenant, entry.stamp, entry.id);
    objects.put(&key, bytes::Bytes::from(serde_json::to_vec(entry).unwrap_or_default())).await
}

#[derive(Debug, thiserror::Error)]
enum EraseError {
    #[error(transparent)]
    Erasure(#[from] ErasureError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The erasure is done; it is not yet known outside of the database.
    #[error("the entry of the log cannot be written: {0}")]
    Log(#[from] crate::objects::ObjectsError),
    #[error(transparent)]
    Projection(#[from] projections::ProjectionError),
}

async fn erase(erasures: &Erasures, archive: &Archive, job: &Context) -> Result<JobStep, EraseError> {
    match erasures.step(job).await? {
        erasure::Stepped::More => Ok(JobStep::More),
        erasure::Stepped::Done(outcome) => {
            let id = outcome["erasure"].as_str().and_then(|id| id.parse().ok());
            if let Some(entry) = match id {
                Some(id) => erasures.logged(id).await?,
                None => None,
            } {
                keep_logged(&archive.objects, &entry).await?;
            }
            Ok(JobStep::Done(outcome))
        }
        erasure::Stepped::Attempts { of, attempts } => {
            projections::run::fold_again(&job.store, of.0, &attempts).await?;
            erasures.folded(job, of).await?;
            Ok(JobStep::More)
        }
        erasure::Stepped::Segments { erasure, person, months, others, holds } => {
            let archive = archive.through(&job.store);
            let (tenant, mentions, mut done) = (erasure.tenant, erasure.policy.mentions, Rewritten::default());
            let change = |row| person.change(row, mentions);
            let rewriting = Rewriting { erasure: erasure.id, change: &change, holds: &holds };
            let all = write_anew(&archive, tenant, (&months, &others), &rewriting, &mut done).await;
            let Rewritten { segments, objects, bytes: bytes_removed, written: bytes_written } = done;
            let done = erasure::Written { segments, objects, bytes_removed, bytes_written };
            erasures.rewritten(job, (tenant, erasure.id), (&done, all.is_ok())).await?;
            match all {
                // The law is asked again, by the next step.
                Ok(()) | Err(ArchiveError::HoldSince { .. }) => Ok(JobStep::More),
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// What was done is in `done`, however it ends.
async fn write_anew(
    archive: &Archive,
    tenant: TenantId,
    (months, others): (&[Month], &[Month]),
    rewriting: &Rewriting<'_>,
    done: &mut Rewritten,
) -> Result<(), ArchiveError> {
    for month in months {
        *done += archive.rewrite((tenant, *month), rewriting).await?;
    }
    for month in others {
        *done += archive.purge_month(tenant, *month).await?;
    }
    Ok(())
}

/// What the archive does in jobs. What passes by itself is tried again; anything else is for a person to look at.
pub fn archive_kinds(archive: &Archive) -> Vec<JobKind> {
    let kind = |name: &'static str| {
        let archive = archive.clone();
        JobKind::new(name, move |job: std::sync::Arc<_>| {
            let archive = archive.clone();
            async move {
                match archive::step(&archive, &job).await {
                    Ok(archive::Stepped::More) => Ok(JobStep::More),
                    Ok(archive::Stepped::Done(outcome)) => Ok(JobStep::Done(outcome)),
                    Ok(archive::Stepped::Found { why, outcome }) => Ok(JobStep::Failed { why, outcome }),
                    Err(error) if error.is_passing() => Err(error.into()),
                    Err(error) => Ok(failed(&error)),
                }
            }
        })
    };
    archive::KINDS.into_iter().map(kind).collect()
}

/// What becomes of partitions in jobs.
pub fn partition_kinds(has_brokers: bool, metrics: &Metrics) -> Vec<JobKind> {
    let kind = |name: &'static str| {
        let aside = Aside::new(metrics);
        JobKind::new(name, move |job: std::sync::Arc<_>| {
            let aside = aside.clone();
            async move {
                match partitions::step(&job, has_brokers, &aside).await {
                    Ok(None) => Ok(JobStep::More),
                    Ok(Some(outcome)) => Ok(JobStep::Done(outcome)),
                    Err(error) if error.is_passing() => Err(error.into()),
                    Err(error) => Ok(failed(&error)),
                }
            }
        })
    };
    partitions::KINDS.into_iter().map(kind).collect()
}

/// Backups that somebody asks for. One that failed is for a person to look at: it would hardly go better by itself.
fn backup_kinds(before: &BeforeRelease) -> [JobKind; 2] {
    [backup::MAKE, backup::VERIFY].map(|kind| {
        let before = before.clone();
        JobKind::new(kind, move |job: std::sync::Arc<Context>| {
            let before = before.clone();
            async move {
                let done = if kind == backup::MAKE { make(&before, &job).await } else { verify(&before, &job).await };
                Ok(done.unwrap_or_else(|error| JobStep::Failed {
                    why: format!("{error:#}"),
                    outcome: serde_json::Value::Null,
                }))
            }
        })
    })
}

async fn make(before: &BeforeRelease, job: &Context) -> anyhow::Result<JobStep> {
    let keeper = before.keeper()?;
    let order = Order { kind: keeper.kind(), schema: None, reason: format!("asked for by {}", job.job.requested_by) };
    let made = Box::pin(keeper.make(&job.store, &order)).await?;
    Ok(JobStep::Done(json!({ "backup": made.id, "bytes": made.bytes(), "statements": made.statements() })))
}

async fn verify(before: &BeforeRelease, job: &Context) -> anyhow::Result<JobStep> {
    let (keeper, asked) = (before.keeper()?, job.parameters::<backup::Asked>()?);
    let kept = keeper.backups.place.list().await?;
    let one = named(&kept, asked.backup.as_deref().unwrap_or("latest")).map_err(anyhow::Error::msg)?;
    let verified = Box::pin(keeper.backups.verify(&one.manifest)).await?;
    let outcome = json!({ "backup": one.manifest.id, "statements": verified.statements, "tables": verified.tables,
        "rows": verified.rows, "faults": verified.faults });
    Ok(match verified.is_good() {
        true => JobStep::Done(outcome),
        false => JobStep::Failed { why: format!("it is not good: {}", verified.faults.join("; ")), outcome },
    })
}

/// What a plan of a rollout may name: files of this binary, and who may be told.
pub fn known_to_plans(config: &Config, runner: &Runner) -> anyhow::Result<Known> {
    let file = |module: &Module, file: &File| KnownFile {
        name: format!("{}/{}", module.name, file.file()),
        only_adds: file.kind != Effect::Destructive,
        reversible: file.down.is_some(),
    };
    let files = runner.modules().iter().flat_map(|module| module.files.iter().map(move |one| file(module, one)));
    let walks = runner.modules().iter().flat_map(|module| &module.backfills);
    let (comparisons, backfills): (Vec<_>, Vec<_>) = walks.partition(|one| one.task == Task::Compare);
    let names = |walks: Vec<&Backfill>| walks.into_iter().map(Backfill::name).collect();
    let receivers = tellings::named(config)?.into_iter().map(|receiver| receiver.name).collect();
    let (backfills, comparisons) = (names(backfills), names(comparisons));
    Ok(Known { files: files.collect(), backfills, comparisons, tenants: Vec::new(), receivers })
}

/// A run applies the files of this node: another release has others.
fn migration_runs(jobs: &Jobs, before: BeforeRelease) -> JobKind {
    let (digest, jobs) = (jobs.digest().to_owned(), jobs.clone());
    let step = move |job: std::sync::Arc<Context>| {
        let (jobs, before) = (jobs.clone(), before.clone());
        async move {
            if jobs.passes_a_gate(&job).await?
                && let Err(error) = before.make(&job.store).await
            {
                return Ok(JobStep::Failed { why: format!("{error:#}"), outcome: serde_json::Value::Null });
            }
            let run = Box::pin(jobs.perform(&job)).await?;
            Ok(match run.failure {
                None => JobStep::Done(run.outcome),
                Some(why) => JobStep::Failed { why, outcome: run.outcome },
            })
        }
    };
    JobKind::new(KIND, step).of_plan(digest)
}
