//! What a cutover leaves for whoever has to vouch for it: one document for each wave, from the state before anything is touched to the
//! last look, each with a verdict of its own.

mod parity;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::parity::{Snapshot, Then};
use super::{
    Request, Runner, Wish,
    checks::{self, Status},
    lint::{self, Review},
    releases,
    replay::{self, ReplayError, Road},
    run::silent,
};
use crate::{
    model::{Clock, Ids},
    store::{Endpoint, door::ddl::Session, schema::catalog},
};

/// One document, and whether what it says is as it has to be.
#[derive(Clone, Debug)]
pub struct Artefact {
    pub name: Name,
    pub is_sound: bool,
    pub body: Value,
}

/// The waves, and what each leaves. The name of the file is that of the wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    W0Status,
    W1Snapshot,
    W2DryRun,
    W3Upgrade,
    W4Replay,
    W5Verify,
}

impl Name {
    pub fn file(self) -> &'static str {
        match self {
            Self::W0Status => "w0-status.json",
            Self::W1Snapshot => "w1-snapshot.json",
            Self::W2DryRun => "w2-dry-run.json",
            Self::W3Upgrade => "w3-upgrade.json",
            Self::W4Replay => "w4-replay.json",
            Self::W5Verify => "w5-verify.json",
        }
    }
}

/// What is looked at, and how.
pub struct Case<'a> {
    pub runner: &'a Runner,
    /// A server, and a login that may create databases there.
    pub scratch: &'a Endpoint,
    pub counts_rows: bool,
    /// What an earlier look left, before the cutover.
    pub before: Option<&'a Then>,
}

/// Makes all of them. Nothing is changed but in scratch databases, which are dropped; the dry run is taken back.
pub async fn gather(
    case: &Case<'_>,
    (clock, ids): (&Clock, &Ids),
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Artefact>, ReplayError> {
    progress("status");
    let mut all = vec![status(case).await?];
    progress("snapshot");
    all.push(snapshot(case).await?);
    progress("dry run");
    all.push(dry_run(case.runner).await?);
    all.extend(replays(case, ids, progress).await?);
    progress("checks");
    all.push(verify(case.runner, clock).await?);
    Ok(all)
}

/// What is applied. Where it is known what was before: nothing of that went, or is another text now.
async fn status(case: &Case<'_>) -> Result<Artefact, ReplayError> {
    let report = case.runner.status().await?;
    let parity = case.before.map(|then| then.parity(&report));
    let kept = parity.as_ref().is_none_or(|parity| parity.lost.is_empty());
    let is_sound = report.problems.is_empty() && report.abandoned.is_empty() && kept;
    Ok(Artefact { name: Name::W0Status, is_sound, body: json!({ "status": report, "parity": parity }) })
}

/// What the database holds of the modules' schemas, and of other tools beside. Where it is known what was before: no table and no
/// column of that is gone, and no table to which rows are only added has fewer.
async fn snapshot(case: &Case<'_>) -> Result<Artefact, ReplayError> {
    let session = Session::connect(&case.runner.owner).await?;
    let schemas: Vec<String> = case.runner.modules().iter().map(|module| module.schema.clone()).collect();
    let listing = catalog::objects(&session, &schemas).await?;
    let rows = if case.counts_rows { Some(catalog::row_counts(&session, &schemas).await?) } else { None };
    let neighbours = case.runner.status().await?.neighbours;
    let snapshot = Snapshot::new(listing, rows);
    let compared = case.before.map(|then| then.compare(&snapshot));
    let is_sound = compared.as_ref().is_none_or(parity::Compared::is_sound);
    let body = json!({ "snapshot": snapshot, "neighbours": neighbours, "compared": compared });
    Ok(Artefact { name: Name::W1Snapshot, is_sound, body })
}

/// Whatever is pending, gates included, in a transaction that is rolled back: file by file, so by module.
async fn dry_run(runner: &Runner) -> Result<Artefact, ReplayError> {
    let wish = Wish { force: true, ..Wish::default() };
    let request = Request { wish, dry_run: true, applied_by: "evidence".to_owned() };
    let report = runner.run(&request, &silent).await?;
    let is_sound = report.failed.is_none() && !report.rehearsal_failed();
    Ok(Artefact { name: Name::W2DryRun, is_sound, body: json!(report) })
}

/// Upgraded from every release that is supported, and every other road there is, twice where that tells something: all end alike.
async fn replays(
    case: &Case<'_>,
    ids: &Ids,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<[Artefact; 2], ReplayError> {
    let modules = case.runner.modules();
    let mut roads = replay::roads(modules, &releases::supported()?)?;
    roads.push(Road { name: "clean again".to_owned(), stages: vec![modules.to_vec()] });
    let report = match replay::replay(case.scratch, &roads, ids, progress).await {
        Ok(report) => report,
        // A file that cannot be applied is what these documents have to tell.
        Err(error @ ReplayError::Failed { .. }) => {
            let body = json!({ "failed": error.to_string() });
            let of = |name| Artefact { name, is_sound: false, body: body.clone() };
            return Ok([of(Name::W3Upgrade), of(Name::W4Replay)]);
        }
        Err(error) => return Err(error),
    };
    let (upgrades, others): (Vec<_>, Vec<_>) =
        report.arrivals.iter().partition(|arrival| arrival.road.starts_with(replay::UPGRADED));
    let same = |arrivals: &[&replay::Arrival]| arrivals.iter().all(|arrival| arrival.comparison.same());
    let of = |name, arrivals: &[&replay::Arrival]| Artefact {
        name,
        is_sound: same(arrivals) && !arrivals.is_empty(),
        body: json!({ "clean": report.digest, "objects": report.objects, "arrivals": arrivals }),
    };
    Ok([of(Name::W3Upgrade, &upgrades), of(Name::W4Replay, &others)])
}

/// Files against history, the linter, and the checks of the database as it is.
async fn verify(runner: &Runner, clock: &Clock) -> Result<Artefact, ReplayError> {
    let lint: Vec<Review> = runner.modules().iter().flat_map(lint::review).collect();
    let checks = checks::gather_after(runner, clock).await?;
    let is_sound = checks::worst(&checks) != Status::Fail && !lint.iter().any(Review::has_errors);
    Ok(Artefact { name: Name::W5Verify, is_sound, body: json!({ "lint": lint, "checks": checks }) })
}
