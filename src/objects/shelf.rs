//! The shelf: published segments, opened once and kept at hand, read by a few at a time and through a cache on this machine's
//! disk. Nothing is opened, and no storage is asked, before somebody wants a segment. Which segments count, others say.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    Objects, ObjectsError,
    segment::{self, Cache, Filter, Manifest, Place, Row, Segment, SegmentError, Span},
};
use crate::{config, telemetry::Metrics};

/// Parts of segments that are kept open; each holds its footer and 2 MiB of what was read of it last.
const OPEN_PARTS: u64 = 32;
/// A segment that nobody reads for so long is closed.
const REST: Duration = Duration::from_secs(600);

/// How much may be read at once, and for how long.
#[derive(Clone, Debug)]
pub struct ShelfSettings {
    /// Where blocks are kept, and how many bytes of them.
    pub cache: Option<(PathBuf, u64)>,
    pub reads: usize,
    /// How long a read waits for its turn.
    pub wait: Duration,
    /// How long one question to a segment may take.
    pub timeout: Duration,
}

impl ShelfSettings {
    /// What the configuration says. The cache's folder belongs to one process: one that is not the service has none.
    pub fn of(archive: &config::Archive, cache: Option<&Path>) -> Self {
        let bytes = archive.cache.0 as u64;
        Self {
            cache: cache.filter(|_| bytes > 0).map(|folder| (folder.to_owned(), bytes)),
            reads: archive.reads,
            wait: archive.read_wait,
            timeout: archive.read_timeout,
        }
    }
}

/// Why a segment was not read.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("{limit} reads of archived months are under way, which is the limit")]
    Busy { limit: usize },
    #[error("{place}: the object storage did not answer within {after:?}")]
    Late { place: Place, after: Duration },
    #[error("object storage cannot be opened: {0}")]
    Closed(ObjectsError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

impl ShelfError {
    /// Whether the same read may succeed later without anybody mending anything in the archive.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Late { .. } | Self::Closed(_) => true,
            Self::Segment(error) => matches!(error, SegmentError::Storage { .. }),
        }
    }

    /// Whether the segment is not there: another revision may count by now.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Segment(SegmentError::Missing { .. } | SegmentError::NotPublished(_)))
    }

    fn why(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Late { .. } => "late",
            Self::Closed(_) | Self::Segment(SegmentError::Storage { .. }) => "storage",
            Self::Segment(_) if self.is_gone() => "missing",
            Self::Segment(_) => "damaged",
        }
    }
}

/// A segment, and the digest that its content has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub place: Place,
    pub digest: String,
}

/// Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>);

struct Inner {
    archive: Option<(config::Archive, PathBuf)>,
    doors: OnceCell<(Objects, Option<Cache>)>,
    open: moka::sync::Cache<Place, (Arc<str>, Segment)>,
    turns: Arc<Semaphore>,
    settings: ShelfSettings,
    metrics: Metrics,
}

impl Shelf {
    /// The shelf of the storage that the configuration names; see [`Objects::open`].
    pub fn new(archive: &config::Archive, data_dir: &Path, settings: ShelfSettings, metrics: Metrics) -> Self {
        Self::with(Some((archive.clone(), data_dir.to_owned())), OnceCell::new(), settings, metrics)
    }

    /// The shelf of a storage that is open already.
    pub fn over(objects: Objects, settings: ShelfSettings, metrics: Metrics) -> Self {
        let cache = cache(&settings);
        Self::with(None, OnceCell::new_with(Some((objects, cache))), settings, metrics)
    }

    fn with(
        archive: Option<(config::Archive, PathBuf)>,
        doors: OnceCell<(Objects, Option<Cache>)>,
        settings: ShelfSettings,
        metrics: Metrics,
    ) -> Self {
        let weigh = |_: &Place, (_, segment): &(Arc<str>, Segment)| segment.manifest().parts.len().max(1) as u32;
        let open = moka::sync::Cache::builder().max_capacity(OPEN_PARTS).weigher(weigh).time_to_idle(REST).build();
        let turns = Arc::new(Semaphore::new(settings.reads));
        Self(Arc::new(Inner { archive, doors, open, turns, settings, metrics }))
    }

    /// Waits for a turn. Whoever has one may ask as many segments as they like, one question after the other or a few at once.
    pub async fn visit(&self) -> Result<Visit, ShelfError> {
        let taken = timeout(self.0.settings.wait, Arc::clone(&self.0.turns).acquire_owned()).await;
        match taken {
            Ok(Ok(turn)) => Ok(Visit { shelf: self.clone(), _turn: Arc::new(turn) }),
            _ => {
                self.0.metrics.shelf.refused.inc();
                Err(ShelfError::Busy { limit: self.0.settings.reads })
            }
        }
    }

