//! Reads of the ledger: one statement, a page of them, an activity, a person, an attachment. Never writes.

mod bounds;
pub mod more;

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use uuid::Uuid;

use bounds::Bounds;

pub use crate::store::ledger::{
    pages::{Found, Sight},
    vocabulary::Activity,
};
use crate::{
    model::TenantId,
    store::{
        As, Store, StoreError,
        ledger::{
            attachments,
            pages::{self, Filter, Span},
            person_reads::StatementPage,
            statements, vocabulary,
        },
        platform::audit::Reading,
    },
    xapi::{
        keys::{self, Ifi},
        query::StatementsQuery,
        verb,
    },
};

/// What a read found, with the time up to which all that was stored is visible, that moment included.
#[derive(Clone, Debug)]
pub struct Consistent<T> {
    pub value: T,
    pub through: DateTime<Utc>,
}

/// A page, and where the next one begins if this one was cut.
#[derive(Clone, Debug)]
pub struct Page {
    pub found: Vec<Found>,
    pub next: Option<DateTime<Utc>>,
}

/// The way to read. Clones share the store.
#[derive(Clone)]
pub struct Reader {
    store: Store,
    /// The bytes at which a page ends, however few its statements.
    page_bytes: usize,
    bounds: Arc<Bounds>,
    signing_key: Arc<OnceCell<Vec<u8>>>,
}

impl Reader {
    pub fn new(store: Store, page_bytes: usize) -> Self {
        Self { store, page_bytes, bounds: Arc::default(), signing_key: Arc::default() }
    }

    /// The time up to which everything stored is visible, that moment included.
    pub async fn consistent_through(&self, tenant: TenantId) -> Result<DateTime<Utc>, StoreError> {
        self.catch_up(tenant).await?;
        let seen = self.bounds.seen();
        let ask = self
            .store
            .run_tx("consistent_through", As::Tenant(tenant), |tx| Box::pin(statements::safe_bound_after(tx, seen)));
        Ok(self.bounds.note(ask.await?))
    }

    /// A time that was true before and still is, for answers that read nothing; the epoch before the first read.
    pub fn known_through(&self) -> DateTime<Utc> {
        self.bounds.through()
    }

    /// Where nobody writes the bound would rest: whoever reads after a second lets it go on.
    async fn catch_up(&self, tenant: TenantId) -> Result<(), StoreError> {
        if !self.bounds.is_due() {
            return Ok(());
        }
        self.store.run_tx("catch_up", As::Tenant(tenant), |tx| Box::pin(statements::catch_up(tx))).await
    }

    /// What somebody sees who sees only what is stored under the authority with this key.
    pub fn of_authority(key: Uuid) -> Sight {
        Sight::Authority(statements::authority_form(key))
    }

    /// What somebody sees who sees only what this person did.
    pub async fn of_person(&self, tenant: TenantId, person: &Ifi) -> Result<Sight, StoreError> {
        let mut keys = vec![keys::agent(tenant.0, person)];
        if let Some(user) = keys::platform_user(person) {
            keys.extend(self.store.agent_keys(tenant, &user.to_string()).await?);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Sight::Actors(keys))
    }

    /// A statement in sight, and whether it is voided.
    pub async fn statement(
        &self,
        tenant: TenantId,
        id: Uuid,
        sight: &Sight,
    ) -> Result<Consistent<Option<(Found, bool)>>, StoreError> {
        self.catch_up(tenant).await?;
        let seen = self.bounds.seen();
        let answer = self
            .store
            .run_tx("statement", As::Tenant(tenant), |tx| Box::pin(pages::by_id(tx, tenant, id, sight, seen)))
            .await?;
        Ok(Consistent { through: self.bounds.note(answer.bound), value: answer.found })
    }

    /// A page of the statements in sight. `after` is where the page before ended.
    pub async fn page(
        &self,
        tenant: TenantId,
        query: &StatementsQuery,
        sight: Sight,
        after: Option<DateTime<Utc>>,
    ) -> Result<Consistent<Page>, StoreError> {
        self.catch_up(tenant).await?;
        let (filter, span) = (filter(tenant, query, sight), span(query, after, self.page_bytes));
        let seen = self.bounds.seen();
        let answer = self
            .store
            .run_tx("page", As::Tenant(tenant), |tx| Box::pin(pages::page(tx, tenant, &filter, &span, seen)))
            .await?;
        let through = self.bounds.note(answer.bound);
        Ok(Consistent { value: cut(answer.found, query, self.page_bytes, through), through })
    }

