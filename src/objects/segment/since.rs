//! What became of a segment: asked for a database that was brought back from a backup, and knows the archive as it was then.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Manifest, Owner, Place, SegmentError, published};
use crate::objects::{Objects, ObjectsError};

/// Why a segment has no manifest any more.
#[derive(Clone, Debug)]
pub enum Since {
    /// The month was written anew; this is the last one that was.
    Replaced(Box<Manifest>),
    /// Nothing of the month is left, and that is as it was meant.
    Gone,
}

/// What lies there of a month of which nothing is left.
#[derive(Serialize, Deserialize)]
struct Word {
    kind: String,
    installation: Uuid,
    revision: u32,
}

const KIND: &str = "progress-service segment that is gone";

/// What became of a segment of this installation that is not there; `None` where nobody has said so: then it is lost.
pub async fn since(objects: &Objects, place: &Place, installation: Uuid) -> Result<Option<Since>, SegmentError> {
    for later in published(objects, place.tenant, place.month).await?.into_iter().rev() {
        if later.revision <= place.revision {
            break;
        }
        match Manifest::load(objects, &later, installation).await {
            Ok(manifest) => return Ok(Some(Since::Replaced(Box::new(manifest)))),
            // Removed in this moment, or of another installation whose tenant this was.
            Err(SegmentError::NotPublished(_) | SegmentError::NotOwner { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let key = place.gone();
    let bytes = match objects.get(&key).await {
        Ok(bytes) => bytes,
        Err(ObjectsError::NotFound(_)) => return Ok(None),
        Err(source) => return Err(SegmentError::reading(&key, source)),
    };
    let foreign = |rule: String| SegmentError::Foreign { key: key.clone(), rule };
    let word: Word = serde_json::from_slice(&bytes).map_err(|error| foreign(error.to_string()))?;
    if word.kind != KIND {
        return Err(foreign("its kind is another".to_owned()));
    }
    let is_of_it = word.installation == installation && word.revision >= place.revision;
    Ok(is_of_it.then_some(Since::Gone))
}

/// Says that nothing of a month is left, for whoever knows only what was before. Said before the objects go: until then they answer.
pub async fn say_gone(objects: &Objects, place: &Place, owner: &Owner) -> Result<(), SegmentError> {
    let key = place.gone();
    let word = Word { kind: KIND.to_owned(), installation: owner.installation, revision: place.revision };
    let text = serde_json::to_vec(&word).map_err(|error| SegmentError::encoding(&key, error))?;
    objects.put(&key, Bytes::from(text)).await.map_err(|source| SegmentError::writing(&key, source))
}

/// Takes that back.
pub async fn unsay_gone(objects: &Objects, place: &Place) -> Result<(), SegmentError> {
    let key = place.gone();
    objects.delete(&key).await.map_err(|source| SegmentError::Storage { key, doing: "removed", source })
}