    /// Forgets a part of a segment that is gone: nothing of it stays on this machine's disk, whether anybody has read here or not.
    pub fn forget(&self, sha256: &str, bytes: u64) {
        let opened = self.0.doors.get().and_then(|(_, cache)| cache.as_ref());
        let forgotten = match (opened, &self.0.settings.cache) {
            (Some(cache), _) => cache.forget_object(sha256, bytes).map_err(|error| error.to_string()),
            (None, Some((folder, _))) => match std::fs::remove_dir_all(folder.join(sha256)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
                _ => Ok(()),
            },
            (None, None) => Ok(()),
        };
        if let Err(error) = forgotten {
            tracing::error!(error, part = sha256, "blocks of an erased segment could not be removed from the cache");
        }
        self.0.open.invalidate_all();
    }

    async fn doors(&self) -> Result<&(Objects, Option<Cache>), ShelfError> {
        let inner = Arc::clone(&self.0);
        let opened = self.0.doors.get_or_try_init(|| async move {
            let open = move || {
                let (archive, data_dir) = inner.archive.as_ref()?;
                Some(Objects::open(archive, data_dir).map(|objects| (objects, cache(&inner.settings))))
            };
            let opened = tokio::task::spawn_blocking(open).await.ok().flatten();
            opened.unwrap_or_else(|| Err(ObjectsError::Url(String::new())))
        });
        opened.await.map_err(ShelfError::Closed)
    }

    async fn segment(&self, wanted: &Wanted) -> Result<Segment, ShelfError> {
        if let Some((_, segment)) = self.0.open.get(&wanted.place).filter(|(digest, _)| **digest == *wanted.digest) {
            return Ok(segment);
        }
        let (objects, cache) = self.doors().await?;
        let manifest = Manifest::read(objects, &wanted.place).await?;
        let found = &manifest.summary.digest;
        if *found != wanted.digest {
            let (key, found, wanted) = (wanted.place.manifest(), found.clone(), wanted.digest.clone());
            return Err(SegmentError::Misplaced { key, what: "the content digest", found, wanted }.into());
        }
        let segment = Segment::open(objects, manifest, cache.as_ref())?;
        self.0.open.insert(wanted.place, (wanted.digest.as_str().into(), segment.clone()));
        Ok(segment)
    }
}

/// A cache that cannot be used costs time and nothing else.
fn cache(settings: &ShelfSettings) -> Option<Cache> {
    let (folder, bytes) = settings.cache.as_ref()?;
    let opened = Cache::open(folder, *bytes);
    opened.inspect_err(|error| tracing::warn!(%error, "archived months are read without a cache")).ok()
}

/// Somebody's turn at the shelf; it ends when the last clone is dropped.
#[derive(Clone)]
pub struct Visit {
    shelf: Shelf,
    _turn: Arc<OwnedSemaphorePermit>,
}

impl Visit {
    /// A page of one segment.
    pub async fn select(&self, wanted: &Wanted, filter: &Filter, span: &Span) -> Result<Vec<Row>, ShelfError> {
        let asking = async {
            let segment = self.shelf.segment(wanted).await?;
            let found = segment.select(filter, span).await;
            self.count(&segment);
            Ok(found?)
        };
        let rows = self.within(wanted.place, Box::pin(asking)).await?;
        self.shelf.0.metrics.shelf.statements.inc_by(rows.len() as u64);
        Ok(rows)
    }

    /// All of one segment, from its first statement to its last.
    pub async fn scan(&self, wanted: &Wanted) -> Result<Scan, ShelfError> {
        let segment = self.within(wanted.place, Box::pin(self.shelf.segment(wanted))).await?;
        Ok(Scan { visit: self.clone(), place: wanted.place, scan: segment.scan(), segment })
    }

    async fn within<T>(
        &self,
        place: Place,
        asking: impl Future<Output = Result<T, ShelfError>>,
    ) -> Result<T, ShelfError> {
        let (metrics, after) = (&self.shelf.0.metrics.shelf, self.shelf.0.settings.timeout);
        let begun = Instant::now();
        let answer = timeout(after, asking).await.unwrap_or(Err(ShelfError::Late { place, after }));
        metrics.seconds.observe(begun.elapsed().as_secs_f64());
        answer.inspect_err(|error| {
            metrics.failed(error.why());
            // What was kept open of it is not believed any more.
            self.shelf.0.open.invalidate(&place);
        })
    }

    fn count(&self, segment: &Segment) {
        let (fetched, cached) = segment.reads().take();
        self.shelf.0.metrics.shelf.read(fetched, cached);
    }
}

/// A segment on its way from end to end.
pub struct Scan {
    visit: Visit,
    place: Place,
    segment: Segment,
    scan: segment::Scan,
}

impl Scan {
    /// The next statements; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>, ShelfError> {
        let (visit, place) = (self.visit.clone(), self.place);
        let rows = visit.within(place, Box::pin(async { Ok(self.scan.next().await?) })).await?;
        visit.count(&self.segment);
        visit.shelf.0.metrics.shelf.statements.inc_by(rows.as_ref().map_or(0, Vec::len) as u64);
        Ok(rows)
    }
}
