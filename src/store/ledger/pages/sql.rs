//! The words of a page and of a statement by its id: each filter walks an index in the order of the page and stops when the
//! page is full.

use std::fmt::Write as _;

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Filter, Sight, Span};
use crate::model::TenantId;
use crate::store::{
    door::tx::Param,
    ledger::{
        statements::{authority_form, related_form},
        voids::voids_at,
    },
};

/// A scalar sub-select, because the planner may turn NOT EXISTS into a hash over every reference there is.
const VISIBLE: &str = concat!(
    "(s.voiding OR coalesce((SELECT false FROM ledger.refs v
    WHERE v.tenant_id = s.tenant_id AND v.target_id = s.id AND ",
    voids_at!("s.stored"),
    " LIMIT 1), true))"
);

/// Takes the tenant, the id, and what the sight is limited to.
pub fn by_id_sql(sight: &Sight) -> String {
    let seen = match sight {
        Sight::Everything => "",
        Sight::Authority(_) => {
            " AND EXISTS (SELECT FROM ledger.relations o WHERE o.tenant_id = $1 AND o.key = $3 AND o.stored = s.stored)"
        }
        Sight::Actors(_) => " AND s.agent_key = ANY($3)",
    };
    format!(
        "/* pages::statement_by_id */ SELECT s.stored, s.occurred IS NOT NULL AS has_timestamp, s.payload,
                NOT {VISIBLE} AS voided
         FROM ledger.statements s
         WHERE s.tenant_id = $1 AND s.id = $2
           AND s.stored = (SELECT i.stored FROM ledger.statement_ids i
                           WHERE i.tenant_id = $1 AND i.id = $2 AND NOT i.erased){seen}"
    )
}

/// A person is known under few keys; with more than these, all are looked up at once and sorted.
const MOST_ACTORS: usize = 8;

/// One way in which a statement can answer the agent or activity of a filter.
#[derive(Clone, Copy)]
enum Way {
    /// Not asked for, or by the statement's own column.
    Own,
    /// By a row of `relations` under this key.
    Relation(Uuid),
}

impl Way {
    fn relation(self) -> Option<Uuid> {
        match self {
            Self::Own => None,
            Self::Relation(key) => Some(key),
        }
    }
}

/// The SQL of a page with its parameters: a union of branches, each one an index walked in order and cut at the limit.
/// Public so that its plan can be looked at and its bare cost measured.
pub struct Query {
    pub sql: String,
    params: Vec<Box<dyn ToSql + Sync + Send>>,
    tenant: String,
    limit: String,
    /// What the planner is told of the limit.
    at_most: i64,
    order: &'static str,
}

impl Query {
    pub fn params(&self) -> Vec<Param<'_>> {
        self.params.iter().map(|param| &**param as Param<'_>).collect()
    }

    fn begin(tenant: TenantId, span: &Span) -> Self {
        let mut query = Self {
            sql: String::new(),
            params: Vec::new(),
            tenant: String::new(),
            limit: String::new(),
            at_most: at_most(span.limit),
            order: if span.ascending { "ASC" } else { "DESC" },
        };
        query.tenant = query.bind(tenant.0);
        query.limit = query.bind(span.limit);
        query
    }

    pub(super) fn of_referrers(tenant: TenantId, filter: &Filter, span: &Span) -> Self {
        let mut query = Self::begin(tenant, span);
        let bounds = query.bounds(span);
        let (reached, tenant) = (query.reached(filter), query.tenant.clone());
        let referrers = query.cut(&format!(
            "SELECT DISTINCT r.stored FROM ledger.reaches r WHERE r.tenant_id = {tenant}{reached}{bounds} ORDER BY r.stored"
        ));
        query.sql =
            format!("/* pages::referrers */ SELECT stored FROM {referrers} referrers ORDER BY stored {}", query.order);
        query
    }

    pub fn new(tenant: TenantId, filter: &Filter, span: &Span) -> Self {
        let mut query = Self::begin(tenant, span);
        let bytes = query.bind(span.bytes);
        let bounds = query.bounds(span);
        let mut branches = Vec::new();
        for seen in query.actors(&filter.sight) {
            for agent in agent_ways(filter) {
                for activity in activity_ways(filter) {
                    branches.push(query.branch(filter, seen.as_deref(), agent, activity, &bounds));
                }
            }
        }
        if filter.asks() {
            branches.push(query.references(filter, &bounds));
        }
        query.sql = format!(
            "/* pages::page */ SELECT stored, has_timestamp, payload FROM (
                 SELECT page.stored, s.*, sum(octet_length(s.payload)) OVER (
                     ORDER BY page.stored {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
                 FROM (SELECT stored FROM ({}) branches ORDER BY stored {order} LIMIT {limit}) page
                 CROSS JOIN LATERAL (
                     SELECT s.occurred IS NOT NULL AS has_timestamp, s.payload FROM ledger.statements s
                     WHERE s.tenant_id = {tenant} AND s.stored = page.stored LIMIT 1) s) sized
             WHERE coalesce(before, 0) < {bytes} ORDER BY stored {order}",
            branches.join(" UNION "),
            order = query.order,
            limit = query.limit,
            tenant = query.tenant,
        );
        query
    }

    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.params.push(Box::new(value));
        format!("${}", self.params.len())
    }

