//! What a plan finds in the two cells: what the tenant has, and what is in its way.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    ResidencyError,
    courier::{brings_back, closed_there},
};
use crate::{
    model::{TenantId, partition::Month, residence::Standing},
    store::{
        StoreError, Tx,
        ledger::{
            absent::{self, Absent, Kept},
            carried,
        },
        platform::{leaving, residences, tenants},
    },
};

/// A month that is not in place where the tenant leaves, and goes along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OldMonth {
    pub month: String,
    pub statements: i64,
    /// `archived` or `detached`.
    pub is: &'static str,
}

impl From<&Absent> for OldMonth {
    fn from(of: &Absent) -> Self {
        let is = match of.kept {
            Kept::Table => "detached",
            Kept::Segment { .. } => "archived",
        };
        Self { month: of.month.to_string(), statements: of.statements, is }
    }
}

/// What there is where the tenant leaves.
pub struct Found {
    pub name: String,
    pub statements: i64,
    pub months: Vec<Month>,
    pub old_months: Vec<OldMonth>,
    pub blockers: Vec<String>,
    absent: Vec<Month>,
}

impl Found {
    /// The months that are needed there.
    pub fn all_months(&self) -> Vec<Month> {
        self.months.iter().chain(&self.absent).copied().collect()
    }
}

pub async fn here(tx: &Tx<'_>, tenant: TenantId) -> Result<Found, ResidencyError> {
    let known = tenants::get(tx, tenant).await?.ok_or(ResidencyError::NoTenant)?;
    let absent = absent::months(tx, tenant).await?;
    let mut blockers = Vec::new();
    if let Some(residence) = residences::get(tx, tenant).await?
        && residence.standing != Standing::Home
    {
        blockers.push(format!("the tenant is {} here, with {}", residence.standing.name(), residence.cell));
    }
    if carried::is_erasing(tx, tenant).await? {
        blockers.push("an erasure is under way: wait for its end".to_owned());
    }
    let ids = carried::by_month(tx, tenant).await?;
    blockers.extend(lost(tx, &ids, &absent).await?);
    let months = carried::months(tx, tenant, chrono::DateTime::UNIX_EPOCH).await?;
    let (statements, old_months) = (ids.iter().map(|(_, ids)| ids).sum(), absent.iter().map(OldMonth::from).collect());
    let absent = absent.into_iter().map(|one| one.month).collect();
    Ok(Found { name: known.name, statements, months, old_months, blockers, absent })
}

/// Months of which more statements are known by their ids than are kept anywhere.
async fn lost(tx: &Tx<'_>, ids: &[(Month, i64)], absent: &[Absent]) -> Result<Vec<String>, StoreError> {
    let of: HashMap<Month, i64> = ids.iter().copied().collect();
    let months: Vec<Month> = of.keys().copied().collect();
    let mut lost = Vec::new();
    for (month, state) in absent::not_in_place(tx, &months).await? {
        let kept = absent.iter().find(|one| one.month == month).map_or(0, |one| one.statements);
        let known = of.get(&month).copied().unwrap_or_default();
        if known > kept {
            let todo = brings_back(month, state);
            lost.push(format!(
                "{month} is {}, and of {known} statements {kept} are kept there: `archive verify --month {month}` looks for them, \
                 {todo} brings back what there is",
                state.name()
            ));
        }
    }
    Ok(lost)
}

/// What is in the way in the other cell, which is called so; `months` are those that the tenant has.
pub async fn there(
    tx: &Tx<'_>,
    tenant: TenantId,
    (name, cell): (&str, &str),
    months: &[Month],
) -> Result<Vec<String>, StoreError> {
    let mut blockers = Vec::new();
    let standing = residences::get(tx, tenant).await?.map_or(Standing::Home, |residence| residence.standing);
    match standing {
        Standing::Home if leaving::newest(tx, tenant).await?.is_some() => {
            blockers.push("the other cell serves a tenant of this id with statements of its own".to_owned());
        }
        Standing::Frozen | Standing::Arriving => {
            blockers.push(format!("the tenant is {} there by another move", standing.name()));
        }
        Standing::Home | Standing::Away => {}
    }
    if let Some(other) = tenants::named(tx, name).await?.filter(|other| other.id != tenant) {
        blockers.push(format!("the name {name:?} is another tenant's there ({})", other.id));
    }
    let closed = absent::not_in_place(tx, months).await?;
    blockers.extend(closed.into_iter().map(|(month, state)| closed_there(month, state, cell)));
    Ok(blockers)
}
