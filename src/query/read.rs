//! One statement, or a page of them: out of the hot tables, and out of whatever else holds what these do not.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Consistent, Found, Page, Reader, Sight};
use crate::{
    cold::{Cold, ColdError, TRIES, moments},
    model::TenantId,
    store::{
        As, StoreError,
        ledger::{
            away::{Keeper, Kept, Whereabouts},
            pages::{self, Answer, Filter, Span},
            tables::Tables,
            voids,
        },
        platform::audit::{self, Reading},
    },
    xapi::{keys, query::StatementsQuery},
};

impl Reader {
    /// A statement in sight, and whether it is voided.
    pub async fn statement(
        &self,
        tenant: TenantId,
        id: Uuid,
        sight: &Sight,
    ) -> Result<Consistent<Option<(Found, bool)>>, ColdError> {
        self.catch_up(tenant).await?;
        let seen = self.bounds.seen();
        let hot = self
            .store
            .run_tx("statement", As::Tenant(tenant), |tx| Box::pin(pages::by_id(tx, tenant, id, sight, seen)))
            .await?;
        if hot.found.is_some() {
            return Ok(Consistent { value: hot.found, through: self.bounds.note(hot.bound) });
        }
        let seen = self.bounds.seen();
        let sought = self
            .store
            .run_tx("seek", As::Tenant(tenant), |tx| Box::pin(pages::seek(tx, tenant, id, sight, seen)))
            .await?;
        let through = self.bounds.note(sought.bound);
        let value = match (sought.found.found, sought.found.whereabouts) {
            (None, Some(Whereabouts { stored, keeper: Some(Keeper::Segments) })) => {
                Box::pin(archived(&self.cold, tenant, stored, sight)).await?
            }
            (found, _) => found,
        };
        Ok(Consistent { value, through })
    }

    /// A page of the statements in sight. `after` is where the page before ended.
    pub async fn page(
        &self,
        tenant: TenantId,
        query: &StatementsQuery,
        sight: Sight,
        after: Option<DateTime<Utc>>,
    ) -> Result<Consistent<Page>, ColdError> {
        self.catch_up(tenant).await?;
        let (filter, span) = (filter(tenant, query, sight), span(query, after, self.page_bytes));
        let answer = self.wherever(tenant, &filter, &span).await?;
        let through = self.bounds.note(answer.bound);
        Ok(Consistent { value: cut(answer.found, query, self.page_bytes, through), through })
    }

    /// A page of what a person did, newest first. With `reading` the read leaves an entry, or is not answered.
    pub async fn page_of_person(
        &self,
        tenant: TenantId,
        user: &str,
        before: Option<DateTime<Utc>>,
        most: usize,
        reading: Option<&Reading>,
    ) -> Result<Page, ColdError> {
        let filter = Filter { sight: Sight::Actors(self.keys_of(tenant, user).await?), ..Filter::default() };
        let span = Span {
            ascending: false,
            since: None,
            until: before.map(|before| before - TimeDelta::microseconds(1)),
            limit: i64::try_from(most).unwrap_or(i64::MAX - 1) + 1,
            bytes: i64::try_from(self.page_bytes).unwrap_or(i64::MAX),
        };
        let found = self.wherever(tenant, &filter, &span).await?.found;
        if let Some(reading) = reading {
            self.note_reading(tenant, user, reading, found.len()).await?;
        }
        Ok(end(found, most, self.page_bytes))
    }

    /// Leaves the entry of having read so many things about somebody.
    pub(super) async fn note_reading(
        &self,
        tenant: TenantId,
        user: &str,
        reading: &Reading,
        count: usize,
    ) -> Result<(), StoreError> {
        let entry = reading.entry(tenant, user, count);
        let entry = &entry;
        self.store
            .run_once("note_reading", As::Tenant(tenant), |tx| {
                Box::pin(async move { audit::append(tx, entry).await.map(drop) })
            })
            .await
    }

    /// What answers, from the hot tables and from elsewhere, with the bound from before all of it.
    pub(super) async fn wherever(
        &self,
        tenant: TenantId,
        filter: &Filter,
        span: &Span,
    ) -> Result<Answer<Vec<Found>>, ColdError> {
        let mut tries = 0;
        loop {
            let seen = self.bounds.seen();
            let Answer { found: hot, bound } = self
                .store
                .run_tx("page", As::Tenant(tenant), |tx| {
                    Box::pin(pages::page(tx, tenant, filter, (Tables::Hot, span), seen))
                })
                .await?;
            match Box::pin(self.cold.fill(tenant, filter, span, hot, bound)).await {
                Ok(found) => return Ok(Answer { found, bound }),
                Err(error) if error.is_of_the_move() && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// A statement that only a segment has, if it is in sight, and whether it is voided.
async fn archived(
    cold: &Cold,
    tenant: TenantId,
    stored: DateTime<Utc>,
    sight: &Sight,
) -> Result<Option<(Found, bool)>, ColdError> {
    let Some(kept) = cold.one_at(tenant, stored).await? else { return Ok(None) };
    let authority = moments::authority_of(tenant, &kept)?;
    let is_in_sight = match sight {
        Sight::Everything => true,
        Sight::Authority(key) => authority == *key,
        Sight::Actors(keys) => kept.agent_key.is_some_and(|key| keys.contains(&key)),
    };
    if !is_in_sight {
        return Ok(None);
    }
    let Kept { id, stored, occurred, voiding, payload, is_archived, .. } = kept;
    let ids = &[id];
    let voidings = cold
        .store()
        .run_tx("voidings", As::Tenant(tenant), |tx| Box::pin(async move { voids::among(tx, tenant, ids).await }))
        .await?;
    let holds = |only_of: Option<Uuid>| only_of.is_none_or(|only_of| only_of == authority);
    let is_voided = !voiding && voidings.iter().any(|(_, only_of)| holds(*only_of));
    Ok(Some((Found { stored, has_timestamp: occurred.is_some(), payload, is_archived }, is_voided)))
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
        Found { stored: at(micros), has_timestamp: true, payload: String::new(), is_archived: false }
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
