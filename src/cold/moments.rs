//! Statements by the moments at which they were stored, wherever they are.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use super::{Cold, ColdError, Segments, TRIES, plan::Stretch};
use crate::{
    model::{TenantId, partition::Month},
    objects::segment::{self, Row},
    store::{
        As,
        ledger::{
            away::{self, Away, Keeper, Kept},
            statements,
            tables::Tables,
        },
    },
    xapi::stored,
};

/// Moments that are looked up together.
const TOGETHER: usize = 256;
/// The payloads of a segment that are in memory together, about.
const BYTES: usize = 8 << 20;

/// What is done with each statement.
type Each<'e> = dyn FnMut(Kept) -> Result<(), ColdError> + Send + 'e;

impl Cold {
    /// Gives `each` what was stored at these moments, in no order; of a moment at which nothing was stored, nothing.
    pub fn at<'a>(
        &self,
        tenant: TenantId,
        moments: &[DateTime<Utc>],
        each: &'a mut Each<'a>,
    ) -> BoxFuture<'a, Result<(), ColdError>> {
        let (cold, mut moments) = (self.clone(), moments.to_vec());
        moments.sort_unstable();
        moments.dedup();
        Box::pin(async move {
            while !moments.is_empty() {
                let rest = moments.split_off(moments.len().min(TOGETHER));
                cold.together(tenant, moments, each).await?;
                moments = rest;
            }
            Ok(())
        })
    }

    async fn together(
        &self,
        tenant: TenantId,
        moments: Vec<DateTime<Utc>>,
        each: &mut Each<'_>,
    ) -> Result<(), ColdError> {
        let (mut left, mut tries) = (moments.into_iter().collect(), 0);
        loop {
            match self.some_at(tenant, &mut left, each).await {
                Err(error) if error.is_of_the_move() && tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    /// The statement that was stored at this moment.
    pub async fn one_at(&self, tenant: TenantId, moment: DateTime<Utc>) -> Result<Option<Kept>, ColdError> {
        let mut found = None;
        let mut each = |kept| {
            found = Some(kept);
            Ok(())
        };
        self.at(tenant, &[moment], &mut each).await?;
        Ok(found)
    }

    async fn some_at(
        &self,
        tenant: TenantId,
        left: &mut BTreeSet<DateTime<Utc>>,
        each: &mut Each<'_>,
    ) -> Result<(), ColdError> {
        let wanted: Vec<DateTime<Utc>> = left.iter().copied().collect();
        let (found, away) = self
            .store
            .run_tx("kept_at", As::Tenant(tenant), |tx| {
                let wanted = wanted.clone();
                Box::pin(async move {
                    let away = away::months(tx).await?;
                    let mut found = away::kept_at(tx, tenant, Tables::Hot, &wanted).await?;
                    found.extend(away::kept_at(tx, tenant, Tables::Detached, &wanted).await?);
                    Ok::<_, ColdError>((found, away))
                })
            })
            .await?;
        for kept in found {
            if left.remove(&kept.stored) {
                each(kept)?;
            }
        }
        let archived = |moment: &DateTime<Utc>| {
            let holds = |one: &Away| one.bounds.lower <= *moment && *moment < one.bounds.upper;
            away.iter().any(|one| one.keeper == Keeper::Segments && holds(one))
        };
        let months: HashSet<Month> = left.iter().filter(|moment| archived(moment)).map(|at| Month::of(*at)).collect();
        if months.is_empty() {
            return Ok(());
        }
        let segments = self.segments(tenant).await?;
        for month in months {
            of_month(&segments, month, left, each).await?;
        }
        Ok(())
    }
}

async fn of_month(
    segments: &Segments,
    month: Month,
    left: &mut BTreeSet<DateTime<Utc>>,
    each: &mut Each<'_>,
) -> Result<(), ColdError> {
    let all: Vec<_> = segments.within(Stretch { lower: month.begin(), upper: month.end() }).collect();
    let Some(wanted) = all.first() else { return Ok(()) };
    let mut span = segment::Span { ascending: true, since: None, until: None, limit: TOGETHER, bytes: BYTES };
    loop {
        let moments: Vec<_> = left.range(month.begin()..month.end()).copied().collect();
        if moments.is_empty() {
            return Ok(());
        }
        let rows = segments.visit.select(wanted, &segment::Filter::default().at(moments), &span).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        span.since = Some(last.stored);
        for row in rows {
            left.remove(&row.stored);
            if !segments.hidden.contains(&row.stored) {
                each(kept(row))?;
            }
        }
    }
}

fn kept(row: Row) -> Kept {
    Kept {
        id: row.id,
        stored: row.stored,
        occurred: row.occurred,
        verb_key: row.verb_key,
        agent_key: row.agent_key,
        activity_key: row.activity_key,
        registration_key: row.registration_key,
        voiding: row.voiding,
        is_archived: true,
        payload: row.payload,
    }
}

/// The key of a statement's authority, in the form of `authority_form`.
pub fn authority_of(tenant: TenantId, kept: &Kept) -> Result<uuid::Uuid, ColdError> {
    let keys = stored::keys(tenant.0, &kept.payload);
    let keys = keys.map_err(|error| ColdError::Unreadable { id: kept.id, detail: error.to_string() })?;
    Ok(statements::authority_form(keys.authority))
}
