//! Brings what a tenant has from one cell to the other. Whatever it does may be done again: what is there already stays.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ResidencyError;
use crate::{
    model::{
        TenantId,
        partition::{Month, State},
    },
    store::{
        As, Store, StoreError, Tx,
        ledger::{
            absent::{self, Absent},
            carried::{self as statements, OnItsWay, Place, Stretch},
            partitions,
            statements::now as ledger_now,
        },
        platform::{
            carried::{self, Carried, Shape, TABLES, Written, compared},
            residences,
        },
    },
};

/// The way from one cell to the other.
#[derive(Clone)]
pub struct Courier {
    pub from: Store,
    pub to: Store,
    /// What the two are called.
    pub cells: [String; 2],
    pub tenant: TenantId,
    pub move_id: Uuid,
}

/// A month of a cell to which nothing can be added, with what brings it back.
pub(super) fn closed_there(month: Month, state: State, cell: &str) -> String {
    format!("{month} is {} in {cell}: there {} first", state.name(), brings_back(month, state))
}

/// The commands after which a month is in place.
pub(super) fn brings_back(month: Month, state: State) -> String {
    match state {
        State::Detached | State::Archived => format!("`partitions attach --month {month}`"),
        State::Attached => format!(
            "`archive detach --month {month}`, `archive restore --month {month}` and `partitions attach --month {month}`"
        ),
        _ => format!("`archive restore --month {month}` and `partitions attach --month {month}`"),
    }
}

/// What is put in one transaction.
#[derive(Clone, Copy)]
pub(super) enum What<'a> {
    Rows(&'a Carried, &'a Shape, &'a [String]),
    Statements(&'a [OnItsWay]),
    Relations(&'a [Place]),
    /// Rows that are not there any more where they come from, by their keys.
    Gone(&'a Carried, &'a [String]),
}

impl What<'_> {
    async fn put(self, tx: &Tx<'_>, tenant: TenantId) -> Result<u64, StoreError> {
        match self {
            Self::Rows(of, shape, lines) => carried::put(tx, of, shape, tenant, lines).await,
            Self::Statements(page) => statements::put(tx, tenant, page).await,
            Self::Relations(page) => statements::put_relations(tx, tenant, page).await,
            Self::Gone(of, keys) => compared::remove(tx, of, tenant, keys).await,
        }
    }
}

/// Rows of one table that went over, and how many of them came or changed there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rows {
    seen: u64,
    changed: u64,
}

/// What went over of all tables.
#[derive(Debug, Default)]
pub struct Brought {
    pub changed: u64,
    /// The tables of which there were rows.
    pub of: Vec<&'static str>,
}

/// How many rows went over so far.
pub type Tell<'t> = &'t (dyn Fn(u64) + Sync);

impl Courier {
    /// Makes the months in the other cell in which the tenant has statements that were stored after a moment.
    pub async fn months(&self, after: DateTime<Utc>) -> Result<(), ResidencyError> {
        self.make(&self.in_place_since(after).await?).await
    }

    /// The months in which the tenant has something in place that was stored after a moment.
    pub async fn in_place_since(&self, after: DateTime<Utc>) -> Result<Vec<Month>, ResidencyError> {
        let tenant = self.tenant;
        let asked =
            self.from.run_tx("carried_months", As::Worker, |tx| Box::pin(statements::months(tx, tenant, after)));
        Ok(asked.await?)
    }

    /// Makes these months in the other cell; `Err` where one is there and takes nothing.
    pub(super) async fn make(&self, months: &[Month]) -> Result<(), ResidencyError> {
        for month in months {
            let made = self.to.run_tx("ensure_month", As::Worker, |tx| Box::pin(partitions::ensure(tx, month.begin())));
            made.await?;
        }
        let closed =
            self.to.run_tx("carried_closed", As::Worker, |tx| Box::pin(absent::not_in_place(tx, months))).await?;
        match closed.first() {
            None => Ok(()),
            Some((month, state)) => Err(ResidencyError::Refused(closed_there(*month, *state, &self.cells[1]))),
        }
    }

    /// The tenant's months that are not in place where it comes from.
    pub async fn absent(&self) -> Result<Vec<Absent>, ResidencyError> {
        let tenant = self.tenant;
        Ok(self.from.run_tx("carried_absent", As::Worker, |tx| Box::pin(absent::months(tx, tenant))).await?)
    }

    /// Brings the rows of every table: all, or those that were written since a horizon.
    pub async fn tables(&self, since: Option<&str>, tell: Tell<'_>) -> Result<Brought, ResidencyError> {
        let mut brought = Brought::default();
        for (of, shapes) in TABLES.iter().zip(&self.shapes().await?) {
            let so_far = brought.changed;
            let more = self.table(of, shapes, Written::since(since), &|more| tell(so_far + more)).await?;
            brought.changed += more.changed;
            brought.of.extend((more.seen > 0).then_some(of.table));
        }
        Ok(brought)
    }