    /// A page of what a person did, newest first. With `reading` the read leaves an entry, or does not happen.
    pub async fn page_of_person(
        &self,
        tenant: TenantId,
        user: &str,
        before: Option<DateTime<Utc>>,
        most: usize,
        reading: Option<&Reading>,
    ) -> Result<Page, StoreError> {
        let bytes = i64::try_from(self.page_bytes).unwrap_or(i64::MAX);
        let limit = i64::try_from(most).unwrap_or(i64::MAX - 1) + 1;
        let page = StatementPage { user: user.to_owned(), before, limit, bytes };
        let found = self.store.statements_of(tenant, &page, reading).await?;
        Ok(end(found, most, self.page_bytes))
    }

    pub async fn activity(&self, tenant: TenantId, iri: &str) -> Result<Option<Activity>, StoreError> {
        let key = keys::activity(tenant.0, iri);
        self.store.run_tx("activity", As::Tenant(tenant), |tx| Box::pin(vocabulary::activity(tx, tenant, key))).await
    }

    /// The merged definitions of these activities, by IRI.
    pub async fn definitions(
        &self,
        tenant: TenantId,
        iris: &[&str],
    ) -> Result<Vec<(String, Map<String, Value>)>, StoreError> {
        let keys: Vec<Uuid> = iris.iter().map(|iri| keys::activity(tenant.0, iri)).collect();
        self.store
            .run_tx("definitions", As::Tenant(tenant), |tx| {
                let keys = &keys;
                Box::pin(async move { vocabulary::definitions(tx, tenant, keys).await })
            })
            .await
    }

    /// The canonical displays of those of the verbs of which something is known, by IRI.
    pub async fn displays(
        &self,
        tenant: TenantId,
        iris: &[&str],
    ) -> Result<Vec<(String, Map<String, Value>)>, StoreError> {
        let verbs: Vec<(Uuid, &str)> = iris.iter().map(|iri| (keys::verb(tenant.0, iri), *iri)).collect();
        let known = self
            .store
            .run_tx("displays", As::Tenant(tenant), |tx| {
                let verbs = &verbs;
                Box::pin(async move { vocabulary::displays(tx, tenant, verbs).await })
            })
            .await?;
        let display = |(iri, gathered, name): (String, _, Option<String>)| {
            Some((iri, verb::canonical(gathered, name.as_deref())?))
        };
        Ok(known.into_iter().filter_map(display).collect())
    }

    /// The names an agent was seen under.
    pub async fn names(&self, tenant: TenantId, agent: &Ifi) -> Result<Vec<String>, StoreError> {
        let key = keys::agent(tenant.0, agent);
        let names = self
            .store
            .run_tx("agent_names", As::Tenant(tenant), |tx| Box::pin(vocabulary::agent_names(tx, tenant, key)))
            .await?;
        Ok(names.unwrap_or_default())
    }

    /// Which of these statements are at hand and under another authority than the one with this key.
    pub async fn under_others(&self, tenant: TenantId, ids: &[Uuid], authority: Uuid) -> Result<Vec<Uuid>, StoreError> {
        self.store
            .run_tx("under_others", As::Tenant(tenant), |tx| {
                Box::pin(async move { statements::under_others(tx, tenant, ids, authority).await })
            })
            .await
    }

    /// Those of the pairs of a content's hash and an authority where that content was brought under that authority.
    pub async fn brought(
        &self,
        tenant: TenantId,
        pairs: &[(Vec<u8>, Uuid)],
    ) -> Result<HashSet<(Vec<u8>, Uuid)>, StoreError> {
        if pairs.is_empty() {
            return Ok(HashSet::new());
        }
        self.store
            .run_tx("brought", As::Tenant(tenant), |tx| {
                Box::pin(async move { attachments::brought(tx, tenant, pairs).await })
            })
            .await
    }

    /// The length of an attachment's content, if it is here.
    pub async fn attachment_length(&self, tenant: TenantId, sha2: &[u8]) -> Result<Option<i64>, StoreError> {
        self.store
            .run_tx("attachment_length", As::Tenant(tenant), |tx| {
                Box::pin(async move { attachments::length(tx, tenant, sha2).await })
            })
            .await
    }

    /// One piece of an attachment's content; `None` after the last.
    pub async fn attachment_piece(
        &self,
        tenant: TenantId,
        sha2: &[u8],
        piece: i32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.store
            .run_tx("attachment_piece", As::Tenant(tenant), |tx| {
                Box::pin(async move { attachments::read_piece(tx, tenant, sha2, piece).await })
            })
            .await
    }

    /// The key that signs `more` links.
    pub async fn more_key(&self) -> Result<&[u8], StoreError> {
        self.signing_key.get_or_try_init(|| self.store.signing_key("more")).await.map(Vec::as_slice)
    }
}

