//! A load: statements with their past, in batches, each of them a transaction.
//!
//! A month that is not there is filled whole and appears when the load is finished; to one that is open statements are added.
//! Who was interrupted loads the same again: what is there already is skipped, and months that were being filled go on. Nothing is
//! told of what is loaded: no statement goes to the relay and no event is made. The projections have to be rebuilt afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Arrival, LoadError,
    arrival::{Brought, Outlook, PastDocument, is_another, sent},
    quiet::Quiet,
};
use crate::{
    model::{TenantId, partition::Month},
    store::{
        As, Store, Tx,
        ledger::{
            attachments::{self, PIECE_BYTES},
            documents::{self, Document, DocumentPlace},
            erased,
            fills::{self, Fill, Parents},
            loads, partitions,
            remember::remember,
            seen::{Seen, Written},
            statements::{self, NewStatement},
        },
    },
    xapi::{document::etag, prepare::Prepared},
};

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub new: u64,
    /// The same statement was there already.
    pub same: u64,
}

/// Where the statements of a month go.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Tables that become the month.
    Fill(Fill),
    Open,
}

/// What is known of a tenant.
struct Known {
    quiet: Quiet,
    seen: Seen,
}

/// A load under way.
pub struct Load {
    store: Store,
    effects_version: i32,
    tenants: HashMap<TenantId, Known>,
    months: BTreeMap<Month, Target>,
    /// Months that were looked at, with their state where nothing can be added to them.
    looked: BTreeMap<Month, Option<String>>,
}

impl Load {
    /// Begins a load. The store should be a patient one; `effects_version` is what the projections' cursors are made with.
    pub fn begin(store: Store, effects_version: i32) -> Self {
        Self { store, effects_version, tenants: HashMap::new(), months: BTreeMap::new(), looked: BTreeMap::new() }
    }

    /// Takes some statements of a tenant, all that belong to one month in one transaction: a few thousand at a time are best.
    pub async fn take(&mut self, tenant: TenantId, batch: &[Arrival]) -> Result<Loaded, LoadError> {
        self.meet(tenant).await?;
        let mut of_month: BTreeMap<Month, Vec<NewStatement<'_>>> = BTreeMap::new();
        let mut loaded = Loaded::default();
        let mut ids: HashMap<Uuid, &Arrival> = HashMap::new();
        for arrival in batch {
            let Arrival { statement, stored } = arrival;
            match ids.insert(statement.id, arrival) {
                Some(before) if is_another(statement, &before.statement.digest, sent(&before.statement)) => {
                    return Err(LoadError::Conflict { id: statement.id, there: before.stored });
                }
                Some(_) => loaded.same += 1,
                None => {
                    let entry = NewStatement { statement, stored: *stored };
                    of_month.entry(Month::of(*stored)).or_default().push(entry);
                }
            }
        }
        for (month, entries) in of_month {
            let new = self.write(tenant, month, &entries).await?;
            loaded.new += new;
            loaded.same += entries.len() as u64 - new;
        }
        Ok(loaded)
    }

    /// Looks whether these statements would be taken, each of them once among them. None of them is written.
    pub async fn look(&mut self, tenant: TenantId, batch: &[Arrival]) -> Result<Outlook, LoadError> {
        self.meet(tenant).await?;
        let until = self.quiet_until(tenant, batch.iter().map(|arrival| arrival.stored).max()).await?;
        let (known, gone, taken) = self.asked(tenant, batch).await?;
        let known: HashMap<Uuid, loads::Claimed> = known.into_iter().map(|known| (known.id, known)).collect();
        let mut outlook = Outlook::default();
        for Arrival { statement, stored } in batch {
            let id = statement.id;
            match known.get(&id) {
                Some(known) if known.erased => _ = outlook.erased.insert(id),
                Some(known) if is_another(statement, &known.digest, known.occurred) => {
                    outlook.refused.push((id, LoadError::Conflict { id, there: known.stored }));
                }
                Some(known) => {
                    outlook.same.insert(id);
                    outlook.moments.insert(known.stored);
                }
                None if statement.agent_key.is_some_and(|key| gone.contains(&key)) => _ = outlook.erased.insert(id),
                None if *stored > until => {
                    outlook.refused.push((id, LoadError::Told { id, tenant, stored: *stored, until }));
                }
                None if taken == Some(*stored) => {
                    outlook.refused.push((id, LoadError::SameMoment { tenant, stored: *stored }));
                }
                None => {
                    if let Some(state) = self.closed(Month::of(*stored)).await? {
                        outlook.refused.push((id, LoadError::Closed(Month::of(*stored), state)));
                    }
                }
            }
        }
        Ok(outlook)
    }

