//! The replay proof: every road to this binary's schema ends in the same database.
//!
//! It works on scratch databases and drops them; it never touches the database it was pointed at.

use serde::Serialize;

use super::{
    error::MigrateError,
    fingerprint::{Comparison, Fingerprint},
    modules::{File, Module, ModuleError},
    names::Category,
    plan::Wish,
    releases::{self, Release, ReleaseError},
    run::{Request, Runner, Settings, silent},
    squash::{self, Squash},
};
use crate::{
    model::Ids,
    store::{
        Endpoint, StoreError,
        door::ddl::Session,
        schema::{catalog, scratch::Scratch},
    },
};

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Modules(#[from] ModuleError),
    #[error(transparent)]
    Releases(#[from] ReleaseError),
    #[error("{road}: {module}/{file} failed: {error}")]
    Failed { road: String, module: String, file: String, error: String },
}

/// How the name of a road begins that leads up from a release.
pub const UPGRADED: &str = "upgraded from";

/// One way to come to the schema: sets of modules, each applied on top of the one before.
#[derive(Clone, Debug)]
pub struct Road {
    pub name: String,
    pub stages: Vec<Vec<Module>>,
}

/// Where one road ended, and how that differs from the clean database.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    pub road: String,
    pub digest: String,
    #[serde(flatten)]
    pub comparison: Comparison,
}

#[derive(Clone, Debug, Serialize)]
pub struct ReplayReport {
    /// Of the clean database.
    pub digest: String,
    pub objects: usize,
    pub arrivals: Vec<Arrival>,
}

impl ReplayReport {
    pub fn same(&self) -> bool {
        self.arrivals.iter().all(|arrival| arrival.comparison.same())
    }
}

/// Every road there has to be: clean, up from each release, and squashed on an empty and on a filled database.
pub fn roads(modules: &[Module], releases: &[Release]) -> Result<Vec<Road>, ReplayError> {
    let mut roads = vec![Road { name: "clean".to_owned(), stages: vec![modules.to_vec()] }];
    for release in releases {
        let stages = vec![releases::modules_at(release, modules)?, modules.to_vec()];
        roads.push(Road { name: format!("{UPGRADED} {}", release.version), stages });
    }
    let squashed = modules.iter().map(squashed).collect::<Result<Vec<_>, _>>()?;
    roads.push(Road { name: "squashed".to_owned(), stages: vec![squashed.clone()] });
    roads.push(Road { name: "squashed later".to_owned(), stages: vec![modules.to_vec(), squashed] });
    Ok(roads)
}

/// The roads that have to end alike before a squash may take the place of its files: installed by it, and recorded over what is here
/// and over what each release left.
pub fn roads_of(
    (name, squash): (&str, &Squash),
    modules: &[Module],
    releases: &[Release],
) -> Result<Vec<Road>, ReplayError> {
    let with = |module: &Module| if module.name == name { replaced(module, squash) } else { Ok(module.clone()) };
    let squashed = modules.iter().map(with).collect::<Result<Vec<_>, _>>()?;
    let road = |name: &str, stages| Road { name: name.to_owned(), stages };
    let mut roads = vec![
        road("clean", vec![modules.to_vec()]),
        road("squashed", vec![squashed.clone()]),
        road("squashed later", vec![modules.to_vec(), squashed.clone()]),
    ];
    for release in releases {
        let stages = vec![releases::modules_at(release, modules)?, squashed.clone()];
        roads.push(road(&format!("{UPGRADED} {}, squashed", release.version), stages));
    }
    Ok(roads)
}

/// The module with as many of its files squashed into one as can be.
fn squashed(module: &Module) -> Result<Module, ModuleError> {
    let candidates = module.files.iter().filter(|f| matches!(f.category(), Category::Startup | Category::Release));
    let squash = candidates.rev().find_map(|file| squash::squash(module, &file.file(), "squashed").ok());
    squash.map_or_else(|| Ok(module.clone()), |squash| replaced(module, &squash))
}

/// The module with a squash in the place of the files that it stands for.
fn replaced(module: &Module, squash: &Squash) -> Result<Module, ModuleError> {
    let kept = module.files.iter().filter(|file| !squash.supersedes.contains(&file.file()));
    let mut files: Vec<File> = kept.cloned().collect();
    files.push(File::new(&module.name, &squash.name.file(), &squash.text, Some(&squash.down))?);
    files.sort_by_key(|file| (file.name.category, file.name.number));
    Ok(Module { files, ..module.clone() })
}

/// Walks every road on a scratch database of its own and compares where they end.
pub async fn replay(
    server: &Endpoint,
    roads: &[Road],
    ids: &Ids,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<ReplayReport, ReplayError> {
    let mut ends: Vec<(String, Fingerprint)> = Vec::new();
    for road in roads {
        progress(&road.name);
        let scratch = Scratch::create(server, ids).await?;
        let walked = walk(&scratch.endpoint, road).await;
        scratch.drop().await?;
        ends.push((road.name.clone(), walked?));
    }
    let Some((_, clean)) = ends.first().cloned() else {
        return Ok(ReplayReport { digest: String::new(), objects: 0, arrivals: Vec::new() });
    };
    let arrivals = ends
        .into_iter()
        .skip(1)
        .map(|(road, end)| Arrival { road, comparison: clean.compare(&end), digest: end.digest })
        .collect();
    Ok(ReplayReport { objects: clean.lines().count(), digest: clean.digest, arrivals })
}

async fn walk(endpoint: &Endpoint, road: &Road) -> Result<Fingerprint, ReplayError> {
    let mut schemas: Vec<String> = Vec::new();
    for stage in &road.stages {
        let runner = Runner::new(stage.clone(), endpoint.clone(), Settings::default());
        // Nobody lives in a scratch database: gates and approvals have nobody to protect.
        let wish = Wish { bootstrap: true, ..Wish::default() };
        let request = Request { wish, dry_run: false, applied_by: "replay".to_owned() };
        let report = runner.run(&request, &silent).await?;
        if let Some(failure) = report.failed {
            let (module, file, error) = (failure.module, failure.file, failure.error);
            return Err(ReplayError::Failed { road: road.name.clone(), module, file, error });
        }
        schemas.extend(stage.iter().map(|module| module.schema.clone()));
    }
    schemas.sort();
    schemas.dedup();
    let session = Session::connect(endpoint).await?;
    Ok(catalog::listing(&session, &schemas).await?.into())
}

#[cfg(test)]
mod tests {
    use super::super::modules;
    use super::*;

    #[test]
    fn there_is_a_road_for_each_release_and_two_for_the_squash() {
        let modules = modules::internal().unwrap();
        let releases = releases::supported().unwrap();
        let roads = roads(&modules, &releases).unwrap();
        assert_eq!(roads.len(), 3 + releases.len());
        assert_eq!(roads[0].name, "clean");
        let last = roads.last().unwrap();
        let files = |stage: &[Module]| stage.iter().map(|module| module.files.len()).sum::<usize>();
        assert!(files(&last.stages[1]) < files(&last.stages[0]), "the squash made nothing smaller");
    }
}
