//! Pages of statements: each filter walks an index in the order of the page and stops when the page is full.

mod sql;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::model::TenantId;
use crate::store::{
    StoreError, Tx,
    door::tx::{Param, column},
    ledger::{
        away::{self, Away, WHEREABOUTS, Whereabouts},
        partitions::AWAY,
        statements::{self, SAFE_BOUND},
        tables::Tables,
    },
};

pub use sql::{Query, by_id_sql};

/// What a page is asked for, as lookup keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub verb: Option<Uuid>,
    pub agent: Option<Uuid>,
    pub related_agents: bool,
    pub activity: Option<Uuid>,
    pub related_activities: bool,
    pub registration: Option<Uuid>,
    pub sight: Sight,
}

impl Filter {
    /// Whether it asks for anything: else referrers are found by nothing but themselves.
    pub fn asks(&self) -> bool {
        self.verb.is_some() || self.agent.is_some() || self.activity.is_some() || self.registration.is_some()
    }

    /// The relations by which a statement answers for the agent, beside its own actor.
    pub fn agent_relations(&self) -> Vec<Uuid> {
        sql::agent_relations(self)
    }

    /// The same for the activity, beside its own object.
    pub fn activity_relations(&self) -> Vec<Uuid> {
        sql::activity_relations(self)
    }
}

/// Which statements there are for the one who asks: all others are as if they were not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    #[default]
    Everything,
    /// Those under this authority, its key in the form of `authority_form`.
    Authority(Uuid),
    /// Those whose actor is one of these.
    Actors(Vec<Uuid>),
}

/// Which part of the answer, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub ascending: bool,
    /// Exclusive.
    pub since: Option<DateTime<Utc>>,
    /// Inclusive.
    pub until: Option<DateTime<Utc>>,
    pub limit: i64,
    /// The page ends with the statement that reaches so many bytes.
    pub bytes: i64,
}

/// A statement as it lies in the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub stored: DateTime<Utc>,
    pub has_timestamp: bool,
    pub payload: String,
    /// It came out of a segment.
    pub is_archived: bool,
}

/// What a read answered, with the safe bound from before it.
#[derive(Debug)]
pub struct Answer<T> {
    pub found: T,
    pub bound: DateTime<Utc>,
}

/// A part of a page, and the months that are in other places than where it was read.
#[derive(Debug)]
pub struct Part {
    pub found: Vec<Found>,
    pub away: Vec<Away>,
}

/// One page out of the tables of one tier, at most `span.limit` statements. `seen` is a bound from before. Ends the
/// transaction.
pub async fn page(
    tx: &Tx<'_>,
    tenant: TenantId,
    filter: &Filter,
    (tables, span): (Tables, &Span),
    seen: DateTime<Utc>,
) -> Result<Answer<Part>, StoreError> {
    let mut query = Query::new(tenant, filter, span);
    let sql = tables.sql(std::mem::take(&mut query.sql));
    let flight: [(&str, &[Param<'_>]); 2] = [(AWAY, &[]), (&sql, &query.params())];
    let (bound, [away, found]) = one_flight(tx, flight, seen).await?;
    let found = found.iter().map(read_found).collect::<Result<_, _>>()?;
    Ok(Answer { found: Part { found, away: away::read(&away)? }, bound })
}

/// A statement by its id, and whether it is voided, where the hot tables have it. Ends the transaction.
pub async fn by_id(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: Uuid,
    sight: &Sight,
    seen: DateTime<Utc>,
) -> Result<Answer<Option<(Found, bool)>>, StoreError> {
    let params = by_id_params(&tenant.0, &id, sight);
    let (bound, [rows]) = one_flight(tx, [(&by_id_sql(sight), &params)], seen).await?;
    Ok(Answer { found: rows.first().map(with_voided).transpose()?, bound })
}

/// A statement that the hot tables did not show a moment ago.
#[derive(Debug)]
pub struct Sought {
    pub found: Option<(Found, bool)>,
    pub whereabouts: Option<Whereabouts>,
}

/// Looks for a statement in the tables of both tiers, and where it is if neither shows it. Ends the transaction.
pub async fn seek(
    tx: &Tx<'_>,
    tenant: TenantId,
    id: Uuid,
    sight: &Sight,
    seen: DateTime<Utc>,
) -> Result<Answer<Sought>, StoreError> {
    let (params, hot) = (by_id_params(&tenant.0, &id, sight), by_id_sql(sight));
    let detached = Tables::Detached.sql(hot.clone());
    let place: [Param<'_>; 2] = [&tenant.0, &id];
    // The first keeps every month where it is.
    let flight: [(&str, &[Param<'_>]); 4] = [(AWAY, &[]), (WHEREABOUTS, &place), (&hot, &params), (&detached, &params)];
    let (bound, [_, place, hot, detached]) = one_flight(tx, flight, seen).await?;
    let found = hot.first().or(detached.first()).map(with_voided).transpose()?;
    Ok(Answer { found: Sought { found, whereabouts: away::whereabouts(&place)? }, bound })
}

fn by_id_params<'p>(tenant: &'p Uuid, id: &'p Uuid, sight: &'p Sight) -> Vec<Param<'p>> {
    let mut params: Vec<Param<'p>> = vec![tenant, id];
    match sight {
        Sight::Everything => {}
        Sight::Authority(key) => params.push(key),
        Sight::Actors(keys) => params.push(keys),
    }
    params
}

/// The bound, the queries and the end of the transaction, one behind the other without waiting. The bound is asked for
/// first: what the rows show may then be newer than it says, never older.
async fn one_flight<const N: usize>(
    tx: &Tx<'_>,
    queries: [(&str, &[Param<'_>]); N],
    seen: DateTime<Utc>,
) -> Result<(DateTime<Utc>, [Vec<Row>; N]), StoreError> {
    let no_answer = || StoreError::Shape { name: "one_flight", detail: "no answer".to_owned() };
    let seen: [Param<'_>; 1] = [&seen.timestamp_micros()];
    let mut flight: Vec<(&str, &[Param<'_>])> = vec![(SAFE_BOUND, &seen)];
    flight.extend(queries);
    let mut answers = tx.last(&flight).await?.into_iter();
    let bound = answers.next().and_then(|rows| rows.into_iter().next()).ok_or_else(no_answer)?;
    let rows: Vec<Vec<Row>> = answers.collect();
    Ok((statements::bound(&bound)?, rows.try_into().map_err(|_| no_answer())?))
}

/// Where referrers are stored whose chain reaches a statement that answers the filter, in the order of the span: at most
/// `most`. Whether they themselves are in sight and not voided is for whoever has them.
pub async fn referrers(
    tx: &Tx<'_>,
    tenant: TenantId,
    filter: &Filter,
    span: &Span,
    most: i64,
) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let query = Query::of_referrers(tenant, filter, &Span { limit: most, ..*span });
    let rows = tx.query(&query.sql, &query.params()).await?;
    rows.iter().map(|row| column(row, "stored")).collect()
}

fn read_found(row: &Row) -> Result<Found, StoreError> {
    Ok(Found {
        stored: column(row, "stored")?,
        has_timestamp: column(row, "has_timestamp")?,
        payload: column(row, "payload")?,
        is_archived: false,
    })
}

fn with_voided(row: &Row) -> Result<(Found, bool), StoreError> {
    Ok((read_found(row)?, column(row, "voided")?))
}
