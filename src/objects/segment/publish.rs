//! Making a segment visible, and taking it away: by its owner alone, and never over something that is published.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Manifest, Owner, Part, Place, Published, SegmentError, Verified,
    source::{Reads, Source},
};
use crate::{
    model::{TenantId, partition::Month},
    objects::{Objects, ObjectsError},
};

/// Brings the parts to their places and, last, writes the manifest. Done again after a crash it comes to the same end.
pub async fn publish(objects: &Objects, verified: Verified) -> Result<Published, SegmentError> {
    let manifest = &verified.staged.manifest;
    for place in published(objects, manifest.place.tenant, manifest.place.month).await? {
        if place != manifest.place {
            Manifest::read(objects, &place).await?.must_belong_to(&manifest.owner)?;
        }
    }
    for (from, part) in verified.staged.keys().iter().zip(&manifest.parts) {
        bring(objects, from, part).await?;
    }
    let key = manifest.place.manifest();
    let manifest = match objects.put_new(&key, manifest.write()?).await {
        Ok(()) => manifest.clone(),
        Err(ObjectsError::Exists(_)) => the_same(Manifest::read(objects, &manifest.place).await?, manifest)?,
        Err(source) => return Err(SegmentError::writing(&key, source)),
    };
    Ok(Published { manifest })
}

/// A part that is there already, whole, was brought before; what is there otherwise stays.
async fn bring(objects: &Objects, from: &str, part: &Part) -> Result<(), SegmentError> {
    let copied = match objects.copy_new(from, &part.key).await {
        Ok(()) => true,
        Err(ObjectsError::Exists(_)) => false,
        Err(ObjectsError::NotFound(_)) => return Err(SegmentError::Missing { key: from.to_owned() }),
        Err(source) => return Err(SegmentError::writing(&part.key, source)),
    };
    let there = Source::new(objects, &part.key, part, None, Arc::new(Reads::default()))?;
    match there.check_rest().await {
        Err(SegmentError::Damaged { key, .. }) if !copied => Err(SegmentError::Occupied { key }),
        Err(error @ SegmentError::Damaged { .. }) => {
            // Nobody knows of it yet, and it is ours.
            let removed = objects.delete(&part.key).await;
            removed.map_err(|source| SegmentError::writing(&part.key, source)).and(Err(error))
        }
        checked => checked,
    }
}

fn the_same(there: Manifest, ours: &Manifest) -> Result<Manifest, SegmentError> {
    there.must_belong_to(&ours.owner)?;
    if (&there.parts, &there.summary) == (&ours.parts, &ours.summary) {
        return Ok(there);
    }
    Err(SegmentError::Occupied { key: ours.place.manifest() })
}

/// The revisions of a month that have a manifest, the last one last.
pub async fn published(objects: &Objects, tenant: TenantId, month: Month) -> Result<Vec<Place>, SegmentError> {
    below(objects, Place { tenant, month, revision: 0 }.folder()).await
}

/// The same of all months of a tenant.
pub async fn published_of(objects: &Objects, tenant: TenantId) -> Result<Vec<Place>, SegmentError> {
    below(objects, format!("tenant={tenant}")).await
}

async fn below(objects: &Objects, folder: String) -> Result<Vec<Place>, SegmentError> {
    let listed = objects.list(&folder).await;
    let listed = listed.map_err(|source| SegmentError::Storage { key: folder, doing: "listed", source })?;
    let mut places: Vec<Place> = listed.iter().filter_map(|(key, _)| Place::of_manifest(key)).collect();
    places.sort_unstable_by_key(|place| (place.month, place.revision));
    Ok(places)
}

/// Removes what one writing has staged, be it finished or not.
pub async fn clear(objects: &Objects, place: &Place, writing: Uuid) -> Result<(), SegmentError> {
    let folder = place.staging(writing);
    let listed = objects.list(&folder).await;
    let failed = |key: String, source| SegmentError::Storage { key, doing: "removed", source };
    for (key, _) in listed.map_err(|source| failed(folder, source))? {
        objects.delete(&key).await.map_err(|source| failed(key, source))?;
    }
    Ok(())
}

/// Removes a published segment, and nothing but what its manifest names; the manifest last, so that a crash leaves nothing
/// that has no name. What is not there any more is fine.
pub async fn remove(objects: &Objects, place: &Place, owner: &Owner) -> Result<(), SegmentError> {
    let manifest = match Manifest::read(objects, place).await {
        Err(SegmentError::NotPublished(_)) => return Ok(()),
        manifest => manifest?,
    };
    manifest.must_belong_to(owner)?;
    let keys = manifest.parts.into_iter().map(|part| part.key).chain([place.manifest()]);
    for key in keys {
        let failed = |source| SegmentError::Storage { key: key.clone(), doing: "removed", source };
        objects.delete(&key).await.map_err(failed)?;
    }
    Ok(())
}

/// Makes somebody else's segment ours: what a person decides when a database was restored or moved.
pub async fn adopt(objects: &Objects, place: &Place, owner: Owner) -> Result<Manifest, SegmentError> {
    let manifest = Manifest { owner, ..Manifest::read(objects, place).await? };
    let key = place.manifest();
    objects.put(&key, manifest.write()?).await.map_err(|source| SegmentError::writing(&key, source))?;
    Ok(manifest)
}
