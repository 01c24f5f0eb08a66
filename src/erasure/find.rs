//! Looking for a person in every place that can have something of them, and for what stands against removing it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    ErasureError, Erasures,
    law::Holds,
    person::{Fate, Person},
    plan::{Found, Law, Plan, Statements},
    work::Learned,
};
use crate::{
    model::{
        TenantId,
        erasure::{Mentions, Policy},
        partition::Month,
    },
    store::{
        As,
        ledger::{belongings, erasing, segments, tables::Tables},
        progress::erasing as projected,
    },
    xapi::{keys, query::Resource},
};

/// What was found, and where.
pub(super) struct Search {
    pub found: Found,
    /// Months of which something was found.
    pub months: BTreeSet<Month>,
    pub laws: Vec<Law>,
}

impl Erasures {
    /// The plan of erasing a person.
    pub async fn plan(&self, person: &Person, policy: Policy) -> Result<Plan, ErasureError> {
        let search = self.search(person, policy, &Learned::default()).await?;
        Ok(Plan::of(person, policy, search.found, search.laws))
    }

    pub(super) async fn search(
        &self,
        person: &Person,
        policy: Policy,
        learned: &Learned,
    ) -> Result<Search, ErasureError> {
        let (tenant, store) = (person.tenant, self.cold.store());
        let mut search = Search { found: Found::default(), months: BTreeSet::new(), laws: Vec::new() };
        let mut holds = Holds::of(self, person, learned).await?;
        for tables in [Tables::Hot, Tables::Detached] {
            let sought = &person.sought();
            let (own, mentions, months) = store
                .patient(LONGEST)
                .run_tx("count_person", As::Worker, |tx| Box::pin(erasing::count(tx, tenant, tables, sought)))
                .await?;
            let count = Statements { own: own.unsigned_abs(), mentions: mentions.unsigned_abs() };
            match tables {
                Tables::Hot => search.found.hot = count,
                Tables::Detached => search.found.detached = count,
            }
            search.months.extend(months.iter().filter_map(|month| month.parse::<Month>().ok()));
            holds.look(self, person, policy.mentions, tables).await?;
        }
        self.search_segments(person, policy.mentions, &mut search, &mut holds).await?;
        self.search_belongings(person, &mut search.found).await?;
        search.laws.extend(holds.laws());
        search.laws.sort_by(|one, other| (&one.law, &one.reason).cmp(&(&other.law, &other.reason)));
        search.laws.dedup();
        Ok(search)
    }

    async fn search_segments(
        &self,
        person: &Person,
        mentions: Mentions,
        search: &mut Search,
        holds: &mut Holds,
    ) -> Result<(), ErasureError> {
        let mut touched: BTreeMap<Month, u64> = BTreeMap::new();
        let found = &mut search.found;
        let mut each = |of: &crate::store::ledger::away::Published, row: crate::objects::segment::Row| {
            if row.agent_key.is_some_and(|key| person.agents.contains_key(&key)) {
                found.archived.own += 1;
            } else {
                found.archived.mentions += 1;
            }
            if person.fate(row.agent_key, &row.relations, mentions) != Fate::Stays {
                *touched.entry(of.month).or_default() += 1;
                holds.heed(&row);
            }
        };
        self.cold.sift(person.tenant, (&person.filter(), None), &mut each).await?;
        search.found.segments = touched.len() as u64;
        let tenant = person.tenant;
        let all = self
            .cold
            .store()
            .run_tx("published_of", As::Worker, |tx| Box::pin(segments::published(tx, Some(tenant), None)));
        for segment in all.await?.into_iter().filter(|segment| touched.contains_key(&segment.name.month)) {
            search.found.segment_bytes += segment.contents.as_ref().map_or(0, |of| of.bytes.unsigned_abs());
            if segment.retention_class != STANDARD {
                let reason = format!("{} is archived in the class {}", segment.name.month, segment.retention_class);
                search.laws.push(Law { law: format!("retention class {}", segment.retention_class), reason });
            }
        }
        search.months.extend(touched.into_keys());
        Ok(())
    }

    async fn search_belongings(&self, person: &Person, found: &mut Found) -> Result<(), ErasureError> {
        let (tenant, store) = (person.tenant, self.cold.store());
        let (keys, users) = (&person.keys(), &person.users());
        let counts = store.run_tx("count_belongings", As::Worker, |tx| {
            Box::pin(async move {
                let seen = belongings::agents(tx, tenant, keys).await?;
                let attempts = projected::attempts(tx, tenant, users).await?;
                let (completions, scores, events) = projected::count(tx, tenant, &attempts).await?;
                let launches = belongings::launches(tx, tenant, &|ifi| person.is_them(ifi)).await?;
                Ok::<_, ErasureError>((seen, attempts.len(), completions, scores, events, launches.len()))
            })
        });
        let (seen, attempts, completions, scores, events, launches) = counts.await?;
        found.agents = seen.len() as u64;
        found.names = seen.iter().map(|(_, _, names)| names.len() as u64).sum();
        found.attempts = attempts as u64;
        found.completions = completions.unsigned_abs();
        found.scores = scores.unsigned_abs();
        found.events = events.unsigned_abs();
        found.launches = launches as u64;
        let mut documents = 0;
        let mut agents: &[Uuid] = keys;
        let mut pages = Scopes::of(person);
        while let Some(scopes) = pages.next(self).await? {
            let count = store.run_tx("count_documents", As::Worker, |tx| {
                let scopes = &scopes;
                Box::pin(async move { belongings::count_documents(tx, tenant, agents, scopes).await })
            });
            documents += count.await?.unsigned_abs();
            agents = &[];
        }
        found.documents = documents;
        Ok(())
    }
}

/// How long counting a person with a long past may take.
const LONGEST: std::time::Duration = std::time::Duration::from_mins(10);
/// The class of what no rule keeps.
const STANDARD: &str = "standard";

/// The scopes in which a person's documents from before may lie that do not say whose they are: page by page over the activities
/// that the tenant knows.
pub(super) struct Scopes {
    tenant: TenantId,
    agents: Vec<Uuid>,
    after: Option<Uuid>,
    is_first: bool,
}

impl Scopes {
    pub fn of(person: &Person) -> Self {
        Self { tenant: person.tenant, agents: person.keys(), after: Some(Uuid::nil()), is_first: true }
    }

    /// The next ones; the first page is there in any case.
    pub async fn next(&mut self, erasures: &Erasures) -> Result<Option<Vec<Uuid>>, ErasureError> {
        let Some(after) = self.after else { return Ok(None) };
        let tenant = self.tenant;
        let store = erasures.cold.store();
        let page = store
            .run_tx("activities_after", As::Worker, |tx| Box::pin(belongings::activities_after(tx, tenant, after)));
        let page = page.await?;
        self.after = page.last().copied();
        let scope = |resource, activity, agent: &Uuid| keys::document_scope(tenant.0, resource, activity, Some(*agent));
        let mut scopes: Vec<Uuid> = Vec::new();
        for agent in &self.agents {
            scopes.extend(page.iter().map(|activity| scope(Resource::State, Some(*activity), agent)));
            if self.is_first {
                scopes.push(scope(Resource::AgentProfile, None, agent));
            }
        }
        if scopes.is_empty() {
            return Ok(None);
        }
        self.is_first = false;
        Ok(Some(scopes))
    }
}
