//! A page out of segments: what answers by itself, and referrers that are found by what they reach, without the voided.
//!
//! What refers to what, and what is voided, stands in the database for ever; the rest stands in the rows. Both are asked in
//! turns, each as far as both are known, until the page is full.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    ColdError, Segments,
    direct::{direct, in_sight},
    plan::{Filling, Stretch},
};
use crate::{
    objects::{
        segment::{self, Row},
        shelf::Wanted,
    },
    store::{
        As, Store,
        ledger::{
            pages::{self, Filter, Found, Span},
            voids,
        },
    },
};

/// Referrers that are looked up at once, at least.
const REFERRERS: i64 = 64;

/// A page of this stretch. `span` lies within it.
pub(super) async fn page(
    store: &Store,
    segments: &Segments,
    filter: &Filter,
    stretch: Stretch,
    span: &Span,
) -> Result<Vec<Found>, ColdError> {
    let mut page = Filling::new(*span);
    let mut all: Vec<Wanted> = segments.within(stretch).collect();
    if !span.ascending {
        all.reverse();
    }
    for wanted in &all {
        let month = wanted.place.month;
        let (first, last) = (month.begin() - MICROSECOND, month.end() - MICROSECOND);
        let mut asked =
            Span { since: span.since.max(Some(first)), until: Some(span.until.unwrap_or(last).min(last)), ..*span };
        while !page.is_full() {
            (asked.limit, asked.bytes) = (page.limit(), page.bytes());
            let end = turn(store, segments, wanted, filter, &asked, &mut page).await?;
            let Some(end) = end else { break };
            if span.ascending { asked.since = Some(end) } else { asked.until = Some(end - MICROSECOND) }
        }
    }
    Ok(page.rows())
}

const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);

/// Puts the next statements onto the page; answers up to where all is known, `None` for the end.
async fn turn(
    store: &Store,
    segments: &Segments,
    wanted: &Wanted,
    filter: &Filter,
    span: &Span,
    page: &mut Filling,
) -> Result<Option<DateTime<Utc>>, ColdError> {
    let (mut rows, mut end) = read(segments, wanted, &direct(filter), span).await?;
    if filter.asks() {
        let (referrers, other) = referrers(store, segments, wanted, filter, span).await?;
        rows.extend(referrers);
        end = nearer(end, other, span.ascending);
    }
    if let Some(end) = end {
        rows.retain(|stored, _| if span.ascending { *stored <= end } else { *stored >= end });
    }
    let visible = visible(store, segments, rows).await?;
    let found = visible.into_iter().map(found);
    if span.ascending {
        found.for_each(|row| page.push(row));
    } else {
        found.rev().for_each(|row| page.push(row));
    }
    Ok(end)
}

/// Rows by the moments at which they were stored, and up to where these are all.
type Known = (BTreeMap<DateTime<Utc>, Row>, Option<DateTime<Utc>>);

async fn read(segments: &Segments, wanted: &Wanted, filter: &segment::Filter, span: &Span) -> Result<Known, ColdError> {
    let (limit, bytes) = (usize::try_from(span.limit).unwrap_or(usize::MAX), usize::try_from(span.bytes).unwrap_or(0));
    let asked = segment::Span { ascending: span.ascending, since: span.since, until: span.until, limit, bytes };
    let rows = segments.visit.select(wanted, filter, &asked).await?;
    let is_cut = rows.len() >= limit || rows.iter().map(|row| row.payload.len()).sum::<usize>() >= bytes;
    let end = rows.last().filter(|_| is_cut).map(|row| row.stored);
    Ok((rows.into_iter().map(|row| (row.stored, row)).collect(), end))
}

/// Referrers in sight that are found by what their chain reaches.
async fn referrers(
    store: &Store,
    segments: &Segments,
    wanted: &Wanted,
    filter: &Filter,
    span: &Span,
) -> Result<Known, ColdError> {
    let (tenant, most) = (segments.tenant, span.limit.max(REFERRERS));
    let moments = store
        .run_tx("referrers", As::Tenant(tenant), |tx| Box::pin(pages::referrers(tx, tenant, filter, span, most)))
        .await?;
    let Some(last) = moments.last().copied() else { return Ok((BTreeMap::new(), None)) };
    let is_cut = moments.len() as i64 >= most;
    let (rows, end) = read(segments, wanted, &in_sight(filter).at(moments), &Span { limit: most + 1, ..*span }).await?;
    Ok((rows, nearer(end, Some(last).filter(|_| is_cut), span.ascending)))
}

fn nearer(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>, ascending: bool) -> Option<DateTime<Utc>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if ascending { one.min(other) } else { one.max(other) }),
        (one, other) => one.or(other),
    }
}

/// Those that are neither hidden nor voided, oldest first. What voids another cannot be voided.
async fn visible(
    store: &Store,
    segments: &Segments,
    mut rows: BTreeMap<DateTime<Utc>, Row>,
) -> Result<Vec<Row>, ColdError> {
    rows.retain(|stored, _| !segments.hidden.contains(stored));
    let ids: Vec<Uuid> = rows.values().filter(|row| !row.voiding).map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(rows.into_values().collect());
    }
    let (tenant, ids) = (segments.tenant, &ids);
    let voidings = store
        .run_tx("voidings", As::Tenant(tenant), |tx| Box::pin(async move { voids::among(tx, tenant, ids).await }))
        .await?;
    let mut voided: HashMap<Uuid, Vec<Option<Uuid>>> = HashMap::new();
    for (id, only_of) in voidings {
        voided.entry(id).or_default().push(only_of);
    }
    let is_visible = |row: &Row| {
        let holds = |only_of: &Option<Uuid>| only_of.is_none_or(|authority| row.relations.contains(&authority));
        row.voiding || !voided.get(&row.id).is_some_and(|all| all.iter().any(holds))
    };
    Ok(rows.into_values().filter(is_visible).collect())
}

fn found(row: Row) -> Found {
    Found { stored: row.stored, has_timestamp: row.occurred.is_some(), payload: row.payload, is_archived: true }
}