    pub(super) async fn table(
        &self,
        of: &Carried,
        (here, there): &(Shape, Shape),
        written: Written<'_>,
        tell: Tell<'_>,
    ) -> Result<Rows, ResidencyError> {
        let tenant = self.tenant;
        let (mut rows, mut after): (Rows, Option<String>) = (Rows::default(), None);
        loop {
            let after_this = after.as_deref();
            let page = self.from.run_tx("carried_page", As::Worker, |tx| {
                Box::pin(carried::page(tx, of, here, (tenant, written), after_this))
            });
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(rows) };
            after = Some(last.clone());
            rows.seen += page.len() as u64;
            rows.changed += self.brings(What::Rows(of, there, &page)).await?;
            tell(rows.changed);
        }
    }

    /// What the rows of each table look like in both cells, in the order of the tables.
    pub(super) async fn shapes(&self) -> Result<Vec<(Shape, Shape)>, ResidencyError> {
        let tenant = self.tenant;
        let here = self.from.run_tx("carried_shapes", As::Worker, |tx| Box::pin(carried::shapes(tx, tenant)));
        let there = self.to.run_tx("carried_shapes", As::Worker, |tx| Box::pin(carried::shapes(tx, tenant)));
        let (here, there) = tokio::try_join!(here, there)?;
        if let Some((of, _)) = TABLES.iter().zip(here.iter().zip(&there)).find(|(_, (here, there))| !here.fits(there)) {
            let why = format!("{} has other columns in the other cell: bring both to one release", of.table);
            return Err(ResidencyError::Refused(why));
        }
        Ok(here.into_iter().zip(there).collect())
    }

    /// Puts something in the other cell, as long as the tenant arrives there by this move; answers how many rows came or changed.
    pub(super) async fn brings(&self, what: What<'_>) -> Result<u64, ResidencyError> {
        let (tenant, move_id) = (self.tenant, self.move_id);
        self.to
            .run_tx("carried_put", As::Worker, |tx| {
                Box::pin(async move {
                    if !residences::let_in(tx, tenant, move_id).await? {
                        let why =
                            "the tenant does not arrive there by this move any more: somebody else goes on with it";
                        return Err(ResidencyError::Refused(why.to_owned()));
                    }
                    Ok(what.put(tx, tenant).await?)
                })
            })
            .await
    }

    /// Brings the statements of a stretch with their relations; answers how many were new.
    pub async fn statements(&self, of: Stretch, tell: Tell<'_>) -> Result<u64, ResidencyError> {
        let (mut at, mut brought) = (of, 0);
        let mut page = self.statement_page(at).await?;
        while let Some(last) = page.last() {
            at.after = last.stored;
            // The next are read while these are written.
            let (put, next) = tokio::join!(self.brings(What::Statements(&page)), self.statement_page(at));
            brought += put?;
            tell(brought);
            page = next?;
        }
        self.relations(of).await?;
        Ok(brought)
    }

    async fn statement_page(&self, of: Stretch) -> Result<Vec<OnItsWay>, ResidencyError> {
        let tenant = self.tenant;
        Ok(self.from.run_tx("carried_read", As::Worker, |tx| Box::pin(statements::page(tx, tenant, of))).await?)
    }

    /// Brings the relations of a stretch.
    pub(super) async fn relations(&self, of: Stretch) -> Result<(), ResidencyError> {
        let (tenant, mut at) = (self.tenant, (Uuid::nil(), DateTime::<Utc>::UNIX_EPOCH));
        loop {
            let page = self
                .from
                .run_tx("carried_relations", As::Worker, |tx| Box::pin(statements::relations(tx, tenant, of, at)));
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(()) };
            at = *last;
            self.brings(What::Relations(&page)).await?;
        }
    }

    /// Puts a page of every table where it came from, and takes it back: whether the way back is open.
    pub async fn rehearse_the_way_back(&self) -> Result<(), ResidencyError> {
        let (tenant, undone) = (self.tenant, "rehearsed");
        for (of, (back, shape)) in TABLES.iter().zip(&self.shapes().await?) {
            let page = self.to.run_tx("carried_page", As::Worker, |tx| {
                Box::pin(carried::page(tx, of, shape, (tenant, Written::Ever), None))
            });
            let page = &page.await?;
            if page.is_empty() {
                continue;
            }
            let put = self.from.run_tx("carried_rehearse", As::Worker, |tx| {
                Box::pin(async move {
                    carried::put(tx, of, back, tenant, page).await?;
                    // Refused, so that nothing of it stands.
                    Err::<(), _>(ResidencyError::Refused(undone.to_owned()))
                })
            });
            match put.await {
                Err(ResidencyError::Refused(why)) if why == undone => {}
                Err(error) => return Err(error),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// `Err` where somebody was erased since, or is being: what went over before would come back with the tenant.
    pub async fn nobody_was_erased(&self, since: DateTime<Utc>, todo: &str) -> Result<(), ResidencyError> {
        let tenant = self.tenant;
        let asked = self
            .from
            .run_tx("erased_since", As::Worker, |tx| Box::pin(statements::has_erased_since(tx, tenant, since)));
        if !asked.await? {
            return Ok(());
        }
        Err(ResidencyError::Differs(format!("somebody was erased since it went over, or is being: {todo}")))
    }

    /// What the ledger's clock of a cell says.
    pub async fn ledger_now(&self, store: &Store) -> Result<DateTime<Utc>, ResidencyError> {
        Ok(store.run_tx("move_edge", As::Tenant(self.tenant), |tx| Box::pin(ledger_now(tx))).await?)
    }

    /// Tells the tenant's trail again where it went, each entry once, however often the tenant came that way.
    pub async fn trail(&self) -> Result<(), ResidencyError> {
        let (tenant, id, [here, there]) = (self.tenant, self.move_id, &self.cells);
        loop {
            let told =
                self.to.run_tx("trail_told", As::Worker, |tx| Box::pin(carried::trail_told(tx, tenant, here))).await?;
            let page = self
                .from
                .run_tx("trail_page", As::Worker, |tx| Box::pin(carried::trail_page(tx, (tenant, there), told)));
            let page = &page.await?;
            if page.is_empty() {
                return Ok(());
            }
            let telling = self
                .to
                .run_once("trail_tell", As::Worker, |tx| Box::pin(carried::trail_tell(tx, (tenant, id, here), page)));
            telling.await?;
        }
    }
}
