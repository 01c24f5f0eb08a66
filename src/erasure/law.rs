//! The law while an erasure runs. Whoever removes asks in the transaction that removes: a hold is placed either before, and wins, or
//! after what it came too late for.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{
    ErasureError, Erasures,
    person::Person,
    plan::Law,
    work::{Learned, Work},
};
use crate::{
    model::erasure::Mentions,
    objects::segment::Row,
    store::{
        As, Tx,
        ledger::{
            belongings, erasing,
            holds::{self, Hold},
            tables::Tables,
        },
    },
};

/// How long looking through a long past may take.
const LONGEST: std::time::Duration = std::time::Duration::from_mins(10);

/// Everything by which a hold may stand over the person: their identifiers, and what statements were about that are gone by now.
pub(super) fn theirs(person: &Person, learned: &Learned) -> BTreeSet<Uuid> {
    let mut keys: BTreeSet<Uuid> = person.agents.keys().copied().collect();
    keys.extend(&learned.activities);
    keys.extend(&learned.registrations);
    keys
}

/// Whether a hold stands over a statement in a segment, as the guards of the tables have it.
pub(super) fn stands_over(hold: &Hold, row: &Row) -> bool {
    let keys = [&row.agent_key, &row.activity_key, &row.registration_key];
    hold.concerns(keys.into_iter().flatten().chain(&row.relations))
}

/// The holds that stand when somebody is looked for, and which of them concern what was found.
pub(super) struct Holds {
    standing: Vec<Hold>,
    concern: BTreeSet<Uuid>,
}

impl Holds {
    pub async fn of(erasures: &Erasures, person: &Person, learned: &Learned) -> Result<Self, ErasureError> {
        let (tenant, keys) = (person.tenant, theirs(person, learned));
        let store = erasures.cold.store();
        let standing = store.run_tx("holds_of", As::Worker, |tx| Box::pin(holds::standing(tx, tenant))).await?;
        let concern = standing.iter().filter(|hold| hold.concerns(&keys)).map(|hold| hold.id).collect();
        Ok(Self { standing, concern })
    }

    pub fn is_any(&self) -> bool {
        !self.concern.is_empty()
    }

    /// Looks whether one stands over a statement in the tables of a tier that would go or be written anew.
    pub async fn look(
        &mut self,
        erasures: &Erasures,
        person: &Person,
        mentions: Mentions,
        tables: Tables,
    ) -> Result<(), ErasureError> {
        let (tenant, store, keys) = (person.tenant, erasures.cold.store(), &person.keys());
        let relations = &if mentions == Mentions::Keep { Vec::new() } else { person.sought().relations() };
        for hold in &self.standing {
            if self.concern.contains(&hold.id) {
                continue;
            }
            let held = &hold.keys;
            let looking = store.patient(LONGEST);
            let looking = looking.run_tx("stands_under", As::Worker, |tx| {
                Box::pin(erasing::stands_under(tx, tenant, tables, (keys, relations), held))
            });
            if looking.await? {
                self.concern.insert(hold.id);
            }
        }
        Ok(())
    }

    /// The same for a statement in a segment.
    pub fn heed(&mut self, row: &Row) {
        let over = self.standing.iter().filter(|hold| stands_over(hold, row));
        self.concern.extend(over.map(|hold| hold.id));
    }

    pub fn laws(self) -> impl Iterator<Item = Law> {
        let concern = self.concern;
        let over = self.standing.into_iter().filter(move |hold| concern.contains(&hold.id));
        over.map(|hold| Law { law: hold.law, reason: hold.reason })
    }
}

impl From<&Hold> for ErasureError {
    fn from(hold: &Hold) -> Self {
        Self::Held { law: hold.law.clone(), reason: hold.reason.clone() }
    }
}

impl Work<'_> {
    /// The holds of the tenant that stand now.
    pub async fn standing(&self) -> Result<Vec<Hold>, ErasureError> {
        let tenant = self.erasure.tenant;
        let standing = self.job.store.run_tx("holds_standing", As::Worker, |tx| Box::pin(holds::standing(tx, tenant)));
        Ok(standing.await?)
    }

    /// Fails where a hold stands over the person, or over what they did; none is placed until this transaction ends.
    pub async fn ask_the_law(&self, tx: &Tx<'_>) -> Result<(), ErasureError> {
        let keys = theirs(&self.person, &self.learned());
        let standing = holds::standing(tx, self.erasure.tenant).await?;
        standing.iter().find(|hold| hold.concerns(&keys)).map_or(Ok(()), |hold| Err(hold.into()))
    }

    /// The same; what follows in this transaction is done as the eraser.
    pub async fn as_eraser(&self, tx: &Tx<'_>) -> Result<(), ErasureError> {
        self.ask_the_law(tx).await?;
        Ok(belongings::as_eraser(tx, self.erasure.tenant).await?)
    }
}
