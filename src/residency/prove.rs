//! What is the same in both cells: statements by month and verb, with a digest that does not depend on their order, and what their
//! relations come to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ResidencyError, courier::Courier};
use crate::{
    bundle::{
        MonthTally, Tally,
        line::{Seen, line},
        tally,
    },
    model::{TenantId, partition::Month},
    store::{
        As, Store,
        ledger::{
            carried::{self, OnItsWay, Stretch},
            tables::Tables,
        },
    },
};

/// What was brought and found the same, up to a moment; what is left is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// All statements up to here.
    pub through: DateTime<Utc>,
    /// All other rows that were written before this transaction of the cell they come from.
    pub horizon: String,
    /// All other rows that were written before this one were found the same there, row by row.
    #[serde(default)]
    pub compared: Option<String>,
    pub statements: u64,
    pub months: Vec<MonthTally>,
}

impl Proof {
    /// The same with a stretch behind it.
    pub fn with(&self, months: &[MonthTally], through: DateTime<Utc>, horizon: String) -> Option<Self> {
        let mut tally = Tally::default();
        tally.join(&self.months)?;
        tally.join(months)?;
        let (months, compared) = (tally.months(), self.compared.clone());
        let statements = months.iter().map(|month| month.statements).sum();
        Some(Self { through, horizon, compared, statements, months })
    }

    /// What is not proven yet, up to a moment.
    pub fn rest(before: Option<&Self>, through: DateTime<Utc>) -> Stretch {
        Stretch { after: before.map_or(DateTime::UNIX_EPOCH, |proof| proof.through), through, tables: Tables::Hot }
    }

    /// What is kept of a way: `forth`, `back`, or `opened`, from where on what comes back is new.
    pub fn kept(proof: Option<&Value>, way: &str) -> Option<Self> {
        serde_json::from_value(proof?.get(way)?.clone()).ok()
    }

    /// The same without months that have left the tables since: they are proven by themselves.
    #[must_use]
    pub fn but(mut self, months: &[Month]) -> Self {
        self.months.retain(|one| !months.contains(&one.month));
        self.statements = self.months.iter().map(|month| month.statements).sum();
        self
    }

    pub fn nothing() -> Self {
        let (through, horizon) = (DateTime::UNIX_EPOCH, String::new());
        Self { through, horizon, compared: None, statements: 0, months: Vec::new() }
    }
}

impl Courier {
    /// What the statements of a stretch come to, on both sides the same; `Err` where they are not. Months that are not in place where
    /// they come from are left out: they go over by themselves.
    pub async fn prove(&self, of: Stretch, absent: &[Month]) -> Result<Vec<MonthTally>, ResidencyError> {
        let mut tally = Tally::default();
        for piece in of.without(absent) {
            tally.join(&self.prove_piece(piece).await?);
        }
        Ok(tally.months())
    }

    async fn prove_piece(&self, of: Stretch) -> Result<Vec<MonthTally>, ResidencyError> {
        let (here, there) = tokio::try_join!(counted(&self.from, self.tenant, of), counted(&self.to, self.tenant, of))?;
        if let Some(why) = difference(&here, &there) {
            return Err(ResidencyError::Differs(why));
        }
        let tenant = self.tenant;
        let relations = |store: &Store| {
            let store = store.clone();
            async move {
                store
                    .run_tx("sum_of_relations", As::Worker, |tx| Box::pin(carried::sum_of_relations(tx, tenant, of)))
                    .await
            }
        };
        let (one, other) = tokio::try_join!(relations(&self.from), relations(&self.to))?;
        if one != other {
            let why = format!("{} relations here and {} there, or others", one.0, other.0);
            return Err(ResidencyError::Differs(why));
        }
        Ok(here)
    }
}

pub(super) async fn counted(store: &Store, tenant: TenantId, of: Stretch) -> Result<Vec<MonthTally>, ResidencyError> {
    let (mut tally, mut at) = (Tally::default(), of);
    loop {
        let page = store.run_tx("carried_count", As::Worker, |tx| Box::pin(carried::page(tx, tenant, at))).await?;
        let Some(last) = page.last() else { return Ok(tally.months()) };
        at.after = last.stored;
        tally.join(&tallied(page).await?);
    }
}

/// What these statements come to.
pub(super) async fn tallied(page: Vec<OnItsWay>) -> Result<Vec<MonthTally>, ResidencyError> {
    let counting = tokio::task::spawn_blocking(move || {
        let mut tally = Tally::default();
        for one in &page {
            let text = line(&one.payload, one.stored);
            let seen: Seen<'_> = serde_json::from_str(&text).map_err(|error| {
                ResidencyError::Differs(format!("a statement of {} cannot be read: {error}", one.stored))
            })?;
            tally.add(Month::of(one.stored), &seen.verb.id, &tally::line(&text));
        }
        Ok::<_, ResidencyError>(tally.months())
    });
    counting.await.map_err(|error| ResidencyError::Refused(error.to_string()))?
}

/// Where two differ, in words.
pub(super) fn difference(here: &[MonthTally], there: &[MonthTally]) -> Option<String> {
    let of = |side: &[MonthTally], month: Month| side.iter().find(|one| one.month == month).cloned();
    let months = here.iter().chain(there).map(|one| one.month);
    for month in months {
        let (one, other) = (of(here, month), of(there, month));
        if one != other {
            let count = |side: &Option<MonthTally>| side.as_ref().map_or(0, |side| side.statements);
            return Some(format!("{month} has {} statements here and {} there, or others", count(&one), count(&other)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(texts: &[&str]) -> Vec<MonthTally> {
        let mut tally = Tally::default();
        texts.iter().for_each(|text| tally.add("2026-03".parse().unwrap(), "v:a", &tally::line(text)));
        tally.months()
    }

    #[test]
    fn a_statement_more_or_another_one_is_told() {
        assert_eq!(difference(&month(&["1", "2"]), &month(&["2", "1"])), None);
        assert!(difference(&month(&["1"]), &month(&["1", "2"])).unwrap().contains("1 statements here and 2 there"));
        assert!(difference(&month(&["1"]), &month(&["3"])).unwrap().contains("2026-03"));
        assert!(difference(&[], &month(&["1"])).unwrap().contains("0 statements here and 1 there"));
    }

    #[test]
    fn a_proof_grows_by_stretches() {
        let at = |second: u32| format!("2026-03-01T00:00:0{second}Z").parse().unwrap();
        let first = Proof::nothing().with(&month(&["1"]), at(1), "7".to_owned()).unwrap();
        let both = first.with(&month(&["2"]), at(2), "8".to_owned()).unwrap();
        assert_eq!((both.statements, &both.months), (2, &month(&["1", "2"])));
        assert_eq!(Proof::rest(Some(&both), at(3)), Stretch { after: at(2), through: at(3), tables: Tables::Hot });
        assert_eq!(both.clone().but(&[]), both);
        assert_eq!(both.but(&["2026-03".parse().unwrap()]).statements, 0);
    }
}