    /// Those of these moments at which the tenant has something in the hot tables.
    pub async fn taken(
        &self,
        tenant: TenantId,
        moments: &[DateTime<Utc>],
    ) -> Result<HashSet<DateTime<Utc>>, LoadError> {
        let asked = self.store.run_tx("load_taken", As::Tenant(tenant), |tx| {
            Box::pin(async move { loads::all_taken(tx, tenant, moments).await })
        });
        Ok(asked.await?)
    }

    /// What is known of the ids, which of the actors were erased, and a moment that is taken.
    async fn asked(
        &self,
        tenant: TenantId,
        batch: &[Arrival],
    ) -> Result<(Vec<loads::Claimed>, HashSet<Uuid>, Option<DateTime<Utc>>), LoadError> {
        let ids: Vec<Uuid> = batch.iter().map(|arrival| arrival.statement.id).collect();
        let actors: Vec<Uuid> = batch.iter().filter_map(|arrival| arrival.statement.agent_key).collect();
        let asked = self.store.run_tx("load_look", As::Tenant(tenant), |tx| {
            let (ids, actors) = (ids.clone(), actors.clone());
            Box::pin(async move {
                let known = loads::known(tx, tenant, &ids).await?;
                let had: HashSet<Uuid> = known.iter().map(|known| known.id).collect();
                let new = batch.iter().filter(|arrival| !had.contains(&arrival.statement.id));
                let moments: Vec<DateTime<Utc>> = new.map(|arrival| arrival.stored).collect();
                let gone = erased::arriving(tx, tenant, &actors).await?;
                Ok::<_, LoadError>((known, gone, loads::taken(tx, tenant, &moments).await?))
            })
        });
        asked.await
    }

    /// The state of a month to which nothing is added any more.
    async fn closed(&mut self, month: Month) -> Result<Option<String>, LoadError> {
        if let Some(state) = self.looked.get(&month) {
            return Ok(state.clone());
        }
        let state = self.state(month).await?.filter(|state| state != "open");
        self.looked.insert(month, state.clone());
        Ok(state)
    }

    async fn state(&self, month: Month) -> Result<Option<String>, LoadError> {
        Ok(self.store.run_tx("month_state", As::Worker, |tx| Box::pin(loads::state(tx, month))).await?)
    }

    /// Goes on with months that are being filled, where somebody was interrupted: what they have is not seen before they are whole,
    /// and nothing new may come to them.
    pub async fn go_on(&mut self, months: &BTreeSet<Month>) -> Result<(), LoadError> {
        for month in months {
            if !self.months.contains_key(month) && self.state(*month).await?.is_none() {
                let fill = self.store.begin_month(*month, Parents::Hot).await?;
                self.months.insert(*month, Target::Fill(fill));
            }
        }
        Ok(())
    }

    /// Learns what must be known of a tenant before anything of it is taken.
    async fn meet(&mut self, tenant: TenantId) -> Result<(), LoadError> {
        if !self.tenants.contains_key(&tenant) {
            let quiet = Quiet::of(&self.store, tenant, self.effects_version).await?;
            let known = Known { quiet, seen: Seen::default() };
            self.tenants.insert(tenant, known);
        }
        Ok(())
    }

    async fn quiet_until(
        &mut self,
        tenant: TenantId,
        newest: Option<DateTime<Utc>>,
    ) -> Result<DateTime<Utc>, LoadError> {
        let Some(known) = self.tenants.get_mut(&tenant) else { return Ok(DateTime::UNIX_EPOCH) };
        known.quiet.until(&self.store, newest.unwrap_or(DateTime::UNIX_EPOCH)).await
    }