    /// Conditions on the alias `r`, which every branch gives to the rows it walks over.
    fn bounds(&mut self, span: &Span) -> String {
        let mut bounds = String::new();
        if let Some(since) = span.since {
            let since = self.bind(since);
            let _ = write!(bounds, " AND r.stored > {since}");
        }
        if let Some(until) = span.until {
            let until = self.bind(until);
            let _ = write!(bounds, " AND r.stored <= {until}");
        }
        bounds
    }

    /// Conditions on the alias `s` that limit it to the actors of the sight: one for each index walk, or none.
    fn actors(&mut self, sight: &Sight) -> Vec<Option<String>> {
        match sight {
            Sight::Everything | Sight::Authority(_) => vec![None],
            Sight::Actors(keys) if (1..=MOST_ACTORS).contains(&keys.len()) => {
                keys.iter().map(|key| Some(format!(" AND s.agent_key = {}", self.bind(*key)))).collect()
            }
            Sight::Actors(keys) => vec![Some(format!(" AND s.agent_key = ANY({})", self.bind(keys.clone())))],
        }
    }

    /// `seen` is a condition of [`Self::actors`]. Where there is one, what that actor did is walked over: a person did
    /// little, and what is related to an activity may be all the others.
    fn branch(&mut self, filter: &Filter, seen: Option<&str>, agent: Way, activity: Way, bounds: &str) -> String {
        let own = self.own_columns(filter, agent, activity);
        let mut keys: Vec<Uuid> = Vec::new();
        keys.extend([agent, activity].into_iter().filter_map(Way::relation));
        if let Sight::Authority(key) = filter.sight {
            keys.push(key);
        }
        let tenant = self.tenant.clone();
        let (driver, others) = match keys.split_first() {
            Some((driver, others)) if seen.is_none() => (*driver, others),
            _ => {
                // The statements themselves are walked over.
                let (seen, also) = (seen.unwrap_or_default(), self.also(&keys));
                let conditions = format!("{bounds}{also}").replace(" r.", " s.");
                return self.cut(&format!(
                    "SELECT s.stored FROM ledger.statements s
                     WHERE s.tenant_id = {tenant}{own}{seen}{conditions} AND {VISIBLE} ORDER BY s.stored"
                ));
            }
        };
        let driver = self.bind(driver);
        let others = self.also(others);
        self.cut(&format!(
            "SELECT r.stored FROM ledger.relations r CROSS JOIN LATERAL (
                 SELECT FROM ledger.statements s
                 WHERE s.tenant_id = {tenant} AND s.stored = r.stored{own} AND {VISIBLE} LIMIT 1) hit
             WHERE r.tenant_id = {tenant} AND r.key = {driver}{bounds}{others} ORDER BY r.stored"
        ))
    }

    /// A branch, cut where the page is full.
    fn cut(&self, branch: &str) -> String {
        let Self { order, at_most, limit, .. } = self;
        format!("(SELECT stored FROM ({branch} {order} LIMIT {at_most}) branch LIMIT {limit})")
    }

    /// Conditions on a row `r` of what is reached: that this statement answers the filter.
    fn reached(&mut self, filter: &Filter) -> String {
        let mut reached = String::new();
        for (column, value) in [("verb_key", filter.verb), ("registration_key", filter.registration)] {
            if let Some(value) = value {
                let value = self.bind(value);
                let _ = write!(reached, " AND r.{column} = {value}");
            }
        }
        for (column, key, related) in [
            ("agent_key", filter.agent, filter.agent_relations()),
            ("activity_key", filter.activity, filter.activity_relations()),
        ] {
            let Some(key) = key else { continue };
            let (key, related) = (self.bind(key), self.bind(related));
            let _ = write!(reached, " AND (r.{column} = {key} OR r.related && {related})");
        }
        match &filter.sight {
            Sight::Everything => {}
            Sight::Authority(key) => {
                let own = self.bind(vec![*key]);
                let _ = write!(reached, " AND r.related @> {own}");
            }
            Sight::Actors(keys) => {
                let keys = self.bind(keys.clone());
                let _ = write!(reached, " AND r.agent_key = ANY({keys})");
            }
        }
        reached
    }

    /// Referrers whose chain reaches a statement that answers the filter; one that reaches several is found once, or
    /// the others would not come onto the page before it is cut. Both must be in sight: who finds a referrer of their own
    /// by what another statement says would read that statement.
    fn references(&mut self, filter: &Filter, bounds: &str) -> String {
        let reached = self.reached(filter);
        let (mut seen, mut authority) = (String::new(), String::new());
        match &filter.sight {
            Sight::Everything => {}
            Sight::Authority(key) => authority = self.also(&[*key]),
            Sight::Actors(keys) => {
                let keys = self.bind(keys.clone());
                let _ = write!(seen, " AND s.agent_key = ANY({keys})");
            }
        }
        let tenant = self.tenant.clone();
        self.cut(&format!(
            "SELECT DISTINCT r.stored FROM ledger.reaches r CROSS JOIN LATERAL (
                 SELECT FROM ledger.statements s
                 WHERE s.tenant_id = {tenant} AND s.stored = r.stored{seen} AND {VISIBLE} LIMIT 1) hit
             WHERE r.tenant_id = {tenant}{reached}{bounds}{authority} ORDER BY r.stored"
        ))
    }

    fn own_columns(&mut self, filter: &Filter, agent: Way, activity: Way) -> String {
        let own = |way: Way, key: Option<Uuid>| key.filter(|_| matches!(way, Way::Own));
        let mut conditions = String::new();
        for (column, value) in [
            ("verb_key", filter.verb),
            ("agent_key", own(agent, filter.agent)),
            ("activity_key", own(activity, filter.activity)),
            ("registration_key", filter.registration),
        ] {
            if let Some(value) = value {
                let value = self.bind(value);
                let _ = write!(conditions, " AND s.{column} = {value}");
            }
        }
        conditions
    }

    fn also(&mut self, keys: &[Uuid]) -> String {
        let mut conditions = String::new();
        for key in keys {
            let key = self.bind(*key);
            let _ = write!(
                conditions,
                " AND EXISTS (SELECT FROM ledger.relations o WHERE o.tenant_id = {} AND o.key = {key} AND o.stored = r.stored)",
                self.tenant
            );
        }
        conditions
    }
}

