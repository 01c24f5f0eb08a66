//! The months of a tenant that are not among those in place: where each of them is kept, for whoever takes them along.

use uuid::Uuid;

use crate::model::{
    TenantId,
    partition::{Month, State},
};
use crate::store::{
    StoreError, Tx,
    ledger::{
        away::{self, Keeper},
        month_rows, partitions, segments,
    },
};

/// Where a month is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In its detached table.
    Table,
    /// In a segment alone, with this content, of this installation.
    Segment { revision: u32, digest: String, installation: Uuid },
}

/// What a tenant has in a month that is not in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    pub month: Month,
    pub statements: i64,
    pub kept: Kept,
}

/// The tenant's months that are not in place, oldest first.
pub async fn months(tx: &Tx<'_>, tenant: TenantId) -> Result<Vec<Absent>, StoreError> {
    let (away, published) = (away::months(tx).await?, segments::published(tx, Some(tenant), None).await?);
    let mut absent = Vec::new();
    for one in away {
        let month = Month::of(one.bounds.lower);
        match one.keeper {
            Keeper::Detached => {
                let statements = month_rows::count(tx, &one.bounds, tenant).await?;
                if statements > 0 {
                    absent.push(Absent { month, statements, kept: Kept::Table });
                }
            }
            Keeper::Segments => {
                let segment = published.iter().find(|segment| segment.name.month == month);
                absent.extend(segment.and_then(|segment| {
                    let of = segment.contents.as_ref()?;
                    let (revision, digest) = (segment.name.revision, of.digest.clone());
                    let kept = Kept::Segment { revision, digest, installation: segment.installation };
                    Some(Absent { month, statements: of.rows, kept })
                }));
            }
        }
    }
    Ok(absent)
}

/// Those of the months to which nothing can be added as they stand, with their state. One that is not there yet can be made.
pub async fn not_in_place(tx: &Tx<'_>, months: &[Month]) -> Result<Vec<(Month, State)>, StoreError> {
    let known = partitions::list(tx).await?.into_iter().map(|one| (Month::of(one.bounds.lower), one.state));
    Ok(known.filter(|(month, state)| months.contains(month) && !matches!(state, State::Open | State::Sealed)).collect())
}