    /// A month that is not over, as far as `until` tells, is no month to fill beside the others: it is made, open.
    async fn target(&mut self, month: Month, until: DateTime<Utc>) -> Result<Target, LoadError> {
        if let Some(target) = self.months.get(&month) {
            return Ok(*target);
        }
        let target = match self.state(month).await?.as_deref() {
            None if until < month.end() => {
                let made =
                    self.store.run_tx("ensure_month", As::Worker, |tx| Box::pin(partitions::ensure(tx, month.begin())));
                made.await?;
                Target::Open
            }
            None => Target::Fill(self.store.begin_month(month, Parents::Hot).await?),
            Some("open") => Target::Open,
            Some(other) => return Err(LoadError::Closed(month, other.to_owned())),
        };
        self.months.insert(month, target);
        Ok(target)
    }

    /// Writes statements of one month; answers how many were new.
    async fn write(&mut self, tenant: TenantId, month: Month, entries: &[NewStatement<'_>]) -> Result<u64, LoadError> {
        let until = self.quiet_until(tenant, entries.iter().map(|entry| entry.stored).max()).await?;
        if let Some(entry) = entries.iter().find(|entry| entry.stored > until) {
            return Err(LoadError::Told { id: entry.statement.id, tenant, stored: entry.stored, until });
        }
        let mut moments = HashSet::with_capacity(entries.len());
        if let Some(entry) = entries.iter().find(|entry| !moments.insert(entry.stored)) {
            return Err(LoadError::SameMoment { tenant, stored: entry.stored });
        }
        let target = self.target(month, until).await?;
        let Some(known) = self.tenants.get(&tenant) else { return Ok(0) };
        let batch = Batch { tenant, month, entries, target, seen: &known.seen };
        let written = self.store.run_once("load", As::Worker, |tx| Box::pin(batch.write(tx))).await?;
        known.seen.note(written.words);
        Ok(written.new)
    }

    /// Puts documents as they were; one that is there and newer stays. Answers how many were put.
    pub async fn documents(&mut self, tenant: TenantId, past: &[PastDocument]) -> Result<u64, LoadError> {
        let placed = past.iter().map(|one| {
            let document = Document {
                content_type: one.content_type.clone(),
                length: one.content.len(),
                content: Some(one.content.clone()),
                etag: etag(&one.content),
                updated_at: one.updated_at,
            };
            (DocumentPlace::of(tenant, &one.scope, one.id.clone()), document)
        });
        self.placed(tenant, &placed.collect::<Vec<_>>()).await
    }

    /// The same of documents whose places are known.
    pub async fn placed(&self, tenant: TenantId, past: &[(DocumentPlace, Document)]) -> Result<u64, LoadError> {
        let put = self.store.run_tx("load_documents", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                let mut put = 0;
                for (place, document) in past {
                    put += u64::from(documents::put_past(tx, tenant, place, document).await?);
                }
                Ok(put)
            })
        });
        put.await
    }

    /// Keeps contents that statements of a tenant name, each of them once.
    pub async fn attachments(&self, tenant: TenantId, brought: &[Brought]) -> Result<(), LoadError> {
        let kept = self.store.run_tx("load_attachments", As::Tenant(tenant), |tx| {
            Box::pin(async move {
                for Brought { sha2, content, authority } in brought {
                    let length = i64::try_from(content.len()).unwrap_or(i64::MAX);
                    if attachments::claim(tx, tenant, sha2, length).await? {
                        for (number, piece) in (0..).zip(content.chunks(PIECE_BYTES)) {
                            attachments::write_piece(tx, tenant, sha2, number, piece).await?;
                        }
                    }
                    attachments::bring(tx, tenant, &[sha2], *authority).await?;
                }
                Ok(())
            })
        });
        kept.await
    }

    /// Makes partitions of the months that were filled and are over with, oldest first: those before `before`, or all.
    pub async fn finish(&mut self, before: Option<Month>) -> Result<Vec<Month>, LoadError> {
        let mut finished = Vec::new();
        while let Some(next) = self.months.first_entry().filter(|next| before.is_none_or(|before| *next.key() < before))
        {
            if let (month, Target::Fill(fill)) = next.remove_entry() {
                self.finish_month(&fill).await?;
                finished.push(month);
            }
        }
        Ok(finished)
    }

    async fn finish_month(&self, fill: &Fill) -> Result<(), LoadError> {
        let twice = self.store.run_tx("load_twice", As::Worker, |tx| Box::pin(loads::twice(tx, fill)));
        if let Some((tenant, stored)) = twice.await? {
            return Err(LoadError::SameMoment { tenant, stored });
        }
        self.store.run_tx("load_index", As::Worker, |tx| Box::pin(fills::index(tx, fill))).await?;
        self.store.run_once("load_finish", As::Worker, |tx| Box::pin(loads::finish(tx, fill))).await?;
        Ok(())
    }
}

