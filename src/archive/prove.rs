//! Proving that the archive holds a month, row for row, and only then dropping its table: the proof is a value that dropping consumes.

use std::{collections::VecDeque, time::Instant};

use super::{Archive, ArchiveError, place, rows, rows::Rows, run::Tell};
use crate::{
    model::partition::{Bounds, Change, Month, State},
    objects::segment::{self, Manifest, Published, Row, Segment},
    store::ledger::segments,
};

/// Every statement of the month's table was found in a published segment of this installation, byte for byte, just now. Only [`prove`]
/// makes one.
#[derive(Debug)]
pub struct Proven {
    month: Month,
    segments: Vec<Published>,
}

impl Proven {
    /// How many statements are proven, in how many segments.
    pub fn size(&self) -> (u64, usize) {
        (self.segments.iter().map(|one| one.manifest().summary.rows).sum(), self.segments.len())
    }
}

/// Reads the month's table and its segments from end to end, side by side.
pub async fn prove(archive: &Archive, month: Month, tell: Tell<'_>) -> Result<Proven, ArchiveError> {
    let claim = archive.claim().await?;
    let bounds = archive.ready(month).await?;
    let state = archive.partition(month).await?.state;
    if state != State::Archived {
        let wanted = "only one that is archived, with its table still here, can be proven";
        return Err(ArchiveError::Wrong { partition: bounds, state, wanted });
    }
    let (published, mut segments, mut after) = (archive.published(Some(month)).await?, Vec::new(), None);
    while let Some(tenant) = archive.next_tenant(&bounds, after).await? {
        let row = published.iter().find(|one| one.name.tenant == tenant);
        let row = row.ok_or(ArchiveError::NoSegment { tenant, month })?;
        let manifest = archive.manifest(row).await?;
        manifest.must_belong_to(&claim.owner())?;
        archive.compare(&bounds, &manifest).await?;
        let proven = segment::audit(&archive.objects, manifest, &archive.aside).await?;
        tell(proven.manifest().summary.rows);
        segments.push(proven);
        after = Some(tenant);
    }
    Ok(Proven { month, segments })
}

/// Drops the table of a month. What was proven is not changed by anybody: the table takes no writes, and segments are written once.
pub async fn drop_month(archive: &Archive, proven: Proven, by: &str) -> Result<(), ArchiveError> {
    archive.change(proven.month, Change::Drop, by).await.map(drop)
}

impl Archive {
    /// The manifest of a published segment, which must be what the ledger noted of it.
    pub(super) async fn manifest(&self, row: &segments::Segment) -> Result<Manifest, ArchiveError> {
        let manifest = Manifest::load(&self.objects, &place(&row.name), row.installation).await?;
        let (tenant, month) = (row.name.tenant, row.name.month);
        let other = |rule: String| Err(ArchiveError::OtherManifest { tenant, month, rule });
        let Some(noted) = &row.contents else { return other("nothing was noted of it".to_owned()) };
        let says = super::run::contents(&manifest);
        if says.digest != noted.digest {
            return other(format!("its content digest is {}, and {} was noted", says.digest, noted.digest));
        }
        if (says.rows, says.bytes) != (noted.rows, noted.bytes) {
            let (rows, bytes) = (noted.rows, noted.bytes);
            return other(format!(
                "it has {} rows and {} bytes, and {rows} and {bytes} were noted",
                says.rows, says.bytes
            ));
        }
        Ok(manifest)
    }

    /// Reads a tenant's month from its table and from a segment, and fails at the first statement that is not the same.
    pub(super) async fn compare(&self, month: &Bounds, manifest: &Manifest) -> Result<(), ArchiveError> {
        let (tenant, of) = (manifest.place.tenant, manifest.place.month);
        let differs = |rule: String| Err(ArchiveError::Differs { tenant, month: of, rule });
        let mut scan = Segment::open(&self.objects, manifest.clone(), None)?.scan();
        let (mut table, mut archived) = (Rows::of(self, *month, tenant), VecDeque::new());
        loop {
            let begun = Instant::now();
            let page = table.next().await?;
            if page.is_empty() {
                break;
            }
            for row in page {
                if archived.is_empty() {
                    archived.extend(scan.next().await?.unwrap_or_default());
                }
                match archived.pop_front() {
                    Some(there) if rows::same(&row, &there) => {}
                    Some(there) => return differs(unequal(&row, &there)),
                    None => return differs(format!("statement {} is in the table and not in the segment", row.id)),
                }
            }
            self.aside.rest(begun.elapsed()).await;
        }
        if archived.is_empty() {
            archived.extend(scan.next().await?.unwrap_or_default());
        }
        match archived.front() {
            Some(more) => differs(format!("statement {} is in the segment and not in the table", more.id)),
            None => Ok(()),
        }
    }
}

fn unequal(table: &Row, archived: &Row) -> String {
    if table.id == archived.id {
        return format!("statement {} is another there", table.id);
    }
    format!("where the table has statement {}, it has {}", table.id, archived.id)
}

/// Whose statements these are is nobody's business in a log.
impl std::fmt::Display for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rows, segments) = self.size();
        write!(f, "{}: {rows} statements in {segments} segments", self.month)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::model::TenantId;

    #[test]
    fn what_differs_is_named_and_not_shown() {
        let row = |n: u128, payload: &str| Row {
            tenant: TenantId(Uuid::from_u128(1)),
            id: Uuid::from_u128(n),
            stored: DateTime::UNIX_EPOCH,
            occurred: None,
            verb_key: Uuid::nil(),
            agent_key: None,
            activity_key: None,
            registration_key: None,
            refers_to: None,
            voiding: false,
            voids_only_of: None,
            voided_by: None,
            converts: false,
            relations: Vec::new(),
            payload: payload.to_owned(),
        };
        let text = unequal(&row(7, "mailto:ann@x.example"), &row(7, "mailto:bob@x.example"));
        assert!(text.contains("000000000007") && !text.contains("mailto"), "{text}");
        assert!(unequal(&row(7, ""), &row(8, "")).contains("000000000008"));
    }
}
