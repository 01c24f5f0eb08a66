//! The segments that are published, open. A listing of the store is believed for a few seconds; a manifest never changes but
//! by `adopt`, so a segment stays open as long as it is listed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use progress_service::{
    model::{TenantId, partition::Month},
    objects::{
        Objects,
        segment::{Cache, Manifest, Place, Segment, SegmentError},
    },
};
use tokio::sync::{Mutex, Semaphore};

use super::reach::Reach;
use crate::fault::Fault;

/// How long a listing is believed: as late may a month be seen that was published, or written anew.
const LISTED_FOR: Duration = Duration::from_secs(5);
/// So many manifests are read at a time, and so many scans.
const AT_ONCE: usize = 4;

/// Cheap to clone.
#[derive(Clone)]
pub struct Shelf {
    objects: Objects,
    cache: Option<Cache>,
    listed: Arc<Mutex<Option<Listing>>>,
    open: Arc<Mutex<HashMap<Place, Segment>>>,
    pub reads: Arc<Semaphore>,
}

#[derive(Clone)]
struct Listing {
    at: Instant,
    /// Of each month of a tenant the last revision.
    places: Arc<BTreeMap<(Month, TenantId), Place>>,
}

impl Shelf {
    pub fn new(objects: Objects, cache: Option<Cache>) -> Self {
        let reads = Arc::new(Semaphore::new(AT_ONCE));
        Self { objects, cache, listed: Arc::default(), open: Arc::default(), reads }
    }

    /// The segments of a month, or of all, that a login reaches; by tenant and month. `None` where nothing is published of that
    /// month at all: an answer of no rows would be a wrong one.
    pub async fn segments(&self, reach: &Reach, month: Option<Month>) -> Result<Option<Vec<Segment>>, Fault> {
        let Some(wanted) = wanted(&*self.places().await?, reach, month) else { return Ok(None) };
        let opened = stream::iter(wanted).map(|place| {
            let shelf = self.clone();
            async move { shelf.open(place).await }
        });
        let segments: Vec<Segment> = opened.buffered(AT_ONCE).try_collect().await?;
        Ok(Some(segments.into_iter().filter(|segment| reach.holds(segment.manifest())).collect()))
    }

    async fn open(&self, place: Place) -> Result<Segment, Fault> {
        if let Some(segment) = self.open.lock().await.get(&place) {
            return Ok(segment.clone());
        }
        let manifest = match Manifest::read(&self.objects, &place).await {
            Err(error @ SegmentError::NotPublished(_)) => {
                *self.listed.lock().await = None;
                return Err(error.into());
            }
            manifest => manifest?,
        };
        let segment = Segment::open(&self.objects, manifest, self.cache.as_ref())?;
        self.open.lock().await.insert(place, segment.clone());
        Ok(segment)
    }

    async fn places(&self) -> Result<Arc<BTreeMap<(Month, TenantId), Place>>, Fault> {
        let mut listed = self.listed.lock().await;
        if let Some(listing) = listed.as_ref().filter(|listing| listing.at.elapsed() < LISTED_FOR) {
            return Ok(Arc::clone(&listing.places));
        }
        let keys = self.objects.list("").await;
        let keys = keys.map_err(|source| Fault::new("58030", format!("the segments cannot be listed: {source}")))?;
        let mut places = BTreeMap::new();
        for place in keys.iter().filter_map(|(key, _)| place_of(key)) {
            let last = places.entry((place.month, place.tenant)).or_insert(place);
            if last.revision < place.revision {
                *last = place;
            }
        }
        self.open.lock().await.retain(|place, _| places.get(&(place.month, place.tenant)) == Some(place));
        let places = Arc::new(places);
        *listed = Some(Listing { at: Instant::now(), places: Arc::clone(&places) });
        Ok(places)
    }
}

/// Of a month, or of all, what a login may reach; `None` of a month that nobody has anything of.
fn wanted(places: &BTreeMap<(Month, TenantId), Place>, reach: &Reach, month: Option<Month>) -> Option<Vec<Place>> {
    let of_month = || places.values().filter(|place| month.is_none_or(|month| place.month == month));
    if month.is_some() && of_month().next().is_none() {
        return None;
    }
    let mut wanted: Vec<Place> = of_month().copied().filter(|place| reach.may_hold(place.tenant)).collect();
    wanted.sort_by_key(|place| (place.tenant.0, place.month));
    Some(wanted)
}

/// Whose manifest lies under this key.
fn place_of(key: &str) -> Option<Place> {
    let mut path = key.split('/');
    let tenant = TenantId(path.next()?.strip_prefix("tenant=")?.parse().ok()?);
    let month = path.next()?.strip_prefix("month=")?.parse().ok()?;
    let name = path.next()?.strip_prefix("_manifest")?.strip_suffix(".json")?;
    let revision = if name.is_empty() { 0 } else { name.strip_prefix("-r")?.parse().ok()? };
    let place = Place { tenant, month, revision };
    (place.manifest() == key).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_told_from_everything_else() {
        let tenant = TenantId(uuid::Uuid::from_u128(7));
        for revision in [0, 3] {
            let place = Place { tenant, month: "2026-03".parse().unwrap(), revision };
            assert_eq!(place_of(&place.manifest()), Some(place));
            assert_eq!(place_of(&place.part(0)), None);
            assert_eq!(place_of(&format!("_staged/{}", place.manifest())), None);
            assert_eq!(place_of(&format!("{}/more", place.manifest())), None);
        }
        assert_eq!(place_of("tenant=x/month=2026-03/_manifest.json"), None);
    }
}