/// Statements of one tenant and one month, on their way into one transaction.
struct Batch<'a> {
    tenant: TenantId,
    month: Month,
    entries: &'a [NewStatement<'a>],
    target: Target,
    seen: &'a Seen,
}

/// What a transaction wrote.
struct New {
    new: u64,
    words: Written,
}

impl Batch<'_> {
    async fn write(&self, tx: &Tx<'_>) -> Result<New, LoadError> {
        loads::for_tenant(tx, self.tenant).await?;
        statements::now(tx).await?;
        let actors: Vec<Uuid> = self.entries.iter().filter_map(|entry| entry.statement.agent_key).collect();
        let gone = erased::arriving(tx, self.tenant, &actors).await?;
        let is_gone = |entry: &&NewStatement<'_>| entry.statement.agent_key.is_some_and(|key| gone.contains(&key));
        if let Some(entry) = self.entries.iter().find(is_gone) {
            return Err(LoadError::Erased(entry.statement.id));
        }
        let had = loads::claim(tx, self.tenant, self.entries).await?;
        let same = self.same(&had)?;
        let new: Vec<NewStatement<'_>> =
            self.entries.iter().filter(|entry| !same.contains(&entry.statement.id)).copied().collect();
        if new.is_empty() {
            return Ok(New { new: 0, words: Written::default() });
        }
        let (unseen, words) = self.seen.unseen(new.iter().map(|entry| entry.statement));
        remember(tx, unseen).await?;
        match self.target {
            Target::Fill(fill) => loads::into_fill(tx, self.tenant, &fill, &new).await?,
            Target::Open => self.append(tx, &new).await?,
        }
        Ok(New { new: new.len() as u64, words })
    }

    /// Of the ids that were known those whose statement is the same; another one is refused.
    fn same(&self, had: &[loads::Claimed]) -> Result<HashSet<Uuid>, LoadError> {
        let coming: HashMap<Uuid, &Prepared> =
            self.entries.iter().map(|entry| (entry.statement.id, entry.statement)).collect();
        for known in had {
            if known.erased {
                return Err(LoadError::Erased(known.id));
            }
            if coming.get(&known.id).is_none_or(|coming| is_another(coming, &known.digest, known.occurred)) {
                return Err(LoadError::Conflict { id: known.id, there: known.stored });
            }
        }
        Ok(had.iter().map(|known| known.id).collect())
    }

    async fn append(&self, tx: &Tx<'_>, new: &[NewStatement<'_>]) -> Result<(), LoadError> {
        let state = loads::state(tx, self.month).await?;
        if state.as_deref() != Some("open") {
            return Err(LoadError::Closed(self.month, state.unwrap_or_else(|| "gone".to_owned())));
        }
        let moments: Vec<DateTime<Utc>> = new.iter().map(|entry| entry.stored).collect();
        if let Some(stored) = loads::taken(tx, self.tenant, &moments).await? {
            return Err(LoadError::SameMoment { tenant: self.tenant, stored });
        }
        Ok(loads::append(tx, self.tenant, new).await?)
    }
}
