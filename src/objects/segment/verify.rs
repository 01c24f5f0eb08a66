//! Reading back what was written. The values that come of it are the only way to publish, and the only leave to drop what
//! the rows were taken from.

use std::time::Instant;

use super::{
    Manifest, Segment, SegmentError, Staged, digest,
    manifest::{Summary, Tally},
};
use crate::{objects::Objects, telemetry::Aside};

/// What was put down, read back, and found equal to the rows that came in. Only [`verify`] makes one.
#[derive(Debug)]
pub struct Verified {
    pub(super) staged: Staged,
}

/// What is published and was read back there. Only `publish` and [`audit`] make one.
#[derive(Debug)]
pub struct Published {
    pub(super) manifest: Manifest,
}

impl Published {
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// Reads every byte and every row of what is staged, and compares.
pub async fn verify(objects: &Objects, staged: Staged, aside: &Aside) -> Result<Verified, SegmentError> {
    prove(&Segment::staged(objects, &staged)?, aside).await?;
    Ok(Verified { staged })
}

/// The same of what is published, at any later time.
pub async fn audit(objects: &Objects, manifest: Manifest, aside: &Aside) -> Result<Published, SegmentError> {
    prove(&Segment::open(objects, manifest.clone(), None)?, aside).await?;
    Ok(Published { manifest })
}

async fn prove(segment: &Segment, aside: &Aside) -> Result<(), SegmentError> {
    let manifest = segment.manifest();
    let mut month = Tally::of(manifest.place.tenant);
    for (number, part) in segment.parts().iter().enumerate() {
        let mut tally = Tally::of(manifest.place.tenant);
        let mut scan = segment.scan_part(number);
        let mut begun = Instant::now();
        while let Some(rows) = scan.next().await? {
            (tally, month) = super::blocking(part.key(), move || {
                for row in &rows {
                    let digest = digest::row(row);
                    tally.add(row, &digest);
                    month.add(row, &digest);
                }
                (tally, month)
            })
            .await?;
            aside.rest(begun.elapsed()).await;
            begun = Instant::now();
        }
        equal(part.key(), &part.summary, tally.summary())?;
        part.source.check_rest().await?;
    }
    equal(&manifest.place.manifest(), &manifest.summary, month.summary())
}

fn equal(key: &str, wrote: &Summary, reads: Option<Summary>) -> Result<(), SegmentError> {
    let Some(reads) = reads else { return Err(SegmentError::damaged(key, "it holds no rows")) };
    let unequal =
        |what, wrote: String, reads: String| Err(SegmentError::Unequal { key: key.to_owned(), what, wrote, reads });
    if wrote.rows != reads.rows {
        return unequal("the number of rows", wrote.rows.to_string(), reads.rows.to_string());
    }
    if wrote.first_stored != reads.first_stored {
        return unequal("the first moment", wrote.first_stored.to_string(), reads.first_stored.to_string());
    }
    if wrote.last_stored != reads.last_stored {
        return unequal("the last moment", wrote.last_stored.to_string(), reads.last_stored.to_string());
    }
    if wrote.digest != reads.digest {
        return unequal("the content digest", wrote.digest.clone(), reads.digest);
    }
    Ok(())
}