/// The limit rounded up to a power of two, as a literal for the planner. PostgreSQL keeps a generic plan only if its estimated
/// cost is not above that of custom plans; with LIMIT as a parameter it assumes a tenth of all rows, and would replan each
/// page, which costs more than reading it. Powers of two, so that there are few distinct prepared statements.
fn at_most(limit: i64) -> i64 {
    limit.max(64).unsigned_abs().next_power_of_two().try_into().unwrap_or(i64::MAX)
}

/// The actor stands in the statement's own column, an agent as object and the members of groups in `relations`; related ones
/// there in their own forms.
fn agent_ways(filter: &Filter) -> Vec<Way> {
    let Some(key) = filter.agent else { return vec![Way::Own] };
    let mut ways = vec![Way::Own, Way::Relation(key)];
    if filter.related_agents {
        ways.extend([Way::Relation(related_form(key)), Way::Relation(authority_form(key))]);
    }
    ways
}

pub(super) fn agent_relations(filter: &Filter) -> Vec<Uuid> {
    agent_ways(filter).into_iter().filter_map(Way::relation).collect()
}

pub(super) fn activity_relations(filter: &Filter) -> Vec<Uuid> {
    activity_ways(filter).into_iter().filter_map(Way::relation).collect()
}

fn activity_ways(filter: &Filter) -> Vec<Way> {
    match filter.activity {
        Some(key) if filter.related_activities => vec![Way::Own, Way::Relation(related_form(key))],
        _ => vec![Way::Own],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_page_sizes_share_a_few_statements() {
        let sql = |limit| {
            let span = Span { ascending: false, since: None, until: None, limit, bytes: 1 << 20 };
            Query::new(TenantId::DEFAULT, &Filter::default(), &span).sql
        };
        let different: HashSet<String> = (1..=1_000).map(sql).collect();
        assert_eq!(different.len(), 5);
    }

    #[test]
    fn a_page_is_never_cut_before_its_limit() {
        for limit in [1, 50, 64, 65, 1_000, 1_001, i64::MAX] {
            assert!(at_most(limit) >= limit, "{limit}");
        }
    }
}