fn filter(tenant: TenantId, query: &StatementsQuery, sight: Sight) -> Filter {
    Filter {
        verb: query.verb.as_deref().map(|iri| keys::verb(tenant.0, iri)),
        agent: query.agent.as_ref().map(|ifi| keys::agent(tenant.0, ifi)),
        related_agents: query.related_agents,
        activity: query.activity.as_deref().map(|iri| keys::activity(tenant.0, iri)),
        related_activities: query.related_activities,
        registration: query.registration.map(|registration| keys::registration(tenant.0, registration)),
        sight,
    }
}

/// One more than the page holds is asked for, to see whether it is cut.
fn span(query: &StatementsQuery, after: Option<DateTime<Utc>>, bytes: usize) -> Span {
    let (mut since, mut until) = (query.since, query.until);
    if query.ascending {
        since = since.max(after);
    } else if let Some(after) = after {
        let before = after - TimeDelta::microseconds(1);
        until = Some(until.map_or(before, |until| until.min(before)));
    }
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX - 1) + 1;
    Span { ascending: query.ascending, since, until, limit, bytes: i64::try_from(bytes).unwrap_or(i64::MAX) }
}

/// The page of what was found.
fn cut(mut found: Vec<Found>, query: &StatementsQuery, bytes: usize, through: DateTime<Utc>) -> Page {
    if query.ascending {
        // Who reads forward must not be led past a statement that is still being written.
        found.truncate(found.partition_point(|statement| statement.stored <= through));
    }
    end(found, query.limit, bytes)
}

/// Ends a page after `most` statements, or before `bytes`.
fn end(mut found: Vec<Found>, most: usize, bytes: usize) -> Page {
    let fit = fitting(&found, bytes).min(most);
    // One that fills a page by itself comes without a witness for what follows.
    let is_cut = found.len() > fit || found.first().is_some_and(|statement| statement.payload.len() >= bytes);
    found.truncate(fit);
    let next = found.last().filter(|_| is_cut).map(|last| last.stored);
    Page { found, next }
}

/// How many of them stay below `bytes` together, but at least one.
fn fitting(found: &[Found], bytes: usize) -> usize {
    let mut sum = 0usize;
    let below = found.iter().take_while(|statement| {
        sum = sum.saturating_add(statement.payload.len());
        sum < bytes
    });
    below.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn query(ascending: bool) -> StatementsQuery {
        StatementsQuery {
            agent: None,
            verb: None,
            activity: None,
            registration: None,
            related_agents: false,
            related_activities: false,
            since: Some(at(100)),
            until: Some(at(900)),
            limit: 10,
            ascending,
            format: crate::xapi::query::Format::Exact,
            attachments: false,
        }
    }

    fn found(micros: i64) -> Found {
        Found { stored: at(micros), has_timestamp: true, payload: String::new() }
    }

    #[test]
    fn reading_forward_stops_before_what_is_still_being_written() {
        let span = span(&query(true), Some(at(300)), 1_000);
        assert_eq!((span.since, span.until), (Some(at(300)), Some(at(900))));
        assert_eq!(span.limit, 11);
        let page = cut((0..11).map(|n| found(400 + n)).collect(), &query(true), 1_000, at(404));
        assert_eq!(page.found.last().map(|last| last.stored), Some(at(404)));
        assert_eq!(page.next, None, "there is no more until the bound moves");
        let page = cut((0..11).map(|n| found(400 + n)).collect(), &query(true), 1_000, at(500));
        assert_eq!((page.found.len(), page.next), (10, Some(at(409))));
    }

    #[test]
    fn a_page_ends_before_it_is_too_large() {
        let sized = |micros, size| Found { payload: "x".repeat(size), ..found(micros) };
        let page = |found| cut(found, &query(false), 1_000, at(900));
        let three = page(vec![sized(303, 400), sized(302, 400), sized(301, 400)]);
        assert_eq!((three.found.len(), three.next), (2, Some(at(302))));
        let all = page(vec![sized(303, 400), sized(302, 599)]);
        assert_eq!((all.found.len(), all.next), (2, None));
        let huge = page(vec![sized(303, 5_000)]);
        assert_eq!((huge.found.len(), huge.next), (1, Some(at(303))));
    }

    #[test]
    fn reading_backward_goes_on_before_the_last_one_shown() {
        let span = span(&query(false), Some(at(300)), 1_000);
        assert_eq!((span.since, span.until), (Some(at(100)), Some(at(299))));
        let page = cut(vec![found(299), found(298)], &query(false), 1_000, at(200));
        assert_eq!((page.found.len(), page.next), (2, None), "what is there is shown, however new");
    }
}
